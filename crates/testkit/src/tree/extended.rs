//! What entries have beyond owner, mode and times: extended attributes of all name spaces, POSIX ACLs, capabilities.
//!
//! Sets of attributes take turns, so that small trees have each of them too. Names and values that a tool is known to
//! treat on its own (`user.rsync.*`, `security.selinux`, `trusted.overlay.*`) are left out.

use std::io;
use std::path::Path;

use rustix::fs::{XattrFlags, lsetxattr};

use super::Recipe;
use crate::posix_acl::{self, PosixAcl, Subject as Whom};
use crate::random::Random;

/// Named in ACLs; the last is 2³²−2.
const NAMED: [u32; 4] = [1000, 7, 123_456, u32::MAX - 1];

/// `struct vfs_cap_data` of revision 2, effective: CAP_NET_BIND_SERVICE permitted, CAP_CHOWN inheritable.
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 4, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    File,
    Directory,
    Symlink,
    Special,
}

pub(super) struct Extender {
    has_attributes: bool,
    has_acls: bool,
    has_capabilities: bool,
    is_root: bool,
    longest_value_bytes: usize,
    random: Random,
    turns: [Turns; 4],
}

/// How often each kind of entry was given something.
#[derive(Debug, Clone, Copy, Default)]
struct Turns {
    of_users: u64,
    of_root: u64,
    acls: u64,
}

/// Counts, and returns what the count was.
fn next(turn: &mut u64) -> u64 {
    *turn += 1;
    *turn - 1
}

impl Extender {
    pub(super) fn new(recipe: &Recipe, is_root: bool, seed: u64) -> Self {
        Self {
            has_attributes: recipe.extended_attributes,
            has_acls: recipe.acls,
            has_capabilities: recipe.capabilities && is_root,
            is_root,
            longest_value_bytes: recipe.longest_value_bytes,
            random: Random::part(seed, 3),
            turns: [Turns::default(); 4],
        }
    }

    /// To be called after the owner was set, and while its owner may write.
    pub(super) fn attributes(&mut self, path: &Path, subject: Subject) -> io::Result<()> {
        // Linux lets nothing else have attributes of users.
        if self.has_attributes && matches!(subject, Subject::File | Subject::Directory) {
            self.of_users(path, subject)?;
        }
        if self.is_root {
            self.of_root(path, subject)?;
        }
        Ok(())
    }

    fn of_root(&mut self, path: &Path, subject: Subject) -> io::Result<()> {
        let turn = next(&mut self.turns[subject as usize].of_root);
        if self.has_attributes && turn.is_multiple_of(2) {
            let mut value = vec![0; self.random.below(40) as usize];
            self.random.fill(&mut value);
            set(path, b"trusted.testkit", &value)?;
            set(path, b"security.testkit", b"")?;
        }
        if self.has_capabilities && subject == Subject::File && turn % 4 < 2 {
            set(path, b"security.capability", &CAPABILITY)?;
        }
        Ok(())
    }

    fn of_users(&mut self, path: &Path, subject: Subject) -> io::Result<()> {
        match next(&mut self.turns[subject as usize].of_users) % 6 {
            0 => {
                let every_byte: Vec<u8> = (0..=255).collect();
                set(path, b"user.every byte", &every_byte)
            }
            1 => set(path, b"user.empty", b""),
            2 => (0..16).try_for_each(|number| {
                let name = format!("user.many.{number}");
                set(path, name.as_bytes(), &self.random.next().to_le_bytes())
            }),
            3 => {
                // As long as a name may be.
                let mut name = b"user.\xff\n/ ".to_vec();
                name.resize(255, b'n');
                set(path, &name, b"value")
            }
            4 => {
                let mut value = vec![0; self.longest_value_bytes];
                self.random.fill(&mut value);
                set(path, b"user.long", &value)
            }
            _ => Ok(()),
        }
    }

    /// To be called after the mode was set, which stays as it is.
    pub(super) fn acls(&mut self, path: &Path, subject: Subject, mode: u32) -> io::Result<()> {
        if !self.has_acls {
            return Ok(());
        }
        let turn = next(&mut self.turns[subject as usize].acls);
        if turn.is_multiple_of(3) {
            let value = self.acl(mode).to_value();
            set(path, posix_acl::ACCESS.as_bytes(), &value)?;
        }
        if subject == Subject::Directory && turn.is_multiple_of(2) {
            // Without named ones it is as plain as a mode; it may be all the same.
            let value = match turn % 6 {
                0 => plain(0o750).to_value(),
                _ => self.acl(0o770).to_value(),
            };
            set(path, posix_acl::DEFAULT.as_bytes(), &value)?;
        }
        Ok(())
    }

    /// With one to four named users and groups; the mode says the rights of the others and the mask.
    fn acl(&mut self, mode: u32) -> PosixAcl {
        let named = (0..=self.random.below(4)).map(|number| {
            let id = NAMED[number as usize];
            let rights = self.random.below(8) as u16;
            match self.random.below(2) {
                0 => (Whom::User(id), rights),
                _ => (Whom::Group(id), rights),
            }
        });
        let named: Vec<_> = named.collect();
        let bits = |shift: u32| (mode >> shift & 7) as u16;
        let owning_group = self.random.below(8) as u16;
        PosixAcl::new(named.into_iter().chain([
            (Whom::Owner, bits(6)),
            (Whom::OwningGroup, owning_group),
            (Whom::Mask, bits(3)),
            (Whom::Others, bits(0)),
        ]))
    }
}

fn plain(mode: u32) -> PosixAcl {
    let bits = |shift: u32| (mode >> shift & 7) as u16;
    PosixAcl::new([
        (Whom::Owner, bits(6)),
        (Whom::OwningGroup, bits(3)),
        (Whom::Others, bits(0)),
    ])
}

fn set(path: &Path, name: &[u8], value: &[u8]) -> io::Result<()> {
    lsetxattr(path, name, value, XattrFlags::empty()).map_err(|error| {
        let (path, name) = (path.display(), name.escape_ascii());
        let error = io::Error::from(error);
        io::Error::new(error.kind(), format!("{name} of {path}: {error}"))
    })
}
