//! Workers that come, are heard of, and leave.

use std::sync::Arc;

use model::{Epoch, ItemId, SessionId, TaskId};
use tokio::sync::Notify;

use super::owed::Owed;
use super::{Command, Refused, Scheduler};
use crate::fleet::{Heard, Progress, Session};
use crate::store::{Cost, Millis, SessionRecord};

/// What a worker says of itself when it registers.
#[derive(Debug, Clone)]
pub struct Newcomer {
    pub name: String,
    pub address: String,
    pub program_version: String,
    /// Of its registration: a repetition is recognised by it.
    pub request: u64,
    /// Its rclone's version, or why it has no usable one.
    pub rclone: Result<String, String>,
    pub only_walks: bool,
}

impl Scheduler {
    pub fn register(&self, newcomer: Newcomer, id: SessionId) -> Result<SessionId, Refused> {
        let Newcomer {
            name,
            address,
            program_version,
            request,
            rclone,
            only_walks,
        } = newcomer;
        if let Some(known) = self.state().fleet.by_request(request) {
            return Ok(known);
        }
        self.store.add_session(SessionRecord {
            id,
            name: name.clone(),
            registered: self.clock.now_ms(),
            lease: self.settings.lease.as_millis() as Millis,
        })?;
        match &rclone {
            Ok(version) => {
                tracing::info!("worker {name} ({address}) is here, with rclone {version}")
            }
            Err(problem) if self.has_rclone_tasks() => tracing::info!(
                "worker {name} ({address}) is here, for tasks that need no rclone: {problem}"
            ),
            Err(_) => tracing::info!("worker {name} ({address}) is here"),
        }
        let lease = self.settings.lease;
        let mut session = Session::new(name, address, Some(request), lease, self.clock.now());
        session.program_version = program_version;
        session.only_walks = only_walks;
        self.state().fleet.sessions.insert(id, session);
        self.note_rclone(id, rclone);
        Ok(id)
    }

    /// [`Scheduler::hear`], and what follows from it.
    pub fn heartbeat(
        &self,
        id: SessionId,
        listed: Vec<(ItemId, Epoch, Progress)>,
        address: &str,
    ) -> Result<Vec<(ItemId, Epoch)>, Refused> {
        let heard = self.hear(id, listed, address)?;
        self.put_back_unheard(heard.unheard)?;
        Ok(heard.lost)
    }

    /// Renews, in memory alone: no commit holds a heartbeat up. Says what of the list is no longer the worker's, and what
    /// is to be given to [`Scheduler::put_back_unheard`].
    pub fn hear(
        &self,
        id: SessionId,
        listed: Vec<(ItemId, Epoch, Progress)>,
        address: &str,
    ) -> Result<Heard, Refused> {
        let (heard, has_stopped) = {
            let mut state = self.state();
            // What it was told to stop by the answer before, it no longer lists.
            let has_stopped = listed.is_empty() && state.predecessors.remove(&id).is_some();
            if let Some(session) = state.fleet.session(id)
                && session.address != address
            {
                session.address = address.to_owned();
            }
            let heard = state.fleet.heard(id, listed, self.clock.now());
            (heard, has_stopped)
        };
        if has_stopped {
            self.wake_all();
        }
        heard.ok_or(Refused::UnknownSession)
    }

    /// Grants that never reached their worker.
    pub fn put_back_unheard(&self, unheard: Vec<(ItemId, Epoch)>) -> Result<(), Refused> {
        for (item, epoch) in unheard {
            tracing::warn!("item {item}: its grant never reached the worker, it waits again");
            self.settle(Owed::PutBack(item, epoch, Cost::Free, "the grant was lost"))?;
        }
        Ok(())
    }

    /// Wakes calls of the session when there may be commands for it, or it is gone.
    pub fn wakes_for_commands(&self, id: SessionId) -> Result<Arc<Notify>, Refused> {
        let mut state = self.state();
        let session = state.fleet.session(id).ok_or(Refused::UnknownSession)?;
        Ok(Arc::clone(&session.commands))
    }

    /// Commands for a session that are due now. That of sharing is given once: if it is lost, the
    /// worker is asked again while somebody idles. That of cancelling is repeated until it is obeyed.
    pub fn commands(&self, id: SessionId) -> Result<Vec<Command>, Refused> {
        let over = self.is_over();
        let now = self.clock.now();
        let mut state = self.state();
        let session = state.fleet.session(id).ok_or(Refused::UnknownSession)?;
        let mut commands = Vec::new();
        for (item, held) in &mut session.held {
            if held.cancel {
                let is_due = held
                    .told_to_cancel
                    .is_none_or(|told| now.duration_since(told) >= self.settings.lease);
                if is_due {
                    held.told_to_cancel = Some(now);
                    commands.push(Command::Cancel(*item, held.epoch));
                }
            } else if std::mem::take(&mut held.share) {
                commands.push(Command::Share(*item, held.epoch));
            }
        }
        if over {
            commands.push(Command::RunOver);
        }
        Ok(commands)
    }

    /// The worker ends, or has stopped what it did in a session that was lost.
    pub fn leave(&self, id: SessionId) -> Result<(), Refused> {
        self.state().fleet.acknowledged(id);
        self.end_session(id)
    }

    /// The worker ends, but some of its threads may still write.
    pub fn leave_threads_behind(&self, id: SessionId) -> Result<(), Refused> {
        {
            let mut state = self.state();
            let held = state.fleet.session(id).map(|session| &session.held);
            let tasks: Vec<TaskId> = held.into_iter().flatten().map(|(_, h)| h.task).collect();
            if !tasks.is_empty() {
                state.fleet.note_superseded(id, tasks, self.clock.now());
            }
        }
        self.end_session(id)
    }

    fn end_session(&self, id: SessionId) -> Result<(), Refused> {
        let session = {
            let mut state = self.state();
            state.predecessors.remove(&id);
            state.fleet.sessions.remove(&id)
        };
        let Some(session) = session else {
            return Ok(());
        };
        session.commands.notify_waiters();
        tracing::info!("worker {} has left", session.name);
        for (item, held) in session.held {
            let left = "its worker left";
            self.settle(Owed::PutBack(item, held.epoch, Cost::Free, left))?;
        }
        self.settle(Owed::RemoveSession(id))?;
        Ok(())
    }

    pub fn sessions_left(&self) -> usize {
        self.state().fleet.sessions.len()
    }
}
