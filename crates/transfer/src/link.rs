//! Symbolic links: their content is carried over as it is, and they are never followed.

use model::{Attribute, SkipReason};
use storage::posix::{Dir, Kind, Meta};

use crate::attributes;
use crate::compare::attributes_differ;
use crate::engine::Problem;
use crate::entry::{Done, Entry, changed};
use crate::ledger::{Note, Verdict};
use crate::target::conflict;

impl Entry<'_> {
    pub(crate) fn copy_link(&mut self, present: Option<Meta>) -> Result<Done, Problem> {
        let engine = self.engine;
        if engine.has_remote_target() {
            return Ok(Done::Now(Verdict::Skipped(SkipReason::NotOnRemote)));
        }
        let source_problem = |error| engine.source_problem(&error);
        let target_problem = |error| engine.target_problem(&error);
        let content = self.source.read_link(self.name).map_err(source_problem)?;
        let meta = self.source.stat(self.name).map_err(source_problem)?;
        if meta.kind != Kind::Symlink {
            return Err(changed("it became another kind of entry"));
        }
        if matches!(&present, Some(present) if present.kind == Kind::Directory) {
            return Err(conflict("the target has a directory there"));
        }
        let equal = match (&present, &self.node.target) {
            (Some(present), Some(target)) if present.kind == Kind::Symlink => {
                let same = target.read_link(self.name).map_err(target_problem)? == content;
                same.then_some(present)
            }
            _ => None,
        };
        let owners_count = engine.identity.is_root();
        if let Some(present) = equal
            && !attributes_differ(&meta, present, &engine.options, owners_count)
        {
            return Ok(Done::Now(Verdict::Unchanged));
        }
        let Some(target) = (!engine.options.dry_run)
            .then_some(())
            .and(self.node.target.as_ref())
        else {
            return Ok(Done::Now(Verdict::Copied));
        };
        engine.check_fence()?;
        if equal.is_some() {
            self.set_on_link(target, self.name.to_bytes(), &meta)?;
        } else if self.node.is_staged {
            let made = self
                .node
                .create(engine, || target.symlink(&content, self.name));
            made.map_err(target_problem)?;
            self.set_on_link(target, self.name.to_bytes(), &meta)?;
        } else {
            let (seq, temp) = engine.new_temp(target);
            let made = self
                .node
                .create(engine, || target.symlink(&content, temp.as_bytes()));
            if let Err(problem) = made
                .map_err(target_problem)
                .and_then(|()| self.set_on_link(target, temp.as_bytes(), &meta))
            {
                engine.drop_temp(seq);
                return Err(problem);
            }
            self.rename_temp(seq, &temp)?;
        }
        Ok(Done::Now(Verdict::Copied))
    }

    fn set_on_link(&mut self, target: &Dir, name: &[u8], meta: &Meta) -> Result<(), Problem> {
        let engine = self.engine;
        let set = || {
            let now = match self.node.creation.owner {
                Some(owner) if self.node.is_staged => owner,
                _ => target.stat(name)?.owner,
            };
            let kept = now == meta.owner
                || attributes::set_owner(engine, meta.owner, now, |owner| {
                    target.set_owner_of(name, owner)
                })?;
            if engine.options.keeps(Attribute::Times) {
                target.set_times_of(name, &meta.times())?;
            }
            Ok(kept)
        };
        if !set().map_err(|error| engine.target_problem(&error))? {
            self.tally.note(Note::OwnerNotKept);
        }
        Ok(())
    }
}
