//! `make simulate`: plays seeds, and says which went wrong and how to play them again.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use simulation::{Range, Rule, Tally, play, run};

#[derive(Parser)]
struct Arguments {
    /// How many seeds to play.
    #[arg(long, default_value_t = 100_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Say all that happens.
    #[arg(long)]
    trace: bool,
    /// Break a rule, to see that it is noticed.
    #[arg(long = "break")]
    broken: Option<Rule>,
}

/// Traces of more seeds than this help nobody.
const MOST_WRONG: usize = 3;

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let begun = Instant::now();
    let range = Range {
        from: arguments.from,
        seeds: arguments.seeds,
        most_wrong: MOST_WRONG,
    };
    let tally = run(range, arguments.broken);
    for wrong in &tally.wrong {
        println!("seed {} goes wrong: {}", wrong.seed, wrong.what.join("; "));
        tell(wrong.seed, &arguments)?;
    }
    if arguments.trace && tally.wrong.is_empty() {
        tell(arguments.from, &arguments)?;
    }
    println!("{}", closing_line(&tally, begun));
    Ok(ExitCode::from(u8::from(!tally.wrong.is_empty())))
}

/// A seed, and how to see it again.
fn tell(seed: u64, arguments: &Arguments) -> anyhow::Result<()> {
    let ran = play(seed, arguments.broken, true)?;
    ran.trace.iter().for_each(|line| println!("{line}"));
    let broken = match arguments.broken {
        Some(rule) => format!(" BREAK={}", rule.name()),
        None => String::new(),
    };
    println!("again: make simulate SEEDS=1 SEED={seed}{broken}\n");
    Ok(())
}

fn closing_line(tally: &Tally, begun: Instant) -> String {
    let right = tally.seeds - tally.wrong.len() as u64;
    format!(
        "{} seeds in {} s, {} hours of virtual time; fired: {}; over at most {} s after the last fault; {right} right, {} wrong",
        tally.seeds,
        begun.elapsed().as_secs(),
        tally.virtual_ms / 3_600_000,
        tally.fired,
        tally.longest_ms / 1000,
        tally.wrong.len()
    )
}
