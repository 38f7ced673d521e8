//! Why roots could not be opened, or are no longer what they were. The wording of the first three is the
//! old tool's: people search reports for it.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use model::path::Escaped;
use model::{NoRoom, SourceIdentity};
use rustix::io::Errno;

use crate::posix::{is_trouble, no_room};

/// Which of a task's two directories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Source,
    Target,
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Side::Source => "source",
            Side::Target => "target",
        })
    }
}

/// Whom an error concerns, and so what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootsErrorKind {
    /// Another worker may see what this one does not: give the item back, without blame.
    ThisMachine,
    /// It is the same everywhere: the task can't run.
    EveryMachine,
    /// It was there when the roots were opened, and no longer is: write nothing more.
    Gone,
    /// The target is full, over quota or read-only: pause it, as for any write that fails so.
    TargetFull(NoRoom),
    /// The mount is in trouble, which may pass: look again after some time.
    Stale,
}

#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    #[error("path does not exist: stat {}: no such file or directory", shown(.path))]
    Missing { path: PathBuf },
    #[error("{side} dir {} is not directory", shown(.path))]
    NotDirectory { side: Side, path: PathBuf },
    #[error("actual source or target filesystem type not match({source_type}, {target_type})")]
    TypeMismatch {
        source_type: String,
        target_type: String,
    },
    #[error(
        "target dir {} can not be made: {} is a symbolic link to something that does not exist, \
         perhaps a missing mount",
        shown(.target), shown(.link)
    )]
    DanglingLink { target: PathBuf, link: PathBuf },
    #[error(
        "target dir {} has '..' below a directory that does not exist: write it without",
        shown(.path)
    )]
    ParentOfMissing { path: PathBuf },
    #[error(
        "source dir {} and target dir {} are the same directory: choose another target",
        shown(.source_path), shown(.target_path)
    )]
    SameDirectory {
        source_path: PathBuf,
        target_path: PathBuf,
    },
    #[error(
        "{inner} dir {} is inside {outer} dir {}: choose a target outside the source",
        shown(.inner_path), shown(.outer_path)
    )]
    Nested {
        inner: Side,
        inner_path: PathBuf,
        outer: Side,
        outer_path: PathBuf,
    },
    #[error(
        "the run's marker {marker} is not at {}: another file system is mounted here, \
         or the mount is missing",
        shown(.path)
    )]
    MarkerMissing { marker: String, path: PathBuf },
    #[error(
        "{marker} at {} is not a regular file, so it is not the run's marker: remove it",
        shown(.path)
    )]
    MarkerForged { marker: String, path: PathBuf },
    #[error(
        "source dir {} is not the directory that the run began with (here {}, there {}): \
         mount the same file system here",
        shown(.path), identity(.found), identity(.expected)
    )]
    OtherSource {
        path: PathBuf,
        found: SourceIdentity,
        expected: SourceIdentity,
    },
    #[error(
        "{side} dir {} is no longer the directory it was: \
         its file system was unmounted, or another one was mounted over it",
        shown(.path)
    )]
    Replaced { side: Side, path: PathBuf },
    #[error(
        "the run's marker {marker} has gone from {}: somebody removed it, or the run is over",
        shown(.path)
    )]
    MarkerGone { marker: String, path: PathBuf },
    #[error("cannot {action} {}", shown(.path))]
    Io {
        /// `open`, `make directory`…
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

impl RootsError {
    pub fn kind(&self) -> RootsErrorKind {
        match self {
            RootsError::Missing { .. }
            | RootsError::TypeMismatch { .. }
            | RootsError::DanglingLink { .. }
            | RootsError::MarkerMissing { .. }
            | RootsError::OtherSource { .. } => RootsErrorKind::ThisMachine,
            RootsError::NotDirectory { .. }
            | RootsError::ParentOfMissing { .. }
            | RootsError::SameDirectory { .. }
            | RootsError::Nested { .. }
            | RootsError::MarkerForged { .. } => RootsErrorKind::EveryMachine,
            RootsError::Replaced { .. } | RootsError::MarkerGone { .. } => RootsErrorKind::Gone,
            RootsError::Io { source, .. } => match Errno::from_io_error(source) {
                Some(errno) => match no_room(errno) {
                    Some(what) => RootsErrorKind::TargetFull(what),
                    None if is_trouble(errno.raw_os_error()) => RootsErrorKind::Stale,
                    None => RootsErrorKind::ThisMachine,
                },
                None => RootsErrorKind::ThisMachine,
            },
        }
    }

    /// For `map_err` of a call that was to do `action` with `path`.
    pub(super) fn io<E: Into<io::Error>>(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(E) -> Self {
        move |error| RootsError::Io {
            action,
            path: path.to_owned(),
            source: error.into(),
        }
    }
}

fn shown(path: &Path) -> Escaped<'_> {
    Escaped(path.as_os_str().as_bytes())
}

fn identity(identity: &SourceIdentity) -> String {
    let SourceIdentity { inode, fs_type, .. } = identity;
    format!("inode {inode} on {fs_type}")
}
