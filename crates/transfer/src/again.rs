//! What failed and gets another try, which is a later attempt's business.
//!
//! All of an entry is tried again: so it must be one that nothing below was counted of. A directory that could be
//! entered, and whose attributes could not be set then, has failed.

use std::collections::HashSet;

use model::{FailureClass, Outcome, RelPath};

/// Bytes of paths that one attempt leaves to another: they have to fit into a message.
const MAX_BYTES: usize = 1 << 20;

/// Directories that failed.
#[derive(Default)]
pub(crate) struct Directories {
    /// Nothing in them has been counted, and the reason may go away.
    pub(crate) unread: HashSet<RelPath>,
    /// What is in them has been counted.
    pub(crate) entered: HashSet<RelPath>,
}

/// Whether what failed is listed elsewhere, so that only the failure is counted here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listed {
    Here,
    Elsewhere,
}

impl Directories {
    /// Whether what failed may be done by another attempt, with all below it.
    pub(crate) fn get_another_try(&self, class: FailureClass, path: &RelPath) -> bool {
        match class {
            FailureClass::Retry | FailureClass::Changed => !self.entered.contains(path),
            FailureClass::Unreadable => self.unread.contains(path),
            FailureClass::GiveUp | FailureClass::TargetFull | FailureClass::Missing => false,
        }
    }
}

/// Takes what gets another try out of the failures: what was listed here is deferred then.
pub(crate) fn take_out(
    outcome: &mut Outcome,
    listed: Listed,
    gets_another_try: impl Fn(FailureClass, &RelPath) -> bool,
) -> Vec<RelPath> {
    let mut again: Vec<RelPath> = Vec::new();
    let mut bytes = 0;
    let failures = std::mem::take(&mut outcome.failures);
    for failure in failures {
        let is_unread = failure.class == FailureClass::Unreadable;
        let may_go_away = gets_another_try(failure.class, &failure.path);
        bytes += failure.path.as_bytes().len();
        if !may_go_away || bytes > MAX_BYTES {
            outcome.failures.push(failure);
            continue;
        }
        if is_unread {
            outcome.unreadable_directories -= 1;
        }
        // The root is no entry.
        if !failure.path.is_root() {
            outcome.counters.failed -= 1;
            match listed {
                Listed::Here => outcome.counters.deferred += 1,
                Listed::Elsewhere => outcome.counters.listed -= 1,
            }
        }
        again.push(failure.path);
    }
    again.sort_unstable();
    again
}

#[cfg(test)]
mod tests {
    use model::{Counters, Failure, FailureClass, Outcome, RelPath};

    use super::{Directories, Listed, MAX_BYTES, take_out};

    fn path(text: &str) -> RelPath {
        RelPath::new(text).expect("a legal path")
    }

    fn failed(failures: &[(RelPath, FailureClass)], unreadable: u64) -> Outcome {
        let failed = failures.iter().filter(|(path, _)| !path.is_root()).count() as u64;
        let failures = failures.iter().map(|(path, class)| Failure {
            path: path.clone(),
            class: *class,
            error: "why".to_owned(),
        });
        Outcome {
            counters: Counters {
                listed: failed,
                failed,
                ..Counters::default()
            },
            failures: failures.collect(),
            unreadable_directories: unreadable,
            ..Outcome::default()
        }
    }

    #[test]
    fn what_may_go_away_is_deferred_and_the_rest_stays_failed() {
        use FailureClass::{Changed, GiveUp, Missing, Retry, Unreadable};
        let directories = Directories {
            unread: [path("unread"), RelPath::ROOT].into(),
            entered: [path("entered")].into(),
        };
        for (of, class, is_again) in [
            (path("file"), Retry, true),
            (path("file"), Changed, true),
            (path("file"), GiveUp, false),
            (path("file"), Missing, false),
            (path("entered"), Retry, false),
            (path("unread"), Unreadable, true),
            (path("half read"), Unreadable, false),
            (RelPath::ROOT, Unreadable, true),
        ] {
            let unreadable = u64::from(class == Unreadable);
            let before = failed(&[(of.clone(), class)], unreadable);
            let mut after = before.clone();
            let again = take_out(&mut after, Listed::Here, |class, path| {
                directories.get_another_try(class, path)
            });
            assert!(after.is_balanced(), "{of} {class:?}: {after:?}");
            if !is_again {
                assert_eq!((again, after), (vec![], before), "{of} {class:?}");
                continue;
            }
            assert!(again.iter().eq([&of]), "{again:?}");
            assert!(after.failures.is_empty() && after.unreadable_directories == 0);
            assert_eq!(after.counters.failed, 0);
            assert_eq!(after.counters.deferred, u64::from(!of.is_root()));
        }
    }

    #[test]
    fn what_is_counted_elsewhere_leaves_no_trace() {
        let mut outcome = failed(&[(path("d"), FailureClass::Retry)], 0);
        let again = take_out(&mut outcome, Listed::Elsewhere, |_, _| true);
        assert_eq!((again, outcome), (vec![path("d")], Outcome::default()));
    }

    #[test]
    fn what_does_not_fit_into_a_message_has_failed() {
        let long = path(&("d/".repeat(MAX_BYTES / 4) + "d"));
        let paths = [b"1", b"2", b"3"].map(|name| (long.join(name), FailureClass::Retry));
        let mut outcome = failed(&paths, 0);
        let again = take_out(&mut outcome, Listed::Here, |_, _| true);
        assert!(again.iter().eq([&paths[0].0]), "{}", again.len());
        assert_eq!(outcome.counters.failed, 2);
        assert!(outcome.is_balanced());
    }
}
