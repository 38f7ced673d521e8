//! Text from names of files, workers and errors, made fit to be shown: it stays on its line
//! and reads in the order in which it is written. Paths come here already escaped by
//! `model::path`, so a backslash is left as it is.

/// Line breaks and control characters as escapes: for csv, where all else is kept.
pub(super) fn one_line(text: &str) -> String {
    escaped(text, |c| c.is_control() || is_line_separator(c))
}

/// Also the characters that turn the direction of what follows, or that nobody sees: for what people read.
pub(super) fn visible(text: &str) -> String {
    escaped(text, |c| {
        c.is_control() || is_line_separator(c) || is_deceptive(c)
    })
}

fn is_line_separator(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

/// Bidirectional controls, zero-width characters and the byte-order mark.
fn is_deceptive(c: char) -> bool {
    matches!(c,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn escaped(text: &str, is_hidden: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_hidden(c) => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{one_line, visible};

    #[test]
    fn nothing_breaks_a_line_or_turns_it_round() {
        let text = "a\nb\t\u{1b}[31m \u{2028} \u{202e}gpj.exe é";
        assert_eq!(
            one_line(text),
            "a\\nb\\t\\u{1b}[31m \\u{2028} \u{202e}gpj.exe é"
        );
        assert_eq!(
            visible(text),
            "a\\nb\\t\\u{1b}[31m \\u{2028} \\u{202e}gpj.exe é"
        );
    }
}
