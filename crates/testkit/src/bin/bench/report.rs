//! The numbers as Markdown.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::Failure;
use crate::goal::{Goal, median};
use crate::machine::Machine;
use crate::measure::Series;
use crate::tools::Tool;

pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) rounds: u64,
    pub(crate) sections: Vec<Section>,
    pub(crate) versions: Vec<String>,
}

/// What one case, or one of its parts, brought.
pub(crate) struct Section {
    pub(crate) heading: &'static str,
    /// What was copied, and where.
    pub(crate) about: String,
    pub(crate) table: Table,
    pub(crate) goals: Vec<Goal>,
    /// A tool of this project failed.
    pub(crate) is_broken: bool,
}

/// What was copied, for rates.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Amount {
    Files(u64),
    MebiBytes(u64),
}

impl Amount {
    fn rate(self) -> &'static str {
        match self {
            Self::Files(_) => "files/s",
            Self::MebiBytes(_) => "MiB/s",
        }
    }

    fn number(self) -> f64 {
        match self {
            Self::Files(number) | Self::MebiBytes(number) => number as f64,
        }
    }
}

/// Cells as text; the first column is that of the names.
pub(crate) struct Table {
    pub(crate) columns: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Section {
    pub(crate) fn not_measured(case: &'static str, why: &dyn Error) -> Self {
        eprintln!("{case}: {why}");
        Self {
            heading: case,
            about: format!("Not measured: {why}"),
            table: Table {
                columns: Vec::new(),
                rows: Vec::new(),
            },
            goals: Vec::new(),
            is_broken: true,
        }
    }

    /// Of copies of so much.
    pub(crate) fn of_times(
        heading: &'static str,
        about: String,
        amount: Amount,
        series: &[Series],
        goals: Vec<Goal>,
    ) -> Self {
        let is_broken = |one: &Series| one.tool.is_ours() && one.failure.is_some();
        Self {
            heading,
            about,
            table: times(amount, series),
            goals,
            is_broken: series.iter().any(is_broken),
        }
    }
}

fn times(amount: Amount, series: &[Series]) -> Table {
    let mut columns = vec![
        "tool",
        "median s",
        "rounds s",
        amount.rate(),
        "× copy's time",
    ];
    let has_requests = series.iter().any(|one| one.median_requests().is_some());
    if has_requests {
        columns.push("requests a file");
    }
    let copy = median(series, Tool::Copy);
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    let row = |one: &Series| {
        let rounds: Vec<String> = one
            .samples
            .iter()
            .map(|sample| format!("{:.2}", sample.time.as_secs_f64()))
            .collect();
        let median = one.median_seconds();
        let said = one
            .failure
            .as_ref()
            .map(|why| format!("failed: {}", cell(why)));
        let mut row = vec![
            one.tool.title(),
            or_dash(median.map(|seconds| format!("{seconds:.2}"))),
            said.unwrap_or_else(|| rounds.join(" ")),
            or_dash(median.map(|seconds| format!("{:.0}", amount.number() / seconds))),
            or_dash(
                median
                    .zip(copy)
                    .map(|(seconds, copy)| format!("{:.2}", seconds / copy)),
            ),
        ];
        if has_requests {
            let requests = one.median_requests();
            row.push(or_dash(
                requests.map(|requests| format!("{:.2}", requests / amount.number())),
            ));
        }
        row
    };
    Table {
        rows: series.iter().map(row).collect(),
        columns,
    }
}

/// Text that may be in a cell.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

impl Report {
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut text);
        text
    }

    pub(crate) fn all_met(&self) -> bool {
        let mut goals = self.sections.iter().flat_map(|section| &section.goals);
        goals.all(Goal::is_met)
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.sections.iter().any(|section| section.is_broken)
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let (machine, rounds) = (&self.machine, self.rounds);
        writeln!(
            text,
            "# Benchmark\n\n{machine}\n\nFile systems are in memory unless said otherwise; tools run in turn, medians of {rounds} rounds."
        )?;
        for section in &self.sections {
            writeln!(text, "\n### {}\n\n{}\n", section.heading, section.about)?;
            section.table.write(text)?;
            write_goals(text, &section.goals)?;
        }
        writeln!(text, "\nVersions:")?;
        for version in &self.versions {
            writeln!(text, "- {version}")?;
        }
        Ok(())
    }
}

impl Table {
    fn write(&self, text: &mut String) -> std::fmt::Result {
        if self.columns.is_empty() {
            return Ok(());
        }
        writeln!(text, "| {} |", self.columns.join(" | "))?;
        let is_text = |column: &str| column.starts_with("rounds") || column.starts_with("most");
        let lines = self
            .columns
            .iter()
            .skip(1)
            .map(|column| match is_text(column) {
                true => "---",
                false => "---:",
            });
        writeln!(text, "|---|{}|", lines.collect::<Vec<_>>().join("|"))?;
        for row in &self.rows {
            writeln!(text, "| {} |", row.join(" | "))?;
        }
        Ok(())
    }
}

fn write_goals(text: &mut String, goals: &[Goal]) -> std::fmt::Result {
    if goals.is_empty() {
        return Ok(());
    }
    writeln!(
        text,
        "\n| to reach | wanted | measured | |\n|---|---|---|---|"
    )?;
    for goal in goals {
        let (what, wanted) = (&goal.what, goal.wanted());
        let (measured, verdict) = (goal.measured(), goal.verdict());
        writeln!(text, "| {what} | {wanted} | {measured} | {verdict} |")?;
    }
    Ok(())
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
