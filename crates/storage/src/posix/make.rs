//! Entries that are made otherwise than by writing them: special files, further names of a file, and two names that
//! change places.

use rustix::fs::{AtFlags, FileType, Mode, RenameFlags};
use rustix::io::{Errno, retry_on_intr};
use rustix::path::Arg;

use super::dir::Dir;
use super::error::{Action, Attempted, Error};
use super::meta::{Kind, Meta};

impl Dir {
    /// Makes a FIFO, a socket or a device node with the kind, mode and device of `like`.
    pub fn make_special(&self, name: impl Arg + Copy, like: &Meta) -> Result<(), Error> {
        let kind = match like.kind {
            Kind::Fifo => FileType::Fifo,
            Kind::Socket => FileType::Socket,
            Kind::CharDevice => FileType::CharacterDevice,
            Kind::BlockDevice => FileType::BlockDevice,
            _ => return Err(Error::new(Action::Create, Errno::INVAL)),
        };
        let mode = Mode::from_raw_mode(like.mode);
        retry_on_intr(|| rustix::fs::mknodat(&self.fd, name, kind, mode, like.rdev))
            .attempted(Action::Create)
    }

    /// Gives the entry `name` a further name in `to`. A link is not followed.
    pub fn link(
        &self,
        name: impl Arg + Copy,
        to: &Dir,
        new_name: impl Arg + Copy,
    ) -> Result<(), Error> {
        retry_on_intr(|| rustix::fs::linkat(&self.fd, name, &to.fd, new_name, AtFlags::empty()))
            .attempted(Action::Link)
    }

    /// Two names change places, in one step; both must be there. Not every file system can.
    pub fn exchange(
        &self,
        name: impl Arg + Copy,
        with: &Dir,
        other: impl Arg + Copy,
    ) -> Result<(), Error> {
        let flags = RenameFlags::EXCHANGE;
        retry_on_intr(|| rustix::fs::renameat_with(&self.fd, name, &with.fd, other, flags))
            .attempted(Action::Rename)
    }
}
