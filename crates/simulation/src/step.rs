//! How an attempt gets on: a look at the source, a question to the fence, a change of the target, and so on to its end.

use model::{RangeState, TaskId};
use worker::lease::Leave;

use crate::attempt::{Action, Next, Went};
use crate::broken::Rule;
use crate::calls::Caller;
use crate::message::{Reason, Reply, Request};
use crate::tree::Temp;
use crate::worker::Key;
use crate::world::{Wake, World};

/// From the fence's answer to the change, unless the process is frozen in between.
const TO_THE_CHANGE_MS: u64 = 50;
/// How often a closed fence is asked again.
const LOOK_AGAIN_MS: u64 = 100;
/// How long an owner waits before it asks again where its ranges stand.
const ASK_AGAIN_MS: u64 = 500;
/// Workers that one file may kill: some for each level down to it, in company and alone, and for its attempts.
const MOST_POISONED: u64 = 60;

impl World<'_> {
    pub fn step_soon(&mut self, worker: usize, key: Key) {
        let ms = self.random.between(1, self.step_ms);
        self.wake_after(ms, worker, Wake::Step(key));
    }

    pub fn step(&mut self, worker: usize, key: Key) {
        let Some(attempt) = self.workers[worker].attempt(key) else {
            return;
        };
        if let Some((action, asked)) = attempt.pending.take() {
            self.change(worker, key, action, asked);
        } else if attempt.fence.is_lost() {
            // Without a word, and without a further change: what it has not published stays.
            self.attempt_ended(worker, key);
        } else if attempt.cancel.is_cancelled() {
            self.hand_back(worker, key, Reason::Stopped);
        } else if let Some(action) = attempt.planned {
            self.ask_fence(worker, key, action);
        } else if !self.shares(worker, key) {
            self.go_on(worker, key);
        }
    }

    fn go_on(&mut self, worker: usize, key: Key) {
        let Some(attempt) = self.workers[worker].attempt(key) else {
            return;
        };
        let tree = self.trees.get_mut(&attempt.task).expect("its task");
        match attempt.next(tree) {
            Next::Agree => self.ask(worker, key, Request::Roots(key.0, key.1)),
            Next::AskForChildren(from) => self.ask(worker, key, Request::Children(key.0, from)),
            Next::Act(action) => {
                attempt.planned = Some(action);
                self.ask_fence(worker, key, action);
            }
            Next::TakeBack(ranges, is_given_up) => {
                self.ask(
                    worker,
                    key,
                    Request::TakeBack(key.0, key.1, ranges, is_given_up),
                );
            }
            Next::HandIn => self.hand_in(worker, key),
            Next::GiveUp => self.hand_back(worker, key, Reason::Failed),
        }
    }

    pub fn ask(&mut self, worker: usize, key: Key, request: Request) {
        self.call(worker, Caller::Attempt(key), request);
    }

    fn ask_fence(&mut self, worker: usize, key: Key, action: Action) {
        let now = self.now;
        let ignores = self.broken == Some(Rule::FenceIgnored);
        let now_ns = self.workers[worker].local_ns(now);
        let Some(attempt) = self.workers[worker].attempt(key) else {
            return;
        };
        let leave = match ignores {
            true => Leave::Write,
            false => attempt.fence.leave_at(now_ns),
        };
        let (task, is_range) = (attempt.task, attempt.range.is_some());
        match leave {
            Leave::Write => {
                (attempt.planned, attempt.pending) = (None, Some((action, now)));
                if let Some(why) = self.whose(task, key) {
                    self.wrong(format!("{key:?} is about to write, but {why}"));
                }
                let ms = self.random.between(1, TO_THE_CHANGE_MS);
                self.wake_after(ms, worker, Wake::Step(key));
                match action {
                    Action::Write(write) if is_range => {
                        self.freeze_in_range(worker, task, write.file);
                    }
                    _ => {}
                }
                self.freeze_at_change(worker);
            }
            Leave::Wait => {
                let ms = self.workers[worker].lasts(LOOK_AGAIN_MS);
                self.wake_after(ms, worker, Wake::Step(key));
            }
            // It is lost, or cancelled.
            Leave::Stop => self.step_soon(worker, key),
        }
    }

    /// If the item is not the attempt's any more: why.
    fn whose(&self, task: TaskId, (item, epoch): Key) -> Option<String> {
        let seen = self.watch.seen();
        if seen.withdrawn.contains(&item) {
            // What it writes into has no name, or is taken for what it is when its owner has looked at it.
            return None;
        }
        if seen.ended.contains(&task) {
            return Some(format!("task {task} has ended"));
        }
        if let Some(done) = seen.done.get(&item) {
            return Some(format!("it was done by epoch {done}"));
        }
        let newest = *seen.newest.get(&item)?;
        (newest > epoch).then(|| format!("epoch {newest} was granted"))
    }

    fn change(&mut self, worker: usize, key: Key, action: Action, asked: u64) {
        let leaves_temps = self.broken == Some(Rule::TempsNotRemoved);
        let waited = self.now - asked;
        let Some(attempt) = self.workers[worker].attempt(key) else {
            return;
        };
        let task = attempt.task;
        if self.trees[&task].kills(action) {
            return self.poisoned(worker, task);
        }
        let lost = self.whose(task, key);
        let is_withdrawn = self.watch.seen().withdrawn.contains(&key.0);
        let tree = self.trees.get_mut(&task).expect("its task");
        let attempt = self.workers[worker].attempt(key).expect("it is held");
        let went = attempt.act(action, tree, leaves_temps);
        if let Some(why) = &lost {
            self.changed_late(task, key, action, &went, waited, why);
        }
        self.say(|| format!("worker {worker}, {key:?}: {action:?}, {went:?}"));
        match went {
            Went::Well | Went::Published => self.step_soon(worker, key),
            Went::TargetFull => self.hand_back(worker, key, Reason::TargetFull),
            Went::Superseded => {
                let attempt = self.workers[worker].attempt(key).expect("it is held");
                attempt.fence.lose();
                if lost.is_none() {
                    self.wrong(format!("the temp of {key:?} is gone, and it is the newest"));
                }
                self.step_soon(worker, key);
            }
            // As it should be, for one that comes too late.
            Went::NoMarker if lost.is_some() || is_withdrawn => {
                self.hand_back(worker, key, Reason::Stopped)
            }
            Went::NoMarker => self.wrong(format!("{key:?} finds no marker at its target")),
            Went::Wrong(what) => self.wrong(what),
        }
    }

    fn poisoned(&mut self, worker: usize, task: TaskId) {
        self.say(|| format!("worker {worker} is killed by what it reads of task {task}"));
        self.fired.worker_poisoned += 1;
        if self.fired.worker_poisoned > MOST_POISONED {
            self.wrong(format!("what kills workers in task {task} is not found"));
        }
        self.kill_worker(worker);
    }

    /// The item was lost between fence and change. That may be only where the process was frozen there; and it must do no harm.
    fn changed_late(
        &mut self,
        task: TaskId,
        key: Key,
        action: Action,
        went: &Went,
        waited: u64,
        why: &str,
    ) {
        self.fired.changed_late += 1;
        if waited <= TO_THE_CHANGE_MS {
            self.wrong(format!(
                "{key:?} wrote {waited} ms after its fence, but {why}"
            ));
        }
        let has_ended = self.watch.seen().ended.contains(&task);
        if has_ended && waited < 2 * self.lease_ms {
            self.wrong(format!("task {task} ended while {key:?} could still write"));
        }
        if has_ended && *went == Went::Published {
            self.wrong(format!("{key:?} changed a target that was done"));
        }
        match action {
            Action::Create(file) => {
                let (item, epoch) = key;
                self.excused.insert((task, Temp { item, epoch, file }));
            }
            Action::Open => {
                self.excused_markers.insert(task);
            }
            Action::Enter(_) | Action::Write(_) | Action::Publish(_) | Action::Touch => {}
        }
    }

    fn hand_in(&mut self, worker: usize, key: Key) {
        let at = &mut self.workers[worker];
        let Some(session) = &at.session else {
            return;
        };
        let attempt = &session.held[&key];
        let (outcome, claims) = attempt.outcome();
        let again = attempt.again.clone();
        if !attempt.is_split {
            self.fired.left_to_another_try += again.len() as u64;
        }
        self.fired.failed_for_good += outcome.failures.len() as u64;
        let request = Request::Complete(session.id, key.0, key.1, outcome, again);
        self.claims.insert(key, claims);
        self.ask(worker, key, request);
    }

    fn hand_back(&mut self, worker: usize, key: Key, reason: Reason) {
        let now_ns = self.workers[worker].local_ns(self.now);
        let Some(session) = &mut self.workers[worker].session else {
            return;
        };
        let id = session.id;
        let Some(attempt) = session.held.get_mut(&key) else {
            return;
        };
        if attempt.fence.leave_at(now_ns) == Leave::Write {
            let tree = self.trees.get_mut(&attempt.task).expect("its task");
            attempt.drop_temp(tree);
        }
        self.ask(worker, key, Request::Release(id, key.0, key.1, reason));
    }

    pub fn attempt_hears(&mut self, worker: usize, key: Key, asked: Request, reply: Reply) {
        let Some(attempt) = self.workers[worker].attempt(key) else {
            return;
        };
        match (asked, reply) {
            (Request::Roots(..), Reply::Rooted) => attempt.has_agreed = true,
            (Request::Children(_, from), Reply::Children(page, more)) => {
                attempt.children_from = more.then_some(from + page.len() as u64);
                attempt.leave_out(&page, &self.trees[&attempt.task]);
            }
            (Request::Split(..), Reply::Stored) => attempt.hand_over(),
            (Request::TakeBack(_, _, asked, _), Reply::Ranges(states)) => {
                let (only_waits, back) = attempt.settle(&asked, &states);
                self.fired.ranges_taken_back += back;
                let done = states.iter().filter(|state| **state == RangeState::Done);
                self.fired.ranges_done += done.count() as u64;
                if only_waits {
                    let ms = self.workers[worker].lasts(ASK_AGAIN_MS);
                    return self.wake_after(ms, worker, Wake::Step(key));
                }
            }
            // Somebody else has it, or it is not known who: this attempt must not complete.
            (Request::Split(..) | Request::TakeBack(..), _) => attempt.fence.lose(),
            (Request::Complete(..) | Request::Release(..), _) | (_, Reply::UnknownSession) => {
                self.attempt_ended(worker, key);
                return;
            }
            // The server refused it: it fails.
            (Request::Roots(..) | Request::Children(..), Reply::Stale) => {
                self.hand_back(worker, key, Reason::Stopped);
                return;
            }
            (asked, reply) => {
                self.wrong(format!("{asked:?} of {key:?} was answered {reply:?}"));
                return;
            }
        }
        self.step_soon(worker, key);
    }
}
