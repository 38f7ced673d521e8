//! A big file is copied, read back, and compared in parts: by the thread that met it, and by all that have nothing else to do.
//!
//! The thread that met it stays with it. It does parts itself, waits for those that others have in hand, and judges
//! the whole alone, so that a file of which a part failed is dropped like any other. No part is handed out after one
//! that failed. Of a huge file whole ranges go to other workers in the same way ([`ranges`]).

mod ranges;
mod todo;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use model::{ItemId, RelPath};
use storage::posix::File;

use crate::attempt::Stopped;
use crate::bytes::{Broken, Copying, Hashed};
use crate::engine::{Engine, lock};
use crate::entry::Entry;
use crate::full_read::{Ends, hash_part};
use crate::queue::Job;
use crate::threads::Scratch;
use crate::verify::Sides;
use crate::watch;

use ranges::Pause;
pub(crate) use ranges::Shared;
pub(crate) use todo::Todo;

/// Bytes of one part at the most: long enough that taking it costs nothing, and whole for every alignment asked for.
const PART_BYTES: u64 = 64 << 20;

/// Smaller files are not worth it.
const MIN_BYTES: u64 = 2 * PART_BYTES;

/// What is done with each part.
pub(crate) enum Work {
    Copy(Copying),
    /// Compare what is read with the hash of what was written, by where it begins.
    ReadBack(File, BTreeMap<u64, blake3::Hash>),
    /// Compare what both sides hold.
    Compare(Sides),
}

/// What became of one part.
pub(crate) struct PartDone {
    /// Else the file is not what it was when it was begun, or not what was written.
    pub(crate) is_right: bool,
    pub(crate) hash: Option<blake3::Hash>,
    /// There is only a hole before.
    pub(crate) next_data: u64,
}

/// The parts of one file that are still to be done.
pub(crate) struct Parts {
    path: Arc<RelPath>,
    /// Of the file.
    size: u64,
    shared: Option<Shared>,
    state: Mutex<State>,
    put_back: Condvar,
}

struct State {
    /// `None` when the one who waits for all has it back.
    work: Option<Arc<Work>>,
    todo: Todo,
    in_hand: usize,
    /// What other items have.
    handed_over: Vec<(ItemId, Range<u64>)>,
    hashed: Vec<Hashed>,
    differs: bool,
    broken: Option<Broken>,
}

impl State {
    fn has_failed(&self) -> bool {
        self.differs || self.broken.is_some()
    }
}

/// A part that one thread has in hand.
struct Part<'a> {
    parts: &'a Parts,
    bytes: Range<u64>,
    work: Option<Arc<Work>>,
}

/// What the thread that stays with the file does next.
enum Next {
    Work,
    Ask(Vec<ItemId>),
    /// It has failed: nobody shall go on with these.
    GiveUp(Vec<ItemId>),
    End,
}

/// Whether it is worth while to have several threads read and hash a file of this size.
pub(crate) fn is_big(size: u64) -> bool {
    size >= MIN_BYTES
}

impl Parts {
    fn new(path: Arc<RelPath>, todo: Todo, work: Work, shared: Option<Shared>) -> Self {
        let size = todo.size();
        let state = State {
            work: Some(Arc::new(work)),
            todo,
            in_hand: 0,
            handed_over: Vec::new(),
            hashed: Vec::new(),
            differs: false,
            broken: None,
        };
        Self {
            path,
            size,
            shared,
            state: Mutex::new(state),
            put_back: Condvar::new(),
        }
    }

    fn take(&self) -> Option<Part<'_>> {
        let mut state = lock(&self.state);
        let work = Arc::clone(state.work.as_ref()?);
        let bytes = state.todo.take()?;
        state.in_hand += 1;
        Some(Part {
            parts: self,
            bytes,
            work: Some(work),
        })
    }

    fn has_more(&self) -> bool {
        !lock(&self.state).todo.is_empty()
    }

    /// Whether threads that have nothing else to do help.
    fn is_for_all(&self, engine: &Engine) -> bool {
        let state = lock(&self.state);
        let work = state.work.as_deref();
        work.is_some_and(|work| match work {
            Work::Copy(_) => engine.does_in_parts(self.size),
            Work::ReadBack(..) | Work::Compare(_) => true,
        })
    }

    fn put_back(&self, bytes: Range<u64>, done: Result<PartDone, Broken>) {
        let mut state = lock(&self.state);
        match done {
            Ok(done) => {
                state.differs |= !done.is_right;
                state.todo.skip(bytes.end, done.next_data);
                if let Some(hash) = done.hash {
                    state.hashed.push(Hashed { bytes, hash });
                }
            }
            Err(broken) => {
                state.broken.get_or_insert(broken);
            }
        }
        if state.has_failed() {
            state.todo.clear();
        }
    }

    /// Blocks until nobody has a part in hand.
    fn next(&self) -> Next {
        let mut state = lock(&self.state);
        loop {
            if !state.todo.is_empty() {
                return Next::Work;
            }
            if state.in_hand == 0 {
                break;
            }
            let waited = self.put_back.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        let ids: Vec<ItemId> = state.handed_over.iter().map(|(id, _)| *id).collect();
        match (ids.is_empty(), state.has_failed()) {
            (true, _) => {
                state.work = None;
                Next::End
            }
            (false, true) => Next::GiveUp(ids),
            (false, false) => Next::Ask(ids),
        }
    }

    /// Nobody has it in hand any more. `None`: it is not what it was when it was begun, or not what was written.
    fn end(&self) -> Result<Option<Vec<Hashed>>, Broken> {
        let mut state = lock(&self.state);
        match state.broken.take() {
            Some(broken) => Err(broken),
            None if state.differs => Ok(None),
            None => Ok(Some(std::mem::take(&mut state.hashed))),
        }
    }
}

