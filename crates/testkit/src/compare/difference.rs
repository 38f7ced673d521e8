//! One thing in which two trees differ, written so that any name can be shown on a terminal.

use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

/// What differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Aspect {
    /// Only `a` has the entry.
    Missing,
    /// Only `b` has the entry.
    Extra,
    Kind,
    Mode,
    Owner,
    Time,
    Size,
    Content,
    LinkTarget,
    Device,
    HardLinks,
    Acl,
    ExtendedAttributes,
    Holes,
    /// Not compared, since it could not be read.
    Unreadable,
}

/// One difference: where, what, and how it is on either side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Relative to the roots; empty for the roots themselves.
    pub path: PathBuf,
    pub aspect: Aspect,
    pub a: String,
    pub b: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.as_os_str().as_bytes();
        match path.is_empty() {
            true => write!(f, "(root)")?,
            false => write!(f, "{}", path.escape_ascii())?,
        }
        write!(f, ": {:?}: {} / {}", self.aspect, self.a, self.b)
    }
}
