//! What is said of an entry that is not the same on both sides.

use model::temp_name::MarkerName;
use model::{RelPath, TempName};
use storage::posix::{Error, Kind, Side};

use crate::engine::describe;

/// An entry, or a root, that is not the same on both sides, or may be another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub path: RelPath,
    pub difference: Difference,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// Only the source has it; a directory with all below it.
    Missing(Kind),
    /// Only the target has it; a directory with all below it.
    Extra(Kind),
    /// Both have it, and it differs in these; each is there once, in their order.
    Differs(Vec<Aspect>),
    Unseen(Unseen),
}

/// In what two entries can differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aspect {
    Kind,
    Size,
    Mtime,
    Mode,
    Owner,
    Xattrs,
    Acl,
    LinkTarget,
    Device,
    HardLinks,
    /// Files of one size with other bytes. Only where content is read.
    Content,
}

/// Something could not be looked at; of a directory, all below it. The error says what was attempted and what the
/// system said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unseen {
    pub side: Side,
    pub error: String,
}

impl Aspect {
    pub fn name(self) -> &'static str {
        match self {
            Aspect::Kind => "kind",
            Aspect::Size => "size",
            Aspect::Mtime => "mtime",
            Aspect::Mode => "mode",
            Aspect::Owner => "owner",
            Aspect::Xattrs => "xattrs",
            Aspect::Acl => "acl",
            Aspect::LinkTarget => "link target",
            Aspect::Device => "device",
            Aspect::HardLinks => "hard links",
            Aspect::Content => "content",
        }
    }
}

impl Found {
    /// Whether the target has here what a run left unfinished, or is still at.
    pub fn is_unfinished(&self) -> bool {
        let Some((_, name)) = self.path.split_last() else {
            return false;
        };
        matches!(self.difference, Difference::Extra(_))
            && (TempName::parse(name).is_some() || MarkerName::parse(name).is_some())
    }
}

impl Unseen {
    pub(super) fn new(side: Side, error: &Error) -> Self {
        Self {
            side,
            error: describe(error),
        }
    }
}
