//! The report as one html page that needs nothing but itself. All values pass through the
//! template's escaping; only the style and the script beside the template are put in as
//! they are, and a content security policy with a random nonce keeps anything else from running.

use std::collections::BTreeMap;

use askama::Template;

use super::html_picture::{Drawing, drawing, length};
use super::html_table::{self, Table, table};
use super::row::Row;
use super::summary::{Summary, TaskEnd};
use super::{ReportError, human, text};

/// Failures shown of one task.
const SHOWN_OF_A_TASK: usize = 50;
/// Tasks of which failures are shown.
const SHOWN_TASKS: usize = 200;

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    nonce: String,
    style: &'static str,
    script: &'static str,
    summary: &'a Summary,
    end: TaskEnd,
    config: String,
    tiles: Vec<Tile>,
    ledger: Vec<Part>,
    balance: String,
    reasons: Vec<(String, String)>,
    notes: Vec<String>,
    picture: Option<Drawing>,
    failures: Vec<Failures>,
    more_tasks_with_failures: usize,
    table: Table,
}

struct Tile {
    name: &'static str,
    value: String,
    detail: String,
}

/// One kind of result among the entries listed.
struct Part {
    name: &'static str,
    count: String,
    /// Of a bar of 1,000.
    x: String,
    width: String,
}

