//! How many threads of a pool work at once.
//!
//! Where calls wait for a network, as many as there may be. Else it begins with as many as there are processors; when work
//! waits although they don't have enough to do, as with a disk that takes its time, twice as many are tried, and
//! kept if they get more done. If not, they waited for each other, and it stays as it was for some time.

use std::time::{Duration, Instant};

use storage::posix::process_cpu_time;

/// How often it is looked at.
pub(crate) const INTERVAL: Duration = Duration::from_millis(20);

/// The part of the processors' time below which they don't have enough to do.
const ENOUGH_TO_DO: f64 = 0.75;

/// How much more twice the threads must get done.
const WORTHWHILE: f64 = 1.1;

/// After a try in vain.
const REST: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(crate) struct Load {
    limit: usize,
    processors: usize,
    at_once: usize,
    jobs: u64,
    last: Option<Look>,
    tried: Option<Tried>,
    rests_until: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Look {
    at: Instant,
    used: Duration,
    jobs: u64,
}

/// More threads are being tried.
#[derive(Debug, Clone, Copy)]
struct Tried {
    at_once_before: usize,
    rate_before: f64,
}

impl Load {
    pub(crate) fn new(limit: usize, processors: usize) -> Self {
        Self {
            limit,
            processors,
            at_once: limit.min(processors),
            ..Self::default()
        }
    }

    /// Threads that may work at the same time.
    pub(crate) fn at_once(&self) -> usize {
        self.at_once
    }

    pub(crate) fn allow_all(&mut self) {
        self.at_once = self.limit;
        self.tried = None;
    }

    pub(crate) fn count_job(&mut self) {
        self.jobs += 1;
    }

    /// Looks at what was done since the last time: from now on more threads may work, or fewer.
    pub(crate) fn look(&mut self, has_work: bool) {
        if self.at_once == self.limit && self.tried.is_none() {
            return;
        }
        let now = Instant::now();
        if self.last.is_some_and(|last| now - last.at < INTERVAL) {
            return;
        }
        let look = Look {
            at: now,
            used: process_cpu_time(),
            jobs: self.jobs,
        };
        if let Some(last) = self.last.replace(look) {
            self.judge(last, look, has_work);
        }
    }

    fn judge(&mut self, last: Look, now: Look, has_work: bool) {
        let seconds = (now.at - last.at).as_secs_f64();
        let rate = (now.jobs - last.jobs) as f64 / seconds;
        if let Some(tried) = self.tried.take() {
            // Where no job ends in that time, nothing is to be learned.
            let was_in_vain = rate > 0.0 && rate < tried.rate_before * WORTHWHILE;
            if was_in_vain {
                self.at_once = tried.at_once_before;
                self.rests_until = Some(now.at + REST);
                return;
            }
        }
        let used = now.used.saturating_sub(last.used).as_secs_f64();
        let is_busy = used >= seconds * self.processors as f64 * ENOUGH_TO_DO;
        let rests = self.rests_until.is_some_and(|until| now.at < until);
        if !has_work || is_busy || rests || self.at_once == self.limit {
            return;
        }
        self.tried = Some(Tried {
            at_once_before: self.at_once,
            rate_before: rate,
        });
        self.at_once = (2 * self.at_once).min(self.limit);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{INTERVAL, Load, Look, REST};

    /// A pool of 64 threads on 2 processors, looked at every so often.
    struct Watched {
        load: Load,
        now: Look,
    }

    impl Watched {
        fn new() -> Self {
            let now = Look {
                at: Instant::now(),
                used: Duration::ZERO,
                jobs: 0,
            };
            let load = Load::new(64, 2);
            Self { load, now }
        }

        /// So many jobs end, and this part of the processors' time is used.
        fn pass(&mut self, jobs: u64, part: f64, has_work: bool) -> usize {
            let last = self.now;
            self.now = Look {
                at: last.at + INTERVAL,
                used: last.used + INTERVAL.mul_f64(2.0 * part),
                jobs: last.jobs + jobs,
            };
            self.load.judge(last, self.now, has_work);
            self.load.at_once()
        }
    }

    #[test]
    fn busy_processors_get_no_more_threads() {
        let mut watched = Watched::new();
        for _ in 0..100 {
            assert_eq!(watched.pass(50, 0.9, true), 2);
        }
    }

    #[test]
    fn what_waits_for_a_disk_gets_all_threads() {
        let mut watched = Watched::new();
        let grown: Vec<usize> = (0..5).map(|n| watched.pass(10 << n, 0.1, true)).collect();
        assert_eq!(grown, [4, 8, 16, 32, 64]);
    }

    #[test]
    fn calls_that_take_long_get_all_threads_too() {
        let mut watched = Watched::new();
        let grown: Vec<usize> = (0..5).map(|_| watched.pass(0, 0.0, true)).collect();
        assert_eq!(grown, [4, 8, 16, 32, 64]);
    }

    #[test]
    fn threads_that_get_nothing_done_are_taken_back_for_some_time() {
        let mut watched = Watched::new();
        assert_eq!(watched.pass(100, 0.5, true), 4);
        assert_eq!(watched.pass(105, 0.5, true), 2);
        let rest = REST.as_millis() / INTERVAL.as_millis();
        for _ in 1..rest {
            assert_eq!(watched.pass(100, 0.5, true), 2);
        }
        assert_eq!(watched.pass(100, 0.5, true), 4);
    }

    #[test]
    fn without_waiting_work_nothing_changes() {
        assert_eq!(Watched::new().pass(0, 0.0, false), 2);
    }
}
