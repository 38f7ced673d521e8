//! Whether anything touched a tree: each entry's inode and the time of its last change, which no program can set.
//!
//! Every call that changes an entry, be it to what it was before, moves that time; reading does not. File systems
//! take it from a clock that ticks every few milliseconds: a change within the same tick as the one before it is
//! not seen, so that stamps are taken after the changes whose repetition is looked for.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    pub inode: u64,
    /// Seconds since 1970 and nanoseconds.
    pub changed: (i64, i64),
}

/// Those of one tree, its root among them, by path below the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamps {
    by_path: BTreeMap<PathBuf, Stamp>,
}

impl Stamps {
    /// Takes them now.
    ///
    /// # Errors
    /// Where a part of the tree cannot be looked at, or paths are longer than a call takes.
    pub fn take(root: &Path) -> io::Result<Self> {
        let mut by_path = BTreeMap::new();
        let mut pending = vec![PathBuf::new()];
        while let Some(below) = pending.pop() {
            // Joined with nothing, a path would end with a slash and lead through a link.
            let path = match below.as_os_str().is_empty() {
                true => root.to_owned(),
                false => root.join(&below),
            };
            let metadata = fs::symlink_metadata(&path)?;
            if metadata.is_dir() {
                for entry in fs::read_dir(&path)? {
                    pending.push(below.join(entry?.file_name()));
                }
            }
            let stamp = Stamp {
                inode: metadata.ino(),
                changed: (metadata.ctime(), metadata.ctime_nsec()),
            };
            by_path.insert(below, stamp);
        }
        Ok(Self { by_path })
    }

    /// What is another now, is gone or is new, one line each.
    pub fn touched(&self, now: &Self) -> Vec<String> {
        let paths = self.by_path.keys().chain(now.by_path.keys());
        let mut paths: Vec<_> = paths.collect();
        paths.sort();
        paths.dedup();
        let mut lines = Vec::new();
        for path in paths {
            let (before, after) = (self.by_path.get(path), now.by_path.get(path));
            if before != after {
                let name = path.as_os_str().as_bytes().escape_ascii();
                lines.push(format!("{name}: {} / {}", shown(before), shown(after)));
            }
        }
        lines
    }

    /// Asserts that nothing below `root` was touched since these were taken.
    ///
    /// # Panics
    /// Where something was, or cannot be looked at.
    #[track_caller]
    pub fn assert_untouched(&self, root: &Path) {
        let now = Self::take(root).unwrap_or_else(|error| panic!("{}: {error}", root.display()));
        let touched = self.touched(&now);
        assert!(
            touched.is_empty(),
            "{} entries below {} were touched:\n{}",
            touched.len(),
            root.display(),
            touched.join("\n")
        );
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanoseconds) = self.changed;
        write!(f, "inode {} {seconds}.{nanoseconds:09}", self.inode)
    }
}

fn shown(stamp: Option<&Stamp>) -> String {
    stamp.map_or("not there".to_owned(), Stamp::to_string)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::thread::sleep;
    use std::time::Duration;

    use super::Stamps;
    use crate::Scratch;

    #[test]
    fn what_is_written_again_as_it_was_is_touched_and_what_is_read_is_not() {
        let scratch = Scratch::new("stamps");
        scratch.directory("directory");
        let file = scratch.file("directory/file", b"content");
        let before = Stamps::take(scratch.path()).unwrap();
        fs::read(&file).unwrap();
        before.assert_untouched(scratch.path());

        // Longer than a tick of the clock that file systems use.
        sleep(Duration::from_millis(20));
        let mode = fs::metadata(&file).unwrap().permissions();
        fs::set_permissions(&file, mode).unwrap();
        let now = Stamps::take(scratch.path()).unwrap();
        let touched = before.touched(&now);
        assert_eq!(touched.len(), 1, "{touched:?}");
        assert!(touched[0].starts_with("directory/file: inode "));
    }

    #[test]
    fn the_root_and_what_is_gone_or_new_count() {
        let scratch = Scratch::new("stamps");
        let file = scratch.file("old", b"");
        let before = Stamps::take(scratch.path()).unwrap();
        sleep(Duration::from_millis(20));
        fs::rename(&file, scratch.join("new")).unwrap();
        let touched = before.touched(&Stamps::take(scratch.path()).unwrap());
        let names: Vec<_> = touched
            .iter()
            .map(|line| line.split(':').next().unwrap())
            .collect();
        assert_eq!(names, ["", "new", "old"]);
    }
}
