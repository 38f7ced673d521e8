//! What a list can tell rclone.
//!
//! `--files-from-raw` has a name a line, and rclone translates some characters that its backends can't hold into others
//! and back. A name that would come out as another one, or whose log lines would name another one, is copied by our own code.

use model::RelPath;

/// rclone adds up to 25 characters to the name of a file that is not finished.
const MAX_NAME_BYTES: usize = 255 - 25;

/// What is wrong with other names.
pub(crate) const NOT_LISTABLE: &str = "rclone can't be told of this name in a list: it has bytes that are no UTF-8, a \
                                       control character, or one that rclone translates";

/// Whether rclone takes the path for what it is, in a list and in its log.
pub(crate) fn can_be_listed(path: &RelPath) -> bool {
    let Ok(text) = std::str::from_utf8(path.as_bytes()) else {
        return false;
    };
    !text.chars().any(is_translated) && path.components().all(|name| name.len() <= MAX_NAME_BYTES)
}

/// Control characters (a line break ends the name), and the characters that rclone writes for others: symbols for
/// control characters, full-width forms of slash, full stop and others, and the mark that quotes those.
fn is_translated(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2400}'..='\u{2426}' | '\u{ff00}'..='\u{ffef}' | '\u{201b}' | '\u{fffd}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::can_be_listed;
    use model::RelPath;

    #[test]
    fn only_names_that_come_back_as_they_are_go_into_a_list() {
        for (path, can) in [
            (&b"a/b c"[..], true),
            (b"  leading and trailing ", true),
            (b"#;-:*?[]{}\"'$\\`", true),
            ("grüße/日本".as_bytes(), true),
            (b"two\nlines", false),
            (b"a\r", false),
            (b"tab\there", false),
            (b"\xff", false),
            ("␊".as_bytes(), false),
            ("／".as_bytes(), false),
            ("‛".as_bytes(), false),
            (b"\x7f", false),
        ] {
            let path = RelPath::new(path.to_vec()).unwrap();
            assert_eq!(can_be_listed(&path), can, "{path}");
        }
        assert!(!can_be_listed(&RelPath::new("x".repeat(240)).unwrap()));
    }
}
