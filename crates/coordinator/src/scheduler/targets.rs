//! Targets that take nothing more: which tasks wait for that, and how it is found out that there is room again.
//!
//! No space, and a read-only file system, concern the whole *volume*: all tasks whose targets lie on it wait. A quota
//! may be that of a directory or of an owner, so it concerns the one task that met it, and the others find out for themselves.
//!
//! While a place is paused nothing is granted of its tasks, but one item each while as a *probe*, of one task after
//! the other. A probe that has copied something ends the pause. Nothing here is stored: a server that
//! starts again finds out anew.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use model::{Epoch, ItemId, NoRoom, TaskId};

use crate::store::GrantFrom;

/// How often it is said that a place is still paused.
const SAY_AGAIN: Duration = Duration::from_secs(600);

/// What a probe has copied after so long is on the target, and did not fill it.
const PROOF: Duration = Duration::from_secs(10);

/// What an attempt found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Full {
    pub no_room: NoRoom,
    /// Where the volume of the target is mounted, if the worker knows.
    pub volume: Option<PathBuf>,
}

/// What is full.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// By its mount point, which is the same on all workers.
    Volume(PathBuf),
    /// The target of this task.
    Task(TaskId),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pause {
    pub(super) since: Instant,
    /// What the newest attempt said that found no room.
    pub(super) message: String,
    pub(super) next_probe: Instant,
    probe: Probe,
    /// The task that gave the last probe.
    turn: Option<TaskId>,
    said: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Probe {
    None,
    /// The store is asked for an item.
    Asked,
    Out(ItemId, Epoch, Instant),
}

/// A pause to speak of, with its tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) place: Place,
    pub(super) tasks: Vec<TaskId>,
    pub(super) lasted: Duration,
    pub(super) message: String,
}

/// What a look at all pauses brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Looked {
    pub(super) ended: Vec<Told>,
    pub(super) still: Vec<Told>,
    /// Whoever idles may get a probe.
    pub(super) is_probe_due: bool,
}

#[derive(Debug)]
pub(super) struct Targets {
    every: Duration,
    /// As workers said.
    volumes: BTreeMap<TaskId, PathBuf>,
    paused: BTreeMap<Place, Pause>,
}

impl Targets {
    /// A paused place is probed after `every`.
    pub(super) fn new(every: Duration) -> Self {
        Self {
            every,
            volumes: BTreeMap::new(),
            paused: BTreeMap::new(),
        }
    }

    /// The first word on where a task's target lies holds: names of mount points may differ between machines.
    pub(super) fn lies_on(&mut self, task: TaskId, volume: PathBuf) {
        self.volumes.entry(task).or_insert(volume);
    }

    /// An attempt found no room. Answers with the pause if it begins with this.
    pub(super) fn full(
        &mut self,
        task: TaskId,
        attempt: (ItemId, Epoch),
        full: Full,
        message: &str,
        now: Instant,
    ) -> Option<Told> {
        if let Some(volume) = full.volume {
            self.lies_on(task, volume);
        }
        let place = match self.volumes.get(&task) {
            Some(volume) if full.no_room.is_of_whole_volume() => Place::Volume(volume.clone()),
            _ => Place::Task(task),
        };
        let next_probe = now + self.every;
        if let Some(pause) = self.paused.get_mut(&place) {
            message.clone_into(&mut pause.message);
            if pause.is_probed_by(attempt) {
                (pause.probe, pause.next_probe) = (Probe::None, next_probe);
            }
            return None;
        }
        let pause = Pause {
            since: now,
            message: message.to_owned(),
            next_probe,
            probe: Probe::None,
            turn: None,
            said: now,
        };
        self.paused.insert(place.clone(), pause);
        Some(self.told(&place, &self.paused[&place], now))
    }

    /// The pause that the task waits for; of two the volume's.
    pub(super) fn pause_of(&self, task: TaskId) -> Option<&Pause> {
        if self.paused.is_empty() {
            return None;
        }
        self.places_of(task)
            .find_map(|place| self.paused.get(&place))
    }

    /// Leaves out what is paused, but for probes that are due: these come first, one item for each place. Returns the
    /// places that are probed if the store has an item; see [`Targets::not_granted`].
    pub(super) fn admit(&mut self, from: &mut Vec<GrantFrom>, now: Instant) -> Vec<Place> {
        if self.paused.is_empty() {
            return Vec::new();
        }
        let mut probing = BTreeSet::new();
        let mut asked = Vec::new();
        let places: Vec<Place> = self.paused.keys().cloned().collect();
        for place in places {
            let waiting = from.iter().map(|from| from.task);
            let Some(task) = self.next_probe_of(&place, waiting, now) else {
                continue;
            };
            probing.insert(task);
            let of_task: Vec<Place> = self.places_of(task).collect();
            for place in of_task {
                if let Some(pause) = self.paused.get_mut(&place) {
                    (pause.probe, pause.turn) = (Probe::Asked, Some(task));
                    asked.push(place);
                }
            }
        }
        from.retain(|from| probing.contains(&from.task) || self.pause_of(from.task).is_none());
        for from in from.iter_mut() {
            if probing.contains(&from.task) {
                from.at_most = 1;
            }
        }
        from.sort_by_key(|from| !probing.contains(&from.task));
        asked
    }

