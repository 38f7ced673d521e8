//! Finds and removes what runs that are dead left unfinished at a target.
//!
//! A run that goes on clears up after itself; this is for runs that were given up. What is found
//! is told apart by run, since only the user knows which runs are dead.

use std::collections::BTreeMap;
use std::ffi::CString;

use model::temp_name::MarkerName;
use model::{RelPath, RunId, TempName};
use storage::posix::{Dir, Error, Kind, Listed, ListingBuffer};

/// What is to be removed; what is found is counted either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remove {
    Nothing,
    Of(RunId),
    All,
}

/// What lay below a root.
#[derive(Debug, Default)]
pub struct Swept {
    /// Unfinished entries and markers of each run: found, and of them removed. What is within an unfinished
    /// directory is not counted.
    pub runs: BTreeMap<RunId, (u64, u64)>,
    /// Where it could not look or remove, and why.
    pub failures: Vec<(RelPath, String)>,
}

/// Looks through everything below `root`.
pub fn sweep(root: &Dir, remove: Remove) -> Swept {
    let mut swept = Swept::default();
    let mut buffer = ListingBuffer::default();
    let mut levels = Vec::new();
    match root.reopen() {
        Ok(dir) => levels.push(swept.look(dir, RelPath::ROOT, remove, &mut buffer)),
        Err(error) => swept.fail(RelPath::ROOT, &error),
    }
    while let Some(level) = levels.last_mut() {
        let Some(name) = level.sub_directories.pop() else {
            levels.pop();
            continue;
        };
        let path = level.path.join(name.to_bytes());
        match level.dir.open_dir(name.as_c_str()) {
            Ok(dir) => levels.push(swept.look(dir, path, remove, &mut buffer)),
            Err(error) if error.is_missing() => {}
            Err(error) => swept.fail(path, &error),
        }
    }
    swept
}

struct Level {
    dir: Dir,
    path: RelPath,
    sub_directories: Vec<CString>,
}

impl Swept {
    fn look(
        &mut self,
        dir: Dir,
        path: RelPath,
        remove: Remove,
        buffer: &mut ListingBuffer,
    ) -> Level {
        let mut sub_directories = Vec::new();
        let mut found = Vec::new();
        loop {
            let listed = dir.list_chunk(buffer, |name, kind| match run_of(name.to_bytes()) {
                Some(run) => found.push((run, name.to_owned())),
                None if kind == Kind::Directory => sub_directories.push(name.to_owned()),
                None => {}
            });
            match listed {
                Ok(Listed::Chunk) => {}
                Ok(Listed::End) => break,
                Err(error) => {
                    self.fail(path.clone(), &error);
                    break;
                }
            }
        }
        for (run, name) in found {
            let counts = self.runs.entry(run).or_default();
            counts.0 += 1;
            if remove == Remove::All || remove == Remove::Of(run) {
                match dir.remove_tree(name.as_c_str()) {
                    Ok(()) => counts.1 += 1,
                    Err(error) => self.fail(path.join(name.to_bytes()), &error),
                }
            }
        }
        Level {
            dir,
            path,
            sub_directories,
        }
    }

    fn fail(&mut self, path: RelPath, error: &Error) {
        self.failures.push((path, crate::engine::describe(error)));
    }
}

fn run_of(name: &[u8]) -> Option<RunId> {
    TempName::parse(name)
        .map(|temp| temp.run)
        .or_else(|| MarkerName::parse(name).map(|marker| marker.run))
}

#[cfg(test)]
mod tests {
    use super::{Remove, sweep};
    use model::{Epoch, ItemId, RunId, TempName};
    use storage::posix::Dir;

    #[test]
    fn only_what_the_named_run_left_is_removed() {
        let scratch = tempfile::tempdir().unwrap();
        let temp = |run, seq| {
            TempName {
                run: RunId::from_random(run),
                item: ItemId::from_random(9),
                epoch: Epoch(1),
                seq,
            }
            .format()
        };
        let below = scratch.path().join("a/b");
        std::fs::create_dir_all(below.join(temp(1, 1)).join("x/y")).unwrap();
        std::fs::write(below.join(temp(1, 2)), "").unwrap();
        std::fs::write(below.join(temp(2, 1)), "").unwrap();
        std::fs::write(below.join(".dm.mine"), "").unwrap();
        let root = Dir::open_root(scratch.path()).unwrap();

        let found = sweep(&root, Remove::Nothing);
        assert_eq!(found.runs[&RunId::from_random(1)], (2, 0));
        let swept = sweep(&root, Remove::Of(RunId::from_random(1)));
        assert_eq!(swept.runs[&RunId::from_random(1)], (2, 2));
        assert!(swept.failures.is_empty());
        let mut left: Vec<_> = std::fs::read_dir(&below)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, [temp(2, 1), ".dm.mine".to_owned()]);
    }
}
