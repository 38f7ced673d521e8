use super::*;
use crate::store::{Kinds, Suspects};

const EVERY: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

fn task(n: u32) -> TaskId {
    TaskId(n)
}

fn attempt(n: u64) -> (ItemId, Epoch) {
    (ItemId::from_random(n), Epoch(1))
}

fn lack(no_room: NoRoom, volume: Option<&str>) -> Full {
    Full {
        no_room,
        volume: volume.map(PathBuf::from),
    }
}

/// Tasks 1 and 2 on `/a`, 3 on `/b`, of 4 nothing is known.
fn targets() -> Targets {
    let mut targets = Targets::new(EVERY);
    for (n, volume) in [(1, "/a"), (2, "/a"), (3, "/b")] {
        targets.lies_on(task(n), volume.into());
    }
    targets
}

fn from(tasks: &[u32]) -> Vec<GrantFrom> {
    let from = |n: &u32| GrantFrom {
        task: task(*n),
        at_most: 3,
        kinds: Kinds::All,
        suspects: Suspects::LeftOut,
    };
    tasks.iter().map(from).collect()
}

/// What may be granted now of tasks 1 to 4, as (task, at most); the probes among it are not granted.
fn admitted(targets: &mut Targets, now: Instant) -> Vec<(u32, usize)> {
    let mut from = from(&[1, 2, 3, 4]);
    let asked = targets.admit(&mut from, now);
    targets.not_granted(&asked);
    from.iter()
        .map(|from| (from.task.0, from.at_most))
        .collect()
}

/// The probe that is due goes out with this item.
fn probe(targets: &mut Targets, of: u32, item: u64, now: Instant) {
    let mut from = from(&[1, 2, 3, 4]);
    let asked = targets.admit(&mut from, now);
    assert!(!asked.is_empty(), "no probe is due");
    assert_eq!((from[0].task, from[0].at_most), (task(of), 1));
    let (item, epoch) = attempt(item);
    targets.granted(task(of), item, epoch, now);
    targets.not_granted(&asked);
}

#[test]
fn what_is_full_concerns_its_volume_and_a_quota_its_task() {
    for (of, full, paused) in [
        (1, lack(NoRoom::Space, Some("/a")), vec![1, 2]),
        (2, lack(NoRoom::ReadOnly, Some("/a")), vec![1, 2]),
        (1, lack(NoRoom::Quota, Some("/a")), vec![1]),
        (3, lack(NoRoom::Space, None), vec![3]),
        // Another name for what is known already, and a task of which nothing was known.
        (2, lack(NoRoom::Space, Some("/elsewhere")), vec![1, 2]),
        (4, lack(NoRoom::Space, Some("/a")), vec![1, 2, 4]),
        (4, lack(NoRoom::Space, None), vec![4]),
    ] {
        let now = Instant::now();
        let mut targets = targets();
        let began = targets
            .full(task(of), attempt(1), full.clone(), "why", now)
            .expect("it begins");
        let tasks: Vec<u32> = began.tasks.iter().map(|task| task.0).collect();
        assert_eq!(tasks, paused, "{of} {full:?}");
        for n in 1..=4 {
            let is_paused = targets.pause_of(task(n)).is_some();
            assert_eq!(is_paused, paused.contains(&n), "{n} after {of} {full:?}");
        }
        let again = targets.full(task(of), attempt(2), full, "still", now);
        assert_eq!(again, None, "one pause is told of once");
        assert_eq!(targets.pause_of(task(of)).unwrap().message, "still");
    }
}

#[test]
fn of_a_paused_volume_one_item_goes_out_each_while_of_one_task_after_the_other() {
    let t0 = Instant::now();
    let mut targets = targets();
    let full = lack(NoRoom::Space, Some("/a"));
    targets.full(task(2), attempt(1), full.clone(), "full", t0);
    assert_eq!(admitted(&mut targets, t0), [(3, 3), (4, 3)]);
    let mut now = t0;
    for (n, of) in [(10, 1), (11, 2), (12, 1)] {
        assert_eq!(admitted(&mut targets, now), [(3, 3), (4, 3)]);
        now += EVERY;
        probe(&mut targets, of, n, now);
        assert_eq!(admitted(&mut targets, now), [(3, 3), (4, 3)], "one is out");
        let told = targets.full(task(of), attempt(n), full.clone(), "full", now);
        assert_eq!(told, None);
    }
}

