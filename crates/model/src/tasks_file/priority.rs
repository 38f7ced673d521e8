//! The last column of a line that is no path: `priority=N`.
//!
//! It can't be mistaken for one: a source or target begins with `/` or is a remote, whose name has no `=`, and a file
//! list begins with `/`, whatever its name.

use crate::priority::Priority;

/// The columns before the priority, and the priority if the line has one.
pub(super) fn split_off<'a, 'b>(
    columns: &'a [&'b [u8]],
) -> Result<(&'a [&'b [u8]], Option<Priority>), String> {
    let last = columns.split_last();
    let written = last.and_then(|(last, paths)| Some((last.strip_prefix(b"priority=")?, paths)));
    let Some((written, paths)) = written else {
        return Ok((columns, None));
    };
    let number = std::str::from_utf8(written)
        .ok()
        .and_then(|n| n.parse().ok());
    let priority = number.and_then(Priority::new).ok_or_else(|| {
        let (lowest, highest) = (Priority::LOWEST, Priority::HIGHEST);
        format!(
            "the priority is malformed or out of range, expected priority=N with a whole number \
             from {lowest} to {highest}"
        )
    })?;
    Ok((paths, Some(priority)))
}
