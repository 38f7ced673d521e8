//! What of a file nobody has begun: few runs of bytes, however large the file is, cut as they are taken.

use std::collections::VecDeque;
use std::iter;
use std::ops::Range;

use super::PART_BYTES;

/// A range is cut into so many parts at least: of what all threads of a worker have in hand at once little more than a range is
/// begun, and can't be given to others at the end any more.
const PARTS_OF_A_RANGE: u64 = 8;

/// Ranges are whole multiples of it.
const MIN_PART_BYTES: u64 = model::config::RANGE_UNIT_BYTES;

#[derive(Debug)]
pub(crate) struct Todo {
    /// Of the file.
    size: u64,
    /// Parts end at multiples of it.
    part_bytes: u64,
    /// Ranges begin at multiples of it.
    range_bytes: Option<u64>,
    /// Disjoint, none empty.
    runs: VecDeque<Range<u64>>,
}

impl Todo {
    /// These parts of a file of `size` bytes, as they were cut before.
    pub(crate) fn parts(size: u64, parts: impl IntoIterator<Item = Range<u64>>) -> Self {
        let runs = parts.into_iter().filter(|part| !part.is_empty()).collect();
        Self {
            size,
            part_bytes: u64::MAX,
            range_bytes: None,
            runs,
        }
    }

    /// A file, whole.
    pub(crate) fn whole(size: u64) -> Self {
        Self {
            part_bytes: PART_BYTES,
            ..Self::parts(size, iter::once(0..size))
        }
    }

    /// A file, of which others may take ranges of so many bytes.
    pub(crate) fn in_ranges(size: u64, range_bytes: u64) -> Self {
        Self {
            part_bytes: part_bytes(range_bytes),
            range_bytes: Some(range_bytes),
            ..Self::whole(size)
        }
    }

    /// One range of a file of `size` bytes.
    pub(crate) fn range(size: u64, range: Range<u64>) -> Self {
        Self {
            part_bytes: part_bytes(range.end - range.start),
            ..Self::parts(size, iter::once(range))
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.runs.clear();
    }

    /// To be done after all others.
    pub(super) fn add(&mut self, run: Range<u64>) {
        if !run.is_empty() {
            self.runs.push_back(run);
        }
    }

    /// The next part; it lies in one range.
    pub(super) fn take(&mut self) -> Option<Range<u64>> {
        let run = self.runs.front_mut()?;
        let mut end = run.end.min(next_multiple(run.start, self.part_bytes));
        if let Some(each) = self.range_bytes {
            end = end.min(next_multiple(run.start, each));
        }
        let part = run.start..end;
        run.start = end;
        if run.is_empty() {
            self.runs.pop_front();
        }
        Some(part)
    }

    /// There is only a hole from `from` to `to`.
    pub(super) fn skip(&mut self, from: u64, to: u64) {
        while let Some(run) = self.runs.front_mut() {
            if run.start < from || run.start >= to {
                return;
            }
            if to < run.end {
                run.start = run.start.max(to / self.part_bytes * self.part_bytes);
                return;
            }
            self.runs.pop_front();
        }
    }

    /// Takes about half of the ranges of which nothing is begun, from the end.
    pub(super) fn take_ranges(&mut self, at_most: u64) -> Vec<Range<u64>> {
        let Some(each) = self.range_bytes else {
            return Vec::new();
        };
        let whole = |run: &Range<u64>| {
            let first = run.start.div_ceil(each);
            let end = match run.end == self.size {
                true => run.end.div_ceil(each),
                false => run.end / each,
            };
            first..end.max(first)
        };
        let runs = self.runs.iter();
        let all: u64 = runs.map(whole).map(|n| n.end - n.start).sum();
        let mut left = all.div_ceil(2).min(at_most);
        let mut taken = Vec::new();
        let mut kept = VecDeque::new();
        while let Some(run) = self.runs.pop_back() {
            let numbers = whole(&run);
            let n = left.min(numbers.end - numbers.start);
            left -= n;
            let ranges = (numbers.end - n..numbers.end)
                .map(|nth| nth * each..(nth.saturating_add(1)).saturating_mul(each).min(self.size));
            let ranges: Vec<_> = ranges.collect();
            let (from, to) = match (ranges.first(), ranges.last()) {
                (Some(first), Some(last)) => (first.start, last.end),
                _ => (run.end, run.end),
            };
            for rest in [to..run.end, run.start..from] {
                if !rest.is_empty() {
                    kept.push_front(rest);
                }
            }
            taken.extend(ranges);
        }
        self.runs = kept;
        taken
    }
}

fn part_bytes(range_bytes: u64) -> u64 {
    let part = (range_bytes / PARTS_OF_A_RANGE).min(PART_BYTES);
    (part / MIN_PART_BYTES).max(1) * MIN_PART_BYTES
}

fn next_multiple(at: u64, of: u64) -> u64 {
    (at / of).saturating_add(1).saturating_mul(of)
}

#[cfg(test)]
mod tests {
    use super::{PART_BYTES, Todo};

