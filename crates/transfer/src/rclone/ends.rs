//! A source or target of a copy by rclone.

use std::path::Path;

use storage::posix::Dir;

/// One end of a copy.
#[derive(Debug, Clone, Copy)]
pub enum End<'a> {
    /// A directory of a mounted file system, held open.
    Mounted { dir: &'a Dir, path: &'a Path },
    /// In a dry run: a target that is not there.
    Imagined { path: &'a Path },
    /// `name:path`.
    Remote(&'a str),
}

impl End<'_> {
    pub(crate) fn is_mounted(&self) -> bool {
        matches!(self, End::Mounted { .. })
    }
}
