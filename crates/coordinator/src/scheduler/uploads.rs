//! What attempts send besides their outcome.

use std::path::PathBuf;

use model::{Epoch, ItemId, SessionId};

use super::{Refused, Scheduler};
use crate::received;
use crate::store::StoreError;

/// A file that an attempt sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    Log,
    /// The list of an item that the attempt will hand in.
    List(ItemId),
    /// Names for the links phase.
    Links,
}

impl Scheduler {
    /// Takes a piece of a file from the newest attempt at an item; how much of the file is there then.
    pub fn take_piece(
        &self,
        session: SessionId,
        (item, epoch): (ItemId, Epoch),
        sent: Sent,
        offset: u64,
        bytes: &[u8],
        is_last: bool,
    ) -> Result<u64, Refused> {
        if self.state().fleet.session(session).is_none() {
            return Err(Refused::UnknownSession);
        }
        let standing = self.store.standing(item)?;
        standing.check(epoch).map_err(StoreError::from)?;
        let path = match sent {
            Sent::Log => self.received.log(standing.task, item, epoch),
            Sent::Links => self.received.links(item, epoch),
            Sent::List(list) => match self.store.standing(list) {
                // Ids are drawn at random: only somebody who guesses would meet one that is there.
                Ok(_) => return Err(Refused::Misplaced("the list is another item's")),
                Err(StoreError::NoSuchItem(_)) => self.received.list(list),
                Err(error) => return Err(error.into()),
            },
        };
        let keep = |path: PathBuf| {
            received::append(&path, offset, bytes, is_last)
                .map_err(|source| Refused::Keep { path, source })
        };
        keep(path)
    }
}
