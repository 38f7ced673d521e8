//! Where a run's results are put: rows in the results file as tasks end, a log of each task's
//! failures, and the report at the end.

mod objects;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use model::config::{Config, GlobalConfig, ReportFormat};
use model::go_duration;
use model::{Failure, ItemId, ItemState, Outcome, RunId, Work};

use crate::data_dir::DataDir;
use crate::ledger::Ledger;
use crate::no_room;
use crate::plan::StoredList;
use crate::report::{
    self, Format, Link, ReportError, ResultsFile, Row, Summary, TaskCounts, TaskEnd, TaskFailures,
    TaskInterval,
};
use crate::store::{ItemRecord, Millis, Phase, TaskRecord};
use crate::uploads::Uploads;
use objects::without_links;

/// Failures of a task that the report names; the task's log has all that are known.
const FAILURES_IN_REPORT: usize = 200;

/// A task with all that its rows and its part of the report need.
#[derive(Debug, Clone)]
pub struct FinishedTask {
    pub record: TaskRecord,
    pub ledger: Ledger,
    /// Of a task that may have pieces: with a list, or with the rclone engine.
    pub items: Vec<ItemRecord>,
    /// Logs that attempts at its items sent, the newest of each item.
    pub item_logs: HashMap<ItemId, PathBuf>,
    pub failures: Vec<Failure>,
    /// The list that it worked from, if it has one that could be read.
    pub list: Option<StoredList>,
}

#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error("cannot write {path}")]
    Log { path: PathBuf, source: io::Error },
}

impl ResultsError {
    /// Whether it is the disk that has no room.
    pub fn is_no_room(&self) -> bool {
        match self {
            ResultsError::Log { source, .. }
            | ResultsError::Report(ReportError::File { source, .. }) => no_room::is_no_room(source),
            ResultsError::Report(ReportError::Layout(_)) => false,
        }
    }
}

/// What was written at the end of a run.
#[derive(Debug, Clone)]
pub struct Written {
    pub rows: Vec<Row>,
    /// In the data directory.
    pub report: PathBuf,
    /// The copy in `/tmp`, where users look for it.
    pub copy: Option<PathBuf>,
    /// What opens the one in the bucket.
    pub report_link: Option<Link>,
    pub results_file: PathBuf,
    pub logs: PathBuf,
}

#[derive(Debug)]
pub struct Results {
    file: Mutex<ResultsFile>,
    results_file: PathBuf,
    data_dir: PathBuf,
    logs: PathBuf,
    config: GlobalConfig,
    format: Format,
    config_name: String,
    notes: Vec<String>,
    /// When the run began.
    started: Millis,
    uploads: Uploads,
}

impl Results {
    pub fn open(
        working_dir: &Path,
        data_dir: &DataDir,
        started: Millis,
        config: &Config,
        config_name: String,
    ) -> Result<Self, ResultsError> {
        let (file, remarks) = ResultsFile::open(working_dir)?;
        for remark in remarks {
            tracing::warn!("{remark}");
        }
        let logs = Path::new("logs").join(started.to_string());
        let logs = data_dir
            .directory(&logs)
            .map_err(|source| ResultsError::Log { path: logs, source })?;
        let options = config.global.copy_options();
        let mut notes = Vec::new();
        if options.dry_run {
            notes.push("dry run: nothing was changed; counts say what would be".to_owned());
        }
        if options.filter != model::Filter::default() {
            notes.push("a filter is set: what it leaves out counts as skipped".to_owned());
        }
        if options.durability == model::Durability::None {
            notes.push(
                "durability none: a power cut soon after the end may lose content that was copied"
                    .to_owned(),
            );
        }
        Ok(Self {
            results_file: file.path().to_owned(),
            file: Mutex::new(file),
            data_dir: data_dir.path().to_owned(),
            logs,
            config: config.global.clone(),
            format: match config.report.format {
                ReportFormat::Csv => Format::Csv,
                ReportFormat::Markdown => Format::Markdown,
                ReportFormat::Html => Format::Html,
            },
            config_name,
            notes,
            started,
            uploads: Uploads::default(),
        })
    }

    /// Where logs of tasks and attempts are kept.
    pub fn logs(&self) -> &Path {
        &self.logs
    }

    /// What it writes is uploaded too.
    pub(crate) fn with_uploads(mut self, uploads: Uploads) -> Self {
        self.uploads = uploads;
        self
    }

    /// The run is a new one: rows that are in the file already are of others, however equal.
    pub fn begin_new_run(&self) {
        let mut file = self
            .file
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        file.forget_found();
    }

