//! One entry that is no directory: compared with what is at the target, and copied where it must be.

use std::cell::Cell;
use std::ffi::CStr;
use std::sync::Arc;

use model::{Durability, FailureClass, RelPath, SkipReason};
use storage::posix::{Dir, Kind, Meta, Replace};

use crate::attempt::FileWork;
use crate::attributes::{At, Present, Wanted, xattrs_differ};
use crate::batch::Unpublished;
use crate::compare::{Comparison, attributes_differ, compare_files};
use crate::content::Written;
use crate::engine::{Engine, Problem};
use crate::foreign_names::Group;
use crate::ledger::{Note, Tally, Verdict};
use crate::node::Node;
use crate::queue::Job;
use crate::settled::Seen;
use crate::target::conflict;
use crate::threads::Scratch;
use crate::watch;

/// Files done in one go: enough to make taking them cheap, few enough to spread.
pub(crate) const BATCH_FILES: usize = 8;

/// What is known of a name at the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    Absent,
    /// To be looked up.
    Unknown,
}

/// Some files and links of one directory.
#[derive(Clone)]
pub(crate) struct Files {
    node: Arc<Node>,
    source: Arc<Dir>,
    /// NUL after each.
    names: Arc<[u8]>,
    entries: Arc<[(Kind, Presence)]>,
    /// The first that is to be done, and where its name begins.
    from: (usize, usize),
}

impl Files {
    /// Those that are still to be done.
    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.from.0
    }
}

/// The files of a batch after the one that is being copied: left to others while that takes long.
pub(crate) struct Rest<'a> {
    files: &'a Files,
    from: (usize, usize),
    is_left: Cell<bool>,
}

pub(crate) struct FilesBuilder {
    node: Arc<Node>,
    source: Arc<Dir>,
    batch_files: usize,
    full: Vec<Files>,
    names: Vec<u8>,
    entries: Vec<(Kind, Presence)>,
}

impl FilesBuilder {
    /// In batches of so many.
    pub(crate) fn new(node: &Arc<Node>, source: &Arc<Dir>, batch_files: usize) -> Self {
        Self {
            node: Arc::clone(node),
            source: Arc::clone(source),
            batch_files,
            full: Vec::new(),
            names: Vec::new(),
            entries: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, name: &CStr, kind: Kind, presence: Presence) {
        self.names.extend_from_slice(name.to_bytes_with_nul());
        self.entries.push((kind, presence));
        if self.entries.len() == self.batch_files {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.full.push(Files {
            node: Arc::clone(&self.node),
            source: Arc::clone(&self.source),
            names: std::mem::take(&mut self.names).into(),
            entries: std::mem::take(&mut self.entries).into(),
            from: (0, 0),
        });
    }

    pub(crate) fn batches(&self) -> usize {
        self.full.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.full.len() * self.batch_files + self.entries.len()
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
    /// It is done when all else is, and its result comes then.
    AtEnd,
}

/// In which part of an attempt an entry is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part {
    Walk,
    /// When all else is done, or again; with what was seen of it before.
    End(Option<Seen>),
}

impl Engine {
    pub(crate) fn copy_files(
        self: &Arc<Self>,
        files: Files,
        scratch: &mut Scratch,
    ) -> Result<(), Problem> {
        let Files { node, source, .. } = &files;
        watch::at(Some(Arc::clone(&node.path)));
        let in_stage = node.enter_stage(self)?;
        let target = self.open_held(node.target.as_ref(), &node.path)?;
        let mut tally = Tally::default();
        let (mut done, mut wrote) = (0, false);
        let (first, mut begin) = files.from;
        for (at, &(kind, presence)) in files.entries.iter().enumerate().skip(first) {
            let Ok(name) = CStr::from_bytes_until_nul(&files.names[begin..]) else {
                break;
            };
            begin += name.to_bytes_with_nul().len();
            watch::at_entry(name.to_bytes());
            self.check_on()?;
            self.pace.take();
            let rest = Rest {
                files: &files,
                from: (at + 1, begin),
                is_left: Cell::new(false),
            };
            let mut entry = Entry {
                engine: self,
                node,
                source,
                target: target.as_ref(),
                in_stage,
                name,
                part: Part::Walk,
                rest: Some(&rest),
                group: None,
                scratch: &mut *scratch,
                tally: &mut tally,
            };
            if !self.is_local && self.pool.has_room() {
                entry.leave_rest();
            }
            match entry.copy(kind, presence) {
                Ok(Done::Later) => {}
                Ok(Done::AtEnd) => done += 1,
                Ok(Done::Now(verdict)) | Err(Problem::Entry(verdict)) => {
                    wrote |= verdict.may_have_written();
                    done += 1;
                    tally.count(verdict, || node.path.join(name.to_bytes()));
                }
                Err(problem) => return Err(problem),
            }
            if rest.is_left.get() {
                break;
            }
        }
        node.entries_done(self, done, tally, wrote)?;
        match in_stage {
            true => node.leave_stage(self),
            false => Ok(()),
        }
    }
}

/// One file or link on its way.
pub(crate) struct Entry<'a> {
    pub(crate) engine: &'a Arc<Engine>,
    pub(crate) node: &'a Arc<Node>,
    pub(crate) source: &'a Arc<Dir>,
    /// The directory at the target; `None` in a dry run where it isn't there, and on a remote.
    pub(crate) target: Option<&'a Arc<Dir>>,
    /// Nobody else sees that directory: what is made gets its final name at once.
    pub(crate) in_stage: bool,
    pub(crate) name: &'a CStr,
    pub(crate) part: Part,
    /// Those that are done after it, by the same thread.
    pub(crate) rest: Option<&'a Rest<'a>>,
    /// The names of a file with several, where all that were met are at hand.
    pub(crate) group: Option<Group<'a>>,
    pub(crate) scratch: &'a mut Scratch,
    pub(crate) tally: &'a mut Tally,
}

impl Entry<'_> {
    pub(crate) fn path(&self) -> RelPath {
        self.node.path.join(self.name.to_bytes())
    }

