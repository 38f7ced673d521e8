//! The report as a markdown table, the summary below it.

use super::row::{HEADER, LOG_FILE, Row};
use super::summary::Summary;
use super::{human, text};

pub(super) fn render(rows: &[Row], summary: &Summary) -> String {
    let mut out = line(HEADER.iter().map(|&name| name.to_owned()));
    out.push_str(&format!("|{}\n", "---|".repeat(HEADER.len())));
    for row in rows {
        let mut cells = row.cells().map(|text| cell(&text));
        if let Some(link) = &row.log_link {
            cells[LOG_FILE] = format!("[{}](<{}>)", cells[LOG_FILE], link.expose());
        }
        out.push_str(&line(cells.into_iter()));
    }
    out.push('\n');
    for (name, value) in facts(summary) {
        out.push_str(&format!("- {name}: {}\n", cell(&value)));
    }
    out
}

fn line(cells: impl Iterator<Item = String>) -> String {
    let mut out = String::from("|");
    for cell in cells {
        out.push_str(&format!(" {cell} |"));
    }
    out.push('\n');
    out
}

fn facts(summary: &Summary) -> Vec<(&'static str, String)> {
    let counters = summary.counters();
    let ms = summary.duration_ms();
    let mut facts = vec![
        ("run", summary.run.to_string()),
        ("config", summary.config.clone()),
        (
            "time",
            format!(
                "{} to {} ({})",
                human::utc(summary.started),
                human::utc(summary.finished),
                human::duration(ms)
            ),
        ),
        (
            "tasks",
            format!(
                "{} (success: {}, failed: {}, incomplete: {})",
                summary.tasks.total(),
                summary.tasks.success,
                summary.tasks.failed,
                summary.tasks.incomplete
            ),
        ),
        (
            "entries",
            format!(
                "{} listed = {} copied + {} unchanged + {} skipped + {} failed",
                summary.listed(),
                counters.copied,
                counters.unchanged,
                counters.skipped,
                counters.failed
            ),
        ),
        (
            "copied",
            format!(
                "{}, {} ({} files/s, {})",
                human::counted(counters.copied_files, "file", "files"),
                human::bytes(counters.copied_bytes),
                human::rate(counters.copied_files, ms),
                human::byte_rate(counters.copied_bytes, ms)
            ),
        ),
    ];
    for (&reason, &n) in &summary.outcome.skipped {
        facts.push(("skipped", format!("{} ({})", reason.name(), n)));
    }
    for (note, &n) in &summary.outcome.notes {
        facts.push(("note", format!("{note} ({n})")));
    }
    for note in &summary.notes {
        facts.push(("note", note.clone()));
    }
    facts.push(("version", summary.version.clone()));
    facts
}

/// Text that shows as it is, in a cell of a table.
fn cell(raw: &str) -> String {
    let shown = text::visible(raw);
    let mut out = String::with_capacity(shown.len());
    let mut before = ' ';
    let mut chars = shown.chars().peekable();
    while let Some(c) = chars.next() {
        let after = chars.peek().copied().unwrap_or(' ');
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // Inside a word it is no markup, and paths are full of it.
            '_' if before.is_alphanumeric() && after.is_alphanumeric() => out.push('_'),
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '~' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
        before = c;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn a_cell_shows_what_it_was_given() {
        for (raw, expected) in [
            ("/mnt/camera_1/x", "/mnt/camera_1/x"),
            ("a|b\\c", "a\\|b\\\\c"),
            ("two\nlines", "two\\\\nlines"),
            ("<script>&amp;", "&lt;script&gt;&amp;amp;"),
            ("/_x_/*.[ch]", "/\\_x\\_/\\*.\\[ch\\]"),
            ("\u{202e}x", "\\\\u{202e}x"),
        ] {
            assert_eq!(cell(raw), expected);
        }
    }
}
