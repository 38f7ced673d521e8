use model::{Item, ItemState, Work, WorkKind};

use super::*;

const LEASE: Duration = Duration::from_secs(30);
const BEAT: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_millis(250);

fn fleet(now: Instant, sessions: u64) -> Fleet {
    let mut fleet = Fleet::new(LEASE);
    for n in 0..sessions {
        let session = Session::new(format!("w{n}"), String::new(), Some(n), LEASE, now);
        fleet.sessions.insert(SessionId::from_random(n), session);
    }
    fleet
}

fn id(n: u64) -> SessionId {
    SessionId::from_random(n)
}

/// Looks at it often, as the server does; returns what the last look brought.
fn watched_until(fleet: &mut Fleet, from: Instant, until: Instant) -> Vec<Expired> {
    let mut at = from;
    while at + TICK < until {
        assert!(fleet.expire(at).is_empty());
        at += TICK;
    }
    fleet.expire(until)
}

#[test]
fn a_server_that_was_frozen_blames_nobody_for_its_silence() {
    let t0 = Instant::now();
    let mut fleet = fleet(t0, 1);
    fleet.expire(t0);
    let thawed = t0 + LEASE * 10;
    assert!(fleet.expire(thawed).is_empty());
    let late = thawed + LEASE + Duration::from_millis(1);
    assert_eq!(watched_until(&mut fleet, thawed, late).len(), 1);
}

#[test]
fn all_tasks_of_one_lost_session_are_waited_for() {
    let t0 = Instant::now();
    let mut fleet = fleet(t0, 0);
    fleet.note_superseded(id(7), vec![TaskId(1)], t0);
    fleet.note_superseded(id(7), vec![TaskId(2)], t0);
    assert!(fleet.may_be_written_to(TaskId(1), t0));
    assert!(fleet.may_be_written_to(TaskId(2), t0));
}

#[test]
fn a_silent_session_loses_what_it_held_and_its_task_waits_two_leases() {
    let t0 = Instant::now();
    let mut fleet = fleet(t0, 2);
    let item = ItemId::from_random(1);
    fleet
        .session(id(0))
        .unwrap()
        .hold((item, Epoch(1)), TaskId(1), WorkKind::Walk, t0);
    let late = t0 + LEASE + Duration::from_millis(1);
    fleet.heard(id(1), vec![], late);
    let expired = watched_until(&mut fleet, t0, late);
    assert_eq!(expired.len(), 1);
    assert_eq!(expired[0].id, id(0));
    assert!(fleet.may_be_written_to(TaskId(1), late));
    assert!(!fleet.may_be_written_to(TaskId(2), late));
    assert!(!fleet.may_be_written_to(TaskId(1), late + LEASE * 2));
}

#[test]
fn an_acknowledged_end_is_not_waited_for() {
    let t0 = Instant::now();
    let mut fleet = fleet(t0, 1);
    fleet.note_superseded(id(7), vec![TaskId(1)], t0);
    assert!(fleet.may_be_written_to(TaskId(1), t0));
    fleet.acknowledged(id(7));
    assert!(!fleet.may_be_written_to(TaskId(1), t0));
}

#[test]
fn what_a_worker_never_heard_of_goes_back_but_not_at_once() {
    let t0 = Instant::now();
    let mut fleet = fleet(t0, 1);
    let item = ItemId::from_random(1);
    fleet
        .session(id(0))
        .unwrap()
        .hold((item, Epoch(3)), TaskId(1), WorkKind::Walk, t0);
    let listed = vec![(item, Epoch(3), Progress::default())];
    // However many: a worker that was frozen may not have read the answer yet.
    let last = t0 + BEAT + LEASE;
    for (beats, at) in [
        (vec![], t0),
        (listed.clone(), t0 + BEAT),
        (vec![], last - BEAT),
    ] {
        let heard = fleet.heard(id(0), beats, at);
        assert_eq!(heard, Some(Heard::default()));
    }
    let heard = fleet.heard(id(0), vec![], last).unwrap();
    assert_eq!(heard.unheard, [(item, Epoch(3))]);
    // It may have begun it all the same, and be frozen in the midst.
    assert!(fleet.may_be_written_to(TaskId(1), last));
    assert!(!fleet.may_be_written_to(TaskId(1), last + LEASE * 2));
    let heard = fleet.heard(id(0), listed, last).unwrap();
    assert_eq!(heard.lost, [(item, Epoch(3))]);
    assert_eq!(fleet.heard(id(9), vec![], t0), None);
}

