//! Whether two trees are the same, by walking both and looking at everything that [`Options`] names.
//!
//! Directories are held by descriptors and entries named relative to them, so that neither odd names nor paths longer
//! than PATH_MAX are in the way; links are never followed. Content is read in full on both sides, holes included.
//! What cannot be read is a difference too, never taken for equal.

mod difference;
mod entry;

use std::collections::{BTreeSet, HashMap};
use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat, statat};

pub use difference::{Aspect, Difference};

use crate::descriptors;

/// What must be the same. The default: all that `cp -a` keeps but hard links, extended attributes and holes;
/// owners only where the caller is root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub modes: bool,
    pub owners: bool,
    pub file_times: bool,
    pub directory_times: bool,
    pub symlink_times: bool,
    pub content: bool,
    /// Mode, owner and time of the two roots.
    pub root_attributes: bool,
    /// Which names are names of one file.
    pub hard_links: bool,
    /// Names and values of extended attributes, ACLs among them.
    pub extended_attributes: bool,
    /// `b` may not take up more blocks than `a` by over 64 KiB a file.
    pub holes: bool,
    /// Entries that exist only in `b` are no difference.
    pub extra_entries_allowed: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            modes: true,
            owners: rustix::process::geteuid().is_root(),
            file_times: true,
            directory_times: true,
            symlink_times: true,
            content: true,
            root_attributes: true,
            hard_links: false,
            extended_attributes: false,
            holes: false,
            extra_entries_allowed: false,
        }
    }
}

impl Options {
    /// Kinds, sizes, link targets and content only.
    pub fn data_only() -> Self {
        Self {
            modes: false,
            owners: false,
            file_times: false,
            directory_times: false,
            symlink_times: false,
            root_attributes: false,
            ..Self::default()
        }
    }

    /// All that can be compared.
    pub fn everything() -> Self {
        Self {
            hard_links: true,
            extended_attributes: true,
            holes: true,
            ..Self::default()
        }
    }
}

/// Every difference between the trees below `a` and `b`, in the order of their paths.
pub fn compare(a: &Path, b: &Path, options: &Options) -> Vec<Difference> {
    // Each level takes two.
    descriptors::raise_soft_limit();
    let mut walk = Walk {
        options,
        path: PathBuf::new(),
        first_names: [HashMap::new(), HashMap::new()],
        differences: Vec::new(),
    };
    match (open_root(a), open_root(b)) {
        (Ok(left), Ok(right)) => walk.roots(&left, &right),
        (left, right) => {
            for error in [left.err(), right.err()].into_iter().flatten() {
                walk.unreadable("a root", &error);
            }
        }
    }
    walk.differences
}

/// Asserts that the trees are the same by the default [`Options`].
///
/// # Panics
/// Where they are not, with the first differences.
#[track_caller]
pub fn assert_same(a: &Path, b: &Path) {
    assert_same_by(a, b, &Options::default());
}

/// Asserts that the trees are the same by these options.
///
/// # Panics
/// Where they are not, with the first differences.
#[track_caller]
pub fn assert_same_by(a: &Path, b: &Path, options: &Options) {
    const SHOWN: usize = 20;
    let differences = compare(a, b, options);
    let rows: Vec<String> = differences
        .iter()
        .take(SHOWN)
        .map(|difference| format!("  {difference}"))
        .collect();
    assert!(
        differences.is_empty(),
        "{} and {} differ in {} places:\n{}",
        a.display(),
        b.display(),
        differences.len(),
        rows.join("\n")
    );
}

/// One side of what is looked at: an entry by the directory that it is in.
#[derive(Clone, Copy)]
struct Side<'a> {
    directory: BorrowedFd<'a>,
    name: &'a CStr,
    stat: &'a Stat,
}

impl Side<'_> {
    fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }

    fn open(&self, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(self.directory, self.name, flags, Mode::empty())?)
    }
}

struct Walk<'a> {
    options: &'a Options,
    path: PathBuf,
    /// For each side, the path under which a file of several names was first met.
    first_names: [HashMap<(u64, u64), PathBuf>; 2],
    differences: Vec<Difference>,
}

impl Walk<'_> {
    fn roots(&mut self, a: &OwnedFd, b: &OwnedFd) {
        match (fstat(a), fstat(b)) {
            (Ok(left), Ok(right)) if self.options.root_attributes => {
                let side = |directory, stat| Side {
                    directory,
                    name: c".",
                    stat,
                };
                self.attributes(side(a.as_fd(), &left), side(b.as_fd(), &right));
            }
            (Err(error), _) | (_, Err(error)) => self.unreadable("a root", &error.into()),
            _ => {}
        }
        self.directories(a, b);
    }

    fn directories(&mut self, a: &OwnedFd, b: &OwnedFd) {
        let (left, right) = match (names(a), names(b)) {
            (Ok(left), Ok(right)) => (left, right),
            (Err(error), _) | (_, Err(error)) => return self.unreadable("the names", &error),
        };
        for name in left.union(&right) {
            self.path.push(OsStr::from_bytes(name.to_bytes()));
            let stats = (look(a, name), look(b, name));
            match stats {
                (Ok(Some(left)), Ok(Some(right))) => {
                    let side = |directory, stat| Side {
                        directory,
                        name,
                        stat,
                    };
                    self.entries(side(a.as_fd(), &left), side(b.as_fd(), &right));
                }
                (Ok(Some(_)), Ok(None)) => self.differ(Aspect::Missing, "there", "not there"),
                (Ok(None), Ok(Some(_))) if !self.options.extra_entries_allowed => {
                    self.differ(Aspect::Extra, "not there", "there");
                }
                (Ok(None), Ok(_)) => {}
                (Err(error), _) | (_, Err(error)) => self.unreadable("the attributes", &error),
            }
            self.path.pop();
        }
    }

    fn entries(&mut self, a: Side<'_>, b: Side<'_>) {
        if a.kind() != b.kind() {
            return self.differ(
                Aspect::Kind,
                &format!("{:?}", a.kind()),
                &format!("{:?}", b.kind()),
            );
        }
        self.attributes(a, b);
        if self.options.hard_links && a.kind() != FileType::Directory {
            self.hard_links(a, b);
        }
        match a.kind() {
            FileType::Directory => match (a.open(OFlags::DIRECTORY), b.open(OFlags::DIRECTORY)) {
                (Ok(left), Ok(right)) => self.directories(&left, &right),
                (Err(error), _) | (_, Err(error)) => self.unreadable("the directory", &error),
            },
            FileType::RegularFile => self.files(a, b),
            FileType::Symlink => self.symlinks(a, b),
            FileType::CharacterDevice | FileType::BlockDevice => self.devices(a, b),
            _ => {}
        }
    }

    fn differ(&mut self, aspect: Aspect, a: &str, b: &str) {
        self.differences.push(Difference {
            path: self.path.clone(),
            aspect,
            a: a.to_owned(),
            b: b.to_owned(),
        });
    }

    fn unreadable(&mut self, what: &str, error: &io::Error) {
        self.differ(Aspect::Unreadable, what, &error.to_string());
    }
}

fn open_root(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, path, flags, Mode::empty())
        .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))
}

fn names(directory: &OwnedFd) -> io::Result<BTreeSet<CString>> {
    let mut names = BTreeSet::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.insert(entry.file_name().to_owned());
        }
    }
    Ok(names)
}

fn look(directory: &OwnedFd, name: &CStr) -> io::Result<Option<Stat>> {
    match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
