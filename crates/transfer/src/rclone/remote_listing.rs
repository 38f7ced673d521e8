//! Reads what `rclone lsjson -R` prints, entry by entry as it comes, in bounded memory.
//!
//! rclone prints a JSON array, one object on a line. The closing bracket is the proof that it
//! came to its end: without it the listing is an error, so that an rclone that was killed never
//! looks like an empty or smaller remote. It is no proof that everything could be listed: a
//! directory that can't be read is left out, and only the exit code says so (tried with rclone
//! 1.60.1 and 1.75.2, exit code 6). A caller has to look at both.

use std::io::{self, BufRead, Read as _};
use std::ops::ControlFlow;

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Far above an entry with the longest path, so that what is no listing can't fill the memory.
const LONGEST_LINE_BYTES: u64 = 1 << 20;

/// A file or a directory of a remote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RemoteEntry {
    /// Relative to what was listed. Bytes that are no UTF-8 came to rclone's replacement (U+FFFD).
    pub(crate) path: String,
    /// In bytes. `None` for a directory, and for a file whose size the remote doesn't know.
    pub(crate) size: Option<u64>,
    pub(crate) is_dir: bool,
    /// Seconds since 1970, where it was asked for and is known.
    pub(crate) modified_secs: Option<i64>,
}

#[derive(Debug, thiserror::Error)]
pub enum ListingError {
    #[error("cannot read rclone's listing")]
    Read { source: io::Error },
    #[error("rclone's listing is cut off after {entries} entries")]
    CutOff { entries: u64 },
    #[error("line {line} of rclone's listing is longer than {LONGEST_LINE_BYTES} bytes")]
    TooLong { line: u64 },
    #[error("line {line} of rclone's listing is no entry")]
    NotAnEntry {
        line: u64,
        source: serde_json::Error,
    },
    #[error("line {line} of rclone's listing is outside of its array")]
    OutsideOfArray { line: u64 },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PrintedEntry {
    path: String,
    size: i64,
    is_dir: bool,
    #[serde(default)]
    mod_time: String,
}

/// Gives each entry to `each`, until that breaks off, which is no error.
pub(crate) fn read_entries(
    mut from: impl BufRead,
    mut each: impl FnMut(RemoteEntry) -> ControlFlow<()>,
) -> Result<(), ListingError> {
    let mut place = Place::Before;
    let mut bytes = Vec::new();
    let mut entries = 0;
    for line in 1.. {
        if !read_line(&mut from, &mut bytes, line)? {
            break;
        }
        let is_whole = bytes.ends_with(b"\n");
        let text = bytes.trim_ascii();
        place = match (place, text) {
            (same, b"") => same,
            (Place::Before, b"[") => Place::Inside,
            (Place::Inside, b"]") => Place::After,
            (Place::Inside, _) if !is_whole => break,
            (Place::Inside, _) => {
                let entry =
                    parse(text).map_err(|source| ListingError::NotAnEntry { line, source })?;
                entries += 1;
                if each(entry).is_break() {
                    return Ok(());
                }
                Place::Inside
            }
            (Place::Before | Place::After, _) => {
                return Err(ListingError::OutsideOfArray { line });
            }
        };
    }
    match place {
        Place::After => Ok(()),
        Place::Before | Place::Inside => Err(ListingError::CutOff { entries }),
    }
}

/// Where the reader is in the array.
#[derive(Clone, Copy)]
enum Place {
    Before,
    Inside,
    After,
}

/// Reads a line with its end; false at the end of the listing.
fn read_line(
    from: &mut impl BufRead,
    bytes: &mut Vec<u8>,
    line: u64,
) -> Result<bool, ListingError> {
    bytes.clear();
    let mut limited = from.take(LONGEST_LINE_BYTES);
    limited
        .read_until(b'\n', bytes)
        .map_err(|source| ListingError::Read { source })?;
    match limited.limit() == 0 && !bytes.ends_with(b"\n") {
        true => Err(ListingError::TooLong { line }),
        false => Ok(!bytes.is_empty()),
    }
}

fn parse(text: &[u8]) -> Result<RemoteEntry, serde_json::Error> {
    let object = text.strip_suffix(b",").unwrap_or(text);
    let printed: PrintedEntry = serde_json::from_slice(object)?;
    let size = u64::try_from(printed.size).ok();
    Ok(RemoteEntry {
        path: printed.path,
        // Some backends give directories a size of their own, which is not one of content.
        size: size.filter(|_| !printed.is_dir),
        is_dir: printed.is_dir,
        modified_secs: OffsetDateTime::parse(&printed.mod_time, &Rfc3339)
            .ok()
            .map(OffsetDateTime::unix_timestamp),
    })
}

#[cfg(test)]
mod tests {
    use std::io::{self, BufReader, Read};
    use std::ops::ControlFlow;

    use super::{ListingError, RemoteEntry, read_entries};

