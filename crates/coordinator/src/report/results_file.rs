//! `data_migrate_results.csv`: a row for each task that ended, appended over runs, for whoever
//! watches a run with `tail -f` or collects results with a script.
//!
//! A row is appended with one write and synced before [`ResultsFile::append`] returns. What a
//! crash left of a row is taken out when the file is opened, so no row is ever glued to
//! another. The server remembers in its store which rows it has appended; for a crash just
//! between the two, it asks [`ResultsFile::contains`] before it appends a row again.
//!
//! The file may lie in `/tmp`, where others can prepare traps: a link, a file with a second
//! name or somebody else's file is never written to, but moved aside.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::appending::{
    append_line, aside, ends_with_newline, is_link, open_existing, take_out, trap,
};
use super::atomic::{create_new, directory_of, sync_directory_of};
use super::row::{HEADER, LOG_FILE, Row, csv_line};
use super::{ReportError, scan};
use crate::store::Millis;

/// Name of the file in the working directory, else in `/tmp`.
pub const NAME: &str = "data_migrate_results.csv";

/// Rows at the end of the file that [`ResultsFile::contains`] looks at.
const TAIL: usize = 1000;
/// By how much a file's time may lie before that of a row in it: file systems keep coarse times.
const COARSE_MS: Millis = 2000;

/// What the user should be told about opening the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remark {
    /// It is in another directory than wanted.
    Elsewhere { path: PathBuf, why: String },
    /// Something else was in its place.
    MovedAside { to: PathBuf, why: &'static str },
    /// What a crash left of a row was taken out and kept.
    TornRow { kept_in: PathBuf },
}

impl std::fmt::Display for Remark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Remark::Elsewhere { path, why } => {
                write!(f, "results are kept in {}: {why}", path.display())
            }
            Remark::MovedAside { to, why } => {
                write!(f, "a {NAME} that {why} was moved to {}", to.display())
            }
            Remark::TornRow { kept_in } => write!(
                f,
                "an unfinished row at the end of {NAME} was moved to {}",
                kept_in.display()
            ),
        }
    }
}

/// The open file.
#[derive(Debug)]
pub struct ResultsFile {
    path: PathBuf,
    file: File,
    /// When it was last changed before it was opened.
    modified: Millis,
    /// Its last rows when it was opened.
    found: VecDeque<Vec<String>>,
    /// The last rows that were appended since.
    appended: VecDeque<Vec<String>>,
}

impl ResultsFile {
    /// Opens or creates the file in the working directory, else in `/tmp`.
    pub fn open(working_dir: &Path) -> Result<(Self, Vec<Remark>), ReportError> {
        Self::open_in_either(working_dir, Path::new("/tmp"))
    }