    pub(crate) fn is_walk(&self) -> bool {
        matches!(self.part, Part::Walk)
    }

    fn copy(&mut self, kind: Kind, presence: Presence) -> Result<Done, Problem> {
        let selection = &self.engine.selection;
        if kind == Kind::File
            && selection.has_limits()
            && let Some(reason) = selection.skips_file(&self.stat_source()?)
        {
            return Ok(Done::Now(Verdict::Skipped(reason)));
        }
        let present = match presence {
            Presence::Absent => None,
            Presence::Unknown => self.look_at_target()?,
        };
        self.copy_kind(kind, present)
    }

    /// This one takes long: others may do what comes after it.
    pub(crate) fn leave_rest(&self) {
        let Some(rest) = self.rest else {
            return;
        };
        if rest.from.0 < rest.files.entries.len() && !rest.is_left.replace(true) {
            let mut files = rest.files.clone();
            files.from = rest.from;
            self.engine.pool.with_queue(self.engine, |queue| {
                queue.push_first(Job::Files(None, files))
            });
        }
    }

    /// What has the name at the target.
    pub(crate) fn look_at_target(&self) -> Result<Option<Meta>, Problem> {
        let Some(target) = self.target else {
            return Ok(None);
        };
        match target.stat(self.name) {
            Ok(meta) => Ok(Some(meta)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(self.engine.target_problem(&error)),
        }
    }

    pub(crate) fn copy_kind(&mut self, kind: Kind, present: Option<Meta>) -> Result<Done, Problem> {
        match kind {
            Kind::Symlink => self.copy_link(present),
            kind if kind.is_special() => self.copy_special(present),
            // A directory says that it is none where it is opened.
            _ => match &self.engine.attempt.files {
                FileWork::Copy | FileWork::Leave => self.copy_file(present),
                FileWork::Find(found) | FileWork::FindForRemote(found) => {
                    self.find(&Arc::clone(found), present)
                }
                FileWork::Settle(settling) => self.settle(&Arc::clone(settling), present),
            },
        }
    }

    pub(crate) fn copy_file(&mut self, present: Option<Meta>) -> Result<Done, Problem> {
        match present {
            Some(present) => self.copy_over(&present),
            None if self.engine.options.dry_run => {
                let meta = self.stat_source()?;
                Ok(Done::Now(self.would_copy(&meta)))
            }
            None => self.copy_as(self.engine.replaces_absent),
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
        if self.waits_for_links(&meta) {
            return Ok(Done::AtEnd);
        }
        if let Some(refusal) = self.refusal(Some(present)) {
            return Err(refusal);
        }
        let comparison = match present.kind {
            Kind::File => self.compare(&meta, present)?,
            _ => Comparison::ContentDiffers,
        };
        match comparison {
            Comparison::NewerAtTarget => {
                return Ok(Done::Now(Verdict::Skipped(SkipReason::NewerAtTarget)));
            }
            Comparison::ContentDiffers | Comparison::MustBeRead if engine.options.dry_run => {
                return Ok(Done::Now(self.would_copy(&meta)));
            }
            Comparison::ContentDiffers | Comparison::MustBeRead if present.is_locked => {
                return Err(left_alone());
            }
            Comparison::ContentDiffers | Comparison::MustBeRead => return self.copy_new(),
            Comparison::Equal | Comparison::AttributesDiffer => {}
        }
        self.repair(&meta, present, comparison)
    }

    /// Compares with the regular file at the target, by reading both where only that tells.
    pub(crate) fn compare(&mut self, meta: &Meta, present: &Meta) -> Result<Comparison, Problem> {
        let options = &self.engine.options;
        let is_root = self.engine.identity.is_root();
        let comparison = compare_files(meta, present, options, is_root);
        if comparison != Comparison::MustBeRead || !self.has_same_content()? {
            return Ok(comparison);
        }
        Ok(match attributes_differ(meta, present, options, is_root) {
            true => Comparison::AttributesDiffer,
            false => Comparison::Equal,
        })
    }

    /// The content is right: sets attributes where they differ.
    pub(crate) fn repair(
        &mut self,
        meta: &Meta,
        present: &Meta,
        comparison: Comparison,
    ) -> Result<Done, Problem> {
        let engine = self.engine;
        let Some(target) = self.target else {
            return Ok(Done::Now(Verdict::Copied));
        };
        let xattrs = engine.source_xattrs(self.source.xattrs_of(self.name))?;
        let found = match engine.carried(target.xattrs_of(self.name)) {
            Ok(found) => found,
            // One that we may not read can still be replaced.
            Err(error) if error.is_refused() && !engine.options.dry_run => return self.copy_new(),
            Err(error) => return Err(engine.target_problem(&error)),
        };
        if comparison == Comparison::Equal && !xattrs_differ(&xattrs, &found) {
            return Ok(Done::Now(Verdict::Unchanged));
        }
        if engine.options.dry_run {
            // Names are not counted.
            return Ok(Done::Now(match present.nlink > meta.nlink {
                true => self.would_copy(meta),
                false => Verdict::Copied,
            }));
        }
        if present.is_locked {
            return Err(left_alone());
        }
        if self.has_foreign_names(present)? {
            return self.copy_new();
        }
        let file = match engine.opening(|| target.open_file(self.name)) {
            Ok(file) => file,
            // One that we may not read can still be replaced.
            Err(error) if error.is_refused() || error.is_missing() => return self.copy_new(),
            Err(error) => return Err(engine.target_problem(&error)),
        };
        let opened = file.meta().map_err(|error| engine.target_problem(&error))?;
        if !engine.is_as_seen(&opened, present) {
            // Somebody put another there since, or gave it another name: that one is not ours to change.
            return self.copy_new();
        }
        let wanted = Wanted {
            meta,
            xattrs: &xattrs,
        };
        engine.check_fence()?;
        let changed = self.keep(At::File(&file), wanted, &Present::of(present, found))?;
        if changed && engine.durability == Durability::File {
            watch::asking_for_much(|| file.sync())
                .map_err(|error| engine.target_problem(&error))?;
        }
        Ok(Done::Now(match changed {
            true => Verdict::Copied,
            false => Verdict::Unchanged,
        }))
    }

    /// Copies the file, whatever has its name at the target.
    pub(crate) fn copy_new(&mut self) -> Result<Done, Problem> {
        self.copy_as(Replace::Allowed)
    }

    fn copy_as(&mut self, replace: Replace) -> Result<Done, Problem> {
        let engine = self.engine;
        let at_once = !self.is_walk() && engine.durability != Durability::None;
        let Some(written) = self.write_copy(engine.syncs_each_file || at_once)? else {
            return Ok(Done::AtEnd);
        };
        if self.is_walk() && written.source.nlink > 1 {
            self.tally.note(Note::HardLinks);
        }
        if self.is_walk() && engine.durability == Durability::Batch {
            let unpublished = Unpublished {
                node: Arc::clone(self.node),
                source: Arc::clone(self.source),
                name: self.name.to_owned(),
                written,
                replace,
            };
            engine.put_in_batch(unpublished, self.scratch)?;
            return Ok(Done::Later);
        }
        self.publish(&written, replace)?;
        Ok(Done::Now(Verdict::CopiedFile(written.bytes)))
    }

    /// Gives a written file its final name.
    pub(crate) fn publish(&mut self, written: &Written, replace: Replace) -> Result<(), Problem> {
        let Some((seq, temp)) = &written.temp else {
            return Ok(());
        };
        self.rename_temp(*seq, temp, replace)
    }
}

pub(crate) fn changed(how: &str) -> Problem {
    Problem::Entry(Verdict::Failed {
        class: FailureClass::Changed,
        error: format!("the source changed: {how}"),
    })
}

/// Nobody may change or replace it, until its mark is taken off.
fn left_alone() -> Problem {
    conflict("it is immutable or append-only at the target, and left alone")
}
