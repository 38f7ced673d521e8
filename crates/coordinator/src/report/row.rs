//! A row of the results table. Names and order of its columns are what users' scripts know:
//! twelve from the tool before this one, then ours.

use super::{Link, text};

/// The columns as they are spelled in every format.
pub const HEADER: [&str; 18] = [
    "id",
    "subtask id",
    "source dir",
    "target dir",
    "client id",
    "duration",
    "success",
    "split pattern",
    "split files",
    "file from",
    "log file",
    "message",
    "include file",
    "files",
    "bytes",
    "failures",
    "retries",
    "engine",
];

/// Place of `log file` among the columns.
pub(super) const LOG_FILE: usize = 10;

/// One task (subtask 0), or one piece of its file list (subtask 1…).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Row {
    pub id: u32,
    pub subtask_id: u32,
    pub source_dir: String,
    pub target_dir: String,
    /// Names of the workers that did it.
    pub client_id: String,
    /// As Go prints it: `851.373us`, `1m2.5s`.
    pub duration: String,
    pub success: bool,
    pub split_pattern: String,
    pub split_files: String,
    pub file_from: String,
    /// A path, or `endpoint/bucket/key`.
    pub log_file: String,
    /// What opens the log, for those who may read it; in no column of its own.
    pub log_link: Option<Link>,
    pub message: String,
    pub include_file: String,
    /// Regular files that were copied.
    pub files: u64,
    /// Their content.
    pub bytes: u64,
    pub failures: u64,
    pub retries: u64,
    pub engine: String,
}

impl Row {
    /// The cells in the order of [`HEADER`], each on one line.
    pub fn cells(&self) -> [String; 18] {
        [
            self.id.to_string(),
            self.subtask_id.to_string(),
            text::one_line(&self.source_dir),
            text::one_line(&self.target_dir),
            text::one_line(&self.client_id),
            text::one_line(&self.duration),
            self.success.to_string(),
            text::one_line(&self.split_pattern),
            text::one_line(&self.split_files),
            text::one_line(&self.file_from),
            text::one_line(&self.log_file),
            text::one_line(&self.message),
            text::one_line(&self.include_file),
            self.files.to_string(),
            self.bytes.to_string(),
            self.failures.to_string(),
            self.retries.to_string(),
            text::one_line(&self.engine),
        ]
    }

    /// By what rows are sorted.
    pub fn key(&self) -> (u32, u32) {
        (self.id, self.subtask_id)
    }

    /// How the row is named: `7`, or `7.2` for a piece of a list.
    pub(super) fn name(&self) -> String {
        match self.subtask_id {
            0 => self.id.to_string(),
            piece => format!("{}.{piece}", self.id),
        }
    }
}

/// Sorts rows by task and subtask.
pub fn sort(rows: &mut [Row]) {
    rows.sort_by_key(Row::key);
}

/// One line of csv with its line end, quoted where needed.
pub(super) fn csv_line<S: AsRef<str>>(cells: &[S]) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    writer
        .write_record(cells.iter().map(|cell| cell.as_ref().as_bytes()))
        .expect("writing to memory does not fail");
    writer
        .into_inner()
        .expect("writing to memory does not fail")
}

/// Header and rows.
pub(super) fn to_csv(rows: &[Row]) -> Vec<u8> {
    let mut out = csv_line(&HEADER);
    for row in rows {
        out.extend(csv_line(&row.cells()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{HEADER, LOG_FILE, Row, sort, to_csv};

    #[test]
    fn the_columns_are_those_that_scripts_know() {
        let csv = String::from_utf8(to_csv(&[])).unwrap();
        assert_eq!(
            csv,
            "id,subtask id,source dir,target dir,client id,duration,success,split pattern,\
             split files,file from,log file,message,include file,files,bytes,failures,retries,\
             engine\n"
        );
        assert_eq!(HEADER[LOG_FILE], "log file");
    }

    #[test]
    fn a_row_is_one_line_of_csv_whatever_it_holds() {
        let row = Row {
            message: "a\nb\r\"c\", d".to_owned(),
            ..Row::default()
        };
        let csv = String::from_utf8(to_csv(&[row])).unwrap();
        assert_eq!(csv.lines().count(), 2);
        assert!(csv.contains(r#""a\nb\r""c"", d""#), "{csv}");
    }

    #[test]
    fn rows_are_sorted_by_task_then_piece() {
        let row = |id, subtask_id| Row {
            id,
            subtask_id,
            ..Row::default()
        };
        let mut rows = vec![row(10, 0), row(2, 1), row(2, 0), row(1, 12), row(1, 2)];
        sort(&mut rows);
        let keys: Vec<_> = rows.iter().map(Row::key).collect();
        assert_eq!(keys, [(1, 2), (1, 12), (2, 0), (2, 1), (10, 0)]);
    }
}
