//! Goes through a tree, what is below before what is above, so that each entry is still there at its turn.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::{Damage, Damages, entry, replace};
use crate::random::Random;

pub(super) struct Damager<'a> {
    root: &'a Path,
    damages: &'a Damages,
    random: Random,
    /// A regular file that was left as it was.
    whole_file: Option<PathBuf>,
}

impl<'a> Damager<'a> {
    pub(super) fn new(root: &'a Path, damages: &'a Damages) -> Self {
        Self {
            root,
            damages,
            random: Random::part(damages.seed, 4),
            whole_file: None,
        }
    }

    pub(super) fn apply(mut self) -> io::Result<u64> {
        let mut damaged = 0;
        for path in below(self.root)?.iter().rev() {
            let metadata = fs::symlink_metadata(path)?;
            let mut choices = self.damages.kinds.clone();
            choices.retain(|damage| self.fits(*damage, path, &metadata));
            if choices.is_empty() || self.random.below(2) == 0 {
                if metadata.is_file() {
                    self.whole_file = Some(path.clone());
                }
                continue;
            }
            let drawn = *self.random.pick(&choices);
            self.do_one(drawn, path, &metadata)?;
            damaged += 1;
        }
        Ok(damaged)
    }

    fn fits(&self, damage: Damage, path: &Path, metadata: &Metadata) -> bool {
        let kind = metadata.file_type();
        let is_plain = self.damages.plain_user.is_some();
        match damage {
            Damage::Content => kind.is_file() && metadata.len() > 0,
            Damage::Size => kind.is_file(),
            Damage::Mode | Damage::AccessAcl => !kind.is_symlink(),
            Damage::Time => true,
            Damage::Owner => !is_plain,
            Damage::Attributes => !is_plain || kind.is_file() || kind.is_dir(),
            Damage::DefaultAcl | Damage::Extra => kind.is_dir(),
            Damage::Kind | Damage::Missing => path != self.root,
            Damage::OutsideLink => path != self.root && (kind.is_file() || kind.is_dir()),
            Damage::Split => kind.is_file() && metadata.nlink() > 1,
            Damage::Joined => {
                // It may have gone with the directory that it was in.
                let there = |file: &PathBuf| fs::symlink_metadata(file).is_ok();
                kind.is_file() && self.whole_file.as_ref().is_some_and(there)
            }
        }
    }

    fn do_one(&mut self, damage: Damage, path: &Path, metadata: &Metadata) -> io::Result<()> {
        let damages = self.damages;
        match damage {
            Damage::Content => entry::change_content(path),
            Damage::Size => entry::lengthen(path, metadata),
            Damage::Mode => entry::change_mode(path, metadata),
            Damage::Owner => entry::change_owner(path),
            Damage::Time => entry::set_time(path),
            Damage::Attributes => entry::change_attributes(path, metadata),
            Damage::AccessAcl => entry::set_access_acl(path),
            Damage::DefaultAcl => entry::set_default_acl(path),
            Damage::Kind => self.another_kind(path, metadata),
            Damage::OutsideLink => replace::by_outside_link(path, metadata, damages),
            Damage::Missing => replace::remove(path, metadata),
            Damage::Split => replace::by_own_copy(path, metadata, damages),
            Damage::Joined => {
                let other = self.whole_file.as_ref().expect("it was looked for");
                replace::by_hard_link(path, other)
            }
            Damage::Extra => replace::add_extra(path, damages),
        }
    }

    fn another_kind(&mut self, path: &Path, metadata: &Metadata) -> io::Result<()> {
        let kind = metadata.file_type();
        let others: Vec<_> = replace::Other::ALL
            .into_iter()
            .filter(|other| match other {
                replace::Other::File => !kind.is_file(),
                replace::Other::EmptyDirectory | replace::Other::FilledDirectory => !kind.is_dir(),
                replace::Other::Fifo => !kind.is_fifo(),
                replace::Other::Symlink => !kind.is_symlink(),
            })
            .collect();
        let other = *self.random.pick(&others);
        replace::remove(path, metadata)?;
        replace::make_other(path, other, self.damages)
    }
}

/// The root and all below it, in the order of paths.
fn below(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = vec![root.to_owned()];
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                pending.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}
