//! A foreign judge of what a copy kept: `rsync -n` is asked what it would still do.
//!
//! It says nothing of holes, and cannot judge paths longer than PATH_MAX. As a plain user it sees `user.*` alone of the
//! extended attributes; `user.rsync.*` are its own and never compared.

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
/// kind, mode, owner, time (to the nanosecond), device, ACLs, extended attributes and, by checksum, content.
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
            "--numeric-ids",
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
    use std::path::Path;
    use std::process::Command;

    use rustix::fs::{CWD, FileType, Mode, XattrFlags, lsetxattr, makedev, mknodat};

    use super::{HardLinks, rsync_differences};
    use crate::posix_acl::{self, PosixAcl, Subject};
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

    #[test]
    fn what_only_acls_attributes_and_devices_tell_is_told() {
        type Damage = fn(&Path);
        let cases: [(Damage, &str); 6] = [
            (|b| set(b, "file", "user.testkit", b"another"), "x file"),
            (|b| set(b, "symlink", "trusted.more", b""), "x symlink"),
            (|b| set(b, "fifo", "trusted.more", b""), "x fifo"),
            (|b| set(b, "file", posix_acl::ACCESS, &acl(5)), "a. file"),
            (|b| set(b, ".", posix_acl::DEFAULT, &acl(5)), "a. ./"),
            (
                |b| {
                    fs::remove_file(b.join("device")).unwrap();
                    make_device(b, 4);
                },
                " device",
            ),
        ];
        for (damage, row) in cases {
            let scratch = Scratch::new("rsync");
            let (a, b) = (scratch.directory("a"), scratch.join("b"));
            scratch.file("a/file", b"");
            std::os::unix::fs::symlink("file", a.join("symlink")).unwrap();
            mknodat(CWD, a.join("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
            make_device(&a, 3);
            set(&a, "file", "user.testkit", b"value");
            set(&a, "file", posix_acl::ACCESS, &acl(4));
            set(&a, ".", posix_acl::DEFAULT, &acl(4));
            tool::run(Command::new("cp").arg("-a").arg(&a).arg(&b)).unwrap();
            assert!(rsync_differences(&a, &b, HardLinks::Compare).is_empty());
            damage(&b);
            let rows = rsync_differences(&a, &b, HardLinks::Compare);
            assert!(rows.iter().any(|one| one.contains(row)), "{row}: {rows:?}");
        }
    }

    fn set(root: &Path, below: &str, name: &str, value: &[u8]) {
        lsetxattr(root.join(below), name, value, XattrFlags::empty()).unwrap();
    }

    fn acl(rights: u16) -> Vec<u8> {
        let named = (Subject::User(7), rights);
        let all = [
            Subject::Owner,
            Subject::OwningGroup,
            Subject::Mask,
            Subject::Others,
        ];
        PosixAcl::new(all.map(|whom| (whom, 4)).into_iter().chain([named])).to_value()
    }

    fn make_device(root: &Path, minor: u32) {
        let (kind, device) = (FileType::CharacterDevice, makedev(1, minor));
        mknodat(CWD, root.join("device"), kind, Mode::RUSR, device).unwrap();
    }
}
