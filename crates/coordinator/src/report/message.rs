//! The message of a row, from how the task ended. People and scripts search for its
//! fixed parts. A task is *incomplete* when it is not known whether everything was
//! found; that is said first, since counts of such a task are lower bounds.

use std::path::Path;

use model::path::Escaped;
use model::{Failure, FailureClass, Outcome, TaskId};

use super::summary::TaskEnd;
use super::{human, text};

/// How the message of an incomplete task begins.
pub const INCOMPLETE: &str = "incomplete: ";

/// Failures that a message names.
const FEW: usize = 3;
/// Characters of one failure that a message gives.
const MAX_FAILURE_CHARS: usize = 500;

/// What is known when a task is over.
#[derive(Debug, Clone, Copy)]
pub struct Ended<'a> {
    pub task: TaskId,
    /// Its file list, if it has one.
    pub list: Option<&'a Path>,
    /// Whether nothing was to be changed.
    pub dry_run: bool,
    /// Over all its items.
    pub outcome: &'a Outcome,
    /// The first failures by name.
    pub failures: &'a [Failure],
    /// Items whose attempts were used up.
    pub failed_items: u64,
    /// Why the last attempt of one of them failed.
    pub last_error: Option<&'a str>,
}

/// How the task ended and what its row says about it.
pub fn verdict(ended: &Ended<'_>) -> (TaskEnd, String) {
    let unknown = unknown_parts(ended);
    let failed = failed_part(ended);
    if unknown.is_empty() {
        return match failed {
            None => (TaskEnd::Success, success(ended)),
            Some(failed) => (TaskEnd::Failed, failed),
        };
    }
    let parts: Vec<String> = unknown.into_iter().chain(failed).collect();
    (
        TaskEnd::Incomplete,
        format!("{INCOMPLETE}{}", parts.join("; ")),
    )
}

/// `Migrated task N successfully`, with its list if it has one. Whoever left `dryrun` in the config must not take
/// that for done.
fn success(ended: &Ended<'_>) -> String {
    use std::os::unix::ffi::OsStrExt;
    let task = ended.task;
    let list = ended.list.map_or_else(String::new, |list| {
        format!(
            " with include file {}",
            Escaped(list.as_os_str().as_bytes())
        )
    });
    let dry = match ended.dry_run {
        true => " (dry run: nothing was changed)",
        false => "",
    };
    format!("Migrated task {task}{list} successfully{dry}")
}

/// The message of a task that was stopped or cannot be judged for a reason of its own.
pub fn incomplete(what: &str) -> String {
    format!("{INCOMPLETE}{}", text::one_line(what))
}

/// Why it is not known whether everything was found; empty if it is.
fn unknown_parts(ended: &Ended<'_>) -> Vec<String> {
    let mut parts = Vec::new();
    let unreadable = ended.outcome.unreadable_directories;
    if unreadable > 0 {
        let what = human::counted(unreadable, "directory", "directories");
        let named = named(
            ended
                .failures
                .iter()
                .filter(|f| f.class == FailureClass::Unreadable),
        );
        parts.push(with_names(format!("{what} could not be read"), &named));
    }
    if ended.failed_items > 0 {
        let what = human::counted(ended.failed_items, "item", "items");
        let error: Vec<String> = ended.last_error.map(cut).into_iter().collect();
        parts.push(with_names(
            format!("{what} failed at every attempt"),
            &error,
        ));
    }
    if !ended.outcome.is_balanced() {
        let n = &ended.outcome.counters;
        parts.push(format!(
            "the counts do not add up: {} listed, but {} copied + {} unchanged + {} skipped + {} failed + {} deferred",
            n.listed, n.copied, n.unchanged, n.skipped, n.failed, n.deferred
        ));
    }
    parts
}

fn failed_part(ended: &Ended<'_>) -> Option<String> {
    let files = || {
        let failures = ended.failures.iter();
        failures.filter(|f| f.class != FailureClass::Unreadable)
    };
    let names = named(files());
    // Unreadable directories are failed entries too, and told by themselves; but not those that an item
    // began with, which are no entries of it.
    let failed = ended.outcome.counters.failed;
    let others = failed.saturating_sub(ended.outcome.unreadable_directories);
    match others.max(files().count() as u64) {
        0 => None,
        1 => Some(with_names("1 file failed".to_owned(), &names)),
        n if names.is_empty() => Some(format!("{n} files failed")),
        n => Some(format!(
            "{n} files failed. First few errors: {}",
            names.join("; ")
        )),
    }
}

