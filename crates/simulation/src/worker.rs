//! A worker's process: its clock, its session, the items it holds, and the calls it waits for.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Epoch, ItemId, SessionId};
use worker::lease::LeaseClock;

use crate::attempt::Attempt;
use crate::calls::{Call, Caller};

pub type Key = (ItemId, Epoch);

/// Why a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// The run is.
    Run,
    Stopped,
    /// The server knows it no more.
    Lost,
}

#[derive(Debug)]
pub struct Session {
    pub id: SessionId,
    pub clock: Arc<LeaseClock>,
    pub held: BTreeMap<Key, Attempt>,
    /// Nothing more is begun; once nothing is held, it says goodbye.
    pub over: Option<Over>,
}

#[derive(Debug)]
pub struct Worker {
    /// One that died and came back has another.
    pub life: u64,
    pub is_up: bool,
    /// Until then it does nothing, and what comes waits.
    pub frozen_until: u64,
    /// It will freeze for so long between the next answer of a fence and the change.
    pub freezes_at_change: Option<u64>,
    pub freezes_in_range: Option<u64>,
    /// Until then nothing it sends arrives, and nothing it is sent.
    pub mute_until: u64,
    pub deaf_until: u64,
    /// A thousandth of true time's speed.
    speed: u64,
    pub session: Option<Session>,
    pub calls: BTreeMap<u64, Call>,
    pub next_call: u64,
    /// Nobody has answered since.
    pub is_alone: bool,
    /// It has left after the end of the run.
    pub is_finished: bool,
}

impl Worker {
    pub fn new(speed: u64) -> Self {
        Self {
            life: 0,
            is_up: false,
            frozen_until: 0,
            freezes_at_change: None,
            freezes_in_range: None,
            mute_until: 0,
            deaf_until: 0,
            speed,
            session: None,
            calls: BTreeMap::new(),
            next_call: 0,
            is_alone: false,
            is_finished: false,
        }
    }

    /// What its clock shows, in nanoseconds.
    pub fn local_ns(&self, now: u64) -> u64 {
        now * self.speed * 1000
    }

    /// How long something lasts that it measures by its own clock.
    pub fn lasts(&self, ms: u64) -> u64 {
        ms * 1000 / self.speed
    }

    pub fn die(&mut self) {
        self.life += 1;
        self.is_up = false;
        self.is_alone = false;
        self.frozen_until = 0;
        self.freezes_at_change = None;
        self.freezes_in_range = None;
        self.session = None;
        self.calls.clear();
    }

    pub fn attempt(&mut self, key: Key) -> Option<&mut Attempt> {
        self.session.as_mut()?.held.get_mut(&key)
    }

    pub fn is_calling(&self, caller: Caller) -> bool {
        self.calls.values().any(|call| call.caller == caller)
    }

    /// Nobody waits for their answers any more.
    pub fn forget_calls(&mut self, of: impl Fn(Caller) -> bool) {
        self.calls.retain(|_, call| !of(call.caller));
    }
}
