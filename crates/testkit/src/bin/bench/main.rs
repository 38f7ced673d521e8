//! `make bench`: data-migrate beside other tools, in turn, in one run, on file systems in memory.
//!
//! Each case makes a source, and each tool copies it onto a fresh target; between two runs the target is removed and the
//! file system synced. Rounds go through all tools, so that what disturbs the machine disturbs them alike; medians
//! count. The first copy of each tool is compared with the source by our own comparer, outside of the time measured. A
//! tool that fails, or whose copy differs, is a row that says so.
//!
//! Environment: `BENCH_CASES` and `BENCH_TOOLS` (names, separated by commas; default all but `entries`), `ROUNDS` (3),
//! `BENCH_LIMIT_SECS` (1800, for one run of one tool); `BENCH_PROGRAMS` (the directory of data-migrate's programs;
//! default: that of this one), `BENCH_BEFORE` (another data-migrate to be measured too), `RCLONE`, `XCP` (programs).
//! Each case says how its size is set. `--strict`: exit 1 where a number that is to be reached is missed.

mod cases;
mod goal;
mod machine;
mod measure;
mod memory;
mod place;
mod report;
mod resident;
mod run;
mod service;
mod settings;
mod slowfs;
mod tools;

use std::error::Error;
use std::process::ExitCode;

use report::{Report, Section};
use settings::Settings;

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
        Ok(report) if report.is_broken() => ExitCode::FAILURE,
        Ok(report) if is_strict && !report.all_met() => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::from(2)
        }
    }
}

/// What was measured, saved after each case. One that cannot be measured takes nothing away from the others.
fn bench() -> Result<Report, Failure> {
    let settings = Settings::from_environment()?;
    let mut report = Report {
        machine: machine::Machine::look(),
        rounds: settings.rounds,
        sections: Vec::new(),
        versions: tools::versions(settings.tools()),
    };
    for case in &settings.cases {
        eprintln!("--- {}", case.name());
        match case.run(&settings) {
            Ok(sections) => report.sections.extend(sections),
            Err(error) => report
                .sections
                .push(Section::not_measured(case.name(), &*error)),
        }
        report::save(&report.markdown())?;
    }
    println!("{}", report.markdown());
    Ok(report)
}