impl Part<'_> {
    fn perform(mut self, engine: &Engine, scratch: &mut Scratch) {
        let Some(work) = &self.work else {
            return;
        };
        let bytes = self.bytes.clone();
        let ends = match bytes.end == self.parts.size {
            true => Ends::There,
            false => Ends::Later,
        };
        let of_hash = |is_right| PartDone {
            is_right,
            hash: None,
            next_data: 0,
        };
        let done = match &**work {
            Work::Copy(copying) => copying.part(engine, bytes.start, bytes.end, scratch),
            Work::ReadBack(file, hashes) => {
                let buffer = &mut scratch.buffer;
                let go_on = |_| Ok(engine.check_on()?);
                let expected = hashes.get(&bytes.start);
                let read = hash_part(file, buffer, bytes, ends, Broken::Target, go_on);
                read.map(|read| of_hash(read.as_ref() == expected))
            }
            Work::Compare(sides) => sides.are_same(engine, bytes, ends, scratch).map(of_hash),
        };
        self.parts.put_back(self.bytes.clone(), done);
        self.work = None;
    }
}

/// Also when its thread panicked, so that nobody waits for it for ever.
impl Drop for Part<'_> {
    fn drop(&mut self) {
        let was_done = self.work.take().is_none();
        let mut state = lock(&self.parts.state);
        if !was_done {
            state.differs = true;
            state.todo.clear();
        }
        state.in_hand -= 1;
        self.parts.put_back.notify_all();
    }
}

impl Engine {
    /// Whether a file of this size is copied in parts. On this machine's own file systems those who write to one file wait for each
    /// other in the kernel, so that only hashing is worth it.
    pub(crate) fn does_in_parts(&self, size: u64) -> bool {
        is_big(size) && (self.reads_back() || !self.is_local)
    }

    /// Helps with one part; what is left after it is there for the next.
    pub(crate) fn help(&self, parts: &Arc<Parts>, scratch: &mut Scratch) {
        let Some(part) = parts.take() else {
            return;
        };
        self.offer_parts(parts);
        watch::at(Some(Arc::clone(&parts.path)));
        part.perform(self, scratch);
    }

    fn offer_parts(&self, parts: &Arc<Parts>) {
        if parts.is_for_all(self) && parts.has_more() {
            self.pool
                .with_queue(self, |queue| queue.push_help(Job::Help(Arc::clone(parts))));
        }
    }

    /// Does something with all parts of a file, with whoever is free. `None`: see [`Parts::end`].
    pub(crate) fn do_in_parts(
        self: &Arc<Self>,
        path: Arc<RelPath>,
        size: u64,
        work: Work,
        scratch: &mut Scratch,
    ) -> Result<Option<Vec<Hashed>>, Broken> {
        self.do_these(path, Todo::whole(size), work, scratch)
    }

    /// As [`Engine::do_in_parts`], with these parts alone.
    pub(crate) fn do_these(
        self: &Arc<Self>,
        path: Arc<RelPath>,
        todo: Todo,
        work: Work,
        scratch: &mut Scratch,
    ) -> Result<Option<Vec<Hashed>>, Broken> {
        let parts = Arc::new(Parts::new(path, todo, work, None));
        self.stay_with(&parts, scratch)
    }

    fn stay_with(
        self: &Arc<Self>,
        parts: &Arc<Parts>,
        scratch: &mut Scratch,
    ) -> Result<Option<Vec<Hashed>>, Broken> {
        let mut pause = Pause::default();
        loop {
            self.offer_parts(parts);
            while let Some(part) = parts.take() {
                part.perform(self, scratch);
                self.share_if_wanted();
            }
            match watch::waiting(|| parts.next()) {
                Next::Work => {}
                Next::Ask(ranges) => {
                    pause.heard(self.ask_for(parts, &ranges, false)?);
                    if !parts.has_more() {
                        let rest = || watch::waiting(|| parts.rest(&pause));
                        self.pool.wait_for_others(rest);
                    }
                }
                Next::GiveUp(ranges) => {
                    self.ask_for(parts, &ranges, true)?;
                }
                Next::End => return parts.end(),
            }
        }
    }
}

impl Entry<'_> {
    /// Ends what was shared: nobody else has it any more.
    pub(crate) fn take_back(&self, file: Arc<File>) -> Result<File, Broken> {
        Arc::into_inner(file).ok_or_else(|| {
            let why = "internal: a file is closed while it is written".into();
            Broken::Problem(self.engine.stop_with(Stopped::Again(why)))
        })
    }
}