#[test]
fn an_older_epoch_is_lost() {
    let t0 = Instant::now();
    let mut fleet = fleet(t0, 1);
    let item = ItemId::from_random(1);
    fleet
        .session(id(0))
        .unwrap()
        .hold((item, Epoch(3)), TaskId(1), WorkKind::Walk, t0);
    let listed = vec![(item, Epoch(2), Progress::default())];
    let heard = fleet.heard(id(0), listed, t0).unwrap();
    assert_eq!(heard.lost, [(item, Epoch(2))]);
}

#[test]
fn a_task_is_given_up_only_when_every_worker_refused_it_and_the_grace_is_over() {
    let t0 = Instant::now();
    let grace = Duration::from_secs(10);
    let mut fleet = fleet(t0, 2);
    fleet.refuse(id(0), TaskId(1), "no mount".into(), t0);
    assert!(!fleet.may_run(id(0), TaskId(1), t0));
    assert!(fleet.may_run(id(1), TaskId(1), t0));
    assert!(
        fleet
            .refused_by_all(TaskId(1), grace, t0 + grace, |_| true)
            .is_none()
    );
    fleet.refuse(id(1), TaskId(1), "other type".into(), t0 + BEAT);
    assert!(
        fleet
            .refused_by_all(TaskId(1), grace, t0 + BEAT, |_| true)
            .is_none()
    );
    let refusal = fleet
        .refused_by_all(TaskId(1), grace, t0 + grace, |_| true)
        .unwrap();
    assert_eq!(refusal.message, "other type");
    assert!(fleet.may_run(id(0), TaskId(1), t0 + Duration::from_secs(61)));
}

#[test]
fn a_refusal_that_is_tried_again_no_longer_speaks_for_its_worker() {
    let t0 = Instant::now();
    let mut fleet = fleet(t0, 1);
    let task = TaskId(1);
    fleet.refuse(id(0), task, "no mount".into(), t0);
    let due = t0 + REFUSAL + Duration::from_millis(1);
    assert!(fleet.refused_by_all(task, BEAT, due, |_| true).is_none());
    fleet.refuse(id(0), task, "no mount".into(), due);
    assert!(fleet.refused_by_all(task, BEAT, due, |_| true).is_some());
    let session = fleet.session(id(0)).unwrap();
    session.hold(
        (ItemId::from_random(1), Epoch(2)),
        task,
        WorkKind::Walk,
        due,
    );
    assert!(fleet.refused_by_all(task, BEAT, due, |_| true).is_none());
}

/// How many are asked by these sessions for work of these tasks.
fn ask(
    fleet: &mut Fleet,
    idle: &[SessionId],
    now: Instant,
    tasks: &BTreeMap<TaskId, Priority>,
) -> usize {
    let wanted = tasks.iter().map(|(task, priority)| {
        let waiting = fleet.waiting_for(idle, *task, now, |_| true);
        let wanted = Wanted {
            priority: *priority,
            waiting: waiting.collect(),
        };
        (*task, wanted)
    });
    let wanted = wanted.collect();
    fleet.ask_to_share(&wanted, AGAIN, now)
}

const AGAIN: Duration = Duration::from_secs(2);

