//! A foreign judge of what a copy kept: `rsync -n` is asked what it would still do.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use crate::tool::{self, ToolError};

/// Whether names of one file must be names of one file in the copy too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HardLinks {
    Compare,
    Ignore,
}

/// What rsync would do to make `b` as `a`: one row of its `--itemize-changes` each, none where they are the same in
/// kind, mode, owner, time (to the nanosecond), ACLs, extended attributes and, by checksum, content.
///
/// # Panics
/// Where rsync is missing or cannot compare.
pub fn rsync_differences(a: &Path, b: &Path, hard_links: HardLinks) -> Vec<String> {
    try_rsync_differences(a, b, hard_links)
        .unwrap_or_else(|error| panic!("cannot compare by rsync: {error}"))
}

/// As [`rsync_differences`], with its failures as values.
pub fn try_rsync_differences(
    a: &Path,
    b: &Path,
    hard_links: HardLinks,
) -> Result<Vec<String>, ToolError> {
    let mut command = Command::new("rsync");
    command
        .args([
            "--dry-run",
            "--archive",
            "--acls",
            "--xattrs",
            "--sparse",
            "--delete",
        ])
        .args(["--checksum", "--itemize-changes", "--modify-window=-1"]);
    if hard_links == HardLinks::Compare {
        command.arg("--hard-links");
    }
    command.arg("--").arg(contents_of(a)).arg(contents_of(b));
    let done = tool::run(&mut command)?;
    let text = String::from_utf8_lossy(&done.stdout);
    Ok(text.lines().map(str::to_owned).collect())
}

fn contents_of(directory: &Path) -> OsString {
    let mut text = directory.as_os_str().to_owned();
    text.push("/");
    text
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::{HardLinks, rsync_differences};
    use crate::{Scratch, tool};

    #[test]
    fn a_copy_by_cp_is_the_same_until_something_changes() {
        let scratch = Scratch::new("rsync");
        let (a, b) = (scratch.directory("a"), scratch.join("b"));
        scratch.file("a/file", b"content");
        fs::hard_link(a.join("file"), a.join("other name")).unwrap();
        tool::run(Command::new("cp").arg("-a").arg(&a).arg(&b)).unwrap();
        assert!(rsync_differences(&a, &b, HardLinks::Compare).is_empty());

        let time = fs::metadata(b.join("file")).unwrap().modified().unwrap();
        fs::remove_file(b.join("other name")).unwrap();
        let broken = scratch.file("b/other name", b"content");
        fs::File::options()
            .write(true)
            .open(broken)
            .unwrap()
            .set_modified(time)
            .unwrap();
        let above = fs::metadata(&a).unwrap().modified().unwrap();
        fs::File::open(&b).unwrap().set_modified(above).unwrap();
        assert!(rsync_differences(&a, &b, HardLinks::Ignore).is_empty());
        assert_eq!(rsync_differences(&a, &b, HardLinks::Compare).len(), 1);

        scratch.file("b/more", b"");
        let rows = rsync_differences(&a, &b, HardLinks::Ignore);
        assert!(rows.iter().any(|row| row.contains("deleting")), "{rows:?}");
    }
}
