//! What is yet to be uploaded: a directory with one file an object, whose path below it is the object's key.
//!
//! A file is there whole or not at all: it is written and synced beside the others, renamed, and its name synced. It
//! is removed only after the upload was answered. So whatever was put in survives a crash at any moment and is
//! uploaded at least once; whoever holds the data directory's lock is the only one who sends from it.

use std::collections::{BTreeMap, HashMap};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::watch;

use super::key::Key;

/// Where files are written before they have their names.
const UNFINISHED: &str = ".unfinished";

/// One object that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: Key,
    /// Tells a content from a newer one of the same key.
    serial: u64,
}

/// How uploading goes, for those who wait for its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Standing {
    /// Objects that are still tried.
    pub(super) waiting: usize,
    /// Since somebody began to wait, or something was uploaded.
    pub(super) refusals: u32,
}

pub(super) struct Outbox {
    directory: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
    standing: watch::Sender<Standing>,
}

#[derive(Default)]
struct State {
    /// By their serials, so the oldest first.
    queue: BTreeMap<u64, Key>,
    /// Of what is in the queue.
    serials: HashMap<Key, u64>,
    last_serial: u64,
    /// Not tried again by this process.
    set_aside: Vec<Key>,
    /// A pause is cut short.
    hurry: bool,
    /// Why the last try failed, if it did.
    trouble: Option<String>,
}

impl Outbox {
    /// With all that is there from before.
    pub(super) fn open(directory: PathBuf) -> io::Result<Self> {
        make_directory(&directory)?;
        let unfinished = directory.join(UNFINISHED);
        if unfinished.exists() {
            std::fs::remove_dir_all(&unfinished)?;
        }
        make_directory(&unfinished)?;
        let mut state = State::default();
        for key in keys_below(&directory)? {
            state.enqueue(key);
        }
        let outbox = Self {
            directory,
            standing: watch::Sender::new(Standing::default()),
            changed: Condvar::new(),
            state: Mutex::default(),
        };
        outbox.change(|now| *now = state);
        Ok(outbox)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|p| p.into_inner())
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let answer = change(&mut state);
        self.standing
            .send_modify(|standing| standing.waiting = state.queue.len());
        self.changed.notify_all();
        answer
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn path_of(&self, key: &Key) -> PathBuf {
        self.directory.join(key.as_str())
    }

    /// Puts an object in, instead of one of the same key; compressed where its key says so.
    pub(super) fn put(
        &self,
        key: &Key,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let random = getrandom::u64().map_err(io::Error::other)?;
        let temp = self
            .directory
            .join(UNFINISHED)
            .join(format!("{random:016x}"));
        let path = self.path_of(key);
        let placed = write_synced(&temp, key.is_compressed(), write)
            .and_then(|()| make_directories(&self.directory, key))
            .and_then(|parent| {
                // In one step with the queue, lest an older content's end removes this one.
                self.change(|state| -> io::Result<()> {
                    std::fs::rename(&temp, &path)?;
                    state.enqueue(key.clone());
                    Ok(())
                })?;
                File::open(parent)?.sync_all()
            });
        if placed.is_err() {
            // Where it was renamed already it is gone; else it is litter that the next start removes.
            let _ = std::fs::remove_file(&temp);
        }
        placed
    }

    /// The oldest object, which stays; waits for one.
    pub(super) fn next(&self) -> Entry {
        let mut state = self.state();
        loop {
            if let Some((&serial, key)) = state.queue.first_key_value() {
                let key = key.clone();
                return Entry { key, serial };
            }
            state = self.changed.wait(state).unwrap_or_else(|p| p.into_inner());
        }
    }

    /// The object is uploaded. A newer content of its key stays.
    pub(super) fn done(&self, entry: &Entry) -> io::Result<()> {
        let removed = self.change(|state| {
            state.trouble = None;
            match state.dequeue(entry) {
                true => std::fs::remove_file(self.path_of(&entry.key)),
                false => Ok(()),
            }
        });
        self.standing.send_modify(|standing| standing.refusals = 0);
        removed
    }

    /// The object can't be uploaded as it is; the others may.
    pub(super) fn set_aside(&self, entry: &Entry, why: String) {
        self.change(|state| {
            state.trouble = Some(why);
            if state.dequeue(entry) {
                state.set_aside.push(entry.key.clone());
            }
        });
    }

    /// Nothing can be uploaded at this time.
    pub(super) fn failed(&self, why: String, is_refusal: bool) {
        self.change(|state| state.trouble = Some(why));
        self.standing
            .send_modify(|standing| standing.refusals += u32::from(is_refusal));
    }

    /// Waits between two tries. True: it was cut short, somebody waits for the end.
    pub(super) fn pause(&self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        let mut state = self.state();
        while !std::mem::take(&mut state.hurry) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(|p| p.into_inner()).0;
        }
        true
    }

    /// Tries at once, and counts refusals anew.
    pub(super) fn hurry(&self) -> watch::Receiver<Standing> {
        self.standing.send_modify(|standing| standing.refusals = 0);
        self.change(|state| state.hurry = true);
        self.standing.subscribe()
    }

    /// What is not uploaded, oldest first, and why the last try failed.
    pub(super) fn missing(&self) -> (Vec<Key>, Option<String>) {
        let state = self.state();
        let waiting = state.queue.values().cloned();
        let all = state.set_aside.iter().cloned().chain(waiting).collect();
        (all, state.trouble.clone())
    }
}

impl State {
    fn enqueue(&mut self, key: Key) {
        self.set_aside.retain(|aside| *aside != key);
        self.last_serial += 1;
        if let Some(older) = self.serials.insert(key.clone(), self.last_serial) {
            self.queue.remove(&older);
        }
        self.queue.insert(self.last_serial, key);
    }

    /// Whether it was there; a newer content of the same key is another entry.
    fn dequeue(&mut self, entry: &Entry) -> bool {
        let was_there = self.queue.remove(&entry.serial).is_some();
        if was_there {
            self.serials.remove(&entry.key);
        }
        was_there
    }
}

fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes the directory of a key's file, its own name durable.
fn make_directories(below: &Path, key: &Key) -> io::Result<PathBuf> {
    let mut directory = below.to_owned();
    let parent = Path::new(key.as_str()).parent().unwrap_or(Path::new(""));
    for name in parent {
        let inner = directory.join(name);
        if !inner.exists() {
            make_directory(&inner)?;
            File::open(&directory)?.sync_all()?;
        }
        directory = inner;
    }
    Ok(directory)
}

fn write_synced(
    path: &Path,
    compressed: bool,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    let mut out = BufWriter::new(&mut file);
    match compressed {
        true => {
            let mut encoder = GzEncoder::new(&mut out, Compression::default());
            write(&mut encoder)?;
            encoder.finish()?;
        }
        false => write(&mut out)?,
    }
    out.flush()?;
    drop(out);
    file.sync_all()
}

/// The keys of all files, oldest first.
fn keys_below(root: &Path) -> io::Result<Vec<Key>> {
    let mut found = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            let path = entry.path();
            let below = path.strip_prefix(root).unwrap_or(&path);
            if below == Path::new(UNFINISHED) {
                continue;
            }
            let about = entry.metadata()?;
            if about.is_dir() {
                directories.push(path);
            } else if let (Some(key), true) = (Key::of_path(below), about.is_file()) {
                found.push((about.modified()?, key));
            }
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, key)| key).collect())
}

#[cfg(test)]
mod tests;