    /// Logs a task's failures and appends its rows to the results file.
    pub fn task_ended(&self, task: &FinishedTask) -> Result<(), ResultsError> {
        self.write_log(task)?;
        self.upload(task).map_err(|source| self.no_outbox(source))?;
        let mut file = self
            .file
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let finished = task.record.result.as_ref().map_or(0, |r| r.finished);
        for row in self.rows(task) {
            // A crash may have come between the row and the note that it was written.
            if !file.contains(&row, finished) {
                file.append(&row)?;
            }
        }
        Ok(())
    }

    fn no_outbox(&self, source: io::Error) -> ResultsError {
        ResultsError::Log {
            path: self.data_dir.clone(),
            source,
        }
    }

    fn log_of(&self, task: &FinishedTask) -> PathBuf {
        self.logs.join(format!("task_{}.log", task.record.task.id))
    }

    fn write_log(&self, task: &FinishedTask) -> Result<(), ResultsError> {
        let path = self.log_of(task);
        let write = || -> io::Result<()> {
            let mut out = io::BufWriter::new(
                std::fs::OpenOptions::new()
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .mode(0o600)
                    .open(&path)?,
            );
            let record = &task.record;
            writeln!(
                out,
                "task {}: {} -> {}",
                record.task.id, record.task.source, record.task.target
            )?;
            if let Some(result) = &record.result {
                writeln!(out, "{}", result.message)?;
            }
            let n = &task.ledger.outcome.counters;
            writeln!(
                out,
                "listed {}, copied {} ({} files, {} bytes), unchanged {}, skipped {}, failed {}, unreadable directories {}",
                n.listed,
                n.copied,
                n.copied_files,
                n.copied_bytes,
                n.unchanged,
                n.skipped,
                n.failed,
                task.ledger.outcome.unreadable_directories
            )?;
            for (reason, n) in &task.ledger.outcome.skipped {
                writeln!(out, "skipped, {}: {n}", reason.name())?;
            }
            for (note, n) in &task.ledger.outcome.notes {
                writeln!(out, "{note}: {n}")?;
            }
            for failure in &task.failures {
                writeln!(out, "FAILED ({}) {failure}", failure.class.name())?;
            }
            let named = task.failures.len() as u64;
            if n.failed > named {
                writeln!(
                    out,
                    "and {} more failures, not known by name",
                    n.failed - named
                )?;
            }
            if let [piece] = pieces(task).as_slice()
                && let Some(log) = task.item_logs.get(&piece.item.id)
            {
                // It has no row of its own that would name its log.
                writeln!(out, "\nrclone's log:")?;
                objects::unpack_log(log, &mut out)?;
            }
            // It is not written again once the store says that its rows are.
            out.into_inner()?.sync_all()?;
            File::open(&self.logs)?.sync_all()
        };
        write().map_err(|source| ResultsError::Log {
            path: path.clone(),
            source,
        })
    }

    /// The row of the task as a whole.
    pub(crate) fn task_row(&self, task: &FinishedTask) -> Row {
        let record = &task.record;
        let result = record.result.as_ref();
        let list = record
            .task
            .list
            .as_ref()
            .map_or_else(String::new, |list| list.display().to_string());
        Row {
            id: record.task.id.0,
            subtask_id: 0,
            source_dir: record.task.source.to_string(),
            target_dir: record.task.target.to_string(),
            client_id: task.ledger.workers.join(", "),
            duration: duration_between(record.started, result.map(|r| r.finished)),
            success: result.is_some_and(|r| r.success),
            split_pattern: String::new(),
            split_files: match pieces(task).len() {
                0 | 1 => String::new(),
                n => n.to_string(),
            },
            file_from: list.clone(),
            log_file: self.log_address(task),
            log_link: self.log_link(task),
            message: result.map_or_else(|| "not finished".to_owned(), |r| r.message.clone()),
            include_file: self.list_address(task).unwrap_or(list),
            files: task.ledger.outcome.counters.copied_files,
            bytes: task.ledger.outcome.counters.copied_bytes,
            failures: task.ledger.outcome.counters.failed,
            retries: task.ledger.retries,
            engine: self
                .config
                .engine_of(&record.task)
                .engine()
                .name()
                .to_owned(),
        }
    }

    /// The task's row, and one for each of its pieces where there are several.
    fn rows(&self, task: &FinishedTask) -> Vec<Row> {
        let whole = self.task_row(task);
        let pieces = pieces(task);
        if pieces.len() < 2 {
            return vec![whole];
        }
        let piece_rows: Vec<Row> = (1..)
            .zip(pieces)
            .map(|(n, piece)| {
                let row = piece_row(&whole, n, piece);
                match self.piece_log(task, n, piece) {
                    Some((log_file, log_link)) => Row {
                        log_file,
                        log_link,
                        ..row
                    },
                    None => row,
                }
            })
            .collect();
        std::iter::once(whole).chain(piece_rows).collect()
    }

