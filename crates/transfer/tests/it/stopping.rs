//! What an attempt leaves behind when it can't go on, and what the next makes of it.

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::{Durability, FailureClass, ItemId, NoRoom, RelPath, SkipReason};
use rustix::io::Errno;
use testkit::fuse::{Fault, Op, SlowFs};
use testkit::mount::Tmpfs;
use transfer::{AttemptWork, NotTaken, RootsLost, Share, Stopped, Unbegun};

use crate::support::{
    self, AS_PLAIN_USER, Place, assert_same, directories, inner_place, run_again, temp_name, temps,
    tree, walk,
};

fn some_tree(place: &Place) {
    for directory in 0..20 {
        for file in 0..30 {
            place.write(&format!("d{directory}/s{}/f{file}", file % 3), vec![1; 100]);
        }
    }
    fs::create_dir_all(place.target("d3")).unwrap();
}

#[test]
fn a_closed_fence_stops_every_change_and_the_next_attempt_clears_up() {
    for writes in (0..600).step_by(53) {
        let place = Place::new("fence");
        some_tree(&place);
        let mut attempt = walk();
        attempt.writes = writes;
        attempt.options.durability = [Durability::None, Durability::Batch][writes as usize % 2];
        assert_eq!(attempt.run(&place).unwrap_err(), Stopped::LeaseLost);
        assert!(temps(&place.target("")).is_empty());
        if writes == 0 {
            assert_eq!(tree(&place.target("")).len(), 1);
        }
        let mut next = walk();
        next.epoch = 2;
        next.run(&place).unwrap();
        assert_same(&place);
    }
}

#[test]
fn a_cancelled_attempt_leaves_nothing_unfinished() {
    for durability in [Durability::None, Durability::Batch] {
        let place = Place::new("cancel");
        some_tree(&place);
        let mut attempt = walk();
        attempt.options.durability = durability;
        let cancel = Arc::clone(&attempt.cancel);
        let progress = Arc::clone(&attempt.progress);
        let watcher = std::thread::spawn(move || {
            while progress.listed.load(Ordering::Relaxed) < 100 {
                std::thread::sleep(Duration::from_millis(1));
            }
            cancel.cancel();
        });
        let result = attempt.run(&place);
        watcher.join().unwrap();
        if let Err(stopped) = result {
            assert_eq!(stopped, Stopped::Cancelled);
        }
        assert_eq!(temps(&place.target("")), Vec::<std::path::PathBuf>::new());
        walk().run(&place).unwrap();
        assert_same(&place);
    }
}

#[test]
fn only_superseded_temps_are_removed() {
    let place = Place::new("temps");
    place.write("d/file", "x");
    fs::create_dir_all(place.target("d").join(temp_name(1, 2, 0)).join("sub")).unwrap();
    // Left by an item that handed this one over, in whatever attempt.
    fs::write(place.target("d").join(temp_name(3, 9, 0)), "left").unwrap();
    for kept in [temp_name(1, 3, 0), temp_name(2, 1, 0)] {
        fs::write(place.target("d").join(kept), "another's").unwrap();
    }
    fs::write(place.target(&temp_name(1, 1, 9)), "left").unwrap();
    let mut attempt = walk();
    attempt.epoch = 3;
    attempt.ancestors = vec![ItemId::from_random(3)];
    attempt.run(&place).unwrap();
    assert_eq!(temps(&place.target("")).len(), 2);
}

#[test]
fn a_missing_mount_is_never_written_under() {
    let place = Place::new("mount");
    some_tree(&place);
    let mut attempt = walk();
    attempt.check_roots = Arc::new(|| Err(RootsLost::Gone("the marker is gone".into())));
    let stopped = attempt.run(&place).unwrap_err();
    assert_eq!(stopped, Stopped::MountGone("the marker is gone".into()));
    assert_eq!(tree(&place.target("")).len(), 1);
}

#[test]
fn a_mount_that_goes_away_stops_the_batch_before_its_names() {
    let place = Place::new("gone");
    place.write("a", "a");
    place.write("d/b", "b");
    let calls = AtomicU64::new(0);
    let mut attempt = walk();
    attempt.options.durability = Durability::Batch;
    attempt.check_roots = Arc::new(move || match calls.fetch_add(1, Ordering::Relaxed) {
        0 => Ok(()),
        _ => Err(RootsLost::Gone("gone".into())),
    });
    assert!(matches!(attempt.run(&place), Err(Stopped::MountGone(_))));
    assert!(tree(&place.target("")).is_empty());
}

