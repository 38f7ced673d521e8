//! Symbolic links: their content is carried over as it is, and they are never followed.

use model::SkipReason;
use storage::posix::{Kind, Meta};

use crate::attributes::Wanted;
use crate::engine::Problem;
use crate::entry::{Done, Entry, changed};
use crate::ledger::Verdict;

impl Entry<'_> {
    pub(crate) fn copy_link(&mut self, present: Option<Meta>) -> Result<Done, Problem> {
        let engine = self.engine;
        if engine.has_remote_target() {
            return Ok(Done::Now(Verdict::Skipped(SkipReason::NotOnRemote)));
        }
        let source_problem = |error| engine.source_problem(&error);
        let meta = self.source.stat(self.name).map_err(source_problem)?;
        if meta.kind != Kind::Symlink {
            return Err(changed("it became another kind of entry"));
        }
        if self.waits_for_links(&meta) {
            return Ok(Done::AtEnd);
        }
        let content = self.source.read_link(self.name).map_err(source_problem)?;
        if let Some(refusal) = self.refusal(present.as_ref()) {
            return Err(refusal);
        }
        let xattrs = engine.source_xattrs(self.source.xattrs_of(self.name))?;
        if let (Some(present), Some(target)) = (&present, self.target)
            && present.kind == Kind::Symlink
        {
            let found = target.read_link(self.name);
            if found.map_err(|error| engine.target_problem(&error))? == content
                && let Some(verdict) = self.keep_present(&meta, &xattrs, present)?
            {
                return Ok(Done::Now(verdict));
            }
        }
        if !engine.options.dry_run {
            let wanted = Wanted {
                meta: &meta,
                xattrs: &xattrs,
            };
            self.put(
                |dir, name| dir.symlink(&content, name),
                wanted,
                present.is_some(),
            )?;
        }
        Ok(Done::Now(Verdict::Copied))
    }
}
