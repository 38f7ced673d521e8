//! Whether an attempt may still write.
//!
//! A worker counts a lease from the moment at which it *sent* the renewal that was answered, and
//! stops a fifth early, by a clock that runs on while the machine sleeps. The server counts from
//! when it got the renewal. So the worker always stops before the server gives the item to another.
//!
//! A server that is away does not end an attempt: at the deadline the attempt waits. Either the
//! server comes back and renews (it extends all leases when it starts), and the attempt goes on, or
//! it says that the item is another's, and the attempt ends without a further write.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use transfer::Fence;

pub use transfer::Cancel;

/// Of a lease, what the worker does not use.
const UNUSED_PART: u32 = 5;

/// How often a waiting attempt looks whether it was cancelled.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Nanoseconds of CLOCK_BOOTTIME, which counts sleep and is never set.
pub(crate) fn now() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Until when a worker counts on a lease that began then.
fn deadline(began: u64, lease: Duration) -> u64 {
    let used = lease - lease / UNUSED_PART;
    began.saturating_add(used.as_nanos() as u64)
}

/// The earliest time by this clock at which items may have been granted: the call was sent then, waited so long at the
/// server, and when it was answered the grants were so old. A fifth of the wait is not counted: this clock may be slower
/// than the server's, by as much as a lease allows for.
pub fn granted_from(sent: u64, waited: Duration, age: Duration) -> u64 {
    let counted = waited - waited / UNUSED_PART;
    let waited = sent.saturating_add(counted.as_nanos() as u64);
    waited.saturating_sub(age.as_nanos() as u64)
}

/// What a fence says to an attempt that is about to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    Write,
    /// The lease is over, and nobody has said yet whose the item is.
    Wait,
    /// The item is another's, or nobody wants the attempt to go on.
    Stop,
}

/// The deadline that all leases of a session share.
#[derive(Debug)]
pub struct LeaseClock {
    lease: Duration,
    deadline: AtomicU64,
    /// The server knows the session no more.
    lost: AtomicBool,
    changed: Condvar,
    waiting: Mutex<()>,
}

impl LeaseClock {
    /// `sent`: when the registration was sent, see [`now`].
    pub fn new(lease: Duration, sent: u64) -> Self {
        let clock = Self {
            lease,
            deadline: AtomicU64::new(0),
            lost: AtomicBool::new(false),
            changed: Condvar::new(),
            waiting: Mutex::new(()),
        };
        clock.renewed(sent);
        clock
    }

    /// A renewal that was sent then has been answered. What it took away must have been marked before.
    pub fn renewed(&self, sent: u64) {
        let deadline = deadline(sent, self.lease);
        self.deadline.fetch_max(deadline, Ordering::AcqRel);
        self.wake();
    }

    pub fn lose(&self) {
        self.lost.store(true, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        drop(self.waiting.lock().unwrap_or_else(|p| p.into_inner()));
        self.changed.notify_all();
    }
}

/// The fence of one attempt.
#[derive(Debug)]
pub struct ItemFence {
    clock: Arc<LeaseClock>,
    /// Its own deadline, until the server has answered a heartbeat that lists it: before that, renewals may be of a
    /// session that was granted the item long ago, and from which it was taken again.
    unheard_deadline: AtomicU64,
    /// The item is another's.
    lost: AtomicBool,
    cancel: Arc<Cancel>,
}

impl ItemFence {
    /// `from`: see [`granted_from`].
    pub fn new(clock: Arc<LeaseClock>, from: u64, cancel: Arc<Cancel>) -> Self {
        Self {
            unheard_deadline: AtomicU64::new(deadline(from, clock.lease)),
            clock,
            lost: AtomicBool::new(false),
            cancel,
        }
    }

    pub fn lose(&self) {
        self.lost.store(true, Ordering::Release);
        self.clock.wake();
    }

    /// The server has answered a heartbeat that lists the item. What it took away must have been marked before.
    pub fn heard(&self) {
        self.unheard_deadline.store(u64::MAX, Ordering::Release);
    }

    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire) || self.clock.lost.load(Ordering::Acquire)
    }

    /// What holds at that time, in nanoseconds of the clock that leases are counted by.
    pub fn leave_at(&self, now: u64) -> Leave {
        // In this order: a renewal that takes the item away marks that before it extends the deadline.
        let in_time = self.is_in_time_at(now);
        if self.is_lost() {
            return Leave::Stop;
        }
        match (in_time, self.cancel.is_cancelled()) {
            (true, _) => Leave::Write,
            (false, true) => Leave::Stop,
            (false, false) => Leave::Wait,
        }
    }

    fn is_in_time_at(&self, now: u64) -> bool {
        let unheard = self.unheard_deadline.load(Ordering::Acquire);
        now < self.clock.deadline.load(Ordering::Acquire).min(unheard)
    }
}

impl Fence for ItemFence {
    fn is_open(&self) -> bool {
        self.leave_at(now()) == Leave::Write
    }

