//! The names of one directory, held in memory, so that what is not begun of them can become another's.
//!
//! A directory that may be shared is read before anything in it is begun. If it has fewer names than make it huge, they
//! are taken as they were read. Those of a huge one are taken in the order of their hashes: a [`Window`] holds the lowest, and
//! when they are used up the directory is read again for the next. So what is not begun is always a range of hashes, which can
//! be cut at any moment, and memory is bounded however many names there are.

use std::ffi::CStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use model::{HashRange, name_hash};
use storage::posix::{Dir, Error, Kind, Listed, ListingBuffer};

/// Names held by all directories of an attempt together, in bytes.
const ALL_BYTES: usize = 64 << 20;

/// Names of one huge directory, at the most.
const MOST_BYTES: usize = 16 << 20;

/// So many times as many names as make a directory huge are held of it.
const MOST_TIMES: usize = 8;

/// So much each directory may hold whatever the others do.
const LEAST_BYTES: usize = 64 << 10;

/// What directories hold of names, beyond the least of each.
#[derive(Default)]
pub(crate) struct Room {
    used: AtomicUsize,
}

impl Room {
    /// What one more may hold: a quarter of what is left, so that there is always some.
    fn left(&self) -> usize {
        let left = ALL_BYTES.saturating_sub(self.used.load(Ordering::Relaxed));
        (left / 4).clamp(LEAST_BYTES, MOST_BYTES)
    }

    fn reserve(self: &Arc<Self>, bytes: usize) -> Reserved {
        self.used.fetch_add(bytes, Ordering::Relaxed);
        Reserved {
            room: Arc::clone(self),
            bytes,
        }
    }
}

struct Reserved {
    room: Arc<Room>,
    bytes: usize,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.room.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Of so many names that were read, one is to be taken before all that is left may go to others: who gets it has to read them
/// all again.
const PAYS_FOR: u64 = 16;

/// Names that may be read for one that is handed over: a request brings hundreds, and the least that is done with a name takes
/// several. So reading them makes up about a tenth, by estimate.
const READ_FOR_EACH: u64 = 512;

/// Worth an item in a root however few there are beside them, and so many more for each level below: going through a
/// directory on both sides takes two requests, what is done with a name some fifteen.
const LEAST_NAMES: u64 = 32;
const NAMES_A_LEVEL: u64 = 1;

/// Names, and how many of them are taken.
#[derive(Default)]
pub(crate) struct NameList {
    /// NUL after each.
    bytes: Vec<u8>,
    entries: Vec<Named>,
    taken: usize,
    reserved: Option<Reserved>,
}

#[derive(Clone, Copy)]
struct Named {
    /// Of names that are not in the order of their hashes: 0.
    hash: u64,
    begin: u32,
    kind: Kind,
}

impl NameList {
    fn push(&mut self, hash: u64, name: &CStr, kind: Kind) {
        let begin = u32::try_from(self.bytes.len()).expect("what is held has a bound far below");
        self.bytes.extend_from_slice(name.to_bytes_with_nul());
        self.entries.push(Named { hash, begin, kind });
    }

    fn name(&self, named: &Named) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes[named.begin as usize..]).unwrap_or_default()
    }

    fn held_bytes(&self) -> usize {
        self.bytes.len() + self.entries.len() * size_of::<Named>()
    }

    pub(crate) fn len(&self) -> usize {
        self.left().len()
    }

    fn left(&self) -> &[Named] {
        &self.entries[self.taken..]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.left().is_empty()
    }

    /// Takes the next `n`.
    pub(crate) fn take(&mut self, n: usize, mut each: impl FnMut(&CStr, Kind)) {
        let left = self.left();
        let n = n.min(left.len());
        for named in &left[..n] {
            each(self.name(named), named.kind);
        }
        self.taken += n;
    }
}

