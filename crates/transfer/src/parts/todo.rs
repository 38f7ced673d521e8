//! What of a file nobody has begun: few runs of bytes, however large the file is, cut as they are taken.

use std::collections::VecDeque;
use std::ops::Range;

use super::PART_BYTES;

#[derive(Debug)]
pub(super) struct Todo {
    size: u64,
    /// Ranges begin at multiples of it.
    range_bytes: Option<u64>,
    /// Disjoint, none empty.
    runs: VecDeque<Range<u64>>,
}

impl Todo {
    /// Of a file of `size` bytes.
    pub(super) fn new(
        size: u64,
        runs: impl IntoIterator<Item = Range<u64>>,
        range_bytes: Option<u64>,
    ) -> Self {
        let runs = runs.into_iter().filter(|run| !run.is_empty()).collect();
        Self {
            size,
            range_bytes,
            runs,
        }
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

    /// The next part. It ends where every other cut of the same file would, so that what was hashed in parts is read again in
    /// the same, and lies in one range.
    pub(super) fn take(&mut self) -> Option<Range<u64>> {
        let run = self.runs.front_mut()?;
        let mut end = run.end.min(next_multiple(run.start, PART_BYTES));
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
                run.start = run.start.max(to / PART_BYTES * PART_BYTES);
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

fn next_multiple(at: u64, of: u64) -> u64 {
    (at / of).saturating_add(1).saturating_mul(of)
}

#[cfg(test)]
mod tests {
    use super::{PART_BYTES, Todo};

    const P: u64 = PART_BYTES;

    fn parts(mut todo: Todo) -> Vec<std::ops::Range<u64>> {
        std::iter::from_fn(|| todo.take()).collect()
    }

    fn taken(todo: &mut Todo) -> Vec<(u64, u64)> {
        let ranges = todo.take_ranges(64).into_iter();
        ranges.map(|range| (range.start, range.end)).collect()
    }

    #[test]
    fn no_part_lies_in_two_ranges() {
        let todo = Todo::new(3 * P, std::iter::once(0..3 * P), Some(P + P / 2));
        let cuts = [0, P, P + P / 2, 2 * P, 3 * P];
        let expected: Vec<_> = cuts.windows(2).map(|cut| cut[0]..cut[1]).collect();
        assert_eq!(parts(todo), expected);
    }

    #[test]
    fn a_hole_is_left_out_up_to_the_part_with_data() {
        let mut todo = Todo::new(9 * P, std::iter::once(0..9 * P), Some(4 * P));
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
        let mut todo = Todo::new(size, std::iter::once(0..size), Some(each));
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
        let mut todo = Todo::new(size, std::iter::once(0..size), Some(1 << 20));
        let taken = todo.take_ranges(3);
        assert_eq!((taken.len(), taken[2].end), (3, size));
        assert_eq!(todo.take(), Some(0..1 << 20));
        todo.skip(1 << 20, u64::MAX);
        assert!(todo.is_empty());
    }
}
