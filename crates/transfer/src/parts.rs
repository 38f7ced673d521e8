//! A big file is copied, read back, and compared in parts: by the thread that met it, and by all that have nothing else to do.
//!
//! The thread that met it stays with it. It does parts itself, waits for those that others have in hand, and judges
//! the whole alone, so that a file of which a part failed is dropped like any other. No part is handed out after one
//! that failed.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use model::RelPath;
use storage::posix::File;

use crate::attempt::Stopped;
use crate::bytes::{Broken, Copying};
use crate::engine::{Engine, lock};
use crate::entry::Entry;
use crate::full_read::{Ends, hash_part};
use crate::queue::Job;
use crate::threads::Scratch;
use crate::verify::Sides;
use crate::watch;

/// Bytes of one part: long enough that taking it costs nothing, and whole for every alignment asked for.
const PART_BYTES: u64 = 64 << 20;

/// Smaller files are not worth it.
const MIN_BYTES: u64 = 2 * PART_BYTES;

/// What is done with each part.
pub(crate) enum Work {
    Copy(Copying),
    /// Compare what is read with the hashes of what was written.
    ReadBack(File, Vec<blake3::Hash>),
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

/// What became of all of them.
pub(crate) struct AllDone {
    pub(crate) are_right: bool,
    /// One for each part, where they were asked for.
    pub(crate) hashes: Vec<blake3::Hash>,
}

/// The parts of one file that are still to be done.
pub(crate) struct Parts {
    path: Arc<RelPath>,
    size: u64,
    state: Mutex<State>,
    put_back: Condvar,
}

struct State {
    /// `None` when the one who waits for all has it back.
    work: Option<Arc<Work>>,
    next: u64,
    in_hand: usize,
    hashes: BTreeMap<u64, blake3::Hash>,
    differs: bool,
    broken: Option<Broken>,
}

/// A part that one thread has in hand.
struct Part<'a> {
    parts: &'a Parts,
    begin: u64,
    work: Option<Arc<Work>>,
}

/// Whether it is worth while to have several threads read and hash a file of this size.
pub(crate) fn is_big(size: u64) -> bool {
    size >= MIN_BYTES
}

impl Parts {
    fn new(path: Arc<RelPath>, size: u64, work: Work) -> Self {
        let state = State {
            work: Some(Arc::new(work)),
            next: 0,
            in_hand: 0,
            hashes: BTreeMap::new(),
            differs: false,
            broken: None,
        };
        Self {
            path,
            size,
            state: Mutex::new(state),
            put_back: Condvar::new(),
        }
    }

    fn take(&self) -> Option<Part<'_>> {
        let mut state = lock(&self.state);
        let begin = state.next;
        if begin >= self.size {
            return None;
        }
        let work = Arc::clone(state.work.as_ref()?);
        state.next = begin.saturating_add(PART_BYTES);
        state.in_hand += 1;
        Some(Part {
            parts: self,
            begin,
            work: Some(work),
        })
    }

    fn has_more(&self) -> bool {
        lock(&self.state).next < self.size
    }

    fn put_back(&self, begin: u64, done: Result<PartDone, Broken>) {
        let mut state = lock(&self.state);
        match done {
            Ok(done) => {
                state.differs |= !done.is_right;
                let skipped = done.next_data / PART_BYTES * PART_BYTES;
                state.next = state.next.max(skipped);
                if let Some(hash) = done.hash {
                    state.hashes.insert(begin, hash);
                }
            }
            Err(broken) => {
                state.broken.get_or_insert(broken);
            }
        }
        if state.differs || state.broken.is_some() {
            state.next = self.size;
        }
    }

    /// Blocks until nobody has a part in hand; afterwards nobody has the files either.
    fn wait(&self) -> Result<AllDone, Broken> {
        let mut state = lock(&self.state);
        state.next = self.size;
        while state.in_hand > 0 {
            let waited = self.put_back.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        state.work = None;
        match state.broken.take() {
            Some(broken) => Err(broken),
            None => Ok(AllDone {
                are_right: !state.differs,
                hashes: std::mem::take(&mut state.hashes).into_values().collect(),
            }),
        }
    }
}

impl Part<'_> {
    fn perform(mut self, engine: &Engine, scratch: &mut Scratch) {
        let end = self.begin.saturating_add(PART_BYTES).min(self.parts.size);
        let Some(work) = &self.work else {
            return;
        };
        let bytes = self.begin..end;
        let ends = match end == self.parts.size {
            true => Ends::There,
            false => Ends::Later,
        };
        let of_hash = |is_right| PartDone {
            is_right,
            hash: None,
            next_data: 0,
        };
        let done = match &**work {
            Work::Copy(copying) => copying.part(engine, self.begin, end, scratch),
            Work::ReadBack(file, hashes) => {
                let buffer = &mut scratch.buffer;
                let go_on = |_| Ok(engine.check_on()?);
                let expected = hashes.get((self.begin / PART_BYTES) as usize);
                let read = hash_part(file, buffer, bytes, ends, Broken::Target, go_on);
                read.map(|read| of_hash(read.as_ref() == expected))
            }
            Work::Compare(sides) => sides.are_same(engine, bytes, ends, scratch).map(of_hash),
        };
        self.parts.put_back(self.begin, done);
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
            state.next = self.parts.size;
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
        if parts.has_more() {
            self.pool
                .with_queue(self, |queue| queue.push_help(Job::Help(Arc::clone(parts))));
        }
    }
}

impl Entry<'_> {
    /// Does something with all parts of a file, with whoever is free.
    pub(crate) fn do_in_parts(&mut self, size: u64, work: Work) -> Result<AllDone, Broken> {
        let parts = Arc::new(Parts::new(Arc::new(self.path()), size, work));
        self.engine.offer_parts(&parts);
        while let Some(part) = parts.take() {
            part.perform(self.engine, self.scratch);
        }
        watch::waiting(|| parts.wait())
    }

    /// Ends what was shared: nobody else has it any more.
    pub(crate) fn take_back(&self, file: Arc<File>) -> Result<File, Broken> {
        Arc::into_inner(file).ok_or_else(|| {
            let why = "internal: a file is closed while it is written".into();
            Broken::Problem(self.engine.stop_with(Stopped::Again(why)))
        })
    }
}