#[test]
fn a_task_without_items_leaves_the_probe_to_the_next() {
    let now = Instant::now();
    let mut targets = targets();
    let full = lack(NoRoom::Space, Some("/a"));
    targets.full(task(1), attempt(1), full, "full", now);
    let due = now + EVERY;
    assert_eq!(admitted(&mut targets, due), [(1, 1), (3, 3), (4, 3)]);
    assert_eq!(admitted(&mut targets, due), [(2, 1), (3, 3), (4, 3)]);
    assert_eq!(admitted(&mut targets, due), [(1, 1), (3, 3), (4, 3)]);
}

#[test]
fn a_task_over_quota_on_a_full_volume_waits_for_both() {
    let now = Instant::now();
    let mut targets = targets();
    let quota = lack(NoRoom::Quota, Some("/a"));
    targets.full(task(1), attempt(1), quota, "quota", now);
    let later = now + SECOND * 30;
    let space = lack(NoRoom::Space, Some("/a"));
    targets.full(task(2), attempt(2), space, "full", later);
    assert_eq!(admitted(&mut targets, now + EVERY), [(3, 3), (4, 3)]);
    probe(&mut targets, 1, 9, later + EVERY);
    let ended = targets.completed(attempt(9), true, later + EVERY);
    assert_eq!(ended.len(), 2);
    assert!(targets.pause_of(task(1)).is_none() && targets.pause_of(task(2)).is_none());
}

#[test]
fn only_a_probe_that_copied_something_ends_the_pause() {
    // Of the attempt that completes: is it the probe, has it copied anything?
    for (is_probe, has_copied, ends) in [
        (true, true, true),
        (true, false, false),
        (false, true, false),
    ] {
        let t0 = Instant::now();
        let mut targets = targets();
        let full = lack(NoRoom::Space, Some("/a"));
        targets.full(task(1), attempt(1), full, "full", t0);
        let now = t0 + EVERY;
        probe(&mut targets, 1, 9, now);
        let completed = if is_probe { attempt(9) } else { attempt(2) };
        let ended = targets.completed(completed, has_copied, now);
        let tasks: Vec<_> = ended.iter().map(|told| told.tasks.clone()).collect();
        assert_eq!(!tasks.is_empty(), ends, "{is_probe} {has_copied}");
        if ends {
            assert_eq!(tasks, [[task(1), task(2)]]);
            assert_eq!(ended[0].lasted, EVERY);
        }
        assert_eq!(targets.pause_of(task(2)).is_none(), ends);
    }
}

#[test]
fn a_long_probe_ends_the_pause_by_what_it_has_copied() {
    // Seconds under way, entries copied; none: it is under way no more.
    for (seconds, copied, ends) in [
        (9, Some(5), false),
        (10, Some(0), false),
        (10, Some(1), true),
        (10, None, false),
    ] {
        let t0 = Instant::now();
        let mut targets = targets();
        let full = lack(NoRoom::Space, Some("/a"));
        targets.full(task(1), attempt(1), full, "full", t0);
        let out = t0 + EVERY;
        probe(&mut targets, 1, 9, out);
        let now = out + SECOND * seconds;
        let looked = targets.look(now, |item, epoch| {
            assert_eq!((item, epoch), attempt(9));
            copied
        });
        assert_eq!(!looked.ended.is_empty(), ends, "{seconds} {copied:?}");
        // One whose worker was lost makes room for another.
        assert_eq!(looked.is_probe_due, copied.is_none());
    }
}

#[test]
fn a_pause_is_spoken_of_again_and_goes_with_its_last_task() {
    let t0 = Instant::now();
    let mut targets = targets();
    let full = lack(NoRoom::Space, Some("/a"));
    targets.full(task(1), attempt(1), full, "full", t0);
    // The seconds that are told of it at this second.
    let still = |targets: &mut Targets, seconds| -> Vec<u64> {
        let looked = targets.look(t0 + SECOND * seconds, |_, _| None);
        let lasted = looked.still.iter().map(|told| told.lasted.as_secs());
        lasted.collect()
    };
    assert_eq!(still(&mut targets, 599), [0; 0]);
    assert_eq!(still(&mut targets, 600), [600]);
    assert_eq!(still(&mut targets, 601), [0; 0]);
    assert_eq!(still(&mut targets, 1200), [1200]);
    targets.forget(task(1));
    assert!(targets.pause_of(task(2)).is_some());
    targets.forget(task(2));
    assert_eq!(
        targets.look(t0 + EVERY * 60, |_, _| None),
        Looked::default()
    );
}
