//! How everything outside the roots was, down to the time of its last change, which no call can set back; but for those to
//! which the attackers give further names, by which that time changes too.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Below it are those to which the attackers give names.
pub const TWINS: &str = "twins";

/// What the canaries' files hold, and nothing else in the arena does.
pub const MARK: &[u8] = b"CANARY CANARY CANARY CANARY CANARY";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canaries {
    root: PathBuf,
    entries: BTreeMap<PathBuf, Canary>,
}

/// Modes, owners, extended attributes, names and content: a change of any of them sets the time of the last change.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Canary {
    mode: u32,
    owner: (u32, u32),
    inode: u64,
    names: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    content: Vec<u8>,
}

impl Canaries {
    pub fn of(root: &Path) -> Self {
        let mut entries = BTreeMap::new();
        let mut waiting = vec![root.to_owned()];
        while let Some(path) = waiting.pop() {
            let about = fs::symlink_metadata(&path).unwrap();
            if about.is_dir() {
                let names = fs::read_dir(&path).unwrap();
                waiting.extend(names.map(|name| name.unwrap().path()));
            }
            let is_given_names = is_twin(&path) && !about.is_dir();
            let canary = Canary {
                mode: about.mode(),
                owner: (about.uid(), about.gid()),
                inode: about.ino(),
                names: match is_given_names {
                    true => 0,
                    false => about.nlink(),
                },
                modified: (about.mtime(), about.mtime_nsec()),
                changed: match is_given_names {
                    true => (0, 0),
                    false => (about.ctime(), about.ctime_nsec()),
                },
                content: match about.is_file() {
                    true => fs::read(&path).unwrap(),
                    false => Vec::new(),
                },
            };
            entries.insert(path, canary);
        }
        Self {
            root: root.to_owned(),
            entries,
        }
    }

    /// What was created, changed or removed since.
    pub fn harmed(&self) -> Vec<PathBuf> {
        let now = Self::of(&self.root);
        let paths = self.entries.keys().chain(now.entries.keys());
        let is_harmed = |path: &&PathBuf| self.entries.get(*path) != now.entries.get(*path);
        paths.filter(is_harmed).cloned().collect()
    }

    /// Whether one of these was reached by a further name of it.
    pub fn has_twin(harmed: &[PathBuf]) -> bool {
        harmed.iter().any(|path| is_twin(path))
    }

    /// Regular files below `target` with content of the canaries in them. Links are not followed.
    pub fn read_into(target: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut waiting = vec![target.to_owned()];
        while let Some(path) = waiting.pop() {
            let about = fs::symlink_metadata(&path).unwrap();
            if about.is_dir() {
                let names = fs::read_dir(&path).unwrap();
                waiting.extend(names.map(|name| name.unwrap().path()));
            } else if about.is_file() {
                let content = fs::read(&path).unwrap();
                if content.windows(MARK.len()).any(|window| window == MARK) {
                    found.push(path);
                }
            }
        }
        found
    }
}

fn is_twin(path: &Path) -> bool {
    path.components().any(|name| name.as_os_str() == TWINS)
}
