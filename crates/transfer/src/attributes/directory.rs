//! The attributes of a directory: set when nothing changes its own entries any more.

use model::filter::Above;
use model::{Attribute, RelPath, SkipReason};
use storage::posix::{Dir, Error, Meta, Xattrs};

use super::keep::{At, Keeper, Present, Wanted};
use super::xattrs::xattrs_differ;
use crate::attempt::AttemptWork;
use crate::compare::attributes_differ;
use crate::engine::{Engine, Problem};
use crate::ledger::{Note, Tally, Verdict};
use crate::node::Node;
use crate::parents::{NoWay, Parents};
use crate::watch;

/// When a directory's attributes are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Set {
    /// Where they aren't right.
    IfNeeded,
    /// Its times are not right any more, and its mode perhaps.
    Now { is_opened_up: bool },
    /// Others still create entries in it.
    Later,
}

/// Sets what a directory's entries can't disturb any more, and says how the directory fared.
pub(crate) fn complete_directory(
    engine: &Engine,
    node: &Node,
    set: Set,
    tally: &mut Tally,
) -> Result<Verdict, Problem> {
    let target = engine.open_held(node.target.as_ref(), &node.path)?;
    let (Some(target), Some(made_as)) = (&target, &node.made_as) else {
        if engine.has_remote_target() {
            return Ok(Verdict::Skipped(SkipReason::NotOnRemote));
        }
        return Ok(Verdict::Copied);
    };
    if node.source_meta.is_locked {
        tally.note(Note::FlagsNotKept);
    }
    let is_root = engine.identity.is_root();
    let source = &node.source_meta;
    let differs = node.was_made || attributes_differ(source, made_as, &engine.options, is_root);
    let verdict = |differs| match differs {
        true => Verdict::Copied,
        false => Verdict::Unchanged,
    };
    if set == Set::Later {
        engine.defer_attributes(&node.path);
        return Ok(verdict(differs));
    }
    // Made in a directory without a default ACL it has none.
    let has_xattrs =
        engine.keeps_xattrs() && (!node.was_made || node.creation.has_default_acl(target));
    let xattrs = match has_xattrs {
        true => engine.target_xattrs(target.own_xattrs())?,
        false => Xattrs::default(),
    };
    let xattrs_differ = xattrs_differ(&node.source_xattrs, &xattrs);
    if engine.options.dry_run || (set == Set::IfNeeded && !differs && !xattrs_differ) {
        return Ok(verdict(differs || xattrs_differ));
    }
    let mut present = Present::of(made_as, xattrs);
    if let Set::Now { is_opened_up } = set {
        present.modified = None;
        if is_opened_up && engine.options.keeps(Attribute::Mode) {
            present.mode = None;
        }
    }
    let changed = set_on_directory(
        engine,
        &node.path,
        target,
        Wanted {
            meta: source,
            xattrs: &node.source_xattrs,
        },
        &present,
        tally,
    )?;
    if set == (Set::Now { is_opened_up: true }) && !engine.options.keeps(Attribute::Mode) {
        target
            .set_mode(made_as.mode)
            .map_err(|error| engine.target_problem(&error))?;
    }
    // New times alone are no repair: its entries were.
    Ok(verdict(differs || (xattrs_differ && changed)))
}

/// Makes a directory's names and attributes durable, where no other call does.
pub(crate) fn sync_directory(engine: &Engine, dir: &Dir, path: &RelPath) -> Result<(), Problem> {
    if !engine.syncs_each_directory {
        return Ok(());
    }
    watch::asking_for_much(|| dir.sync()).map_err(|error| engine.stop_again(&error, path))
}

/// Lets a plain user write to a directory of its own that forbids it; whether that was the trouble.
pub(crate) fn open_up(engine: &Engine, dir: &Dir) -> bool {
    if engine.identity.is_root() {
        return false;
    }
    let Ok(now) = dir.meta() else {
        return false;
    };
    now.owner.uid == engine.identity.owner.uid
        && now.mode & 0o700 != 0o700
        && engine.check_fence().is_ok()
        && dir
            .reopen()
            .is_ok_and(|dir| dir.set_mode(now.mode | 0o700).is_ok())
}

/// Sets a directory's attributes; whether any had to be changed.
pub(crate) fn set_on_directory(
    engine: &Engine,
    path: &RelPath,
    target: &Dir,
    wanted: Wanted<'_>,
    present: &Present,
    tally: &mut Tally,
) -> Result<bool, Problem> {
    engine.check_fence()?;
    let mut keeper = Keeper {
        engine,
        tally,
        path: &|| path.clone(),
    };
    keeper.keep(At::Dir(target), wanted, present)
}

/// Sets the attributes of a directory that others have filled; or once more those that this attempt has put something into after
/// it had set them: what could not be kept then has been told.
pub(crate) fn attributes_of_directory(
    engine: &Engine,
    parents: &mut Parents,
    path: &RelPath,
) -> Result<Tally, Problem> {
    let mut tally = Tally::default();
    // The parents of listed paths are among these, whatever became of the paths.
    if engine.selection.above(path) == Above::LeftOut {
        return Ok(tally);
    }
    let unreadable = |error: Error| engine.source_problem(&error);
    let both = match parents.open(engine, path) {
        Ok(both) => both,
        Err(NoWay::Problem(Problem::Entry(Verdict::Skipped(_)))) => return Ok(tally),
        // Gone from the source: what was copied stays as it is.
        Err(NoWay::Source(error)) if error.is_missing() || error.is_other_kind() => {
            return Ok(tally);
        }
        Err(NoWay::Source(error)) => return Err(unreadable(error)),
        Err(NoWay::Target(error)) => return Err(engine.target_problem(&error)),
        Err(NoWay::Problem(problem)) => return Err(problem),
    };
    let mut source = both.source.meta().map_err(unreadable)?;
    let Some(target) = &both.target else {
        return Ok(tally);
    };
    let now = target
        .meta()
        .map_err(|error| engine.target_problem(&error))?;
    if engine.options.dry_run {
        return Ok(tally);
    }
    let mut wanted = engine.source_xattrs(both.source.own_xattrs())?;
    let present = engine.target_xattrs(target.own_xattrs())?;
    if !matches!(engine.attempt.work, AttemptWork::Attributes(_)) {
        source.owner = now.owner;
        wanted = present.clone();
    }
    let is_root = engine.identity.is_root();
    if attributes_differ(&source, &now, &engine.options, is_root)
        || xattrs_differ(&wanted, &present)
    {
        let wanted = Wanted {
            meta: &source,
            xattrs: &wanted,
        };
        let present = Present::of(&now, present);
        set_on_directory(engine, path, target, wanted, &present, &mut tally)?;
        sync_directory(engine, target, path)?;
    }
    Ok(tally)
}

/// What is set on a directory that is made on the way: it stays writable, and is set once more at the end.
pub(crate) fn passable(meta: &Meta) -> Meta {
    Meta {
        mode: meta.mode | 0o700,
        ..*meta
    }
}
