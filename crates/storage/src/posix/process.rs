//! What the process itself brings to each creation: who it is, and its creation mask.

use std::cell::Cell;
use std::time::Duration;

use rustix::fs::Mode;
use rustix::process::{Resource, getegid, geteuid, getrlimit, umask};
use rustix::time::ClockId;

use super::meta::Owner;

/// Who this process is to the file systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// What new entries belong to, where a directory doesn't say otherwise.
    pub owner: Owner,
}

impl Identity {
    pub fn current() -> Self {
        Self {
            owner: Owner {
                uid: geteuid().as_raw(),
                gid: getegid().as_raw(),
            },
        }
    }

    /// Whether owners can be given away. A root without CAP_CHOWN is told by EPERM.
    pub fn is_root(&self) -> bool {
        self.owner.uid == 0
    }
}

/// How many files this process may have open at once.
pub fn max_descriptors() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Whether the kernel is this one or a later one; one that doesn't tell is.
pub fn kernel_is_since(major: u32, minor: u32) -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    is_since(&release, major, minor)
}

fn is_since(release: &str, major: u32, minor: u32) -> bool {
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map_while(|number| number.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(a), Some(b)) => (a, b) >= (major, minor),
        _ => true,
    }
}

thread_local! {
    static HAS_OWN_DIRECTORY: Cell<bool> = const { Cell::new(false) };
}

/// Whether the calling thread may change its working directory without moving others: see [`isolate_creation_mask`].
pub(super) fn has_own_directory() -> bool {
    HAS_OWN_DIRECTORY.get()
}

/// Gives the calling thread a creation mask of its own and clears it, so that a mode given at
/// creation is the mode that comes to be; other threads of the process keep theirs. Returns
/// the bits that creations on this thread still lose: none, or (where a sandbox
/// refuses) those of the process.
pub fn isolate_creation_mask() -> u32 {
    // Deprecated for flags that unshare descriptors; this one only unshares mask and directory.
    #[allow(deprecated)]
    let isolated = rustix::thread::unshare(rustix::thread::UnshareFlags::FS);
    match isolated {
        Ok(()) => {
            umask(Mode::empty());
            HAS_OWN_DIRECTORY.set(true);
            0
        }
        Err(_) => read_process_mask().unwrap_or(0o777),
    }
}

/// The processor time that this process has used, all its threads together.
pub fn process_cpu_time() -> Duration {
    used(ClockId::ProcessCPUTime)
}

/// The processor time that this thread has used.
pub fn thread_cpu_time() -> Duration {
    used(ClockId::ThreadCPUTime)
}

fn used(clock: ClockId) -> Duration {
    let used = rustix::time::clock_gettime(clock);
    Duration::new(
        u64::try_from(used.tv_sec).unwrap_or_default(),
        u32::try_from(used.tv_nsec).unwrap_or_default(),
    )
}

/// The process's creation mask. A thread that called [`isolate_creation_mask`] has its own.
pub fn process_mask() -> u32 {
    read_process_mask().unwrap_or(0o022)
}

/// The mask, read without changing it as umask(2) would.
fn read_process_mask() -> Option<u32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(line.trim(), 8).ok()
}

#[cfg(test)]
mod tests {
    use super::is_since;

    #[test]
    fn kernels_are_compared_by_their_numbers() {
        for (release, since) in [
            ("5.8.0-63-generic\n", true),
            ("5.10.0+", true),
            ("6.1", true),
            ("5.7.19", false),
            ("4.18.0-553.el8", false),
            ("", true),
        ] {
            assert_eq!(is_since(release, 5, 8), since, "{release}");
        }
    }
}
