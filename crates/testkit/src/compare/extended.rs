//! Compares ACLs and extended attributes, by names and values, of entries of any kind.
//!
//! All are asked for by a path that leads through the directory's descriptor and never follows a link at its end. A
//! caller that is no root sees neither `trusted.*` nor all of `security.*`.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsRawFd as _;

use rustix::fs::{lgetxattr, llistxattr};
use rustix::io::Errno;

use super::Aspect;
use super::walk::{Side, Walk};
use crate::posix_acl::{self, PosixAcl};

/// The most that Linux lets a value or a list of names have.
const LONGEST_BYTES: usize = 64 << 10;

/// Shown values by shown names.
type Attributes = BTreeMap<String, String>;

/// What an entry has beyond its inode.
#[derive(Default)]
struct Extended {
    acls: Attributes,
    others: Attributes,
}

impl Walk<'_> {
    pub(super) fn extended(&mut self, a: Side<'_>, b: Side<'_>) {
        if !self.options.acls && !self.options.extended_attributes {
            return;
        }
        let (left, right) = match (read(a), read(b)) {
            (Ok(left), Ok(right)) => (left, right),
            (Err(error), _) | (_, Err(error)) => {
                return self.unreadable("the extended attributes", &error);
            }
        };
        if self.options.acls {
            self.attribute_sets(Aspect::Acl, left.acls, right.acls);
        }
        if self.options.extended_attributes {
            self.attribute_sets(Aspect::ExtendedAttributes, left.others, right.others);
        }
    }

    /// Shows only those that differ.
    fn attribute_sets(&mut self, aspect: Aspect, mut a: Attributes, mut b: Attributes) {
        let same = |name: &String, value: &String, other: &Attributes| {
            other.get(name).is_some_and(|theirs| theirs == value)
        };
        let whole = a.clone();
        a.retain(|name, value| !same(name, value, &b));
        b.retain(|name, value| !same(name, value, &whole));
        if !a.is_empty() || !b.is_empty() {
            self.differ(aspect, &format!("{a:?}"), &format!("{b:?}"));
        }
    }
}

fn read(side: Side<'_>) -> io::Result<Extended> {
    // There is no call by directory descriptor; this path leads through ours.
    let mut path = format!("/proc/self/fd/{}/", side.directory.as_raw_fd()).into_bytes();
    path.extend_from_slice(side.name.to_bytes());
    let mut buffer = vec![0; LONGEST_BYTES];
    let listed = match llistxattr(&path, &mut buffer) {
        Ok(length) => buffer[..length].to_vec(),
        Err(Errno::NOTSUP) => return Ok(Extended::default()),
        Err(error) => return Err(error.into()),
    };
    let mut found = Extended::default();
    let names = listed.split(|byte| *byte == 0);
    for name in names.filter(|name| !name.is_empty()) {
        let length = lgetxattr(&path, name, &mut buffer)?;
        let value = &buffer[..length];
        let shown_name = name.escape_ascii().to_string();
        match [posix_acl::ACCESS, posix_acl::DEFAULT].contains(&shown_name.as_str()) {
            true => found.acls.insert(shown_name, shown_acl(value)),
            false => found.others.insert(shown_name, shown(value)),
        };
    }
    Ok(found)
}

fn shown(value: &[u8]) -> String {
    value.escape_ascii().to_string()
}

/// Its rights; what is none, as bytes.
fn shown_acl(value: &[u8]) -> String {
    PosixAcl::from_value(value).map_or_else(|| shown(value), |acl| acl.to_string())
}
