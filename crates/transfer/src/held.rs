//! Directories that are held while something in them is still to be done, few of them open.
//!
//! In a deep tree with siblings at each level as many directories wait as there are levels. Beyond a number those
//! that were opened longest ago are closed, and opened again when their turn comes: from the nearest open directory
//! above, component by component, never following a link, and recognised by device and inode. One that is another
//! directory by then is an error, and nothing is done in it.

use std::collections::VecDeque;
use std::ffi::{CStr, CString};
use std::sync::{Arc, Mutex, Weak};

use storage::posix::{Dir, Error, Meta};

use crate::engine::lock;

/// Of all descriptors that the process may have, up to two of these parts are for directories that wait: more than all
/// threads have to do with at once.
const PART_OF_DESCRIPTORS: u64 = 4;
const MOST: u64 = 4_096;
const FEWEST: u64 = 16;

/// One directory on one side.
pub(crate) struct Held {
    above: Option<Arc<Held>>,
    name: CString,
    identity: (u64, u64),
    open: Mutex<Option<Arc<Dir>>>,
}

/// So many may wait to be looked through, however few are still there.
const UNLOOKED: usize = 64;

/// Which of them are open and may be closed.
pub(crate) struct HeldDirs {
    open: Mutex<Open>,
    most: usize,
}

struct Open {
    /// Longest open first. Those that are done with keep some memory as long as they stand here.
    queue: VecDeque<Weak<Held>>,
    /// It is looked through when it is longer: twice as long as what was left the last time.
    looked_through_at: usize,
}

impl Open {
    fn push(&mut self, held: &Arc<Held>) {
        self.queue.push_back(Arc::downgrade(held));
        if self.queue.len() > self.looked_through_at {
            self.queue.retain(|held| held.strong_count() > 0);
            self.looked_through_at = (2 * self.queue.len()).max(UNLOOKED);
        }
    }
}

impl HeldDirs {
    pub(crate) fn new(max_descriptors: u64) -> Self {
        let most = (max_descriptors / PART_OF_DESCRIPTORS).clamp(FEWEST, MOST);
        Self {
            open: Mutex::new(Open {
                queue: VecDeque::new(),
                looked_through_at: UNLOOKED,
            }),
            most: most as usize,
        }
    }

    /// Where the way down begins: always open.
    pub(crate) fn root(dir: Arc<Dir>) -> Arc<Held> {
        Arc::new(Held {
            above: None,
            name: CString::default(),
            identity: (0, 0),
            open: Mutex::new(Some(dir)),
        })
    }

    /// A directory just opened, which stays open until [`HeldDirs::may_close`].
    pub(crate) fn below(above: &Arc<Held>, name: &CStr, dir: Arc<Dir>, meta: &Meta) -> Arc<Held> {
        Arc::new(Held {
            above: Some(Arc::clone(above)),
            name: name.to_owned(),
            identity: (meta.dev, meta.ino),
            open: Mutex::new(Some(dir)),
        })
    }

    /// It can be found again under its name.
    pub(crate) fn may_close(&self, held: &Arc<Held>) {
        if held.above.is_none() {
            return;
        }
        let mut closed = Vec::new();
        {
            let mut open = lock(&self.open);
            open.push(held);
            // Half of them at once, since each time all are looked through.
            if open.queue.len() > 2 * self.most {
                open.queue.retain(|held| held.strong_count() > 0);
                while open.queue.len() > self.most {
                    closed.extend(open.queue.pop_front().and_then(|held| held.upgrade()));
                }
            }
        }
        // Closed by whoever uses it last.
        for held in closed {
            let dir = lock(&held.open).take();
            drop(dir);
        }
    }

    /// The directory, opened again if need be.
    pub(crate) fn open(&self, held: &Arc<Held>) -> Result<Arc<Dir>, Error> {
        if let Some(dir) = &*lock(&held.open) {
            return Ok(Arc::clone(dir));
        }
        let (mut here, closed) = held.nearest_open();
        // On the way back up it is the innermost that are needed next. All of a long way would close those of the
        // other side, and the other side's these in turn.
        let kept = self.most / 4;
        for (left, held) in closed.into_iter().enumerate().rev() {
            let is_kept = left < kept;
            let name = held.name.as_c_str();
            let dir = match is_kept {
                true => here.open_dir(name)?,
                false => here.open_passage(name)?,
            };
            let meta = dir.meta()?;
            if (meta.dev, meta.ino) != held.identity {
                return Err(Error::moved());
            }
            here = Arc::new(dir);
            if is_kept {
                *lock(&held.open) = Some(Arc::clone(&here));
                self.may_close(held);
            }
        }
        Ok(here)
    }
}

