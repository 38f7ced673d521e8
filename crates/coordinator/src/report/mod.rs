//! What users get to read of a run: the results file that grows while it goes on, the
//! final report (csv, markdown or html), the table and the progress line on the console,
//! and the messages in them.
//!
//! Everything here is a pure function of rows and a [`Summary`], but for [`ResultsFile`]
//! and [`write`], which put it on disk so that a crash leaves no torn file. All text
//! that came from names of files passes through `text`, so that nothing in a path can
//! break a row, run as a script or reverse what is read.

mod appending;
mod atomic;
mod console;
mod html;
mod html_picture;
mod html_table;
pub mod human;
mod link;
mod markdown;
pub mod message;
mod picture;
mod progress;
pub mod results_file;
mod row;
mod scan;
mod summary;
mod text;

#[cfg(test)]
mod samples;

use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

pub use console::console_table;
pub use link::Link;
pub use progress::{Progress, progress_line};
pub use results_file::ResultsFile;
pub use row::{HEADER, Row, sort};
pub use summary::{Summary, TaskCounts, TaskEnd, TaskFailures, TaskInterval};

#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("cannot {action} {path}")]
    File {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("cannot lay out the html report")]
    Layout(#[from] askama::Error),
}

impl ReportError {
    fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File {
            action,
            path,
            source,
        }
    }
}

/// How the final report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Format {
    #[default]
    Csv,
    Markdown,
    Html,
}

/// Text that names no format of a report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown report format {0:?}: expected csv, md or html")]
pub struct UnknownFormat(pub String);

impl Format {
    /// As in `data_migrate_results_<millis>.<extension>`.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Markdown => "md",
            Format::Html => "html",
        }
    }

    /// For uploads and the HTTP API.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Csv => "text/csv; charset=utf-8",
            Format::Markdown => "text/markdown; charset=utf-8",
            Format::Html => "text/html; charset=utf-8",
        }
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        match text.trim().to_ascii_lowercase().as_str() {
            "csv" => Ok(Format::Csv),
            "md" | "markdown" => Ok(Format::Markdown),
            "html" => Ok(Format::Html),
            _ => Err(UnknownFormat(text.to_owned())),
        }
    }
}

/// Lays out the final report, rows sorted by task and subtask.
pub fn render(format: Format, rows: &[Row], summary: &Summary) -> Result<Vec<u8>, ReportError> {
    let mut rows = rows.to_vec();
    sort(&mut rows);
    Ok(match format {
        Format::Csv => row::to_csv(&rows),
        Format::Markdown => markdown::render(&rows, summary).into_bytes(),
        Format::Html => html::render(&rows, summary)?.into_bytes(),
    })
}

/// Writes the final report to `path`, mode 0644: whole and synced, or not at all. What was
/// there before is replaced; a link is replaced itself, not what it leads to.
pub fn write(
    format: Format,
    rows: &[Row],
    summary: &Summary,
    path: &Path,
) -> Result<(), ReportError> {
    place(&render(format, rows, summary)?, path)
}

/// Writes a report that is laid out already, as [`write`] does.
pub fn place(report: &[u8], path: &Path) -> Result<(), ReportError> {
    atomic::replace(path, report)
}

#[cfg(test)]
mod tests {
    use super::{Format, Link, render, samples, write};

    #[test]
    fn formats_are_read_in_any_case() {
        assert_eq!("CSV".parse(), Ok(Format::Csv));
        assert_eq!("Markdown".parse(), Ok(Format::Markdown));
        assert_eq!(" html ".parse(), Ok(Format::Html));
        assert_eq!(
            "pdf".parse::<Format>().unwrap_err().to_string(),
            "unknown report format \"pdf\": expected csv, md or html"
        );
    }

    #[test]
    fn reports_look_as_they_are_expected_to() {
        let (rows, summary) = samples::hostile();
        for format in [Format::Csv, Format::Markdown, Format::Html] {
            let text = String::from_utf8(render(format, &rows, &summary).unwrap()).unwrap();
            let name = format!("report.{}", format.extension());
            samples::expect(&name, &samples::without_nonce(&text));
        }
    }

    #[test]
    fn a_link_opens_the_log_in_reports_for_people_and_is_not_in_tables_for_programs() {
        let (mut rows, summary) = samples::plain();
        rows[0].log_file = "http://s3/test/log_1_.gz".to_owned();
        rows[0].log_link = Some(Link::new(
            "http://s3/test/log_1_.gz?sig=a%2Fb&x=1".to_owned(),
        ));
        let text = |format| String::from_utf8(render(format, &rows, &summary).unwrap()).unwrap();
        let html = text(Format::Html);
        let expected = "href=\"http://s3/test/log_1_.gz?sig=a%2Fb&#38;x=1\"";
        assert!(html.contains(expected), "{html}");
        let markdown = text(Format::Markdown);
        let expected = "| [http://s3/test/log_1\\_.gz](<http://s3/test/log_1_.gz?sig=a%2Fb&x=1>) |";
        assert!(markdown.contains(expected), "{markdown}");
        let csv = text(Format::Csv);
        assert!(csv.contains(",http://s3/test/log_1_.gz,"), "{csv}");
        assert!(!csv.contains("sig="), "{csv}");
    }

    #[test]
    fn a_report_replaces_what_was_there_and_follows_no_link() {
        use std::os::unix::fs::{MetadataExt, symlink};
        let dir = tempfile::tempdir().unwrap();
        let (rows, summary) = samples::plain();
        let precious = dir.path().join("precious");
        std::fs::write(&precious, "precious").unwrap();
        let path = dir.path().join("report.csv");
        symlink(&precious, &path).unwrap();
        for _ in 0..2 {
            write(Format::Csv, &rows, &summary, &path).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&precious).unwrap(), "precious");
        let meta = std::fs::symlink_metadata(&path).unwrap();
        assert!(meta.is_file());
        assert_eq!(meta.mode() & 0o7777, 0o644);
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(left.len(), 2, "no temporary file is left");
    }
}
