//! Random sequences of verbs, right and wrong ones, beside a book kept by hand: every answer
//! and every state must agree, no item may be done twice, and no item may be lost.

use std::collections::BTreeMap;

use model::{Epoch, ItemId, ItemState, TaskId};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestRunner};

use super::book::{Answer, Book, MAX_ATTEMPTS, State, TASKS};
use super::{Fixture, Scene, child_id, from, outcome, release, session, walk};
use crate::store::{Applied, Cost, Release, Standing, StoreError, TaskResult};

#[derive(Debug, Clone)]
enum Verb {
    Grant { n: usize, limits: [usize; 2] },
    Complete { who: Who, n: u64 },
    Split { who: Who, children: Vec<u64> },
    Release { who: Who, costs: bool, delay: i64 },
    FinishTask(u32),
    Wait(i64),
    Reopen,
}

/// An item among all there are, and how far the epoch lies behind its newest.
#[derive(Debug, Clone, Copy)]
struct Who {
    item: usize,
    behind: u32,
}

impl Who {
    /// Its place in the book, and the epoch.
    fn find(self, book: &Book) -> (usize, Epoch) {
        let at = self.item % book.lines.len();
        (at, Epoch(book.lines[at].epoch.saturating_sub(self.behind)))
    }
}

fn verbs() -> impl Strategy<Value = Vec<Verb>> {
    let who = || {
        let behind = prop_oneof![8 => Just(0), 1 => Just(1)];
        (any::<usize>(), behind).prop_map(|(item, behind)| Who { item, behind })
    };
    let verb = prop_oneof![
        6 => (0..4_usize, [0..3_usize, 0..3_usize])
            .prop_map(|(n, limits)| Verb::Grant { n, limits }),
        6 => (who(), 0..5_u64).prop_map(|(who, n)| Verb::Complete { who, n }),
        5 => (who(), vec(0..12_u64, 0..3)).prop_map(|(who, children)| Verb::Split { who, children }),
        5 => (who(), any::<bool>(), 0..3_i64)
            .prop_map(|(who, costs, delay)| Verb::Release { who, costs, delay }),
        1 => (1..=2_u32).prop_map(Verb::FinishTask),
        2 => (1..3_i64).prop_map(Verb::Wait),
        1 => Just(Verb::Reopen),
    ];
    vec(verb, 1..60)
}

