//! What a walk found for rclone, in lists: one for each process to come.
//!
//! They are written to a private directory of this machine first, whatever the walk finds, so that memory stays bounded; at
//! its end they go to the folder that the workers share, or to the server.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::found_files::encode;
use model::{FilesWork, ItemId, ListPlace, RelPath, Work};
use transfer::Found;
use transfer::rclone::PrivateDir;

/// The lists of one walk.
pub(crate) struct FoundFiles {
    directory: PrivateDir,
    files_per_list: u64,
    /// A list is full: the walk has enough.
    is_full: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open: Option<OpenList>,
    closed: Vec<List>,
}

struct OpenList {
    list: List,
    file: BufWriter<File>,
}

/// A list that is to become an item.
#[derive(Debug)]
pub(crate) struct List {
    pub(crate) item: ItemId,
    pub(crate) path: PathBuf,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

impl List {
    pub(crate) fn as_child(&self, place: ListPlace) -> (ItemId, Work) {
        let work = Work::Files(FilesWork {
            files: self.files,
            bytes: self.bytes,
            place,
        });
        (self.item, work)
    }

    /// Puts it into the folder that the workers share; when this returns it is on its disk.
    pub(crate) fn share(&self, folder: &Path) -> io::Result<()> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        let name = self.item.to_string();
        let unfinished = folder.join(format!("{name}.new"));
        let mut to = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished)?;
        io::copy(&mut File::open(&self.path)?, &mut to)?;
        to.sync_all()?;
        std::fs::rename(&unfinished, folder.join(name))?;
        File::open(folder)?.sync_all()
    }
}

impl FoundFiles {
    pub(crate) fn new(files_per_list: u64) -> io::Result<Self> {
        Ok(Self {
            directory: PrivateDir::create()?,
            files_per_list: files_per_list.max(1),
            is_full: AtomicBool::new(false),
            state: Mutex::default(),
        })
    }

    /// Whether the walk has found enough for a process: the rest is better done by others.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// All lists, complete.
    pub(crate) fn take(&self) -> io::Result<Vec<List>> {
        let mut state = self.state();
        if let Some(open) = state.open.take() {
            let closed = open.close()?;
            state.closed.push(closed);
        }
        Ok(std::mem::take(&mut state.closed))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_list(&self) -> io::Result<OpenList> {
        let item = ItemId::from_random(crate::random());
        let path = self.directory.path().join(item.to_string());
        let file = File::options().write(true).create_new(true).open(&path)?;
        Ok(OpenList {
            list: List {
                item,
                path,
                files: 0,
                bytes: 0,
            },
            file: BufWriter::new(file),
        })
    }

    fn write(&self, path: &RelPath, size: Option<u64>) -> io::Result<()> {
        let mut state = self.state();
        let mut open = match state.open.take() {
            Some(open) => open,
            None => self.open_list()?,
        };
        open.file.write_all(&encode(path, size))?;
        open.list.files += 1;
        open.list.bytes = open.list.bytes.saturating_add(size.unwrap_or(0));
        if open.list.files >= self.files_per_list {
            let closed = open.close()?;
            state.closed.push(closed);
            self.is_full.store(true, Ordering::Relaxed);
        } else {
            state.open = Some(open);
        }
        Ok(())
    }
}

impl OpenList {
    fn close(self) -> io::Result<List> {
        self.file
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        Ok(self.list)
    }
}

impl Found for FoundFiles {
    fn add(&self, path: &RelPath, size: Option<u64>) -> Result<(), String> {
        self.write(path, size)
            .map_err(|e| format!("cannot write down what is found: {e}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Found, FoundFiles};
    use model::RelPath;
    use model::found_files::decode;

    #[test]
    fn everything_found_is_in_one_list_and_none_is_longer_than_asked() {
        let found = FoundFiles::new(3).unwrap();
        let paths: Vec<RelPath> = (0..8)
            .map(|n| RelPath::new(format!("d/{n}")).unwrap())
            .collect();
        for (n, path) in paths.iter().enumerate() {
            assert_eq!(found.is_full(), n >= 3);
            found.add(path, Some(10)).unwrap();
        }
        let lists = found.take().unwrap();
        let numbers: Vec<_> = lists.iter().map(|list| (list.files, list.bytes)).collect();
        assert_eq!(numbers, [(3, 30), (3, 30), (2, 20)]);
        let shared = tempfile::tempdir().unwrap();
        let folder = shared.path().join("run");
        let mut all = Vec::new();
        for list in &lists {
            list.share(&folder).unwrap();
            let list = std::fs::read(folder.join(list.item.to_string())).unwrap();
            all.extend(decode(&list).unwrap().into_iter().map(|file| file.path));
        }
        assert_eq!(all, paths);
        assert!(found.take().unwrap().is_empty());
    }
}
