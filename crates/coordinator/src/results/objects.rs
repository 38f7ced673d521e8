//! What of a run's results is uploaded, and how the results name it.
//!
//! A task's log and list are put into the outbox before its rows count as written, the report before it has its name
//! in the data directory: after a crash in between they are put in again, never left out.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

use flate2::read::GzDecoder;

use super::{FinishedTask, Results, pieces};
use crate::plan::StoredList;
use crate::report::{Link, Row};
use crate::store::ItemRecord;
use crate::uploads::Key;

impl Results {
    /// Puts the task's logs and list into the outbox.
    pub(super) fn upload(&self, task: &FinishedTask) -> io::Result<()> {
        self.uploads
            .put_file(&self.log_key(task), &self.log_of(task))?;
        for (n, piece) in (1..).zip(pieces(task)) {
            if let Some(log) = task.item_logs.get(&piece.item.id) {
                self.uploads
                    .put(&self.piece_log_key(task, n), |out| unpack_log(log, out))?;
            }
        }
        if let Some(list) = &task.list {
            self.uploads
                .put(&self.list_key(task), |out| write_list(list, out))?;
        }
        Ok(())
    }

    /// Puts a report into the outbox, unless `path`, where it will be, says that it was put in before.
    pub(super) fn upload_report(&self, name: &str, report: &[u8], path: &Path) -> io::Result<()> {
        match path.exists() {
            true => Ok(()),
            false => self
                .uploads
                .put(&Key::report(name), |out| out.write_all(report)),
        }
    }

    /// Where the task's log is, for the results: in the bucket, else here.
    pub(super) fn log_address(&self, task: &FinishedTask) -> String {
        self.uploads
            .address_of(&self.log_key(task))
            .unwrap_or_else(|| self.log_of(task).display().to_string())
    }

    pub(super) fn log_link(&self, task: &FinishedTask) -> Option<Link> {
        self.uploads.link_to(&self.log_key(task))
    }

    /// Where the log of a task's n-th piece is, for the results, and what opens it; none if it sent none.
    pub(super) fn piece_log(
        &self,
        task: &FinishedTask,
        n: u32,
        piece: &ItemRecord,
    ) -> Option<(String, Option<Link>)> {
        let log = task.item_logs.get(&piece.item.id)?;
        let key = self.piece_log_key(task, n);
        let address = self.uploads.address_of(&key);
        let address = address.unwrap_or_else(|| log.display().to_string());
        Some((address, self.uploads.link_to(&key)))
    }

    pub(super) fn report_link(&self, name: &str) -> Option<Link> {
        self.uploads.link_to(&Key::report(name))
    }

    /// The key of the task's list, where it has one that is uploaded.
    pub(super) fn list_address(&self, task: &FinishedTask) -> Option<String> {
        let is_uploaded = self.uploads.is_on() && task.list.is_some();
        is_uploaded.then(|| self.list_key(task).to_string())
    }

    fn log_key(&self, task: &FinishedTask) -> Key {
        Key::task_log(self.started, task.record.task.id)
    }

    fn piece_log_key(&self, task: &FinishedTask, n: u32) -> Key {
        Key::piece_log(self.started, task.record.task.id, n)
    }

    fn list_key(&self, task: &FinishedTask) -> Key {
        Key::list(self.started, task.record.task.id)
    }
}

/// Rows for readers who may not read the logs.
pub(super) fn without_links(rows: &[Row]) -> Vec<Row> {
    let without = |row: &Row| Row {
        log_link: None,
        ..row.clone()
    };
    rows.iter().map(without).collect()
}

/// A log as its worker sent it, which is gzip; one that its worker did not send to its end, as far as it goes.
pub(super) fn unpack_log(log: &Path, out: &mut dyn Write) -> io::Result<()> {
    let mut from = GzDecoder::new(File::open(log)?);
    let mut chunk = vec![0; 64 << 10];
    loop {
        match from.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(n) => out.write_all(&chunk[..n])?,
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            // Whatever a worker sends must not keep the task's results from anybody.
            Err(e) => return writeln!(out, "(what follows can't be unpacked: {e})"),
        }
    }
}

/// The list that the run worked from, one path a line; with NUL after each where a name has a line break, so
/// that either can be given as a list again.
fn write_list(list: &StoredList, out: &mut dyn Write) -> io::Result<()> {
    let has_line_break = each_path(list, |path| {
        Ok(path.contains(&b'\n') || path.contains(&b'\r'))
    })?;
    let end = if has_line_break { b"\0" } else { b"\n" };
    each_path(list, |path| {
        out.write_all(path)?;
        out.write_all(end)?;
        Ok(false)
    })
    .map(|_| ())
}

/// Until `found` says so; whether it did.
fn each_path(
    list: &StoredList,
    mut found: impl FnMut(&[u8]) -> io::Result<bool>,
) -> io::Result<bool> {
    let mut stored = BufReader::new(File::open(&list.file)?);
    let mut path = Vec::new();
    while stored.read_until(b'\0', &mut path)? > 0 {
        if path.last() == Some(&b'\0') {
            path.pop();
        }
        if found(&path)? {
            return Ok(true);
        }
        path.clear();
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::write_list;
    use crate::plan::StoredList;

    #[test]
    fn a_list_is_uploaded_as_one_that_can_be_read_again() {
        let scratch = tempfile::tempdir().unwrap();
        for (stored, expected) in [
            (&b"a\0b c\0"[..], &b"a\nb c\n"[..]),
            (b"a\nb\0c\0", b"a\nb\0c\0"),
            (b"", b""),
        ] {
            let file = scratch.path().join("list");
            std::fs::write(&file, stored).unwrap();
            let list = StoredList {
                file,
                hash: String::new(),
                paths: 0,
                patterns: 0,
                refused: Vec::new(),
            };
            let mut out = Vec::new();
            write_list(&list, &mut out).unwrap();
            assert_eq!(out, expected);
        }
    }
}