pub(crate) fn any_sequence_of_verbs_keeps_the_books<F: Fixture>() {
    let config = Config {
        cases: 64,
        failure_persistence: None,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&verbs(), |verbs| {
        let fixture = F::new();
        let mut scene = Scene::begin(&fixture, &TASKS);
        let mut book = Book::new();
        let mut done = BTreeMap::new();
        for verb in &verbs {
            if let Verb::Reopen = verb {
                let run = scene.run;
                drop(scene);
                let store = fixture.open();
                scene = Scene { store, run };
            }
            apply(&scene, &mut book, &mut done, verb);
        }
        compare(&scene, &book, &done);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

/// Does the same in the store and in the book.
fn apply(scene: &Scene, book: &mut Book, done: &mut BTreeMap<ItemId, Epoch>, verb: &Verb) {
    let store = &scene.store;
    let now = book.now;
    match verb {
        Verb::Grant { n, limits } => {
            let tasks = [from(1, limits[0]), from(2, limits[1])];
            let granted = store.grant(scene.run, &tasks, session(1), *n, now);
            let granted = granted.expect("grant");
            let leases: Vec<_> = granted.iter().map(|g| (g.item.id, g.item.epoch)).collect();
            assert_eq!(leases, book.grant(*n, *limits));
            for granted in granted {
                let parent = Some(granted.item.id);
                let has_children = book.lines.iter().any(|line| line.parent == parent);
                assert_eq!(granted.has_children, has_children);
            }
        }
        Verb::Complete { who, n } => {
            let (at, epoch) = who.find(book);
            let item = book.lines[at].id;
            let answer = store.complete(item, epoch, outcome(*n), now);
            if let Ok(Applied::Now) = answer {
                assert_eq!(done.insert(item, epoch), None, "done by two epochs");
            }
            assert_eq!(
                answer_of(answer.map(Answer::Applied)),
                book.complete(at, epoch, *n)
            );
        }
        Verb::Split { who, children } => {
            let (at, epoch) = who.find(book);
            let ids: Vec<_> = children.iter().map(|&n| child_id(n)).collect();
            let works: Vec<_> = ids
                .iter()
                .map(|&child| (child, walk(&child.to_string())))
                .collect();
            let answer = store.split(book.lines[at].id, epoch, &works, now);
            assert_eq!(
                answer_of(answer.map(Answer::Applied)),
                book.split(at, epoch, &ids)
            );
        }
        Verb::Release { who, costs, delay } => {
            let (at, epoch) = who.find(book);
            let cost = if *costs { Cost::Attempt } else { Cost::Free };
            let terms = Release {
                max_attempts: MAX_ATTEMPTS,
                least_deaths: 0,
                not_before: now + delay,
                ..release(cost)
            };
            let answer = store.release(book.lines[at].id, epoch, terms, now);
            let expected = book.release(at, epoch, cost, now + delay);
            assert_eq!(answer_of(answer.map(Answer::Released)), expected);
        }
        Verb::FinishTask(task) => {
            let result = TaskResult {
                success: false,
                message: String::new(),
                finished: now,
            };
            let answer = store.finish_task(scene.run, TaskId(*task), result);
            assert_eq!(
                answer_of(answer.map(Answer::Applied)),
                book.finish_task(*task)
            );
        }
        Verb::Wait(millis) => book.now += millis,
        Verb::Reopen => {}
    }
}

fn answer_of(result: Result<Answer, StoreError>) -> Answer {
    match result {
        Ok(answer) => answer,
        Err(StoreError::Stale(_)) => Answer::Stale,
        Err(StoreError::IdTaken(_)) => Answer::Taken,
        Err(other) => panic!("{other:?}"),
    }
}

fn compare(scene: &Scene, book: &Book, done: &BTreeMap<ItemId, Epoch>) {
    for task in 1..=2 {
        let lines: Vec<_> = book.lines.iter().filter(|l| l.task == task).collect();
        let records = scene.store.items(scene.run, TaskId(task)).expect("read");
        assert_eq!(records.len(), lines.len(), "an item was lost or made up");
        let mut listed = 0;
        for (record, line) in records.iter().zip(&lines) {
            let state = match line.state {
                State::Waiting { .. } => ItemState::Waiting,
                State::Leased => ItemState::Leased(session(1)),
                State::Done { n } => {
                    listed += outcome(n).counters.listed;
                    ItemState::Done
                }
                State::Failed => ItemState::Failed,
            };
            let item = &record.item;
            assert_eq!((item.id, item.state), (line.id, state));
            assert_eq!((item.epoch.0, item.attempts), (line.epoch, line.attempts));
            assert_eq!(done.contains_key(&item.id), state == ItemState::Done);
            let standing = Standing {
                item: item.id,
                task: item.task,
                epoch: item.epoch,
                is_leased: line.state == State::Leased,
                attempts: item.attempts,
            };
            assert_eq!(scene.store.standing(item.id).expect("read"), standing);
        }
        let totals = scene.store.totals(scene.run, TaskId(task)).expect("sum");
        assert_eq!(totals.outcome.counters.listed, listed);
        assert!(totals.outcome.is_balanced());
        let count = |of: fn(&State) -> bool| lines.iter().filter(|l| of(&l.state)).count() as u64;
        let open = count(|s| matches!(s, State::Waiting { .. } | State::Leased));
        let failed = count(|s| matches!(s, State::Failed));
        let used_up: u64 = lines.iter().map(|l| u64::from(l.attempts)).sum();
        assert_eq!((totals.open_items, totals.failed_items), (open, failed));
        assert_eq!(totals.retries, used_up);
        let counted = scene.store.open_items(scene.run, TaskId(task));
        assert_eq!(counted.expect("count"), open);
        let times = lines.iter().filter_map(|line| match line.state {
            State::Waiting { from } => Some(from),
            _ => None,
        });
        let next = times.clone().filter(|from| *from > book.now).min();
        let due = scene.store.next_due(scene.run, TaskId(task));
        match due.expect("read") {
            // One whose time has come since the last grant.
            Some(due) if due <= book.now => assert!(times.clone().any(|from| from == due)),
            due => assert_eq!(due, next),
        }
    }
}
