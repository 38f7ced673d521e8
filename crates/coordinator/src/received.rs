//! Files that attempts send in pieces: lists of files that walks wrote down, and logs.
//!
//! A piece may come twice, and late: what is there already is left as it is. A list counts only once its last
//! piece is on the disk.

use std::fs::OpenOptions;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use model::{Epoch, ItemId, TaskId};

/// Where they are kept.
#[derive(Debug, Clone)]
pub struct Received {
    lists: PathBuf,
    logs: PathBuf,
    /// Begins the names of logs.
    log_prefix: String,
}

impl Received {
    /// Both directories exist; `started` is the run's start.
    pub fn new(lists: PathBuf, logs: PathBuf, started: i64) -> Self {
        Self {
            lists,
            logs,
            log_prefix: format!("rclone_copy_{started}"),
        }
    }

    /// The list of a `Files` item.
    pub fn list(&self, item: ItemId) -> PathBuf {
        self.lists.join(item.to_string())
    }

    /// What one attempt left to the links phase.
    pub fn links(&self, item: ItemId, epoch: Epoch) -> PathBuf {
        self.lists.join(format!("links_{item}_{}", epoch.0))
    }

    /// The log of one attempt.
    pub fn log(&self, task: TaskId, item: ItemId, epoch: Epoch) -> PathBuf {
        let name = format!("{}_{task}_{item}_{}.txt.gz", self.log_prefix, epoch.0);
        self.logs.join(name)
    }

    /// The newest log of an item that was granted up to `epoch`.
    pub fn newest_log(&self, task: TaskId, item: ItemId, epoch: Epoch) -> Option<PathBuf> {
        (1..=epoch.0)
            .rev()
            .map(|epoch| self.log(task, item, Epoch(epoch)))
            .find(|path| path.exists())
    }

    /// Makes the names of new lists durable.
    pub fn sync_lists(&self) -> io::Result<()> {
        std::fs::File::open(&self.lists)?.sync_all()
    }

    /// Removes the lists of a run that is over.
    pub fn remove_lists(&self) -> io::Result<()> {
        match std::fs::remove_dir_all(&self.lists) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }
}

/// Writes `bytes` at `offset` as far as they are new; how long the file is then. Bytes beyond the file's end
/// are not taken. After the last piece the file is on the disk.
pub fn append(path: &Path, offset: u64, bytes: &[u8], is_last: bool) -> io::Result<u64> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
        .open(path)?;
    let stored = file.metadata()?.len();
    let known = stored.saturating_sub(offset).min(bytes.len() as u64);
    let mut now = stored;
    if offset <= stored {
        let new = &bytes[known as usize..];
        file.seek(SeekFrom::Start(offset + known))?;
        file.write_all(new)?;
        now = stored.max(offset + bytes.len() as u64);
    }
    if is_last {
        file.sync_all()?;
        if let Some(directory) = path.parent() {
            std::fs::File::open(directory)?.sync_all()?;
        }
    }
    Ok(now)
}

#[cfg(test)]
mod tests {
    use super::append;

    #[test]
    fn a_piece_that_comes_again_or_too_early_changes_nothing() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("list");
        for (offset, bytes, is_last, stored) in [
            (0, "abc", false, 3),
            (0, "abc", false, 3),
            (9, "late", false, 3),
            (2, "cdef", false, 6),
            (1, "b", false, 6),
            (6, "", true, 6),
        ] {
            let now = append(&path, offset, bytes.as_bytes(), is_last).unwrap();
            assert_eq!(now, stored, "{offset} {bytes}");
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "abcdef");
    }

    #[test]
    fn no_link_is_followed() {
        let scratch = tempfile::tempdir().unwrap();
        let precious = scratch.path().join("precious");
        std::fs::write(&precious, "precious").unwrap();
        let path = scratch.path().join("list");
        std::os::unix::fs::symlink(&precious, &path).unwrap();
        append(&path, 0, b"x", true).unwrap_err();
        assert_eq!(std::fs::read_to_string(&precious).unwrap(), "precious");
    }
}