    const P: u64 = PART_BYTES;

    /// As if ranges were large.
    fn in_ranges(size: u64, each: u64) -> Todo {
        Todo {
            part_bytes: P,
            ..Todo::in_ranges(size, each)
        }
    }

    fn parts(mut todo: Todo) -> Vec<std::ops::Range<u64>> {
        std::iter::from_fn(|| todo.take()).collect()
    }

    fn taken(todo: &mut Todo) -> Vec<(u64, u64)> {
        let ranges = todo.take_ranges(64).into_iter();
        ranges.map(|range| (range.start, range.end)).collect()
    }

    #[test]
    fn no_part_lies_in_two_ranges() {
        let (size, each) = (24 * P, 12 * P + P / 2);
        let all = parts(Todo::in_ranges(size, each));
        let expected: Vec<_> = (0..12)
            .map(|n| n * P..(n + 1) * P)
            .chain([12 * P..each, each..13 * P])
            .chain((13..24).map(|n| n * P..(n + 1) * P))
            .collect();
        assert_eq!(all, expected);
    }

    #[test]
    fn a_range_is_for_many_threads_also_where_it_is_small() {
        const MIB: u64 = 1 << 20;
        let lengths = |todo| -> Vec<u64> {
            let lengths = parts(todo).into_iter();
            lengths.map(|part| (part.end - part.start) / MIB).collect()
        };
        assert_eq!(lengths(Todo::in_ranges(32 * MIB, 16 * MIB)), [2; 16]);
        assert_eq!(
            lengths(Todo::range(1 << 40, 16 * MIB..32 * MIB)),
            [2; 8],
            "its own"
        );
        assert_eq!(lengths(Todo::in_ranges(3 * MIB, MIB)), [1; 3]);
        assert_eq!(lengths(Todo::in_ranges(16 * P, 16 * P)), [P / MIB; 16]);
    }

    #[test]
    fn what_is_read_again_is_cut_as_it_was_written() {
        let (size, each) = (20 * P + 1, 4 * P - (1 << 20));
        let written = parts(Todo::in_ranges(size, each));
        assert_eq!(parts(Todo::parts(size, written.clone())), written);
    }

    #[test]
    fn a_hole_is_left_out_up_to_the_part_with_data() {
        let mut todo = in_ranges(9 * P, 4 * P);
        assert_eq!(todo.take(), Some(0..P));
        todo.skip(P, 3 * P + 5);
        assert_eq!(todo.take(), Some(3 * P..4 * P));
        // It says nothing of what lies before it.
        todo.skip(5 * P, 6 * P);
        assert_eq!(todo.take(), Some(4 * P..5 * P));
        todo.skip(5 * P, u64::MAX);
        assert!(todo.is_empty());
    }

    #[test]
    fn half_of_the_whole_ranges_are_taken_from_the_end() {
        let (each, size) = (2 * P, 9 * P + 1);
        let mut todo = in_ranges(size, each);
        assert_eq!(todo.take(), Some(0..P));
        // Of four whole ones: the first has been begun.
        assert_eq!(taken(&mut todo), [(6 * P, 8 * P), (8 * P, size)]);
        assert_eq!(taken(&mut todo), [(4 * P, 6 * P)]);
        assert_eq!(taken(&mut todo), [(2 * P, 4 * P)]);
        assert_eq!(taken(&mut todo), []);
        todo.add(8 * P..size);
        todo.add(4 * P + 1..6 * P);
        assert_eq!(taken(&mut todo), [(8 * P, size)]);
        let left = [P..2 * P, 4 * P + 1..5 * P, 5 * P..6 * P];
        assert_eq!(parts(todo), left);
    }

    /// Sparse files may be that large.
    #[test]
    fn the_largest_file_takes_no_memory() {
        let size = i64::MAX as u64;
        let mut todo = Todo::in_ranges(size, 1 << 20);
        let taken = todo.take_ranges(3);
        assert_eq!((taken.len(), taken[2].end), (3, size));
        assert_eq!(todo.take(), Some(0..1 << 20));
        todo.skip(1 << 20, u64::MAX);
        assert!(todo.is_empty());
    }
}
