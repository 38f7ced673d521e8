//! A file system that is mounted, and how it ends: by a plain unmount that waits until all is answered, or at once,
//! with errors for whoever still uses it. Neither end waits for a request that hangs.

use std::ffi::CString;
use std::fmt;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use fuser::{BackgroundSession, Config, Session, SessionACL};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount};

use super::passthrough::Passthrough;
use super::requests::Requests;
use super::{Armed, Counters, Fault, cannot};
use crate::mount::{self, MountError, failed};

/// How long an unmount waits for files to be closed, and a drop for requests that are being served.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where a file system is mounted, and how.
pub(super) struct Place<'a> {
    pub(super) point: &'a Path,
    pub(super) options: &'a str,
    pub(super) threads: usize,
}

/// Holds the mount. A drop takes it off at once: requests that are under way fail, and so does what is still open.
pub struct Mounted {
    guard: mount::Mounted,
    session: Option<BackgroundSession>,
    requests: Arc<Requests>,
    has_ended: Mutex<Receiver<()>>,
}

impl Mounted {
    /// The mount is made here and not by fuser, which at the end would take off whatever then lies at the mount point.
    pub(super) fn begin(
        filesystem: Passthrough,
        requests: Arc<Requests>,
        has_ended: Receiver<()>,
        place: &Place<'_>,
    ) -> Result<Self, MountError> {
        let find = format!("find {}", place.point.display());
        let point = place.point.canonicalize().map_err(failed(find))?;
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        let device = openat(CWD, "/dev/fuse", flags, Mode::empty())
            .map_err(|error| cannot("open /dev/fuse".to_owned(), error))?;
        let options = CString::new(format!(
            "fd={},rootmode=40000,user_id=0,group_id=0,{}",
            device.as_raw_fd(),
            place.options
        ))
        .expect("digits and letters hold no NUL");
        let at = format!("mount a slowfs at {}", point.display());
        mount(
            "slowfs",
            &point,
            "fuse.slowfs",
            MountFlags::empty(),
            options.as_c_str(),
        )
        .map_err(|error| cannot(at.clone(), error))?;
        let guard = mount::Mounted::adopt_canonical(point)?;
        let mut config = Config::default();
        config.n_threads = Some(place.threads);
        let session = Session::from_fd(filesystem, device, SessionACL::All, config)
            .and_then(Session::spawn)
            .map_err(failed(at))?;
        Ok(Self {
            guard,
            session: Some(session),
            requests,
            has_ended: Mutex::new(has_ended),
        })
    }

    pub fn path(&self) -> &Path {
        self.guard.path()
    }

    /// Whether the mount is still in the mount table.
    pub fn is_mounted(&self) -> bool {
        self.guard.is_mounted()
    }

    pub fn counters(&self) -> &Counters {
        &self.requests.counters
    }

    /// Puts a fault to work. It sees the requests that come in from now on.
    pub fn arm(&self, fault: Fault) -> Armed {
        self.requests.arm(fault)
    }

    /// Unmounts when all requests are answered. Files that stay open are an error (EBUSY), after which it is taken off at
    /// once.
    pub fn unmount(mut self) -> Result<(), MountError> {
        self.take_off_unused()?;
        self.requests.end_hangs();
        match self.session.take() {
            Some(session) => session.join().map_err(failed("serve requests".to_owned())),
            None => Ok(()),
        }
    }

    /// Programs that another thread starts hold all descriptors of this process for a moment, and the kernel has no way
    /// to wait for them.
    fn take_off_unused(&self) -> Result<(), MountError> {
        let begun = Instant::now();
        loop {
            match self.guard.take_off(UnmountFlags::empty()) {
                Err(error) if is_busy(&error) && begun.elapsed() < PATIENCE => {
                    thread::sleep(Duration::from_millis(5));
                }
                other => return other,
            }
        }
    }

    /// Takes the mount out of the tree; what is open in it goes on working (`umount -l`).
    pub fn detach(&self) -> Result<(), MountError> {
        self.guard.detach()
    }

    /// The server is gone and its mount still there: from now on all that is asked of it fails (ENOTCONN, ECONNABORTED).
    pub fn disconnect(&self) -> Result<(), MountError> {
        // A mount that is in use stays when it is unmounted by force, but its connection is cut.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let _in_use = openat(CWD, self.path(), flags, Mode::empty())
            .map_err(|error| cannot(format!("hold {}", self.path().display()), error))?;
        match self.guard.take_off(UnmountFlags::FORCE) {
            Err(error) if is_busy(&error) => {}
            other => other?,
        }
        self.requests.end_hangs();
        Ok(())
    }

    /// Waits until the mount was taken off by somebody; whether it was before `patience` was over.
    pub fn wait_until_unmounted(&self, patience: Duration) -> bool {
        let has_ended = self.has_ended.lock();
        let has_ended = has_ended.unwrap_or_else(PoisonError::into_inner);
        has_ended.recv_timeout(patience) == Err(RecvTimeoutError::Disconnected)
    }
}

fn is_busy(error: &MountError) -> bool {
    match error {
        MountError::Io { source, .. } => source.raw_os_error() == Some(Errno::BUSY.raw_os_error()),
        _ => false,
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if self.session.is_none() {
            return;
        }
        if self.guard.is_mounted() {
            let at_once = UnmountFlags::FORCE | UnmountFlags::DETACH;
            if let Err(error) = self.guard.take_off(at_once) {
                eprintln!("left mounted: {error}");
            }
        }
        self.requests.end_hangs();
        // So that the lower directory is no longer in use; what cannot end in time is left to itself.
        self.wait_until_unmounted(PATIENCE);
    }
}

impl fmt::Debug for Mounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mounted")
            .field("guard", &self.guard)
            .finish_non_exhaustive()
    }
}
