//! One line of a `.gitignore`, turned into a regular expression over the bytes of a path below the root.
//!
//! The rules are those of git's `wildmatch` with slashes told apart; `tests/gitignore.rs` asks git itself. Lines that
//! git takes for patterns that never match are refused here, with what is wrong: who wrote them meant something.

use super::class;
use crate::path::Escaped;

/// A line that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the pattern '{}' {problem}", Escaped(.line.as_bytes()))]
pub struct BadPattern {
    pub line: String,
    pub problem: PatternProblem,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternProblem {
    #[error("is empty")]
    Empty,
    #[error("has a NUL byte, which no name has")]
    Nul,
    #[error("has an empty, '.' or '..' component, which no path below the root has")]
    Component,
    #[error("ends with a backslash, expected the character that it is to take the meaning from")]
    DanglingBackslash,
    #[error("has a backslash before a slash, which has no other meaning to be taken")]
    EscapedSlash,
    #[error("has a '[' without its ']'; a '[' in a name is written \\[")]
    UnclosedClass,
    #[error("has an unknown class of characters, expected one such as [:digit:]")]
    UnknownClass,
    #[error("has a range that ends before it begins")]
    ReversedRange,
    #[error("has a character beyond ASCII within [ ], where bytes are matched one by one")]
    NotAscii,
    #[error(
        "begins with '!', but nothing can be taken back there: use exclude, or \\! for the character"
    )]
    TakesBack,
}

impl PatternProblem {
    pub(crate) fn of(self, line: &str) -> BadPattern {
        BadPattern {
            line: line.to_owned(),
            problem: self,
        }
    }
}

/// One line, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// What the whole path of an entry must match.
    pub(crate) expression: String,
    /// It matches directories alone.
    pub(crate) only_directories: bool,
    /// What it matches is kept.
    pub(crate) takes_back: bool,
}

impl Pattern {
    pub(crate) fn parse(line: &str) -> Result<Self, PatternProblem> {
        let trimmed = without_blanks_at_end(line);
        let (takes_back, rest) = match trimmed.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, trimmed),
        };
        let (only_directories, rest) = match rest.strip_suffix('/') {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let is_anchored = rest.contains('/');
        let body = rest.strip_prefix('/').unwrap_or(rest);
        if body.is_empty() {
            return Err(PatternProblem::Empty);
        }
        if body.contains('\0') {
            return Err(PatternProblem::Nul);
        }
        if body.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(PatternProblem::Component);
        }
        Ok(Self {
            expression: expression(body, is_anchored)?,
            only_directories,
            takes_back,
        })
    }
}

/// Blanks at the end don't count, unless a backslash stands before them.
fn without_blanks_at_end(line: &str) -> &str {
    let trimmed = line.trim_end_matches(' ');
    let backslashes = trimmed.len() - trimmed.trim_end_matches('\\').len();
    match backslashes % 2 == 1 && trimmed.len() < line.len() {
        true => &line[..=trimmed.len()],
        false => trimmed,
    }
}

fn expression(body: &str, is_anchored: bool) -> Result<String, PatternProblem> {
    let mut expression = String::from(match is_anchored {
        true => "^",
        false => "^(?:.*/)?",
    });
    let mut rest = body;
    while let Some(first) = rest.chars().next() {
        let after = &rest[first.len_utf8()..];
        rest = match first {
            '*' => stars(&body[..body.len() - rest.len()], rest, &mut expression),
            '?' => {
                expression.push_str("[^/]");
                after
            }
            '[' => class::translate(after, &mut expression)?,
            '\\' => {
                let escaped = after.chars().next();
                let escaped = escaped.ok_or(PatternProblem::DanglingBackslash)?;
                if escaped == '/' {
                    return Err(PatternProblem::EscapedSlash);
                }
                push_literal(escaped, &mut expression);
                &after[escaped.len_utf8()..]
            }
            literal => {
                push_literal(literal, &mut expression);
                after
            }
        };
    }
    expression.push('$');
    Ok(expression)
}

/// One star or several, at the beginning of `rest`; returns what is behind them.
fn stars<'a>(before: &str, rest: &'a str, expression: &mut String) -> &'a str {
    let after = rest.trim_start_matches('*');
    let begins_component = before.is_empty() || before.ends_with('/');
    let ends_component = after.is_empty() || after.starts_with('/');
    if rest.len() - after.len() < 2 || !begins_component || !ends_component {
        expression.push_str("[^/]*");
        return after;
    }
    match after.strip_prefix('/') {
        Some(below) => {
            expression.push_str("(?:.*/)?");
            below
        }
        None => {
            // All there is: where the pattern has no slash, it matches any name.
            expression.push_str(".*");
            after
        }
    }
}

fn push_literal(literal: char, expression: &mut String) {
    expression.push_str(&regex::escape(literal.encode_utf8(&mut [0; 4])));
}
