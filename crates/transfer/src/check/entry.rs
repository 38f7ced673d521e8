//! One entry that both sides have, compared.

use std::ffi::CStr;

use model::{Attribute, Compare, CopyOptions, RelPath};
use storage::posix::{Dir, Error, Kind, Meta, Side, Timestamp, XattrsOf};

use super::links::Pair;
use super::{Aspect, Checker, Difference, Unseen};
use crate::attributes::{carried, differing, is_acl};
use crate::compare::{mode_differs, owner_differs, speaks_for_same_content, time_differs};

/// Why an entry was not compared.
pub(super) enum Halt {
    Unseen(Unseen),
    Stopping,
}

impl From<Unseen> for Halt {
    fn from(unseen: Unseen) -> Self {
        Halt::Unseen(unseen)
    }
}

impl Checker<'_> {
    /// Compares what has this name in both directories.
    pub(super) fn compare(
        &mut self,
        source: &Dir,
        target: &Dir,
        name: &CStr,
        path: &dyn Fn() -> RelPath,
    ) {
        let (ours, theirs) = match (looked_up(source, name), looked_up(target, name)) {
            (Ok(Some(ours)), Ok(Some(theirs))) => (ours, theirs),
            // Since the directories were read it has gone from one side, or both.
            (Ok(Some(ours)), Ok(None)) => return self.missing(ours.kind, path),
            (Ok(None), Ok(Some(theirs))) => return self.extra(theirs.kind, path),
            (Ok(None), Ok(None)) => return,
            (Err(error), _) => return self.unseen(path(), Side::Source, &error),
            (_, Err(error)) => return self.unseen(path(), Side::Target, &error),
        };
        if ours.kind == Kind::File && self.shared.selection.skips_file(&ours).is_some() {
            return self.progress().add_skipped();
        }
        self.progress().add_compared();
        let pair = self.pair(&ours, &theirs);
        if let Some(pair) = pair
            && !self.shared.links.meet(pair, path())
        {
            // It is compared under its other name.
            return;
        }
        let both = Both {
            source,
            target,
            name,
            ours: &ours,
            theirs: &theirs,
        };
        let aspects = match self.aspects(&both) {
            Ok(aspects) => Ok(aspects),
            Err(Halt::Unseen(unseen)) => Err(unseen),
            Err(Halt::Stopping) => return,
        };
        match (pair, aspects) {
            (Some(pair), aspects) => self.shared.links.settle(pair, aspects),
            (None, Ok(aspects)) if aspects.is_empty() => {}
            (None, Ok(aspects)) => self.tell(path(), Difference::Differs(aspects)),
            (None, Err(unseen)) => self.tell(path(), Difference::Unseen(unseen)),
        }
    }

    fn unseen(&self, path: RelPath, side: Side, error: &Error) {
        self.tell(path, Difference::Unseen(Unseen::new(side, error)));
    }

    /// Of files that have several names, where these count.
    fn pair(&self, ours: &Meta, theirs: &Meta) -> Option<Pair> {
        let has_several = ours.nlink > 1 || theirs.nlink > 1;
        let counts = ours.kind == theirs.kind && ours.kind != Kind::Directory;
        (self.options().keeps(Attribute::Links) && has_several && counts)
            .then(|| Pair::of(ours, theirs))
    }

    fn aspects(&mut self, both: &Both<'_>) -> Result<Vec<Aspect>, Halt> {
        let (ours, theirs) = (both.ours, both.theirs);
        let mut aspects = self.aspects_of_stats(ours, theirs);
        if ours.kind != theirs.kind {
            return Ok(aspects);
        }
        match ours.kind {
            Kind::Directory => {
                let error = "it became a directory meanwhile".to_owned();
                let side = Side::Source;
                return Err(Halt::Unseen(Unseen { side, error }));
            }
            Kind::Symlink => {
                let content = read_link(both.source, both.name, Side::Source)?;
                if content != read_link(both.target, both.name, Side::Target)? {
                    aspects.push(Aspect::LinkTarget);
                }
            }
            Kind::File => {
                let is_read = is_to_be_read(ours, theirs, self.options());
                if is_read && !self.has_same_content(both)? {
                    aspects.push(Aspect::Content);
                }
            }
            _ => {}
        }
        let wanted = both.source.xattrs_of(both.name);
        let present = both.target.xattrs_of(both.name);
        self.add_xattrs(wanted, present, &mut aspects)?;
        aspects.sort_unstable();
        Ok(aspects)
    }

    /// In what two directories differ themselves.
    pub(super) fn aspects_of_directories(
        &self,
        source: &Dir,
        target: &Dir,
    ) -> Result<Vec<Aspect>, Unseen> {
        let ours = source.meta().map_err(|e| Unseen::new(Side::Source, &e))?;
        let theirs = target.meta().map_err(|e| Unseen::new(Side::Target, &e))?;
        let mut aspects = self.aspects_of_stats(&ours, &theirs);
        self.add_xattrs(source.own_xattrs(), target.own_xattrs(), &mut aspects)?;
        aspects.sort_unstable();
        Ok(aspects)
    }

    fn aspects_of_stats(&self, ours: &Meta, theirs: &Meta) -> Vec<Aspect> {
        aspects_of_stats(ours, theirs, self.options(), &self.shared.circumstances)
    }

    fn add_xattrs(
        &self,
        source: XattrsOf<'_>,
        target: XattrsOf<'_>,
        aspects: &mut Vec<Aspect>,
    ) -> Result<(), Unseen> {
        let read = |of, side| {
            carried(of, self.options()).map_err(|error: Error| Unseen::new(side, &error))
        };
        let wanted = read(source, Side::Source)?;
        let present = read(target, Side::Target)?;
        for name in differing(&wanted, &present) {
            let aspect = match is_acl(name) {
                true => Aspect::Acl,
                false => Aspect::Xattrs,
            };
            if !aspects.contains(&aspect) {
                aspects.push(aspect);
            }
        }
        Ok(())
    }
}

