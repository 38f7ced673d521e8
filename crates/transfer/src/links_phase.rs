//! Files whose names several items of a fleet met.
//!
//! An attempt that knows fewer names of a file than it has leaves those it knows to the links phase of the task: they are
//! written down, and counted as left to another item. When the trees are copied, the items of that phase do what
//! [`crate::hard_links`] does at the end of an attempt, with all names at hand.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use model::RelPath;
use model::found_links::{FileKey, FoundLink};
use storage::posix::Meta;

use crate::Stopped;
use crate::attempt::AttemptWork;
use crate::engine::{Engine, Problem, lock};
use crate::late::{FileId, Identity, LateFile, LateFiles};
use crate::ledger::{Tally, Verdict};
use crate::node::Node;
use crate::parents::{Both, Parents};
use crate::queue::{Job, Queue};
use crate::threads::Scratch;

/// Names that an attempt holds in memory; those that it meets after them are left to the links phase at once.
const MAX_HELD: usize = 100_000;

#[derive(Default)]
pub(crate) struct Links {
    held: AtomicUsize,
    /// What stands for each device.
    devices: Mutex<HashMap<u64, u64>>,
    /// Directories of the links phase that are rid of what earlier attempts left.
    cleared: Mutex<HashSet<RelPath>>,
}

impl Engine {
    pub(crate) fn is_links_phase(&self) -> bool {
        matches!(self.attempt.work, AttemptWork::Links(_))
    }

    /// The work of an item of the links phase.
    pub(crate) fn begin_links(&self, names: &[FoundLink], queue: &mut Queue) {
        let mut tally = Tally::default();
        tally.counters.listed += names.len() as u64;
        self.record(tally);
        let mut files: HashMap<FileKey, Vec<RelPath>> = HashMap::new();
        for link in names {
            files.entry(link.file).or_default().push(link.path.clone());
        }
        let files = files.into_iter().map(|(key, mut paths)| {
            paths.sort_unstable();
            LateFile {
                file: FileId {
                    device: None,
                    inode: key.inode,
                },
                known: paths.len() as u64,
                nlink: 1,
                first: None,
                waits: 0,
                paths,
                seen: None,
                bytes: 0,
            }
        });
        queue.push_first(Job::Late(LateFiles::new(files.collect())));
    }

    /// Whether a name that was just met is left to the links phase, since too many are held already.
    pub(crate) fn leaves_name(&self, meta: &Meta, path: impl FnOnce() -> RelPath) -> bool {
        if self.attempt.links.is_none()
            || self.late.links.held.fetch_add(1, Ordering::Relaxed) < MAX_HELD
        {
            return false;
        }
        let file = (meta.dev, meta.ino);
        // Where that fails the attempt stops.
        let _ = self.leave(file, &[path()], &mut Parents::default());
        true
    }

    /// Leaves files of which not all names are known to the links phase, if there is one; what comes back is to be done
    /// here.
    pub(crate) fn leave_links(
        &self,
        files: Vec<LateFile>,
        parents: &mut Parents,
    ) -> Result<Vec<LateFile>, Problem> {
        if self.attempt.links.is_none() {
            return Ok(files);
        }
        let mut mine = Vec::with_capacity(files.len());
        for late in files {
            match late.file.device {
                Some(device) if late.nlink > late.known => {
                    self.leave((device, late.file.inode), &late.paths, parents)?;
                }
                _ => mine.push(late),
            }
        }
        Ok(mine)
    }

    fn leave(
        &self,
        (device, inode): Identity,
        paths: &[RelPath],
        parents: &mut Parents,
    ) -> Result<(), Problem> {
        let Some(links) = &self.attempt.links else {
            return Ok(());
        };
        let mut tally = Tally::default();
        for path in paths {
            let file = FileKey {
                device: self.stands_for(device, path, parents)?,
                inode,
            };
            let path = path.clone();
            let link = FoundLink { file, path };
            links
                .add(&link)
                .map_err(|why| self.stop_with(Stopped::Again(why)))?;
            tally.count(Verdict::Deferred, || link.path);
        }
        self.record(tally);
        Ok(())
    }

    /// What stands for a device, on all machines: 0 for that of the source's root, else the path of the outermost
    /// directory on it. Where one is mounted twice, names of one file count as those of two.
    fn stands_for(
        &self,
        device: u64,
        path: &RelPath,
        parents: &mut Parents,
    ) -> Result<u64, Problem> {
        if let Some(known) = lock(&self.late.links.devices).get(&device) {
            return Ok(*known);
        }
        let root = self.attempt.source.meta();
        let root = root.map_err(|error| self.stop_again(&error, &RelPath::ROOT))?;
        let number = match root.dev == device {
            true => 0,
            false => number_of(&self.outermost_on(device, path, parents)),
        };
        lock(&self.late.links.devices).insert(device, number);
        Ok(number)
    }

    fn outermost_on(&self, device: u64, path: &RelPath, parents: &mut Parents) -> RelPath {
        let mut here = RelPath::ROOT;
        let Some((parent, _)) = path.split_last() else {
            return here;
        };
        for name in parent.components() {
            here = here.join(name);
            // What can't be looked at is not gone through: then the name's own directory stands for the device.
            match parents.open(self, &here).map(|both| both.source.meta()) {
                Ok(Ok(meta)) if meta.dev == device => break,
                Ok(Ok(_)) => {}
                _ => return parent.clone(),
            }
        }
        here
    }

    /// Removes what earlier attempts at an item of the links phase left in a directory, once.
    pub(crate) fn clear_for_links(
        &self,
        node: &Node,
        both: &Both,
        scratch: &mut Scratch,
    ) -> Result<(), Problem> {
        let Some(target) = &both.target else {
            return Ok(());
        };
        if self.attempt.epoch.0 > 1
            && self.is_links_phase()
            && lock(&self.late.links.cleared).insert(RelPath::clone(&node.path))
        {
            self.clear_leftovers(target, scratch)
                .map_err(|error| self.stop_again(&error, &node.path))?;
        }
        Ok(())
    }
}

/// Never 0.
fn number_of(path: &RelPath) -> u64 {
    let digest = blake3::hash(path.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&digest.as_bytes()[..8]);
    u64::from_le_bytes(first) | 1
}
