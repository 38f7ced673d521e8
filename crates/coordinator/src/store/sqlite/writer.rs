//! One thread owns the connection that writes, and commits for many callers at once.
//!
//! Making a commit durable costs a sync of the disk, however much is in it. So the thread
//! takes all calls that wait, runs each under its own savepoint in one transaction,
//! commits once, and answers only then: what was answered is on the disk. A call that
//! fails or panics is rolled back to its savepoint and harms no other. When the
//! transaction itself fails, every call of it fails, also those that were refused: a refusal
//! may rest on what was rolled back.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::{io, thread};

use rusqlite::Connection;

use super::error::{CallError, database};
use crate::store::StoreError;

/// Calls in one transaction, at most; also how many may wait before callers are held up.
const MAX_BATCH: usize = 256;

pub(super) struct Writer {
    /// Taken when the writer is dropped, which ends the thread.
    queue: Option<SyncSender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(connection: Connection) -> io::Result<Self> {
        let (queue, calls) = sync_channel(MAX_BATCH);
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
        let call = Box::new(Call {
            action,
            work: Some(work),
            result: None,
            reply,
        });
        let stopped = || database(action, "the store's writer has stopped");
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        queue.send(call).map_err(|_| stopped())?;
        answer.recv().map_err(|_| stopped())?
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
    fn answer(self: Box<Self>, batch: Result<(), BatchError>);
}

enum Ran {
    Keep,
    Undo,
}

struct Call<T, F> {
    action: &'static str,
    work: Option<F>,
    result: Option<Result<T, StoreError>>,
    reply: SyncSender<Result<T, StoreError>>,
}

impl<T, F> Job for Call<T, F>
where
    T: Send,
    F: FnOnce(&Connection) -> Result<T, CallError> + Send,
{
    fn run(&mut self, connection: &Connection) -> Ran {
        let Some(work) = self.work.take() else {
            return Ran::Undo;
        };
        // What a panic left half done in the database is rolled back, and `work` is gone with it.
        let result = match catch_unwind(AssertUnwindSafe(|| work(connection))) {
            Ok(result) => result.map_err(|error| error.during(self.action)),
            Err(panic) => Err(database(self.action, panic_message(panic.as_ref()))),
        };
        let ran = match result {
            Ok(_) => Ran::Keep,
            Err(_) => Ran::Undo,
        };
        self.result = Some(result);
        ran
    }

    fn answer(self: Box<Self>, batch: Result<(), BatchError>) {
        let answer = match (batch, self.result) {
            (Ok(()), Some(result)) => result,
            // This may be what broke the batch, so it says more.
            (Err(_), Some(Err(own @ StoreError::Database { .. }))) => Err(own),
            (Err(error), _) => Err(database(self.action, error)),
            (Ok(()), None) => Err(database(self.action, "the call was not run")),
        };
        // A caller that no longer listens has nothing to be told.
        let _ = self.reply.send(answer);
    }
}

/// Why a whole batch failed; each of its calls gets a copy.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the transaction failed")]
struct BatchError(#[source] Arc<rusqlite::Error>);

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
        let result = run_batch(connection, &mut batch).map_err(|e| BatchError(Arc::new(e)));
        if let Err(error) = &result {
            tracing::error!(calls = batch.len(), cause = %error.0, "a transaction failed");
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
mod tests {
    use std::sync::mpsc::sync_channel;
    use std::thread;

    use rusqlite::Connection;

    use super::Writer;
    use crate::store::StoreError;

    fn writer() -> Writer {
        let connection = Connection::open_in_memory().expect("open");
        connection
            .execute_batch(
                "PRAGMA foreign_keys = ON; CREATE TABLE t (n INTEGER PRIMARY KEY) STRICT;
                CREATE TABLE u (n INTEGER REFERENCES t (n) DEFERRABLE INITIALLY DEFERRED) STRICT;",
            )
            .expect("create");
        Writer::start(connection).expect("start")
    }

    fn insert(writer: &Writer, sql: &'static str) -> Result<(), StoreError> {
        writer.call("insert", move |connection| {
            connection.execute(sql, [])?;
            Ok(())
        })
    }

    fn sum(writer: &Writer) -> i64 {
        let sql = "SELECT coalesce(sum(n), 0) FROM t";
        writer
            .call("sum", |connection| {
                Ok(connection.query_row(sql, [], |row| row.get(0))?)
            })
            .expect("sum")
    }

    /// Holds the writer up until all of `calls` wait, so that they become one batch.
    fn in_one_batch(writer: &Writer, calls: &[&'static str]) -> Vec<Result<(), StoreError>> {
        let (go, gate) = sync_channel::<()>(0);
        let (started, has_started) = sync_channel(1);
        thread::scope(|scope| {
            scope.spawn(move || {
                writer.call("wait", move |_| {
                    started.send(()).expect("the test listens");
                    gate.recv().expect("the test goes on");
                    Ok(())
                })
            });
            has_started.recv().expect("the writer runs");
            let queue = writer.queue.as_ref().expect("it runs");
            let answers: Vec<_> = calls
                .iter()
                .map(|&sql| {
                    let (reply, answer) = sync_channel(1);
                    let work = move |connection: &Connection| {
                        connection.execute(sql, [])?;
                        Ok(())
                    };
                    let call = super::Call {
                        action: "insert",
                        work: Some(work),
                        result: None,
                        reply,
                    };
                    queue
                        .send(Box::new(call))
                        .ok()
                        .expect("the writer takes it");
                    answer
                })
                .collect();
            go.send(()).expect("the writer waits");
            answers
                .into_iter()
                .map(|answer| answer.recv().expect("each call is answered"))
                .collect()
        })
    }

    #[test]
    fn a_call_that_fails_harms_no_other_of_its_batch() {
        let writer = writer();
        let results = in_one_batch(
            &writer,
            &[
                "INSERT INTO t VALUES (1)",
                "INSERT INTO t VALUES (8), (1)",
                "INSERT INTO t VALUES (2)",
            ],
        );
        let went_well: Vec<bool> = results.iter().map(Result::is_ok).collect();
        assert_eq!(went_well, [true, false, true]);
        assert_eq!(sum(&writer), 3);
    }

    #[test]
    fn a_commit_that_fails_fails_every_call_of_it() {
        let writer = writer();
        let results = in_one_batch(
            &writer,
            // The deferred foreign key is looked at when the transaction commits.
            &[
                "INSERT INTO t VALUES (1)",
                "INSERT INTO u VALUES (99)",
                "INSERT INTO t VALUES (2)",
            ],
        );
        assert!(results.iter().all(Result::is_err), "{results:?}");
        assert_eq!(sum(&writer), 0);
        insert(&writer, "INSERT INTO t VALUES (5)").expect("the writer goes on");
        assert_eq!(sum(&writer), 5);
    }

    #[test]
    fn a_transaction_that_breaks_fails_every_call_of_it() {
        let writer = writer();
        let results = in_one_batch(
            &writer,
            &[
                "INSERT INTO t VALUES (1)",
                "INSERT OR ROLLBACK INTO t VALUES (1)",
                "INSERT INTO t VALUES (2)",
            ],
        );
        assert!(results.iter().all(Result::is_err), "{results:?}");
        assert_eq!(sum(&writer), 0);
    }

    #[test]
    fn a_panic_is_an_error_of_its_call_alone() {
        let writer = writer();
        let error = writer
            .call("try", |connection| -> Result<(), _> {
                connection.execute("INSERT INTO t VALUES (1)", [])?;
                panic!("a bug")
            })
            .expect_err("it panicked");
        let cause = std::error::Error::source(&error)
            .expect("a cause")
            .to_string();
        assert_eq!(cause, "the store panicked: a bug");
        assert_eq!(sum(&writer), 0);
    }

    #[test]
    fn dropping_finishes_what_waits() {
        let directory = tempfile::tempdir().expect("create a directory");
        let path = directory.path().join("db");
        let connection = Connection::open(&path).expect("open");
        connection
            .execute_batch("CREATE TABLE t (n INTEGER)")
            .expect("create");
        let writer = Writer::start(connection).expect("start");
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| insert(&writer, "INSERT INTO t VALUES (1)").expect("insert"));
            }
        });
        drop(writer);
        let connection = Connection::open(&path).expect("open");
        let rows: i64 = connection
            .query_row("SELECT count(*) FROM t", [], |row| row.get(0))
            .expect("count");
        assert_eq!(rows, 8);
    }
}