    fn open_in_either(first: &Path, second: &Path) -> Result<(Self, Vec<Remark>), ReportError> {
        let refused = match open_in(first) {
            Ok(opened) => return Ok(opened),
            Err(error) => error,
        };
        let (file, mut remarks) = open_in(second)?;
        let cause = std::error::Error::source(&refused).map(|cause| format!(": {cause}"));
        remarks.insert(
            0,
            Remark::Elsewhere {
                path: file.path.clone(),
                why: format!("{refused}{}", cause.unwrap_or_default()),
            },
        );
        Ok((file, remarks))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the row of a task that ended at `finished` is there already: among the last 1,000 rows
    /// found when the file was opened, or appended since. `log file` is not compared, since
    /// links change. Rows of a file that was last changed before `finished` are those of
    /// earlier runs, however equal.
    pub fn contains(&self, row: &Row, finished: Millis) -> bool {
        let cells = without_log_file(row.cells().to_vec());
        let may_be_found = self.modified + COARSE_MS >= finished;
        self.appended.contains(&cells) || (may_be_found && self.found.contains(&cells))
    }

    /// None of the rows found is of this run: it is a new one.
    pub fn forget_found(&mut self) {
        self.found.clear();
    }

    /// Appends a row; when this returns, it is on disk. When it fails, nothing of the row is left.
    /// A file that was moved away since is begun anew.
    pub fn append(&mut self, row: &Row) -> Result<(), ReportError> {
        if !self.is_in_place() {
            self.reopen()?;
        }
        let cells = row.cells();
        append_line(&mut self.file, &csv_line(&cells))
            .map_err(ReportError::file("append a row to", &self.path))?;
        remember(&mut self.appended, without_log_file(cells.to_vec()));
        Ok(())
    }

    /// Whether the path still leads to the open file and the file ends with a whole row.
    fn is_in_place(&self) -> bool {
        let (Ok(open), Ok(there)) = (self.file.metadata(), self.path.symlink_metadata()) else {
            return false;
        };
        (open.dev(), open.ino()) == (there.dev(), there.ino()) && ends_with_newline(&self.file)
    }

    fn reopen(&mut self) -> Result<(), ReportError> {
        let (new, remarks) = open_in(directory_of(&self.path))?;
        tracing::warn!(path = %self.path.display(), "the results file was changed by somebody else and opened again");
        for remark in remarks {
            tracing::warn!("{remark}");
        }
        self.file = new.file;
        Ok(())
    }
}

fn open_in(dir: &Path) -> Result<(ResultsFile, Vec<Remark>), ReportError> {
    let path = dir.join(NAME);
    let mut remarks = Vec::new();
    // Again after something in the way was moved aside, or came into being just now.
    for _ in 0..3 {
        let why = match open_or_create(&path)? {
            Opened::File(mut file) => match adopt(&mut file, &path, dir, &mut remarks)? {
                Adopted::Whole { modified, rows } => {
                    let opened = ResultsFile {
                        path,
                        file,
                        modified,
                        found: rows,
                        appended: VecDeque::new(),
                    };
                    return Ok((opened, remarks));
                }
                Adopted::NotOurs(why) => why,
            },
            Opened::Link => "is a link",
            Opened::Raced => continue,
        };
        let to = aside(&path, "");
        std::fs::rename(&path, &to).map_err(ReportError::file("move aside", &path))?;
        remarks.push(Remark::MovedAside { to, why });
    }
    Err(ReportError::file("open", &path)(io::Error::other(
        "somebody else keeps putting something in its place",
    )))
}

enum Opened {
    File(File),
    /// A link is in its place.
    Link,
    /// Somebody else created it in between.
    Raced,
}

fn open_or_create(path: &Path) -> Result<Opened, ReportError> {
    let error = match open_existing(path) {
        Ok(file) => return Ok(Opened::File(file)),
        Err(error) => error,
    };
    if is_link(path) {
        return Ok(Opened::Link);
    }
    if error.kind() != io::ErrorKind::NotFound {
        return Err(ReportError::file("open", path)(error));
    }
    match create_new(path) {
        Ok(file) => Ok(Opened::File(file)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Opened::Raced),
        Err(error) => Err(ReportError::file("create", path)(error)),
    }
}

enum Adopted {
    /// Ready to be appended to.
    Whole {
        modified: Millis,
        rows: VecDeque<Vec<String>>,
    },
    NotOurs(&'static str),
}

/// Checks an open file, begins an empty one and takes a torn row out.
fn adopt(
    file: &mut File,
    path: &Path,
    dir: &Path,
    remarks: &mut Vec<Remark>,
) -> Result<Adopted, ReportError> {
    let meta = file
        .metadata()
        .map_err(ReportError::file("look at", path))?;
    let dir_meta = dir.metadata().map_err(ReportError::file("look at", dir))?;
    if let Some(why) = trap(&meta, &dir_meta) {
        return Ok(Adopted::NotOurs(why));
    }
    if meta.len() == 0 {
        append_line(file, &csv_line(&HEADER))
            .and_then(|()| sync_directory_of(path))
            .map_err(ReportError::file("begin", path))?;
    }
    let scan = scan::scan(file, TAIL).map_err(ReportError::file("read", path))?;
    if scan.header.as_deref().is_none_or(|header| header != HEADER) {
        return Ok(Adopted::NotOurs("has other columns"));
    }
    let mut rows = VecDeque::new();
    for cells in scan.rows {
        remember(&mut rows, without_log_file(cells));
    }
    match scan.rest.as_slice() {
        [] => {}
        rest => match scan::only_lacks_its_end(rest) {
            Some(cells) => {
                append_line(file, b"\n").map_err(ReportError::file("complete", path))?;
                remember(&mut rows, without_log_file(cells));
            }
            None => {
                let kept_in = aside(path, ".torn");
                take_out(file, scan.whole_len, rest, &kept_in)
                    .map_err(ReportError::file("take a torn row out of", path))?;
                remarks.push(Remark::TornRow { kept_in });
            }
        },
    }
    Ok(Adopted::Whole {
        modified: meta.mtime() * 1000 + meta.mtime_nsec() / 1_000_000,
        rows,
    })
}

fn remember(rows: &mut VecDeque<Vec<String>>, row: Vec<String>) {
    if rows.len() == TAIL {
        rows.pop_front();
    }
    rows.push_back(row);
}

fn without_log_file(mut cells: Vec<String>) -> Vec<String> {
    if let Some(cell) = cells.get_mut(LOG_FILE) {
        cell.clear();
    }
    cells
}

#[cfg(test)]
#[path = "results_file_tests.rs"]
mod tests;