#[test]
fn the_longest_running_are_asked_first_and_not_twice_at_once() {
    let t0 = Instant::now();
    let mut fleet = fleet(t0, 2);
    let session = fleet.session(id(0)).unwrap();
    let most = ASKED_FOR_A_SLOT as u64;
    for n in 0..=most {
        let lease = (ItemId::from_random(n), Epoch(1));
        let newest_first = t0 + AGAIN - Duration::from_millis(n);
        session.hold(lease, TaskId(1), WorkKind::Walk, newest_first);
    }
    let now = t0 + AGAIN * 2;
    let tasks = BTreeMap::from([(TaskId(1), Priority::default())]);
    // Its own slots would be no faster at it.
    assert_eq!(ask(&mut fleet, &[id(0)], now, &tasks), 0);
    fleet.session(id(1)).unwrap().idle_slots = 1;
    let asked = ask(&mut fleet, &[id(1)], now, &tasks);
    assert_eq!(asked, ASKED_FOR_A_SLOT);
    let held = &fleet.session(id(0)).unwrap().held;
    assert!(!held[&ItemId::from_random(0)].share);
    fleet.session(id(1)).unwrap().idle_slots = 9;
    let asked = ask(&mut fleet, &[id(0), id(1)], now, &tasks);
    assert_eq!(asked, 1);
    assert_eq!(ask(&mut fleet, &[id(1)], now, &tasks), 0);
}

#[test]
fn nobody_is_asked_for_work_of_a_task_by_those_whose_threads_are_busy_with_it() {
    let t0 = Instant::now();
    let mut fleet = fleet(t0, 2);
    for n in 0..2 {
        let lease = (ItemId::from_random(n), Epoch(1));
        let session = fleet.session(id(n)).unwrap();
        session.hold(lease, TaskId(1), WorkKind::Walk, t0);
    }
    let waiting = fleet.session(id(1)).unwrap();
    waiting.idle_slots = 1;
    waiting.more_of_a_task = 0;
    assert_eq!(waiting.room_for(TaskId(1)), 0);
    // It gets one of another task all the same.
    assert_eq!(waiting.room_for(TaskId(2)), 1);
    let is_wanted = |fleet: &Fleet, task| {
        let idle = [id(1)];
        let mut waiting = fleet.waiting_for(&idle, TaskId(task), t0, |_| true);
        waiting.next().is_some()
    };
    assert!(!is_wanted(&fleet, 1) && is_wanted(&fleet, 2));
    let now = t0 + AGAIN;
    let tasks = BTreeMap::from([1, 2].map(|n| (TaskId(n), Priority::default())));
    assert_eq!(ask(&mut fleet, &[id(1)], now, &tasks), 0);
    let lease = (ItemId::from_random(7), Epoch(1));
    let busy = fleet.session(id(0)).unwrap();
    busy.hold(lease, TaskId(2), WorkKind::Walk, t0);
    assert_eq!(ask(&mut fleet, &[id(1)], now, &tasks), 1);
    assert!(fleet.session(id(0)).unwrap().held[&lease.0].share);
    fleet.session(id(1)).unwrap().more_of_a_task = 1;
    assert_eq!(ask(&mut fleet, &[id(1)], now, &tasks), 1);
}

#[test]
fn no_more_are_asked_than_there_is_room_for() {
    let t0 = Instant::now();
    let mut fleet = fleet(t0, 4);
    for n in 0..4 {
        let session = fleet.session(id(n)).unwrap();
        // Only the last holds nothing.
        for item in 0..(3 - n) * 3 {
            let lease = (ItemId::from_random(10 * n + item), Epoch(1));
            session.hold(lease, TaskId(1), WorkKind::Walk, t0);
        }
        session.idle_slots = 5;
        session.more_of_a_task = usize::from(n == 2);
    }
    let all: Vec<SessionId> = (0..4).map(id).collect();
    let tasks = BTreeMap::from([(TaskId(1), Priority::default())]);
    let now = t0 + AGAIN;
    assert_eq!(ask(&mut fleet, &all, now, &tasks), 2 * ASKED_FOR_A_SLOT);
}

