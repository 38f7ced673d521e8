//! Where data lies, and what one line of the tasks file asks for.

use std::path::{Path, PathBuf};

use crate::ids::TaskId;

/// A directory, or something that only rclone can reach.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Location {
    /// An absolute path on a mounted file system.
    Posix(PathBuf),
    /// An rclone remote as the user wrote it, `name:path`.
    Remote(String),
}

impl Location {
    pub fn as_posix(&self) -> Option<&Path> {
        match self {
            Location::Posix(path) => Some(path),
            Location::Remote(_) => None,
        }
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use std::os::unix::ffi::OsStrExt;
        match self {
            Location::Posix(path) => {
                write!(f, "{}", crate::path::Escaped(path.as_os_str().as_bytes()))
            }
            Location::Remote(name) => f.write_str(name),
        }
    }
}

/// One line of the tasks file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    pub id: TaskId,
    /// Line of the tasks file, from 1.
    pub line: u32,
    pub source: Location,
    pub target: Location,
    /// A file that lists what of the source is wanted; none: everything.
    pub list: Option<PathBuf>,
    /// Whether another task writes at, above or below the same target, so that
    /// a directory may come into being there at any time.
    pub target_is_shared: bool,
}

/// By what a worker recognises that its source root is the same directory as everybody else's.
/// The birth time is left out where the file system has none. A change time would tell
/// more, but moves whenever somebody adds an entry to a live source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceIdentity {
    pub inode: u64,
    pub birth_ns: Option<i64>,
    /// Name of the file-system type.
    pub fs_type: String,
}
