//! Owner, mode and times: set in this order, through the descriptor, and only where they aren't
//! right already.

use model::{Attribute, Durability, RelPath, SkipReason};
use storage::posix::{Dir, Error, File, Identity, Meta, Owner};

use crate::compare::{attributes_differ, kept_mode};
use crate::engine::{Engine, Problem};
use crate::ledger::{Note, Tally, Verdict};
use crate::node::Node;
use crate::parents::{NoWay, Parents};

/// What a creation in a directory yields, looked up once for each directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Creation {
    /// Who a new entry belongs to; `None` when only a look tells.
    pub(crate) owner: Option<Owner>,
    /// Whether a default ACL meddles with modes.
    pub(crate) keeps_mode: bool,
}

impl Creation {
    /// Only a look tells.
    pub(crate) const UNKNOWN: Creation = Creation {
        owner: None,
        keeps_mode: false,
    };

    /// In a directory that we made: that it is ours shows whom the file system takes us for.
    pub(crate) fn in_new(dir: &Dir, meta: &Meta, identity: Identity) -> Self {
        let is_setgid = meta.mode & 0o2000 != 0;
        let is_certain = meta.owner.uid == identity.owner.uid
            && (is_setgid || meta.owner.gid == identity.owner.gid);
        Self {
            owner: is_certain.then_some(meta.owner),
            keeps_mode: !dir.has_default_acl(),
        }
    }
}

/// The mode to create a file with, and whether it has it for good then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CreationMode {
    pub(crate) mode: u32,
    pub(crate) is_final: bool,
}

/// A file that is to change hands is nobody else's until then, unless nobody can reach it anyway.
pub(crate) fn creation_mode(node: &Node, source: &Meta, creation_mask: u32) -> CreationMode {
    let changes_owner = node.creation.owner != Some(source.owner);
    let mode = if changes_owner && !node.is_staged {
        source.mode & 0o700
    } else {
        source.mode & 0o777
    };
    CreationMode {
        mode,
        is_final: mode == source.mode && node.creation.keeps_mode && mode & creation_mask == 0,
    }
}

/// Sets owner, mode and times of a file that was just written.
pub(crate) fn set_on_new_file(
    engine: &Engine,
    node: &Node,
    file: &File,
    source: &Meta,
    created: CreationMode,
    tally: &mut Tally,
) -> Result<(), Error> {
    let mut mode = source.mode;
    let mut mode_is_right = created.is_final;
    let owner = match node.creation.owner {
        Some(owner) => owner,
        None => file.meta()?.owner,
    };
    if owner != source.owner {
        let kept = set_owner(engine, source.owner, owner, |owner| file.set_owner(owner))?;
        if !kept {
            tally.note(Note::OwnerNotKept);
            mode &= !0o6000;
            mode_is_right &= mode == source.mode;
        }
    }
    if !mode_is_right {
        file.set_mode(mode)?;
    }
    if engine.options.keeps(Attribute::Times) {
        file.set_times(&source.times())?;
    }
    Ok(())
}

