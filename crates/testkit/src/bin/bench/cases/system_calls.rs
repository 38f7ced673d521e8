//! System calls for each file, as strace counts them: `BENCH_CALLS_FILES` (10000) small files, a hundred to a directory.
//!
//! All calls of a process and its children count, its start included, but for those by which threads wait for one another:
//! they depend on the moment, and have a column of their own.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use testkit::tree::Many;

use super::make;
use crate::Failure;
use crate::measure::same;
use crate::place::Place;
use crate::report::{Section, Table};
use crate::run;
use crate::settings::{Settings, number};
use crate::tools::Tool;

pub(super) const TOOLS: &[Tool] = &[
    Tool::Copy,
    Tool::CopyBefore,
    Tool::Floor,
    Tool::Xcp,
    Tool::Cp,
];

const WAITING: &str = "futex";

/// Names of calls, and how many of each.
type Counts = BTreeMap<String, u64>;

pub(super) fn run(settings: &Settings, tools: &[Tool]) -> Result<Section, Failure> {
    let files = number("BENCH_CALLS_FILES", 10_000)?;
    let many = Many {
        files,
        directories: files.div_ceil(100),
        ..Many::default()
    };
    let place = Place::for_small_files(files)?;
    make(&place, &many)?;
    let mut rows = Vec::new();
    let mut is_broken = false;
    for tool in tools {
        let counted = count(settings, *tool, &place);
        is_broken |= tool.is_ours() && counted.is_err();
        rows.push(row(*tool, files, counted));
    }
    Ok(Section {
        heading: "System calls",
        about: format!(
            "{files} small files in {} directories onto an empty one, by strace -c -f.",
            many.directories
        ),
        table: Table {
            columns: vec!["tool", "calls a file", "futex", "most often, a file"],
            rows,
        },
        goals: Vec::new(),
        is_broken,
    })
}

fn count(settings: &Settings, tool: Tool, place: &Place) -> Result<Counts, Failure> {
    place.clear_target()?;
    let summary = place.beside().join("calls");
    let job = place.job();
    let traced = tool
        .command(&job)
        .ok_or_else(|| format!("{} has no command", tool.title()))?;
    let mut command = Command::new("strace");
    command
        .args(["-c", "-f", "-o"])
        .arg(&summary)
        .arg(traced.get_program());
    eprintln!("counting calls: {}", tool.title());
    run::to_end(command.args(traced.get_args()), settings.limit)?;
    same(&job.source, &job.target, &tool.kept())?;
    read(&summary)
}

fn read(summary: &Path) -> Result<Counts, Failure> {
    let counts = parse(&fs::read_to_string(summary)?);
    match counts.is_empty() {
        true => Err("strace counted nothing".into()),
        false => Ok(counts),
    }
}

/// Lines of `% time, seconds, usecs/call, calls, errors (may be missing), syscall`, and their sum, the `total`.
fn parse(text: &str) -> Counts {
    let line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let name = *fields.last().filter(|_| fields.len() >= 5)?;
        let calls = fields.get(3)?.parse().ok()?;
        (name != "total").then(|| (name.to_owned(), calls))
    };
    text.lines().filter_map(line).collect()
}

fn row(tool: Tool, files: u64, counted: Result<Counts, Failure>) -> Vec<String> {
    const SHOWN: usize = 12;
    let mut counts = match counted {
        Ok(counts) => counts,
        Err(why) => {
            let dash = || "–".to_owned();
            return vec![tool.title(), dash(), dash(), format!("failed: {why}")];
        }
    };
    let per_file = |calls: u64| calls as f64 / files as f64;
    let waiting = counts.remove(WAITING).unwrap_or_default();
    let sum = counts.values().sum();
    let mut often: Vec<(String, u64)> = counts.into_iter().collect();
    often.sort_by_key(|(_, calls)| std::cmp::Reverse(*calls));
    let often: Vec<String> = often
        .into_iter()
        .take(SHOWN)
        .map(|(name, calls)| format!("{name} {:.2}", per_file(calls)))
        .collect();
    vec![
        tool.title(),
        format!("{:.2}", per_file(sum)),
        format!("{:.2}", per_file(waiting)),
        often.join(", "),
    ]
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_summary_gives_calls_with_and_without_errors() {
        let text = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 40.00    0.000200           2       100           openat
 60.00    0.000300           3        99         7 statx
------ ----------- ----------- --------- --------- ----------------
100.00    0.000500           2       199         7 total
";
        let counts = super::parse(text);
        assert_eq!(counts.len(), 2);
        assert_eq!((counts["openat"], counts["statx"]), (100, 99));
    }
}
