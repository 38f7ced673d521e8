//! A directory at the target: found or made, and the names that are in it already.

use std::collections::HashSet;
use std::ffi::CStr;
use std::sync::Arc;

use model::options::Conflicts;
use model::{FailureClass, HashRange, TempName, name_hash};
use storage::posix::{Dir, Error, Kind, Listed, ListingBuffer, Meta};

use crate::attributes::Creation;
use crate::engine::{Engine, Problem};
use crate::entry::Presence;
use crate::held::{Held, HeldDirs};
use crate::ledger::Verdict;
use crate::node::{Made, Node, Origin, Stage};
use crate::put::in_the_way;
use crate::vanished::Strangers;
use crate::watch;

/// Names of a target directory that are held; in larger ones each name is looked up.
const MAX_NAMES: usize = 200_000;

/// The same, of those of which only hashes are held: 8 MiB.
const MAX_HASHES: usize = 1 << 20;

/// What is known of the names at the target.
pub(crate) enum Names {
    None,
    All(HashSet<Box<[u8]>>),
    /// Of a huge directory: the hashes of those in some range, sorted.
    Hashes(Vec<u64>),
    /// Too many to hold.
    Unknown,
}

impl Names {
    pub(crate) fn presence(&self, name: &[u8]) -> Presence {
        match self {
            Names::None => Presence::Absent,
            Names::All(names) if !names.contains(name) => Presence::Absent,
            Names::Hashes(hashes) if hashes.binary_search(&name_hash(name)).is_err() => {
                Presence::Absent
            }
            _ => Presence::Unknown,
        }
    }
}

/// Whose unfinished entries in a directory are removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leftovers {
    /// Those of earlier attempts at this item. The directory is another's, who may be at work in it.
    OfItem,
    /// Those of the items that handed it over, too: it is this item's now.
    OfAncestorsToo,
}

/// How a directory that is not there is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Making {
    Staged,
    /// Under its final name at once: others will write into it.
    InPlace,
}

/// A directory that is to be staged.
struct Staged<'a> {
    /// Its final one.
    name: &'a CStr,
    mode: u32,
    /// Something else has the name.
    replaces: bool,
}

/// What the target has is not ours to replace.
pub(crate) fn conflict(what: &str) -> Problem {
    Problem::Entry(Verdict::Failed {
        class: FailureClass::GiveUp,
        error: format!("conflict: {what}"),
    })
}

impl Engine {
    /// Finds or makes the directory at the target.
    pub(crate) fn open_target(
        &self,
        parent: &Arc<Node>,
        name: &CStr,
        presence: Presence,
        source: &Meta,
        making: Making,
    ) -> Result<Made, Problem> {
        let imagined = Made {
            target: None,
            origin: Origin::Imagined,
            creation: Creation::default(),
            meta: None,
        };
        let above = parent.target.as_ref();
        let (Some(into), Some(above)) = (self.open_held(above, &parent.path)?, above) else {
            return Ok(imagined);
        };
        let mut replaces = false;
        if presence == Presence::Unknown {
            match self.open_made(&into, name.to_bytes()) {
                Ok((target, meta)) => {
                    let target = HeldDirs::below(above, name, target, &meta);
                    self.held.may_close(&target);
                    return Ok(Made {
                        target: Some(target),
                        origin: Origin::Existing,
                        creation: Creation::default(),
                        meta: Some(meta),
                    });
                }
                Err(error) if error.is_other_kind() => {
                    self.check_may_replace(&into, name.to_bytes())?;
                    replaces = true;
                }
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(self.target_problem(&error)),
            }
        }
        if self.options.dry_run {
            return Ok(imagined);
        }
        self.check_fence()?;
        let mode = self.mode_of_new_directory(source);
        if self.attempt.target_is_shared || making == Making::InPlace {
            if replaces {
                into.unlink(name)
                    .map_err(|error| self.target_problem(&error))?;
            }
            self.make_in_place(parent, above, &into, name, mode)
        } else {
            let staged = Staged {
                name,
                mode,
                replaces,
            };
            self.make_staged(parent, above, &into, &staged)
        }
    }

    /// A link in the way leads elsewhere, and holds nothing of its own: it always goes.
    pub(crate) fn check_may_replace(&self, into: &Dir, name: &[u8]) -> Result<(), Problem> {
        let is_link = match into.stat(name) {
            Ok(meta) => meta.kind == Kind::Symlink,
            Err(error) if error.is_missing() => true,
            Err(error) => return Err(self.target_problem(&error)),
        };
        match is_link || self.options.conflicts == Conflicts::Replace {
            true => Ok(()),
            false => Err(in_the_way("the target has another kind of entry there")),
        }
    }