#[test]
fn those_of_a_lower_priority_are_asked_beside_those_of_a_higher() {
    let t0 = Instant::now();
    let mut fleet = fleet(t0, 2);
    let session = fleet.session(id(0)).unwrap();
    for n in 1..=5 {
        let lease = (ItemId::from_random(n), Epoch(1));
        let since = t0 + Duration::from_secs(n);
        session.hold(lease, TaskId(n as u32), WorkKind::Walk, since);
    }
    let now = t0 + Duration::from_secs(9);
    let high = Priority::new(7).unwrap();
    let low = Priority::default();
    let priorities = [(1, low), (2, low), (3, high), (4, high)];
    let priorities = BTreeMap::from(priorities.map(|(n, priority)| (TaskId(n), priority)));
    // One that can give nothing, asked for ever, would else keep all others from being asked.
    fleet.session(id(1)).unwrap().idle_slots = 1;
    assert_eq!(ask(&mut fleet, &[id(1)], now, &priorities), 4);
    let held = &fleet.session(id(0)).unwrap().held;
    let asked = held.values().filter(|held| held.share);
    let asked: BTreeSet<u32> = asked.map(|held| held.task.0).collect();
    assert_eq!(asked, BTreeSet::from([1, 2, 3, 4]));
}

fn left(task: u32) -> LeftBehind {
    LeftBehind {
        task: TaskId(task),
        call: Unanswered {
            path: RelPath::ROOT,
            lasted: LEASE,
        },
    }
}

#[test]
fn a_worker_gets_nothing_of_a_task_whose_threads_wait_for_its_mount() {
    let now = Instant::now();
    let mut fleet = fleet(now, 2);
    assert!(!fleet.note_left_behind(id(0), vec![left(1), left(1)]));
    assert!(!fleet.may_run(id(0), TaskId(1), now + LEASE * 100));
    assert!(fleet.may_run(id(0), TaskId(2), now));
    assert!(fleet.may_run(id(1), TaskId(1), now));
    // One of two is not enough.
    assert!(!fleet.note_left_behind(id(0), vec![left(1)]));
    assert!(fleet.note_left_behind(id(0), vec![]));
    assert!(fleet.may_run(id(0), TaskId(1), now));
}

#[test]
fn a_mount_in_trouble_everywhere_fails_no_task() {
    let now = Instant::now();
    let mut fleet = fleet(now, 2);
    let task = TaskId(1);
    fleet.refuse(id(0), task, "no mount".into(), now);
    let stale = Refusal {
        message: "stale".into(),
        since: now,
        until: now + Duration::from_secs(10),
        blames: Blames::Mount,
    };
    fleet.keep_from(id(1), task, stale);
    assert!(!fleet.may_run(id(1), task, now));
    let refused = |fleet: &Fleet| {
        fleet
            .refused_by_all(task, LEASE, now + LEASE, |_| true)
            .is_some()
    };
    assert!(!refused(&fleet));
    // It is looked at again soon.
    assert!(fleet.may_run(id(1), task, now + Duration::from_secs(11)));
    fleet.refuse(id(1), task, "no mount".into(), now);
    assert!(refused(&fleet));
}

#[test]
fn an_answer_is_kept_until_the_worker_lists_all_that_it_granted() {
    let t0 = Instant::now();
    let mut fleet = fleet(t0, 1);
    let granted = [1, 2].map(|n| Granted {
        item: Item {
            id: ItemId::from_random(n),
            task: TaskId(1),
            work: Work::Paths {
                offset: 0,
                length: 1,
            },
            state: ItemState::Leased(id(0)),
            epoch: Epoch(1),
            attempts: 0,
            deaths: 0,
        },
        has_children: false,
        ancestors: Vec::new(),
    });
    let session = fleet.session(id(0)).unwrap();
    session.last_lease = Some((7, granted.to_vec()));
    let listed = granted.map(|granted| (granted.item.id, Epoch(1), Progress::default()));
    for (item, epoch, _) in &listed {
        session.hold((*item, *epoch), TaskId(1), WorkKind::Walk, t0);
    }
    for (listed, is_kept) in [(&listed[..1], true), (&listed[..], false)] {
        fleet.heard(id(0), listed.to_vec(), t0 + BEAT).unwrap();
        let session = fleet.session(id(0)).unwrap();
        assert_eq!(session.last_lease.is_some(), is_kept);
    }
}
