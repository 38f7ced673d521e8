//! Files with several names stay one file.
//!
//! While the tree is walked they are only written down. When all else is done the first name of each is copied, and
//! the others are linked to it, each only if a new look at the source still shows the same file; else it is copied as a
//! file of its own. So no order of the walk and no number of threads matters.

use std::ffi::CString;
use std::sync::Arc;

use storage::posix::{Dir, Kind, Meta, Replace};

use crate::engine::{Engine, Problem};
use crate::entry::{Done, Entry, Part, changed};
use crate::foreign_names::Group;
use crate::late::{FileId, Identity, LateFile};
use crate::ledger::{Note, Tally, Verdict};
use crate::parents::Parents;
use crate::threads::Scratch;

/// The name that the others are linked to.
pub(crate) struct First {
    dir: Arc<Dir>,
    name: CString,
    /// At the target.
    file: Identity,
}

impl Engine {
    /// Copies the first name of a file, and links the others to it. What comes back has to wait until it has settled.
    pub(crate) fn copy_and_link(
        self: &Arc<Self>,
        mut late: LateFile,
        parents: &mut Parents,
        scratch: &mut Scratch,
    ) -> Result<Option<LateFile>, Problem> {
        let paths = late.paths.clone();
        for path in paths.iter().cloned() {
            self.check_on()?;
            let mut tally = Tally::default();
            let verdict = match self.place(&path, parents) {
                Ok((node, both, name)) => {
                    self.clear_for_links(&node, &both, scratch)?;
                    let mut entry = Entry {
                        engine: self,
                        node: &node,
                        source: &both.source,
                        target: both.target.as_ref(),
                        in_stage: false,
                        name: &name,
                        part: Part::End(late.seen),
                        rest: None,
                        group: Some(Group {
                            paths: &paths,
                            parents: &mut *parents,
                        }),
                        scratch: &mut *scratch,
                        tally: &mut tally,
                    };
                    let mut done = entry.copy_or_link(&mut late.file, late.known, &mut late.first);
                    if let (Ok(Done::AtEnd), Part::End(Some(seen))) = (&done, entry.part) {
                        if late.waits(&path, seen) {
                            return Ok(Some(late));
                        }
                        done = Err(changed("it never stayed the same for 2 s"));
                    }
                    self.finish_name(&node, &both, done)
                }
                Err(problem) => Err(problem),
            };
            match verdict {
                Ok(verdict) | Err(Problem::Entry(verdict)) => tally.count(verdict, || path),
                Err(problem) => return Err(problem),
            }
            self.record(tally);
        }
        Ok(None)
    }
}

impl Entry<'_> {
    fn copy_or_link(
        &mut self,
        file: &mut FileId,
        known: u64,
        first: &mut Option<First>,
    ) -> Result<Done, Problem> {
        let meta = self
            .source
            .stat(self.name)
            .map_err(|error| self.engine.source_problem(&error))?;
        let present = self.look_at_target()?;
        let is_same = file.is_of(&meta);
        if let (true, Some(first)) = (is_same && self.engine.keeps_links(), &*first)
            && let Some(done) = self.link_to(first, &meta, present)?
        {
            return Ok(done);
        }
        let done = self.copy_kind(meta.kind, present)?;
        if is_same {
            let keeps_links = self.engine.keeps_links();
            if (keeps_links && first.is_none() && meta.nlink > known)
                || (!keeps_links && meta.nlink > 1)
            {
                // The others are not among what is copied here.
                self.tally.note(Note::HardLinks);
            }
            // After one that could not be linked: the next can be linked to its copy.
            *first = self.as_first(&done)?.or(first.take());
        }
        Ok(done)
    }

    /// What was just copied, or was there, as what others are linked to.
    fn as_first(&self, done: &Done) -> Result<Option<First>, Problem> {
        let is_there = matches!(
            done,
            Done::Now(Verdict::CopiedFile(_) | Verdict::Copied | Verdict::Unchanged)
        );
        let (true, Some(target)) = (is_there, self.target) else {
            return Ok(None);
        };
        let meta = target
            .stat(self.name)
            .map_err(|error| self.engine.target_problem(&error))?;
        Ok(Some(First {
            dir: Arc::clone(target),
            name: self.name.to_owned(),
            file: (meta.dev, meta.ino),
        }))
    }

    /// `None`: the target can't have a further name of it, so that it is to be a file of its own.
    fn link_to(
        &mut self,
        first: &First,
        meta: &Meta,
        present: Option<Meta>,
    ) -> Result<Option<Done>, Problem> {
        if let Some(present) = &present
            && (present.dev, present.ino) == first.file
        {
            return Ok(Some(Done::Now(Verdict::Unchanged)));
        }
        if let Some(refusal) = self.refusal(present.as_ref()) {
            return Err(refusal);
        }
        let Some(target) = self.target else {
            return Ok(None);
        };
        let engine = self.engine;
        engine.check_fence()?;
        let temp = present.map(|_| engine.new_temp(target));
        let name = match &temp {
            // A temp name holds no NUL.
            Some((_, temp)) => CString::new(temp.as_str()).unwrap_or_default(),
            None => self.name.to_owned(),
        };
        let linked = self.node.create(engine, || {
            first.dir.link(first.name.as_c_str(), target, &name)
        });
        if let Err(error) = linked {
            if let Some((seq, _)) = temp {
                engine.drop_temp(seq);
            }
            if error.is_no_further_name() {
                self.note_lost_link(&error)?;
                return Ok(None);
            }
            return Err(engine.target_problem(&error));
        }
        if let Some((seq, temp)) = temp {
            self.rename_temp(seq, &temp, Replace::Allowed)?;
            // It stays where somebody linked the same file there meanwhile: then a rename does nothing.
            match target.unlink(&name) {
                Err(error) if !error.is_missing() => return Err(engine.target_problem(&error)),
                _ => {}
            }
        }
        Ok(Some(Done::Now(match meta.kind {
            Kind::File => Verdict::CopiedFile(0),
            _ => Verdict::Copied,
        })))
    }
}
