//! How much room a file system says that it has.

use rustix::fs::StatVfsMountFlags;
use rustix::io::retry_on_intr;

use model::NoRoom;

use super::dir::Dir;
use super::error::{Action, Attempted, Error};

impl Dir {
    /// What the directory's file system lacks for files of so many bytes, as it says itself; it knows nothing of quotas.
    pub fn lacks_for(&self, bytes: u64) -> Result<Option<NoRoom>, Error> {
        let room = retry_on_intr(|| rustix::fs::fstatvfs(&self.fd)).attempted(Action::Stat)?;
        let free_bytes = room.f_bavail.saturating_mul(room.f_frsize);
        // Some have no limit to their inodes, and tell of none at all.
        let has_inodes = room.f_files == 0 || room.f_favail > 0;
        Ok(if room.f_flag.contains(StatVfsMountFlags::RDONLY) {
            Some(NoRoom::ReadOnly)
        } else if free_bytes < bytes.max(1) || !has_inodes {
            Some(NoRoom::Space)
        } else {
            None
        })
    }
}
