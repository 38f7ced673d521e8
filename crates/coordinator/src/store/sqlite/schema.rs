//! The database file: who may read it, how durable it is, and what its tables are.
//!
//! A table's form changes only by a further migration at the end of [`MIGRATIONS`];
//! `user_version` says how many of them a file has seen. A file that has seen more than
//! we know is refused, and so is a file that is not ours.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::error::{CallError, database};
use crate::store::StoreError;

/// "DMig", in the header of the file.
const APPLICATION_ID: i32 = 0x444d_6967;

/// The n-th brings a file from version n to n + 1.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("schema_1.sql"),
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
    include_str!("schema_4.sql"),
];

/// What grants and completions go through again and again.
const WRITER_CACHE_KIB: i64 = 32 * 1024;

/// Of each. They mostly read a row or two, and the kernel has the pages too.
const READER_CACHE_KIB: i64 = 2 * 1024;

/// Statements kept prepared; more than all verbs together have.
const STATEMENT_CACHE: usize = 128;

/// Opens the database for writing, creating or migrating it as needed.
pub(super) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    create_file(path).map_err(|error| database("create the database", error))?;
    configure_writer(path).map_err(|error| match error {
        CallError::Sqlite(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            StoreError::Foreign { path: path.into() }
        }
        error => error.during("open the database"),
    })
}

/// A second connection, which can't write. Opened after the one that writes.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let connection = Connection::open_with_flags(path, flags)?;
        prepare(&connection, READER_CACHE_KIB)?;
        Ok(connection)
    };
    open().map_err(|error: rusqlite::Error| database("open the database for reading", error))
}

/// Only the owner may read what a run is about, whatever the umask. SQLite gives the files
/// that it makes beside this one the same mode.
fn create_file(path: &Path) -> io::Result<()> {
    let created = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match created {
        Ok(_) => {
            let directory = match path.parent() {
                Some(parent) if parent != Path::new("") => parent,
                _ => Path::new("."),
            };
            File::open(directory)?.sync_all()
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn prepare(connection: &Connection, cache_kib: i64) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    // Else a statement is prepared again whenever another value is bound where the plan may depend on it, as to LIMIT:
    // that took longer than what the statement does.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "cache_size", -cache_kib)?;
    // Sorting and the undo of savepoints stay in memory.
    connection.pragma_update(None, "temp_store", "MEMORY")
}

fn configure_writer(path: &Path) -> Result<Connection, CallError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    prepare(&connection, WRITER_CACHE_KIB)?;
    refuse_strangers(&connection, path)?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        let problem = format!("the journal mode is {mode}, not WAL: is the disk a local one?");
        return Err(database("open the database", problem).into());
    }
    // With NORMAL, a power cut may take back what was committed.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    migrate(&mut connection)?;
    Ok(connection)
}

/// Before anything is written.
fn refuse_strangers(connection: &Connection, path: &Path) -> Result<(), CallError> {
    let application: i32 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match application {
        APPLICATION_ID => {}
        0 if tables == 0 => {}
        _ => return Err(StoreError::Foreign { path: path.into() }.into()),
    }
    let found = version(connection)?;
    let known = MIGRATIONS.len() as u32;
    if found > known {
        return Err(StoreError::Format { found, known }.into());
    }
    Ok(())
}

fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for (n, migration) in (0..).zip(MIGRATIONS).skip(version(&transaction)? as usize) {
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", n + 1)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rusqlite::Connection;

    use super::{MIGRATIONS, open_reader, open_writer};
    use crate::store::StoreError;

    #[test]
    fn only_the_owner_can_read_any_of_its_files() {
        let directory = tempfile::tempdir().expect("create a directory");
        let path = directory.path().join("db");
        let _writer = open_writer(&path).expect("create");
        let _reader = open_reader(&path).expect("open");
        let mut names = Vec::new();
        for entry in directory.path().read_dir().expect("list") {
            let entry = entry.expect("list");
            let mode = entry.metadata().expect("stat").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{entry:?}");
            names.push(entry.file_name());
        }
        names.sort();
        assert_eq!(names, ["db", "db-shm", "db-wal"]);
    }

    #[test]
    fn commits_are_synced() {
        let directory = tempfile::tempdir().expect("create a directory");
        let writer = open_writer(&directory.path().join("db")).expect("create");
        for (pragma, expected) in [
            ("synchronous", 2),
            ("foreign_keys", 1),
            ("user_version", MIGRATIONS.len() as i64),
        ] {
            let value: i64 = writer
                .pragma_query_value(None, pragma, |row| row.get(0))
                .expect("ask");
            assert_eq!(value, expected, "{pragma}");
        }
    }

    #[test]
    fn a_database_of_the_version_before_is_brought_up_to_date_with_what_it_holds() {
        let directory = tempfile::tempdir().expect("create a directory");
        let path = directory.path().join("db");
        let older = Connection::open(&path).expect("create");
        older.execute_batch(MIGRATIONS[0]).expect("create tables");
        older
            .execute_batch(
                "INSERT INTO run (id, identity, state, started) VALUES (5, 'i', 0, 1);
                 INSERT INTO task (run, number, definition) VALUES (1, 1, x'00');
                 INSERT INTO item (id, task, phase) VALUES (7, 1, 0), (8, 1, 1);",
            )
            .expect("insert");
        older.pragma_update(None, "user_version", 1).expect("set");
        older
            .pragma_update(None, "application_id", super::APPLICATION_ID)
            .expect("set");
        drop(older);
        let newer = open_writer(&path).expect("migrate");
        let item = |id: i64| -> (i64, i64) {
            newer
                .query_row("SELECT kind, phase FROM item WHERE id = ?1", [id], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .expect("ask")
        };
        // The links phase came between the two.
        assert_eq!((item(7), item(8)), ((0, 0), (0, 2)));
    }

    #[test]
    fn a_database_of_a_later_version_is_refused() {
        let directory = tempfile::tempdir().expect("create a directory");
        let path = directory.path().join("db");
        let writer = open_writer(&path).expect("create");
        writer.pragma_update(None, "user_version", 99).expect("set");
        drop(writer);
        let error = open_writer(&path).expect_err("it is too new");
        assert!(
            matches!(
                error,
                StoreError::Format {
                    found: 99,
                    known: 4
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn a_file_that_is_not_ours_is_left_alone() {
        let directory = tempfile::tempdir().expect("create a directory");
        let text = directory.path().join("text");
        std::fs::write(&text, "no database".repeat(100)).expect("write");
        let other = directory.path().join("other");
        Connection::open(&other)
            .and_then(|connection| connection.execute_batch("CREATE TABLE t (n)"))
            .expect("create");
        for path in [text, other] {
            let before = std::fs::read(&path).expect("read");
            let error = open_writer(&path).expect_err("it is foreign");
            assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
            assert_eq!(std::fs::read(&path).expect("read"), before);
        }
    }
}
