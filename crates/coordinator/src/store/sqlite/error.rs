//! What can go wrong inside one call, before it is known what the call was for.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use rusqlite::{Connection, ErrorCode, ffi};

use super::blob::DecodeError;
use crate::no_room;
use crate::store::StoreError;

#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The caller asked for what may not be.
    #[error(transparent)]
    Refused(#[from] StoreError),
}

impl CallError {
    /// The error as callers of the store see it; `action` completes "cannot …".
    pub(super) fn during(self, action: &'static str) -> StoreError {
        match self {
            CallError::Sqlite(error) => database(action, error),
            CallError::Decode(error) => database(action, error),
            CallError::Refused(error) => error,
        }
    }
}

impl CallError {
    /// As [`CallError::during`], of a call that writes.
    pub(super) fn during_write(self, action: &'static str, connection: &Connection) -> StoreError {
        match self {
            CallError::Sqlite(error) if is_no_room(&error, connection) => StoreError::NoRoom {
                action,
                source: error.into(),
            },
            other => other.during(action),
        }
    }
}

/// Whether it is room that SQLite lacks. It says so itself where a write finds the disk full. Of a quota, a disk that is
/// found full only when it is synced, and its shared memory it says that writing failed: then a trial tells.
pub(super) fn is_no_room(error: &rusqlite::Error, connection: &Connection) -> bool {
    const OF_WRITING: [i32; 6] = [
        ffi::SQLITE_IOERR_WRITE,
        ffi::SQLITE_IOERR_FSYNC,
        ffi::SQLITE_IOERR_DIR_FSYNC,
        ffi::SQLITE_IOERR_TRUNCATE,
        ffi::SQLITE_IOERR_SHMSIZE,
        ffi::SQLITE_IOERR_SHMMAP,
    ];
    let rusqlite::Error::SqliteFailure(failure, _) = error else {
        return false;
    };
    failure.code == ErrorCode::DiskFull
        || OF_WRITING.contains(&failure.extended_code)
            && connection
                .path()
                .is_some_and(|path| has_no_room(Path::new(path)))
}

/// Writes as much as SQLite's shared memory grows by at a time, beside the database.
fn has_no_room(database: &Path) -> bool {
    let trial = database.with_extension("trial");
    let written = File::create(&trial).and_then(|mut file| {
        file.write_all(&[0; 32 << 10])?;
        file.sync_all()
    });
    // What is left of it is overwritten by the next.
    let _ = std::fs::remove_file(&trial);
    written.is_err_and(|error| no_room::is_no_room(&error))
}

pub(super) fn database(
    action: &'static str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StoreError {
    StoreError::Database {
        action,
        source: source.into(),
    }
}
