//! Some of the seeds that `make simulate` plays, and what makes them worth something: all kinds of faults happen in them,
//! and a seed is always the same.

use simulation::{Range, play, run};

#[test]
fn whatever_fails_nothing_is_lost_done_twice_stuck_or_miscounted() {
    let range = Range {
        from: 1,
        seeds: 1_000,
        most_wrong: 3,
    };
    let tally = run(range, None);
    for wrong in &tally.wrong {
        println!("seed {}: {}", wrong.seed, wrong.what.join("; "));
        println!("again: make simulate SEEDS=1 SEED={}", wrong.seed);
    }
    assert!(tally.wrong.is_empty(), "{:?}", tally.wrong);
    assert_eq!(tally.seeds, range.seeds);
    let none: [&str; 0] = [];
    assert_eq!(tally.fired.missing(), none, "{}", tally.fired);
}

#[test]
fn a_seed_is_played_again_to_the_letter() {
    let mut lines = 0;
    for seed in 1..=10 {
        let [once, again] = [(); 2].map(|()| play(seed, None, true).unwrap().trace);
        assert_eq!(once, again, "seed {seed}");
        lines += once.len();
    }
    assert!(lines > 1_000, "{lines} lines of trace");
    let [one, other] = [1, 2].map(|seed| play(seed, None, true).unwrap().trace);
    assert_ne!(one, other);
}