/// Names of a huge directory.
pub(crate) struct Window {
    /// In the order of their hashes.
    names: NameList,
    /// Hashes that are not begun.
    left: Option<HashRange>,
    /// The last hash whose names are held; those beyond are to be read.
    held_to: u64,
    /// Names beyond.
    beyond: u64,
    /// Names to be taken before the reading has paid.
    owed: u64,
    /// Names that were read for it.
    read: u64,
}

impl Window {
    /// Whether so much of what was read is begun that reading it was not for nothing.
    pub(crate) fn has_paid(&self) -> bool {
        self.owed == 0
    }

    /// Names that are worth an item of their own: it finds its way through so many components, and reads all of the
    /// directory for them.
    pub(crate) fn least_names(&self, depth: usize) -> u64 {
        let way = LEAST_NAMES + NAMES_A_LEVEL * depth as u64;
        way.max(self.read / READ_FOR_EACH)
    }

    /// What of the directory is not begun; none: all is.
    pub(crate) fn left(&self) -> Option<HashRange> {
        self.left
    }

    /// How many names that is, as far as is known.
    pub(crate) fn left_names(&self) -> u64 {
        self.names.left().len() as u64 + self.beyond
    }

    /// The hashes whose names are held.
    pub(crate) fn held(&self) -> Option<HashRange> {
        HashRange::new(self.left?.from(), self.held_to)
    }

    /// What has to be read next, when nothing more is held.
    pub(crate) fn to_be_read(&self) -> Option<HashRange> {
        match self.names.is_empty() {
            true => self.left,
            false => None,
        }
    }

    /// Takes `n` names, and those of the same hash as the last.
    pub(crate) fn take(&mut self, n: usize, each: impl FnMut(&CStr, Kind)) {
        let left = self.names.left();
        let mut n = n.min(left.len());
        while 0 < n && n < left.len() && left[n].hash == left[n - 1].hash {
            n += 1;
        }
        self.names.take(n, each);
        self.owed = self.owed.saturating_sub(n as u64);
        let begun = match self.names.left() {
            [] => self.held_to.checked_add(1),
            [next, ..] => Some(next.hash),
        };
        self.left = self
            .left
            .zip(begun)
            .and_then(|(left, begun)| left.since(begun));
    }

    /// Leaves hashes from `cut` on to others.
    pub(crate) fn cut(&mut self, cut: u64) {
        let names = &mut self.names;
        let kept = names.entries.partition_point(|named| named.hash < cut);
        names.entries.truncate(kept.max(names.taken));
        let before = self.width_beyond();
        self.left = self.left.and_then(|left| left.before(cut));
        // Hashes are spread evenly.
        let part = self.width_beyond() / before.max(1.0);
        self.beyond = (self.beyond as f64 * part) as u64;
        self.held_to = self.held_to.min(cut.saturating_sub(1));
    }

    fn width_beyond(&self) -> f64 {
        let beyond = self.held_to.checked_add(1);
        let range = beyond.and_then(|beyond| self.left?.since(beyond));
        range.map_or(0.0, |range| range.width())
    }
}

/// What came of reading a directory.
pub(crate) enum Read {
    /// All its names, as they were read.
    Whole(NameList),
    Huge(Window),
}

/// A directory that is being read.
pub(crate) struct Reading {
    room: Arc<Room>,
    most_bytes: usize,
    /// With more names a directory is huge.
    huge_from: usize,
    is_huge: bool,
    names: NameList,
    /// The hashes asked for.
    asked: HashRange,
    /// Of them, those whose names are kept.
    kept: HashRange,
    beyond: u64,
    /// All names that were met, whosever they are.
    met: u64,
}

impl Reading {
    /// All names, of a directory that is huge if it has more than so many.
    pub(crate) fn all(room: &Arc<Room>, huge_from: usize) -> Self {
        Self {
            room: Arc::clone(room),
            most_bytes: room.left(),
            huge_from,
            is_huge: false,
            names: NameList::default(),
            asked: HashRange::ALL,
            kept: HashRange::ALL,
            beyond: 0,
            met: 0,
        }
    }