/// Sets an owner, or as a plain user at least the group; whether all of it was kept.
pub(crate) fn set_owner(
    engine: &Engine,
    wanted: Owner,
    now: Owner,
    set: impl Fn(Owner) -> Result<(), Error>,
) -> Result<bool, Error> {
    if engine.identity.is_root() || wanted.uid == now.uid {
        match set(wanted) {
            Ok(()) => return Ok(true),
            Err(error) if error.is_refused() => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    if wanted.gid != now.gid {
        let group = Owner {
            uid: now.uid,
            gid: wanted.gid,
        };
        match set(group) {
            Err(error) if !error.is_refused() => return Err(error),
            _ => {}
        }
    }
    Ok(false)
}

/// Repairs a regular file whose content is right.
pub(crate) fn repair_file(
    engine: &Engine,
    file: &File,
    source: &Meta,
    target: &Meta,
    tally: &mut Tally,
) -> Result<(), Problem> {
    engine.check_fence()?;
    let repair = Repair {
        source,
        target,
        sets_times: engine.options.keeps(Attribute::Times),
    };
    repair
        .apply(
            engine,
            tally,
            |owner| file.set_owner(owner),
            |mode| file.set_mode(mode),
            |source| file.set_times(&source.times()),
        )
        .and_then(|()| match engine.durability {
            Durability::File => file.sync(),
            Durability::Batch | Durability::None => Ok(()),
        })
        .map_err(|error| engine.target_problem(&error))
}

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
    let (Some(target), Some(now)) = (&node.target, &node.made_as) else {
        if engine.has_remote_target() {
            return Ok(Verdict::Skipped(SkipReason::NotOnRemote));
        }
        return Ok(Verdict::Copied);
    };
    let differs = node.was_made
        || attributes_differ(
            &node.source_meta,
            now,
            &engine.options,
            engine.identity.is_root(),
        );
    let now = match set {
        Set::Now { is_opened_up: true } => &opened_up(now),
        _ => now,
    };
    match set {
        Set::Later => engine.defer_attributes(&node.path),
        _ if engine.options.dry_run => {}
        Set::IfNeeded if !differs => {}
        Set::IfNeeded | Set::Now { .. } => {
            set_on_directory(engine, target, &node.source_meta, now, tally)?;
        }
    }
    Ok(if differs {
        Verdict::Copied
    } else {
        Verdict::Unchanged
    })
}

fn opened_up(meta: &Meta) -> Meta {
    Meta {
        mode: meta.mode | 0o700,
        ..*meta
    }
}

/// Makes a directory's names and attributes durable, where no other call does.
pub(crate) fn sync_directory(engine: &Engine, dir: &Dir, path: &RelPath) -> Result<(), Problem> {
    if !engine.syncs_each_directory {
        return Ok(());
    }
    dir.sync().map_err(|error| engine.stop_again(&error, path))
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
        && dir.set_mode(opened_up(&now).mode).is_ok()
}

/// Sets a directory's attributes; `now` is what it has.
pub(crate) fn set_on_directory(
    engine: &Engine,
    target: &Dir,
    source: &Meta,
    now: &Meta,
    tally: &mut Tally,
) -> Result<(), Problem> {
    engine.check_fence()?;
    let repair = Repair {
        source,
        target: now,
        sets_times: engine.options.keeps(Attribute::Times),
    };
    repair
        .apply(
            engine,
            tally,
            |owner| target.set_owner(owner),
            |mode| target.set_mode(mode),
            |source| target.set_times(&source.times()),
        )
        .map_err(|error| engine.target_problem(&error))
}

struct Repair<'a> {
    source: &'a Meta,
    target: &'a Meta,
    sets_times: bool,
}

impl Repair<'_> {
    fn apply(
        &self,
        engine: &Engine,
        tally: &mut Tally,
        set_owner_to: impl Fn(Owner) -> Result<(), Error>,
        set_mode: impl Fn(u32) -> Result<(), Error>,
        set_times: impl Fn(&Meta) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut mode = self.source.mode;
        let mut owner_changed = false;
        if self.source.owner != self.target.owner {
            owner_changed = true;
            if !set_owner(engine, self.source.owner, self.target.owner, set_owner_to)? {
                tally.note(Note::OwnerNotKept);
                mode = kept_mode(self.source, self.target);
            }
        }
        // A new owner clears setuid and setgid.
        if mode != self.target.mode || (owner_changed && mode & 0o6000 != 0) {
            set_mode(mode)?;
        }
        if self.sets_times {
            set_times(self.source)?;
        }
        Ok(())
    }
}

/// Sets the attributes of a directory that others have filled.
pub(crate) fn attributes_of_directory(
    engine: &Engine,
    parents: &mut Parents,
    path: &RelPath,
) -> Result<Tally, Problem> {
    let mut tally = Tally::default();
    let unreadable = |error: Error| engine.source_problem(&error);
    let both = match parents.open(engine, path) {
        Ok(both) => both,
        // Gone from the source: what was copied stays as it is.
        Err(NoWay::Source(error)) if error.is_missing() || error.is_other_kind() => {
            return Ok(tally);
        }
        Err(NoWay::Source(error)) => return Err(unreadable(error)),
        Err(NoWay::Target(error)) => return Err(engine.target_problem(&error)),
        Err(NoWay::Problem(problem)) => return Err(problem),
    };
    let source = both.source.meta().map_err(unreadable)?;
    let Some(target) = &both.target else {
        return Ok(tally);
    };
    let now = target
        .meta()
        .map_err(|error| engine.target_problem(&error))?;
    let is_root = engine.identity.is_root();
    if !engine.options.dry_run && attributes_differ(&source, &now, &engine.options, is_root) {
        set_on_directory(engine, target, &source, &now, &mut tally)?;
        sync_directory(engine, target, path)?;
    }
    Ok(tally)
}
