//! Whether a run ended right: trees, accounts, attempts, exit codes, each by code that shares nothing with the programs.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use testkit::compare::{self, Difference};
use testkit::results::{Row, Table};
use testkit::{Program, assert_same, leftovers, rsync_differences};

use crate::changing::Changing;
use crate::fleet::{Counts, LONG};
use crate::run::Run;
use crate::sources::Quiet;

/// # Panics
/// With the first thing that is wrong.
pub fn assert_right(run: &Run) {
    let exits = exits(run);
    assert_no_panic(run);
    assert_begun_once(run);
    let table = run.fleet.results();
    let rows: Vec<Row<'_>> = (1..=run.fleet.tasks.len())
        .map(|task| only_row(&table, task))
        .collect();
    for (task, quiet) in (1..).zip(&run.sources.quiet) {
        assert_tree(quiet);
        let row = rows[task - 1];
        assert_eq!(row.get("success"), Some("true"), "{row:?}");
        assert_eq!(row.number("failures"), 0, "{row:?}");
        let counts = run.fleet.counts(task);
        assert_balanced(&counts);
        assert_eq!((counts.skipped, counts.failed), (0, 0), "{counts:?}");
        assert_eq!(
            counts.listed,
            quiet.made.entries(),
            "{counts:?} of {:?}",
            quiet.made
        );
    }
    assert_changing(run, rows[rows.len() - 1]);
    let all = rows.iter().all(|row| row.get("success") == Some("true"));
    assert_eq!(
        exits.server,
        i32::from(!all),
        "exit code of the server: {table:?}"
    );
}

struct Exits {
    server: i32,
}

/// A worker hears of the end, or gives up waiting for a server that has gone.
fn exits(run: &Run) -> Exits {
    for lives in &run.workers {
        let worker = &lives[lives.len() - 1];
        let code = worker
            .exit_code(LONG)
            .unwrap_or_else(|error| panic!("{error}"));
        let gave_up = code == 3 && worker.stderr().contains("no server was reached");
        assert!(
            code == 0 || gave_up,
            "exit code {code}: {}",
            worker.stderr()
        );
    }
    let server = run.server().exit_code(LONG);
    Exits {
        server: server.unwrap_or_else(|error| panic!("{error}")),
    }
}

fn assert_no_panic(run: &Run) {
    for program in run.servers.iter().chain(run.workers.iter().flatten()) {
        assert!(!program.stderr().contains("panicked"), "{}", said(program));
    }
}

fn said(program: &Program) -> String {
    format!("{}\n{}", program.stdout(), program.stderr())
}

/// Nobody began an item under an epoch that was another attempt's, not even the same worker.
fn assert_begun_once(run: &Run) {
    let mut seen = HashSet::new();
    let twice: Vec<_> = run
        .attempts()
        .into_iter()
        .filter(|attempt| !seen.insert(attempt.clone()))
        .collect();
    assert!(twice.is_empty(), "begun twice: {twice:?}");
    assert!(!seen.is_empty(), "no attempt was begun");
}

fn only_row(table: &Table, task: usize) -> Row<'_> {
    let mut rows = table
        .rows()
        .filter(|row| row.number("id") == task as u64 && row.number("subtask id") == 0);
    let row = rows
        .next()
        .unwrap_or_else(|| panic!("no row of task {task}: {table:?}"));
    assert!(rows.next().is_none(), "two rows of task {task}: {table:?}");
    row
}

fn assert_balanced(counts: &Counts) {
    let results = counts.copied + counts.unchanged + counts.skipped + counts.failed;
    assert_eq!(counts.listed, results, "{counts:?}");
}

fn assert_tree(quiet: &Quiet) {
    assert_clean(&quiet.target);
    assert_same(&quiet.lower, &quiet.target);
    let differences = rsync_differences(&quiet.lower, &quiet.target, testkit::HardLinks::Ignore);
    assert!(differences.is_empty(), "rsync would do: {differences:?}");
}

