//! Columns of a line: separated by white space, or quoted.
//!
//! A column is quoted when it begins and ends with the same quote, `'` or `"`. All other quotes,
//! and all backslashes, are literal: file names contain them.

/// The columns of a line, without the quotes around them.
pub(crate) fn columns(line: &[u8]) -> Vec<&[u8]> {
    let mut columns = Vec::new();
    let mut rest = line.trim_ascii();
    while !rest.is_empty() {
        let (column, after) = match quoted_end(rest) {
            Some(end) => (&rest[1..end], &rest[end + 1..]),
            None => {
                let end = rest.iter().position(is_blank).unwrap_or(rest.len());
                rest.split_at(end)
            }
        };
        columns.push(column);
        rest = after.trim_ascii_start();
    }
    columns
}

fn is_blank(byte: &u8) -> bool {
    byte.is_ascii_whitespace()
}

/// Where the quote is that ends the quoted column at the beginning of `text`; `None` when
/// there is no such column.
fn quoted_end(text: &[u8]) -> Option<usize> {
    let quote = *text.first().filter(|b| matches!(b, b'\'' | b'"'))?;
    (1..text.len()).find(|&at| text[at] == quote && text.get(at + 1).is_none_or(is_blank))
}

#[cfg(test)]
mod tests {
    use super::columns;

    #[test]
    fn only_quotes_around_a_column_are_quotes() {
        for (line, expected) in [
            ("/a /b", &["/a", "/b"][..]),
            ("  /a\t \t/b\r", &["/a", "/b"]),
            ("\"/a b\" '/c d'", &["/a b", "/c d"]),
            ("\"/a'b c\" /d", &["/a'b c", "/d"]),
            ("\"/a\"b c\" /d", &["/a\"b c", "/d"]),
            ("/a\"b /c'd", &["/a\"b", "/c'd"]),
            ("/a\\ /b", &["/a\\", "/b"]),
            ("\"/a /b", &["\"/a", "/b"]),
            ("\"/a /b'", &["\"/a", "/b'"]),
            ("\"\" /b", &["", "/b"]),
            ("\"", &["\""]),
            ("/mnt#a#.txt /b#", &["/mnt#a#.txt", "/b#"]),
        ] {
            let found: Vec<&str> = columns(line.as_bytes())
                .into_iter()
                .map(|column| std::str::from_utf8(column).unwrap())
                .collect();
            assert_eq!(found, expected, "{line}");
        }
    }
}
