//! Where an object lies in the bucket: the layout that users of the tool before this one know. What an object is
//! made of follows from its key, so that nothing else has to be kept with it.

use std::fmt;
use std::path::Path;

use model::TaskId;

use crate::store::Millis;

/// The name of an object; also its path below the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key(String);

impl Key {
    /// Of a final report with this file name.
    pub(crate) fn report(file_name: &str) -> Self {
        Self(format!("rclone/reports/{file_name}"))
    }

    /// Of the log of a task, in the run that began at `run`.
    pub(crate) fn task_log(run: Millis, task: TaskId) -> Self {
        Self(format!(
            "rclone/log-files/{run}/rclone_copy_{run}_{task}.txt.gz"
        ))
    }

    /// Of the log of one piece of a task, counted as the rows of its pieces are.
    pub(crate) fn piece_log(run: Millis, task: TaskId, piece: u32) -> Self {
        Self(format!(
            "rclone/log-files/{run}/rclone_copy_{run}_{task}_{piece}.txt.gz"
        ))
    }

    /// Of a task's file list.
    pub(crate) fn list(run: Millis, task: TaskId) -> Self {
        Self(format!("rclone/include-files/{run}/include_{task}.txt"))
    }

    /// Of a file in the outbox; none for a name that is no text.
    pub(super) fn of_path(below: &Path) -> Option<Self> {
        below.to_str().map(|key| Self(key.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether its content is gzip.
    pub(super) fn is_compressed(&self) -> bool {
        self.0.ends_with(".gz")
    }

    pub(super) fn content_type(&self) -> &'static str {
        match self.0.rsplit_once('.').map(|(_, ending)| ending) {
            Some("gz") => "application/gzip",
            Some("csv") => "text/csv; charset=utf-8",
            Some("md") => "text/markdown; charset=utf-8",
            Some("html") => "text/html; charset=utf-8",
            _ => "text/plain; charset=utf-8",
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Key;
    use model::TaskId;

    #[test]
    fn keys_are_where_users_look_for_them() {
        for (key, expected, content_type) in [
            (
                Key::report("data_migrate_results_7.html"),
                "rclone/reports/data_migrate_results_7.html",
                "text/html; charset=utf-8",
            ),
            (
                Key::task_log(1_764_920_244_408, TaskId(3)),
                "rclone/log-files/1764920244408/rclone_copy_1764920244408_3.txt.gz",
                "application/gzip",
            ),
            (
                Key::piece_log(5, TaskId(3), 12),
                "rclone/log-files/5/rclone_copy_5_3_12.txt.gz",
                "application/gzip",
            ),
            (
                Key::list(5, TaskId(3)),
                "rclone/include-files/5/include_3.txt",
                "text/plain; charset=utf-8",
            ),
        ] {
            assert_eq!(key.as_str(), expected);
            assert_eq!(key.content_type(), content_type);
        }
    }
}
