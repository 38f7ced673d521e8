//! The line that the server logs while a run goes on. Its beginning is what people grep for.

use super::human;
use super::text;
use crate::store::Millis;

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    pub tasks: u64,
    pub success: u64,
    /// Failed and incomplete tasks.
    pub failed: u64,
    /// Names of the workers in contact.
    pub clients: Vec<String>,
    /// Files and bytes copied so far.
    pub files: u64,
    pub bytes: u64,
    /// Entries that failed so far.
    pub failures: u64,
    /// Files and bytes of the last `recent_ms` milliseconds, for the rates.
    pub recent_files: u64,
    pub recent_bytes: u64,
    pub recent_ms: Millis,
}

/// `Progress: 3/7 tasks completed(success: 2, failed: 1), 4 clients: [a, b, c, d]`, then
/// files, bytes, rates and failed entries.
pub fn progress_line(progress: &Progress) -> String {
    let mut line = format!(
        "Progress: {}/{} tasks completed(success: {}, failed: {}), {} clients: [{}], {}, {}, {} files/s, {}",
        progress.success + progress.failed,
        progress.tasks,
        progress.success,
        progress.failed,
        progress.clients.len(),
        text::visible(&progress.clients.join(", ")),
        human::counted(progress.files, "file", "files"),
        human::bytes(progress.bytes),
        human::rate(progress.recent_files, progress.recent_ms),
        human::byte_rate(progress.recent_bytes, progress.recent_ms),
    );
    if progress.failures > 0 {
        line.push_str(&format!(
            ", {} failed",
            human::counted(progress.failures, "entry", "entries")
        ));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::{Progress, progress_line};

    #[test]
    fn the_line_begins_as_people_grep_for_it() {
        let mut progress = Progress {
            tasks: 7,
            success: 2,
            failed: 1,
            clients: ["a", "b", "c", "d"].map(str::to_owned).to_vec(),
            files: 12_345,
            bytes: 3 << 30,
            failures: 0,
            recent_files: 9_000,
            recent_bytes: 600 << 20,
            recent_ms: 30_000,
        };
        assert_eq!(
            progress_line(&progress),
            "Progress: 3/7 tasks completed(success: 2, failed: 1), 4 clients: [a, b, c, d], \
             12,345 files, 3.0 GiB, 300 files/s, 20.0 MiB/s"
        );
        progress.failures = 1;
        assert!(progress_line(&progress).ends_with(", 1 entry failed"));
        assert_eq!(
            progress_line(&Progress::default()),
            "Progress: 0/0 tasks completed(success: 0, failed: 0), 0 clients: [], 0 files, 0 B, \
             – files/s, –"
        );
    }
}
