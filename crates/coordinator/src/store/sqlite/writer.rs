//! One thread owns the connection that writes, and commits for many callers at once.
//!
//! Making a commit durable costs a sync of the disk, however much is in it. So the thread
//! takes all calls that wait, runs each under its own savepoint in one transaction,
//! commits once, and answers only then: what was answered is on the disk. A call that
//! fails or panics is rolled back to its savepoint and harms no other. When the
//! transaction itself fails, every call of it fails, also those that were refused: a refusal
//! may rest on what was rolled back. Where it failed for want of room, all may try again.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread::JoinHandle;
use std::{io, thread};

use rusqlite::Connection;

use super::error::{CallError, database, is_no_room};
use crate::store::StoreError;

/// Calls in one transaction, at most. As many wait as there are callers: each waits for its answer.
const MAX_BATCH: usize = 256;

pub(super) struct Writer {
    /// Taken when the writer is dropped, which ends the thread.
    queue: Option<Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(connection: Connection) -> io::Result<Self> {
        let (queue, calls) = channel();
        let thread = thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || serve(&connection, &calls))?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
        })
    }

    /// Runs `work` in a transaction and waits until it is durable. `action` completes "cannot …".
    pub(super) fn call<T: Send + 'static>(
        &self,
        action: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, CallError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = sync_channel(1);
        self.post(action, work, move |result| {
            // A caller that no longer listens has nothing to be told.
            let _ = reply.send(result);
        });
        let stopped = |_| database(action, "the store's writer has stopped");
        answer.recv().map_err(stopped)?
    }

    /// As [`Writer::call`], without waiting: `then` is told on the writer's thread, so it must not wait for the store. It is
    /// dropped untold if the writer has stopped.
    pub(super) fn post<T: Send + 'static>(
        &self,
        action: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, CallError> + Send + 'static,
        then: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) {
        let call = Box::new(Call {
            action,
            work: Some(work),
            result: None,
            then,
        });
        if let Some(queue) = &self.queue {
            // It fails only when the writer has stopped.
            let _ = queue.send(call);
        }
    }
}

impl Drop for Writer {
    /// Waits until everything that was asked for is done.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's writer thread panicked");
        }
    }
}

/// A call, whatever its type of result.
trait Job: Send {
    fn run(&mut self, connection: &Connection) -> Ran;
    fn met_no_room(&self) -> bool;
    fn answer(self: Box<Self>, batch: Result<(), BatchError>);
}

enum Ran {
    Keep,
    Undo,
}

struct Call<T, F, G> {
    action: &'static str,
    work: Option<F>,
    result: Option<Result<T, StoreError>>,
    then: G,
}

impl<T, F, G> Job for Call<T, F, G>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, CallError> + Send,
    G: FnOnce(Result<T, StoreError>) + Send,
{
    fn run(&mut self, connection: &Connection) -> Ran {
        let Some(work) = self.work.take() else {
            return Ran::Undo;
        };
        // What a panic left half done in the database is rolled back, and `work` is gone with it.
        let result = match catch_unwind(AssertUnwindSafe(|| work(connection))) {
            Ok(result) => result.map_err(|error| error.during_write(self.action, connection)),
            Err(panic) => Err(database(self.action, panic_message(panic.as_ref()))),
        };
        let ran = match result {
            Ok(_) => Ran::Keep,
            Err(_) => Ran::Undo,
        };
        self.result = Some(result);
        ran
    }

    fn met_no_room(&self) -> bool {
        matches!(&self.result, Some(Err(error)) if error.is_no_room())
    }

    fn answer(self: Box<Self>, batch: Result<(), BatchError>) {
        let answer = match (batch, self.result) {
            (Ok(()), Some(result)) => result,
            (Err(error), _) if error.is_no_room => Err(StoreError::NoRoom {
                action: self.action,
                source: error.into(),
            }),
            // This may be what broke the batch, so it says more.
            (Err(_), Some(Err(own @ StoreError::Database { .. }))) => Err(own),
            (Err(error), _) => Err(database(self.action, error)),
            (Ok(()), None) => Err(database(self.action, "the call was not run")),
        };
        (self.then)(answer);
    }
}

/// Why a whole batch failed; each of its calls gets a copy.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the transaction failed")]
struct BatchError {
    source: Arc<rusqlite::Error>,
    /// For want of room, its own or that of one of its calls.
    is_no_room: bool,
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    format!("the store panicked: {message}")
}

fn serve(connection: &Connection, calls: &Receiver<Box<dyn Job>>) {
    while let Ok(first) = calls.recv() {
        let mut batch = vec![first];
        batch.extend(calls.try_iter().take(MAX_BATCH - 1));
        let result = run_batch(connection, &mut batch);
        let result = result.map_err(|error| BatchError {
            is_no_room: is_no_room(&error, connection) || batch.iter().any(|job| job.met_no_room()),
            source: Arc::new(error),
        });
        match &result {
            // The callers try again, and say so less often than this would be.
            Err(error) if error.is_no_room => {
                tracing::debug!(calls = batch.len(), cause = %error.source, "no room");
            }
            Err(error) => {
                tracing::error!(calls = batch.len(), cause = %error.source, "a transaction failed");
            }
            Ok(()) => {}
        }
        for job in batch {
            job.answer(result.clone());
        }
    }
}

fn run_batch(connection: &Connection, batch: &mut [Box<dyn Job>]) -> rusqlite::Result<()> {
    execute(connection, "BEGIN IMMEDIATE")?;
    let result = batch
        .iter_mut()
        .try_for_each(|job| run_job(connection, job.as_mut()))
        .and_then(|()| execute(connection, "COMMIT"));
    // Some errors have ended the transaction already.
    if result.is_err()
        && !connection.is_autocommit()
        && let Err(error) = execute(connection, "ROLLBACK")
    {
        tracing::error!(%error, "cannot roll back");
    }
    result
}

/// Fails only when the transaction is lost; then there is no savepoint left to go back to.
fn run_job(connection: &Connection, job: &mut dyn Job) -> rusqlite::Result<()> {
    execute(connection, "SAVEPOINT one_call")?;
    if let Ran::Undo = job.run(connection) {
        execute(connection, "ROLLBACK TO one_call")?;
    }
    execute(connection, "RELEASE one_call")
}

fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}

#[cfg(test)]
mod tests;
