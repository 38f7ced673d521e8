//! FIFOs, sockets and device nodes: made anew where that is asked for, and never opened.

use model::SkipReason;
use model::options::Specials;
use storage::posix::Meta;

use crate::attributes::Wanted;
use crate::engine::Problem;
use crate::entry::{Done, Entry, changed};
use crate::ledger::Verdict;

impl Entry<'_> {
    pub(crate) fn copy_special(&mut self, present: Option<Meta>) -> Result<Done, Problem> {
        let engine = self.engine;
        if engine.options.specials == Specials::Skip || engine.has_remote_target() {
            return Ok(Done::Now(Verdict::Skipped(SkipReason::Special)));
        }
        let meta = self
            .source
            .stat(self.name)
            .map_err(|error| engine.source_problem(&error))?;
        if !meta.kind.is_special() {
            return Err(changed("it became another kind of entry"));
        }
        if self.waits_for_links(&meta) {
            return Ok(Done::AtEnd);
        }
        if let Some(refusal) = self.refusal(present.as_ref()) {
            return Err(refusal);
        }
        let xattrs = engine.source_xattrs(self.source.xattrs_of(self.name))?;
        if let Some(present) = &present
            && (present.kind, present.rdev) == (meta.kind, meta.rdev)
            && let Some(verdict) = self.keep_present(&meta, &xattrs, present)?
        {
            return Ok(Done::Now(verdict));
        }
        if !engine.options.dry_run {
            let like = Meta {
                mode: engine.mode_of(&meta),
                ..meta
            };
            let wanted = Wanted {
                meta: &meta,
                xattrs: &xattrs,
            };
            self.put(
                |dir, name| dir.make_special(name, &like),
                wanted,
                present.is_some(),
            )?;
        }
        Ok(Done::Now(Verdict::Copied))
    }
}
