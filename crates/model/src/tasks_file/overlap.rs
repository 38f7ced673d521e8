//! Which targets are the same or nested in one another, by their text.
//!
//! Merged sources and nested targets are everyday, so they only warn; but workers must know that
//! another task may make a directory there at any time.

use std::os::unix::ffi::OsStrExt;

use crate::location::{Location, Task};

/// Lines that a warning names.
const NAMED_LINES: usize = 10;

/// A location so that one lies at or below another exactly when its key begins with the other's.
pub(crate) fn key(location: &Location) -> Vec<u8> {
    let (name, path) = match location {
        Location::Posix(path) => (&b""[..], path.as_os_str().as_bytes()),
        Location::Remote(remote) => match remote.split_once(':') {
            Some((name, path)) => (name.as_bytes(), path.as_bytes()),
            None => (remote.as_bytes(), &b""[..]),
        },
    };
    // Neither NUL nor an empty name occurs in a location.
    let mut key = [name, b"\0"].concat();
    for component in path.split(|&b| b == b'/') {
        if !matches!(component, b"" | b".") {
            key.extend_from_slice(component);
            key.push(0);
        }
    }
    key
}

/// Marks all tasks whose target another task shares, and tells of each group of them.
pub(crate) fn mark_shared_targets(tasks: &mut [Task]) -> Vec<String> {
    let mut targets: Vec<(Vec<u8>, usize)> = tasks
        .iter()
        .enumerate()
        .map(|(index, task)| (key(&task.target), index))
        .collect();
    targets.sort_unstable();
    let mut warnings = Vec::new();
    // In this order all that lies at or below a target follows it.
    for group in runs(&targets) {
        let [(_, first), _, ..] = group else { continue };
        let mut lines: Vec<u32> = group.iter().map(|&(_, index)| tasks[index].line).collect();
        lines.sort_unstable();
        warnings.push(format!(
            "the tasks of lines {} write to the same or nested targets, at or below {}",
            named(&lines),
            tasks[*first].target
        ));
        for &(_, index) in group {
            tasks[index].target_is_shared = true;
        }
    }
    warnings
}

fn named(lines: &[u32]) -> String {
    let shown: Vec<String> = lines.iter().take(NAMED_LINES).map(u32::to_string).collect();
    let shown = shown.join(", ");
    match lines.len().saturating_sub(NAMED_LINES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Runs of keys that begin with the first key of their run.
fn runs(mut rest: &[(Vec<u8>, usize)]) -> impl Iterator<Item = &[(Vec<u8>, usize)]> {
    std::iter::from_fn(move || {
        let (first, _) = rest.first()?;
        let end = rest.iter().position(|(key, _)| !key.starts_with(first));
        let (run, after) = rest.split_at(end.unwrap_or(rest.len()));
        rest = after;
        Some(run)
    })
}
