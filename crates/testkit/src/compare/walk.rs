//! Walks two trees side by side, in the order of names.
//!
//! Only the directories that are being read are held open. The way back up leads through `..`, and ends with a
//! difference if that is not where the walk came from. So trees of any depth take two descriptors and little stack.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat, statat};

use super::{Aspect, Difference, Options};

/// One side of what is looked at: an entry by the directory that it is in.
#[derive(Clone, Copy)]
pub(super) struct Side<'a> {
    pub(super) directory: BorrowedFd<'a>,
    pub(super) name: &'a CStr,
    pub(super) stat: &'a Stat,
}

impl Side<'_> {
    pub(super) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }

    pub(super) fn open(&self, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(self.directory, self.name, flags, Mode::empty())?)
    }
}

pub(super) struct Walk<'a> {
    pub(super) options: &'a Options,
    pub(super) path: PathBuf,
    /// For each side, the path under which an entry of several names was first met.
    pub(super) first_names: [HashMap<(u64, u64), PathBuf>; 2],
    differences: Vec<Difference>,
}

/// The two directories that are read, held open.
struct Pair {
    a: OwnedFd,
    b: OwnedFd,
}

/// A directory that was entered and not left yet.
struct Level {
    /// Names on either side that were not looked at yet, the first one last.
    names: Vec<CString>,
    identities: [(u64, u64); 2],
}

/// Every difference between the trees below `a` and `b`.
pub(super) fn walk(a: &Path, b: &Path, options: &Options) -> Vec<Difference> {
    let mut walk = Walk {
        options,
        path: PathBuf::new(),
        first_names: [HashMap::new(), HashMap::new()],
        differences: Vec::new(),
    };
    match (open_root(a), open_root(b)) {
        (Ok(a), Ok(b)) => walk.roots(Pair { a, b }),
        (left, right) => {
            for error in [left.err(), right.err()].into_iter().flatten() {
                walk.unreadable("a root", &error);
            }
        }
    }
    walk.differences
}

impl Walk<'_> {
    fn roots(&mut self, roots: Pair) {
        match (fstat(&roots.a), fstat(&roots.b)) {
            (Ok(left), Ok(right)) if self.options.root_attributes => {
                let (a, b) = roots.sides(c".", &left, &right);
                self.attributes(a, b);
            }
            (Err(error), _) | (_, Err(error)) => self.unreadable("a root", &error.into()),
            _ => {}
        }
        let mut held = roots;
        let mut levels: Vec<Level> = self.level(&held).into_iter().collect();
        while let Some(level) = levels.last_mut() {
            if let Some(name) = level.names.pop() {
                self.path.push(OsStr::from_bytes(name.to_bytes()));
                let entered = self.name(&held, &name);
                match entered.and_then(|below| Some((self.level(&below)?, below))) {
                    Some((level, below)) => {
                        levels.push(level);
                        held = below;
                    }
                    None => _ = self.path.pop(),
                }
                continue;
            }
            levels.pop();
            if let Some(above) = levels.last() {
                self.path.pop();
                held = match held.above(above.identities) {
                    Ok(pair) => pair,
                    Err(error) => return self.unreadable("the way back up", &error),
                };
            }
        }
    }

    /// What is to be looked at in two directories; `None` where they cannot be read.
    fn level(&mut self, pair: &Pair) -> Option<Level> {
        match pair.level() {
            Ok(level) => Some(level),
            Err(error) => {
                self.unreadable("the names", &error);
                None
            }
        }
    }

    /// Compares what has the name on either side; two directories come back opened.
    fn name(&mut self, held: &Pair, name: &CStr) -> Option<Pair> {
        match (look(&held.a, name), look(&held.b, name)) {
            (Ok(Some(left)), Ok(Some(right))) => {
                let (a, b) = held.sides(name, &left, &right);
                return self.entries(a, b);
            }
            (Ok(Some(_)), Ok(None)) => self.differ(Aspect::Missing, "there", "not there"),
            (Ok(None), Ok(Some(_))) if !self.options.extra_entries_allowed => {
                self.differ(Aspect::Extra, "not there", "there");
            }
            (Ok(None), Ok(_)) => {}
            (Err(error), _) | (_, Err(error)) => self.unreadable("the attributes", &error),
        }
        None
    }

    fn entries(&mut self, a: Side<'_>, b: Side<'_>) -> Option<Pair> {
        if a.kind() != b.kind() {
            let shown = |side: Side<'_>| format!("{:?}", side.kind());
            self.differ(Aspect::Kind, &shown(a), &shown(b));
            return None;
        }
        self.attributes(a, b);
        if self.options.hard_links && a.kind() != FileType::Directory {
            self.hard_links(a, b);
        }
        match a.kind() {
            FileType::Directory => match (a.open(OFlags::DIRECTORY), b.open(OFlags::DIRECTORY)) {
                (Ok(a), Ok(b)) => return Some(Pair { a, b }),
                (Err(error), _) | (_, Err(error)) => self.unreadable("the directory", &error),
            },
            FileType::RegularFile => self.files(a, b),
            FileType::Symlink => self.symlinks(a, b),
            FileType::CharacterDevice | FileType::BlockDevice => self.devices(a, b),
            _ => {}
        }
        None
    }

    pub(super) fn differ(&mut self, aspect: Aspect, a: &str, b: &str) {
        self.differences.push(Difference {
            path: self.path.clone(),
            aspect,
            a: a.to_owned(),
            b: b.to_owned(),
        });
    }

    pub(super) fn unreadable(&mut self, what: &str, error: &io::Error) {
        self.differ(Aspect::Unreadable, what, &error.to_string());
    }
}

impl Pair {
    fn sides<'a>(
        &'a self,
        name: &'a CStr,
        left: &'a Stat,
        right: &'a Stat,
    ) -> (Side<'a>, Side<'a>) {
        let side = |directory, stat| Side {
            directory,
            name,
            stat,
        };
        (side(self.a.as_fd(), left), side(self.b.as_fd(), right))
    }

    fn level(&self) -> io::Result<Level> {
        let mut names = names(&self.a)?;
        names.append(&mut self::names(&self.b)?);
        Ok(Level {
            names: names.into_iter().rev().collect(),
            identities: [identity(&self.a)?, identity(&self.b)?],
        })
    }

    fn above(&self, expected: [(u64, u64); 2]) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let above = |directory, expected| {
            let above = openat(directory, c"..", flags, Mode::empty())?;
            match identity(&above)? == expected {
                true => Ok(above),
                false => Err(io::Error::other("`..` is another directory")),
            }
        };
        Ok(Self {
            a: above(&self.a, expected[0])?,
            b: above(&self.b, expected[1])?,
        })
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

fn identity(directory: &OwnedFd) -> io::Result<(u64, u64)> {
    let stat = fstat(directory)?;
    Ok((stat.st_dev, stat.st_ino))
}