#[test]
fn a_full_target_stops_and_is_left_clean() {
    let place = Place::new("full");
    let mounted = Tmpfs::new(1).unwrap();
    for file in 0..100 {
        place.write(&format!("d/f{file}"), vec![1; 50_000]);
    }
    let result = walk().run_between(&place.source(""), mounted.path());
    assert_eq!(result.unwrap_err(), Stopped::TargetFull(NoRoom::Space));
    assert!(tree(mounted.path()).is_empty());
}

#[test]
fn a_directory_that_comes_into_being_is_never_replaced() {
    let place = Place::new("exists");
    place.write("d/file", "x");
    let target = place.target("d");
    let mut attempt = walk();
    // The roots are checked after the batch's sync, when the directory is staged.
    attempt.options.durability = Durability::Batch;
    let calls = AtomicU64::new(0);
    attempt.check_roots = Arc::new(move || {
        if calls.fetch_add(1, Ordering::Relaxed) == 1 {
            fs::create_dir(&target).unwrap();
        }
        Ok(())
    });
    let stopped = attempt.run(&place).unwrap_err();
    assert!(matches!(stopped, Stopped::Again(_)), "{stopped:?}");
    assert!(temps(&place.target("")).is_empty());
    walk().run(&place).unwrap();
    assert_same(&place);
}

/// Two files, to each of which something is done after it was read and before its batch is published.
fn meddle_before_the_batch(place: &Place, meddle: fn(&std::path::Path)) -> model::Outcome {
    place.write("d/file", "before");
    place.write("top", "before");
    let sources = [place.source("d/file"), place.source("top")];
    let mut attempt = walk();
    attempt.options.durability = Durability::Batch;
    let calls = AtomicU64::new(0);
    attempt.check_roots = Arc::new(move || {
        if calls.fetch_add(1, Ordering::Relaxed) == 1 {
            sources.iter().for_each(|source| meddle(source));
        }
        Ok(())
    });
    attempt.run(place).unwrap().outcome
}

#[test]
fn a_file_that_changes_before_its_batch_is_published_is_copied_again() {
    let place = Place::new("changed");
    meddle_before_the_batch(&place, |source| fs::write(source, "changed since").unwrap());
    assert_same(&place);
}

#[test]
fn a_file_that_vanishes_before_its_batch_is_published_is_not_called_copied() {
    let place = Place::new("gone");
    let outcome = meddle_before_the_batch(&place, |source| {
        // What was read of it may have been of several moments.
        fs::write(source, "changed").unwrap();
        fs::remove_file(source).unwrap();
    });
    assert_eq!(outcome.skipped.get(&SkipReason::Vanished), Some(&2));
    assert_eq!(tree(&place.target("")).len(), 1, "only the directory");
}

#[test]
fn a_file_that_never_holds_still_is_reported_as_changed() {
    let place = Place::new("restless");
    place.write("d/file", vec![0; 8 << 20]);
    let path = place.source("d/file");
    let mut attempt = walk();
    attempt.meddle = Box::new(move || {
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        let size = file.metadata().unwrap().len();
        file.set_len(if size == 8 << 20 { 5 << 20 } else { 8 << 20 })
            .unwrap();
    });
    let outcome = attempt.run(&place).unwrap().outcome;
    assert_eq!(outcome.failures[0].class, FailureClass::Changed);
    assert_eq!(tree(&place.target("")).len(), 1, "only the directory");
}

#[test]
fn what_vanishes_is_skipped() {
    let place = Place::new("vanished");
    place.write("a", "a");
    place.write("b", "b");
    let sources = [place.source("a"), place.source("b")];
    let mut attempt = walk();
    attempt.threads = 1;
    // One of them has been read by then.
    attempt.meddle = Box::new(move || {
        for source in &sources {
            let _ = fs::remove_file(source);
        }
    });
    let outcome = attempt.run(&place).unwrap().outcome;
    assert_eq!(outcome.counters.copied, 1);
    assert_eq!(outcome.skipped.get(&SkipReason::Vanished), Some(&1));
}

