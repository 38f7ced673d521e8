//! What lies unfinished at the target: files and directories under temp names. Each is known here
//! from its making until it is published, so that an attempt that stops can take it away.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use model::TempName;
use storage::posix::{Dir, Error};

use crate::engine::{Engine, describe, lock};
use crate::watch;

#[derive(Default)]
pub(crate) struct Unfinished {
    temps: Mutex<HashMap<u64, Temp>>,
    next: AtomicU64,
}

struct Temp {
    dir: Arc<Dir>,
    name: String,
}

impl Engine {
    /// A new temp name in `dir`, remembered until [`Engine::forget_temp`].
    pub(crate) fn new_temp(&self, dir: &Arc<Dir>) -> (u64, String) {
        let seq = self.unfinished.next.fetch_add(1, Ordering::Relaxed);
        let temp = TempName {
            run: self.attempt.run,
            item: self.attempt.item,
            epoch: self.attempt.epoch,
            seq,
        };
        let name = temp.format();
        let temp = Temp {
            dir: Arc::clone(dir),
            name: name.clone(),
        };
        lock(&self.unfinished.temps).insert(seq, temp);
        (seq, name)
    }

    pub(crate) fn forget_temp(&self, seq: u64) {
        lock(&self.unfinished.temps).remove(&seq);
    }

    /// Removes one temp that will not be published, also after the lease: its name is this attempt's alone, so that nobody
    /// else misses it. What can't be removed is left to the next attempt.
    pub(crate) fn drop_temp(&self, seq: u64) {
        // It has been said.
        let _ = self.try_drop_temp(seq);
    }

    pub(crate) fn try_drop_temp(&self, seq: u64) -> Result<(), Error> {
        let Some(temp) = lock(&self.unfinished.temps).remove(&seq) else {
            return Ok(());
        };
        let removed = watch::asking_for_much(|| temp.dir.remove_tree(temp.name.as_bytes()));
        if let Err(error) = &removed {
            tracing::warn!(name = temp.name, error = describe(error), "left behind");
        }
        removed
    }

    pub(crate) fn drop_all_temps(&self) {
        // What waits for its batch holds descriptors and nothing else.
        lock(&self.batch).clear();
        let seqs: Vec<u64> = lock(&self.unfinished.temps).keys().copied().collect();
        for seq in seqs {
            self.drop_temp(seq);
        }
    }
}
