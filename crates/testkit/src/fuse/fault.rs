//! What goes wrong, and at which requests. A fault is a plain description; [`super::Mounted::arm`] puts it to work.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use rustix::io::Errno;

use super::Op;

/// An answer to READ that is not what the file holds. Over the page cache the kernel takes a short answer for the end
/// of the file: mount with [`super::SlowFs::direct_io`] to have programs see it as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadLie {
    /// At most so many bytes.
    Short { bytes: usize },
    /// No bytes, which says that the file ends here.
    Empty,
    /// The byte at this place of the answer, counted round, is inverted.
    FlipByte { at: u64 },
}

/// What is stored by a WRITE that is not what is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteLie {
    /// At most so many bytes are stored and acknowledged: no lie, but seldom met.
    Short { bytes: usize },
    /// The byte at this place of the data, counted round, is stored inverted.
    FlipByte { at: u64 },
    /// Nothing is stored, though the file becomes as long as if it had been.
    Drop,
    /// The first half is stored, and the file ends there.
    Truncate,
}

/// What a COPY_FILE_RANGE stores that is not what is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyLie {
    /// At most so many bytes are copied and acknowledged: with 0, it looks like the end of the file.
    Short { bytes: usize },
    /// The byte at this place of what is copied, counted round, is stored inverted.
    FlipByte { at: u64 },
}

/// An untrue answer to `SEEK_DATA` and `SEEK_HOLE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeekLie {
    /// There is no data up to the end of the file.
    AllHole,
    /// There is no hole before the end of the file.
    AllData,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Answer(Errno),
    AnswerThoughDone(Errno),
    Skip,
    Hang,
    Read(ReadLie),
    Write(WriteLie),
    Copy(CopyLie),
    Seek(SeekLie),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    Only(u64),
    From(u64),
    Every(u64),
}

/// One kind of fault at requests of one kind: at each of them, unless it is restricted.
#[derive(Debug, Clone)]
pub struct Fault {
    op: Op,
    effect: Effect,
    when: When,
    prefix: OsString,
    suffix: OsString,
}

impl Fault {
    /// The request is answered by this error, and nothing is done. Of requests by name the kernel makes a second one
    /// after ESTALE, so that it takes two of these for a program to see it.
    pub fn errno(op: Op, errno: Errno) -> Self {
        Self::new(op, Effect::Answer(errno))
    }

    /// What was asked for is done, and yet this error answered: a reply that got lost. It does not fire where the request
    /// failed by itself.
    pub fn errno_though_done(op: Op, errno: Errno) -> Self {
        Self::new(op, Effect::AnswerThoughDone(errno))
    }

    /// The request is acknowledged, and nothing is done.
    ///
    /// # Panics
    /// Where the answer to `op` has to hold more than that ([`Op::can_be_skipped`]).
    pub fn skip(op: Op) -> Self {
        assert!(op.can_be_skipped(), "an answer to {op} cannot be made up");
        Self::new(op, Effect::Skip)
    }

    /// The request is served after [`super::Armed::release`]. Where the file system ends before that, it fails with EIO.
    /// Each hanging request takes one of [`super::SlowFs::threads`].
    pub fn hang(op: Op) -> Self {
        Self::new(op, Effect::Hang)
    }

    pub fn read(lie: ReadLie) -> Self {
        Self::new(Op::Read, Effect::Read(lie))
    }

    pub fn write(lie: WriteLie) -> Self {
        Self::new(Op::Write, Effect::Write(lie))
    }

    /// Both files must be of this mount: between two the kernel reads and writes.
    pub fn copy(lie: CopyLie) -> Self {
        Self::new(Op::CopyFileRange, Effect::Copy(lie))
    }

    pub fn seek(lie: SeekLie) -> Self {
        Self::new(Op::Lseek, Effect::Seek(lie))
    }

    fn new(op: Op, effect: Effect) -> Self {
        Self {
            op,
            effect,
            when: When::Always,
            prefix: OsString::new(),
            suffix: OsString::new(),
        }
    }

    /// Only at the `number`-th matching request, the first being 1.
    pub fn nth(self, number: u64) -> Self {
        self.at(When::Only(number))
    }

    /// At the `number`-th matching request and all that follow.
    pub fn from_nth(self, number: u64) -> Self {
        self.at(When::From(number))
    }

    /// At each `number`-th matching request.
    pub fn every_nth(self, number: u64) -> Self {
        assert!(number > 0, "every 0th request is none");
        self.at(When::Every(number))
    }

    fn at(self, when: When) -> Self {
        Self { when, ..self }
    }

    /// Only where the last component of the path begins so. Requests about an open file or a known inode go by the name
    /// under which it was last seen; of a rename either name counts; the root's name is empty.
    pub fn name_prefix(self, prefix: impl AsRef<OsStr>) -> Self {
        let prefix = prefix.as_ref().to_owned();
        Self { prefix, ..self }
    }

    /// Only where the last component of the path ends so, see [`Fault::name_prefix`].
    pub fn name_suffix(self, suffix: impl AsRef<OsStr>) -> Self {
        let suffix = suffix.as_ref().to_owned();
        Self { suffix, ..self }
    }

    pub(super) fn effect(&self) -> Effect {
        self.effect
    }

    pub(super) fn op(&self) -> Op {
        self.op
    }

    pub(super) fn matches_name(&self, name: &OsStr) -> bool {
        name.as_bytes().starts_with(self.prefix.as_bytes())
            && name.as_bytes().ends_with(self.suffix.as_bytes())
    }

    /// Whether it is the turn of the `number`-th matching request.
    pub(super) fn is_due(&self, number: u64) -> bool {
        match self.when {
            When::Always => true,
            When::Only(wanted) => number == wanted,
            When::From(first) => number >= first,
            When::Every(step) => number.is_multiple_of(step),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use rustix::io::Errno;

    use super::Fault;
    use crate::fuse::Op;

    #[test]
    fn a_fault_is_due_as_it_was_restricted() {
        let fault = || Fault::errno(Op::Read, Errno::IO);
        let due = |fault: Fault| (1..=6).filter(|n| fault.is_due(*n)).collect::<Vec<_>>();
        assert_eq!(due(fault()), [1, 2, 3, 4, 5, 6]);
        assert_eq!(due(fault().nth(3)), [3]);
        assert_eq!(due(fault().from_nth(4)), [4, 5, 6]);
        assert_eq!(due(fault().every_nth(2)), [2, 4, 6]);
    }

    #[test]
    fn both_ends_of_a_name_must_match() {
        let fault = Fault::errno(Op::Read, Errno::IO)
            .name_prefix(".dm.")
            .name_suffix("7");
        assert!(fault.matches_name(OsStr::new(".dm.x.7")));
        assert!(!fault.matches_name(OsStr::new(".dm.x")));
        assert!(!fault.matches_name(OsStr::new("x.7")));
    }
}
