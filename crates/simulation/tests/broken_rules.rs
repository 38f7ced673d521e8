//! A rule that is broken on purpose is found out within some hundred seeds, by what it leads to; with the rule kept the same
//! seed is right.

use simulation::{Range, Rule, play, run};

#[track_caller]
fn assert_is_found(rule: Rule, as_what: &[&str]) {
    let range = Range {
        from: 1,
        // More than each needs: another order of what happens finds it later.
        seeds: 3_000,
        most_wrong: 1,
    };
    let tally = run(range, Some(rule));
    let Some(wrong) = tally.wrong.first() else {
        panic!("{rule:?} was not found in {} seeds", tally.seeds);
    };
    let is_named = |what: &String| as_what.iter().any(|named| what.contains(named));
    assert!(
        wrong.what.iter().any(is_named),
        "seed {}: {:?}",
        wrong.seed,
        wrong.what
    );
    let kept = play(wrong.seed, None, false).unwrap();
    assert!(
        kept.violations.is_empty(),
        "seed {}: {:?}",
        wrong.seed,
        kept.violations
    );
}

#[test]
fn an_attempt_that_ignores_its_fence_is_found() {
    assert_is_found(Rule::FenceIgnored, &["is about to write, but"]);
}

#[test]
fn a_result_that_is_taken_under_any_epoch_is_found() {
    assert_is_found(Rule::EpochIgnored, &["was done by"]);
}

#[test]
fn a_lease_that_is_not_waited_for_is_found() {
    let as_what = [
        "is about to write, but",
        "could still write",
        "after its fence",
    ];
    assert_is_found(Rule::LeaseCutShort, &as_what);
}

#[test]
fn a_server_that_forgets_leases_when_it_starts_is_found() {
    let as_what = [
        "is about to write, but",
        "could still write",
        "after its fence",
        "was taken",
    ];
    assert_is_found(Rule::LeasesNotExtended, &as_what);
}

#[test]
fn work_that_is_handed_over_twice_under_two_names_is_found() {
    assert_is_found(Rule::NewIdsOnRepeat, &["was taken 2 times", "the ledger"]);
}

#[test]
fn work_above_what_was_handed_over_before_is_found() {
    assert_is_found(Rule::SharedAbove, &["was taken 2 times", "the ledger"]);
}

#[test]
fn names_of_a_huge_directory_that_were_handed_over_and_are_forgotten_are_found() {
    let as_what = ["was taken 2 times", "the ledger"];
    assert_is_found(Rule::ShardsForgotten, &as_what);
}

#[test]
fn a_range_of_names_above_what_was_handed_over_before_is_found() {
    assert_is_found(Rule::ShardsAbove, &["was taken 2 times", "the ledger"]);
}

#[test]
fn a_huge_file_that_is_published_before_its_ranges_are_done_is_found() {
    assert_is_found(Rule::RangesNotAwaited, &["was published with version"]);
}

#[test]
fn a_range_that_is_taken_for_done_while_another_has_it_is_found() {
    assert_is_found(Rule::LeasedForDone, &["was published with version"]);
}

#[test]
fn what_is_read_after_the_fence_was_asked_is_found() {
    let as_what = ["was published with version", "when it was published"];
    assert_is_found(Rule::ReadAfterFence, &as_what);
}

#[test]
fn an_entry_that_counts_as_failed_and_gets_another_try_is_found() {
    assert_is_found(Rule::LeftAndFailed, &["the ledger"]);
}

#[test]
fn what_dead_attempts_leave_is_found() {
    assert_is_found(Rule::TempsNotRemoved, &["was left"]);
}

#[test]
fn a_task_that_ends_before_its_lost_attempts_is_found() {
    assert_is_found(Rule::NoTwoLeases, &["could still write"]);
}
