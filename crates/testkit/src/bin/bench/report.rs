//! The numbers as Markdown, and whether those that are to be reached were.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use testkit::tree::Made;

use crate::Failure;
use crate::machine::Machine;
use crate::measure::Series;
use crate::memory::Figures;
use crate::tools::Tool;

pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) made: Made,
    pub(crate) rounds: u64,
    pub(crate) series: Vec<Series>,
    pub(crate) memory: Option<Figures>,
}

/// A number to be reached. Without a value what it needs was not measured.
struct Goal {
    what: &'static str,
    wanted: String,
    value: Option<String>,
    is_met: bool,
}

impl Report {
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut text);
        text
    }

    pub(crate) fn all_met(&self) -> bool {
        self.goals().iter().all(|goal| goal.is_met)
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let Made {
            files,
            directories,
            bytes,
            ..
        } = self.made;
        writeln!(text, "# Benchmark\n\n{}\n", self.machine)?;
        writeln!(
            text,
            "{files} files of 0–16 KiB ({} MiB) in {directories} directories, source in the page cache, onto an empty \
             target; medians of {} rounds.\n",
            bytes >> 20,
            self.rounds
        )?;
        writeln!(
            text,
            "| tool | median s | rounds s | files/s | × best rclone | × cp -a |"
        )?;
        writeln!(text, "|---|---:|---|---:|---:|---:|")?;
        let (best_rclone, cp) = (self.best_rclone(), self.median(Tool::Cp));
        for series in &self.series {
            let seconds = series.median_seconds();
            let times = |other: Option<f64>| match other {
                Some(other) => format!("{:.2}", other / seconds),
                None => "–".to_owned(),
            };
            let rounds: Vec<String> = series
                .times
                .iter()
                .map(|time| format!("{:.2}", time.as_secs_f64()))
                .collect();
            writeln!(
                text,
                "| {} | {seconds:.2} | {} | {:.0} | {} | {} |",
                series.tool.title(),
                rounds.join(" "),
                files as f64 / seconds,
                times(best_rclone),
                times(cp)
            )?;
        }
        writeln!(
            text,
            "\n| to reach | wanted | measured | |\n|---|---|---|---|"
        )?;
        for goal in self.goals() {
            let verdict = match (&goal.value, goal.is_met) {
                (None, _) => "not measured",
                (_, true) => "met",
                (_, false) => "**missed**",
            };
            let value = goal.value.unwrap_or_else(|| "–".to_owned());
            writeln!(
                text,
                "| {} | {} | {value} | {verdict} |",
                goal.what, goal.wanted
            )?;
        }
        writeln!(text, "\nVersions:")?;
        let mut said = Vec::new();
        for version in self.series.iter().map(|one| one.tool.version()) {
            if !said.contains(&version) {
                writeln!(text, "- {version}")?;
                said.push(version);
            }
        }
        Ok(())
    }

    fn median(&self, tool: Tool) -> Option<f64> {
        let series = self.series.iter().find(|series| series.tool == tool)?;
        Some(series.median_seconds())
    }

    fn best_rclone(&self) -> Option<f64> {
        let rclones = self.series.iter().filter(|series| series.tool.is_rclone());
        rclones.map(Series::median_seconds).min_by(f64::total_cmp)
    }

    fn goals(&self) -> Vec<Goal> {
        let copy = self.median(Tool::Copy);
        let ratio = |over: Option<f64>, under: Option<f64>| Some(over? / under?);
        let at_least = |what, wanted: f64, value: Option<f64>| Goal {
            what,
            wanted: format!("≥ {wanted}×"),
            value: value.map(|value| format!("{value:.2}×")),
            is_met: value.is_some_and(|value| value >= wanted),
        };
        let server = ratio(self.median(Tool::Service), copy);
        let old = self.median(Tool::OldConfig { engine: "rclone" });
        let over_piece = ratio(old, self.median(Tool::RclonePiece));
        let native = ratio(old, self.median(Tool::OldConfig { engine: "native" }));
        let below = |what, wanted_mib: u64, bytes: Option<u64>| Goal {
            what,
            wanted: format!("< {wanted_mib} MiB"),
            value: bytes.map(|bytes| format!("{:.1} MiB", bytes as f64 / 1_048_576.0)),
            is_met: bytes.is_some_and(|bytes| bytes < wanted_mib << 20),
        };
        let memory = self.memory.as_ref();
        vec![
            at_least(
                "copy against the best rclone",
                4.0,
                ratio(self.best_rclone(), copy),
            ),
            at_least(
                "copy against cp -a",
                1.5,
                ratio(self.median(Tool::Cp), copy),
            ),
            Goal {
                what: "server + worker, start to exit, against copy: time",
                wanted: "≤ 1.15×".into(),
                value: server.map(|value| format!("{value:.2}×")),
                is_met: server.is_some_and(|value| value <= 1.15),
            },
            Goal {
                what: "engine rclone, server + worker, start to exit, against the same list by hand: time",
                wanted: "≤ 1.1×".into(),
                value: over_piece.map(|value| format!("{value:.2}×")),
                is_met: over_piece.is_some_and(|value| value <= 1.1),
            },
            at_least(
                "the same older config with engine: native against engine: rclone",
                1.0,
                native,
            ),
            below("idle server", 64, memory.map(|one| one.idle_server_bytes)),
            below(
                "worker with 64 transfers, peak",
                128,
                memory.map(|one| one.worker_peak_bytes),
            ),
        ]
    }
}

/// As `bench/latest.md` in the target directory.
pub(crate) fn save(text: &str) -> Result<(), Failure> {
    let directory = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let directory = Path::new(&directory).join("bench");
    fs::create_dir_all(&directory)?;
    fs::write(directory.join("latest.md"), text)?;
    eprintln!("written to {}", directory.join("latest.md").display());
    Ok(())
}
