//! What rclone logs with `--use-json-log`, line by line, and the form in which it is kept.
//!
//! The messages are those of fs/operations and fs/sync of rclone 1.60 to 1.75.

use model::engine::LogLevel;
use serde::Deserialize;

/// What a line says of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    Copied,
    Unchanged,
    WouldCopy,
    Newer,
    Failed,
}

/// How far a process has come, by its own count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Stats {
    pub(crate) bytes: u64,
    pub(crate) transfers: u64,
    checks: u64,
    #[serde(rename = "totalTransfers")]
    total_transfers: u64,
    #[serde(rename = "totalChecks")]
    total_checks: u64,
    errors: u64,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Line {
    #[serde(default)]
    level: String,
    #[serde(rename = "msg", default)]
    pub(crate) message: String,
    /// The file, directory or file system that it is about.
    #[serde(default)]
    pub(crate) object: Option<String>,
    #[serde(default)]
    time: String,
    #[serde(default)]
    pub(crate) stats: Option<Stats>,
}

impl Line {
    /// `None` for what is no log line of rclone's.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        if text.first() != Some(&b'{') {
            return None;
        }
        serde_json::from_slice(text).ok()
    }

    pub(crate) fn level(&self) -> LogLevel {
        match self.level.as_str() {
            "debug" => LogLevel::Debug,
            "info" => LogLevel::Info,
            "notice" | "warning" => LogLevel::Notice,
            _ => LogLevel::Error,
        }
    }

    /// What it says of the file that is its object, if anything.
    pub(crate) fn said(&self) -> Option<Said> {
        self.object.as_ref()?;
        let message = self.message.as_str();
        let is = |beginning: &str| message.starts_with(beginning);
        match self.level() {
            LogLevel::Info if is("Copied (") || is("Multi-thread Copied (") => Some(Said::Copied),
            LogLevel::Debug if is("Unchanged skipping") => Some(Said::Unchanged),
            LogLevel::Debug if is("Destination is newer than source, skipping") => {
                Some(Said::Newer)
            }
            LogLevel::Debug
                if is("Destination mod time is within") && message.ends_with("skipping") =>
            {
                Some(Said::Unchanged)
            }
            LogLevel::Notice if is("Skipped copy as --dry-run is set") => Some(Said::WouldCopy),
            LogLevel::Error => Some(Said::Failed),
            _ => None,
        }
    }

    /// As rclone writes it without `--use-json-log`, which is what people search.
    pub(crate) fn text(&self) -> String {
        let level = match self.level() {
            LogLevel::Debug => "DEBUG ",
            LogLevel::Info => "INFO  ",
            LogLevel::Notice => "NOTICE",
            LogLevel::Error => "ERROR ",
        };
        let time: String = self.time.chars().take(19).collect();
        let time = time.replace('-', "/").replace('T', " ");
        let message = self.message.trim_matches('\n');
        match &self.object {
            Some(object) => format!("{time} {level}: {object}: {message}"),
            None => format!("{time} {level}: {message}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, LogLevel, Said};

    #[test]
    fn lines_of_both_ends_of_the_range_of_versions_are_understood() {
        for (text, object, said) in [
            (
                r#"{"level":"info","msg":"Copied (new)","object":"a/f1","objectType":"*local.Object","source":"operations/operations.go:566","time":"2026-11-24T19:20:01.98965+00:00"}"#,
                "a/f1",
                Some(Said::Copied),
            ),
            (
                r#"{"time":"2026-11-24T19:20:02.0984Z","level":"info","msg":"Copied (replaced existing)","size":1,"object":"tab\tname","objectType":"*local.Object"}"#,
                "tab\tname",
                Some(Said::Copied),
            ),
            (
                r#"{"level":"info","msg":"Multi-thread Copied (new)","object":"big","time":""}"#,
                "big",
                Some(Said::Copied),
            ),
            (
                r#"{"level":"debug","msg":"Unchanged skipping","object":"b/f2","objectType":"*local.Object","time":""}"#,
                "b/f2",
                Some(Said::Unchanged),
            ),
            (
                r#"{"level":"debug","msg":"Destination is newer than source, skipping","object":"n","time":""}"#,
                "n",
                Some(Said::Newer),
            ),
            (
                r#"{"level":"warning","msg":"Skipped copy as --dry-run is set (size 3)","object":"d","time":""}"#,
                "d",
                Some(Said::WouldCopy),
            ),
            (
                r#"{"level":"error","msg":"Failed to copy: open /x: permission denied","object":"a/f1","time":""}"#,
                "a/f1",
                Some(Said::Failed),
            ),
            (
                r#"{"level":"debug","msg":"Need to transfer - File not found at Destination","object":"a","time":""}"#,
                "a",
                None,
            ),
        ] {
            let line = Line::parse(text.as_bytes()).unwrap();
            assert_eq!(line.object.as_deref(), Some(object));
            assert_eq!(line.said(), said, "{text}");
        }
    }

    #[test]
    fn statistics_show_progress() {
        let text = r#"{"level":"info","msg":"5 B / 5 B\n","source":"x","stats":{"bytes":5,"checks":1,"elapsedTime":0.03,"errors":0,"eta":null,"speed":0,"totalChecks":1,"totalTransfers":3,"transfers":3},"time":""}"#;
        let stats = Line::parse(text.as_bytes()).unwrap().stats.unwrap();
        assert_eq!((stats.bytes, stats.transfers), (5, 3));
    }

    #[test]
    fn what_is_no_line_of_its_log_is_none() {
        for text in [
            "",
            "2026/11/24 19:22:11 Failed to copy: x",
            "{\"level\":",
            "{]",
            "[]",
        ] {
            assert_eq!(Line::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_line_is_kept_as_rclone_writes_it_for_people() {
        let text = r#"{"time":"2026-11-24T19:20:02.0984Z","level":"info","msg":"Copied (new)","object":"a"}"#;
        let line = Line::parse(text.as_bytes()).unwrap();
        assert_eq!(line.level(), LogLevel::Info);
        assert_eq!(line.text(), "2026/11/24 19:20:02 INFO  : a: Copied (new)");
    }
}
