//! Directories: made under a temp name, filled, and published by the thread that finishes the last thing in them.

use std::ffi::{CStr, CString};
use std::fmt;
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use rustix::fs::{
    CWD, FileType, Mode, OFlags, RawDir, RenameFlags, Stat, fstat, mkdirat, openat, renameat_with,
};

use crate::Failures;
use crate::file::{Copier, Error, in_call, no_extended_attributes};
use crate::queue::Queue;

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

pub(crate) enum Job {
    Directory {
        parent: Arc<Node>,
        name: CString,
    },
    /// Of a directory that is there.
    Contents(Arc<Node>),
    Files {
        directory: Arc<Node>,
        names: Vec<CString>,
    },
}

/// A directory that is being copied.
pub(crate) struct Node {
    source: OwnedFd,
    target: OwnedFd,
    stat: Stat,
    /// None for the root, which is there under its name.
    staged: Option<Staged>,
    /// Jobs that put something into it, the reading of its names among them.
    open: AtomicUsize,
}

struct Staged {
    parent: Arc<Node>,
    temp: CString,
    name: CString,
}

impl Node {
    pub(crate) fn root(source: &Path, target: &Path) -> Result<Self, String> {
        let said = |path: &Path, error: &dyn fmt::Display| format!("{}: {error}", path.display());
        fs::create_dir_all(target).map_err(|error| said(target, &error))?;
        let open = |path: &Path| {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            openat(CWD, path, flags, Mode::empty()).map_err(|error| said(path, &error))
        };
        let (source_directory, target_directory) = (open(source)?, open(target)?);
        Ok(Self {
            stat: fstat(&source_directory).map_err(|error| said(source, &error))?,
            source: source_directory,
            target: target_directory,
            staged: None,
            open: AtomicUsize::new(1),
        })
    }
}

/// What all threads share.
pub(crate) struct Tree<'a> {
    queue: &'a Queue<Job>,
    failures: &'a Failures,
    files_per_job: usize,
    next_temp: AtomicU64,
}

impl<'a> Tree<'a> {
    pub(crate) fn new(queue: &'a Queue<Job>, failures: &'a Failures, files_per_job: usize) -> Self {
        Self {
            queue,
            failures,
            files_per_job,
            next_temp: AtomicU64::new(0),
        }
    }

    pub(crate) fn work(&self, job: Job, copier: &mut Copier) {
        match job {
            Job::Contents(directory) => self.contents(directory, copier),
            Job::Files { directory, names } => {
                self.files(&directory, &names, copier);
                self.release(directory, copier);
            }
            Job::Directory { parent, name } => match self.stage(&parent, &name) {
                Ok(directory) => self.contents(directory.into(), copier),
                Err(error) => {
                    self.fail(&name, &error);
                    self.release(parent, copier);
                }
            },
        }
    }

    fn stage(&self, parent: &Arc<Node>, name: &CStr) -> Result<Node, Error> {
        let source =
            openat(&parent.source, name, DIRECTORY, Mode::empty()).map_err(in_call("open"))?;
        let stat = fstat(&source).map_err(in_call("fstat"))?;
        no_extended_attributes(source.as_fd())?;
        let number = self.next_temp.fetch_add(1, Ordering::Relaxed);
        let temp = CString::new(format!(".floor.{number}")).expect("it holds no NUL");
        mkdirat(&parent.target, &temp, Mode::RWXU).map_err(in_call("mkdir"))?;
        let target =
            openat(&parent.target, &temp, DIRECTORY, Mode::empty()).map_err(in_call("open"))?;
        let staged = Staged {
            parent: Arc::clone(parent),
            temp,
            name: name.to_owned(),
        };
        Ok(Node {
            source,
            target,
            stat,
            staged: Some(staged),
            open: AtomicUsize::new(1),
        })
    }

    /// Reads the names; copies what is not more than one job, and hands the rest on.
    fn contents(&self, directory: Arc<Node>, copier: &mut Copier) {
        let mut files = Vec::new();
        let mut buffer = [MaybeUninit::<u8>::uninit(); 32 << 10];
        let mut entries = RawDir::new(&directory.source, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.fail(c"(names)", &in_call("getdents64")(error));
                    break;
                }
            };
            let name = entry.file_name();
            match entry.file_type() {
                _ if matches!(name.to_bytes(), b"." | b"..") => {}
                FileType::RegularFile => {
                    files.push(name.to_owned());
                    if files.len() >= 2 * self.files_per_job {
                        let names = files.split_off(self.files_per_job);
                        self.hand_on(&directory, |directory| Job::Files { directory, names });
                    }
                }
                FileType::Directory => {
                    let name = name.to_owned();
                    self.hand_on(&directory, |parent| Job::Directory { parent, name });
                }
                FileType::Symlink => {
                    let ends = (directory.source.as_fd(), directory.target.as_fd());
                    if let Err(error) = copier.symlink(ends.0, ends.1, name) {
                        self.fail(name, &error);
                    }
                }
                kind => self.fail(name, &format!("{kind:?} is not copied")),
            }
        }
        self.files(&directory, &files, copier);
        self.release(directory, copier);
    }

    fn hand_on(&self, directory: &Arc<Node>, job: impl FnOnce(Arc<Node>) -> Job) {
        directory.open.fetch_add(1, Ordering::Relaxed);
        self.queue.push(job(Arc::clone(directory)));
    }

    fn files(&self, directory: &Node, names: &[CString], copier: &mut Copier) {
        for name in names {
            let ends = (directory.source.as_fd(), directory.target.as_fd());
            if let Err(error) = copier.file(ends.0, ends.1, name) {
                self.fail(name, &error);
            }
        }
    }

    /// One job less; without any left the directory is published, which is one job less for its parent.
    fn release(&self, mut directory: Arc<Node>, copier: &Copier) {
        while directory.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            let Some(staged) = &directory.staged else {
                return;
            };
            if let Err(error) = publish(&directory, staged, copier) {
                self.fail(&staged.name, &error);
            }
            directory = Arc::clone(&staged.parent);
        }
    }

    fn fail(&self, name: &CStr, error: &dyn fmt::Display) {
        self.failures
            .add(&format!("{}: {error}", name.to_string_lossy()));
    }
}

fn publish(directory: &Node, staged: &Staged, copier: &Copier) -> Result<(), Error> {
    copier.directory(directory.target.as_fd(), &directory.stat)?;
    let parent = &staged.parent.target;
    renameat_with(
        parent,
        &staged.temp,
        parent,
        &staged.name,
        RenameFlags::NOREPLACE,
    )
    .map_err(in_call("renameat2"))
}
