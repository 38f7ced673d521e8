//! Unfinished files that a run left behind: by the names that the documentation gives them,
//! `.dm.RUN.ITEM.EPOCH.SEQ` and `.dm.RUN.TASK.marker`, RUN and ITEM of 16 hexadecimal digits; where rclone was at work,
//! names that end with `.dm` and 13 of them.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Every file and directory below `target` that has the name of an unfinished one, in order.
///
/// # Panics
/// Where a directory cannot be read: what was not looked at is not known to be clean.
pub fn leftovers(target: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![target.to_owned()];
    while let Some(directory) = pending.pop() {
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            // Removed by the run that is still going on.
            Err(error) if error.kind() == io::ErrorKind::NotFound && directory != target => {
                continue;
            }
            Err(error) => panic!("cannot read {}: {error}", directory.display()),
        };
        for entry in entries {
            let entry = entry
                .unwrap_or_else(|error| panic!("cannot read {}: {error}", directory.display()));
            if is_temp_name(entry.file_name().as_bytes()) {
                found.push(entry.path());
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                pending.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

/// Whether the program gives such names to what is unfinished. `.dm.x` and the like are a user's own.
pub fn is_temp_name(name: &[u8]) -> bool {
    if is_partial_of_rclone(name) {
        return true;
    }
    let Some(rest) = name.strip_prefix(b".dm.") else {
        return false;
    };
    let parts: Vec<&[u8]> = rest.split(|byte| *byte == b'.').collect();
    match parts.as_slice() {
        [run, task, b"marker"] => is_id(run) && is_number(task),
        [run, item, epoch, seq] => is_id(run) && is_id(item) && is_number(epoch) && is_number(seq),
        _ => false,
    }
}

fn is_partial_of_rclone(name: &[u8]) -> bool {
    let Some((_, end)) = name.split_at_checked(name.len().saturating_sub(16)) else {
        return false;
    };
    end.len() < name.len() && end.strip_prefix(b".dm").is_some_and(is_number)
}

fn is_id(text: &[u8]) -> bool {
    text.len() == 16 && is_number(text)
}

fn is_number(text: &[u8]) -> bool {
    !text.is_empty()
        && text
            .iter()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::{is_temp_name, leftovers};
    use crate::Scratch;

    const RUN: &str = "00000000000000ab";

    #[test]
    fn only_names_of_unfinished_files_count() {
        for ours in [
            format!(".dm.{RUN}.{RUN}.1.0"),
            format!(".dm.{RUN}.{RUN}.2f.ff"),
            format!(".dm.{RUN}.12.marker"),
            "file.1a2b3c4d.dm0123456789001".to_owned(),
        ] {
            assert!(is_temp_name(ours.as_bytes()), "{ours}");
        }
        for other in [
            ".dm.x",
            ".dm.1.2.3.4",
            ".dm.00000000000000AB.00000000000000ab.1.0",
            ".dm.00000000000000ab.marker.old",
            "x.dm.00000000000000ab.marker",
            ".dm0123456789001",
            "x.dm012345678900",
            "x.dm01234567890x1",
        ] {
            assert!(!is_temp_name(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn they_are_found_at_any_depth() {
        let scratch = Scratch::new("leftovers");
        scratch.directory(format!("a/.dm.{RUN}.{RUN}.1.1/b"));
        scratch.file("a/.dm.x", b"a user's own");
        let inner = scratch.file(format!("a/.dm.{RUN}.{RUN}.1.1/b/.dm.{RUN}.{RUN}.1.2"), b"");
        let marker = scratch.file(format!(".dm.{RUN}.1.marker"), b"");
        let expected = vec![
            marker,
            scratch.join(format!("a/.dm.{RUN}.{RUN}.1.1")),
            inner,
        ];
        assert_eq!(leftovers(scratch.path()), expected);
    }
}
