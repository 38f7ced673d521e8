//! Where a walk takes the names of a directory from: from reading it, or, where work may be handed over, from what was
//! read before anything in it was begun.

use model::{HashRange, RelPath};
use storage::posix::{Dir, Error, Listed};

use crate::engine::{Engine, Problem};
use crate::entry::BATCH_FILES;
use crate::queue::MAX_PENDING;
use crate::target::{Leftovers, Making, Names};
use crate::threads::Scratch;
use crate::walk::{Found, Lister};
use crate::watch;
use crate::window::{NameList, Read, Reading, Window};

/// Batches of files taken from a directory in one go.
const CHUNK_BATCHES: usize = 32;

/// Names taken in one go from what is held.
const CHUNK_NAMES: usize = 256;

/// Of a huge directory, of which what is not taken can be handed over.
const HUGE_CHUNK_NAMES: usize = 64;

/// The same where calls wait for a network: what a name takes is so long then that to take them one by one costs nothing, and
/// nobody has many in hand at the end, while the kernel lets one at a time be created in the directory.
const HUGE_CHUNK_NAMES_ON_NETWORK: usize = 8;
const HUGE_BATCH_FILES_ON_NETWORK: usize = 1;

#[derive(Default)]
pub(crate) enum Supply {
    /// The directory, read on as its entries are done.
    #[default]
    Source,
    Whole(NameList),
    Huge(Window),
}

impl Supply {
    /// Whether the next names are in memory and not begun: they can become others'.
    pub(crate) fn holds_names_for_others(&self) -> bool {
        matches!(self, Self::Huge(window) if window.to_be_read().is_none())
    }

    /// Names that are left; of a directory that is being read nobody knows: `unknown`.
    pub(crate) fn left(&self, unknown: usize) -> usize {
        match self {
            Self::Source => unknown,
            Self::Whole(names) => names.len(),
            Self::Huge(window) => window.left_names().try_into().unwrap_or(unknown),
        }
    }

    /// How many files a thread takes at once.
    pub(crate) fn batch_files(&self, engine: &Engine) -> usize {
        match self {
            Self::Huge(_) if !engine.is_local => HUGE_BATCH_FILES_ON_NETWORK,
            _ => BATCH_FILES,
        }
    }
}

/// A directory before anything in it is begun.
#[derive(Default)]
pub(crate) struct First {
    pub(crate) supply: Supply,
    /// What broke off the reading.
    pub(crate) broken: Option<Error>,
    /// Some of its names are another item's already.
    pub(crate) is_shared_out: bool,
}

impl First {
    /// How it is made at the target.
    pub(crate) fn making(&self) -> Making {
        match (&self.supply, self.is_shared_out) {
            (Supply::Huge(_), _) | (_, true) => Making::InPlace,
            _ => Making::Staged,
        }
    }

    /// All of its names are other items'.
    pub(crate) fn is_empty(&self) -> bool {
        matches!((&self.supply, self.is_shared_out), (Supply::Whole(names), true) if names.is_empty())
    }

    /// The names that matter at the target; none: all.
    pub(crate) fn within(&self) -> Option<HashRange> {
        match &self.supply {
            Supply::Huge(window) => window.held(),
            Supply::Source | Supply::Whole(_) => None,
        }
    }
}

impl Engine {
    /// What is known of a directory that has just been opened; of a shard, with its range.
    pub(crate) fn first_names(
        &self,
        source: &Dir,
        path: &RelPath,
        shard: Option<HashRange>,
        scratch: &mut Scratch,
    ) -> Result<First, Problem> {
        let is_shared_out = self.excluded.has_shards_of(path);
        let reading = match (shard, self.shard_entries) {
            (None, None) if !is_shared_out => return Ok(First::default()),
            (None, Some(huge_from)) if !is_shared_out => Reading::all(&self.name_room, huge_from),
            _ => {
                let range = shard.unwrap_or(HashRange::ALL);
                let Some(left) = self.excluded.left_of(path, range) else {
                    return Ok(First {
                        supply: Supply::Whole(NameList::default()),
                        broken: None,
                        is_shared_out,
                    });
                };
                Reading::range(&self.name_room, self.huge_from(), left)
            }
        };
        let goes_on = || self.check_on().is_ok();
        let (read, broken) = reading.read(source, &mut scratch.listing, goes_on);
        self.check_on()?;
        let supply = match read {
            Read::Whole(names) => Supply::Whole(names),
            Read::Huge(window) => Supply::Huge(window),
        };
        Ok(First {
            supply,
            broken,
            is_shared_out,
        })
    }

