//! What all requests have in common: the lower directory, what they pass through, and how entries are told of.

use std::ffi::OsStr;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use fuser::{FileAttr, FopenFlags, Generation, INodeNo, InitFlags, KernelConfig, ReplyEntry};
use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::answers::errno;
use super::attributes::{Clock, attributes};
use super::lower::Lower;
use super::nodes::{Found, Node};
use super::op::Op;
use super::requests::{Requests, Subject};

/// As libfuse sets it: a page less than this makes more requests.
const MAX_WRITE_BYTES: u32 = 1 << 20;
/// The kernel's own default.
const MAX_BACKGROUND: u16 = 12;

pub(super) struct Passthrough {
    pub(super) lower: Lower,
    pub(super) requests: Arc<Requests>,
    pub(super) attribute_timeout: Duration,
    pub(super) entry_timeout: Duration,
    pub(super) open_flags: FopenFlags,
    pub(super) clock: Clock,
    /// Dropped when the last request is answered and none can come any more.
    pub(super) ended: Option<Sender<()>>,
}

impl Passthrough {
    /// Serves a request about an inode that the kernel knows.
    pub(super) fn about<T>(
        &self,
        op: Op,
        number: INodeNo,
        act: impl FnOnce(&Node) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let node = self.lower.node(number)?;
        self.requests.serve(op, Subject::Node(&node), || act(&node))
    }

    /// As [`Self::about`], of requests that can be skipped.
    pub(super) fn done(
        &self,
        op: Op,
        number: INodeNo,
        act: impl FnOnce(&Node) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let node = self.lower.node(number)?;
        self.requests
            .serve_or_skip(op, Subject::Node(&node), || act(&node))
    }

    /// Serves a request about a name in a directory.
    pub(super) fn named<T>(
        &self,
        op: Op,
        parent: INodeNo,
        name: &OsStr,
        act: impl FnOnce(&Node) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let parent = self.lower.node(parent)?;
        self.requests
            .serve(op, Subject::Name(name), || act(&parent))
    }

    pub(super) fn remove(
        &self,
        op: Op,
        parent: INodeNo,
        name: &OsStr,
        flags: AtFlags,
    ) -> Result<(), Errno> {
        let parent = self.lower.node(parent)?;
        self.requests.serve_or_skip(op, Subject::Name(name), || {
            self.lower.remove(&parent, name, flags)
        })
    }

    pub(super) fn tell(&self, found: Found, name: &OsStr) -> Result<FileAttr, Errno> {
        let attributes = attributes(&found.stat, self.clock);
        self.lower.nodes.tell(found, name)?;
        Ok(attributes)
    }

    pub(super) fn answer_entry(
        &self,
        reply: ReplyEntry,
        name: &OsStr,
        found: Result<Found, Errno>,
    ) {
        match found.and_then(|found| self.tell(found, name)) {
            Ok(attributes) => reply.entry_with_ttls(
                &self.attribute_timeout,
                &self.entry_timeout,
                &attributes,
                Generation(0),
            ),
            Err(error) => reply.error(errno(error)),
        }
    }
}

/// What libfuse asks of the kernel by default.
pub(super) fn ask_as_libfuse(config: &mut KernelConfig) -> io::Result<()> {
    let wanted = InitFlags::FUSE_ATOMIC_O_TRUNC
        | InitFlags::FUSE_AUTO_INVAL_DATA
        | InitFlags::FUSE_ASYNC_DIO
        | InitFlags::FUSE_PARALLEL_DIROPS
        | InitFlags::FUSE_HANDLE_KILLPRIV;
    config
        .add_capabilities(wanted & config.capabilities())
        .map_err(|_| io::Error::other("the kernel takes back a capability"))?;
    config
        .set_max_write(MAX_WRITE_BYTES)
        .map_err(|_| io::Error::other("the kernel refuses the longest write"))?;
    config
        .set_max_background(MAX_BACKGROUND)
        .map_err(|_| io::Error::other("the kernel refuses requests in the background"))?;
    Ok(())
}
