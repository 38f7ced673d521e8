//! Which items a worker gets, and with what it needs to run them.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{FilesWork, Item, ItemId, ListPlace, SessionId, Work};

use super::owed::Owed;
use super::soon::answer;
use super::stock::Mark;
use super::targets::Place;
use super::{Refused, Scheduler, State, TaskState};
use crate::store::{Cost, GrantFrom, Granted, Kinds, Phase, StoreError, Suspects, TaskRecord};

/// Grants with what is known of their tasks.
#[derive(Debug)]
pub struct LeaseAnswer {
    pub grants: Vec<(Granted, TaskRecord)>,
    /// Since they were granted: an answer may be a repeated one.
    pub age: Duration,
    pub run_over: bool,
}

enum Looked {
    Knows(LeaseAnswer),
    Asks(Look),
}

/// What the store is asked for a session.
#[derive(Debug, Clone)]
struct Look {
    session: SessionId,
    request: u64,
    slots: usize,
    from: Vec<GrantFrom>,
    probed: Vec<Place>,
    since: Mark,
}

impl Look {
    fn establishing<'a>(&'a self, scheduler: &'a Scheduler) -> Establishing<'a> {
        Establishing {
            scheduler,
            from: &self.from,
            probed: &self.probed,
        }
    }
}

/// Until the first worker of a task has said what it found at the roots, the task's other items wait; two grants at
/// once must not both be the first. Dropped when the session holds what it was granted.
struct Establishing<'a> {
    scheduler: &'a Scheduler,
    from: &'a [GrantFrom],
    /// To be probed with what is granted.
    probed: &'a [Place],
}

impl Drop for Establishing<'_> {
    fn drop(&mut self) {
        let mut state = self.scheduler.state();
        state.targets.not_granted(self.probed);
        for granted_from in self.from {
            if let Some(task) = state.tasks.get_mut(&granted_from.task) {
                task.is_being_granted = false;
            }
        }
    }
}

impl Scheduler {
    /// Grants up to `slots` items. The same request again gets the same answer.
    pub fn lease(&self, id: SessionId, request: u64, slots: usize) -> Result<LeaseAnswer, Refused> {
        let look = match self.look(id, request, slots)? {
            Looked::Knows(answer) => return Ok(answer),
            Looked::Asks(look) => look,
        };
        let _establishing = look.establishing(self);
        let now = self.clock.now_ms();
        let grants = self.store.grant(self.run, &look.from, id, slots, now)?;
        self.granted(&look, grants)
    }

