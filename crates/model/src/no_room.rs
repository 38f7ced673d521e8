//! What a target lacks that takes nothing more.

use std::fmt;

/// Each of them may end by itself: the target waits, and nothing has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoRoom {
    /// Blocks or inodes of its file system (ENOSPC).
    Space,
    /// Of the owner, the group or the directory (EDQUOT).
    Quota,
    /// It is read-only (EROFS).
    ReadOnly,
}

impl NoRoom {
    /// Whether it is so for all that lies on the file system. A quota may be that of a directory or of an owner.
    pub fn is_of_whole_volume(self) -> bool {
        match self {
            NoRoom::Space | NoRoom::ReadOnly => true,
            NoRoom::Quota => false,
        }
    }
}

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NoRoom::Space => "no space left on the target",
            NoRoom::Quota => "the quota at the target is used up",
            NoRoom::ReadOnly => "the target is read-only",
        })
    }
}