    fn may_write(&self) -> bool {
        loop {
            match self.leave_at(now()) {
                Leave::Write => return true,
                Leave::Stop => return false,
                Leave::Wait => {}
            }
            let waiting = self.clock.waiting.lock().unwrap_or_else(|p| p.into_inner());
            let _ = self.clock.changed.wait_timeout(waiting, LOOK_AGAIN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Fence, ItemFence, LeaseClock, granted_from, now};
    use std::sync::Arc;
    use std::time::Duration;
    use transfer::Cancel;

    const LEASE: Duration = Duration::from_secs(30);

    fn fence(sent: u64) -> (Arc<LeaseClock>, Arc<Cancel>, ItemFence) {
        let clock = Arc::new(LeaseClock::new(LEASE, sent));
        let cancel = Arc::new(Cancel::default());
        let fence = ItemFence::new(clock.clone(), u64::MAX, cancel.clone());
        (clock, cancel, fence)
    }

    fn long_ago() -> u64 {
        now().saturating_sub(LEASE.as_nanos() as u64)
    }

    #[test]
    fn a_lease_counts_from_the_sending_and_ends_a_fifth_early() {
        let ago = |secs: u64| now().saturating_sub(secs * 1_000_000_000);
        assert!(fence(ago(23)).2.is_open());
        assert!(!fence(ago(25)).2.is_open());
    }

    #[test]
    fn an_attempt_past_its_deadline_waits_until_the_server_is_back() {
        let (clock, _, fence) = fence(long_ago());
        let waiting = std::thread::spawn(move || fence.may_write());
        clock.renewed(now());
        assert!(waiting.join().unwrap());
    }

    #[test]
    fn an_attempt_whose_item_is_another_s_writes_no_more() {
        let (clock, _, fence) = fence(long_ago());
        fence.lose();
        clock.renewed(now());
        assert!(!fence.may_write());
    }

    #[test]
    fn a_lost_session_ends_all_its_attempts() {
        let (clock, _, fence) = fence(now());
        assert!(fence.may_write());
        clock.lose();
        assert!(!fence.may_write());
    }

    const SECOND: u64 = 1_000_000_000;

    /// A fence of an item granted then, of a session that was renewed at 1,000 s.
    fn granted(from: u64) -> (Arc<LeaseClock>, ItemFence) {
        let clock = Arc::new(LeaseClock::new(LEASE, 1_000 * SECOND));
        let fence = ItemFence::new(clock.clone(), from, Arc::default());
        (clock, fence)
    }

    #[test]
    fn a_grant_is_as_old_as_it_may_be() {
        let secs = Duration::from_secs;
        for (waited, age, from) in [
            // It came at once, or after a wait.
            (0, 0, 100),
            (20, 0, 116),
            // It is the answer that was lost before.
            (0, 40, 60),
            (5, 40, 64),
            (0, 400, 0),
        ] {
            let found = granted_from(100 * SECOND, secs(waited), secs(age));
            assert_eq!(found, from * SECOND, "waited {waited}, age {age}");
        }
    }

    #[test]
    fn a_clock_that_is_a_fifth_slower_than_the_server_s_takes_no_grant_for_younger_than_it_is() {
        for waited in 0..60 {
            for slowness in [0, 5, 10, 20] {
                let by_this_clock = |secs: u64| secs * SECOND * (100 - slowness) / 100;
                let from = granted_from(
                    by_this_clock(100),
                    Duration::from_secs(waited),
                    Duration::ZERO,
                );
                let (_, fence) = granted(from);
                let goes_back = by_this_clock(100 + waited + LEASE.as_secs());
                assert!(!fence.is_in_time_at(goes_back), "{waited} s, {slowness} %");
            }
        }
    }

    #[test]
    fn a_grant_that_came_late_is_no_leave_to_write_though_the_session_lives() {
        // Sent at 970 s; the answer was under way until now.
        let (clock, fence) = granted(granted_from(970 * SECOND, Duration::ZERO, Duration::ZERO));
        assert!(fence.is_in_time_at(993 * SECOND));
        assert!(!fence.is_in_time_at(1_001 * SECOND));
        clock.renewed(1_005 * SECOND);
        assert!(!fence.is_in_time_at(1_006 * SECOND));
        // The server says that it still is the worker's.
        fence.heard();
        assert!(fence.is_in_time_at(1_006 * SECOND));
        assert!(!fence.is_in_time_at(1_030 * SECOND));
    }

    /// Server and worker over all orders of their times: what the server takes back unheard is written by nobody.
    #[test]
    fn what_goes_back_unheard_is_written_no_more() {
        for under_way in 0..60 {
            for waited in [0, 7, 20] {
                let granted_at = 100 + waited;
                let (clock, fence) = granted(granted_from(
                    100 * SECOND,
                    Duration::from_secs(waited),
                    Duration::ZERO,
                ));
                for at in granted_at + under_way..granted_at + 100 {
                    clock.renewed(at * SECOND);
                    let goes_back = at >= granted_at + LEASE.as_secs();
                    assert!(!(goes_back && fence.is_in_time_at(at * SECOND)), "{at}");
                }
            }
        }
    }

    #[test]
    fn a_cancelled_attempt_does_not_wait() {
        let (_, cancel, fence) = fence(long_ago());
        cancel.cancel();
        assert!(!fence.may_write());
    }
}
