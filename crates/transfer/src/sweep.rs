//! Finds and removes what runs that are dead left unfinished at a target.
//!
//! A run that goes on clears up after itself; this is for runs that were given up. What is found
//! is told apart by run, since only the user knows which runs are dead. However deep the target is, few
//! descriptors are held.

use std::collections::BTreeMap;
use std::ffi::CString;

use model::temp_name::MarkerName;
use model::{RelPath, RunId, TempName};
use storage::posix::{Descent, Dir, Error, Kind, Listed, ListingBuffer};

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
    sweep_below(root, &|name| {
        let run = run_of(name)?;
        Some((run, remove == Remove::All || remove == Remove::Of(run)))
    })
}

/// Whether a name is unfinished, of which run, and whether it is to be removed.
type Judge<'a> = &'a dyn Fn(&[u8]) -> Option<(RunId, bool)>;

pub(crate) fn sweep_below(root: &Dir, judge: Judge<'_>) -> Swept {
    let mut swept = Swept::default();
    match root.reopen() {
        Ok(root) => swept.look_below(&root, judge),
        Err(error) => swept.fail(RelPath::ROOT, &error),
    }
    swept
}

#[derive(Default)]
struct Level {
    /// In its parent; the root has none. A path of each would take memory by the square of the depth.
    name: CString,
    /// Those that are still to be looked into.
    sub_directories: Vec<CString>,
}

impl Swept {
    fn look_below(&mut self, root: &Dir, judge: Judge<'_>) {
        let mut buffer = ListingBuffer::default();
        let mut descent = Descent::new(root, Level::default());
        self.look(&mut descent, judge, &mut buffer);
        loop {
            let Some(name) = descent.level().1.sub_directories.pop() else {
                match descent.leave() {
                    Ok(Some(_)) => continue,
                    Ok(None) => return,
                    // What is left to look into lies above, where no way leads to.
                    Err(error) => return self.fail(path(&descent), &error),
                }
            };
            let level = Level {
                name: name.clone(),
                ..Level::default()
            };
            match descent.enter(name.as_c_str(), level) {
                Ok(()) => self.look(&mut descent, judge, &mut buffer),
                Err(error) if error.is_missing() => {}
                Err(error) => self.fail(path(&descent).join(name.to_bytes()), &error),
            }
        }
    }

    /// Looks through the current directory, and notes its sub-directories.
    fn look(
        &mut self,
        descent: &mut Descent<'_, Level>,
        judge: Judge<'_>,
        buffer: &mut ListingBuffer,
    ) {
        let (dir, level) = descent.level();
        let mut found = Vec::new();
        let listed = loop {
            let listed = dir.list_chunk(buffer, |name, kind| match judge(name.to_bytes()) {
                Some((run, is_removed)) => found.push((run, is_removed, name.to_owned())),
                None if kind == Kind::Directory => level.sub_directories.push(name.to_owned()),
                None => {}
            });
            match listed {
                Ok(Listed::Chunk) => {}
                Ok(Listed::End) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        if let Err(error) = listed {
            self.fail(path(descent), &error);
        }
        for (run, is_removed, name) in found {
            let counts = self.runs.entry(run).or_default();
            counts.0 += 1;
            if is_removed {
                match descent.current().remove_tree(name.as_c_str()) {
                    Ok(()) => counts.1 += 1,
                    Err(error) => self.fail(path(descent).join(name.to_bytes()), &error),
                }
            }
        }
    }

    fn fail(&mut self, path: RelPath, error: &Error) {
        self.failures.push((path, crate::engine::describe(error)));
    }
}

/// Of the current directory.
fn path(descent: &Descent<'_, Level>) -> RelPath {
    let names = descent.levels().skip(1);
    let names: Vec<&[u8]> = names.map(|level| level.name.to_bytes()).collect();
    RelPath::new(names.join(&b'/')).expect("names of a listing are components")
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
