//! Which extended attributes are carried over: those of the user, of security and trusted ones, and POSIX ACLs, as
//! far as they are to be kept. Those in which a file system keeps its own books are not: they say where its
//! data lies, and mean nothing elsewhere.

use std::ffi::CStr;

use model::{Attribute, CopyOptions};
use storage::posix::{ACL_ACCESS, ACL_DEFAULT, Error, Xattrs, XattrsOf};

use crate::engine::{Engine, Problem};
use crate::ledger::Note;

/// Beginnings of names that a file system keeps for itself: layouts of Lustre, quotas and layouts of Ceph, copies of the
/// ACLs that NFSv4 and SMB servers make up from mode and owner.
const OWN_BOOKS: [&[u8]; 14] = [
    b"lustre.",
    b"trusted.lov",
    b"trusted.lma",
    b"trusted.lmv",
    b"trusted.link",
    b"trusted.fid",
    b"trusted.som",
    b"trusted.hsm",
    b"trusted.dmv",
    b"trusted.version",
    b"ceph.",
    b"system.nfs4_",
    b"system.cifs_",
    b"system.smb3_",
];

pub(crate) fn is_acl(name: &CStr) -> bool {
    name == ACL_ACCESS || name == ACL_DEFAULT
}

/// What is lost when it can't be set.
pub(super) fn loss_of(name: &CStr) -> Note {
    match is_acl(name) {
        true => Note::AclNotKept,
        false => Note::XattrNotKept,
    }
}

/// Whether one that the source doesn't have is to go at the target. Labels that the system gives by itself stay.
pub(super) fn is_removed(name: &CStr) -> bool {
    let name_bytes = name.to_bytes();
    is_acl(name) || !name_bytes.starts_with(b"security.") || name_bytes == b"security.capability"
}

impl Engine {
    pub(crate) fn keeps_xattrs(&self) -> bool {
        keeps_some(&self.options)
    }

    /// Those of a source's entry that are to be kept.
    pub(crate) fn source_xattrs(&self, of: XattrsOf<'_>) -> Result<Xattrs, Problem> {
        self.carried(of)
            .map_err(|error| self.source_problem(&error))
    }

    /// Those of a target's entry that the source's are held against.
    pub(crate) fn target_xattrs(&self, of: XattrsOf<'_>) -> Result<Xattrs, Problem> {
        self.carried(of)
            .map_err(|error| self.target_problem(&error))
    }

    /// Those that are to be kept, of either side.
    pub(crate) fn carried(&self, of: XattrsOf<'_>) -> Result<Xattrs, Error> {
        carried(of, &self.options)
    }
}

/// Those of an entry that are to be kept.
pub(crate) fn carried(of: XattrsOf<'_>, options: &CopyOptions) -> Result<Xattrs, Error> {
    if !keeps_some(options) {
        return Ok(Xattrs::default());
    }
    let mut xattrs = of.read()?;
    xattrs.retain(|name| is_carried(name, options));
    Ok(xattrs)
}

fn keeps_some(options: &CopyOptions) -> bool {
    options.keeps(Attribute::Xattrs) || options.keeps(Attribute::Acls)
}

fn is_carried(name: &CStr, options: &CopyOptions) -> bool {
    if is_acl(name) {
        return options.keeps(Attribute::Acls);
    }
    let name = name.to_bytes();
    options.keeps(Attribute::Xattrs) && !OWN_BOOKS.iter().any(|own| name.starts_with(own))
}

/// Whether some have to be set or removed.
pub(crate) fn xattrs_differ(wanted: &Xattrs, present: &Xattrs) -> bool {
    differing(wanted, present).next().is_some()
}

/// The names of those that have to be set or removed.
pub(crate) fn differing<'a>(
    wanted: &'a Xattrs,
    present: &'a Xattrs,
) -> impl Iterator<Item = &'a CStr> {
    let to_set = wanted
        .iter()
        .filter(|(name, value)| present.get(name) != Some(value));
    let to_remove = present
        .iter()
        .filter(|(name, _)| wanted.get(name).is_none() && is_removed(name));
    to_set.chain(to_remove).map(|(name, _)| name)
}
