//! POSIX ACLs as Linux hands them out and takes them: values of two extended attributes.
//!
//! The form is that of `linux/posix_acl_xattr.h`: a version, then for each entry a tag, permissions and an id, all
//! little-endian. Entries are kept in the order that the kernel asks for, those of one tag by id, so that two
//! lists of the same rights are equal whatever the order they were written in.

use std::collections::BTreeMap;
use std::fmt;

/// The attribute that says who may do what with an entry.
pub const ACCESS: &str = "system.posix_acl_access";

/// The attribute of a directory that says what is created in it begins with.
pub const DEFAULT: &str = "system.posix_acl_default";

const VERSION: u32 = 2;
const NO_ID: u32 = u32::MAX;

/// Whom an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    Owner,
    User(u32),
    OwningGroup,
    Group(u32),
    /// What named users and all groups have at most; shown as the group's bits of the mode.
    Mask,
    Others,
}

impl Subject {
    fn tag(self) -> u16 {
        match self {
            Self::Owner => 0x01,
            Self::User(_) => 0x02,
            Self::OwningGroup => 0x04,
            Self::Group(_) => 0x08,
            Self::Mask => 0x10,
            Self::Others => 0x20,
        }
    }

    fn id(self) -> u32 {
        match self {
            Self::User(id) | Self::Group(id) => id,
            _ => NO_ID,
        }
    }

    fn from_tag(tag: u16, id: u32) -> Option<Self> {
        let named = [Self::User(id), Self::Group(id)];
        let unnamed = [Self::Owner, Self::OwningGroup, Self::Mask, Self::Others];
        named
            .into_iter()
            .chain(unnamed)
            .find(|subject| subject.tag() == tag)
    }
}

/// One list of rights: permissions 0 to 7 by whom they are for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PosixAcl {
    permissions: BTreeMap<Subject, u16>,
}

impl PosixAcl {
    pub fn new(permissions: impl IntoIterator<Item = (Subject, u16)>) -> Self {
        Self {
            permissions: permissions.into_iter().collect(),
        }
    }

    /// Reads an attribute's value; `None` where it has not the form of one.
    pub fn from_value(value: &[u8]) -> Option<Self> {
        let (version, entries) = value.split_first_chunk::<4>()?;
        if u32::from_le_bytes(*version) != VERSION || entries.len() % 8 != 0 {
            return None;
        }
        let mut permissions = BTreeMap::new();
        for entry in entries.chunks_exact(8) {
            let half = |at: usize| u16::from_le_bytes([entry[at], entry[at + 1]]);
            let id = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
            let before = permissions.insert(Subject::from_tag(half(0), id)?, half(2));
            if before.is_some() {
                return None;
            }
        }
        Some(Self { permissions })
    }

    /// The attribute's value.
    pub fn to_value(&self) -> Vec<u8> {
        let mut value = VERSION.to_le_bytes().to_vec();
        for (subject, permissions) in &self.permissions {
            value.extend(subject.tag().to_le_bytes());
            value.extend(permissions.to_le_bytes());
            value.extend(subject.id().to_le_bytes());
        }
        value
    }
}

impl fmt::Display for PosixAcl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (subject, permissions)) in self.permissions.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            let shown = [(4, 'r'), (2, 'w'), (1, 'x')]
                .map(|(bit, letter)| if permissions & bit == 0 { '-' } else { letter });
            write!(f, "{comma}{subject:?}:{}", shown.iter().collect::<String>())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{ACCESS, PosixAcl, Subject};
    use crate::{Scratch, tool};
    use std::process::Command;

    fn some() -> PosixAcl {
        PosixAcl::new([
            (Subject::Owner, 6),
            (Subject::User(u32::MAX - 1), 5),
            (Subject::User(1000), 7),
            (Subject::OwningGroup, 4),
            (Subject::Group(7), 0),
            (Subject::Mask, 5),
            (Subject::Others, 0),
        ])
    }

    #[test]
    fn what_is_written_is_what_getfacl_reads() {
        let scratch = Scratch::new("acl");
        let file = scratch.file("file", b"");
        let value = some().to_value();
        rustix::fs::setxattr(&file, ACCESS, &value, rustix::fs::XattrFlags::empty()).unwrap();
        let mut getfacl = Command::new("getfacl");
        getfacl.args([
            "--numeric",
            "--omit-header",
            "--no-effective",
            "--absolute-names",
        ]);
        let done = tool::run(getfacl.arg(&file)).unwrap();
        let shown = String::from_utf8(done.stdout).unwrap();
        let expected = "user::rw-\nuser:1000:rwx\nuser:4294967294:r-x\ngroup::r--\ngroup:7:---\nmask::r-x\nother::---";
        assert_eq!(shown.trim(), expected);
        assert_eq!(PosixAcl::from_value(&value), Some(some()));
    }

    #[test]
    fn the_order_of_entries_is_no_difference_and_rights_are() {
        let mut value = some().to_value();
        let (first, second) = value[12..28].split_at_mut(8);
        first.swap_with_slice(second);
        assert_eq!(PosixAcl::from_value(&value), Some(some()));
        value[14] ^= 1;
        assert_ne!(PosixAcl::from_value(&value), Some(some()));
    }

    #[test]
    fn what_is_no_list_of_rights_is_not_taken_for_one() {
        let value = some().to_value();
        assert_eq!(PosixAcl::from_value(b""), None);
        assert_eq!(PosixAcl::from_value(&value[..value.len() - 1]), None);
        let doubled = [&value[..], &value[4..12]].concat();
        assert_eq!(PosixAcl::from_value(&doubled), None);
        let another_version = [&[1], &value[1..]].concat();
        assert_eq!(PosixAcl::from_value(&another_version), None);
    }
}