#[test]
fn unreadable_entries_are_counted_and_the_rest_is_copied() {
    let Some(root) = inner_place() else {
        let place = Place::new("unreadable");
        for file in ["open/file", "closed/file", "secret"] {
            place.write(file, "x");
        }
        let all = ["", "source", "target", "source/open", "source/open/file"];
        for (name, mode) in all
            .map(|name| (name, "777"))
            .into_iter()
            .chain([("source/closed", "000"), ("source/secret", "000")])
        {
            let path = place.root.join(name);
            assert!(
                Command::new("chmod")
                    .arg(mode)
                    .arg(path)
                    .status()
                    .unwrap()
                    .success()
            );
        }
        run_again(
            "stopping::unreadable_entries_are_counted_and_the_rest_is_copied",
            &place,
            &AS_PLAIN_USER,
        );
        return;
    };
    let finished = walk().run_between(&root.join("source"), &root.join("target"));
    let outcome = finished.unwrap().outcome;
    assert_eq!(outcome.unreadable_directories, 1);
    assert_eq!(
        (outcome.counters.failed, outcome.counters.copied),
        (2, 2),
        "{outcome:?}"
    );
    assert!(outcome.notes.contains_key("owner not kept"), "{outcome:?}");
}

#[test]
fn what_is_handed_over_is_copied_by_the_taker_and_both_ledgers_add_up() {
    let place = Place::new("share");
    for directory in 0..40 {
        for file in 0..5 {
            place.write(&format!("p{}/d{directory}/f{file}", directory % 4), "x");
        }
    }
    let n = tree(&place.source("")).len() as u64;
    let mut giver = walk();
    giver.threads = 1;
    let share = Arc::new(support::Taker {
        wants: true.into(),
        ..support::Taker::default()
    });
    giver.share = share.clone();
    let given = giver.run(&place).unwrap();
    let taken = std::mem::take(&mut *share.taken.lock().unwrap());
    assert!(taken.len() > 1, "{taken:?}");
    assert_eq!(given.outcome.counters.deferred, taken.len() as u64);
    let mut taker = walk();
    taker.item = 2;
    taker.work = AttemptWork::Walk(directories(&taken));
    let mut total = given.outcome.counters;
    total.add(&taker.run(&place).unwrap().outcome.counters);
    assert_eq!(total.listed - total.deferred, n);
    assert_eq!(total.copied, n);
    let mut attributes = walk();
    attributes.work = AttemptWork::Attributes(given.deferred_attributes);
    attributes.run(&place).unwrap();
    assert_same(&place);

    // A repeated attempt leaves out what was handed over.
    let mut again = walk();
    again.epoch = 2;
    again.excluded = taken.clone();
    let counters = again.run(&place).unwrap().outcome.counters;
    assert_eq!(counters.deferred, taken.len() as u64);
}

/// Wants work at any time, and looks whether those who would do it can get there.
struct Looking {
    target: std::path::PathBuf,
    taken: AtomicU64,
    unreachable: Mutex<Vec<RelPath>>,
}

impl Share for Looking {
    fn is_wanted(&self) -> bool {
        true
    }

