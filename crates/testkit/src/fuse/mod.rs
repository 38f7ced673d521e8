//! A FUSE file system over a directory, for tests and benches: it answers each request after a set delay, counts
//! requests, and goes wrong where it is told to.
//!
//! Without faults it passes on all that the lower file system has: kinds, owners, modes, times, extended attributes
//! (ACLs among them), holes, inode numbers, hard links. Requests are served on [`SlowFs::threads`] threads: one that
//! waits or hangs holds up no other. Caching is as by libfuse's defaults: names and attributes for a second, no
//! missing names, content until the next open. Not passed on: locks, ioctls, O_TMPFILE (fuser has no such request),
//! and what is mounted below the lower directory. Each inode that the kernel remembers takes a descriptor, of which
//! there are as many as the kernel allows.
//!
//! ```no_run
//! # use std::path::Path;
//! # use std::time::Duration;
//! use rustix::io::Errno;
//! use testkit::fuse::{Fault, Op, SlowFs};
//!
//! let mounted = SlowFs::over(Path::new("/lower"))
//!     .metadata_delay(Duration::from_micros(500))
//!     .mount(Path::new("/mountpoint"))?;
//! let full = mounted.arm(Fault::errno(Op::Write, Errno::NOSPC).nth(3));
//! // … what is tested writes …
//! assert_eq!(full.fired(), 1);
//! println!("{}", mounted.counters());
//! mounted.unmount()?;
//! # Ok::<(), testkit::mount::MountError>(())
//! ```

mod answers;
mod armed;
mod attributes;
mod counters;
mod fault;
mod filesystem;
mod lies;
mod lower;
mod mounted;
mod nodes;
mod op;
mod passthrough;
mod requests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use fuser::FopenFlags;
use rustix::io::Errno;

use crate::descriptors;
use crate::mount::{MountError, failed};

pub use armed::Armed;
pub use counters::Counters;
pub use fault::{CopyLie, Fault, ReadLie, SeekLie, WriteLie};
pub use mounted::Mounted;
pub use op::{Delay, Op};

/// How a file system is to be mounted.
#[derive(Debug, Clone)]
pub struct SlowFs {
    lower: PathBuf,
    metadata_delay: Duration,
    data_delay: Duration,
    attribute_timeout: Duration,
    entry_timeout: Duration,
    open_flags: FopenFlags,
    clock: attributes::Clock,
    folds_case: bool,
    missing: Vec<Op>,
    threads: usize,
    mount_options: String,
}

impl SlowFs {
    /// Over this directory, which may be the mount point itself. Without delays.
    pub fn over(lower: &Path) -> Self {
        Self {
            lower: lower.to_owned(),
            metadata_delay: Duration::ZERO,
            data_delay: Duration::ZERO,
            attribute_timeout: Duration::from_secs(1),
            entry_timeout: Duration::from_secs(1),
            open_flags: FopenFlags::empty(),
            clock: attributes::Clock::Nanoseconds,
            folds_case: false,
            missing: Vec::new(),
            threads: 32,
            mount_options: "allow_other".to_owned(),
        }
    }

    /// Before each request but those of [`Delay::Data`] and [`Delay::None`].
    pub fn metadata_delay(self, metadata_delay: Duration) -> Self {
        Self {
            metadata_delay,
            ..self
        }
    }

    /// Before each request of [`Delay::Data`].
    pub fn data_delay(self, data_delay: Duration) -> Self {
        Self { data_delay, ..self }
    }

    /// How long the kernel takes attributes for true without asking.
    pub fn attribute_timeout(self, attribute_timeout: Duration) -> Self {
        Self {
            attribute_timeout,
            ..self
        }
    }

    /// How long the kernel takes a name for existing without asking.
    pub fn entry_timeout(self, entry_timeout: Duration) -> Self {
        Self {
            entry_timeout,
            ..self
        }
    }

    /// Each read and write of a program becomes a request: nothing is cached or read ahead.
    pub fn direct_io(self) -> Self {
        Self {
            open_flags: self.open_flags | FopenFlags::FOPEN_DIRECT_IO,
            ..self
        }
    }

    /// Names that differ in upper and lower case alone are one name, as on many a server.
    pub fn folds_case(self) -> Self {
        Self {
            folds_case: true,
            ..self
        }
    }

    /// Times are told in whole seconds, as by a server with a coarse clock.
    pub fn whole_seconds(self) -> Self {
        Self {
            clock: attributes::Clock::Seconds,
            ..self
        }
    }

    /// Requests of this kind are not known (ENOSYS): the kernel does without, or refuses what would need them.
    pub fn without(mut self, op: Op) -> Self {
        self.missing.push(op);
        self
    }

    /// The kernel checks owners and modes. Otherwise, as this process is root, everybody may do everything.
    pub fn kernel_checks_permissions(mut self) -> Self {
        self.mount_options.push_str(",default_permissions");
        self
    }

    /// How many requests are served at once (32). Each takes a thread, and more than some 48 of them 4 MiB each at the
    /// mean: fuser has buffers of 16 MiB, which the C library clears where many threads share its arenas.
    ///
    /// # Panics
    /// Where there are none.
    pub fn threads(self, threads: usize) -> Self {
        assert!(threads > 0, "nobody would answer");
        Self { threads, ..self }
    }

    /// Mounts at this directory, as file system type `fuse.slowfs`. Needs root.
    pub fn mount(self, point: &Path) -> Result<Mounted, MountError> {
        descriptors::raise_hard_limit();
        let lower = lower::Lower::new(&self.lower, self.folds_case)
            .map_err(|error| cannot(format!("open {}", self.lower.display()), error))?;
        let requests = Arc::new(requests::Requests::new(
            self.metadata_delay,
            self.data_delay,
            self.missing,
        ));
        let (ended, has_ended) = channel();
        let filesystem = passthrough::Passthrough {
            lower,
            requests: Arc::clone(&requests),
            attribute_timeout: self.attribute_timeout,
            entry_timeout: self.entry_timeout,
            open_flags: self.open_flags,
            clock: self.clock,
            ended: Some(ended),
        };
        let place = mounted::Place {
            point,
            options: &self.mount_options,
            threads: self.threads,
        };
        Mounted::begin(filesystem, requests, has_ended, &place)
    }
}

fn cannot(what: String, error: Errno) -> MountError {
    failed(what)(io::Error::from(error))
}

#[cfg(test)]
mod tests;
