//! Results as answers to the kernel.

use fuser::{ReplyData, ReplyEmpty, ReplyWrite, ReplyXattr};
use rustix::io::Errno;

use super::lower::Attribute;

pub(super) fn errno(error: Errno) -> fuser::Errno {
    fuser::Errno::from_i32(error.raw_os_error())
}

pub(super) fn done(reply: ReplyEmpty, result: Result<(), Errno>) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(errno(error)),
    }
}

pub(super) fn data(reply: ReplyData, result: Result<Vec<u8>, Errno>) {
    match result {
        Ok(bytes) => reply.data(&bytes),
        Err(error) => reply.error(errno(error)),
    }
}

pub(super) fn written(reply: ReplyWrite, result: Result<usize, Errno>) {
    match result {
        Ok(count) => reply.written(count as u32),
        Err(error) => reply.error(errno(error)),
    }
}

pub(super) fn attribute(reply: ReplyXattr, result: Result<Attribute, Errno>) {
    match result {
        Ok(Attribute::Length(length)) => reply.size(length as u32),
        Ok(Attribute::Value(value)) => reply.data(&value),
        Err(error) => reply.error(errno(error)),
    }
}