fn assert_clean(target: &Path) {
    let left = leftovers(target);
    assert!(left.is_empty(), "left behind: {left:?}");
}

/// What nobody touched is as it should be; what was touched is one version that it had, or missing where it once was or
/// where it is told as failed.
fn assert_changing(run: &Run, row: Row<'_>) {
    let (changing, target) = (&run.sources.changing, &run.sources.changing_target);
    let task = run.fleet.tasks.len();
    assert_clean(target);
    let touched = changing.touched();
    let others: Vec<Difference> =
        compare::compare(&changing.root(), target, &compare::Options::default())
            .into_iter()
            .filter(|difference| !touched.contains(&difference.path))
            .collect();
    assert!(
        others.is_empty(),
        "differ though nobody touched them: {others:?}"
    );

    let log = run.fleet.task_log(task).expect("the task has a log");
    let failed = failed(&log);
    assert!(
        failed.is_subset(&touched),
        "failed though nobody touched them: {log}"
    );
    versions(changing, target, &failed).unwrap_or_else(|wrong| panic!("{wrong}"));

    let counts = run.fleet.counts(task);
    assert_balanced(&counts);
    assert_eq!(counts.failed, failed.len() as u64, "{log}");
    let (always, ever) = changing.entries();
    assert!(
        (always..=ever).contains(&counts.listed),
        "{counts:?}, {always} to {ever}"
    );
    let is_success = row.get("success") == Some("true");
    assert_eq!(is_success, failed.is_empty(), "{row:?}: {log}");
    assert_eq!(row.number("failures"), counts.failed, "{row:?}");
}

/// What cannot have come about.
fn versions(changing: &Changing, target: &Path, failed: &BTreeSet<PathBuf>) -> Result<(), String> {
    for (path, history) in changing.files() {
        let is_right = match fs::read(target.join(path)) {
            Ok(content) => history.has(&content),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                history.was_missing() || failed.contains(path)
            }
            Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
        };
        if !is_right {
            return Err(format!(
                "{}: never was so, and nothing is said of it",
                path.display()
            ));
        }
    }
    Ok(())
}

/// Paths of `FAILED (class) PATH: ERROR`.
fn failed(log: &str) -> BTreeSet<PathBuf> {
    log.lines()
        .filter_map(|line| {
            let (_, rest) = line.strip_prefix("FAILED (")?.split_once(") ")?;
            let (path, _) = rest.split_once(": ")?;
            Some(PathBuf::from(path))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use testkit::random::Random;
    use testkit::{Scratch, tool};

    use super::{failed, versions};
    use crate::changing::Changing;

    #[test]
    fn only_what_a_file_once_was_is_a_version_of_it() {
        let scratch = Scratch::new("versions");
        let mut changing = Changing::new(scratch.path(), &mut Random::new(1));
        let copy = scratch.join("copy");
        tool::run(Command::new("cp").arg("-a").arg(changing.root()).arg(&copy)).unwrap();
        assert!(changing.touched().is_empty());
        (0..200).for_each(|_| changing.change());
        let is_right = |failed: &BTreeSet<_>| versions(&changing, &copy, failed).is_ok();
        assert!(is_right(&BTreeSet::new()));

        let path = Path::new("1/file 81");
        assert!(!changing.touched().contains(path));
        let content = fs::read(copy.join(path)).unwrap();
        fs::remove_file(copy.join(path)).unwrap();
        assert!(!is_right(&BTreeSet::new()), "it was always there");
        assert!(is_right(&BTreeSet::from([path.to_owned()])));

        let torn = [&content[..content.len() / 2], &vec![0; content.len() / 2]].concat();
        fs::write(copy.join(path), torn).unwrap();
        assert!(!is_right(&BTreeSet::from([path.to_owned()])));
    }

    #[test]
    fn failures_are_read_by_name() {
        let log = "listed 2\nFAILED (changed) 1/file 7: it changed: twice\nand so on: FAILED\n";
        assert_eq!(failed(log), BTreeSet::from(["1/file 7".into()]));
    }
}
