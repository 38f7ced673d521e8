//! When the items of a task's phase are done, what comes next.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;

use model::{ItemId, ItemState, Purpose, RelPath, Task, TaskId, Work};

use super::owed::Owed;
use super::{Scheduler, State};
use crate::links;
use crate::no_room::is_no_room;
use crate::store::{Applied, Phase, StoreError};

/// Paths in one item: directories of the attributes phase, or entries that are tried again.
const PATHS_PER_ITEM: usize = 5_000;

/// Bytes of their paths in one item, well below what a message may have.
const BYTES_PER_ITEM: usize = 1 << 20;

impl Scheduler {
    /// Moves a task on if nothing of its phase is open, now or when there is room. Safe to call at any time and twice
    /// at once.
    pub fn advance(&self, task: TaskId) -> Result<(), StoreError> {
        self.settle(Owed::Advance(task))
    }

    pub(super) fn advance_now(&self, task: TaskId) -> Result<(), StoreError> {
        let Some(phase) = self.phase_of(task) else {
            return Ok(());
        };
        if self.store.open_items(self.run, task)? > 0 {
            return Ok(());
        }
        match phase {
            Phase::Copy if self.begin_links(task)? => Ok(()),
            Phase::Copy | Phase::Links => {
                let nothing_to_set = self.settings.options.dry_run || self.has_remote_end(task);
                let directories = match nothing_to_set {
                    true => BTreeSet::new(),
                    false => self.left_open(task)?,
                };
                if directories.is_empty() {
                    self.close(task)
                } else {
                    let works = pieces(directories).into_iter().map(attribute_work);
                    self.begin(task, Phase::Attributes, works.collect())
                }
            }
            Phase::Attributes => self.close(task),
            // The close item may have been lost with its worker, too.
            Phase::Close => match self.waits_for_superseded(task) {
                true => Ok(()),
                false => self.finish_task(task),
            },
        }
    }

    fn phase_of(&self, task: TaskId) -> Option<Phase> {
        let state = self.state();
        let task = state.tasks.get(&task)?;
        task.record.result.is_none().then_some(task.record.phase)
    }

    /// Whether a superseded attempt may still be alive: such a one could otherwise write below a task that was called done.
    fn waits_for_superseded(&self, task: TaskId) -> bool {
        let mut state = self.state();
        let State { fleet, tasks, .. } = &mut *state;
        let may_be_written_to = fleet.may_be_written_to(task, self.clock.now());
        if let Some(state) = tasks.get_mut(&task) {
            state.waits_for_time = may_be_written_to;
        }
        may_be_written_to
    }

    /// The last item.
    fn close(&self, task: TaskId) -> Result<(), StoreError> {
        if self.waits_for_superseded(task) {
            return Ok(());
        }
        let nothing_was_begun = self
            .state()
            .tasks
            .get(&task)
            .is_some_and(|task| task.record.source_identity.is_none());
        if self.settings.options.dry_run || nothing_was_begun || self.target_is_remote(task) {
            return self.finish_task(task);
        }
        let work = Work::Walk {
            directories: vec![RelPath::ROOT],
            purpose: Purpose::Close,
        };
        self.begin(task, Phase::Close, vec![work])
    }

