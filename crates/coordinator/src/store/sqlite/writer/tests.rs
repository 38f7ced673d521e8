//! What becomes of a batch when one of its calls goes wrong.

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
        let answers: Vec<_> = calls
            .iter()
            .map(|&sql| {
                let (reply, answer) = sync_channel(1);
                let work = move |connection: &Connection| {
                    connection.execute(sql, [])?;
                    Ok(())
                };
                writer.post("insert", work, move |result| {
                    let _ = reply.send(result);
                });
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
fn a_call_without_room_may_be_repeated_when_there_is_some() {
    let writer = writer();
    insert(&writer, "CREATE TABLE large (bytes BLOB)").expect("create");
    let limit = |pages: u32| {
        let limited = writer.call("limit", move |connection| {
            let kept: u32 =
                connection
                    .pragma_update_and_check(None, "max_page_count", pages, |row| row.get(0))?;
            Ok(kept)
        });
        limited.expect("limit the pages")
    };
    // No less than there are already.
    limit(1);
    let large = "INSERT INTO large VALUES (zeroblob(1000000))";
    let results = in_one_batch(&writer, &["INSERT INTO t VALUES (1)", large]);
    let refused = results[1].as_ref().expect_err("there is no room");
    assert!(refused.is_no_room(), "{refused:?}");
    let other = &results[0];
    assert!(other.as_ref().map_or_else(StoreError::is_no_room, |_| true));
    limit(u32::MAX / 2);
    insert(&writer, large).expect("there is room");
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
