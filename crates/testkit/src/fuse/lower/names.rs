//! Requests that find, make, move and remove names.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, Uid, chmod, chownat, fstat, getxattr_query,
    linkat, mkdirat, mknodat, openat, renameat_with, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::{Lower, path_of};
use crate::fuse::attributes::decode_device;
use crate::fuse::nodes::{Found, Node};

/// Who makes an entry, and with which mode (the maker's umask is already taken off).
#[derive(Clone, Copy)]
pub(crate) struct Maker {
    pub(crate) user: u32,
    pub(crate) group: u32,
    pub(crate) mode: u32,
}

impl Maker {
    fn permissions(self) -> Mode {
        Mode::from_raw_mode(self.mode & 0o7777)
    }
}

impl Lower {
    /// The name as the entry that it means has it, where upper and lower case mean the same.
    fn spelled<'a>(&self, parent: &Node, name: &'a OsStr) -> Cow<'a, OsStr> {
        let entries = match self.folds_case {
            true => std::fs::read_dir(Self::path_of(parent)).ok(),
            false => None,
        };
        let names = entries.into_iter().flatten().flatten();
        let same = names
            .map(|entry| entry.file_name())
            .find(|other| other.eq_ignore_ascii_case(name));
        same.map_or(Cow::Borrowed(name), Cow::Owned)
    }

    pub(crate) fn look_up(&self, parent: &Node, name: &OsStr) -> Result<Found, Errno> {
        let name = &*self.spelled(parent, name);
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let descriptor = openat(&parent.descriptor, name, flags, Mode::empty())?;
        let stat = fstat(&descriptor)?;
        Ok(Found { descriptor, stat })
    }

    /// Makes a file and opens it with these flags of open(2).
    pub(crate) fn create(
        &self,
        parent: &Node,
        name: &OsStr,
        maker: Maker,
        flags: OFlags,
    ) -> Result<(Found, OwnedFd), Errno> {
        let name = &*self.spelled(parent, name);
        let flags = Self::flags_below(flags) | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = openat(&parent.descriptor, name, flags, maker.permissions())?;
        let found = Found {
            descriptor: self.reopen(opened.as_fd(), OFlags::PATH)?,
            stat: fstat(&opened)?,
        };
        Ok((Self::settle(parent, found, maker)?, opened))
    }

    pub(crate) fn make_node(
        &self,
        parent: &Node,
        name: &OsStr,
        maker: Maker,
        device: u32,
    ) -> Result<Found, Errno> {
        let name = &*self.spelled(parent, name);
        let kind = FileType::from_raw_mode(maker.mode);
        let device = decode_device(device);
        mknodat(&parent.descriptor, name, kind, maker.permissions(), device)?;
        Self::settle(parent, self.look_up(parent, name)?, maker)
    }

    pub(crate) fn make_directory(
        &self,
        parent: &Node,
        name: &OsStr,
        maker: Maker,
    ) -> Result<Found, Errno> {
        let name = &*self.spelled(parent, name);
        mkdirat(&parent.descriptor, name, maker.permissions())?;
        Self::settle(parent, self.look_up(parent, name)?, maker)
    }

    pub(crate) fn make_symlink(
        &self,
        parent: &Node,
        name: &OsStr,
        target: &Path,
        maker: Maker,
    ) -> Result<Found, Errno> {
        let name = &*self.spelled(parent, name);
        symlinkat(target, &parent.descriptor, name)?;
        Self::settle(parent, self.look_up(parent, name)?, maker)
    }

    pub(crate) fn link(&self, node: &Node, parent: &Node, name: &OsStr) -> Result<Found, Errno> {
        let name = &*self.spelled(parent, name);
        linkat(
            &node.descriptor,
            "",
            &parent.descriptor,
            name,
            AtFlags::EMPTY_PATH,
        )?;
        self.look_up(parent, name)
    }

    pub(crate) fn remove(&self, parent: &Node, name: &OsStr, flags: AtFlags) -> Result<(), Errno> {
        let name = &*self.spelled(parent, name);
        unlinkat(&parent.descriptor, name, flags)
    }

    pub(crate) fn rename(
        &self,
        (old_parent, old): (&Node, &OsStr),
        (new_parent, new): (&Node, &OsStr),
        flags: u32,
    ) -> Result<(), Errno> {
        let flags = RenameFlags::from_bits_retain(flags);
        let old = &*self.spelled(old_parent, old);
        let new = &*self.spelled(new_parent, new);
        let (from, to) = (&old_parent.descriptor, &new_parent.descriptor);
        renameat_with(from, old, to, new, flags)?;
        // The kernel does not look up again what it has moved.
        if let Ok(stat) = statat(to, new, AtFlags::SYMLINK_NOFOLLOW) {
            self.nodes.rename(stat.st_ino, new);
        }
        if flags.contains(RenameFlags::EXCHANGE)
            && let Ok(stat) = statat(from, old, AtFlags::SYMLINK_NOFOLLOW)
        {
            self.nodes.rename(stat.st_ino, old);
        }
        Ok(())
    }

    /// Makes a new entry its maker's, whatever the user and the umask of this process.
    fn settle(parent: &Node, mut found: Found, maker: Maker) -> Result<Found, Errno> {
        let stat = &found.stat;
        let is_symlink = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
        let is_masked = (stat.st_mode ^ maker.mode) & 0o777 != 0;
        let is_foreign = (maker.user, maker.group) != (stat.st_uid, stat.st_gid);
        if is_foreign {
            let inherits = fstat(&parent.descriptor)?.st_mode & 0o2000 != 0;
            let group = (!inherits).then(|| Gid::from_raw(maker.group));
            let user = Uid::from_raw(maker.user);
            let flags = AtFlags::EMPTY_PATH;
            chownat(&found.descriptor, "", Some(user), group, flags)?;
        }
        if is_masked && !is_symlink && !has_default_acl(parent) {
            let mode = (found.stat.st_mode & 0o7000) | (maker.mode & 0o777);
            chmod(path_of(&found.descriptor), Mode::from_raw_mode(mode))?;
        }
        found.stat = fstat(&found.descriptor)?;
        Ok(found)
    }
}

/// Where it has one, it and not the umask decides the modes of what is made in it.
fn has_default_acl(parent: &Node) -> bool {
    getxattr_query(Lower::path_of(parent), "system.posix_acl_default").is_ok()
}