    /// Others may make the same directory at any time.
    fn make_in_place(
        &self,
        parent: &Node,
        above: &Arc<Held>,
        into: &Dir,
        name: &CStr,
        mode: u32,
    ) -> Result<Made, Problem> {
        match parent.create(self, || into.mkdir(name, mode)) {
            Err(error) if !error.is_existing() => return Err(self.target_problem(&error)),
            _ => {}
        }
        let (target, meta) = self
            .open_made(into, name.to_bytes())
            .map_err(|error| self.target_problem(&error))?;
        let target = HeldDirs::below(above, name, target, &meta);
        self.held.may_close(&target);
        Ok(Made {
            target: Some(target),
            origin: Origin::Made,
            creation: Creation::default(),
            meta: Some(meta),
        })
    }

    fn make_staged(
        &self,
        parent: &Arc<Node>,
        above: &Arc<Held>,
        into: &Arc<Dir>,
        staged: &Staged<'_>,
    ) -> Result<Made, Problem> {
        let (seq, temp) = self.new_temp(into);
        if let Err(error) = parent.create(self, || into.mkdir(temp.as_bytes(), staged.mode)) {
            // It may be there all the same: answers get lost.
            self.drop_temp(seq);
            return Err(self.target_problem(&error));
        }
        let (target, meta) = match self.open_made(into, temp.as_bytes()) {
            Ok(made) => made,
            Err(error) => {
                self.drop_temp(seq);
                return Err(self.target_problem(&error));
            }
        };
        let parent = Arc::clone(parent);
        Ok(Made {
            creation: Creation::in_new(&target, &meta, self.identity),
            // It has another name until it is published, and stays open.
            target: Some(HeldDirs::below(above, staged.name, target, &meta)),
            origin: Origin::Staged(Stage {
                seq,
                temp,
                parent,
                replaces: staged.replaces,
            }),
            meta: Some(meta),
        })
    }

    fn open_made(&self, into: &Dir, name: &[u8]) -> Result<(Arc<Dir>, Meta), Error> {
        let dir = self.opening(|| into.open_dir(name))?;
        let meta = dir.meta()?;
        Ok((Arc::new(dir), meta))
    }

    /// Reads the names at the target, removing what earlier attempts left unfinished. Where there were any, also which of
    /// them are directories.
    pub(crate) fn names_at_target(
        &self,
        target: &Dir,
        leftovers: Leftovers,
        within: Option<HashRange>,
        buffer: &mut ListingBuffer,
    ) -> Result<(Names, Strangers), Error> {
        let mut names = Collected::new(within);
        let mut directories = Strangers::new(within);
        let mut superseded = Vec::new();
        let attempt = &self.attempt;
        let has_predecessors = self.has_predecessors();
        loop {
            let listed = target.list_chunk(buffer, |name, kind| {
                let name = name.to_bytes();
                if TempName::parse(name).is_some_and(|temp| self.is_left_over(&temp, leftovers)) {
                    superseded.push(name.to_vec());
                    return;
                }
                if has_predecessors && matches!(kind, Kind::Directory | Kind::Unknown) {
                    directories.add(name, attempt.run);
                }
                names.add(name);
            })?;
            watch::got_on();
            if listed == Listed::End {
                break;
            }
        }
        if !self.options.dry_run {
            for name in superseded {
                if self.check_fence().is_err() {
                    break;
                }
                watch::asking_for_much(|| target.remove_tree(name.as_slice()))?;
            }
        }
        Ok((names.finish(), directories))
    }
}

/// Names at the target, as they are read.
enum Collected {
    All(HashSet<Box<[u8]>>),
    Hashes(HashRange, Vec<u64>),
    TooMany,
}

impl Collected {
    fn new(within: Option<HashRange>) -> Self {
        match within {
            Some(range) => Collected::Hashes(range, Vec::new()),
            None => Collected::All(HashSet::new()),
        }
    }

    fn add(&mut self, name: &[u8]) {
        let is_full = match self {
            Collected::All(names) => {
                names.insert(name.into());
                names.len() > MAX_NAMES
            }
            Collected::Hashes(range, hashes) => {
                hashes.extend(Some(name_hash(name)).filter(|hash| range.contains(*hash)));
                hashes.len() > MAX_HASHES
            }
            Collected::TooMany => false,
        };
        if is_full {
            *self = Collected::TooMany;
        }
    }

    fn finish(self) -> Names {
        match self {
            Collected::All(names) => Names::All(names),
            Collected::Hashes(_, mut hashes) => {
                hashes.sort_unstable();
                Names::Hashes(hashes)
            }
            Collected::TooMany => Names::Unknown,
        }
    }
}