    /// Those with the lowest hashes of a range, of a huge directory.
    pub(crate) fn range(room: &Arc<Room>, huge_from: usize, asked: HashRange) -> Self {
        let most_bytes = room.left();
        let names = NameList {
            reserved: Some(room.reserve(most_bytes)),
            ..NameList::default()
        };
        Self {
            room: Arc::clone(room),
            most_bytes,
            huge_from,
            is_huge: true,
            names,
            asked,
            kept: asked,
            beyond: 0,
            met: 0,
        }
    }

    /// Reads `dir` to its end, while `goes_on`; the error is what broke it off. What has been read till then counts.
    pub(crate) fn read(
        mut self,
        dir: &Dir,
        buffer: &mut ListingBuffer,
        goes_on: impl Fn() -> bool,
    ) -> (Read, Option<Error>) {
        let broken = loop {
            let listed = dir.list_chunk(buffer, |name, kind| self.add(name, kind));
            self.look_whether_huge();
            match listed {
                Ok(Listed::Chunk) if goes_on() => {}
                Ok(_) => break None,
                Err(error) => break Some(error),
            }
        };
        (self.finish(), broken)
    }

    fn add(&mut self, name: &CStr, kind: Kind) {
        self.met += 1;
        if !self.is_huge {
            return self.names.push(0, name, kind);
        }
        let hash = name_hash(name.to_bytes());
        if self.kept.contains(hash) {
            self.names.push(hash, name, kind);
            let most = self.huge_from.saturating_mul(MOST_TIMES);
            if self.holds_more_than(most) {
                self.keep_lower_half();
            }
        } else if self.asked.contains(hash) {
            self.beyond += 1;
        }
    }

    /// From here on the names are kept by their hashes.
    fn look_whether_huge(&mut self) {
        if self.is_huge || !self.holds_more_than(self.huge_from) {
            return;
        }
        let read = std::mem::take(&mut self.names);
        *self = Self::range(&self.room, self.huge_from, self.asked);
        for named in &read.entries {
            self.add(read.name(named), named.kind);
        }
    }

    fn holds_more_than(&self, names: usize) -> bool {
        self.names.entries.len() > names || self.names.held_bytes() > self.most_bytes
    }

    fn keep_lower_half(&mut self) {
        let names = std::mem::take(&mut self.names);
        let NameList {
            mut entries,
            bytes,
            reserved,
            ..
        } = names;
        let half = entries.len() / 2;
        let (_, middle, _) = entries.select_nth_unstable_by_key(half, |named| named.hash);
        let cut = middle.hash;
        let lower = self.kept.before(cut);
        let before = entries.len();
        if let Some(lower) = lower {
            entries.retain(|named| lower.contains(named.hash));
            self.kept = lower;
        }
        self.beyond += (before - entries.len()) as u64;
        let all = NameList {
            bytes,
            ..NameList::default()
        };
        self.names.reserved = reserved;
        for named in &entries {
            self.names.push(named.hash, all.name(named), named.kind);
        }
    }

    fn finish(self) -> Read {
        match self.is_huge {
            true => Read::Huge(self.window()),
            false => Read::Whole(self.whole()),
        }
    }

    fn whole(self) -> NameList {
        let mut names = self.names;
        let bytes = names.held_bytes();
        names.reserved = (bytes > LEAST_BYTES).then(|| self.room.reserve(bytes));
        names
    }

    fn window(self) -> Window {
        let mut names = self.names;
        names.entries.sort_unstable_by_key(|named| named.hash);
        Window {
            names,
            left: Some(self.asked),
            held_to: self.kept.to(),
            beyond: self.beyond,
            owed: self.met / PAYS_FOR,
            read: self.met,
        }
    }
}

#[cfg(test)]
mod tests;
