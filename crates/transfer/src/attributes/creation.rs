//! What a creation in a directory yields, looked up once for each directory, so that neither mode nor owner has to
//! be set where they come right by themselves.

use std::sync::OnceLock;

use storage::posix::{Dir, File, Identity, Meta, Owner, Xattrs};

use crate::engine::{Engine, Problem};
use crate::node::Node;

/// Both are found out when they are first needed.
#[derive(Debug, Default)]
pub(crate) struct Creation {
    /// Who a new entry belongs to.
    owner: OnceLock<Owner>,
    /// Whether a default ACL meddles with modes, and is inherited.
    has_default_acl: OnceLock<bool>,
}

impl Creation {
    /// In a directory that we made: that it is ours shows whom the file system takes us for.
    pub(crate) fn in_new(dir: &Dir, meta: &Meta, identity: Identity) -> Self {
        let is_setgid = meta.mode & 0o2000 != 0;
        let is_certain = meta.owner.uid == identity.owner.uid
            && (is_setgid || meta.owner.gid == identity.owner.gid);
        let creation = Self::default();
        if is_certain {
            let _ = creation.owner.set(meta.owner);
        }
        let _ = creation.has_default_acl.set(dir.has_default_acl());
        creation
    }

    pub(crate) fn owner(&self) -> Option<Owner> {
        self.owner.get().copied()
    }

    /// The owner of a file that was just made here.
    pub(crate) fn owner_of(&self, file: &File) -> Result<Owner, storage::posix::Error> {
        match self.owner() {
            Some(owner) => Ok(owner),
            None => {
                let owner = file.meta()?.owner;
                Ok(*self.owner.get_or_init(|| owner))
            }
        }
    }

    pub(crate) fn has_default_acl(&self, dir: &Dir) -> bool {
        *self.has_default_acl.get_or_init(|| dir.has_default_acl())
    }
}

/// The mode to create a file with, and whether it has it for good then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CreationMode {
    pub(crate) mode: u32,
    pub(crate) is_final: bool,
}

/// A file that is to change hands is nobody else's until then, unless nobody can reach it anyway.
pub(crate) fn creation_mode(
    engine: &Engine,
    (node, in_stage): (&Node, bool),
    dir: &Dir,
    source: &Meta,
    xattrs: &Xattrs,
    creation_mask: u32,
) -> CreationMode {
    let wanted = engine.mode_of(source);
    let changes_owner = engine.changes_owner(node.creation.owner(), source.owner);
    let mut mode = match changes_owner && !in_stage {
        true => wanted & 0o700,
        false => wanted & 0o777,
    };
    if !engine.identity.is_root() && (!xattrs.is_empty() || engine.reads_back()) {
        // They are set, and the content is read, by name and mode.
        mode |= 0o600;
    }
    CreationMode {
        mode,
        is_final: mode == wanted
            && mode & creation_mask == 0
            && xattrs.is_empty()
            && !node.creation.has_default_acl(dir),
    }
}

/// The extended attributes that a new entry came to be with.
pub(crate) fn inherited(
    engine: &Engine,
    creation: &Creation,
    parent: &Dir,
    of: storage::posix::XattrsOf<'_>,
) -> Result<Xattrs, Problem> {
    if creation.has_default_acl(parent) {
        engine.target_xattrs(of)
    } else {
        Ok(Xattrs::default())
    }
}
