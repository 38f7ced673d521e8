//! A range of a huge file, for another attempt, its owner, that made the copy, judges it and gives it its name.
//!
//! What is called done is written and durable as asked, is what the source held as the owner met it, and has been read
//! back where that is asked. Everything else hands the range back, and the owner does it again itself. No byte is
//! written that was not read under the lease, which is looked at between reading and writing: so what a thread writes that was
//! held up for however long is what stands there already (decision 0029).

use std::sync::Arc;

use model::{Durability, RangeWork, RelPath};
use storage::posix::{Dir, Error, File, Kind};

use crate::attempt::Stopped;
use crate::bytes::{Broken, By, Content, Copying, identity_of};
use crate::content::keeps_holes;
use crate::engine::{Engine, Problem, describe};
use crate::parts::{Todo, Work};
use crate::threads::Scratch;
use crate::watch;

impl Engine {
    /// Copies the range, which is all that this attempt is for.
    pub(crate) fn copy_range(
        self: &Arc<Self>,
        range: &RangeWork,
        scratch: &mut Scratch,
    ) -> Result<(), Problem> {
        watch::at(Some(Arc::new(range.file.clone())));
        self.write_range(range, scratch)
            .map_err(|broken| match broken {
                Broken::Problem(problem) => problem,
                Broken::Target(error) => self.stop_again(&error, &range.file),
                Broken::Source(error) => self.not_done(range, &describe(&error)),
            })
    }

    fn not_done(&self, range: &RangeWork, why: &str) -> Problem {
        let RangeWork { file, offset, .. } = range;
        self.stop_with(Stopped::Again(format!("{file} from byte {offset}: {why}")))
    }

    fn write_range(
        self: &Arc<Self>,
        range: &RangeWork,
        scratch: &mut Scratch,
    ) -> Result<(), Broken> {
        let not_done = |why: &str| Broken::Problem(self.not_done(range, why));
        let Some((parent, name)) = range.file.split_last() else {
            return Err(not_done("the root is no file"));
        };
        let Some(target_root) = &self.attempt.target else {
            return Err(not_done("there is no target"));
        };
        let source_dir = self
            .way_to(&self.attempt.source, &parent)
            .map_err(Broken::Source)?;
        let target_dir = self.way_to(target_root, &parent).map_err(Broken::Target)?;
        let source = self
            .opening(|| source_dir.open_file(name))
            .map_err(Broken::Source)?;
        let meta = source.meta().map_err(Broken::Source)?;
        if meta.kind != Kind::File || identity_of(&meta) != range.identity {
            return Err(not_done("the source has changed"));
        }
        self.check_fence()?;
        let temp = range.temp.as_bytes();
        let target = self.opening(|| target_dir.open_file_to_write(temp));
        let target = target.map_err(Broken::Target)?;
        let made = target.meta().map_err(Broken::Target)?;
        // One with a further name may lie outside of the root: its owner gave it none.
        if made.kind != Kind::File || made.ino != range.temp_inode || made.nlink > 1 {
            return Err(not_done("what it is to be written into is another file"));
        }
        let (source, target) = (Arc::new(source), Arc::new(target));
        let copying = Copying {
            keeps_holes: keeps_holes(self, &meta),
            source: Arc::clone(&source),
            target: Arc::clone(&target),
            by: By::Reading,
        };
        let path = Arc::new(range.file.clone());
        let todo = Todo::range(meta.size, range.offset..range.offset + range.length);
        let work = Work::Copy(copying);
        let done = self.do_these(Arc::clone(&path), todo, work, scratch)?;
        let Some(hashed) = done else {
            return Err(not_done("the source is shorter than it was"));
        };
        let target = Arc::into_inner(target);
        let target = target.ok_or_else(|| not_done("internal: it is written still"))?;
        if self.durability != Durability::None {
            watch::asking_for_much(|| target.sync()).map_err(Broken::Target)?;
        }
        if self.reads_back() {
            let content = Content {
                bytes: meta.size,
                hashed,
            };
            if !self.is_as_written(path, (&*target_dir, temp), &target, content, scratch)? {
                return Err(not_done("what was read back is not what was written"));
            }
        }
        target.close().map_err(Broken::Target)?;
        self.check_source(&source, range)
    }

    fn check_source(&self, source: &File, range: &RangeWork) -> Result<(), Broken> {
        let now = source.meta_again().map_err(Broken::Source)?;
        match identity_of(&now) == range.identity {
            true => Ok(()),
            false => Err(Broken::Problem(
                self.not_done(range, "the source changed meanwhile"),
            )),
        }
    }

    /// The directory, component by component; nothing is made.
    fn way_to(&self, root: &Arc<Dir>, path: &RelPath) -> Result<Arc<Dir>, Error> {
        let open = || root.open_below(path.components());
        self.opening(open).map(Arc::new)
    }
}
