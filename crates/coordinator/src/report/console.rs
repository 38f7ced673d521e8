//! The table that `data-migrate run` prints at its end, fitted to the terminal.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::row::{Row, sort};
use super::{human, text};

const HEADER: [&str; 8] = [
    "id", "source", "target", "files", "bytes", "duration", "success", "message",
];
/// Columns that may be cut, and their shares of the room; the others are as wide as they need.
const ELASTIC: [(usize, usize); 3] = [(1, 1), (2, 1), (7, 2)];
/// Columns of which the end tells more than the beginning.
const KEEP_END: [usize; 2] = [1, 2];
const TO_THE_RIGHT: [usize; 3] = [3, 4, 5];
const GAP: &str = "  ";
/// An elastic column is never cut below this, even if lines get too long for the terminal.
const MIN_WIDTH: usize = 10;

/// Rows as a table of `width` columns of text, each line ended. Text that is too long is cut: paths
/// at their beginning, messages at their end.
pub fn console_table(rows: &[Row], width: usize) -> String {
    let mut rows = rows.to_vec();
    sort(&mut rows);
    let mut lines = vec![HEADER.map(str::to_owned)];
    lines.extend(rows.iter().map(cells));
    let widths = widths(&lines, width);
    let mut out = String::new();
    for line in &lines {
        let mut shown = String::new();
        for (column, cell) in line.iter().enumerate() {
            if column > 0 {
                shown.push_str(GAP);
            }
            shown.push_str(&fitted(cell, column, widths[column]));
        }
        out.push_str(shown.trim_end());
        out.push('\n');
    }
    out
}

fn cells(row: &Row) -> [String; 8] {
    [
        row.name(),
        text::visible(&row.source_dir),
        text::visible(&row.target_dir),
        human::count(row.files),
        human::bytes(row.bytes),
        text::visible(&row.duration),
        row.success.to_string(),
        text::visible(&row.message),
    ]
}

fn widths(lines: &[[String; 8]], total: usize) -> [usize; 8] {
    let mut widths = [0; 8];
    for line in lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.width());
        }
    }
    let gaps = GAP.len() * (widths.len() - 1);
    let rigid: usize = (0..widths.len())
        .filter(|column| ELASTIC.iter().all(|(elastic, _)| elastic != column))
        .map(|column| widths[column])
        .sum();
    let mut left = total.saturating_sub(gaps + rigid);
    // Those that need least first: what one leaves goes to the others.
    let mut elastic = ELASTIC;
    elastic.sort_by_key(|&(column, weight)| widths[column] / weight);
    let mut weights: usize = elastic.iter().map(|(_, weight)| weight).sum();
    for (column, weight) in elastic {
        let share = (left * weight / weights).max(MIN_WIDTH);
        widths[column] = widths[column].min(share);
        left = left.saturating_sub(widths[column]);
        weights -= weight;
    }
    widths
}

fn fitted(cell: &str, column: usize, width: usize) -> String {
    let cut = match cell.width() <= width {
        true => cell.to_owned(),
        false if KEEP_END.contains(&column) => {
            let end: Vec<char> = taken(cell.chars().rev(), width - 1);
            format!("…{}", end.into_iter().rev().collect::<String>())
        }
        false => {
            let start: String = taken(cell.chars(), width - 1).into_iter().collect();
            format!("{start}…")
        }
    };
    let pad = " ".repeat(width.saturating_sub(cut.width()));
    match TO_THE_RIGHT.contains(&column) {
        true => pad + &cut,
        false => cut + &pad,
    }
}

/// As many characters as fit.
fn taken(chars: impl Iterator<Item = char>, width: usize) -> Vec<char> {
    let mut used = 0;
    chars
        .take_while(|c| {
            used += c.width().unwrap_or(0);
            used <= width
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::console_table;
    use crate::report::samples;
    use unicode_width::UnicodeWidthStr;

    #[test]
    fn the_table_fits_its_terminal() {
        let (rows, _) = samples::hostile();
        for width in [100, 120, 200] {
            let table = console_table(&rows, width);
            for line in table.lines() {
                assert!(line.width() <= width, "{width}: {line}");
            }
            assert!(!table.contains('\u{202e}'));
        }
        samples::expect("console.txt", &console_table(&rows, 120));
        // Narrower than it can be: still a table.
        assert_eq!(console_table(&rows, 0).lines().count(), rows.len() + 1);
    }
}