    /// What counts as huge where a directory is one in any case.
    fn huge_from(&self) -> usize {
        self.shard_entries.unwrap_or(usize::MAX)
    }

    /// Takes the next entries of a directory.
    pub(crate) fn next_names(
        &self,
        lister: &mut Lister,
        found: &mut Found,
        scratch: &mut Scratch,
    ) -> Result<Result<Listed, Error>, Problem> {
        if let Supply::Huge(window) = &lister.supply
            && let Some(range) = window.to_be_read()
        {
            let strangers = std::mem::take(&mut found.strangers);
            self.clear_strangers(
                &lister.node,
                &lister.source,
                &strangers,
                &mut scratch.listing,
            )?;
            self.read_on(lister, range, scratch)?;
            found.strangers = std::mem::take(&mut lister.strangers);
        }
        let mut supply = std::mem::take(&mut lister.supply);
        let is_at_end = match &mut supply {
            Supply::Source => return Ok(self.read_some(lister, found, scratch)),
            Supply::Whole(names) => {
                names.take(CHUNK_NAMES, |name, kind| {
                    found.add(self, lister, name, kind)
                });
                names.is_empty()
            }
            Supply::Huge(window) => {
                let chunk = match self.is_local {
                    true => HUGE_CHUNK_NAMES,
                    false => HUGE_CHUNK_NAMES_ON_NETWORK,
                };
                window.take(chunk, |name, kind| found.add(self, lister, name, kind));
                window.left().is_none()
            }
        };
        lister.supply = supply;
        Ok(match (is_at_end, lister.broken.take()) {
            (false, broken) => {
                lister.broken = broken;
                Ok(Listed::Chunk)
            }
            (true, None) => Ok(Listed::End),
            (true, Some(error)) => Err(error),
        })
    }

    /// Reads on where nothing has been read before.
    fn read_some(
        &self,
        lister: &Lister,
        found: &mut Found,
        scratch: &mut Scratch,
    ) -> Result<Listed, Error> {
        loop {
            let listed = lister
                .source
                .list_chunk(&mut scratch.listing, |name, kind| {
                    found.add(self, lister, name, kind);
                })?;
            watch::got_on();
            let is_enough = found.files.batches() >= CHUNK_BATCHES
                || found.directories.len() >= MAX_PENDING / 4;
            if listed == Listed::End || is_enough {
                return Ok(listed);
            }
        }
    }

    /// Reads a huge directory once more, for the names with the next hashes.
    fn read_on(
        &self,
        lister: &mut Lister,
        range: HashRange,
        scratch: &mut Scratch,
    ) -> Result<(), Problem> {
        // What is read anew is not what the held descriptor has before it.
        let read = self.opening(|| lister.source.reopen()).map(|fresh| {
            let reading = Reading::range(&self.name_room, self.huge_from(), range);
            reading.read(&fresh, &mut scratch.listing, || self.check_on().is_ok())
        });
        self.check_on()?;
        let window = match read {
            Ok((Read::Huge(window), broken)) => {
                lister.broken = lister.broken.take().or(broken);
                Supply::Huge(window)
            }
            Ok((Read::Whole(names), _)) => Supply::Whole(names),
            Err(error) => {
                lister.broken = Some(error);
                Supply::Whole(NameList::default())
            }
        };
        lister.supply = window;
        self.look_at_names_again(lister, scratch)
    }

    /// The names at the target that matter now.
    fn look_at_names_again(
        &self,
        lister: &mut Lister,
        scratch: &mut Scratch,
    ) -> Result<(), Problem> {
        let node = &lister.node;
        // What we made holds nothing that we don't know of.
        let is_known = matches!(lister.names, Names::Hashes(_)) || self.has_predecessors();
        if node.was_made || !is_known {
            return Ok(());
        }
        let (Supply::Huge(window), Some(target)) = (&lister.supply, &node.target) else {
            return Ok(());
        };
        let again = |error: Error| self.stop_again(&error, &node.path);
        let target = self.opening(|| self.held.open(target)?.reopen());
        let names = target
            .and_then(|target| {
                let (leftovers, within) = (Leftovers::OfItem, window.held());
                self.names_at_target(&target, leftovers, within, &mut scratch.listing)
            })
            .map_err(again)?;
        (lister.names, lister.strangers) = names;
        Ok(())
    }
}