    /// Writes the report of a run, into the data directory and into `/tmp`.
    pub fn write_report(
        &self,
        run: RunId,
        started: Millis,
        finished: Millis,
        tasks: &[FinishedTask],
    ) -> Result<Written, ResultsError> {
        let mut rows: Vec<Row> = tasks.iter().flat_map(|task| self.rows(task)).collect();
        report::sort(&mut rows);
        let summary = self.summary(run, started, finished, tasks);
        let name = format!(
            "data_migrate_results_{finished}.{}",
            self.format.extension()
        );
        let reports = self.data_dir.join("reports");
        std::fs::create_dir_all(&reports).map_err(|source| ResultsError::Log {
            path: reports.clone(),
            source,
        })?;
        let path = reports.join(&name);
        let laid_out = report::render(self.format, &rows, &summary)?;
        self.upload_report(&name, &laid_out, &path)
            .map_err(|source| self.no_outbox(source))?;
        report::place(&laid_out, &path)?;
        let copy = Path::new("/tmp").join(&name);
        let copy = match report::write(self.format, &without_links(&rows), &summary, &copy) {
            Ok(()) => Some(copy),
            Err(e) => {
                tracing::warn!("{}", model::error_chain(&e));
                None
            }
        };
        Ok(Written {
            rows,
            report: path,
            copy,
            report_link: self.report_link(&name),
            results_file: self.results_file.clone(),
            logs: self.logs.clone(),
        })
    }

    fn summary(
        &self,
        run: RunId,
        started: Millis,
        finished: Millis,
        tasks: &[FinishedTask],
    ) -> Summary {
        let mut counts = TaskCounts::default();
        let mut outcome = Outcome::default();
        let mut intervals = Vec::new();
        let mut failures = Vec::new();
        for task in tasks {
            outcome.add(task.ledger.outcome.clone());
            let id = task.record.task.id;
            if task.ledger.outcome.counters.failed > 0 {
                failures.push(TaskFailures {
                    task: id,
                    failures: task
                        .failures
                        .iter()
                        .take(FAILURES_IN_REPORT)
                        .cloned()
                        .collect(),
                    total: task.ledger.outcome.counters.failed,
                });
            }
            let Some(result) = &task.record.result else {
                continue;
            };
            let end = TaskEnd::of(result.success, &result.message);
            counts.add(end);
            if let Some(started) = task.record.started {
                intervals.push(TaskInterval {
                    task: id,
                    started,
                    finished: result.finished,
                    end,
                });
            }
        }
        Summary {
            run,
            config: self.config_name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started,
            finished,
            tasks: counts,
            outcome,
            intervals,
            failures,
            notes: self.notes.clone(),
        }
    }
}

/// The parts in which a task's files were copied: those of rclone's processes, else those of its list.
fn pieces(task: &FinishedTask) -> Vec<&ItemRecord> {
    let of_kind = |is_piece: fn(&Work) -> bool| -> Vec<&ItemRecord> {
        task.items
            .iter()
            .filter(|item| item.phase == Phase::Copy && is_piece(&item.item.work))
            .collect()
    };
    let of_rclone = of_kind(|work| matches!(work, Work::Files(_)));
    match of_rclone.is_empty() {
        true => of_kind(|work| matches!(work, Work::Paths { .. })),
        false => of_rclone,
    }
}

fn piece_row(whole: &Row, n: u32, piece: &ItemRecord) -> Row {
    let counters = piece
        .outcome
        .as_ref()
        .map(|o| o.counters)
        .unwrap_or_default();
    let done = piece.item.state == ItemState::Done;
    let split_files = match piece.item.work {
        Work::Files(files) => files.files.to_string(),
        _ => String::new(),
    };
    let message = match (&piece.last_error, done, counters.failed) {
        (_, true, 0) => format!("piece {n} migrated"),
        (_, true, failed) => format!("{failed} of the piece's files failed"),
        (Some(error), false, _) => error.clone(),
        (None, false, _) => "not finished".to_owned(),
    };
    Row {
        subtask_id: n,
        client_id: piece.worker.clone().unwrap_or_default(),
        duration: duration_between(piece.started, piece.finished),
        success: done
            && counters.failed == 0
            && piece
                .outcome
                .as_ref()
                .is_some_and(|o| o.unreadable_directories == 0),
        message,
        split_files,
        files: counters.copied_files,
        bytes: counters.copied_bytes,
        failures: counters.failed,
        retries: u64::from(piece.item.attempts),
        ..whole.clone()
    }
}

fn duration_between(started: Option<Millis>, finished: Option<Millis>) -> String {
    let ms = match (started, finished) {
        (Some(started), Some(finished)) => (finished - started).max(0) as u64,
        _ => 0,
    };
    go_duration::format(Duration::from_millis(ms))
}