/// One entry on both sides.
pub(super) struct Both<'a> {
    pub(super) source: &'a Dir,
    pub(super) target: &'a Dir,
    pub(super) name: &'a CStr,
    pub(super) ours: &'a Meta,
    pub(super) theirs: &'a Meta,
}

fn looked_up(dir: &Dir, name: &CStr) -> Result<Option<Meta>, Error> {
    match dir.stat(name) {
        Ok(meta) => Ok(Some(meta)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

fn read_link(dir: &Dir, name: &CStr, side: Side) -> Result<Vec<u8>, Unseen> {
    dir.read_link(name)
        .map_err(|error| Unseen::new(side, &error))
}

/// On what a comparison depends besides the options.
pub(super) struct Circumstances {
    /// Whether this process could give owners away.
    pub(super) owners_count: bool,
    /// When the check began.
    pub(super) began: Timestamp,
}

/// In what two entries differ as far as stats tell.
fn aspects_of_stats(
    ours: &Meta,
    theirs: &Meta,
    options: &CopyOptions,
    circumstances: &Circumstances,
) -> Vec<Aspect> {
    if ours.kind != theirs.kind {
        return vec![Aspect::Kind];
    }
    let owners_count = circumstances.owners_count;
    let is_file = ours.kind == Kind::File;
    let is_device = matches!(ours.kind, Kind::CharDevice | Kind::BlockDevice);
    let has_same_size = ours.size == theirs.size;
    // Where times are not carried over, one that is older than the source's says that the content may be; unless the
    // source's is one that no copy can have yet.
    let is_old = is_file
        && has_same_size
        && options.compare == Compare::Mtime
        && !speaks_for_same_content(ours, theirs, options)
        && ours.modified <= circumstances.began;
    let differs_in_time = is_old || time_differs(ours, theirs, options);
    let differs_in_mode = mode_differs(ours, theirs, options, owners_count);
    let differs_in_owner = owner_differs(ours, theirs, options, owners_count);
    let all = [
        (Aspect::Size, is_file && !has_same_size),
        (Aspect::Mtime, differs_in_time),
        (Aspect::Mode, differs_in_mode),
        (Aspect::Owner, differs_in_owner),
        (Aspect::Device, is_device && ours.rdev != theirs.rdev),
    ];
    let differing = all.into_iter().filter(|(_, differs)| *differs);
    differing.map(|(aspect, _)| aspect).collect()
}

/// Whether only reading two files tells that their content is the same.
fn is_to_be_read(ours: &Meta, theirs: &Meta, options: &CopyOptions) -> bool {
    options.compare == Compare::Checksum && ours.size == theirs.size
}

#[cfg(test)]
#[path = "entry_tests.rs"]
mod tests;
