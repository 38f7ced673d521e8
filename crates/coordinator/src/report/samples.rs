//! Reports to test with, and the comparison with the files in `snapshots/`.
//! `UPDATE_SNAPSHOTS=1 cargo test` writes those anew: look at the difference before committing.

use model::{Counters, Failure, FailureClass, Outcome, RelPath, RunId, SkipReason, TaskId};

use super::{Row, Summary, TaskCounts, TaskEnd, TaskFailures, TaskInterval};

/// The start of all runs here.
const START: i64 = 1_764_920_244_408;

/// Compares with a checked-in file.
pub(super) fn expect(name: &str, found: &str) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/report/snapshots/").to_owned() + name;
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        expected, found,
        "{name} changed (UPDATE_SNAPSHOTS=1 accepts)"
    );
}

/// The page with its random part made constant.
pub(super) fn without_nonce(page: &str) -> String {
    match page
        .split_once("'nonce-")
        .and_then(|(_, rest)| rest.split_once('\''))
    {
        Some((nonce, _)) => page.replace(nonce, "NONCE"),
        None => page.to_owned(),
    }
}

fn path(bytes: &[u8]) -> RelPath {
    RelPath::new(bytes).unwrap()
}

fn row(id: u32, source: &str, success: bool, message: &str) -> Row {
    Row {
        id,
        source_dir: source.to_owned(),
        target_dir: format!("/mnt/yrfs{source}"),
        client_id: "node-1-4711".to_owned(),
        duration: "1m2.5s".to_owned(),
        success,
        message: message.to_owned(),
        files: 1234 * u64::from(id),
        bytes: 5_000_000_000 / u64::from(id),
        engine: "native".to_owned(),
        ..Row::default()
    }
}

fn interval(task: u32, from_secs: i64, to_secs: i64, end: TaskEnd) -> TaskInterval {
    TaskInterval {
        task: TaskId(task),
        started: START + from_secs * 1000,
        finished: START + to_secs * 1000,
        end,
    }
}

fn counts(intervals: &[TaskInterval]) -> TaskCounts {
    let mut counts = TaskCounts::default();
    for interval in intervals {
        counts.add(interval.end);
    }
    counts
}

/// One task that went well.
pub(super) fn plain() -> (Vec<Row>, Summary) {
    let intervals = vec![interval(1, 1, 62, TaskEnd::Success)];
    let summary = Summary {
        run: RunId::from_random(0x1234_5678_9abc_def0),
        config: "config.yaml".to_owned(),
        version: "0.1.0".to_owned(),
        started: START,
        finished: START + 64_000,
        tasks: counts(&intervals),
        outcome: Outcome {
            counters: Counters {
                listed: 1300,
                copied: 1300,
                copied_files: 1234,
                copied_bytes: 5_000_000_000,
                ..Counters::default()
            },
            ..Outcome::default()
        },
        intervals,
        failures: Vec::new(),
        notes: Vec::new(),
    };
    let rows = vec![row(
        1,
        "/mnt/gpfs/data",
        true,
        "Migrated task 1 successfully",
    )];
    (rows, summary)
}