    /// As [`Scheduler::lease`], but it keeps no thread waiting. It must run to its end: what was granted has to be noted.
    pub async fn lease_soon(
        self: Arc<Self>,
        id: SessionId,
        request: u64,
        slots: usize,
    ) -> Result<LeaseAnswer, Refused> {
        let look = match self.look(id, request, slots)? {
            Looked::Knows(answer) => return Ok(answer),
            Looked::Asks(look) => look,
        };
        let _establishing = look.establishing(&self);
        let grants = answer(|then| {
            let now = self.clock.now_ms();
            self.store
                .grant_then(self.run, &look.from, id, slots, now, then);
        });
        let grants = grants.await?;
        let is_known = self.state().fleet.session(id).is_some();
        if grants.len() == slots && is_known {
            return self.granted(&look, grants);
        }
        // The store is asked once more.
        let (scheduler, also) = (Arc::clone(&self), look.clone());
        tokio::task::spawn_blocking(move || scheduler.granted(&also, grants))
            .await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    /// What is known without the store, or what it is to be asked.
    fn look(&self, id: SessionId, request: u64, slots: usize) -> Result<Looked, Refused> {
        let nothing = |run_over| LeaseAnswer {
            grants: Vec::new(),
            age: Duration::ZERO,
            run_over,
        };
        if self.is_over() {
            return Ok(Looked::Knows(nothing(true)));
        }
        if let Some(grants) = self.answered_before(id, request)? {
            return Ok(Looked::Knows(self.answer(id, grants)));
        }
        let since = self.state().put;
        let (from, probed) = self.may_be_granted(id, slots, self.clock.now())?;
        if from.is_empty() {
            return Ok(Looked::Knows(nothing(false)));
        }
        Ok(Looked::Asks(Look {
            session: id,
            request,
            slots,
            from,
            probed,
            since,
        }))
    }

    /// Notes what was granted.
    fn granted(&self, look: &Look, grants: Vec<Granted>) -> Result<LeaseAnswer, Refused> {
        let stock = self.note_stock(&look.from, look.slots, &grants, look.since);
        if !self.note_grants(look.session, look.request, &grants) {
            // It left, or its lease ran out, meanwhile: nobody else knows that these are leased.
            for granted in grants {
                let item = granted.item;
                let reason = "its worker is gone";
                self.settle(Owed::PutBack(item.id, item.epoch, Cost::Free, reason))?;
            }
            return Err(Refused::UnknownSession);
        }
        stock?;
        Ok(self.answer(look.session, grants))
    }

    /// Learns from a look that began at `since` what the store has no more of. Where it may have more, the next is woken.
    fn note_stock(
        &self,
        from: &[GrantFrom],
        slots: usize,
        grants: &[Granted],
        since: Mark,
    ) -> Result<(), StoreError> {
        if let Some(suspect) = grants.iter().find(|granted| granted.item.is_suspect()) {
            // It is alone: of what else there is nothing was learnt.
            self.wake_for(suspect.item.task, 1);
            return Ok(());
        }
        let mut left = slots;
        for from in from {
            if from.suspects == Suspects::Alone {
                // Else they were not looked for.
                if left == slots
                    && let Some(task) = self.state().tasks.get_mut(&from.task)
                {
                    task.stock.is_out_of_suspects(from.kinds, since);
                }
                continue;
            }
            let room = from.at_most.min(left);
            let granted = grants.iter().filter(|g| g.item.task == from.task).count();
            left -= granted;
            if granted < room {
                let due = self.store.next_due(self.run, from.task)?;
                let now = self.clock.now_ms();
                let has_others = self.state().tasks.get_mut(&from.task).is_some_and(|task| {
                    task.stock.is_out_of(from.kinds, since, due);
                    task.stock.may_have(Kinds::All, now)
                });
                if has_others {
                    // Not for this session.
                    self.wake_for(from.task, 1);
                }
            } else if granted > 0 {
                self.wake_for(from.task, 1);
            }
        }
        Ok(())
    }

    /// False if the session is gone.
    fn note_grants(&self, id: SessionId, request: u64, grants: &[Granted]) -> bool {
        let now = self.clock.now();
        let mut state = self.state();
        let Some(session) = state.fleet.session(id) else {
            return false;
        };
        for granted in grants {
            session.take_on(&granted.item, now);
        }
        if !grants.is_empty() {
            session.last_lease = Some((request, grants.to_vec()));
        }
        let State {
            tasks,
            targets,
            turns,
            ..
        } = &mut *state;
        for Granted { item, .. } in grants {
            targets.granted(item.task, item.id, item.epoch, now);
            if let Some(task) = tasks.get_mut(&item.task) {
                *turns += 1;
                task.turn = *turns;
            }
        }
        true
    }

    /// The answer that the same call had before, as far as it still holds: what the worker
    /// never listed may be another's by now.
    fn answered_before(
        &self,
        id: SessionId,
        request: u64,
    ) -> Result<Option<Vec<Granted>>, Refused> {
        let mut state = self.state();
        let session = state.fleet.session(id).ok_or(Refused::UnknownSession)?;
        let is_held = |granted: &&Granted| {
            let held = session.held.get(&granted.item.id);
            held.is_some_and(|held| held.epoch == granted.item.epoch)
        };
        Ok(session
            .last_lease
            .as_ref()
            .filter(|(answered, _)| *answered == request)
            .map(|(_, grants)| grants.iter().filter(is_held).cloned().collect())
            .filter(|grants: &Vec<Granted>| !grants.is_empty()))
    }

    fn answer(&self, id: SessionId, grants: Vec<Granted>) -> LeaseAnswer {
        let mut state = self.state();
        let items = grants.iter().map(|granted| granted.item.id);
        let age = state.fleet.age_of(id, items, self.clock.now());
        let now = self.clock.now_ms();
        let grants = grants
            .into_iter()
            .filter_map(|granted| {
                let task = state.tasks.get_mut(&granted.item.task)?;
                task.record.started.get_or_insert(now);
                Some((granted, task.record.clone()))
            })
            .collect();
        LeaseAnswer {
            grants,
            age,
            run_over: false,
        }
    }

    /// The tasks that the session may get items of, in order, and the full targets that are probed with them.
    fn may_be_granted(
        &self,
        id: SessionId,
        slots: usize,
        now: Instant,
    ) -> Result<(Vec<GrantFrom>, Vec<Place>), Refused> {
        let mut state = self.state();
        if !state.fleet.sessions.contains_key(&id) {
            return Err(Refused::UnknownSession);
        }
        state.predecessors.retain(|_, until| now < *until);
        if !state.predecessors.is_empty() {
            return Ok(Default::default());
        }
        let State {
            fleet,
            tasks,
            targets,
            ..
        } = &mut *state;
        let session = &fleet.sessions[&id];
        let held = match tasks.values().any(TaskState::is_unbegun) {
            true => fleet.held_tasks(),
            false => BTreeSet::new(),
        };
        if session.has_suspect() {
            return Ok(Default::default());
        }
        let may_have_suspect = session.held.is_empty();
        let now_ms = self.clock.now_ms();
        let mut from: Vec<GrantFrom> = tasks
            .values()
            .filter(|task| task.record.result.is_none())
            .filter(|task| fleet.may_run(id, task.record.task.id, now))
            .filter_map(|task| {
                let kinds = self.kinds_for(session, task)?;
                let task_id = task.record.task.id;
                let at_most = match &task.record.source_identity {
                    Some(_) => slots.min(session.room_for(task_id)),
                    None if task.is_being_granted => 0,
                    None => usize::from(!held.contains(&task_id)),
                };
                Some(GrantFrom {
                    task: task_id,
                    at_most,
                    kinds,
                    suspects: Suspects::LeftOut,
                })
            })
            .filter(|from| from.at_most > 0)
            .flat_map(|from| {
                [Suspects::LeftOut, Suspects::Alone].map(|suspects| GrantFrom { suspects, ..from })
            })
            .filter(|from| {
                let stock = &tasks[&from.task].stock;
                match from.suspects {
                    Suspects::LeftOut => stock.may_have(from.kinds, now_ms),
                    Suspects::Alone => {
                        may_have_suspect && stock.may_have_suspects(from.kinds, now_ms)
                    }
                }
            })
            .collect();
        // All that is beyond suspicion is done before. What ends a task goes first. Then in turn, so that a large task
        // leaves the others their share; those that nobody has begun in their order.
        from.sort_by_key(|from| {
            let task = &tasks[&from.task];
            let is_suspect = from.suspects == Suspects::Alone;
            let is_copied = task.record.phase == Phase::Copy;
            (is_suspect, is_copied, task.turn, from.task)
        });
        let probed = targets.admit(&mut from, now);
        // All that decides among equals alone.
        from.sort_by_key(|from| Reverse(self.settings.priority_of(from.task)));
        for granted_from in &from {
            if let Some(task) = tasks.get_mut(&granted_from.task) {
                task.is_being_granted = task.record.source_identity.is_none();
            }
        }
        Ok((from, probed))
    }

    /// A page of the paths of a piece of a list: whole paths, from byte `from` of the piece on.
    pub fn listed(
        &self,
        item: ItemId,
        from: u64,
        page_bytes: usize,
    ) -> Result<(Vec<u8>, bool), Refused> {
        let record = self.store.item(item)?;
        let (list, offset, length) = self.list_of(&record.item)?;
        let left = length.saturating_sub(from);
        if left == 0 {
            return Ok((Vec::new(), false));
        }
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = BufReader::new(std::fs::File::open(&list)?);
            file.seek(SeekFrom::Start(offset + from))?;
            let mut bytes = vec![0; left.min(page_bytes as u64) as usize];
            file.read_exact(&mut bytes)?;
            match bytes.iter().rposition(|b| *b == 0) {
                Some(end) => bytes.truncate(end + 1),
                // One path that is longer than a page.
                None => {
                    file.read_until(0, &mut bytes)?;
                }
            }
            Ok(bytes)
        };
        let bytes = read().map_err(|source| Refused::List {
            path: list.clone(),
            source,
        })?;
        let more = (bytes.len() as u64) < left;
        Ok((bytes, more))
    }

    /// The file that has an item's list, and which part of it.
    fn list_of(&self, item: &Item) -> Result<(PathBuf, u64, u64), Refused> {
        match &item.work {
            Work::Paths { offset, length } => {
                let list = self.lists.get(&item.task);
                let list = list.ok_or(Refused::Misplaced("the task has no list"))?;
                Ok((list.file.clone(), *offset, *length))
            }
            Work::Links { .. }
            | Work::Files(FilesWork {
                place: ListPlace::Server,
                ..
            }) => {
                let path = self.received.list(item.id);
                match std::fs::metadata(&path) {
                    Ok(metadata) => Ok((path, 0, metadata.len())),
                    Err(source) => Err(Refused::List { path, source }),
                }
            }
            _ => Err(Refused::Misplaced("the item has no list")),
        }
    }
}
