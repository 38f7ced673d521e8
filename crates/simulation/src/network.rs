//! How long messages take, and which are lost or come twice.

use crate::random::Random;

#[derive(Debug)]
pub struct Network {
    random: Random,
    /// Of a thousand messages.
    pub lost: u64,
    pub doubled: u64,
    pub slow: u64,
    pub counts: Counts,
}

#[derive(Debug, Default, Clone, Copy)]
pub struct Counts {
    pub lost: u64,
    pub doubled: u64,
    pub slow: u64,
    pub cut: u64,
}

/// A slow message takes so long at the most: others overtake it, and who waits for it has given up.
const SLOWEST_MS: u64 = 15_000;

impl Network {
    /// A good one.
    pub fn new(random: Random) -> Self {
        Self {
            random,
            lost: 0,
            doubled: 0,
            slow: 0,
            counts: Counts::default(),
        }
    }

    pub fn is_well(&mut self) {
        (self.lost, self.doubled, self.slow) = (0, 0, 0);
    }

    /// When a message that is sent now arrives: never, once, or twice.
    pub fn delays(&mut self, is_cut: bool) -> Vec<u64> {
        if is_cut {
            self.counts.cut += 1;
            return Vec::new();
        }
        if self.random.chance(self.lost) {
            self.counts.lost += 1;
            return Vec::new();
        }
        let mut delays = vec![self.delay()];
        if self.random.chance(self.doubled) {
            self.counts.doubled += 1;
            delays.push(self.delay());
        }
        delays
    }

    fn delay(&mut self) -> u64 {
        if self.random.chance(self.slow) {
            self.counts.slow += 1;
            return self.random.between(100, SLOWEST_MS);
        }
        self.random.between(1, 30)
    }
}
