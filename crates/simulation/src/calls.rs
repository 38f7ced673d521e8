//! A worker's calls: each is repeated until it is answered, but for heartbeats, of which there is always a next one.

use crate::broken::Rule;
use crate::message::{Request, Ticket};
use crate::worker::Key;
use crate::world::{Wake, World};

/// As the worker's `connection` and `session` have them.
const FIRST_WAIT_MS: u64 = 100;
const LONGEST_WAIT_MS: u64 = 10_000;
const ANSWER_WITHIN_MS: u64 = 20_000;
pub const POLL_MS: u64 = 20_000;

/// On whose behalf a call is; each has one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    Registration,
    Leasing,
    Heart,
    Obeying,
    Attempt(Key),
    Leaving,
}

#[derive(Debug)]
pub struct Call {
    pub caller: Caller,
    pub request: Request,
    pub tried: u32,
    /// Of the first try and of the last one, by the worker's clock.
    pub first_sent_ns: u64,
    pub sent_ns: u64,
    /// It waits for its next try, for so long.
    is_waiting: bool,
    wait_ms: u64,
}

impl Call {
    /// For its next try: there is nothing to be heard.
    pub fn is_waiting(&self) -> bool {
        self.is_waiting
    }

    fn within_ms(&self, heartbeat_ms: u64) -> u64 {
        match self.caller {
            Caller::Heart => heartbeat_ms.max(1000),
            Caller::Leasing | Caller::Obeying => POLL_MS + ANSWER_WITHIN_MS,
            _ => ANSWER_WITHIN_MS,
        }
    }
}

impl World<'_> {
    pub fn call(&mut self, worker: usize, caller: Caller, request: Request) {
        let at = &mut self.workers[worker];
        let id = at.next_call;
        at.next_call += 1;
        let call = Call {
            caller,
            request,
            tried: 0,
            first_sent_ns: at.local_ns(self.now),
            sent_ns: 0,
            is_waiting: false,
            wait_ms: FIRST_WAIT_MS,
        };
        at.calls.insert(id, call);
        self.try_call(worker, id);
    }

    fn try_call(&mut self, worker: usize, id: u64) {
        let heartbeat_ms = self.heartbeat_ms();
        let at = &mut self.workers[worker];
        let (life, sent_ns) = (at.life, at.local_ns(self.now));
        let Some(call) = at.calls.get_mut(&id) else {
            return;
        };
        call.tried += 1;
        call.sent_ns = sent_ns;
        call.is_waiting = false;
        let within = call.within_ms(heartbeat_ms);
        let (tried, request) = (call.tried, call.request.clone());
        let ticket = Ticket {
            worker,
            life,
            call: id,
            tried,
        };
        self.send_request(ticket, request);
        let within = self.workers[worker].lasts(within);
        self.wake_after(within, worker, Wake::TimedOut(id, tried));
    }

    /// Nobody answered this try.
    pub fn timed_out(&mut self, worker: usize, id: u64, tried: u32) {
        let is_open = |call: &Call| call.tried == tried && !call.is_waiting;
        if self.workers[worker].calls.get(&id).is_some_and(is_open) {
            self.unanswered(worker, id);
        }
    }

    /// It is not known what became of the call.
    pub fn unanswered(&mut self, worker: usize, id: u64) {
        let jitter = self.random.next() % 512;
        let at = &mut self.workers[worker];
        at.is_alone = true;
        let Some(call) = at.calls.get_mut(&id) else {
            return;
        };
        if call.caller == Caller::Heart {
            at.calls.remove(&id);
            return;
        }
        call.is_waiting = true;
        let wait = call.wait_ms + call.wait_ms * jitter / 1024;
        call.wait_ms = (call.wait_ms * 2).min(LONGEST_WAIT_MS);
        let tried = call.tried;
        let wait = at.lasts(wait);
        self.wake_after(wait, worker, Wake::Again(id, tried));
    }

    pub fn again(&mut self, worker: usize, id: u64, tried: u32) {
        let is_due = |call: &Call| call.tried == tried && call.is_waiting;
        if !self.workers[worker].calls.get(&id).is_some_and(is_due) {
            return;
        }
        if self.broken == Some(Rule::NewIdsOnRepeat) {
            self.draw_ids_again(worker, id);
        }
        self.try_call(worker, id);
    }

    fn draw_ids_again(&mut self, worker: usize, id: u64) {
        let call = self.workers[worker].calls.get_mut(&id);
        if let Some(Request::Split(_, _, children)) = call.map(|call| &mut call.request) {
            for (child, _) in children {
                *child = model::ItemId::from_random(self.random.next());
            }
        }
    }

    /// Somebody is there: what waits to be repeated need not wait on.
    pub fn was_answered(&mut self, worker: usize) {
        if !std::mem::take(&mut self.workers[worker].is_alone) {
            return;
        }
        let waiting = self.workers[worker].calls.iter();
        let waiting: Vec<(u64, u32)> = waiting
            .filter(|(_, call)| call.is_waiting)
            .map(|(id, call)| (*id, call.tried))
            .collect();
        for (id, tried) in waiting {
            self.again(worker, id, tried);
        }
    }
}
