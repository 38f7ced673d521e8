//! File lists: the paths below its source that a task asks for.
//!
//! A list has one path a line; one that contains NUL anywhere has its paths between NULs, byte
//! for byte. Nothing is lost on the way: each entry becomes a path, a duplicate that is counted,
//! or a refusal with its name. What an entry is, only the worker that looks it up can know.
//!
//! What the server keeps is the normal form: sorted paths, a NUL after each, the root empty.

use crate::path::{Escaped, InvalidPath, RelPath};

/// An entry that can't be a path below the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Line of the list, or number of the entry in a list with NULs; from 1.
    pub line: u64,
    /// As written, trimmed.
    pub text: Vec<u8>,
    pub reason: InvalidPath,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let reason = match self.reason {
            InvalidPath::Component => "leaves the source by '..', expected a path below it",
            InvalidPath::Absolute => "is absolute, expected a path below the source",
            InvalidPath::Nul => "contains a NUL byte, expected a path",
        };
        write!(f, "line {}: '{}' {reason}", self.line, Escaped(&self.text))
    }
}

/// A list in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileList {
    /// Sorted by bytes, each once. The root is among them when an entry asks for it.
    pub paths: Vec<RelPath>,
    /// How many of `paths` may be patterns: see [`is_pattern`].
    pub patterns: u64,
    pub refused: Vec<Refused>,
    /// Entries that repeat another one.
    pub duplicates: u64,
}

/// The entries of a list in the order written, one at a time; takes no memory of its own.
pub fn entries(bytes: &[u8]) -> Entries<'_> {
    let is_exact = bytes.contains(&0);
    let rest = match is_exact {
        true => bytes,
        false => bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes),
    };
    Entries {
        rest: Some(rest),
        is_exact,
        line: 0,
    }
}

/// See [`entries`].
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    rest: Option<&'a [u8]>,
    is_exact: bool,
    line: u64,
}

impl Iterator for Entries<'_> {
    type Item = Result<RelPath, Refused>;

    fn next(&mut self) -> Option<Self::Item> {
        let separator = if self.is_exact { 0 } else { b'\n' };
        loop {
            let rest = self.rest?;
            let end = rest.iter().position(|&b| b == separator);
            let written = &rest[..end.unwrap_or(rest.len())];
            self.rest = end.map(|end| &rest[end + 1..]);
            self.line += 1;
            let text = match self.is_exact {
                true => written,
                false => written.trim_ascii(),
            };
            if !text.is_empty() {
                return Some(RelPath::normalised(text).map_err(|reason| Refused {
                    line: self.line,
                    text: text.to_vec(),
                    reason,
                }));
            }
        }
    }
}

/// Reads a whole list and brings it in order.
pub fn normalise(bytes: &[u8]) -> FileList {
    let mut list = FileList::default();
    for entry in entries(bytes) {
        match entry {
            Ok(path) => list.paths.push(path),
            Err(refused) => list.refused.push(refused),
        }
    }
    let listed = list.paths.len();
    // By component, so that what lies below a listed directory follows it at once.
    list.paths
        .sort_unstable_by(|a, b| a.components().cmp(b.components()));
    list.paths.dedup();
    list.duplicates = (listed - list.paths.len()) as u64;
    list.patterns = list.paths.iter().filter(|path| is_pattern(path)).count() as u64;
    list
}

/// Whether an entry that does not exist literally is to be expanded.
pub fn is_pattern(path: &RelPath) -> bool {
    path.as_bytes()
        .iter()
        .any(|byte| matches!(byte, b'*' | b'?' | b'[' | b'{'))
}

/// The normal form of some paths.
pub fn encode<'a>(paths: impl IntoIterator<Item = &'a RelPath>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for path in paths {
        bytes.extend_from_slice(path.as_bytes());
        bytes.push(0);
    }
    bytes
}

/// A piece that is not in the normal form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPiece {
    #[error("the piece of the file list ends within a path, expected NUL after each")]
    Cut,
    #[error("entry {number} of the piece of the file list is no path below the source")]
    Path { number: usize, source: InvalidPath },
}

