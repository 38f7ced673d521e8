//! A job: a directory with all below it, one entry after the other, shared with threads that wait for work.

use std::ffi::CStr;

use model::RelPath;
use model::options::Specials;
use storage::posix::{Dir, Kind};

use super::listing::{Kinds, Listing, Names, matched};
use super::sides::Sides;
use super::walk::{Job, Left, Walk};
use super::{Aspect, Checker, Difference, Extra, Unseen};

impl Checker<'_> {
    pub(super) fn walk(&mut self, job: Job) {
        let mut walk = Walk::new(&job.place);
        match job.listing {
            Some(listing) => *walk.listing() = listing,
            None => self.look(&mut walk),
        }
        while !self.is_stopping() {
            self.share(&mut walk);
            if let Some((name, kinds)) = walk.listing().files.pop() {
                self.file(&walk, &name, kinds);
            } else if let Some((name, kinds)) = walk.listing().directories.pop() {
                self.directory(&mut walk, &name, kinds);
            } else {
                match walk.leave() {
                    Ok(Left::ToAbove) => {}
                    Ok(Left::WasPlace) => return,
                    Err((path, unseen)) => self.tell(path, Difference::Unseen(unseen)),
                }
            }
        }
    }

    fn share(&self, walk: &mut Walk<'_>) {
        let queue = &self.shared.queue;
        while queue.wants_work() {
            match walk.give() {
                Some(job) => queue.put(job),
                None => return,
            }
        }
    }

    /// An entry that is a directory on neither side.
    fn file(&mut self, walk: &Walk<'_>, name: &CStr, kinds: Kinds) {
        let path = || walk.path_of(name);
        if self.is_outside_limits(walk, name, kinds) {
            return self.progress().add_skipped();
        }
        match (walk.here(), kinds) {
            (Sides::Both(source, target), Sides::Both(..)) => {
                self.compare(source, target, name, &path);
            }
            (Sides::Both(..), Sides::Source(kind)) => self.missing(kind, path),
            (Sides::Both(..), Sides::Target(kind)) => self.extra(kind, path),
            (_, kinds) => self.count_below(kinds),
        }
    }

    /// An entry that is a directory on one side or both.
    fn directory(&mut self, walk: &mut Walk<'_>, name: &CStr, kinds: Kinds) {
        if self.is_elsewhere(walk, name, kinds) {
            return self.progress().add_skipped();
        }
        let is_on_both = matches!(walk.here(), Sides::Both(..));
        let sides = match kinds {
            Sides::Both(Kind::Directory, Kind::Directory) => Sides::Both((), ()),
            Sides::Both(Kind::Directory, _) | Sides::Source(_) => Sides::Source(()),
            Sides::Both(..) | Sides::Target(_) => Sides::Target(()),
        };
        match kinds {
            _ if !is_on_both => self.count_below(kinds),
            Sides::Both(..) if sides == Sides::Both((), ()) => {}
            Sides::Both(..) => {
                self.progress().add_compared();
                self.tell(walk.path_of(name), Difference::Differs(vec![Aspect::Kind]));
            }
            Sides::Source(kind) => self.missing(kind, || walk.path_of(name)),
            Sides::Target(kind) => self.extra(kind, || walk.path_of(name)),
        }
        if sides == Sides::Target(()) && self.shared.check.extra == Extra::Ignore {
            return;
        }
        match walk.enter(name, sides) {
            Ok(()) => {
                if sides == Sides::Both((), ()) {
                    self.progress().add_compared();
                }
                self.look(walk);
            }
            Err(unseen) => self.tell(walk.path_of(name), Difference::Unseen(unseen)),
        }
    }

    /// Compares the current directory itself, where both sides have it, and reads its names.
    fn look(&mut self, walk: &mut Walk<'_>) {
        let aspects = match walk.here() {
            Sides::Both(source, target) => self.aspects_of_directories(source, target),
            Sides::Source(_) | Sides::Target(_) => Ok(Vec::new()),
        };
        let listing = self.list(walk);
        match (aspects, listing) {
            (Ok(aspects), Ok(listing)) => {
                if !aspects.is_empty() {
                    self.tell(walk.path(), Difference::Differs(aspects));
                }
                *walk.listing() = listing;
            }
            // What is below it can be looked at all the same.
            (Err(unseen), Ok(listing)) => {
                self.tell(walk.path(), Difference::Unseen(unseen));
                *walk.listing() = listing;
            }
            (_, Err(unseen)) => self.tell(walk.path(), Difference::Unseen(unseen)),
        }
    }

    fn list(&mut self, walk: &Walk<'_>) -> Result<Listing, Unseen> {
        let cancel = &self.shared.check.cancel;
        let buffer = &mut self.listing;
        let here = walk.here();
        let names = here.try_map(|dir| Names::read(dir, buffer, || cancel.is_cancelled()))?;
        let none = Names::default();
        let (source, target) = match &names {
            Sides::Both(source, target) => (source, target),
            Sides::Source(source) => (source, &none),
            Sides::Target(target) => (&none, target),
        };
        let directory = walk.path();
        let selection = &self.shared.selection;
        let above = selection.above(&directory);
        Ok(matched(source, target, |name, kinds| {
            let path = || directory.join(name);
            let is_left_out = selection.skips(above, path, first(kinds)).is_some();
            if is_left_out && !matches!(kinds, Sides::Target(_)) {
                self.progress().add_skipped();
            }
            !is_left_out
        }))
    }

    /// Whether the source's file, which the target has not, is left out by its size or age.
    fn is_outside_limits(&self, walk: &Walk<'_>, name: &CStr, kinds: Kinds) -> bool {
        let selection = &self.shared.selection;
        let is_only_file = matches!(kinds, Sides::Source(Kind::File | Kind::Unknown));
        is_only_file
            && selection.has_limits()
            && source_of(walk)
                .and_then(|source| source.stat(name).ok())
                .is_some_and(|meta| {
                    meta.kind == Kind::File && selection.skips_file(&meta).is_some()
                })
    }

    /// Whether the source's directory is left out as it is on another file system.
    fn is_elsewhere(&self, walk: &Walk<'_>, name: &CStr, kinds: Kinds) -> bool {
        let selection = &self.shared.selection;
        selection.is_one_file_system()
            && first(kinds) == Kind::Directory
            && !matches!(kinds, Sides::Target(_))
            && source_of(walk)
                .and_then(|source| source.stat(name).ok())
                .is_some_and(|meta| selection.skips_directory(&meta).is_some())
    }

    /// The source has it alone.
    pub(super) fn missing(&self, kind: Kind, path: impl Fn() -> RelPath) {
        match self.is_left_out(kind) {
            true => self.progress().add_skipped(),
            false => self.tell(path(), Difference::Missing(kind)),
        }
    }

    /// The target has it alone.
    pub(super) fn extra(&self, kind: Kind, path: impl Fn() -> RelPath) {
        if self.shared.check.extra == Extra::Find {
            self.tell(path(), Difference::Extra(kind));
        }
    }

    /// It is in a directory that is missing or extra.
    fn count_below(&self, kinds: Kinds) {
        match kinds {
            Sides::Source(kind) if self.is_left_out(kind) => self.progress().add_skipped(),
            Sides::Source(_) => self.progress().add_missing(),
            Sides::Target(_) => self.progress().add_extra(),
            Sides::Both(..) => {}
        }
    }

    /// A copy leaves it out.
    fn is_left_out(&self, kind: Kind) -> bool {
        kind.is_special() && self.options().specials == Specials::Skip
    }
}

/// What the source has under a name, or the target where the source has nothing.
fn first(kinds: Kinds) -> Kind {
    match kinds {
        Sides::Both(kind, _) | Sides::Source(kind) | Sides::Target(kind) => kind,
    }
}

fn source_of<'a>(walk: &'a Walk<'_>) -> Option<&'a Dir> {
    match walk.here() {
        Sides::Both(source, _) | Sides::Source(source) => Some(source),
        Sides::Target(_) => None,
    }
}