impl Held {
    /// As it was when it was opened; of a root: none.
    pub(crate) fn device(&self) -> u64 {
        self.identity.0
    }

    /// The nearest open directory at or above this one, and those that are closed below it, innermost first.
    fn nearest_open(self: &Arc<Self>) -> (Arc<Dir>, Vec<&Arc<Held>>) {
        let mut closed = Vec::new();
        let mut held = self;
        loop {
            if let Some(dir) = &*lock(&held.open) {
                return (Arc::clone(dir), closed);
            }
            closed.push(held);
            held = held.above.as_ref().expect("the root is never closed");
        }
    }
}

impl Drop for Held {
    /// One after another: dropped within each other, the levels of a deep tree would overflow the stack.
    fn drop(&mut self) {
        let mut above = self.above.take();
        while let Some(held) = above {
            above = Arc::into_inner(held).and_then(|mut held| held.above.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use storage::posix::Dir;

    use super::{Held, HeldDirs};
    use crate::engine::lock;

    fn chain(dirs: &HeldDirs, root: &Arc<Held>, names: &[String]) -> Vec<Arc<Held>> {
        let mut chain = vec![Arc::clone(root)];
        for name in names {
            let above = &chain[chain.len() - 1];
            let dir = dirs.open(above).unwrap().open_dir(name.as_str()).unwrap();
            let meta = dir.meta().unwrap();
            let name = std::ffi::CString::new(name.as_str()).unwrap();
            let held = HeldDirs::below(above, &name, Arc::new(dir), &meta);
            dirs.may_close(&held);
            chain.push(held);
        }
        chain
    }

    #[test]
    fn those_that_are_done_with_are_not_kept() {
        let scratch = tempfile::tempdir().unwrap();
        let dirs = HeldDirs::new(u64::MAX);
        let root = Arc::new(Dir::open_root(scratch.path()).unwrap());
        let above = HeldDirs::root(Arc::clone(&root));
        let hold = || {
            let meta = root.meta().unwrap();
            let held = HeldDirs::below(&above, c"x", Arc::clone(&root), &meta);
            dirs.may_close(&held);
            held
        };
        let kept: Vec<_> = (0..200).map(|_| hold()).collect();
        (0..10_000).for_each(|_| drop(hold()));
        assert!(lock(&dirs.open).queue.len() <= 2 * kept.len());
        assert!(kept.iter().all(|held| lock(&held.open).is_some()));
    }

    #[test]
    fn any_number_of_levels_is_dropped() {
        let held = |above| {
            Arc::new(Held {
                above,
                name: c"b".to_owned(),
                identity: (0, 0),
                open: Mutex::default(),
            })
        };
        drop((0..100_000).fold(held(None), |above, _| held(Some(above))));
    }

    #[test]
    fn few_are_open_and_each_is_found_again_unless_it_was_replaced() {
        let scratch = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..80).map(|n| n.to_string()).collect();
        std::fs::create_dir_all(scratch.path().join(names.join("/"))).unwrap();
        let dirs = HeldDirs::new(0);
        let root = HeldDirs::root(Arc::new(Dir::open_root(scratch.path()).unwrap()));
        let chain = chain(&dirs, &root, &names);
        let open = |held: &&Arc<Held>| lock(&held.open).is_some();
        assert!(chain.iter().filter(open).count() <= 2 * dirs.most + 1);
        for held in chain[1..].iter().rev() {
            let meta = dirs.open(held).unwrap().meta().unwrap();
            assert_eq!((meta.dev, meta.ino), held.identity);
        }
        assert!(chain.iter().filter(open).count() <= 2 * dirs.most + 1);

        let again = self::chain(&dirs, &root, &names);
        let third = scratch.path().join("0/1/2");
        std::fs::rename(third.join("3"), third.join("elsewhere")).unwrap();
        std::fs::create_dir_all(third.join(names[3..].join("/"))).unwrap();
        assert!(lock(&again[10].open).is_none(), "it is open still");
        assert!(dirs.open(&again[10]).is_err());
        assert!(dirs.open(&again[3]).is_ok());
    }
}
