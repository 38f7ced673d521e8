//! Whether a run did what it says: judged by the trees, by rsync, and by counts known before.

use std::fs;
use std::path::Path;

use testkit::rsync::HardLinks;
use testkit::{Program, assert_same, leftovers, rsync_differences};

use super::{Fleet, Task};

/// What the log of a finished task says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub listed: u64,
    pub copied: u64,
    pub unchanged: u64,
    pub skipped: u64,
    pub failed: u64,
}

impl Counts {
    /// Reads `listed 5, copied 3 (2 files, 10 bytes), unchanged 2, skipped 0, failed 0, …`.
    pub fn parse(log: &str) -> Option<Self> {
        let line = log.lines().find(|line| line.starts_with("listed "))?;
        let number = |name: &str| {
            let (_, after) = line.split_once(&format!("{name} "))?;
            let end = after
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(after.len());
            after[..end].parse().ok()
        };
        Some(Self {
            listed: number("listed")?,
            copied: number(", copied")?,
            unchanged: number(", unchanged")?,
            skipped: number(", skipped")?,
            failed: number(", failed")?,
        })
    }
}

/// An attempt that a worker began.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Begun {
    pub item: String,
    /// From 1.
    pub task: usize,
    pub epoch: u32,
    /// `Walk`, `Shard`, `Range`, …
    pub work: String,
}

/// The attempts that a worker has begun, from the lines `item 0ab… of task 1, epoch 1: …` of its log; it must run
/// with `--debug`.
pub fn begun(worker: &Program) -> Vec<Begun> {
    let parse = |line: &str| {
        let (_, line) = line.split_once(": item ")?;
        let (item, rest) = line.split_once(" of task ")?;
        let (task, rest) = rest.split_once(", epoch ")?;
        let (epoch, work) = rest.split_once(": ")?;
        let work = work.split(|c: char| !c.is_ascii_alphabetic()).next()?;
        Some(Begun {
            item: item.to_owned(),
            task: task.parse().ok()?,
            epoch: epoch.parse().ok()?,
            work: work.to_owned(),
        })
    };
    worker.stderr().lines().filter_map(parse).collect()
}

impl Fleet {
    /// Rows of ended tasks in the results file so far; one that is being written does not count.
    pub fn ended_tasks(&self) -> usize {
        let text = fs::read_to_string(self.results_file()).unwrap_or_default();
        text.matches('\n').count().saturating_sub(1)
    }

    /// # Panics
    /// Where the task (the first is 1) has no log, or one without counts.
    pub fn counts(&self, task: usize) -> Counts {
        let log = self
            .task_log(task)
            .unwrap_or_else(|| panic!("task {task} has no log"));
        Counts::parse(&log).unwrap_or_else(|| panic!("no counts in the log of task {task}: {log}"))
    }

    /// Asserts that all tasks are told as done, once, and are: trees the same by our comparer and by rsync,
    /// no unfinished file left, every entry accounted for exactly once.
    #[track_caller]
    pub fn assert_migrated(&self) {
        let table = self.results();
        for (number, task) in (1..).zip(&self.tasks) {
            let rows: Vec<_> = table
                .rows()
                .filter(|row| row.number("id") == number as u64 && row.number("subtask id") == 0)
                .collect();
            assert_eq!(rows.len(), 1, "rows of task {number}: {rows:?}");
            assert_eq!(rows[0].get("success"), Some("true"), "{:?}", rows[0]);
            assert_eq!(rows[0].number("failures"), 0, "{:?}", rows[0]);
            assert_tree(task);
            let counts = self.counts(number);
            assert_eq!(
                counts.listed,
                counts.copied + counts.unchanged + counts.skipped + counts.failed,
                "{counts:?}"
            );
            assert_eq!((counts.skipped, counts.failed), (0, 0), "{counts:?}");
            if let Some(made) = task.made {
                assert_eq!(
                    counts.listed,
                    made.entries(),
                    "task {number}: {counts:?} of {made:?}"
                );
            }
        }
        assert_eq!(table.len(), self.tasks.len(), "{table:?}");
    }
}

/// Asserts that source and target are the same and nothing unfinished is left.
#[track_caller]
pub fn assert_tree(task: &Task) {
    assert_no_leftovers(&task.target);
    assert_same(&task.lower, &task.target);
    let differences = rsync_differences(&task.lower, &task.target, HardLinks::Ignore);
    assert!(differences.is_empty(), "rsync would do: {differences:?}");
}

#[track_caller]
pub fn assert_no_leftovers(target: &Path) {
    let left = leftovers(target);
    assert!(left.is_empty(), "left behind: {left:?}");
}

impl Drop for Fleet {
    /// Removes the copies of reports that servers leave in `/tmp` for their users.
    fn drop(&mut self) {
        let reports = fs::read_dir(self.data_dir().join("reports"));
        for report in reports.into_iter().flatten().flatten() {
            let copy = Path::new("/tmp").join(report.file_name());
            // Another server's may have the same name: its content is another.
            let is_ours =
                matches!((fs::read(report.path()), fs::read(&copy)), (Ok(a), Ok(b)) if a == b);
            if is_ours {
                let _ = fs::remove_file(copy);
            }
        }
    }
}