    const OF_1_60: &str = r#"[
{"Path":"a b","Name":"a b","Size":-1,"MimeType":"inode/directory","ModTime":"2026-11-24T19:43:19.273121913Z","IsDir":true},
{"Path":"bad\ufffd","Name":"bad\ufffd","Size":1,"MimeType":"application/octet-stream","ModTime":"2026-11-24T19:43:19.273121913Z","IsDir":false},
{"Path":"nl␊x","Name":"nl␊x","Size":1,"MimeType":"application/octet-stream","ModTime":"2026-11-24T19:43:19.281121913Z","IsDir":false},
{"Path":"a b/q\"uo\\te","Name":"q\"uo\\te","Size":3,"MimeType":"application/octet-stream","ModTime":"2026-11-24T19:43:19.273121913Z","IsDir":false},
{"Path":"a b/zz\u003c\u0026\u003e","Name":"zz\u003c\u0026\u003e","Size":-1,"MimeType":"application/octet-stream","ModTime":"2026-11-24T19:43:19.273121913Z","IsDir":false}
]
"#;
    const OF_1_75: &str = r#"[
{"Path":"a b","Name":"a b","Size":4096,"ModTime":"","IsDir":true},
{"Path":"a b/q\"uo\\te","Name":"q\"uo\\te","Size":3,"ModTime":"","IsDir":false}
]
"#;

    fn read(text: &str) -> (Vec<RemoteEntry>, Result<(), ListingError>) {
        let mut entries = Vec::new();
        let result = read_entries(BufReader::with_capacity(7, text.as_bytes()), |entry| {
            entries.push(entry);
            ControlFlow::Continue(())
        });
        (entries, result)
    }

    fn entry(path: &str, size: Option<u64>, is_dir: bool) -> RemoteEntry {
        let path = path.to_owned();
        RemoteEntry {
            path,
            size,
            is_dir,
            modified_secs: None,
        }
    }

    #[test]
    fn entries_are_read_as_both_versions_print_them() {
        let of_1_60 = [
            entry("a b", None, true),
            entry("bad\u{fffd}", Some(1), false),
            entry("nl␊x", Some(1), false),
            entry("a b/q\"uo\\te", Some(3), false),
            entry("a b/zz<&>", None, false),
        ];
        let of_1_75 = [
            entry("a b", None, true),
            entry("a b/q\"uo\\te", Some(3), false),
        ];
        for (printed, expected) in [
            (OF_1_60, &of_1_60[..]),
            (OF_1_75, &of_1_75),
            ("[\n]\n", &[]),
            ("[\n]", &[]),
        ] {
            let (mut entries, result) = read(printed);
            result.unwrap();
            for entry in &mut entries {
                let modified = entry.modified_secs.take();
                assert_eq!(modified, printed.contains("2026").then_some(1_795_549_399));
            }
            assert_eq!(entries, expected);
        }
    }

    #[test]
    fn times_have_the_zone_that_rclone_gives_them() {
        for (time, secs) in [
            ("1970-01-01T00:00:01Z", Some(1)),
            ("1970-01-01T08:00:01.5+08:00", Some(1)),
            ("1969-12-31T23:59:59Z", Some(-1)),
            ("", None),
            ("yesterday", None),
        ] {
            let text = format!(
                "[\n{{\"Path\":\"a\",\"Size\":1,\"ModTime\":\"{time}\",\"IsDir\":false}}\n]\n"
            );
            let (entries, result) = read(&text);
            result.unwrap();
            assert_eq!(entries[0].modified_secs, secs, "{time}");
        }
    }

    #[test]
    fn a_listing_that_is_cut_off_anywhere_is_an_error() {
        for (end, _) in OF_1_60.char_indices() {
            let cut = &OF_1_60[..end];
            if cut.ends_with("\n]") {
                continue;
            }
            let (_, result) = read(cut);
            assert!(matches!(result, Err(ListingError::CutOff { .. })), "{cut}");
        }
    }

    #[test]
    fn what_is_no_listing_is_an_error() {
        for (printed, message) in [
            ("", "rclone's listing is cut off after 0 entries"),
            ("[\n", "rclone's listing is cut off after 0 entries"),
            (
                "oops\n",
                "line 1 of rclone's listing is outside of its array",
            ),
            (
                "[\n]\n[\n]\n",
                "line 3 of rclone's listing is outside of its array",
            ),
            ("[\noops\n]\n", "line 2 of rclone's listing is no entry"),
            (
                "[\n{\"Path\":\"a\"}\n]\n",
                "line 2 of rclone's listing is no entry",
            ),
        ] {
            let (entries, result) = read(printed);
            assert_eq!(result.unwrap_err().to_string(), message, "{printed:?}");
            assert_eq!(entries, []);
        }
    }

    #[test]
    fn memory_is_bounded_by_the_longest_line() {
        let endless = BufReader::new("[\n".as_bytes().chain(io::repeat(b'x')));
        let result = read_entries(endless, |_| ControlFlow::Continue(()));
        assert!(matches!(result, Err(ListingError::TooLong { line: 2 })));
    }

    #[test]
    fn the_reader_stops_when_it_is_told_to() {
        let mut seen = 0;
        let cut = &OF_1_60[..OF_1_60.len() - 2];
        let result = read_entries(cut.as_bytes(), |_| {
            seen += 1;
            ControlFlow::Break(())
        });
        result.unwrap();
        assert_eq!(seen, 1);
    }
}
