//! What a store should do, kept by hand: plain and slow, sharing no code with any store.

use model::{Epoch, ItemId};

use super::{NOW, id};
use crate::store::{Applied, Cost, ReleasedTo};

pub(super) const MAX_ATTEMPTS: u32 = 2;
/// How many items each task begins with.
pub(super) const TASKS: [u64; 2] = [3, 2];

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum State {
    Waiting { from: i64 },
    Leased,
    Done { n: u64 },
    Failed,
}

/// What the book knows of an item.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    pub(super) id: ItemId,
    pub(super) task: u32,
    pub(super) parent: Option<ItemId>,
    pub(super) state: State,
    pub(super) epoch: u32,
    pub(super) attempts: u32,
}

/// What a verb should answer.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    Applied(Applied),
    Released(ReleasedTo),
    Stale,
    Taken,
}

pub(super) struct Book {
    pub(super) lines: Vec<Line>,
    pub(super) finished: Vec<u32>,
    pub(super) now: i64,
}

impl Book {
    pub(super) fn new() -> Book {
        let mut book = Book {
            lines: Vec::new(),
            finished: Vec::new(),
            now: NOW,
        };
        for (task, n) in (1..).zip(TASKS) {
            for k in 0..n {
                book.add(id(task, k), task as u32, None);
            }
        }
        book
    }

    fn add(&mut self, id: ItemId, task: u32, parent: Option<ItemId>) {
        self.lines.push(Line {
            id,
            task,
            parent,
            state: State::Waiting { from: 0 },
            epoch: 0,
            attempts: 0,
        });
    }

    fn is_newest(&self, at: usize, epoch: Epoch) -> bool {
        epoch.0 > 0 && epoch.0 == self.lines[at].epoch
    }

    pub(super) fn grant(&mut self, n: usize, limits: [usize; 2]) -> Vec<(ItemId, Epoch)> {
        let mut granted = Vec::new();
        for (task, limit) in (1..).zip(limits) {
            let limit = limit.min(n - granted.len());
            let now = self.now;
            let ready = self.lines.iter_mut().filter(|line| {
                line.task == task && matches!(line.state, State::Waiting { from } if from <= now)
            });
            for line in ready.take(limit) {
                line.epoch += 1;
                line.state = State::Leased;
                granted.push((line.id, Epoch(line.epoch)));
            }
        }
        granted
    }

    pub(super) fn complete(&mut self, at: usize, epoch: Epoch, n: u64) -> Answer {
        match self.lines[at].state {
            _ if !self.is_newest(at, epoch) => Answer::Stale,
            State::Done { .. } => Answer::Applied(Applied::Before),
            State::Leased => {
                self.lines[at].state = State::Done { n };
                Answer::Applied(Applied::Now)
            }
            State::Waiting { .. } | State::Failed => Answer::Stale,
        }
    }

    pub(super) fn split(&mut self, at: usize, epoch: Epoch, children: &[ItemId]) -> Answer {
        if !self.is_newest(at, epoch) {
            return Answer::Stale;
        }
        let parent = self.lines[at];
        let theirs = |child: &ItemId| self.lines.iter().find(|line| line.id == *child);
        let is_mine = |child: &ItemId| theirs(child).is_some_and(|l| l.parent == Some(parent.id));
        if parent.state != State::Leased {
            return match children.iter().all(is_mine) && !children.is_empty() {
                true => Answer::Applied(Applied::Before),
                false => Answer::Stale,
            };
        }
        if children.iter().any(|c| theirs(c).is_some() && !is_mine(c)) {
            return Answer::Taken;
        }
        let before = self.lines.len();
        for child in children {
            if !self.lines.iter().any(|line| line.id == *child) {
                self.add(*child, parent.task, Some(parent.id));
            }
        }
        match self.lines.len() > before {
            true => Answer::Applied(Applied::Now),
            false => Answer::Applied(Applied::Before),
        }
    }

    pub(super) fn release(&mut self, at: usize, epoch: Epoch, cost: Cost, from: i64) -> Answer {
        if !self.is_newest(at, epoch) {
            return Answer::Stale;
        }
        let line = &mut self.lines[at];
        if line.state == State::Leased {
            line.attempts += u32::from(cost == Cost::Attempt);
            line.state = match cost == Cost::Attempt && line.attempts >= MAX_ATTEMPTS {
                true => State::Failed,
                false => State::Waiting { from },
            };
        }
        match line.state {
            State::Waiting { .. } => Answer::Released(ReleasedTo::Waiting),
            State::Failed => Answer::Released(ReleasedTo::Failed),
            State::Leased | State::Done { .. } => Answer::Stale,
        }
    }

    pub(super) fn finish_task(&mut self, task: u32) -> Answer {
        if self.finished.contains(&task) {
            return Answer::Applied(Applied::Before);
        }
        self.finished.push(task);
        for line in self.lines.iter_mut().filter(|line| line.task == task) {
            if matches!(line.state, State::Waiting { .. } | State::Leased) {
                line.state = State::Failed;
            }
        }
        Answer::Applied(Applied::Now)
    }
}
