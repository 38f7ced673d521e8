//! `make bench`: data-migrate beside cp, rsync and rclone, in turn, in one run, on one file system in memory.
//!
//! Each tool copies the same tree onto a fresh empty target; between two runs the target is removed and the file system
//! synced. Rounds go through all tools, so that what disturbs the machine disturbs them alike; medians count.
//! The first copy of each tool is compared with the source by our own comparer, outside the time measured.
//!
//! Environment: `BENCH_FILES` (100000), `ROUNDS` (3), `BENCH_TOOLS` (names, separated by commas; default all),
//! `RCLONE` (the program). `--strict`: exit 1 where a number that is to be reached is missed.

mod machine;
mod measure;
mod memory;
mod report;
mod service;
mod tools;

use std::error::Error;
use std::process::ExitCode;

use measure::Plan;
use testkit::tree::{Many, make_many};

type Failure = Box<dyn Error>;

fn main() -> ExitCode {
    let is_strict = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--strict") => true,
        Some(_) => {
            eprintln!("usage: bench [--strict]");
            return ExitCode::from(2);
        }
    };
    match bench() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) if !is_strict => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether all numbers were reached.
fn bench() -> Result<bool, Failure> {
    let files = number("BENCH_FILES", 100_000)?;
    let rounds = number("ROUNDS", 3)?;
    let tools = tools::chosen()?;
    let machine = machine::Machine::look();
    let many = Many {
        files,
        directories: files.div_ceil(100),
        ..Many::default()
    };
    let plan = Plan::new(files)?;
    eprintln!("making {files} files in {} directories", many.directories);
    let made = make_many(&plan.source(), &many, 1, machine.cores)?;

    tools::write_list(&plan.source())?;
    let series = measure::all(&plan, &tools, rounds)?;
    let memory = match tools.iter().any(tools::Tool::is_service) {
        true => Some(memory::measure(&plan)?),
        false => None,
    };
    let report = report::Report {
        machine,
        made,
        rounds,
        series,
        memory,
    };
    let text = report.markdown();
    println!("{text}");
    report::save(&text)?;
    Ok(report.all_met())
}

fn number(variable: &str, default: u64) -> Result<u64, Failure> {
    match std::env::var(variable) {
        Err(_) => Ok(default),
        Ok(text) => match text.parse() {
            Ok(number) if number > 0 => Ok(number),
            _ => Err(format!("{variable}={text}: expected a whole number above 0").into()),
        },
    }
}
