//! The rows as they are laid out in the html report: columns that people look at first come
//! first, columns without any value are left out, and each cell knows by what it sorts.

use super::row::Row;
use super::summary::TaskEnd;
use super::{human, text};

pub(super) struct Table {
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Line>,
}

#[derive(Clone, Copy)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Path,
    Number,
    Message,
    End,
}

impl Kind {
    /// Class of the column's cells in the style sheet.
    pub(super) fn class(self) -> &'static str {
        match self {
            Kind::Text => "t",
            Kind::Path => "p",
            Kind::Number => "n",
            Kind::Message => "m",
            Kind::End => "e",
        }
    }
}

pub(super) struct Line {
    pub(super) end: TaskEnd,
    pub(super) cells: Vec<Cell>,
}

pub(super) struct Cell {
    pub(super) kind: Kind,
    pub(super) text: String,
    /// By what the cell is sorted, if not by its text.
    pub(super) value: Option<String>,
    pub(super) href: Option<String>,
}

pub(super) fn table(rows: &[Row]) -> Table {
    let columns = [
        ("task", Kind::Number),
        ("result", Kind::End),
        ("source dir", Kind::Path),
        ("target dir", Kind::Path),
        ("files", Kind::Number),
        ("bytes", Kind::Number),
        ("duration", Kind::Number),
        ("failures", Kind::Number),
        ("retries", Kind::Number),
        ("message", Kind::Message),
        ("client id", Kind::Text),
        ("engine", Kind::Text),
        ("split pattern", Kind::Text),
        ("split files", Kind::Text),
        ("file from", Kind::Path),
        ("include file", Kind::Path),
        ("log file", Kind::Path),
    ]
    .map(|(name, kind)| Column { name, kind });
    let mut lines: Vec<Line> = rows.iter().map(|row| line(row, &columns)).collect();
    let is_used: Vec<bool> = (0..columns.len())
        .map(|at| lines.iter().any(|line| !line.cells[at].text.is_empty()))
        .collect();
    for line in &mut lines {
        let mut used = is_used.iter();
        line.cells.retain(|_| *used.next().unwrap_or(&true));
    }
    let used_columns = columns.iter().zip(&is_used).filter(|&(_, &used)| used);
    Table {
        columns: used_columns.map(|(&column, _)| column).collect(),
        rows: lines,
    }
}

fn line(row: &Row, columns: &[Column]) -> Line {
    let end = TaskEnd::of(row.success, &row.message);
    let number = |n: u64| (human::count(n), Some(n.to_string()));
    let plain = |raw: &str| (text::visible(raw), None);
    let values = [
        (row.name(), Some(sortable_name(row))),
        (end.name().to_owned(), None),
        plain(&row.source_dir),
        plain(&row.target_dir),
        number(row.files),
        (human::bytes(row.bytes), Some(row.bytes.to_string())),
        (
            text::visible(&row.duration),
            Some(seconds(&row.duration).unwrap_or(-1.0).to_string()),
        ),
        number(row.failures),
        number(row.retries),
        plain(&row.message),
        plain(&row.client_id),
        plain(&row.engine),
        plain(&row.split_pattern),
        plain(&row.split_files),
        plain(&row.file_from),
        plain(&row.include_file),
        plain(&row.log_file),
    ];
    let cells = values
        .into_iter()
        .zip(columns)
        .map(|((text, value), column)| Cell {
            kind: column.kind,
            href: match (column.name, &row.log_link) {
                ("log file", Some(link)) => href(link.expose()),
                ("log file", None) => href(&text),
                _ => None,
            },
            text,
            value,
        });
    Line {
        end,
        cells: cells.collect(),
    }
}

/// Tasks in their order, and their pieces after them, as one number.
fn sortable_name(row: &Row) -> String {
    let pieces = f64::from(row.subtask_id) / (f64::from(u32::MAX) + 1.0);
    (f64::from(row.id) + pieces).to_string()
}

/// Only what is surely a web address becomes a link.
fn href(text: &str) -> Option<String> {
    let is_link = text.starts_with("https://") || text.starts_with("http://");
    is_link.then(|| text.to_owned())
}

/// Seconds of a duration as Go prints it; `None` if it is none.
fn seconds(go: &str) -> Option<f64> {
    let mut rest = go;
    let mut total = 0.0;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| c != '.' && !c.is_ascii_digit())?;
        let value: f64 = rest[..unit_at].parse().ok()?;
        let after = &rest[unit_at..];
        let unit_len = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        total += value
            * match &after[..unit_len] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
        rest = &after[unit_len..];
    }
    (!go.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::{href, seconds, table};
    use crate::report::samples;

    #[test]
    fn durations_sort_by_their_length() {
        for (go, expected) in [
            ("0s", Some(0.0)),
            ("851.373us", Some(0.000_851_373)),
            ("1m2.5s", Some(62.5)),
            ("2h0m3s", Some(7203.0)),
            ("", None),
            ("soon", None),
            ("12", None),
        ] {
            let found = seconds(go);
            let is_near = match (found, expected) {
                (Some(a), Some(b)) => f64::abs(a - b) < 1e-9,
                (a, b) => a == b,
            };
            assert!(is_near, "{go}: {found:?}");
        }
    }

    #[test]
    fn empty_columns_are_left_out() {
        let (rows, _) = samples::plain();
        let table = table(&rows);
        let names: Vec<_> = table.columns.iter().map(|column| column.name).collect();
        assert!(names.contains(&"files"));
        assert!(!names.contains(&"split pattern"));
        for line in &table.rows {
            assert_eq!(line.cells.len(), table.columns.len());
        }
    }

    #[test]
    fn only_web_addresses_are_links() {
        assert!(href("https://s3/x").is_some());
        for text in ["javascript:alert(1)", "s3.local/bucket/key", "HTTP:x", ""] {
            assert!(href(text).is_none(), "{text}");
        }
    }
}