/// The paths of a piece of the normal form, which begins and ends at the bounds of paths.
pub fn decode(piece: &[u8]) -> Result<Vec<RelPath>, InvalidPiece> {
    let Some((last, paths)) = piece.split_last() else {
        return Ok(Vec::new());
    };
    if *last != 0 {
        return Err(InvalidPiece::Cut);
    }
    paths
        .split(|&b| b == 0)
        .enumerate()
        .map(|(index, path)| {
            RelPath::new(path).map_err(|source| InvalidPiece::Path {
                number: index + 1,
                source,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};

    use super::{InvalidPiece, decode, encode, entries, normalise};
    use crate::path::{InvalidPath, RelPath};

    fn texts(paths: &[RelPath]) -> Vec<&[u8]> {
        paths.iter().map(RelPath::as_bytes).collect()
    }

    #[test]
    fn what_old_lists_hold_is_understood() {
        for (written, expected) in [
            (&b""[..], &[][..]),
            (b"\n \r\n\t\n", &[]),
            (b"b\na\n", &[&b"a"[..], b"b"]),
            (b" /a/b/ \r\n", &[b"a/b"]),
            (b"\xef\xbb\xbfa\n", &[b"a"]),
            (b"#a\na #b", &[b"#a", b"a #b"]),
            (b"./a//b/.\na/x/../b", &[b"a/b"]),
            (b"/", &[b""]),
            (b"2024*\n\xff", &[b"2024*", b"\xff"]),
            (
                b"a \0b\n\0\0\xef\xbb\xbfc",
                &[b"a ", b"b\n", b"\xef\xbb\xbfc"],
            ),
            (b"a\r\0", &[b"a\r"]),
        ] {
            let list = normalise(written);
            assert_eq!(texts(&list.paths), expected, "{written:?}");
            assert_eq!(list.refused, []);
        }
    }

    #[test]
    fn nothing_of_a_list_is_lost() {
        let list = normalise(b"a\n\n../x\na/\nb*\n a \nc/../../d\n");
        assert_eq!(texts(&list.paths), [&b"a"[..], b"b*"]);
        assert_eq!((list.duplicates, list.patterns), (2, 1));
        let refused: Vec<String> = list.refused.iter().map(ToString::to_string).collect();
        assert_eq!(
            refused,
            [
                "line 3: '../x' leaves the source by '..', expected a path below it",
                "line 7: 'c/../../d' leaves the source by '..', expected a path below it",
            ]
        );
    }

    #[test]
    fn what_lies_below_a_listed_directory_follows_it() {
        let list = normalise(b"b\na/b\na!\na\na/b/c");
        let order: Vec<&[u8]> = list.paths.iter().map(RelPath::as_bytes).collect();
        assert_eq!(order, [&b"a"[..], b"a/b", b"a/b/c", b"a!", b"b"]);
    }

    #[test]
    fn a_damaged_piece_is_refused() {
        let source = InvalidPath::Component;
        for (piece, expected) in [
            (&b"a"[..], InvalidPiece::Cut),
            (b"a\0../b\0", InvalidPiece::Path { number: 2, source }),
            (b"a//b\0", InvalidPiece::Path { number: 1, source }),
        ] {
            assert_eq!(decode(piece), Err(expected), "{piece:?}");
        }
        assert_eq!(decode(b""), Ok(vec![]));
        assert_eq!(decode(b"\0"), Ok(vec![RelPath::ROOT]));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_list_is_accounted_for_and_reads_back(
            bytes in proptest::collection::vec(
                proptest::sample::select(&b"ab/.\n \r*\xff\x00"[..]), 0..60),
            noise in any::<Vec<u8>>(),
        ) {
            for bytes in [bytes, noise] {
                let list = normalise(&bytes);
                let total = list.paths.len() + list.refused.len() + list.duplicates as usize;
                prop_assert_eq!(entries(&bytes).count(), total);
                prop_assert!(list.paths.is_sorted_by(|a, b| a.components().le(b.components())));
                prop_assert_eq!(decode(&encode(&list.paths)), Ok(list.paths));
                let _ = decode(&bytes);
            }
        }
    }
}