/// A few tasks, whose names are traps.
pub(super) fn hostile() -> (Vec<Row>, Summary) {
    let (mut rows, mut summary) = plain();
    let script = "/mnt/<script>alert('1')</script>/a&b/\" onmouseover=\"x";
    rows.insert(
        0,
        row(
            3,
            script,
            false,
            "1 file failed: <img src=x onerror=alert(1)>: no",
        ),
    );
    rows.push(row(
        2,
        "/mnt/_lists_/*[a]`b`|c\\d/\u{202e}gpj.exe",
        false,
        "incomplete: 1 directory could not be read: d\ne: cannot read: Permission denied (os error 13)",
    ));
    let piece = Row {
        subtask_id: 1,
        split_pattern: "piece 1 of 2".to_owned(),
        split_files: "500000".to_owned(),
        file_from: "/shared/lists/1".to_owned(),
        include_file: "/l/camera_1#.txt".to_owned(),
        log_file: "https://s3.example/log?a=1&b=2".to_owned(),
        failures: 2,
        retries: 1,
        ..row(1, "/mnt/gpfs/data", true, "Migrated task 1 successfully")
    };
    rows.push(piece);
    rows[0].log_file = "javascript:alert(1)".to_owned();
    rows[0].client_id = "' onmouseover='x".to_owned();
    summary.config = "<script>.yaml".to_owned();
    summary.intervals = vec![
        interval(1, 1, 62, TaskEnd::Success),
        interval(2, 2, 31, TaskEnd::Incomplete),
        interval(3, 31, 40, TaskEnd::Failed),
    ];
    summary.tasks = counts(&summary.intervals);
    summary.outcome.counters = Counters {
        listed: 1_000_110,
        copied: 900_000,
        unchanged: 99_000,
        skipped: 1_000,
        failed: 110,
        copied_files: 880_000,
        copied_bytes: 5 << 40,
        ..Counters::default()
    };
    summary.outcome.unreadable_directories = 1;
    summary.outcome.skipped = [(SkipReason::Special, 900), (SkipReason::Vanished, 100)].into();
    summary.outcome.notes = [("hard links that became files".to_owned(), 12)].into();
    summary.notes = vec!["durability: none <b>risks</b> & more".to_owned()];
    let failure = |name: &[u8], class, error: &str| Failure {
        path: path(name),
        class,
        error: error.to_owned(),
    };
    summary.failures = vec![
        TaskFailures {
            task: TaskId(2),
            failures: vec![failure(
                b"d\ne",
                FailureClass::Unreadable,
                "cannot read: Permission denied (os error 13)",
            )],
            total: 1,
        },
        TaskFailures {
            task: TaskId(3),
            failures: vec![
                failure(
                    b"<script>x</script>\xff",
                    FailureClass::GiveUp,
                    "name too long & <b>",
                ),
                failure(
                    "\u{202e}fdp.exe".as_bytes(),
                    FailureClass::Changed,
                    "changed while it was read",
                ),
            ],
            total: 110,
        },
    ];
    (rows, summary)
}

/// `n` tasks, up to 60 at once, of which some fail.
pub(super) fn many(n: u32) -> (Vec<Row>, Summary) {
    let (_, mut summary) = plain();
    let mut rows = Vec::new();
    summary.intervals.clear();
    for id in 1..=n {
        let end = match id {
            _ if id % 97 == 0 => TaskEnd::Incomplete,
            _ if id % 13 == 0 => TaskEnd::Failed,
            _ => TaskEnd::Success,
        };
        let message = match end {
            TaskEnd::Success => format!("Migrated task {id} successfully"),
            TaskEnd::Failed => {
                "1 file failed: a/b.bin: cannot read: Input/output error (os error 5)".to_owned()
            }
            TaskEnd::Incomplete => "incomplete: 3 directories could not be read: x".to_owned(),
        };
        let started = i64::from(id) * 3;
        let lasted = 30 + i64::from(id * 7919 % 150);
        summary
            .intervals
            .push(interval(id, started, started + lasted, end));
        if end == TaskEnd::Failed {
            summary.failures.push(TaskFailures {
                task: TaskId(id),
                failures: vec![Failure {
                    path: path(b"a/b.bin"),
                    class: FailureClass::Retry,
                    error: "cannot read: Input/output error (os error 5)".to_owned(),
                }],
                total: 1,
            });
        }
        let source = format!("/mnt/csi-data-gfs/lidar/all/samples/camera_{id}");
        rows.push(Row {
            duration: format!("{}m{}s", lasted / 60, lasted % 60),
            failures: u64::from(end == TaskEnd::Failed),
            ..row(id, &source, end == TaskEnd::Success, &message)
        });
    }
    summary.tasks = counts(&summary.intervals);
    summary.finished = summary
        .intervals
        .iter()
        .map(|i| i.finished)
        .max()
        .unwrap_or(START)
        + 500;
    (rows, summary)
}

/// `REPORT_SAMPLES=DIR cargo test -p coordinator report_samples` writes pages to look at.
#[test]
fn report_samples() {
    let Some(dir) = std::env::var_os("REPORT_SAMPLES") else {
        return;
    };
    let samples = [
        ("plain", plain()),
        ("hostile", hostile()),
        ("25", many(25)),
        ("5000", many(5000)),
    ];
    for (name, (rows, summary)) in samples {
        let path = std::path::Path::new(&dir).join(format!("{name}.html"));
        super::write(super::Format::Html, &rows, &summary, &path).unwrap();
    }
}
