//! Counts the source's entries ahead of the copy, so that the live line can say how much is left.
//!
//! It reads directories and looks at no entry, so it is many times faster than the copy. What is in a directory that
//! the filter leaves out is not counted, as it is not by the copy. A directory that it can't
//! read it leaves out: the copy will say so. What would make the count too small without the copy's saying so (too few
//! descriptors, a tree that is moved meanwhile, a listing without kinds) ends it, and no total is shown. It holds few
//! descriptors however deep the source is, and at most so many names.

use std::ffi::CStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use model::filter::{EntryKind, Rules};
use model::{Filter, RelPath};
use storage::posix::{Descent, Dir, Kind, Listed, ListingBuffer};

use super::Done;

/// Directories of all levels that wait to be counted; with more than this no time is shown.
const MAX_PENDING: usize = 100_000;

#[derive(Debug, Default)]
pub(super) struct Ahead {
    entries: AtomicU64,
    complete: AtomicBool,
}

impl Ahead {
    /// All entries, once they are known.
    pub(super) fn total(&self) -> Option<u64> {
        self.complete
            .load(Ordering::Acquire)
            .then(|| self.entries.load(Ordering::Relaxed))
    }

    /// Counts until all is counted or the copy is over.
    pub(super) fn count(&self, root: &Arc<Dir>, filter: &Filter, done: &Done) {
        let Ok(root) = root.reopen() else { return };
        let Ok(rules) = Rules::compile(filter) else {
            return;
        };
        let device = match rules.is_one_file_system() {
            true => root.meta().ok().map(|meta| meta.dev),
            false => None,
        };
        let mut counting = Counting {
            descent: Descent::new(&root, Vec::new()),
            rules,
            device,
            path: Vec::new(),
            pending: 0,
            entries: &self.entries,
            buffer: ListingBuffer::default(),
        };
        if counting.count(done).is_ok() {
            self.complete.store(true, Ordering::Release);
        }
    }
}

/// The total will not be known.
struct GivenUp;

struct Counting<'a> {
    /// With the names in each directory that are still to be visited.
    descent: Descent<'a, Vec<Box<CStr>>>,
    rules: Rules,
    /// The only one whose directories are entered; none: all are.
    device: Option<u64>,
    /// Of the current directory, where there are patterns.
    path: Vec<u8>,
    /// All these names.
    pending: usize,
    entries: &'a AtomicU64,
    buffer: ListingBuffer,
}