fn named<'a>(failures: impl Iterator<Item = &'a Failure>) -> Vec<String> {
    failures.take(FEW).map(|f| cut(&f.to_string())).collect()
}

fn with_names(what: String, names: &[String]) -> String {
    match names {
        [] => what,
        names => format!("{what}: {}", names.join("; ")),
    }
}

fn cut(line: &str) -> String {
    let line = text::one_line(line);
    match line.char_indices().nth(MAX_FAILURE_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Ended, TaskEnd, verdict};
    use model::{Counters, Failure, FailureClass, Outcome, RelPath, TaskId};

    fn failure(path: &str, class: FailureClass) -> Failure {
        Failure {
            path: RelPath::new(path).unwrap(),
            class,
            error: "cannot read: Permission denied (os error 13)".to_owned(),
        }
    }

    /// Ten entries, of which `failed` failed.
    fn outcome(failed: u64, unreadable_directories: u64) -> Outcome {
        Outcome {
            counters: Counters {
                listed: 10,
                copied: 10 - failed,
                failed,
                ..Counters::default()
            },
            unreadable_directories,
            ..Outcome::default()
        }
    }

    fn ended<'a>(outcome: &'a Outcome, failures: &'a [Failure]) -> Ended<'a> {
        Ended {
            task: TaskId(4),
            list: None,
            dry_run: false,
            outcome,
            failures,
            failed_items: 0,
            last_error: None,
        }
    }

    #[test]
    fn success_is_said_as_ever() {
        let outcome = outcome(0, 0);
        let mut ended = ended(&outcome, &[]);
        assert_eq!(
            verdict(&ended),
            (TaskEnd::Success, "Migrated task 4 successfully".to_owned())
        );
        ended.list = Some(Path::new("/l/a b#.txt"));
        assert_eq!(
            verdict(&ended).1,
            "Migrated task 4 with include file /l/a b#.txt successfully"
        );
        ended.dry_run = true;
        assert!(
            verdict(&ended)
                .1
                .ends_with(" successfully (dry run: nothing was changed)")
        );
    }

    #[test]
    fn failures_are_named() {
        let five: Vec<Failure> = ["a", "b", "c", "d", "e"]
            .map(|path| failure(path, FailureClass::GiveUp))
            .to_vec();
        assert_eq!(
            verdict(&ended(&outcome(1, 0), &five[..1])),
            (
                TaskEnd::Failed,
                "1 file failed: a: cannot read: Permission denied (os error 13)".to_owned()
            )
        );
        let (end, message) = verdict(&ended(&outcome(5, 0), &five));
        assert_eq!(end, TaskEnd::Failed);
        assert!(
            message.starts_with("5 files failed. First few errors: a: cannot"),
            "{message}"
        );
        assert_eq!(message.matches("; ").count(), 2, "{message}");
        assert_eq!(
            verdict(&ended(&outcome(5, 0), &[])).1,
            "5 files failed",
            "without names"
        );
    }

    #[test]
    fn what_may_not_have_been_found_makes_a_task_incomplete() {
        let unreadable = [
            failure("d", FailureClass::Unreadable),
            failure("f", FailureClass::GiveUp),
        ];
        let with_failure = outcome(1, 1);
        assert_eq!(
            verdict(&ended(&with_failure, &unreadable)),
            (
                TaskEnd::Incomplete,
                "incomplete: 1 directory could not be read: d: cannot read: Permission denied (os error 13); \
                 1 file failed: f: cannot read: Permission denied (os error 13)"
                    .to_owned()
            )
        );

        assert_eq!(
            verdict(&ended(&with_failure, &unreadable[..1])).1,
            "incomplete: 1 directory could not be read: d: cannot read: Permission denied (os error 13)"
        );

        let fine = outcome(0, 0);
        let mut items = ended(&fine, &[]);
        items.failed_items = 2;
        items.last_error = Some("worker died\nagain");
        assert_eq!(
            verdict(&items),
            (
                TaskEnd::Incomplete,
                "incomplete: 2 items failed at every attempt: worker died\\nagain".to_owned()
            )
        );

        let mut wrong = outcome(0, 0);
        wrong.counters.listed = 11;
        let (end, message) = verdict(&ended(&wrong, &[]));
        assert_eq!(end, TaskEnd::Incomplete);
        assert!(
            message.starts_with("incomplete: the counts do not add up: 11 listed, but 10 copied"),
            "{message}"
        );
    }
}
