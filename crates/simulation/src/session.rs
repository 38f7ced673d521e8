//! What a worker does: it registers, sends heartbeats, asks for items and for commands, and leaves; as the worker's own
//! `session` does, over that one's lease and fences.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use coordinator::scheduler::Command;
use model::{Epoch, ItemId, SessionId};
use worker::lease::{LeaseClock, granted_from};

use crate::attempt::Attempt;
use crate::calls::{Call, Caller};
use crate::message::{Leased, Reply, Request, Ticket};
use crate::worker::{Key, Over, Session};
use crate::world::{Event, Wake, World};

/// A worker that is to stop leaves after so long, whatever still runs.
const LEFT_AFTER_MS: u64 = 4_000;
/// And its process ends after so long, whether anybody heard of it or not.
const STOP_WITHIN_MS: u64 = 8_000;

impl World<'_> {
    pub fn worker_up(&mut self, worker: usize) {
        self.workers[worker].is_up = true;
        self.register(worker);
    }

    fn register(&mut self, worker: usize) {
        let request = Request::Register(self.random.next());
        self.call(worker, Caller::Registration, request);
    }

    pub fn wake(&mut self, worker: usize, wake: Wake) {
        match wake {
            Wake::Beat(session) => self.beat(worker, session),
            Wake::Step(key) => self.step(worker, key),
            Wake::TimedOut(call, tried) => self.timed_out(worker, call, tried),
            Wake::Again(call, tried) => self.again(worker, call, tried),
            Wake::LeaveNow(session) => {
                if self.is_in(worker, session) && !self.workers[worker].is_calling(Caller::Leaving)
                {
                    self.say_goodbye(worker);
                }
            }
            Wake::Exit(session) => {
                if self.is_in(worker, session) {
                    self.exit(worker);
                }
            }
        }
    }

    fn is_in(&self, worker: usize, session: SessionId) -> bool {
        let now = self.workers[worker].session.as_ref();
        now.is_some_and(|now| now.id == session)
    }

    fn is_at_work(&self, worker: usize) -> bool {
        let session = self.workers[worker].session.as_ref();
        session.is_some_and(|session| session.over.is_none())
    }

    fn beat(&mut self, worker: usize, session: SessionId) {
        if !self.is_in(worker, session) || !self.is_at_work(worker) {
            return;
        }
        let at = &mut self.workers[worker];
        at.forget_calls(|caller| caller == Caller::Heart);
        let held = at.session.iter().flat_map(|session| session.held.keys());
        let listed = held.copied().collect();
        let request = Request::Beat {
            session,
            listed,
            more_of_a_task: self.more_of_a_task(),
        };
        self.call(worker, Caller::Heart, request);
        let next = self.workers[worker].lasts(self.heartbeat_ms());
        self.wake_after(next, worker, Wake::Beat(session));
    }

    fn ask_for_commands(&mut self, worker: usize) {
        if let Some(session) = &self.workers[worker].session {
            let request = Request::Commands(session.id);
            self.call(worker, Caller::Obeying, request);
        }
    }

    /// Asks for as many items as slots are free, unless it does so already.
    fn ask_for_items(&mut self, worker: usize) {
        let at = &self.workers[worker];
        let Some(session) = &at.session else {
            return;
        };
        let slots = self.slots.saturating_sub(session.held.len());
        if slots == 0 || at.is_calling(Caller::Leasing) || session.over.is_some() {
            return;
        }
        let session = session.id;
        let request = Request::Lease {
            session,
            request: self.random.next(),
            slots,
            more_of_a_task: self.more_of_a_task(),
        };
        self.call(worker, Caller::Leasing, request);
    }

    /// Nobody knows when threads have room: it is drawn anew each time.
    fn more_of_a_task(&mut self) -> usize {
        self.random.between(0, self.slots as u64) as usize
    }

    /// An answer arrives.
    pub fn hear(&mut self, ticket: Ticket, reply: Reply) {
        let worker = ticket.worker;
        let at = &mut self.workers[worker];
        if !at.is_up || at.life != ticket.life {
            return;
        }
        let is_awaited = |call: &Call| call.tried == ticket.tried && !call.is_waiting();
        if !at.calls.get(&ticket.call).is_some_and(is_awaited) {
            return;
        }
        self.say(|| format!("worker {worker} hears {reply:?}"));
        if matches!(reply, Reply::Unavailable) {
            self.unanswered(worker, ticket.call);
            return;
        }
        let Some(call) = self.workers[worker].calls.remove(&ticket.call) else {
            return;
        };
        self.was_answered(worker);
        match (call.caller, reply) {
            (Caller::Registration, Reply::Registered(session)) => {
                self.registered(worker, session, call.first_sent_ns);
            }
            (Caller::Heart, Reply::Beaten(lost)) => self.beaten(worker, &call, &lost),
            (Caller::Obeying, Reply::Commands(commands)) => {
                commands
                    .into_iter()
                    .for_each(|command| self.obey(worker, command));
                if self.is_at_work(worker) {
                    self.ask_for_commands(worker);
                }
            }
            (Caller::Leasing, Reply::Leased(leased)) => self.leased(worker, &call, leased),
            (Caller::Attempt(key), reply) => self.attempt_hears(worker, key, call.request, reply),
            (Caller::Leaving, Reply::Left) => self.left(worker),
            (_, Reply::UnknownSession) => self.end_session(worker, Over::Lost),
            (caller, reply) => self.wrong(format!("{caller:?} was answered {reply:?}")),
        }
    }

    fn registered(&mut self, worker: usize, id: SessionId, sent_ns: u64) {
        let lease = Duration::from_millis(self.lease_ms);
        self.workers[worker].session = Some(Session {
            id,
            clock: Arc::new(LeaseClock::new(lease, sent_ns)),
            held: BTreeMap::new(),
            over: None,
        });
        self.beat(worker, id);
        self.ask_for_commands(worker);
        self.ask_for_items(worker);
    }

    fn beaten(&mut self, worker: usize, call: &Call, lost: &[(ItemId, Epoch)]) {
        let at = &mut self.workers[worker];
        let (Some(session), Request::Beat { listed, .. }) = (&mut at.session, &call.request) else {
            return;
        };
        for key in lost {
            if let Some(attempt) = session.held.get(key) {
                attempt.fence.lose();
            }
        }
        for key in listed {
            if let Some(attempt) = session.held.get(key) {
                attempt.fence.heard();
            }
        }
        session.clock.renewed(call.sent_ns);
    }

    fn obey(&mut self, worker: usize, command: Command) {
        match command {
            Command::Share(item, epoch) => {
                if let Some(attempt) = self.workers[worker].attempt((item, epoch)) {
                    attempt.is_wanted = true;
                }
            }
            Command::Cancel(item, epoch) => {
                if let Some(attempt) = self.workers[worker].attempt((item, epoch)) {
                    attempt.cancel.cancel();
                }
            }
            Command::RunOver => self.end_session(worker, Over::Run),
        }
    }

    fn leased(&mut self, worker: usize, call: &Call, leased: Leased) {
        if leased.run_over {
            self.end_session(worker, Over::Run);
            return;
        }
        let ms = Duration::from_millis;
        let from = granted_from(call.sent_ns, ms(leased.waited_ms), ms(leased.age_ms));
        let broken = self.broken;
        let mut begun: Vec<Key> = Vec::new();
        if let Some(session) = &mut self.workers[worker].session {
            for grant in leased.grants {
                let key = (grant.item, grant.epoch);
                begun.push(key);
                let attempt = Attempt::new(grant, &session.clock, from, broken);
                session.held.insert(key, attempt);
            }
        }
        for key in begun {
            self.step_soon(worker, key);
        }
        self.ask_for_items(worker);
    }

    /// Nothing of it is at work any more.
    pub fn attempt_ended(&mut self, worker: usize, key: Key) {
        if let Some(session) = &mut self.workers[worker].session {
            session.held.remove(&key);
        }
        match self.is_at_work(worker) {
            true => self.ask_for_items(worker),
            false => self.leave_if_idle(worker),
        }
    }

    pub fn end_session(&mut self, worker: usize, over: Over) {
        let at = &mut self.workers[worker];
        let Some(session) = at.session.as_mut().filter(|s| s.over.is_none()) else {
            return;
        };
        session.over = Some(over);
        if over == Over::Lost {
            session.clock.lose();
        }
        for attempt in session.held.values() {
            attempt.cancel.cancel();
        }
        let id = session.id;
        at.forget_calls(|caller| !matches!(caller, Caller::Attempt(_)));
        self.say(|| format!("worker {worker} ends its session: {over:?}"));
        if over != Over::Lost {
            let at = &self.workers[worker];
            let (leave, exit) = (at.lasts(LEFT_AFTER_MS), at.lasts(STOP_WITHIN_MS));
            self.wake_after(leave, worker, Wake::LeaveNow(id));
            self.wake_after(exit, worker, Wake::Exit(id));
        }
        self.leave_if_idle(worker);
    }

    fn leave_if_idle(&mut self, worker: usize) {
        let session = self.workers[worker].session.as_ref();
        let is_idle = session.is_some_and(|session| session.held.is_empty());
        if is_idle && !self.workers[worker].is_calling(Caller::Leaving) {
            self.say_goodbye(worker);
        }
    }

    fn say_goodbye(&mut self, worker: usize) {
        if let Some(session) = &self.workers[worker].session {
            let request = Request::Leave {
                session: session.id,
                left_behind: !session.held.is_empty(),
            };
            self.call(worker, Caller::Leaving, request);
        }
    }

    fn left(&mut self, worker: usize) {
        let over = self.workers[worker].session.as_ref().and_then(|s| s.over);
        match over {
            Some(Over::Lost) => {
                self.workers[worker].session = None;
                self.register(worker);
            }
            _ => self.exit(worker),
        }
    }

    /// The process ends.
    fn exit(&mut self, worker: usize) {
        let over = self.workers[worker].session.as_ref().and_then(|s| s.over);
        self.say(|| format!("worker {worker} exits: {over:?}"));
        self.workers[worker].die();
        if over == Some(Over::Run) {
            self.workers[worker].is_finished = true;
            return;
        }
        let away = self.random.between(500, 3 * self.lease_ms);
        self.fault_until(self.now + away);
        self.after(away, Event::WorkerUp(worker));
    }
}
