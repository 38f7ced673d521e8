//! Where a thread is: in one directory on both sides, or on the one that has it, below one that is held.
//!
//! It goes down and back by descents, so that few directories are open however deep they are.

use std::ffi::{CStr, CString};
use std::sync::Arc;

use model::RelPath;
use storage::posix::{Descent, Dir, Side};

use super::Unseen;
use super::listing::Listing;
use super::sides::Sides;

/// A directory that is held.
pub(super) struct Place {
    pub(super) path: RelPath,
    pub(super) dirs: Sides<Dir>,
}

/// Some of the entries of a directory, with all below them.
pub(super) struct Job {
    pub(super) place: Arc<Place>,
    /// `None`: the directory itself, which has not been looked at.
    pub(super) listing: Option<Listing>,
}

impl Job {
    pub(super) fn first(place: Place) -> Self {
        Self {
            place: Arc::new(place),
            listing: None,
        }
    }
}

pub(super) struct Walk<'a> {
    place: &'a Arc<Place>,
    descents: Sides<Descent<'a, ()>>,
    /// The place, and all below it on the way.
    levels: Vec<Level>,
}

struct Level {
    /// In its parent; that of the place is not used.
    name: CString,
    sides: Sides<()>,
    listing: Listing,
}

/// Whether there was a directory above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    ToAbove,
    WasPlace,
}

impl<'a> Walk<'a> {
    pub(super) fn new(place: &'a Arc<Place>) -> Self {
        let level = Level {
            name: CString::default(),
            sides: place.dirs.as_ref().map(drop),
            listing: Listing::default(),
        };
        Self {
            place,
            descents: descents(place),
            levels: vec![level],
        }
    }

    pub(super) fn path(&self) -> RelPath {
        self.path_at(self.levels.len())
    }

    pub(super) fn path_of(&self, name: &CStr) -> RelPath {
        self.path().join(name.to_bytes())
    }

    fn path_at(&self, depth: usize) -> RelPath {
        let below = self.levels[..depth].iter().skip(1);
        let names = below.map(|level| level.name.to_bytes());
        let place = Some(self.place.path.as_bytes()).filter(|path| !path.is_empty());
        let all: Vec<&[u8]> = place.into_iter().chain(names).collect();
        RelPath::new(all.join(&b'/')).expect("names of a listing are components")
    }

    /// The current directory on the sides that have it.
    pub(super) fn here(&self) -> Sides<&Dir> {
        match (&self.descents, self.level().sides) {
            (Sides::Both(source, target), Sides::Both(..)) => {
                Sides::Both(source.current(), target.current())
            }
            (Sides::Both(_, target), Sides::Target(())) | (Sides::Target(target), _) => {
                Sides::Target(target.current())
            }
            (Sides::Both(source, _) | Sides::Source(source), _) => Sides::Source(source.current()),
        }
    }

    /// What is still to be looked at in the current directory.
    pub(super) fn listing(&mut self) -> &mut Listing {
        &mut self.level_mut().listing
    }

    /// Goes into a sub-directory on these sides. After an error it is where it was.
    pub(super) fn enter(&mut self, name: &CStr, sides: Sides<()>) -> Result<(), Unseen> {
        for side in sides.each() {
            if let Err(error) = self.descent(side).enter(name, ()) {
                if (side, sides) == (Side::Target, Sides::Both((), ())) {
                    let left = self.descent(Side::Source).leave();
                    left.expect("what was just entered is left without a call");
                }
                return Err(Unseen::new(side, &error));
            }
        }
        self.levels.push(Level {
            name: name.to_owned(),
            sides,
            listing: Listing::default(),
        });
        Ok(())
    }

    /// Goes back to the directory above. Where no way leads there it goes back to the place: what is left of those in
    /// between is not looked at, and the path is of the directory that they are in.
    pub(super) fn leave(&mut self) -> Result<Left, (RelPath, Unseen)> {
        if self.levels.len() == 1 {
            return Ok(Left::WasPlace);
        }
        for side in self.level().sides.each() {
            if let Err(error) = self.descent(side).leave() {
                let path = self.path_at(2);
                self.levels.truncate(1);
                self.descents = descents(self.place);
                return Err((path, Unseen::new(side, &error)));
            }
        }
        self.levels.pop();
        Ok(Left::ToAbove)
    }

    /// About half of what is to be done, for a thread that waits: of the place, which is held anyway, else of where it is.
    /// `None`: there is too little.
    pub(super) fn give(&mut self) -> Option<Job> {
        if let [at_place, _, ..] = &mut self.levels[..]
            && !at_place.listing.is_empty()
        {
            return Some(Job {
                place: Arc::clone(self.place),
                listing: Some(at_place.listing.give_any()),
            });
        }
        if !self.level().listing.can_give() {
            return None;
        }
        let place = match self.levels.len() {
            1 => Arc::clone(self.place),
            _ => Arc::new(Place {
                path: self.path(),
                // With too many files open it does without help.
                dirs: self.here().try_map(Dir::reopen).ok()?,
            }),
        };
        let listing = self.listing().give();
        Some(Job {
            place,
            listing: Some(listing),
        })
    }

    fn level(&self) -> &Level {
        self.levels.last().expect("a walk has its place")
    }

    fn level_mut(&mut self) -> &mut Level {
        self.levels.last_mut().expect("a walk has its place")
    }

    fn descent(&mut self, side: Side) -> &mut Descent<'a, ()> {
        match (&mut self.descents, side) {
            (Sides::Both(source, _) | Sides::Source(source), Side::Source) => source,
            (Sides::Both(_, target) | Sides::Target(target), Side::Target) => target,
            _ => unreachable!("a level has no side that the place lacks"),
        }
    }
}

fn descents(place: &Place) -> Sides<Descent<'_, ()>> {
    place.dirs.as_ref().map(|dir| Descent::new(dir, ()))
}
