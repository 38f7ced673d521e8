//! Several patterns, of which the last that matches decides.

use regex::bytes::{RegexSet, RegexSetBuilder};

use super::pattern::{BadPattern, Pattern};
use super::rules::EntryKind;

/// All patterns of a list together: they go with each item that is leased.
const MAX_BYTES: usize = 128 << 10;

/// Memory for them, compiled: enough for so many.
const MAX_COMPILED_BYTES: usize = 256 << 20;

/// Lines that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadLines {
    #[error(transparent)]
    Pattern(BadPattern),
    #[error("the patterns are too many or too long: together at most {} KiB", MAX_BYTES >> 10)]
    TooLarge,
}

#[derive(Debug, Clone)]
pub(crate) struct Lines {
    set: RegexSet,
    patterns: Vec<Pattern>,
}

impl Lines {
    /// `None` where there are none.
    pub(crate) fn compile(lines: &[String]) -> Result<Option<Self>, BadLines> {
        if lines.is_empty() {
            return Ok(None);
        }
        if lines.iter().map(String::len).sum::<usize>() > MAX_BYTES {
            return Err(BadLines::TooLarge);
        }
        let parse = |line: &String| Pattern::parse(line).map_err(|problem| problem.of(line));
        let patterns: Vec<Pattern> = lines
            .iter()
            .map(parse)
            .collect::<Result<_, _>>()
            .map_err(BadLines::Pattern)?;
        let set = RegexSetBuilder::new(patterns.iter().map(|pattern| &pattern.expression))
            .unicode(false)
            .dot_matches_new_line(true)
            .size_limit(MAX_COMPILED_BYTES)
            .build()
            .map_err(|_| BadLines::TooLarge)?;
        Ok(Some(Self { set, patterns }))
    }

    /// Which line, if any, begins with `!`.
    pub(crate) fn first_that_takes_back(&self) -> Option<usize> {
        self.patterns.iter().position(|pattern| pattern.takes_back)
    }

    /// Whether the last line that matches the path, alone and not by a directory above it, takes nothing back.
    pub(crate) fn match_path(&self, path: &[u8], kind: EntryKind) -> bool {
        let matched = self.set.matches(path);
        let is_meant =
            |pattern: &&Pattern| kind == EntryKind::Directory || !pattern.only_directories;
        let last = matched
            .iter()
            .rev()
            .map(|line| &self.patterns[line])
            .find(is_meant);
        last.is_some_and(|pattern| !pattern.takes_back)
    }
}