    fn hand_over(&self, work: &[Unbegun]) -> Result<(), NotTaken> {
        let directories = directories(work);
        let parent = |path: &RelPath| path.split_last().unwrap().0;
        let is_there = |path: &RelPath| self.target.join(parent(path).to_string()).is_dir();
        let lost = directories.iter().filter(|path| !is_there(path)).cloned();
        self.unreachable.lock().unwrap().extend(lost);
        self.taken
            .fetch_add(directories.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

#[test]
fn what_lies_below_a_directory_without_its_name_is_not_handed_over() {
    let place = Place::new("unreachable");
    for n in 0..20 {
        // It gets its name with its batch, and what is in it has its own long before.
        place.write(&format!("waits{n}/file"), "x");
        for m in 0..50 {
            place.write(&format!("waits{n}/named/d{m}/file"), "x");
        }
    }
    let share = Arc::new(Looking {
        target: place.target(""),
        taken: AtomicU64::new(0),
        unreachable: Mutex::default(),
    });
    let mut attempt = walk();
    attempt.options.durability = Durability::Batch;
    attempt.share = share.clone();
    attempt.run(&place).unwrap();
    assert_eq!(*share.unreachable.lock().unwrap(), []);
    assert!(share.taken.load(Ordering::Relaxed) > 0);
}

#[test]
fn work_that_is_not_taken_is_kept() {
    let place = Place::new("kept");
    some_tree(&place);
    let mut attempt = walk();
    attempt.share = Arc::new(support::Taker {
        refuses: true,
        wants: true.into(),
        ..support::Taker::default()
    });
    attempt.run(&place).unwrap();
    assert_same(&place);
}

#[test]
fn an_error_that_a_whole_mount_has_is_no_entry_s() {
    let place = Place::new("stale");
    place.write("d/file", "x");
    let mounted = SlowFs::over(&place.source(""))
        .mount(&place.source(""))
        .unwrap();
    let armed = mounted.arm(Fault::errno(Op::Open, Errno::STALE).name_prefix("file"));
    let mut attempt = walk();
    let fault = armed.clone();
    attempt.check_roots = Arc::new(move || match fault.fired() {
        0 => Ok(()),
        _ => Err(RootsLost::Stale("it is stale".into())),
    });
    let stopped = attempt.run(&place).unwrap_err();
    assert_eq!(stopped, Stopped::MountStale("it is stale".into()));
    armed.disarm();
    walk().run(&place).unwrap();
    assert_same(&place);
    mounted.unmount().unwrap();
}

/// A target in which a dead attempt was in the midst of directories that the source has no more.
fn vanished(place: &Place, item: u64) {
    place.write("d/file", "x");
    let deep = place.target("d/gone/deep");
    fs::create_dir_all(deep.join(temp_name(item, 1, 0)).join("sub")).unwrap();
    fs::write(deep.join(temp_name(item, 1, 1)), "").unwrap();
    fs::write(deep.join("a user's"), "").unwrap();
    fs::write(deep.join(temp_name(99, 1, 0)), "another item's").unwrap();
}

#[track_caller]
fn assert_cleared(place: &Place) {
    let mut left: Vec<_> = fs::read_dir(place.target("d/gone/deep"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, [temp_name(99, 1, 0), "a user's".to_owned()]);
}

#[test]
fn temps_are_removed_where_the_source_has_vanished() {
    let place = Place::new("vanished");
    vanished(&place, 1);
    let mut next = walk();
    next.epoch = 2;
    next.run(&place).unwrap();
    assert_cleared(&place);
}

#[test]
fn temps_are_removed_however_many_directories_have_vanished() {
    let place = Place::in_memory("strangers");
    place.write("d/file", "x");
    let gone = place.target("d");
    for n in 0..201_000 {
        fs::create_dir_all(gone.join(n.to_string())).unwrap();
    }
    // Wherever they come in the listing: of some hundred, not all are among those that are held.
    for n in (0..201_000).step_by(500) {
        fs::write(gone.join(n.to_string()).join(temp_name(1, 1, n)), "").unwrap();
    }
    let mut next = walk();
    next.epoch = 2;
    next.run(&place).unwrap();
    assert_eq!(temps(&place.target("")), Vec::<std::path::PathBuf>::new());
}

#[test]
fn temps_are_removed_where_what_was_handed_over_has_vanished() {
    for work in ["d/gone", "d/gone/deep"] {
        for taken in [
            AttemptWork::Walk as fn(Vec<RelPath>) -> AttemptWork,
            AttemptWork::Paths,
        ] {
            let place = Place::new("handed");
            vanished(&place, 5);
            let mut taker = walk();
            taker.work = taken(vec![RelPath::new(work).unwrap()]);
            taker.ancestors = vec![ItemId::from_random(5)];
            taker.run(&place).unwrap();
            assert_cleared(&place);
        }
    }
}

#[test]
fn a_first_attempt_looks_into_nothing_that_the_source_has_not() {
    let place = Place::new("first");
    vanished(&place, 1);
    walk().run(&place).unwrap();
    assert!(
        place
            .target("d/gone/deep")
            .join(temp_name(1, 1, 1))
            .exists()
    );
}
