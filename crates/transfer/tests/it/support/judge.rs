//! Whole copies, and what is right about them: accounts against the source's own entries, trees by the comparer of
//! `testkit`. Nothing in here asks the engine what it did but for its counters, failures and its last word.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use model::{Failure, Outcome, RelPath};
use testkit::compare::{Aspect, Difference, Options, compare};
use testkit::leftovers;
use transfer::{AttemptWork, Stopped};

use super::Try;

/// A walk, and the attributes of directories that it left for the end.
#[derive(Debug)]
pub struct Copied {
    pub walk: Outcome,
    pub attributes: Outcome,
}

impl Copied {
    pub fn failures(&self) -> impl Iterator<Item = &Failure> {
        self.walk.failures.iter().chain(&self.attributes.failures)
    }

    /// All entries have arrived or were there, as far as is told.
    pub fn claims_success(&self) -> bool {
        let outcomes = [&self.walk, &self.attributes];
        outcomes
            .iter()
            .all(|outcome| outcome.counters.failed == 0 && outcome.unreadable_directories == 0)
    }

    fn is_at_or_below_a_failure(&self, path: &Path) -> bool {
        self.failures()
            .any(|failure| path.starts_with(as_path(&failure.path)))
    }
}

pub fn as_path(path: &RelPath) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    let components = path.components();
    components.map(std::ffi::OsStr::from_bytes).collect()
}

/// Copies as a task does: a walk, then what that left for the end. `attempt` makes each of the two attempts.
pub fn copy(
    attempt: impl Fn() -> Try,
    begin: impl FnOnce() + Send + 'static,
    source: &Path,
    target: &Path,
) -> Result<Copied, Stopped> {
    let mut walk = attempt();
    walk.begin = Box::new(begin);
    let walked = walk.run_between(source, target)?;
    let mut attributes = attempt();
    attributes.item = 2;
    attributes.work = AttemptWork::Attributes(walked.deferred_attributes);
    let set = attributes.run_between(source, target)?;
    Ok(Copied {
        walk: walked.outcome,
        attributes: set.outcome,
    })
}

/// All that a copy keeps. The roots' own attributes are set elsewhere.
pub fn all_but_root() -> Options {
    Options {
        root_attributes: false,
        ..Options::everything()
    }
}

/// Every entry below a directory, and whether it is a directory itself.
pub fn entries(root: &Path) -> BTreeMap<PathBuf, bool> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![root.to_path_buf()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let is_directory = fs::symlink_metadata(&path).unwrap().is_dir();
            if is_directory {
                waiting.push(path.clone());
            }
            found.insert(path.strip_prefix(root).unwrap().to_path_buf(), is_directory);
        }
    }
    found
}

/// Asserts what an end, good or bad, promises of a target that was empty: exact accounts, nothing wrong under a final
/// name, nothing unfinished.
#[track_caller]
pub fn assert_honest(
    ended: &Result<Copied, Stopped>,
    [source, target]: [&PathBuf; 2],
    judged_by: &Options,
    about: &str,
) {
    let differences = compare(source, target, judged_by);
    match ended {
        Ok(copied) => {
            assert_accounts(copied, source, about);
            assert_explained(copied, &differences, about);
        }
        Err(stopped) => assert_only_incomplete(&differences, source, &format!("{about} {stopped}")),
    }
}

/// Asserts that nothing unfinished is left.
#[track_caller]
pub fn assert_no_temps(target: &Path, about: &str) {
    let left = leftovers(target);
    assert!(left.is_empty(), "{about}: {left:?}");
}

/// Each entry of the source was listed once, but for those below directories that failed: they may be unknown.
#[track_caller]
fn assert_accounts(copied: &Copied, source: &Path, about: &str) {
    let entries = entries(source);
    let outcome = &copied.walk;
    assert!(outcome.is_balanced(), "{about}: {outcome:?}");
    let named = outcome.failures.len() as u64;
    let roots = outcome
        .failures
        .iter()
        .filter(|failure| failure.path == RelPath::ROOT);
    assert_eq!(
        named - roots.count() as u64,
        outcome.counters.failed,
        "{about}: {outcome:?}"
    );
    let failed: Vec<PathBuf> = outcome
        .failures
        .iter()
        .map(|failure| as_path(&failure.path))
        .collect();
    let is_perhaps_unknown = |path: &Path| {
        failed
            .iter()
            .any(|failed| path != failed && path.starts_with(failed))
    };
    let known = entries.keys().filter(|path| !is_perhaps_unknown(path));
    // A directory into which files were put at the end is told of again where its attributes can't be set then.
    let is_directory = |path: &&PathBuf| entries.get(*path).is_some_and(|is_one| *is_one);
    let again = failed.iter().filter(is_directory).count();
    let range = known.count() as u64..=(entries.len() + again) as u64;
    assert!(
        range.contains(&outcome.counters.listed),
        "{about}: {range:?} {outcome:?}"
    );
}

/// What is not told as a failure is as it is at the source.
#[track_caller]
fn assert_explained(copied: &Copied, differences: &[Difference], about: &str) {
    let has_failures = !copied.claims_success();
    for difference in differences {
        // Which name stands for a file of several depends on names that failed.
        let is_explained = copied.is_at_or_below_a_failure(&difference.path)
            || (has_failures && difference.aspect == Aspect::HardLinks);
        assert!(
            is_explained,
            "{about}: called right: {difference}\n{copied:?}"
        );
    }
}

/// An attempt that stopped may have left out entries and attributes of directories, and nothing else.
#[track_caller]
pub fn assert_only_incomplete(differences: &[Difference], source: &Path, about: &str) {
    for difference in differences {
        let is_incomplete = match difference.aspect {
            Aspect::Missing | Aspect::HardLinks => true,
            Aspect::Mode
            | Aspect::Owner
            | Aspect::Time
            | Aspect::Acl
            | Aspect::ExtendedAttributes => source
                .join(&difference.path)
                .symlink_metadata()
                .unwrap()
                .is_dir(),
            _ => false,
        };
        assert!(is_incomplete, "{about}: under a final name: {difference}");
    }
}

/// The next attempt, with nothing in its way, completes the copy.
#[track_caller]
pub fn assert_completed(attempt: impl Fn() -> Try, source: &Path, target: &Path, about: &str) {
    let next = || {
        let mut next = attempt();
        next.epoch = 2;
        next
    };
    let copied =
        copy(next, || (), source, target).unwrap_or_else(|stopped| panic!("{about}: {stopped}"));
    assert!(copied.claims_success(), "{about}: {copied:?}");
    let listed = copied.walk.counters.listed;
    assert_eq!(listed, entries(source).len() as u64, "{about}");
    assert_no_temps(target, about);
}

/// A number for a test, by an environment variable, else this one.
pub fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{variable}: a number")),
        Err(_) => default,
    }
}

/// Waits until it is so; not for ever.
#[track_caller]
pub fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "waited for {what}"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}
