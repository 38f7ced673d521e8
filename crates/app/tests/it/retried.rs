//! What fails for a reason that may go away is tried again, and arrives when it has gone; what fails each time is named
//! once, and every entry is counted once.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use rustix::io::Errno;
use testkit::compare::{Options, compare};
use testkit::fuse::{Armed, Fault, Mounted, Op, SlowFs};

use crate::place::{MAIN, Place};

/// Three attempts: the first and the second wait before the next.
const CONFIG: &str = "global_config: {source_fs_types: [any], target_fs_types: [any], tasks_file: tasks.txt, durability: none}
server: {item_attempts: 3}
";

/// A source in which `a/flaky` can't be opened twice, `closed` can't be read once, and `a/always` can never be opened, if
/// it is there.
struct Faulty {
    place: Place,
    faults: Vec<(Armed, u64)>,
    _mounted: Mounted,
}

impl Faulty {
    fn new(label: &str, fails_each_time: Option<&str>) -> Self {
        let place = Place::new(label);
        let others = ["a/flaky", "a/good", "closed/below/file"];
        for name in others.into_iter().chain(fails_each_time) {
            place.file(&format!("lower/{name}"), "content");
        }
        place.directory("to");
        place.file("config.yaml", CONFIG);
        place.file("tasks.txt", "DIR/source DIR/to/target\n");
        let mounted = SlowFs::over(&place.path("lower"))
            .attribute_timeout(Duration::ZERO)
            .entry_timeout(Duration::ZERO)
            .mount(&place.directory("source"))
            .unwrap();
        let open = |name: &str| Fault::errno(Op::Open, Errno::IO).name_prefix(name);
        let mut faults = vec![
            (open("flaky").nth(1), 1),
            (open("flaky").nth(2), 1),
            (
                Fault::errno(Op::Opendir, Errno::IO)
                    .name_prefix("closed")
                    .nth(1),
                1,
            ),
        ];
        faults.extend(fails_each_time.map(|_| (open("always"), 3)));
        Self {
            place,
            faults: faults
                .into_iter()
                .map(|(fault, times)| (mounted.arm(fault), times))
                .collect(),
            _mounted: mounted,
        }
    }

    /// All but so many arrived.
    fn assert_arrived_but(&self, missing: usize) {
        for (fault, times) in &self.faults {
            assert_eq!(fault.fired(), *times, "{fault:?}");
        }
        let [lower, target] = ["lower", "to/target"].map(|name| self.place.path(name));
        let differences = compare(&lower, &target, &Options::everything());
        assert_eq!(differences.len(), missing, "{differences:?}");
        assert!(!target.join("a/always").exists());
        // Its entries came late, and its time is right all the same.
        let times = [lower, target].map(|root| {
            let meta = fs::metadata(root.join("a")).unwrap();
            (meta.mtime(), meta.mtime_nsec())
        });
        assert_eq!(times[0], times[1]);
    }
}

#[test]
fn a_run_tries_entries_again_and_names_what_fails_each_time_once() {
    let faulty = Faulty::new("retried", Some("a/always"));
    let place = &faulty.place;
    let mut command = place.command(MAIN);
    command.args(["run", "--config.file", "config.yaml"]);
    place.run(&mut command).assert_code(1);
    faulty.assert_arrived_but(1);
    let table = place.results();
    let row = table.rows().last().expect("it has a row");
    assert_eq!(
        row.get("message"),
        Some("1 file failed: a/always: cannot open: Input/output error (os error 5)")
    );
    let log = fs::read_to_string(row.get("log file").unwrap()).unwrap();
    assert!(
        log.contains("listed 7, copied 6 (3 files, 21 bytes), unchanged 0, skipped 0, failed 1, unreadable directories 0"),
        "{log}"
    );
    assert_eq!(log.matches("FAILED (retry) a/always").count(), 1, "{log}");
}

#[test]
fn a_copy_tries_entries_again_and_names_what_fails_each_time_once() {
    let faulty = Faulty::new("retried-copy", Some("a/always"));
    let place = &faulty.place;
    let mut command = place.command(MAIN);
    let done = place
        .run(command.args(["copy", "source", "to/target"]))
        .assert_code(1);
    faulty.assert_arrived_but(1);
    assert_eq!(
        done.stdout,
        "7 entries listed: 6 copied (3 files, 21 B), 0 unchanged, 0 skipped, 1 failed\n"
    );
    assert_eq!(
        done.stderr.matches("failed: a/always").count(),
        1,
        "{}",
        done.stderr
    );
}

#[test]
fn what_fails_for_a_while_leaves_no_trace_in_the_end() {
    let faulty = Faulty::new("healed", None);
    let place = &faulty.place;
    let mut command = place.command(MAIN);
    command.args(["run", "--config.file", "config.yaml"]);
    place.run(&mut command).assert_code(0);
    faulty.assert_arrived_but(0);
    let table = place.results();
    let row = table.rows().last().expect("it has a row");
    let log = fs::read_to_string(row.get("log file").unwrap()).unwrap();
    assert!(
        log.contains("listed 6, copied 6 (3 files, 21 bytes), unchanged 0, skipped 0, failed 0, unreadable directories 0"),
        "{log}"
    );
}

#[test]
fn a_copy_ends_well_when_what_failed_has_healed() {
    let faulty = Faulty::new("healed-copy", None);
    let place = &faulty.place;
    let mut command = place.command(MAIN);
    let done = place
        .run(command.args(["copy", "source", "to/target"]))
        .assert_code(0);
    faulty.assert_arrived_but(0);
    assert_eq!(
        done.stdout,
        "6 entries listed: 6 copied (3 files, 21 B), 0 unchanged, 0 skipped, 0 failed\n"
    );
}