    /// The task whose turn it is to give a probe of the place, if one is due.
    fn next_probe_of(
        &self,
        place: &Place,
        waiting: impl Iterator<Item = TaskId>,
        now: Instant,
    ) -> Option<TaskId> {
        let is_due = |place: &Place| self.paused.get(place).is_none_or(|p| p.is_due(now));
        let turn = self.paused.get(place)?.turn;
        waiting
            .filter(|task| self.places_of(*task).any(|of_task| of_task == *place))
            .filter(|task| self.places_of(*task).all(|place| is_due(&place)))
            .min_by_key(|task| (Some(*task) <= turn, *task))
    }

    /// An item was granted: if its place was to be probed, this is the probe.
    pub(super) fn granted(&mut self, task: TaskId, item: ItemId, epoch: Epoch, now: Instant) {
        let places: Vec<Place> = self.places_of(task).collect();
        for place in places {
            if let Some(pause) = self.paused.get_mut(&place)
                && pause.probe == Probe::Asked
            {
                pause.probe = Probe::Out(item, epoch, now);
            }
        }
    }

    /// Nothing was there for the rest of the probes that were asked for.
    pub(super) fn not_granted(&mut self, asked: &[Place]) {
        for place in asked {
            if let Some(pause) = self.paused.get_mut(place)
                && pause.probe == Probe::Asked
            {
                pause.probe = Probe::None;
            }
        }
    }

    /// An attempt has completed. A probe that had nothing to copy proves nothing; the next one goes out at once.
    pub(super) fn completed(
        &mut self,
        attempt: (ItemId, Epoch),
        has_copied: bool,
        now: Instant,
    ) -> Vec<Told> {
        self.end(now, |pause| has_copied && pause.is_probed_by(attempt))
    }

    /// What time and progress bring about. `copied` tells of an attempt how many entries it has copied, if it is
    /// under way.
    pub(super) fn look(
        &mut self,
        now: Instant,
        copied: impl Fn(ItemId, Epoch) -> Option<u64>,
    ) -> Looked {
        let proof = PROOF.min(self.every);
        let ended = self.end(now, |pause| match pause.probe {
            Probe::Out(item, epoch, since) => {
                now.duration_since(since) >= proof && copied(item, epoch).is_some_and(|n| n > 0)
            }
            Probe::None | Probe::Asked => false,
        });
        let mut is_probe_due = false;
        let mut still = Vec::new();
        for (place, pause) in &mut self.paused {
            if let Probe::Out(item, epoch, _) = pause.probe
                && copied(item, epoch).is_none()
            {
                // Its worker was lost, or it was handed back for some other reason: another one goes out.
                pause.probe = Probe::None;
            }
            is_probe_due |= pause.is_due(now);
            if now.duration_since(pause.said) >= SAY_AGAIN {
                pause.said = now;
                still.push(place.clone());
            }
        }
        let still = still
            .iter()
            .map(|place| self.told(place, &self.paused[place], now));
        Looked {
            still: still.collect(),
            ended,
            is_probe_due,
        }
    }

    /// The task is over.
    pub(super) fn forget(&mut self, task: TaskId) {
        self.volumes.remove(&task);
        let volumes = &self.volumes;
        self.paused.retain(|place, _| match place {
            Place::Task(of) => *of != task,
            Place::Volume(volume) => volumes.values().any(|v| v == volume),
        });
    }

    fn end(&mut self, now: Instant, is_over: impl Fn(&Pause) -> bool) -> Vec<Told> {
        let over = self.paused.iter().filter(|(_, pause)| is_over(pause));
        let told: Vec<Told> = over
            .map(|(place, pause)| self.told(place, pause, now))
            .collect();
        for ended in &told {
            self.paused.remove(&ended.place);
        }
        told
    }

    /// Where a task's target lies; the volume first.
    fn places_of(&self, task: TaskId) -> impl Iterator<Item = Place> + use<> {
        let volume = self.volumes.get(&task).cloned().map(Place::Volume);
        volume.into_iter().chain([Place::Task(task)])
    }

    fn told(&self, place: &Place, pause: &Pause, now: Instant) -> Told {
        let tasks = match place {
            Place::Task(task) => vec![*task],
            Place::Volume(volume) => self
                .volumes
                .iter()
                .filter(|(_, of_task)| *of_task == volume)
                .map(|(task, _)| *task)
                .collect(),
        };
        Told {
            place: place.clone(),
            tasks,
            lasted: now.duration_since(pause.since),
            message: pause.message.clone(),
        }
    }
}

impl Pause {
    fn is_due(&self, now: Instant) -> bool {
        self.probe == Probe::None && now >= self.next_probe
    }

    fn is_probed_by(&self, attempt: (ItemId, Epoch)) -> bool {
        matches!(self.probe, Probe::Out(item, epoch, _) if (item, epoch) == attempt)
    }
}

#[cfg(test)]
mod tests;
