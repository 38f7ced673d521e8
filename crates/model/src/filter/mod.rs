//! What of a tree is left out: by name, by size and age, by file system. Users read the same in `docs/filters.md`.
//!
//! - `exclude` has the rules of a `.gitignore` that stands at the task's root. A line without a slash (but at its end)
//!   matches at any depth, one with a slash from the root on; a slash at the end means directories alone; `*`, `?` and
//!   `[…]` match no slash, `**` as a whole component matches any number of directories; `!` takes back what lines
//!   before it left out, so the last line that matches decides. A directory that is left out is not entered: nothing
//!   below it can be taken back.
//! - `include`, where it is given: what is no directory is kept only if a line matches it or a directory above it.
//!   Directories are walked and made all the same. `exclude` comes first.
//! - Limits of size and age concern regular files alone.
//!
//! Names are bytes, and `?` is one of them. Nothing here looks at a file system: [`Rules`] decide about values.

mod age;
mod class;
mod lines;
mod pattern;
mod rules;
mod size;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use age::{Age, BadAge};
pub use lines::BadLines;
pub use pattern::{BadPattern, PatternProblem};
pub use rules::{Above, BadFilter, EntryKind, Rules};
pub use size::{BadSize, Size};

/// What is left out, as it was written. By default nothing is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// Lines of a `.gitignore`, but that a `#` begins no comment.
    pub exclude: Vec<String>,
    /// The same, without `!`. None: everything is included.
    pub include: Vec<String>,
    /// Smaller files are left out.
    pub min_size_bytes: Option<u64>,
    /// Larger files are left out.
    pub max_size_bytes: Option<u64>,
    /// Files that were changed later than this ago are left out.
    pub min_age_secs: Option<u64>,
    /// Files that were changed earlier than this ago are left out.
    pub max_age_secs: Option<u64>,
    /// Directories on another file system than the task's root are left out.
    pub one_file_system: bool,
}

/// Whether a line is a pattern.
///
/// # Errors
/// What is wrong with it.
pub fn check_pattern(line: &str) -> Result<(), PatternProblem> {
    pattern::Pattern::parse(line).map(drop)
}

/// The lines of a file of patterns: without a byte-order mark, ends of lines in the manner of any system, blank lines
/// and comments (`#`; a pattern that begins so is written `\#`).
pub fn lines_of_file(text: &str) -> Vec<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.trim_matches(' ').is_empty())
        .map(str::to_owned)
        .collect()
}
