//! A filter made ready: what it says of one entry, from values alone.
//!
//! Whoever walks asks once for each directory what it means for what is in it ([`Rules::above`]), then for each entry.
//! So a listed path gets the same answer as on a walk from the root.

use super::Filter;
use super::lines::{BadLines, Lines};
use super::pattern::PatternProblem;
use crate::outcome::SkipReason;
use crate::path::RelPath;

/// A filter that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadFilter {
    #[error("exclude")]
    Exclude(#[source] BadLines),
    #[error("include")]
    Include(#[source] BadLines),
    #[error("the smallest size is larger than the largest, so no file has both")]
    Sizes,
    #[error("the lowest age is higher than the highest, so no file has both")]
    Ages,
}

/// What an entry is, as far as patterns tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    Directory,
    /// A regular file, a link or a special file.
    NoDirectory,
}

/// What a directory and those above it mean for what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Above {
    /// One is left out, and all below it with it.
    LeftOut,
    /// Each entry is looked at for itself.
    Kept,
    /// As [`Above::Kept`], and no line of `include` is needed any more.
    Included,
}

/// A [`Filter`], compiled.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    exclude: Option<Lines>,
    include: Option<Lines>,
    min_size_bytes: Option<u64>,
    max_size_bytes: Option<u64>,
    min_age_secs: Option<u64>,
    max_age_secs: Option<u64>,
    one_file_system: bool,
}

impl Rules {
    /// # Errors
    /// A line is no pattern, or no file could pass the limits.
    pub fn compile(filter: &Filter) -> Result<Self, BadFilter> {
        let crosses = |lowest: Option<u64>, highest: Option<u64>| {
            lowest.zip(highest).is_some_and(|(low, high)| low > high)
        };
        if crosses(filter.min_size_bytes, filter.max_size_bytes) {
            return Err(BadFilter::Sizes);
        }
        if crosses(filter.min_age_secs, filter.max_age_secs) {
            return Err(BadFilter::Ages);
        }
        let include = Lines::compile(&filter.include).map_err(BadFilter::Include)?;
        if let Some(line) = include.as_ref().and_then(Lines::first_that_takes_back) {
            let bad = PatternProblem::TakesBack.of(&filter.include[line]);
            return Err(BadFilter::Include(BadLines::Pattern(bad)));
        }
        Ok(Self {
            exclude: Lines::compile(&filter.exclude).map_err(BadFilter::Exclude)?,
            include,
            min_size_bytes: filter.min_size_bytes,
            max_size_bytes: filter.max_size_bytes,
            min_age_secs: filter.min_age_secs,
            max_age_secs: filter.max_age_secs,
            one_file_system: filter.one_file_system,
        })
    }

    /// Whether paths have to be looked at.
    pub fn has_patterns(&self) -> bool {
        self.exclude.is_some() || self.include.is_some()
    }

    /// Whether sizes or times of files have to be looked at.
    pub fn has_limits(&self) -> bool {
        self.min_size_bytes.is_some() || self.max_size_bytes.is_some() || self.has_ages()
    }

    /// Whether times of files have to be known.
    pub fn has_ages(&self) -> bool {
        self.min_age_secs.is_some() || self.max_age_secs.is_some()
    }

    /// Whether directories on another file system than the root are left out.
    pub fn is_one_file_system(&self) -> bool {
        self.one_file_system
    }

    /// What a directory means for what is in it.
    pub fn above(&self, directory: &RelPath) -> Above {
        let mut above = match self.include {
            Some(_) => Above::Kept,
            None => Above::Included,
        };
        if !self.has_patterns() {
            return above;
        }
        let path = directory.as_bytes();
        let ends = path.iter().enumerate().filter(|&(_, &byte)| byte == b'/');
        let ends = ends.map(|(end, _)| end).chain([path.len()]);
        for ancestor in ends.map(|end| &path[..end]).filter(|path| !path.is_empty()) {
            if matches(&self.exclude, ancestor, EntryKind::Directory) {
                return Above::LeftOut;
            }
            if matches(&self.include, ancestor, EntryKind::Directory) {
                above = Above::Included;
            }
        }
        above
    }

    /// Why an entry is left out by its name; `above` is what its directory means. None: it is kept.
    pub fn skips(&self, above: Above, path: &RelPath, kind: EntryKind) -> Option<SkipReason> {
        let path = path.as_bytes();
        if above == Above::LeftOut || matches(&self.exclude, path, kind) {
            return Some(SkipReason::Excluded);
        }
        let needs_line = above == Above::Kept && kind == EntryKind::NoDirectory;
        if needs_line && !matches(&self.include, path, kind) {
            return Some(SkipReason::NotIncluded);
        }
        None
    }

    /// Why a regular file is left out that has this size, and was modified so many seconds after 1970. A file of the
    /// future has the age 0; for what is not known there is no limit.
    pub fn skips_file(
        &self,
        bytes: Option<u64>,
        modified_secs: Option<i64>,
        now_secs: i64,
    ) -> Option<SkipReason> {
        let is_outside = |value: u64, lowest: Option<u64>, highest: Option<u64>| {
            lowest.is_some_and(|lowest| value < lowest)
                || highest.is_some_and(|highest| value > highest)
        };
        let age_secs = |secs: i64| u64::try_from(now_secs.saturating_sub(secs)).unwrap_or(0);
        if bytes.is_some_and(|n| is_outside(n, self.min_size_bytes, self.max_size_bytes)) {
            return Some(SkipReason::Size);
        }
        modified_secs
            .map(age_secs)
            .is_some_and(|age| is_outside(age, self.min_age_secs, self.max_age_secs))
            .then_some(SkipReason::Age)
    }
}

fn matches(lines: &Option<Lines>, path: &[u8], kind: EntryKind) -> bool {
    lines
        .as_ref()
        .is_some_and(|lines| lines.match_path(path, kind))
}
