use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use super::{PATIENCE, Stand};
use crate::fuse::{Fault, Op};

#[test]
fn each_request_is_counted_by_its_kind() {
    let stand = Stand::new("counts");
    fs::create_dir(stand.upper("d")).unwrap();
    fs::write(stand.upper("d/f"), b"content").unwrap();
    fs::rename(stand.upper("d/f"), stand.upper("d/g")).unwrap();
    let counters = stand.mounted.counters();
    let once = [Op::Mkdir, Op::Create, Op::Write, Op::Flush, Op::Rename];
    for op in once {
        assert_eq!(counters.get(op), 1, "{op} in\n{counters}");
    }
    assert!(counters.get(Op::Lookup) > 0);
    assert_eq!(counters.get(Op::Read), 0);
    assert!(counters.to_string().contains("mkdir 1\n"));
    let all: u64 = Op::ALL.iter().map(|op| counters.get(*op)).sum();
    assert_eq!(counters.total(), all);
    counters.reset();
    assert_eq!(counters.get(Op::Mkdir), 0);
}

#[test]
fn what_sets_attributes_is_told_apart() {
    let stand = Stand::new("kinds");
    let file = fs::File::create(stand.upper("a")).unwrap();
    stand.mounted.counters().reset();
    file.set_len(5).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    std::os::unix::fs::fchown(&file, Some(1), None).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    file.set_permissions(mode).unwrap();
    for op in [Op::Truncate, Op::Utimens, Op::Chown, Op::Chmod] {
        assert_eq!(stand.mounted.counters().get(op), 1, "{op}");
    }
}

#[test]
fn a_request_that_waits_holds_up_no_other() {
    let stand = Stand::new("concurrent");
    for name in ["a", "b", "c"] {
        fs::write(stand.upper(name), name).unwrap();
    }
    let slow = stand.mounted.arm(Fault::hang(Op::Open).name_prefix("a"));
    let also_slow = stand.mounted.arm(Fault::hang(Op::Open).name_prefix("b"));
    thread::scope(|scope| {
        let a = scope.spawn(|| fs::read(stand.upper("a")).unwrap());
        let b = scope.spawn(|| fs::read(stand.upper("b")).unwrap());
        assert!(slow.wait_until_fired(1, PATIENCE));
        assert!(also_slow.wait_until_fired(1, PATIENCE));
        assert!(stand.mounted.counters().in_flight() >= 2);
        assert_eq!(fs::read(stand.upper("c")).unwrap(), b"c");
        also_slow.release();
        assert_eq!(b.join().unwrap(), b"b");
        assert!(!a.is_finished());
        slow.release();
        assert_eq!(a.join().unwrap(), b"a");
    });
    assert!(stand.mounted.counters().most_in_flight() >= 2);
    assert_eq!((slow.fired(), also_slow.fired()), (1, 1));
}

#[test]
fn metadata_and_data_wait_as_long_as_was_set() {
    let delay = Duration::from_millis(40);
    let stand = Stand::with("metadata", |slow| slow.metadata_delay(delay));
    let begun = Instant::now();
    fs::create_dir(stand.upper("d")).unwrap();
    // Looked up and made.
    assert!(begun.elapsed() >= 2 * delay);

    let stand = Stand::with("data", |slow| slow.data_delay(delay));
    let begun = Instant::now();
    fs::write(stand.upper("f"), b"content").unwrap();
    assert!(begun.elapsed() >= delay);
}
