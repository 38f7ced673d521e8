//! Several attempts in one pool, and what a thread that breaks or waits does to them.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use std::time::Duration;

use model::{Durability, RelPath};
use testkit::fuse::{Fault, Op, SlowFs};
use transfer::{Cancel, Fence, Finished, Stopped, Threads};

use crate::support::judge::wait_until;
use crate::support::{Place, assert_same, temps, tree, walk};

fn some_tree(place: &Place) {
    for directory in 0..20 {
        for file in 0..30 {
            place.write(&format!("d{directory}/s{}/f{file}", file % 3), vec![1; 100]);
        }
    }
}

/// Holds everybody up until it is opened.
#[derive(Default)]
struct Gate {
    is_open: Mutex<bool>,
    changed: Condvar,
    waiting: AtomicU64,
}

impl Gate {
    fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.changed.notify_all();
    }
}

impl Fence for Gate {
    fn is_open(&self) -> bool {
        *self.is_open.lock().unwrap()
    }

    fn may_write(&self) -> bool {
        let mut is_open = self.is_open.lock().unwrap();
        self.waiting.fetch_add(1, Ordering::SeqCst);
        while !*is_open {
            is_open = self.changed.wait(is_open).unwrap();
        }
        true
    }
}

#[test]
fn one_attempt_is_cancelled_while_others_of_the_pool_go_on() {
    for durability in [Durability::None, Durability::Batch] {
        let threads = Threads::new(3);
        let places = [Place::new("pool"), Place::new("pool"), Place::new("pool")];
        places.iter().for_each(some_tree);
        std::thread::scope(|scope| {
            let runs: Vec<_> = places
                .iter()
                .enumerate()
                .map(|(n, place)| {
                    let mut attempt = walk();
                    attempt.item = n as u64 + 1;
                    attempt.options.durability = durability;
                    if n == 1 {
                        let cancel = Arc::clone(&attempt.cancel);
                        let calls = AtomicU64::new(0);
                        attempt.meddle = Box::new(move || {
                            if calls.fetch_add(1, Ordering::Relaxed) == 50 {
                                cancel.cancel();
                            }
                        });
                    }
                    let threads = &threads;
                    scope.spawn(move || {
                        attempt.run_on(threads, &place.source(""), &place.target(""))
                    })
                })
                .collect();
            for (n, run) in runs.into_iter().enumerate() {
                let result = run.join().unwrap();
                if n == 1 {
                    assert_eq!(result.unwrap_err(), Stopped::Cancelled);
                    assert!(temps(&places[n].target("")).is_empty());
                } else {
                    assert_eq!(result.unwrap().outcome.counters.copied_files, 600);
                    assert_same(&places[n]);
                }
            }
        });
    }
}

#[test]
fn a_fence_that_waits_holds_up_nothing_but_changes() {
    for durability in [Durability::None, Durability::Batch] {
        let place = Place::new("gate");
        some_tree(&place);
        let gate = Arc::new(Gate::default());
        let mut attempt = walk();
        attempt.options.durability = durability;
        attempt.fence = Some(Arc::clone(&gate) as Arc<dyn Fence>);
        let progress = Arc::clone(&attempt.progress);
        std::thread::scope(|scope| {
            let run = scope.spawn(|| attempt.run(&place));
            while gate.waiting.load(Ordering::SeqCst) < 4 {
                std::thread::sleep(Duration::from_millis(1));
            }
            // All threads of the pool wait; whoever reports the progress doesn't.
            progress.current_paths();
            let listed = progress.listed.load(Ordering::Relaxed);
            let found = tree(&place.target(""));
            gate.open();
            run.join().unwrap().unwrap();
            assert_eq!((listed, found.len()), (20, 0));
        });
        assert_same(&place);
    }
}

#[test]
fn a_waiting_fence_of_one_attempt_leaves_threads_to_the_others() {
    let (held, free) = (Place::new("held"), Place::new("free"));
    // One job can wait here, so three threads are left.
    held.write("file", "x");
    some_tree(&free);
    let threads = Threads::new(4);
    let gate = Arc::new(Gate::default());
    let mut waits = walk();
    waits.item = 2;
    waits.fence = Some(Arc::clone(&gate) as Arc<dyn Fence>);
    std::thread::scope(|scope| {
        let run = scope.spawn(|| waits.run_on(&threads, &held.source(""), &held.target("")));
        while gate.waiting.load(Ordering::SeqCst) == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        walk()
            .run_on(&threads, &free.source(""), &free.target(""))
            .unwrap();
        gate.open();
        run.join().unwrap().unwrap();
    });
    assert_same(&held);
    assert_same(&free);
}

