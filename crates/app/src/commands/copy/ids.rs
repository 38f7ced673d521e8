//! By what a copy knows the leftovers of an earlier one that was killed: run and item are drawn from the two
//! directories, the epoch from the clock. So the next copy between the same directories removes them
//! as it goes, and nobody else's. Of two such copies at once, the later one supersedes the earlier.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use model::{Epoch, ItemId, RunId};

/// 2026-01-01 UTC, in seconds since 1970. Epochs of eighths of a second last 17 years from here.
const BEGINNING: Duration = Duration::from_secs(1_767_225_600);

/// Epochs in a second: more than the tries that a copy makes in one.
const PER_SECOND: u128 = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) run: RunId,
    pub(super) item: ItemId,
    pub(super) epoch: Epoch,
}

impl Ids {
    pub(super) fn of(source: &Path, target: &Path, now: SystemTime) -> Self {
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
        let since = now
            .duration_since(SystemTime::UNIX_EPOCH + BEGINNING)
            .unwrap_or_default();
        let epoch = since.as_millis() * PER_SECOND / 1_000;
        Self {
            run: RunId::from_random(bits(0)),
            item: ItemId::from_random(bits(8)),
            epoch: Epoch(u32::try_from(epoch).unwrap_or(u32::MAX / 2).max(1)),
        }
    }

    /// Of the `n`-th attempt, from 1.
    pub(super) fn attempt(&self, n: u32) -> Epoch {
        Epoch(self.epoch.0.saturating_add(n))
    }
}

#[cfg(test)]
mod tests {
    use super::{BEGINNING, Ids};
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    #[test]
    fn a_later_copy_of_the_same_directories_supersedes_and_no_other_does() {
        let now = SystemTime::UNIX_EPOCH + BEGINNING + Duration::from_secs(1_000);
        let ids =
            |source: &str, target: &str, now| Ids::of(Path::new(source), Path::new(target), now);
        let first = ids("/none/a", "/none/b", now);
        let again = ids("/none/a", "/none/b", now + Duration::from_secs(1));
        assert_eq!((first.run, first.item), (again.run, again.item));
        assert!(first.attempt(4) < again.attempt(1));
        assert_ne!(first.run, ids("/none/a", "/none/c", now).run);
        assert_ne!(first.run, ids("/none/", "a/none/b", now).run);
        assert!(ids("/none/a", "/none/b", SystemTime::UNIX_EPOCH).epoch.0 > 0);
    }
}
