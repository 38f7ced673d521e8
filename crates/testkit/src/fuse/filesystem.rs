//! The kernel's requests, one method each: what it is, what it is about, and how the result is answered. A long file, as
//! the trait cannot be split; nothing is decided here.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use fuser::{
    BsdFileFlags, CopyFileRangeFlags, FileHandle, Filesystem, FopenFlags, Generation, INodeNo,
    KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite,
    ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use rustix::fs::{AtFlags, OFlags};
use rustix::io::Errno;

use super::answers::{self, errno};
use super::attributes::{attributes, kind};
use super::lies::{falsify_copy, falsify_read, falsify_seek, falsify_write};
use super::lower::{Change, Listed, Maker, Page, Room, Sync, Whence};
use super::op::Op;
use super::passthrough::{Passthrough, ask_as_libfuse};
use super::requests::Subject;

impl Filesystem for Passthrough {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        ask_as_libfuse(config)
    }

    fn destroy(&mut self) {
        self.ended = None;
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.named(Op::Lookup, parent, name, |parent| {
            self.lower.look_up(parent, name)
        });
        self.answer_entry(reply, name, found);
    }

    fn forget(&self, _: &Request, number: INodeNo, lookups: u64) {
        self.lower.nodes.forget(number, lookups);
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let stat = self.about(Op::Getattr, number, |node| self.lower.stat(node));
        match stat {
            Ok(stat) => reply.attr(&self.attribute_timeout, &attributes(&stat, self.clock)),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        number: INodeNo,
        mode: Option<u32>,
        user: Option<u32>,
        group: Option<u32>,
        size_bytes: Option<u64>,
        accessed: Option<TimeOrNow>,
        modified: Option<TimeOrNow>,
        _changed: Option<SystemTime>,
        handle: Option<FileHandle>,
        _created: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let change = Change {
            mode,
            user,
            group,
            size_bytes,
            accessed,
            modified,
        };
        let changed = self.done(change.op(), number, |node| {
            let opened = handle.map(|handle| self.lower.handle(handle)).transpose()?;
            self.lower.change(node, opened.as_deref(), &change)
        });
        let stat = changed
            .and_then(|()| self.lower.node(number))
            .and_then(|node| self.lower.stat(&node));
        match stat {
            Ok(stat) => reply.attr(&self.attribute_timeout, &attributes(&stat, self.clock)),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn readlink(&self, _: &Request, number: INodeNo, reply: ReplyData) {
        let target = self.about(Op::Readlink, number, |node| self.lower.read_link(node));
        answers::data(reply, target);
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        device: u32,
        reply: ReplyEntry,
    ) {
        let made = self.named(Op::Mknod, parent, name, |parent| {
            self.lower
                .make_node(parent, name, maker(request, mode), device)
        });
        self.answer_entry(reply, name, made);
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        let made = self.named(Op::Mkdir, parent, name, |parent| {
            self.lower
                .make_directory(parent, name, maker(request, mode))
        });
        self.answer_entry(reply, name, made);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let removed = self.remove(Op::Unlink, parent, name, AtFlags::empty());
        answers::done(reply, removed);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let removed = self.remove(Op::Rmdir, parent, name, AtFlags::REMOVEDIR);
        answers::done(reply, removed);
    }

    fn symlink(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        let made = self.named(Op::Symlink, parent, name, |parent| {
            self.lower
                .make_symlink(parent, name, target, maker(request, 0o777))
        });
        self.answer_entry(reply, name, made);
    }

    fn rename(
        &self,
        _: &Request,
        old_parent: INodeNo,
        old: &OsStr,
        new_parent: INodeNo,
        new: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let parents = self.lower.node(old_parent).and_then(|old_parent| {
            let new_parent = self.lower.node(new_parent)?;
            Ok((old_parent, new_parent))
        });
        let renamed = parents.and_then(|(old_parent, new_parent)| {
            let subject = Subject::Names(old, new);
            self.requests.serve_or_skip(Op::Rename, subject, || {
                let (from, to) = ((&*old_parent, old), (&*new_parent, new));
                self.lower.rename(from, to, flags.bits())
            })
        });
        answers::done(reply, renamed);
    }

    fn link(&self, _: &Request, number: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let linked = self.named(Op::Link, parent, name, |parent| {
            let node = self.lower.node(number)?;
            self.lower.link(&node, parent, name)
        });
        self.answer_entry(reply, name, linked);
    }

    fn open(&self, _: &Request, number: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let opened = self.about(Op::Open, number, |node| {
            self.lower.open(node, open_flags(flags.0))
        });
        match opened {
            Ok(file) => reply.opened(self.lower.keep_open(file), self.open_flags),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let created = self.named(Op::Create, parent, name, |parent| {
            self.lower
                .create(parent, name, maker(request, mode), open_flags(flags))
        });
        match created.and_then(|(found, file)| Ok((self.tell(found, name)?, file))) {
            Ok((attributes, file)) => reply.created(
                &self.attribute_timeout.min(self.entry_timeout),
                &attributes,
                Generation(0),
                self.lower.keep_open(file),
                self.open_flags,
            ),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        length: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let data = self.lower.node(number).and_then(|node| {
            let subject = Subject::Node(&node);
            self.requests.serve_or_lie(Op::Read, subject, |armed| {
                let file = self.lower.handle(handle)?;
                let mut data = self.lower.read(&file, offset, length as usize)?;
                if let Some(armed) = armed {
                    falsify_read(armed, &mut data);
                }
                Ok(data)
            })
        });
        answers::data(reply, data);
    }

    fn write(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written = self.lower.node(number).and_then(|node| {
            let subject = Subject::Node(&node);
            self.requests.serve_or_lie(Op::Write, subject, |armed| {
                let file = self.lower.handle(handle)?;
                match armed {
                    Some(armed) => falsify_write(armed, &self.lower, &file, data, offset),
                    None => self.lower.write(&file, data, offset),
                }
            })
        });
        answers::written(reply, written);
    }

    fn flush(&self, _: &Request, number: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        answers::done(reply, self.done(Op::Flush, number, |_| Ok(())));
    }

    fn release(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        let released = self.about(Op::Release, number, |_| Ok(()));
        // Whatever is answered, the kernel does not ask again.
        self.lower.close(handle);
        answers::done(reply, released);
    }

    fn fsync(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        data_only: bool,
        reply: ReplyEmpty,
    ) {
        let synced = self.done(Op::Fsync, number, |_| {
            let file = self.lower.handle(handle)?;
            self.lower.sync(&file, what_to_sync(data_only))
        });
        answers::done(reply, synced);
    }

    fn opendir(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let opened = self.about(Op::Opendir, number, |node| self.lower.open_directory(node));
        match opened {
            Ok(directory) => reply.opened(self.lower.keep_open(directory), FopenFlags::empty()),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn readdir(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let give = |listed: Listed<'_>| {
            let number = INodeNo(listed.number);
            match reply.add(number, listed.next_offset, kind(listed.kind), listed.name) {
                true => Page::Full,
                false => Page::Left,
            }
        };
        let listed = self.about(Op::Readdir, number, |_| {
            self.lower.list(&*self.lower.handle(handle)?, offset, give)
        });
        match listed {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn releasedir(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        reply: ReplyEmpty,
    ) {
        let released = self.about(Op::Releasedir, number, |_| Ok(()));
        self.lower.close(handle);
        answers::done(reply, released);
    }

    fn fsyncdir(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        data_only: bool,
        reply: ReplyEmpty,
    ) {
        let synced = self.done(Op::Fsyncdir, number, |_| {
            let directory = self.lower.handle(handle)?;
            self.lower.sync(&directory, what_to_sync(data_only))
        });
        answers::done(reply, synced);
    }

    fn statfs(&self, _: &Request, number: INodeNo, reply: ReplyStatfs) {
        match self.about(Op::Statfs, number, |_| self.lower.file_system()) {
            Ok(found) => reply.statfs(
                found.f_blocks,
                found.f_bfree,
                found.f_bavail,
                found.f_files,
                found.f_ffree,
                found.f_bsize as u32,
                found.f_namemax as u32,
                found.f_frsize as u32,
            ),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn setxattr(
        &self,
        _: &Request,
        number: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        let set = self.done(Op::Setxattr, number, |node| {
            self.lower.set_extended_attribute(node, name, value, flags)
        });
        answers::done(reply, set);
    }

    fn getxattr(
        &self,
        _: &Request,
        number: INodeNo,
        name: &OsStr,
        room_bytes: u32,
        reply: ReplyXattr,
    ) {
        let value = self.about(Op::Getxattr, number, |node| {
            self.lower.extended_attribute(node, name, room(room_bytes))
        });
        answers::attribute(reply, value);
    }

    fn listxattr(&self, _: &Request, number: INodeNo, room_bytes: u32, reply: ReplyXattr) {
        let names = self.about(Op::Listxattr, number, |node| {
            self.lower.extended_attributes(node, room(room_bytes))
        });
        answers::attribute(reply, names);
    }

    fn removexattr(&self, _: &Request, number: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let removed = self.done(Op::Removexattr, number, |node| {
            self.lower.remove_extended_attribute(node, name)
        });
        answers::done(reply, removed);
    }

    fn fallocate(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let allocated = self.done(Op::Fallocate, number, |_| {
            let file = self.lower.handle(handle)?;
            self.lower.allocate(&file, mode, offset, length)
        });
        answers::done(reply, allocated);
    }

    fn lseek(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        let found = self.lower.node(number).and_then(|node| {
            let subject = Subject::Node(&node);
            self.requests.serve_or_lie(Op::Lseek, subject, |armed| {
                let file = self.lower.handle(handle)?;
                let whence = Whence::from_raw(whence)?;
                let offset = u64::try_from(offset).map_err(|_| Errno::NXIO)?;
                match armed {
                    Some(armed) => falsify_seek(armed, &self.lower, &file, whence, offset),
                    None => self.lower.seek(&file, whence, offset),
                }
            })
        });
        match found {
            Ok(offset) => reply.offset(offset as i64),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn copy_file_range(
        &self,
        _: &Request,
        _: INodeNo,
        from: FileHandle,
        read_at: u64,
        to_number: INodeNo,
        to: FileHandle,
        write_at: u64,
        length: u64,
        _: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        let copied = self.lower.node(to_number).and_then(|node| {
            let (op, subject) = (Op::CopyFileRange, Subject::Node(&node));
            self.requests.serve_or_lie(op, subject, |armed| {
                let (from, to) = (self.lower.handle(from)?, self.lower.handle(to)?);
                let (from, to) = ((&*from, read_at), (&*to, write_at));
                let length = length.min(u64::from(u32::MAX >> 1)) as usize;
                match armed {
                    Some(armed) => falsify_copy(armed, &self.lower, from, to, length),
                    None => self.lower.copy_range(from, to, length),
                }
            })
        });
        answers::written(reply, copied);
    }
}

fn maker(request: &Request, mode: u32) -> Maker {
    Maker {
        user: request.uid(),
        group: request.gid(),
        mode,
    }
}

fn open_flags(flags: i32) -> OFlags {
    OFlags::from_bits_retain(flags.cast_unsigned())
}

fn what_to_sync(data_only: bool) -> Sync {
    match data_only {
        true => Sync::DataOnly,
        false => Sync::All,
    }
}

fn room(bytes: u32) -> Room {
    match bytes {
        0 => Room::Unknown,
        bytes => Room::Bytes(bytes as usize),
    }
}