impl Counting<'_> {
    fn count(&mut self, done: &Done) -> Result<(), GivenUp> {
        self.read()?;
        while !done.is_set() {
            let Some(name) = self.descent.level().1.pop() else {
                match self.descent.leave() {
                    Ok(Some(_)) => {
                        let above = self.path.iter().rposition(|byte| *byte == b'/');
                        self.path.truncate(above.unwrap_or(0));
                        continue;
                    }
                    Ok(None) => return Ok(()),
                    Err(_) => return Err(GivenUp),
                }
            };
            self.pending -= 1;
            match self.descent.enter(&*name, Vec::new()) {
                Ok(()) => {
                    self.remember(&name);
                    if !self.is_elsewhere() {
                        self.read()?;
                    }
                }
                Err(error) if error.is_out_of_descriptors() => return Err(GivenUp),
                Err(_) => {}
            }
        }
        Err(GivenUp)
    }

    fn remember(&mut self, name: &CStr) {
        if self.rules.has_patterns() {
            if !self.path.is_empty() {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name.to_bytes());
        }
    }

    fn is_elsewhere(&self) -> bool {
        let is_on = |device| {
            let meta = self.descent.current().meta();
            meta.is_ok_and(|meta| meta.dev == device)
        };
        self.device.is_some_and(|device| !is_on(device))
    }

    /// Reads the current directory.
    fn read(&mut self) -> Result<(), GivenUp> {
        let path = RelPath::new(self.path.clone()).unwrap_or(RelPath::ROOT);
        let above = self.rules.above(&path);
        let rules = &self.rules;
        let is_entered = |name: &CStr| {
            let path = || path.join(name.to_bytes());
            !rules.has_patterns() || rules.skips(above, &path(), EntryKind::Directory).is_none()
        };
        let (directory, names) = self.descent.level();
        let mut entries = 0;
        let mut kinds_are_told = true;
        loop {
            let before = names.len();
            let listed = directory.list_chunk(&mut self.buffer, |name, kind| {
                entries += 1;
                match kind {
                    Kind::Directory if is_entered(name) => names.push(name.into()),
                    Kind::Unknown => kinds_are_told = false,
                    _ => {}
                }
            });
            self.pending += names.len() - before;
            if self.pending > MAX_PENDING || !kinds_are_told {
                return Err(GivenUp);
            }
            match listed {
                Ok(Listed::Chunk) => {}
                Ok(Listed::End) | Err(_) => break,
            }
        }
        self.entries.fetch_add(entries, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::process::Command;
    use std::sync::Arc;

    use model::Filter;
    use storage::posix::Dir;
    use testkit::Scratch;

    use super::{Ahead, Done};

    const LEVELS: u64 = 10_000;
    const MAX_DESCRIPTORS: u32 = 64;

    /// Runs a test of this file that is ignored otherwise in a process with few descriptors, since the limit is the
    /// process's.
    fn passes_with_few_descriptors(test: &str) {
        let limited = format!("ulimit -n {MAX_DESCRIPTORS} && exec \"$0\" \"$@\"");
        let ended = Command::new("sh")
            .args(["-c", &limited])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored", "--test-threads=1"])
            .arg(format!(
                "{}::{test}",
                module_path!().split_once("::").unwrap().1
            ))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ended.stdout);
        assert!(ended.status.success(), "{said}");
        assert!(said.contains("1 passed"), "{said}");
    }

    /// A chain with as many entries as levels. In memory: removing directories one in another takes minutes on
    /// some disks.
    fn chain(levels: u64) -> (Scratch, Arc<Dir>) {
        let scratch = Scratch::in_memory("ahead");
        let root = Arc::new(Dir::open_root(scratch.path()).unwrap());
        let mut above = root.reopen().unwrap();
        for _ in 0..levels {
            above.mkdir("down", 0o700).unwrap();
            above = above.open_dir("down").unwrap();
        }
        (scratch, root)
    }

    #[test]
    fn ten_thousand_levels_are_counted() {
        passes_with_few_descriptors("many_levels_are_counted_with_few_descriptors");
    }

    #[test]
    #[ignore = "run by another one"]
    fn many_levels_are_counted_with_few_descriptors() {
        let (_scratch, root) = chain(LEVELS);
        let ahead = Ahead::default();
        ahead.count(&root, &Filter::default(), &Done::default());
        root.remove_tree("down").unwrap();
        assert_eq!(ahead.total(), Some(LEVELS));
    }

    #[test]
    fn what_lies_in_directories_that_are_left_out_is_not_counted() {
        let scratch = Scratch::new("ahead-filter");
        for path in ["a/out/x", "a/in/x", "out/y", "b/c/out/z"] {
            scratch.directory(path);
        }
        let root = Arc::new(Dir::open_root(scratch.path()).unwrap());
        let filter = Filter {
            exclude: vec!["out".to_owned()],
            ..Filter::default()
        };
        let ahead = Ahead::default();
        ahead.count(&root, &filter, &Done::default());
        // a, a/in, a/in/x, b and b/c, and three that are left out.
        assert_eq!(ahead.total(), Some(8));
    }

    #[test]
    fn without_descriptors_no_total_is_shown() {
        passes_with_few_descriptors("a_count_that_runs_out_of_descriptors_gives_up");
    }

    #[test]
    #[ignore = "run by another one"]
    fn a_count_that_runs_out_of_descriptors_gives_up() {
        let (_scratch, root) = chain(10);
        let mut others: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        others.truncate(others.len() - 5);
        let ahead = Ahead::default();
        ahead.count(&root, &Filter::default(), &Done::default());
        drop(others);
        assert_eq!(ahead.total(), None);
    }
}