#[test]
fn a_panic_ends_its_attempt_and_no_other() {
    for lasting in [false, true] {
        let place = Place::new("panic");
        some_tree(&place);
        let threads = Threads::new(2);
        let mut attempt = walk();
        attempt.options.durability = Durability::Batch;
        let calls = AtomicU64::new(0);
        let over = AtomicBool::new(false);
        attempt.meddle = Box::new(move || {
            let n = calls.fetch_add(1, Ordering::Relaxed);
            if n >= 50 && (lasting || !over.swap(true, Ordering::Relaxed)) {
                panic!("as the test wants it");
            }
        });
        let result = attempt.run_on(&threads, &place.source(""), &place.target(""));
        assert!(matches!(result, Err(Stopped::Again(_))), "{result:?}");
        if !lasting {
            assert!(temps(&place.target("")).is_empty());
        }
        let mut next = walk();
        next.epoch = 2;
        next.run_on(&threads, &place.source(""), &place.target(""))
            .unwrap();
        assert_same(&place);
    }
}

#[test]
fn two_attempts_make_the_same_directories_at_once() {
    for durability in [Durability::None, Durability::Batch] {
        let place = Place::new("shared");
        let second = place.root.join("second");
        for directory in 0..30 {
            place.write(&format!("a/d{directory}/one"), "1");
            let path = second.join(format!("a/d{directory}"));
            std::fs::create_dir_all(&path).unwrap();
            std::fs::write(path.join("two"), "2").unwrap();
        }
        let threads = Threads::new(4);
        std::thread::scope(|scope| {
            let runs = [place.source(""), second].map(|source| {
                let (threads, place) = (&threads, &place);
                scope.spawn(move || {
                    let mut attempt = walk();
                    attempt.item = 1 + u64::from(source.ends_with("second"));
                    attempt.target_is_shared = true;
                    attempt.options.durability = durability;
                    attempt.run_on(threads, &source, &place.target(""))
                })
            });
            for run in runs {
                let outcome = run.join().unwrap().unwrap().outcome;
                assert_eq!(
                    (outcome.counters.copied_files, outcome.counters.failed),
                    (30, 0),
                    "{outcome:?}"
                );
            }
        });
        for directory in 0..30 {
            for name in ["one", "two"] {
                let path = place.target(&format!("a/d{directory}/{name}"));
                assert!(path.exists(), "{path:?}");
            }
        }
        assert!(temps(&place.target("")).is_empty());
    }
}

/// Runs an attempt whose fence is behind a gate until `meanwhile` returns; how the attempt ended then.
fn held_up(
    threads: &Threads,
    place: &Place,
    cancel: &Arc<Cancel>,
    meanwhile: impl FnOnce(),
) -> Result<Finished, Stopped> {
    let gate = Arc::new(Gate::default());
    let mut attempt = walk();
    attempt.item = 2;
    attempt.fence = Some(Arc::clone(&gate) as Arc<dyn Fence>);
    attempt.cancel = Arc::clone(cancel);
    std::thread::scope(|scope| {
        let run = scope.spawn(|| attempt.run_on(threads, &place.source(""), &place.target("")));
        while gate.waiting.load(Ordering::SeqCst) == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        meanwhile();
        gate.open();
        run.join().unwrap()
    })
}

#[test]
fn threads_that_are_left_behind_are_replaced_and_end_when_they_come_back() {
    let (held, free) = (Place::new("behind"), Place::new("free"));
    some_tree(&held);
    some_tree(&free);
    let threads = Threads::new(1);
    let cancel = Arc::new(Cancel::default());
    let ended = held_up(&threads, &held, &cancel, || {
        cancel.leave_behind();
        walk()
            .run_on(&threads, &free.source(""), &free.target(""))
            .unwrap();
    });
    assert_eq!(ended.unwrap_err(), Stopped::Cancelled);
    assert_same(&free);
    assert!(temps(&held.target("")).is_empty());
    // What came back works on.
    let mut next = walk();
    next.epoch = 2;
    next.run_on(&threads, &held.source(""), &held.target(""))
        .unwrap();
    assert_same(&held);
}

