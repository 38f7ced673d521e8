//! What every request passes through, on the thread that answers it: it is counted, delayed, and perhaps fails or hangs.
//! Nothing is locked meanwhile, so that no request waits for another.

use std::ffi::OsStr;
use std::sync::{PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;

use super::armed::Armed;
use super::counters::Counters;
use super::fault::{Effect, Fault};
use super::nodes::Node;
use super::op::{Delay, Op};

/// What a request is about, by which faults are restricted to names.
#[derive(Clone, Copy)]
pub(super) enum Subject<'a> {
    Name(&'a OsStr),
    Names(&'a OsStr, &'a OsStr),
    Node(&'a Node),
}

impl Subject<'_> {
    fn matches(self, fault: &Fault) -> bool {
        match self {
            Self::Name(name) => fault.matches_name(name),
            Self::Names(one, other) => fault.matches_name(one) || fault.matches_name(other),
            Self::Node(node) => fault.matches_name(&node.name()),
        }
    }
}

pub(super) struct Requests {
    pub(super) counters: Counters,
    metadata_delay: Duration,
    data_delay: Duration,
    missing: Vec<Op>,
    faults: RwLock<Vec<Armed>>,
}

impl Requests {
    /// Requests of the `missing` kinds are answered by ENOSYS.
    pub(super) fn new(metadata_delay: Duration, data_delay: Duration, missing: Vec<Op>) -> Self {
        Self {
            counters: Counters::new(),
            metadata_delay,
            data_delay,
            missing,
            faults: RwLock::default(),
        }
    }

    pub(super) fn arm(&self, fault: Fault) -> Armed {
        let armed = Armed::new(fault);
        let mut faults = self.faults.write().unwrap_or_else(PoisonError::into_inner);
        faults.push(armed.clone());
        armed
    }

    /// No request hangs from now on.
    pub(super) fn end_hangs(&self) {
        let faults = self.faults.read().unwrap_or_else(PoisonError::into_inner);
        faults.iter().for_each(Armed::end);
    }

    /// Serves a request to which there is no untrue answer.
    pub(super) fn serve<T>(
        &self,
        op: Op,
        subject: Subject<'_>,
        act: impl FnOnce() -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        self.serve_or_lie(op, subject, |_| act())
    }

    /// Serves a request whose answer says no more than that it was done.
    pub(super) fn serve_or_skip(
        &self,
        op: Op,
        subject: Subject<'_>,
        act: impl FnOnce() -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        self.serve_or_lie(op, subject, |armed| match armed {
            Some(armed) if armed.effect() == Effect::Skip => {
                armed.fire();
                Ok(())
            }
            _ => act(),
        })
    }

    /// Serves a request; `act` is given the fault that it has to put into effect itself.
    pub(super) fn serve_or_lie<T>(
        &self,
        op: Op,
        subject: Subject<'_>,
        act: impl FnOnce(Option<&Armed>) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let _in_flight = self.counters.begin(op);
        let due = self.due(op, subject);
        let delay = match op.delay() {
            Delay::Metadata => self.metadata_delay,
            Delay::Data => self.data_delay,
            Delay::None => Duration::ZERO,
        };
        if !delay.is_zero() {
            thread::sleep(delay);
        }
        if self.missing.contains(&op) {
            return Err(Errno::NOSYS);
        }
        let Some(armed) = due else {
            return act(None);
        };
        match armed.effect() {
            Effect::Answer(errno) => {
                armed.fire();
                Err(errno)
            }
            Effect::AnswerThoughDone(errno) => {
                act(None)?;
                armed.fire();
                Err(errno)
            }
            Effect::Hang => {
                armed.hang()?;
                act(None)
            }
            Effect::Skip
            | Effect::Read(_)
            | Effect::Write(_)
            | Effect::Copy(_)
            | Effect::Seek(_) => act(Some(&armed)),
        }
    }

    /// All faults see the request; the one that was armed first of those whose turn it is takes effect.
    fn due(&self, op: Op, subject: Subject<'_>) -> Option<Armed> {
        let faults = self.faults.read().unwrap_or_else(PoisonError::into_inner);
        let mut due = None;
        for armed in faults.iter() {
            let fault = armed.fault();
            if fault.op() == op && subject.matches(fault) && armed.sees() && due.is_none() {
                due = Some(armed.clone());
            }
        }
        due
    }
}
