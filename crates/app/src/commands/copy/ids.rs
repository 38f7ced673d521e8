//! By what a copy knows the leftovers of an earlier one that was killed: run and item are drawn from the two
//! directories, the epoch from the clock. So the next copy between the same directories removes them
//! as it goes, and nobody else's. Of two such copies at once, the later one supersedes the earlier.
//!
//! Each attempt waits for the clock's next step and takes that for its epoch, so that a copy that is begun
//! in the very moment in which another was killed comes after it. Steps are counted in 32 bits and begin anew every 194
//! days; what was killed before that is left to `data-migrate sweep`.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use model::{Epoch, ItemId, RunId};

/// 2026-01-01 UTC, in seconds since 1970.
const BEGINNING: Duration = Duration::from_secs(1_767_225_600);

const STEPS_PER_SECOND: u128 = 256;
const STEP_NANOS: u128 = 1_000_000_000 / STEPS_PER_SECOND;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) run: RunId,
    pub(super) item: ItemId,
}

impl Ids {
    pub(super) fn of(source: &Path, target: &Path) -> Self {
        let mut hasher = blake3::Hasher::new();
        for path in [source, target] {
            // A directory by its one name; a target that a dry run does not make has none yet.
            let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
            hasher.update(path.as_os_str().as_bytes());
            hasher.update(&[0]);
        }
        let hash = hasher.finalize();
        let bits = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&hash.as_bytes()[at..at + 8]);
            u64::from_le_bytes(bytes)
        };
        Self {
            run: RunId::from_random(bits(0)),
            item: ItemId::from_random(bits(8)),
        }
    }
}

/// Of an attempt that begins now. It waits for the clock's next step, up to 4 ms: two attempts that begin within one would
/// have the same.
pub(super) fn next_epoch() -> Epoch {
    let (epoch, wait) = epoch_after(SystemTime::now());
    std::thread::sleep(wait);
    epoch
}

/// That of the clock's next step, and how far away the step is.
fn epoch_after(now: SystemTime) -> (Epoch, Duration) {
    let nanos = now
        .duration_since(SystemTime::UNIX_EPOCH + BEGINNING)
        .unwrap_or_default()
        .as_nanos();
    let step = nanos / STEP_NANOS + 1;
    let wait = Duration::from_nanos((step * STEP_NANOS - nanos) as u64);
    (Epoch((step as u32).max(1)), wait)
}

#[cfg(test)]
mod tests {
    use super::{BEGINNING, Ids, epoch_after};
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    #[test]
    fn a_copy_knows_earlier_ones_of_the_same_directories_and_no_others() {
        let ids = |source: &str, target: &str| Ids::of(Path::new(source), Path::new(target));
        let first = ids("/none/a", "/none/b");
        assert_eq!(first, ids("/none/a", "/none/b"));
        assert_ne!(first.run, ids("/none/a", "/none/c").run);
        assert_ne!(first.run, ids("/none/", "a/none/b").run);
    }

    #[test]
    fn an_attempt_supersedes_all_that_began_before_it_did() {
        let mut now = SystemTime::UNIX_EPOCH + BEGINNING + Duration::from_millis(999);
        let mut last = 0;
        for _ in 0..100 {
            let (epoch, wait) = epoch_after(now);
            assert!(epoch.0 > last, "{epoch:?} after {last}");
            assert!(wait <= Duration::from_millis(4));
            // The attempt ends as soon as it has begun, and another follows.
            now += wait;
            last = epoch.0;
        }
        assert!(epoch_after(SystemTime::UNIX_EPOCH).0.0 > 0);
    }
}
