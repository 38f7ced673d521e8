//! One regular file or link: compared with what is at the target, and copied where it must be.

use std::ffi::CStr;
use std::sync::Arc;

use model::{Durability, FailureClass, RelPath, SkipReason};
use storage::posix::{Dir, Kind, Meta, Replace};

use crate::attempt::FileWork;
use crate::attributes;
use crate::batch::Unpublished;
use crate::compare::{Comparison, compare_files};
use crate::content::Written;
use crate::engine::{Engine, Problem};
use crate::ledger::{Note, Tally, Verdict};
use crate::node::Node;
use crate::target::conflict;
use crate::threads::Scratch;

/// Files done in one go: enough to make taking them cheap, few enough to spread.
const BATCH_FILES: usize = 8;

/// What is known of a name at the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    Absent,
    /// To be looked up.
    Unknown,
}

/// Some files and links of one directory.
pub(crate) struct Files {
    node: Arc<Node>,
    source: Arc<Dir>,
    /// NUL after each.
    names: Vec<u8>,
    entries: Vec<(Kind, Presence)>,
}

pub(crate) struct FilesBuilder {
    node: Arc<Node>,
    source: Arc<Dir>,
    full: Vec<Files>,
    names: Vec<u8>,
    entries: Vec<(Kind, Presence)>,
}

impl FilesBuilder {
    pub(crate) fn new(node: &Arc<Node>, source: &Arc<Dir>) -> Self {
        Self {
            node: Arc::clone(node),
            source: Arc::clone(source),
            full: Vec::new(),
            names: Vec::new(),
            entries: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, name: &CStr, kind: Kind, presence: Presence) {
        self.names.extend_from_slice(name.to_bytes_with_nul());
        self.entries.push((kind, presence));
        if self.entries.len() == BATCH_FILES {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.full.push(Files {
            node: Arc::clone(&self.node),
            source: Arc::clone(&self.source),
            names: std::mem::take(&mut self.names),
            entries: std::mem::take(&mut self.entries),
        });
    }

    pub(crate) fn batches(&self) -> usize {
        self.full.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.full.len() * BATCH_FILES + self.entries.len()
    }

    pub(crate) fn finish(mut self) -> Vec<Files> {
        if !self.entries.is_empty() {
            self.cut();
        }
        self.full
    }
}

/// How an entry ended.
pub(crate) enum Done {
    /// With a verdict; whether something was written.
    Now(Verdict),
    /// Its result comes when its batch is published.
    Later,
}

impl Engine {
    pub(crate) fn copy_files(
        self: &Arc<Self>,
        files: Files,
        scratch: &mut Scratch,
    ) -> Result<(), Problem> {
        let Files {
            node,
            source,
            names,
            entries,
        } = files;
        self.attempt
            .progress
            .show(scratch.thread, Some(Arc::clone(&node.path)));
        let mut tally = Tally::default();
        let (mut done, mut wrote) = (0, false);
        let mut rest = names.as_slice();
        for (kind, presence) in entries {
            let Ok(name) = CStr::from_bytes_until_nul(rest) else {
                break;
            };
            rest = &rest[name.to_bytes_with_nul().len()..];
            self.check_on()?;
            let mut entry = Entry {
                engine: self,
                node: &node,
                source: &source,
                name,
                scratch: &mut *scratch,
                tally: &mut tally,
            };
            match entry.copy(kind, presence) {
                Ok(Done::Later) => {}
                Ok(Done::Now(verdict)) | Err(Problem::Entry(verdict)) => {
                    // One that failed may have been made and removed again.
                    wrote |= !matches!(
                        verdict,
                        Verdict::Unchanged | Verdict::Skipped(_) | Verdict::Deferred
                    );
                    done += 1;
                    tally.count(verdict, || node.path.join(name.to_bytes()));
                }
                Err(problem) => return Err(problem),
            }
        }
        node.entries_done(self, done, tally, wrote)
    }
}

/// One file or link on its way.
pub(crate) struct Entry<'a> {
    pub(crate) engine: &'a Arc<Engine>,
    pub(crate) node: &'a Arc<Node>,
    pub(crate) source: &'a Arc<Dir>,
    pub(crate) name: &'a CStr,
    pub(crate) scratch: &'a mut Scratch,
    pub(crate) tally: &'a mut Tally,
}

impl Entry<'_> {
    pub(crate) fn path(&self) -> RelPath {
        self.node.path.join(self.name.to_bytes())
    }

    fn copy(&mut self, kind: Kind, presence: Presence) -> Result<Done, Problem> {
        let present = match (&self.node.target, presence) {
            (Some(target), Presence::Unknown) => match target.stat(self.name) {
                Ok(meta) => Some(meta),
                Err(error) if error.is_missing() => None,
                Err(error) => return Err(self.engine.target_problem(&error)),
            },
            _ => None,
        };
        if kind == Kind::Symlink {
            return self.copy_link(present);
        }
        match &self.engine.attempt.files {
            FileWork::Copy => self.copy_file(present),
            FileWork::Find(found) | FileWork::FindForRemote(found) => {
                self.find(&Arc::clone(found), present)
            }
            FileWork::Settle(settling) => self.settle(&Arc::clone(settling), present),
        }
    }