    /// Begins the phase of names that several items left; whether there are any.
    fn begin_links(&self, task: TaskId) -> Result<bool, StoreError> {
        // Its lists are dealt once, however often the end of the last item is told.
        let dealing = self
            .dealing
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if self.phase_of(task) != Some(Phase::Copy) {
            return Ok(true);
        }
        let items = self.store.items(self.run, task)?;
        let left = items
            .iter()
            .filter(|record| record.item.state == ItemState::Done)
            .map(|record| self.received.links(record.item.id, record.item.epoch));
        let left: Vec<PathBuf> = left
            .filter_map(|list| match list.try_exists() {
                Ok(true) => Some(Ok(list)),
                Ok(false) => None,
                Err(error) => Some(Err(of_links(error))),
            })
            .collect::<Result<_, _>>()?;
        if left.is_empty() {
            return Ok(false);
        }
        let new_item = || ItemId::from_random(self.clock.random());
        let dealt = match links::deal(&left, &self.received, new_item) {
            // A worker sent what none of ours writes: that ends its task, not the server.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                // Whatever the end of a task brings with it may deal, too.
                drop(dealing);
                self.fail_task(task, error.to_string())?;
                return Ok(true);
            }
            dealt => dealt.map_err(of_links)?,
        };
        self.begin_with(task, Phase::Links, &dealt)?;
        Ok(true)
    }

    fn begin(&self, task: TaskId, phase: Phase, works: Vec<Work>) -> Result<(), StoreError> {
        let items: Vec<(ItemId, Work)> = works
            .into_iter()
            .map(|work| (ItemId::from_random(self.clock.random()), work))
            .collect();
        self.begin_with(task, phase, &items)
    }

    fn begin_with(
        &self,
        task: TaskId,
        phase: Phase,
        items: &[(ItemId, Work)],
    ) -> Result<(), StoreError> {
        let applied = self
            .store
            .begin_phase(self.run, task, phase, items, self.clock.now_ms())?;
        if applied == Applied::Now {
            tracing::debug!("task {task}: phase {phase:?} with {} items", items.len());
        }
        if let Some(state) = self.state().tasks.get_mut(&task) {
            state.record.phase = state.record.phase.max(phase);
        }
        self.waiting(task, items.len());
        Ok(())
    }

    /// Directories below the root whose times no item could set for good: the parents of what was handed
    /// over or tried again, into which several items wrote, and all directories on the way to the paths of a list,
    /// which no item has as an entry.
    fn left_open(&self, task: TaskId) -> Result<BTreeSet<RelPath>, StoreError> {
        let mut directories = BTreeSet::new();
        let mut has_list = false;
        for record in self.store.items(self.run, task)? {
            match record.item.work {
                Work::Walk {
                    directories: walked,
                    purpose: Purpose::Copy,
                }
                | Work::Entries(walked) => {
                    for directory in walked {
                        directories.extend(directory.split_last().map(|(parent, _)| parent));
                    }
                }
                // Several items wrote into it, whoever finds it.
                Work::Shard { directory, .. } => {
                    directories.insert(directory);
                }
                // rclone's directories are set by whoever ran it.
                Work::Walk { .. } | Work::Files(_) | Work::Range(_) => {}
                Work::Paths { .. } => has_list = true,
                Work::Links { .. } => {
                    let list = self.received.list(record.item.id);
                    links::parents(&list, &mut directories).map_err(of_links)?;
                }
            }
        }
        if has_list && let Err(e) = self.directories_of_list(task, &mut directories) {
            tracing::warn!(
                "task {task}: cannot read its list again, some directory times may be off: {e}"
            );
        }
        directories.remove(&RelPath::ROOT);
        Ok(directories)
    }

    /// Whether source or target is an rclone remote.
    fn has_remote_end(&self, task: TaskId) -> bool {
        self.with_task(task, |task| {
            task.source.as_posix().is_none() || task.target.as_posix().is_none()
        })
    }

    /// On a remote there is no marker and no root to set attributes of.
    fn target_is_remote(&self, task: TaskId) -> bool {
        self.with_task(task, |task| task.target.as_posix().is_none())
    }

    fn with_task(&self, task: TaskId, is: impl Fn(&Task) -> bool) -> bool {
        let state = self.state();
        state
            .tasks
            .get(&task)
            .is_some_and(|state| is(&state.record.task))
    }

    fn directories_of_list(
        &self,
        task: TaskId,
        directories: &mut BTreeSet<RelPath>,
    ) -> std::io::Result<()> {
        let Some(list) = self.lists.get(&task) else {
            return Ok(());
        };
        for path in BufReader::new(std::fs::File::open(&list.file)?).split(0) {
            let mut path = RelPath::new(path?).unwrap_or_default();
            while let Some((parent, _)) = path.split_last() {
                // Once a directory is known, so are those above it.
                if parent.is_root() || !directories.insert(parent.clone()) {
                    break;
                }
                path = parent;
            }
        }
        Ok(())
    }
}

fn of_links(source: io::Error) -> StoreError {
    let action = "deal out names of files that have several";
    match is_no_room(&source) {
        true => StoreError::NoRoom {
            action,
            source: source.into(),
        },
        false => StoreError::Database {
            action,
            source: source.into(),
        },
    }
}

/// Items of so many paths, and of so many bytes of them: an item has to fit into a message.
pub(super) fn pieces(paths: impl IntoIterator<Item = RelPath>) -> Vec<Vec<RelPath>> {
    pieces_of(paths, PATHS_PER_ITEM)
}

/// As [`pieces`], of at most so many paths.
pub(super) fn pieces_of(
    paths: impl IntoIterator<Item = RelPath>,
    at_most: usize,
) -> Vec<Vec<RelPath>> {
    let mut pieces: Vec<Vec<RelPath>> = Vec::new();
    let mut bytes = 0;
    for path in paths {
        bytes += path.as_bytes().len();
        match pieces.last_mut() {
            Some(piece) if piece.len() < at_most && bytes <= BYTES_PER_ITEM => {
                piece.push(path);
            }
            _ => {
                bytes = path.as_bytes().len();
                pieces.push(vec![path]);
            }
        }
    }
    pieces
}

fn attribute_work(directories: Vec<RelPath>) -> Work {
    Work::Walk {
        directories,
        purpose: Purpose::Attributes,
    }
}

#[cfg(test)]
mod tests {
    use model::RelPath;

    use super::{BYTES_PER_ITEM, PATHS_PER_ITEM, pieces};

    fn sizes(directories: impl Iterator<Item = String>) -> Vec<usize> {
        let directories = directories.map(|path| RelPath::new(path).unwrap());
        pieces(directories).iter().map(Vec::len).collect()
    }

    #[test]
    fn an_item_of_paths_is_bounded_in_number_and_in_bytes() {
        assert!(sizes(std::iter::empty()).is_empty());
        let many = (0..=PATHS_PER_ITEM).map(|n| format!("{n:06}"));
        assert_eq!(sizes(many), [PATHS_PER_ITEM, 1]);
        let long = "d/".repeat(BYTES_PER_ITEM / 8);
        let long = (0..5).map(|n| format!("{long}{n}"));
        assert_eq!(sizes(long), [3, 2]);
        let longest = "d/".repeat(BYTES_PER_ITEM) + "d";
        assert_eq!(sizes(std::iter::once(longest)), [1]);
    }
}
