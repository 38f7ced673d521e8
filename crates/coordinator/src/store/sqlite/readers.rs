//! Connections that only read, few of them: opening one takes far longer than what it is mostly asked, so that who finds
//! none free waits for one. With a thousand workers about a third of the server's time went into opening and closing them.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use rusqlite::Connection;

use super::schema;
use crate::store::StoreError;

/// More than there are processors to read with, on most machines.
const MAX_OPEN: usize = 4;

pub(super) struct Readers {
    path: PathBuf,
    pool: Mutex<Pool>,
    freed: Condvar,
}

struct Pool {
    free: Vec<Connection>,
    /// With those at work.
    open: usize,
}

impl Readers {
    /// Of the database in the file `path`, which is absolute and exists: more are opened later, wherever the process is then.
    pub(super) fn new(path: PathBuf) -> Result<Self, StoreError> {
        let pool = Pool {
            free: vec![schema::open_reader(&path)?],
            open: 1,
        };
        Ok(Self {
            path,
            pool: Mutex::new(pool),
            freed: Condvar::new(),
        })
    }

    /// Waits for one where as many as there may be are at work.
    pub(super) fn take(&self) -> Result<Reader<'_>, StoreError> {
        let mut pool = self.pool();
        let connection = loop {
            if let Some(free) = pool.free.pop() {
                break free;
            }
            if pool.open < MAX_OPEN {
                pool.open += 1;
                drop(pool);
                break schema::open_reader(&self.path).inspect_err(|_| self.closed())?;
            }
            pool = self
                .freed
                .wait(pool)
                .unwrap_or_else(PoisonError::into_inner);
        };
        Ok(Reader {
            connection: Some(connection),
            readers: self,
        })
    }

    /// Another may be opened in its place.
    fn closed(&self) {
        self.pool().open -= 1;
        self.freed.notify_one();
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One that is at work until it is dropped.
pub(super) struct Reader<'a> {
    /// Until the drop.
    connection: Option<Connection>,
    readers: &'a Readers,
}

impl Deref for Reader<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
            .as_ref()
            .expect("it is there until the drop")
    }
}

impl Drop for Reader<'_> {
    /// After a panic it is closed, with all that was under way.
    fn drop(&mut self) {
        match self.connection.take() {
            Some(connection) if !thread::panicking() => {
                self.readers.pool().free.push(connection);
                self.readers.freed.notify_one();
            }
            gone => {
                drop(gone);
                self.readers.closed();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use super::{MAX_OPEN, Readers};
    use crate::store::sqlite::schema;

    #[test]
    fn who_finds_none_free_waits_and_opens_no_more() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("state.db");
        let _writer = schema::open_writer(&path).expect("open");
        let readers = Readers::new(path).expect("open");
        let mut taken: Vec<_> = (0..MAX_OPEN)
            .map(|_| readers.take().expect("one may be opened"))
            .collect();
        let (says, got) = channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                let reader = readers.take().expect("one is freed");
                says.send(reader.is_autocommit()).expect("it is waited for");
            });
            assert!(got.try_recv().is_err(), "one too many");
            drop(taken.pop());
            assert_eq!(got.recv(), Ok(true));
        });
        assert_eq!(readers.pool().open, MAX_OPEN);
    }

    #[test]
    fn one_that_panicked_makes_room_for_another() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("state.db");
        let _writer = schema::open_writer(&path).expect("open");
        let readers = Readers::new(path).expect("open");
        for _ in 0..=MAX_OPEN {
            let panics = || {
                let _reader = readers.take().expect("one may be opened");
                panic!("a bug");
            };
            thread::scope(|scope| scope.spawn(panics).join().expect_err("it panicked"));
        }
        assert_eq!(readers.pool().open, 0);
        readers.take().expect("another is opened");
    }
}
