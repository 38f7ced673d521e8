//! A fresh directory that is gone when its owner is.
//!
//! Removal never reaches through a mount: whatever is still mounted below is detached first. It also gets
//! past directories whose mode keeps their owner out, and through any depth. It never panics: a test that failed must show its own failure.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::statvfs;
use rustix::mount::{UnmountFlags, unmount};

use crate::mount::mount_points;
use crate::removal;

static NEXT: AtomicU64 = AtomicU64::new(0);

/// What must be free of `/dev/shm`, in bytes: containers are often given 64 MiB.
const ROOM: u64 = 4 << 30;

/// A directory in memory where the machine has some to spare, else that for temporary files.
pub fn memory() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let room = statvfs(memory).map(|found| found.f_bavail * found.f_frsize);
    match room {
        Ok(room) if room >= ROOM => memory.to_owned(),
        _ => std::env::temp_dir(),
    }
}

/// A directory with a name of its own, removed with all below it on drop.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    is_kept: bool,
}

impl Scratch {
    /// In the directory for temporary files (`TMPDIR`, else `/tmp`).
    ///
    /// # Panics
    /// Where no directory can be made there.
    pub fn new(label: &str) -> Self {
        Self::within(&std::env::temp_dir(), label)
            .unwrap_or_else(|error| panic!("cannot create a directory for {label}: {error}"))
    }

    /// In memory where the machine has some to spare, else like [`Scratch::new`].
    pub fn in_memory(label: &str) -> Self {
        Self::within(&memory(), label).unwrap_or_else(|_| Self::new(label))
    }

    pub fn within(parent: &Path, label: &str) -> io::Result<Self> {
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("testkit-{label}-{}-{number}", std::process::id());
            let path = parent.join(name);
            match fs::create_dir(&path) {
                Ok(()) => {
                    return Ok(Self {
                        path: path.canonicalize()?,
                        is_kept: false,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// It stays when it is dropped, for somebody to look at.
    pub fn keep(&mut self) {
        self.is_kept = true;
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn join(&self, below: impl AsRef<Path>) -> PathBuf {
        self.path.join(below)
    }

    /// A new directory below, with its parents.
    ///
    /// # Panics
    /// Where it cannot be created.
    pub fn directory(&self, below: impl AsRef<Path>) -> PathBuf {
        let path = self.path.join(below);
        fs::create_dir_all(&path)
            .unwrap_or_else(|error| panic!("cannot create {}: {error}", path.display()));
        path
    }

    /// A file below with this content.
    ///
    /// # Panics
    /// Where it cannot be written.
    pub fn file(&self, below: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path.join(below);
        fs::write(&path, content)
            .unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        if !detach_below(&self.path) {
            let path = self.path.display();
            eprintln!("left in place, something is still mounted below: {path}");
            return;
        }
        // The second try is for what a program that was just killed still made meanwhile.
        let removed = removal::remove(&self.path).or_else(|_| fs::remove_dir_all(&self.path));
        if let Err(error) = removed {
            eprintln!("cannot remove {}: {error}", self.path.display());
        }
    }
}

/// Detaches what is mounted below `path`, the last mounted first; whether nothing is left.
fn detach_below(path: &Path) -> bool {
    let Ok(mounted) = mount_points() else {
        return false;
    };
    mounted
        .iter()
        .rev()
        .filter(|point| point.path.starts_with(path))
        .all(|point| unmount(&point.path, UnmountFlags::DETACH).is_ok())
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::Scratch;

    #[test]
    fn it_is_gone_with_its_owner_whatever_is_in_it() {
        let scratch = Scratch::new("gone");
        let path = scratch.path().to_owned();
        scratch.directory("a/b");
        scratch.file("a/b/c", b"content");
        set_permissions(path.join("a"), Permissions::from_mode(0o000)).unwrap();
        drop(scratch);
        assert!(!path.exists());
    }
}
