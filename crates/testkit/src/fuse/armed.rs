//! A fault at work: how many requests it looked at, how often it fired, and the gate that hanging requests wait at.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;

use super::fault::{Effect, Fault};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    Closed,
    Released,
    /// The file system is gone: nobody is left to be answered.
    Ended,
}

#[derive(Debug)]
struct Progress {
    seen: u64,
    fired: u64,
    is_armed: bool,
    gate: Gate,
}

#[derive(Debug)]
struct Shared {
    fault: Fault,
    progress: Mutex<Progress>,
    changed: Condvar,
}

/// The test's hold on a fault. Clones are of the same fault; to drop them changes nothing.
#[derive(Debug, Clone)]
pub struct Armed(Arc<Shared>);

impl Armed {
    pub(super) fn new(fault: Fault) -> Self {
        Self(Arc::new(Shared {
            fault,
            progress: Mutex::new(Progress {
                seen: 0,
                fired: 0,
                is_armed: true,
                gate: Gate::Closed,
            }),
            changed: Condvar::new(),
        }))
    }

    /// Matching requests since it was armed, whether it was their turn or not.
    pub fn seen(&self) -> u64 {
        self.progress().seen
    }

    /// How often it changed what happened. A lie that changed nothing, such as a flipped byte in an answer without bytes,
    /// does not count; a request that hangs counts at once.
    pub fn fired(&self) -> u64 {
        self.progress().fired
    }

    /// Waits until it has fired `count` times; whether it has before `patience` was over.
    pub fn wait_until_fired(&self, count: u64, patience: Duration) -> bool {
        let waiting = |progress: &mut Progress| progress.fired < count;
        let waited = self
            .0
            .changed
            .wait_timeout_while(self.progress(), patience, waiting);
        let (progress, _) = waited.unwrap_or_else(PoisonError::into_inner);
        progress.fired >= count
    }

    /// Lets requests that hang go on, now and from now on.
    pub fn release(&self) {
        self.set_gate(Gate::Released);
    }

    /// From now on it neither sees nor fires. Requests that hang do so until they are released.
    pub fn disarm(&self) {
        self.progress().is_armed = false;
    }

    pub(super) fn end(&self) {
        self.set_gate(Gate::Ended);
    }

    pub(super) fn fault(&self) -> &Fault {
        &self.0.fault
    }

    pub(super) fn effect(&self) -> Effect {
        self.0.fault.effect()
    }

    /// Counts a matching request; whether it is its turn.
    pub(super) fn sees(&self) -> bool {
        let mut progress = self.progress();
        if !progress.is_armed {
            return false;
        }
        progress.seen += 1;
        self.0.fault.is_due(progress.seen)
    }

    pub(super) fn fire(&self) {
        self.progress().fired += 1;
        self.0.changed.notify_all();
    }

    /// Waits at the gate.
    pub(super) fn hang(&self) -> Result<(), Errno> {
        if self.progress().gate == Gate::Closed {
            self.fire();
        }
        let closed = |progress: &mut Progress| progress.gate == Gate::Closed;
        let waited = self.0.changed.wait_while(self.progress(), closed);
        match waited.unwrap_or_else(PoisonError::into_inner).gate {
            Gate::Ended => Err(Errno::IO),
            Gate::Closed | Gate::Released => Ok(()),
        }
    }

    fn set_gate(&self, gate: Gate) {
        self.progress().gate = gate;
        self.0.changed.notify_all();
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        let progress = self.0.progress.lock();
        progress.unwrap_or_else(PoisonError::into_inner)
    }
}
