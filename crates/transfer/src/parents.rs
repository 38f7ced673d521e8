//! The directories on the way to a listed path, opened component by component on both sides.
//! They are no entries: missing ones are made at the target with the source's owner and mode, and
//! their attributes are set once more when the whole task has ended.

use std::sync::Arc;

use model::{RelPath, SkipReason};
use storage::posix::{Dir, Error, Meta, Xattrs};

use crate::attributes::{self, Present, Wanted, passable};
use crate::engine::{Engine, Problem};
use crate::ledger::{Tally, Verdict};

/// A directory opened on both sides.
#[derive(Clone)]
pub(crate) struct Both {
    pub(crate) source: Arc<Dir>,
    /// `None` in a dry run where it isn't there.
    pub(crate) target: Option<Arc<Dir>>,
}

impl Both {
    /// For all uses, if it was open only to be gone through.
    fn reopened(&self, engine: &Engine) -> Result<Self, NoWay> {
        let source = engine
            .opening(|| self.source.reopen())
            .map_err(|error| no_way_at_source(engine, error))?;
        let target = self.target.as_ref().map(|target| {
            let target = engine.opening(|| target.reopen());
            target.map(Arc::new).map_err(NoWay::Target)
        });
        Ok(Self {
            source: Arc::new(source),
            target: target.transpose()?,
        })
    }
}

/// Why a parent can't be entered.
pub(crate) enum NoWay {
    Source(Error),
    Target(Error),
    Problem(Problem),
}

impl NoWay {
    /// It is left out on purpose, with all below it.
    pub(crate) fn skipped(reason: SkipReason) -> Self {
        NoWay::Problem(Problem::Entry(Verdict::Skipped(reason)))
    }
}

/// Of a way, the innermost so many are open: each thread may be on one of its own.
const MOST_OPEN: usize = 16;

/// The way to the path before, which neighbours share.
#[derive(Default)]
pub(crate) struct Parents {
    way: Vec<Level>,
}

struct Level {
    name: Vec<u8>,
    /// `None`: closed again. It is entered anew if need be, from the nearest open one above.
    both: Option<Both>,
    /// It is open only to be gone through.
    is_passage: bool,
}

impl Parents {
    /// Opens `path` on both sides.
    pub(crate) fn open(&mut self, engine: &Engine, path: &RelPath) -> Result<Both, NoWay> {
        let shared = path
            .components()
            .zip(&self.way)
            .take_while(|(name, level)| *name == level.name.as_slice())
            .count();
        self.way.truncate(shared);
        while let Some(Level { both: None, .. }) = self.way.last() {
            self.way.pop();
        }
        let nearest = self.way.last().and_then(|level| level.both.clone());
        let mut here = nearest.unwrap_or_else(|| Both {
            source: Arc::clone(&engine.attempt.source),
            target: engine.attempt.target.clone(),
        });
        let depth = path.components().count();
        for name in path.components().skip(self.way.len()) {
            let is_passage = self.way.len() + 1 < depth;
            here = enter(engine, &here, path, name, is_passage)?;
            self.way.push(Level {
                name: name.to_vec(),
                both: Some(here.clone()),
                is_passage,
            });
            if let Some(outermost) = self.way.len().checked_sub(MOST_OPEN + 1) {
                self.way[outermost].both = None;
            }
        }
        if let Some(last) = self.way.last_mut()
            && last.is_passage
        {
            here = here.reopened(engine)?;
            last.both = Some(here.clone());
            last.is_passage = false;
        }
        Ok(here)
    }
}

fn no_way_at_source(engine: &Engine, error: Error) -> NoWay {
    match error.is_out_of_descriptors() {
        true => NoWay::Problem(engine.source_problem(&error)),
        false => NoWay::Source(error),
    }
}

fn enter(
    engine: &Engine,
    from: &Both,
    path: &RelPath,
    name: &[u8],
    is_passage: bool,
) -> Result<Both, NoWay> {
    let open = |dir: &Dir| match is_passage {
        true => engine.opening(|| dir.open_passage(name)),
        false => engine.opening(|| dir.open_dir(name)),
    };
    let source = open(&from.source).map_err(|error| no_way_at_source(engine, error))?;
    let meta = source.meta().map_err(NoWay::Source)?;
    if let Some(reason) = engine.selection.skips_directory(&meta) {
        return Err(NoWay::skipped(reason));
    }
    let target = match &from.target {
        Some(into) => match open(into) {
            Ok(dir) => Some(dir),
            Err(error) if error.is_missing() && engine.options.dry_run => None,
            Err(error) if error.is_missing() => Some(make(engine, into, path, name, &meta)?),
            Err(error) if error.is_other_kind() && engine.options.dry_run => {
                check_may_replace(engine, into, name)?;
                None
            }
            Err(error) if error.is_other_kind() => {
                clear(engine, into, name)?;
                Some(make(engine, into, path, name, &meta)?)
            }
            Err(error) => return Err(NoWay::Target(error)),
        },
        None => None,
    };
    Ok(Both {
        source: Arc::new(source),
        target: target.map(Arc::new),
    })
}

/// Removes what is in the way of a directory and is none. Another item may do the same, and have made the directory.
fn clear(engine: &Engine, into: &Dir, name: &[u8]) -> Result<(), NoWay> {
    check_may_replace(engine, into, name)?;
    engine.check_fence().map_err(NoWay::Problem)?;
    match into.unlink(name) {
        Err(error) if !error.is_missing() && !error.is_other_kind() => Err(NoWay::Target(error)),
        _ => Ok(()),
    }
}

fn check_may_replace(engine: &Engine, into: &Dir, name: &[u8]) -> Result<(), NoWay> {
    engine.check_may_replace(into, name).map_err(NoWay::Problem)
}

/// Makes a directory on the way. Another item may be making the same one.
fn make(
    engine: &Engine,
    into: &Dir,
    path: &RelPath,
    name: &[u8],
    meta: &Meta,
) -> Result<Dir, NoWay> {
    engine.check_fence().map_err(NoWay::Problem)?;
    let mode = engine.mode_of_new_directory(meta);
    let made = match into.mkdir(name, mode) {
        Err(error) if error.is_refused() && attributes::open_up(engine, into) => {
            into.mkdir(name, mode)
        }
        made => made,
    };
    match made {
        Err(error) if !error.is_existing() => return Err(NoWay::Target(error)),
        _ => {}
    }
    let dir = into.open_dir(name).map_err(NoWay::Target)?;
    let now = dir.meta().map_err(NoWay::Target)?;
    // It stays writable for us: the attributes phase sets the final mode.
    let meta = passable(meta);
    let xattrs = Xattrs::default();
    let wanted = Wanted {
        meta: &meta,
        xattrs: &xattrs,
    };
    let present = Present::of(&now, Xattrs::default());
    attributes::set_on_directory(engine, path, &dir, wanted, &present, &mut Tally::default())
        .map_err(NoWay::Problem)?;
    if engine.syncs_each_directory {
        let above = into.reopen().map_err(NoWay::Target)?;
        attributes::sync_directory(engine, &above, path).map_err(NoWay::Problem)?;
    }
    let mut prefix = RelPath::ROOT;
    // With those above it: they may have been opened up.
    for component in path.components() {
        prefix = prefix.join(component);
        engine.defer_attributes(&prefix);
    }
    Ok(dir)
}