    pub(crate) fn copy_file(&mut self, present: Option<Meta>) -> Result<Done, Problem> {
        match present {
            Some(present) => self.copy_over(&present),
            None if self.engine.options.dry_run => {
                let meta = self.stat_source()?;
                Ok(Done::Now(Verdict::CopiedFile(meta.size)))
            }
            None => self.copy_new(),
        }
    }

    pub(crate) fn stat_source(&self) -> Result<Meta, Problem> {
        let stat = self.source.stat(self.name);
        let meta = stat.map_err(|error| self.engine.source_problem(&error))?;
        if meta.kind == Kind::File {
            Ok(meta)
        } else {
            Err(changed("it became another kind of entry"))
        }
    }

    /// A regular file whose name is taken at the target.
    fn copy_over(&mut self, present: &Meta) -> Result<Done, Problem> {
        let engine = self.engine;
        let meta = self.stat_source()?;
        match present.kind {
            Kind::Directory => return Err(conflict("the target has a directory there")),
            Kind::File => {}
            _ if engine.options.dry_run => {
                return Ok(Done::Now(Verdict::CopiedFile(meta.size)));
            }
            _ => return self.copy_new(),
        }
        let is_root = engine.identity.is_root();
        match compare_files(&meta, present, &engine.options, is_root) {
            Comparison::Equal => Ok(Done::Now(Verdict::Unchanged)),
            Comparison::NewerAtTarget => Ok(Done::Now(Verdict::Skipped(SkipReason::NewerAtTarget))),
            Comparison::AttributesDiffer if engine.options.dry_run => {
                Ok(Done::Now(Verdict::Copied))
            }
            Comparison::ContentDiffers if engine.options.dry_run => {
                Ok(Done::Now(Verdict::CopiedFile(meta.size)))
            }
            Comparison::AttributesDiffer => self.repair(&meta, present),
            Comparison::ContentDiffers => self.copy_new(),
        }
    }

    pub(crate) fn repair(&mut self, meta: &Meta, present: &Meta) -> Result<Done, Problem> {
        let Some(target) = &self.node.target else {
            return Ok(Done::Now(Verdict::Copied));
        };
        match self.engine.opening(|| target.open_file(self.name)) {
            Ok(file) => {
                let found = file
                    .meta()
                    .map_err(|error| self.engine.target_problem(&error))?;
                if (found.ino, found.dev, found.kind) != (present.ino, present.dev, present.kind) {
                    // Somebody put another there since: that one is not ours to change.
                    return self.copy_new();
                }
                attributes::repair_file(self.engine, &file, meta, present, self.tally)?;
                Ok(Done::Now(Verdict::Copied))
            }
            // One that we may not read can still be replaced.
            Err(error) if error.is_refused() || error.is_missing() => self.copy_new(),
            Err(error) => Err(self.engine.target_problem(&error)),
        }
    }

    /// Copies the file, whatever has its name at the target (but for a directory).
    pub(crate) fn copy_new(&mut self) -> Result<Done, Problem> {
        let written = self.write_copy(self.engine.syncs_each_file)?;
        if written.source.nlink > 1 {
            self.tally.note(Note::HardLinks);
        }
        if self.engine.durability == Durability::Batch {
            let unpublished = Unpublished {
                node: Arc::clone(self.node),
                source: Arc::clone(self.source),
                name: self.name.to_owned(),
                written,
            };
            self.engine.put_in_batch(unpublished, self.scratch)?;
            return Ok(Done::Later);
        }
        self.publish(&written)?;
        Ok(Done::Now(Verdict::CopiedFile(written.bytes)))
    }

    /// Gives a written file its final name.
    pub(crate) fn publish(&mut self, written: &Written) -> Result<(), Problem> {
        let Some((seq, temp)) = &written.temp else {
            return Ok(());
        };
        self.rename_temp(*seq, temp)
    }

    pub(crate) fn rename_temp(&self, seq: u64, temp: &str) -> Result<(), Problem> {
        let engine = self.engine;
        let Some(target) = &self.node.target else {
            return Ok(());
        };
        engine.check_fence()?;
        match target.rename(
            temp.as_bytes(),
            target,
            self.name.to_bytes(),
            Replace::Allowed,
        ) {
            Ok(()) => {
                engine.forget_temp(seq);
                Ok(())
            }
            Err(error) => {
                engine.drop_temp(seq);
                if error.is_other_kind() {
                    return Err(conflict("the target has a directory there"));
                }
                Err(engine.target_problem(&error))
            }
        }
    }
}

pub(crate) fn changed(how: &str) -> Problem {
    Problem::Entry(Verdict::Failed {
        class: FailureClass::Changed,
        error: format!("the source changed: {how}"),
    })
}