struct Failures {
    task: u32,
    source: String,
    total: String,
    shown: Vec<(String, &'static str, String)>,
    more: String,
}

pub(super) fn render(rows: &[Row], summary: &Summary) -> Result<String, ReportError> {
    let sources: BTreeMap<u32, String> = rows
        .iter()
        .filter(|row| row.subtask_id == 0)
        .map(|row| (row.id, text::visible(&row.source_dir)))
        .collect();
    let with_failures = || summary.failures.iter().filter(|f| f.total > 0);
    let page = Page {
        nonce: nonce(),
        style: include_str!("../../templates/report.css"),
        script: include_str!("../../templates/report.js"),
        summary,
        end: summary.end(),
        config: text::visible(&summary.config),
        tiles: tiles(summary),
        ledger: ledger(summary),
        balance: balance(summary),
        reasons: reasons(summary),
        notes: notes(summary),
        picture: drawing(summary, &sources),
        failures: with_failures()
            .take(SHOWN_TASKS)
            .map(|failures| shown_failures(failures, &sources))
            .collect(),
        more_tasks_with_failures: with_failures().count().saturating_sub(SHOWN_TASKS),
        table: table(rows),
    };
    Ok(page.render()?)
}

/// Hexadecimal; without randomness a fixed one: the escaping does not depend on it.
fn nonce() -> String {
    let high = getrandom::u64().unwrap_or_default();
    let low = getrandom::u64().unwrap_or_default();
    format!("{high:016x}{low:016x}")
}

fn tiles(summary: &Summary) -> Vec<Tile> {
    let tasks = &summary.tasks;
    let counters = summary.counters();
    let ms = summary.duration_ms();
    let mut ends = Vec::new();
    for (n, end) in [
        (tasks.failed, TaskEnd::Failed),
        (tasks.incomplete, TaskEnd::Incomplete),
    ] {
        if n > 0 {
            ends.push(format!("{} {}", human::count(n), end.name()));
        }
    }
    let tile = |name, value, detail| Tile {
        name,
        value,
        detail,
    };
    vec![
        tile(
            "Tasks successful",
            format!(
                "{} / {}",
                human::count(tasks.success),
                human::count(tasks.total())
            ),
            if ends.is_empty() {
                "none failed".to_owned()
            } else {
                ends.join(", ")
            },
        ),
        tile(
            "Files copied",
            human::count(counters.copied_files),
            format!("{} files/s", human::rate(counters.copied_files, ms)),
        ),
        tile(
            "Data copied",
            human::bytes(counters.copied_bytes),
            human::byte_rate(counters.copied_bytes, ms),
        ),
        tile(
            "Duration",
            human::duration(ms),
            match summary.intervals.len() {
                0 => "no task began".to_owned(),
                n => format!("{} began", human::counted(n as u64, "task", "tasks")),
            },
        ),
        tile(
            "Entries failed",
            human::count(counters.failed),
            match summary.outcome.unreadable_directories {
                0 => format!("of {} listed", human::count(summary.listed())),
                n => human::counted(n, "unreadable directory", "unreadable directories"),
            },
        ),
    ]
}

fn ledger(summary: &Summary) -> Vec<Part> {
    let n = summary.counters();
    let parts = [
        ("copied", n.copied),
        ("unchanged", n.unchanged),
        ("skipped", n.skipped),
        ("failed", n.failed),
    ];
    let total: u64 = parts.iter().map(|(_, count)| count).sum();
    let mut at = 0.0;
    parts
        .into_iter()
        .map(|(name, count)| {
            let share = count as f64 / total.max(1) as f64 * 1000.0;
            // A few among millions must still be seen.
            let width = if count > 0 { share.max(3.0) } else { 0.0 };
            let x = f64::min(at, 1000.0 - width);
            at += share;
            Part {
                name,
                count: human::count(count),
                x: length(x),
                width: length(width),
            }
        })
        .collect()
}

fn balance(summary: &Summary) -> String {
    let listed = human::counted(summary.listed(), "entry", "entries");
    if !summary.counters().is_balanced() {
        format!("{listed} listed: this does not equal the sum of the results.")
    } else if summary.outcome.unreadable_directories > 0 {
        format!(
            "{listed} listed, each with one result; what lies in unreadable directories is not known."
        )
    } else {
        format!("{listed} listed, each with one result.")
    }
}

fn reasons(summary: &Summary) -> Vec<(String, String)> {
    let skipped = &summary.outcome.skipped;
    skipped
        .iter()
        .filter(|&(_, &n)| n > 0)
        .map(|(reason, &n)| (format!("skipped: {}", reason.name()), human::count(n)))
        .collect()
}

fn notes(summary: &Summary) -> Vec<String> {
    let counted = summary.outcome.notes.iter();
    counted
        .map(|(note, &n)| format!("{}: {}", text::visible(note), human::count(n)))
        .chain(summary.notes.iter().map(|note| text::visible(note)))
        .collect()
}

fn shown_failures(task: &super::TaskFailures, sources: &BTreeMap<u32, String>) -> Failures {
    let shown: Vec<_> = task
        .failures
        .iter()
        .take(SHOWN_OF_A_TASK)
        .map(|failure| {
            (
                text::visible(&failure.path.to_string()),
                failure.class.name(),
                text::visible(&failure.error),
            )
        })
        .collect();
    let more = task.total.saturating_sub(shown.len() as u64);
    Failures {
        task: task.task.0,
        source: sources.get(&task.task.0).cloned().unwrap_or_default(),
        total: human::counted(task.total, "entry", "entries"),
        shown,
        more: match more {
            0 => String::new(),
            n => format!("and {} more", human::count(n)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::render;
    use crate::report::samples;

    #[test]
    fn nothing_in_a_name_becomes_markup() {
        let (rows, summary) = samples::hostile();
        let page = render(&rows, &summary).unwrap();
        assert_eq!(page.matches("<script").count(), 1, "only our own");
        for raw in ["<img", "\" onmouseover=", "' onmouseover=", "\u{202e}"] {
            assert!(!page.contains(raw), "{raw:?}");
        }
        for shown in ["&#60;script&#62;", "\\u{202e}", "a&#38;b"] {
            assert!(page.contains(shown), "{shown:?}");
        }
        assert!(!page.contains("href=\"javascript"), "links are http only");
        assert!(page.contains("href=\"https://s3.example/log?a=1&#38;b=2\""));
    }

    #[test]
    fn a_page_stays_small_and_whole_with_many_tasks() {
        let (rows, summary) = samples::many(5_000);
        let page = render(&rows, &summary).unwrap();
        assert!(page.len() < 6 << 20, "{}", page.len());
        assert!(page.contains("more tasks with failures"));
        assert!(page.trim_end().ends_with("</html>"));
    }

    #[test]
    fn a_run_without_tasks_has_a_page() {
        let (_, mut summary) = samples::plain();
        summary.intervals.clear();
        let page = render(&[], &summary).unwrap();
        assert!(!page.contains("NaN") && !page.contains("inf"));
    }
}
