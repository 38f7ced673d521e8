//! Whether the threads of an attempt get answers.
//!
//! A call into a mount that does not answer can't be broken off: its thread stands in the kernel. So each thread notes
//! when it last got on, and where, and whoever looks from outside sees for how long it hasn't. What a thread waits for by
//! right, as the server or another thread, is no silence.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use model::RelPath;

/// A call that takes the longer the more there is to write or to remove may take so many times as long as another.
const LONG: u32 = 10;

thread_local! {
    static MINE: Arc<Watch> = Arc::default();
}

/// What one thread waits for.
#[derive(Debug, Default)]
pub(crate) struct Watch(Mutex<Call>);

#[derive(Debug, Default)]
struct Call {
    /// When it last got on; `None`: it asks no mount.
    since: Option<Instant>,
    is_long: bool,
    path: Option<Arc<RelPath>>,
    /// Of an entry in the directory `path`; empty: the directory itself.
    name: Vec<u8>,
}

/// A thread without an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// Where it is, as far as it is known; else the roots.
    pub path: RelPath,
    pub lasted: Duration,
    is_long: bool,
}

impl Silence {
    /// Whether it has lasted longer than any call may that takes at most `limit` where little is to be done.
    pub fn exceeds(&self, limit: Duration) -> bool {
        let factor = if self.is_long { LONG } else { 1 };
        self.lasted > limit * factor
    }
}

impl Watch {
    pub(crate) fn mine() -> Arc<Self> {
        MINE.with(Arc::clone)
    }

    pub(crate) fn path(&self) -> Option<RelPath> {
        self.with(|call| call.path.as_deref().cloned())
    }

    pub(crate) fn silence(&self, now: Instant) -> Option<Silence> {
        self.with(|call| {
            let since = call.since?;
            let path = call.path.as_deref().cloned().unwrap_or_default();
            Some(Silence {
                path: match call.name.is_empty() {
                    true => path,
                    false => path.join(&call.name),
                },
                lasted: now.saturating_duration_since(since),
                is_long: call.is_long,
            })
        })
    }

    fn with<T>(&self, look: impl FnOnce(&mut Call) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn mine<T>(change: impl FnOnce(&mut Call) -> T) -> T {
    MINE.with(|mine| mine.with(change))
}

/// Asks a mount for something: until the answer is there, this thread is watched.
pub fn asking<T>(ask: impl FnOnce() -> T) -> T {
    during(Some(Instant::now()), false, ask)
}

/// Waits for others, and not for a mount.
pub(crate) fn waiting<T>(wait: impl FnOnce() -> T) -> T {
    during(None, false, wait)
}

/// Asks for something that may take long: see [`LONG`].
pub(crate) fn asking_for_much<T>(ask: impl FnOnce() -> T) -> T {
    during(Some(Instant::now()), true, ask)
}

fn during<T>(since: Option<Instant>, is_long: bool, run: impl FnOnce() -> T) -> T {
    let before = mine(|call| {
        let before = (call.since, call.is_long);
        (call.since, call.is_long) = (since, is_long);
        before
    });
    let done = run();
    mine(|call| {
        call.since = before.0.map(|_| Instant::now());
        call.is_long = before.1;
    });
    done
}

/// This thread got on.
pub(crate) fn got_on() {
    mine(|call| {
        if let Some(since) = &mut call.since {
            *since = Instant::now();
        }
    });
}

/// This thread works here: a directory, or one long file.
pub(crate) fn at(path: Option<Arc<RelPath>>) {
    mine(|call| {
        call.path = path;
        call.name.clear();
    });
}

/// This thread works at an entry of the directory.
pub(crate) fn at_entry(name: &[u8]) {
    mine(|call| {
        call.name.clear();
        call.name.extend_from_slice(name);
    });
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use model::RelPath;

    use super::{LONG, Silence, Watch, asking, asking_for_much, at, at_entry, got_on, waiting};

    const LIMIT: Duration = Duration::from_secs(60);

    fn after(seconds: u64) -> Option<Silence> {
        Watch::mine().silence(Instant::now() + Duration::from_secs(seconds))
    }

    #[test]
    fn only_who_asks_a_mount_can_be_silent() {
        assert_eq!(after(100), None);
        asking(|| {
            assert!(after(61).unwrap().exceeds(LIMIT));
            assert!(!after(59).unwrap().exceeds(LIMIT));
            waiting(|| assert_eq!(after(100), None));
            assert!(after(61).unwrap().exceeds(LIMIT));
        });
        assert_eq!(after(100), None);
        got_on();
        assert_eq!(after(100), None);
    }

    #[test]
    fn what_takes_long_by_right_has_more_time() {
        asking(|| {
            asking_for_much(|| {
                assert!(!after(61).unwrap().exceeds(LIMIT));
                assert!(after(60 * u64::from(LONG) + 1).unwrap().exceeds(LIMIT));
            });
            assert!(after(61).unwrap().exceeds(LIMIT));
        });
    }

    #[test]
    fn the_path_is_that_of_the_entry() {
        let path = |text: &str| RelPath::new(text).unwrap();
        asking(|| {
            assert_eq!(after(1).unwrap().path, RelPath::ROOT);
            at(Some(Arc::new(path("a/b"))));
            assert_eq!(after(1).unwrap().path, path("a/b"));
            at_entry(b"c");
            assert_eq!(after(1).unwrap().path, path("a/b/c"));
            at(Some(Arc::new(path("d"))));
            assert_eq!(after(1).unwrap().path, path("d"));
        });
    }
}
