//! How the names of one directory are shared: by ranges of a hash of the name.
//!
//! Every worker has to find the same hash, also after a restart and with another version: ranges are stored and sent.
//! Whoever makes names can't make many of one hash, so each range can be cut further.

/// The hash of a name: the first 8 bytes of its BLAKE3, little-endian.
pub fn name_hash(name: &[u8]) -> u64 {
    let hash = blake3::hash(name);
    let (first, _) = hash.as_bytes().split_at(8);
    u64::from_le_bytes(first.try_into().expect("8 bytes"))
}

/// Hashes from one to another, both included; never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashRange {
    from: u64,
    to: u64,
}

impl HashRange {
    /// All there are.
    pub const ALL: HashRange = HashRange {
        from: 0,
        to: u64::MAX,
    };

    /// `None` if there is nothing between them.
    pub fn new(from: u64, to: u64) -> Option<Self> {
        (from <= to).then_some(Self { from, to })
    }

    pub fn from(&self) -> u64 {
        self.from
    }

    pub fn to(&self) -> u64 {
        self.to
    }

    pub fn contains(&self, hash: u64) -> bool {
        (self.from..=self.to).contains(&hash)
    }

    /// What of it lies below `cut`.
    pub fn before(&self, cut: u64) -> Option<Self> {
        Self::new(self.from, self.to.min(cut.checked_sub(1)?))
    }

    /// What of it lies at `cut` and above.
    pub fn since(&self, cut: u64) -> Option<Self> {
        Self::new(self.from.max(cut), self.to)
    }

    /// How many hashes it has, about.
    pub fn width(&self) -> f64 {
        (self.to - self.from) as f64 + 1.0
    }

    /// Where its upper half begins.
    pub fn middle(&self) -> u64 {
        self.to - (self.to - self.from) / 2
    }

    /// Up to `n` parts of nearly one size that make it up, in order.
    pub fn parts(&self, n: usize) -> Vec<HashRange> {
        let width = u128::from(self.to - self.from) + 1;
        let n = (n.max(1) as u128).min(width);
        let at = |part: u128| self.from + (width * part / n) as u64;
        let end = |part: u128| self.from + (width * (part + 1) / n - 1) as u64;
        (0..n)
            .filter_map(|part| Self::new(at(part), end(part)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{HashRange, name_hash};

    #[test]
    fn a_name_keeps_its_hash() {
        // They are on users' disks as the bounds of ranges.
        assert_eq!(name_hash(b""), 0xa6a1_f9f5_b949_13af);
        assert_eq!(name_hash(b"a"), 0x53a4_69d9_dd2f_7617);
        assert_eq!(name_hash(b"\xff\n"), name_hash(&[255, 10]));
    }

    #[test]
    fn a_range_is_cut_without_a_gap_or_an_overlap() {
        let range = HashRange::new(10, 19).unwrap();
        for cut in 0..30 {
            let held = [range.before(cut), range.since(cut)];
            for hash in 0..30 {
                let holders = held.iter().flatten().filter(|part| part.contains(hash));
                assert_eq!(holders.count(), usize::from(range.contains(hash)));
            }
        }
        assert_eq!(range.middle(), 15);
        assert_eq!(HashRange::new(7, 7).unwrap().middle(), 7);
        assert_eq!(HashRange::new(8, 7), None);
        assert_eq!(HashRange::ALL.before(0), None);
        assert_eq!(HashRange::ALL.since(0), Some(HashRange::ALL));
    }

    #[test]
    fn parts_make_up_the_range() {
        for (range, n) in [
            (HashRange::ALL, 1),
            (HashRange::ALL, 7),
            (HashRange::new(5, 7).unwrap(), 8),
            (HashRange::new(u64::MAX, u64::MAX).unwrap(), 2),
        ] {
            let parts = range.parts(n);
            assert!(parts.len() <= n, "{parts:?}");
            assert_eq!(parts.first().unwrap().from(), range.from());
            assert_eq!(parts.last().unwrap().to(), range.to());
            for pair in parts.windows(2) {
                assert_eq!(pair[0].to() + 1, pair[1].from());
            }
        }
    }
}
