//! How long calls took.

use std::time::Duration;

use crate::numbers::{Numbers, Wanted};

#[derive(Debug, Default)]
pub(crate) struct Latencies {
    all: Vec<Duration>,
}

impl Latencies {
    pub(crate) fn add(&mut self, took: Duration) {
        self.all.push(took);
    }

    pub(crate) fn join(&mut self, other: Self) {
        self.all.extend(other.all);
    }

    /// The least time that `share` of the calls did not exceed; zero without calls.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let mut sorted = self.all.clone();
        sorted.sort();
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted
            .get(rank.saturating_sub(1))
            .copied()
            .unwrap_or_default()
    }

    /// Median and 99th percentile, of which the second may be wanted small.
    pub(crate) fn tell(&self, numbers: &mut Numbers, call: &str, wanted: Wanted) {
        for (share, name, wanted) in [(0.5, "p50", Wanted::Beside), (0.99, "p99", wanted)] {
            let ms = self.quantile(share).as_secs_f64() * 1e3;
            numbers.add(&format!("{call}, {name}"), ms, "ms", wanted);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Latencies;

    #[test]
    fn quantiles_are_times_that_calls_took() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.quantile(0.5), Duration::ZERO);
        for ms in (1..=100).rev() {
            latencies.add(Duration::from_millis(ms));
        }
        assert_eq!(latencies.quantile(0.5), Duration::from_millis(50));
        assert_eq!(latencies.quantile(0.99), Duration::from_millis(99));
        assert_eq!(latencies.quantile(1.0), Duration::from_millis(100));
    }
}