#[test]
fn one_attempt_does_not_take_all_threads_while_another_has_work() {
    let (hangs, free) = (Place::new("hangs"), Place::new("free"));
    some_tree(&hangs);
    some_tree(&free);
    let threads = Threads::new(4);
    let gate = Arc::new(Gate::default());
    let (has_begun, is_done) = (Arc::new(AtomicBool::new(false)), AtomicBool::new(false));
    let mut greedy = walk();
    greedy.item = 2;
    greedy.meddle = Box::new({
        let gate = Arc::clone(&gate);
        move || {
            gate.may_write();
        }
    });
    let mut other = walk();
    other.meddle = Box::new({
        let (gate, has_begun) = (Arc::clone(&gate), Arc::clone(&has_begun));
        move || {
            // It does not end before the one that hangs does so.
            let is_first = !has_begun.swap(true, Ordering::SeqCst);
            while is_first && gate.waiting.load(Ordering::SeqCst) == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    });
    std::thread::scope(|scope| {
        let run_other = scope.spawn(|| {
            let done = other.run_on(&threads, &free.source(""), &free.target(""));
            is_done.store(true, Ordering::SeqCst);
            done
        });
        while !has_begun.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let run = scope.spawn(|| greedy.run_on(&threads, &hangs.source(""), &hangs.target("")));
        let done = std::panic::catch_unwind(|| {
            wait_until("the other to end", || is_done.load(Ordering::SeqCst));
        });
        gate.open();
        run.join().unwrap().unwrap();
        run_other.join().unwrap().unwrap();
        assert!(
            done.is_ok(),
            "it waited for the threads of the one that hangs"
        );
    });
    assert_same(&free);
}

#[test]
fn a_file_that_has_to_settle_keeps_no_thread() {
    let (waits, free) = (Place::new("settles"), Place::new("free"));
    // Too big to be told apart from its next change by its times.
    let changing = vec![1; 1 << 20];
    waits.write("changing", &changing);
    free.write("file", "x");
    let threads = Threads::new(1);
    let mut attempt = walk();
    attempt.item = 2;
    let progress = Arc::clone(&attempt.progress);
    let listed = || progress.listed.load(Ordering::SeqCst);
    let copied = || progress.copied_files.load(Ordering::SeqCst);
    std::thread::scope(|scope| {
        let run = scope.spawn(|| attempt.run_on(&threads, &waits.source(""), &waits.target("")));
        wait_until("the file to be met", || listed() == 1);
        // For as long as it changes, it waits.
        let is_done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // In its place: one that was emptied for a moment would be small enough to be read at once.
                let file = OpenOptions::new()
                    .write(true)
                    .open(waits.source("changing"));
                let file = file.unwrap();
                while !is_done.load(Ordering::SeqCst) {
                    file.write_all_at(&changing, 0).unwrap();
                    std::thread::sleep(Duration::from_millis(100));
                }
            });
            walk()
                .run_on(&threads, &free.source(""), &free.target(""))
                .unwrap();
            assert_eq!(copied(), 0, "it did not have to wait");
            is_done.store(true, Ordering::SeqCst);
        });
        let outcome = run.join().unwrap().unwrap().outcome;
        assert_eq!(outcome.counters.copied_files, 1, "{outcome:?}");
    });
    assert_same(&waits);
    assert_same(&free);
}

#[test]
fn a_call_without_an_answer_is_seen_from_outside_with_its_path() {
    let place = Place::new("silent");
    place.write("d/hangs", "x");
    let mounted = SlowFs::over(&place.source(""))
        .mount(&place.source(""))
        .unwrap();
    let armed = mounted.arm(Fault::hang(Op::Open).name_prefix("hangs"));
    let attempt = walk();
    let progress = Arc::clone(&attempt.progress);
    std::thread::scope(|scope| {
        let run = scope.spawn(|| attempt.run(&place));
        assert!(armed.wait_until_fired(1, Duration::from_secs(60)));
        let silences = || progress.silences(Duration::from_millis(100));
        wait_until("silence", || !silences().is_empty());
        let silence = silences().remove(0);
        assert_eq!(silence.path, RelPath::new("d/hangs").unwrap());
        assert!(silence.exceeds(Duration::from_millis(100)));
        armed.release();
        run.join().unwrap().unwrap();
    });
    assert_eq!(progress.silences(Duration::ZERO), []);
    assert_same(&place);
    mounted.unmount().unwrap();
}

#[test]
fn there_is_room_where_less_waits_than_there_are_threads() {
    for (files, has_room) in [(1, true), (100, false)] {
        let place = Place::new("room");
        (0..files).for_each(|n| place.write(&format!("f{n}"), "x"));
        let threads = Threads::new(4);
        assert!(threads.have_room());
        let gate = Arc::<Gate>::default();
        std::thread::scope(|scope| {
            let mut attempt = walk();
            attempt.fence = Some(gate.clone());
            let run =
                scope.spawn(|| attempt.run_on(&threads, &place.source(""), &place.target("")));
            wait_until("a thread is held up", || {
                gate.waiting.load(Ordering::SeqCst) > 0
            });
            assert_eq!(threads.have_room(), has_room, "{files} files");
            gate.open();
            run.join().unwrap().unwrap();
        });
        assert!(threads.have_room());
        assert_same(&place);
    }
}
