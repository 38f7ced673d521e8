//! File systems made for one test: loop devices with ext4 or xfs, tmpfs, bind mounts, over-mounts.
//!
//! Each guard remembers the mount id that the kernel gave it and unmounts that mount and no other: one that a test
//! has detached meanwhile is left alone, and so is a foreign one that lies over it. Needs root; never skips.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};

use crate::scratch::Scratch;
use crate::tool::{self, ToolError};

#[derive(Debug)]
pub enum MountError {
    Tool(ToolError),
    Io {
        what: String,
        source: io::Error,
    },
    /// The mount is not the topmost one at its point, or is gone.
    NotOnTop(PathBuf),
}

impl fmt::Display for MountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tool(error) => error.fmt(f),
            Self::Io { what, .. } => write!(f, "cannot {what} (tests of mounts run as root)"),
            Self::NotOnTop(point) => {
                write!(
                    f,
                    "no mount of this guard is topmost at {}",
                    point.display()
                )
            }
        }
    }
}

impl std::error::Error for MountError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Tool(error) => Some(error),
            Self::Io { source, .. } => Some(source),
            Self::NotOnTop(_) => None,
        }
    }
}

impl From<ToolError> for MountError {
    fn from(error: ToolError) -> Self {
        Self::Tool(error)
    }
}

pub(crate) fn failed(what: String) -> impl FnOnce(io::Error) -> MountError {
    move |source| MountError::Io { what, source }
}

/// One line of this process's mount table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountPoint {
    pub id: u64,
    pub path: PathBuf,
    pub fs_type: String,
}

/// The mount table in the order of mounting: of several at one path the last is seen.
pub fn mount_points() -> io::Result<Vec<MountPoint>> {
    Ok(mount_table::parse(&fs::read("/proc/self/mountinfo")?))
}

/// Holds one mount and unmounts it on drop.
#[derive(Debug)]
pub struct Mounted {
    id: u64,
    point: PathBuf,
}

impl Mounted {
    fn adopt(point: &Path) -> Result<Self, MountError> {
        let point = point
            .canonicalize()
            .map_err(failed(format!("find {}", point.display())))?;
        Self::adopt_canonical(point)
    }

    /// Asks nothing of the file system that is mounted there, which may not answer yet.
    pub(crate) fn adopt_canonical(point: PathBuf) -> Result<Self, MountError> {
        match topmost(&point) {
            Some(id) => Ok(Self { id, point }),
            None => Err(MountError::NotOnTop(point)),
        }
    }

    pub fn path(&self) -> &Path {
        &self.point
    }

    /// Whether the mount is still in the mount table.
    pub fn is_mounted(&self) -> bool {
        // The kernel gives an id that is free again to another mount.
        let is_ours = |one: &MountPoint| one.id == self.id && one.path == self.point;
        mount_points().is_ok_and(|table| table.iter().any(is_ours))
    }

    /// Takes the mount out of the tree at once, though files in it may be open (`umount -l`): the fault of a mount
    /// that goes away in mid-run.
    pub fn detach(&self) -> Result<(), MountError> {
        self.take_off(UnmountFlags::DETACH)
    }

    /// Unmounts; open files are an error (EBUSY).
    pub fn unmount(self) -> Result<(), MountError> {
        self.take_off(UnmountFlags::empty())
    }

    pub(crate) fn take_off(&self, flags: UnmountFlags) -> Result<(), MountError> {
        if topmost(&self.point) != Some(self.id) {
            return Err(MountError::NotOnTop(self.point.clone()));
        }
        unmount(&self.point, flags)
            .map_err(|error| failed(format!("unmount {}", self.point.display()))(error.into()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if self.is_mounted()
            && let Err(error) = self.detach()
        {
            eprintln!("left mounted: {error}");
        }
    }
}

fn topmost(point: &Path) -> Option<u64> {
    let table = mount_points().ok()?;
    let last = table.iter().rev().find(|one| one.path == point)?;
    Some(last.id)
}

/// A file system in an image file, mounted through a loop device.
#[derive(Debug)]
pub struct LoopMount {
    mounted: Mounted,
    // Dropped after the mount: it holds the image, and the mount point where none was given.
    _image: Scratch,
}

impl LoopMount {
    /// ext4 of this size on a mount point of its own.
    pub fn ext4(size_mib: u64) -> Result<Self, MountError> {
        Self::new("mkfs.ext4", size_mib, None)
    }

    /// xfs, which takes 300 MiB at least, on a mount point of its own.
    pub fn xfs(size_mib: u64) -> Result<Self, MountError> {
        Self::new("mkfs.xfs", size_mib, None)
    }

    /// ext4 over a directory that exists.
    pub fn ext4_over(point: &Path, size_mib: u64) -> Result<Self, MountError> {
        Self::new("mkfs.ext4", size_mib, Some(point))
    }

    /// xfs over a directory that exists.
    pub fn xfs_over(point: &Path, size_mib: u64) -> Result<Self, MountError> {
        Self::new("mkfs.xfs", size_mib, Some(point))
    }

    /// ext4 with room for so many entries and hardly any content, which takes space in the directory for temporary files
    /// as it is used, some 350 bytes an entry. The image has no name: its space is free as soon as the mount is gone,
    /// however whoever holds it ends. Without a journal, which would write all of it twice.
    pub fn ext4_of_entries(entries: u64) -> Result<Self, MountError> {
        let scratch = Scratch::new("loop");
        let image = scratch.join("image");
        // A block for each inode: no more inodes fit into a group of blocks.
        File::create(&image)
            .and_then(|file| file.set_len((64 << 20) + entries * 4096))
            .map_err(failed(format!("create {}", image.display())))?;
        tool::run(
            Command::new("mkfs.ext4")
                .args(["-q", "-F", "-b", "4096", "-I", "256", "-i", "4096"])
                .args(["-m", "0", "-O", "^has_journal", "-E", "lazy_itable_init=1"])
                .arg(&image),
        )?;
        let point = scratch.directory("mounted");
        // Tables of inodes that are not used are not written.
        tool::run(
            Command::new("mount")
                .args(["-o", "loop,noinit_itable"])
                .args([&image, &point]),
        )?;
        let mounted = Mounted::adopt(&point)?;
        fs::remove_file(&image).map_err(failed(format!("remove {}", image.display())))?;
        Ok(Self {
            mounted,
            _image: scratch,
        })
    }

    fn new(mkfs: &str, size_mib: u64, point: Option<&Path>) -> Result<Self, MountError> {
        let scratch = Scratch::in_memory("loop");
        let image = scratch.join("image");
        File::create(&image)
            .and_then(|file| file.set_len(size_mib << 20))
            .map_err(failed(format!("create {}", image.display())))?;
        let mut make = Command::new(mkfs);
        match mkfs {
            // Inodes of 256 bytes hold nanoseconds and years after 2038 whatever the size of the image.
            "mkfs.ext4" => make.args(["-q", "-F", "-b", "4096", "-I", "256", "-m", "0"]),
            _ => make.args(["-q", "-f"]),
        };
        tool::run(make.arg(&image))?;
        let point = match point {
            Some(point) => point.to_owned(),
            None => scratch.directory("mounted"),
        };
        tool::run(
            Command::new("mount")
                .args(["-o", "loop"])
                .arg(&image)
                .arg(&point),
        )?;
        Ok(Self {
            mounted: Mounted::adopt(&point)?,
            _image: scratch,
        })
    }
}

impl std::ops::Deref for LoopMount {
    type Target = Mounted;

    fn deref(&self) -> &Mounted {
        &self.mounted
    }
}

/// A file system in memory.
#[derive(Debug)]
pub struct Tmpfs {
    mounted: Mounted,
    _point: Option<Scratch>,
}

impl Tmpfs {
    /// On a mount point of its own.
    pub fn new(size_mib: u64) -> Result<Self, MountError> {
        let scratch = Scratch::new("tmpfs");
        let mut tmpfs = Self::over(&scratch.directory("mounted"), size_mib)?;
        tmpfs._point = Some(scratch);
        Ok(tmpfs)
    }

    /// Over a directory that exists, hiding what is in it.
    pub fn over(point: &Path, size_mib: u64) -> Result<Self, MountError> {
        let options = std::ffi::CString::new(format!("size={size_mib}m,mode=755"))
            .expect("digits and letters hold no NUL");
        mount(
            "tmpfs",
            point,
            "tmpfs",
            MountFlags::empty(),
            options.as_c_str(),
        )
        .map_err(|error| failed(format!("mount a tmpfs at {}", point.display()))(error.into()))?;
        Ok(Self {
            mounted: Mounted::adopt(point)?,
            _point: None,
        })
    }
}

impl std::ops::Deref for Tmpfs {
    type Target = Mounted;

    fn deref(&self) -> &Mounted {
        &self.mounted
    }
}

/// Shows the directory `shown` at `point` too.
pub fn bind(shown: &Path, point: &Path) -> Result<Mounted, MountError> {
    mount_bind(shown, point)
        .map_err(|error| failed(format!("bind-mount at {}", point.display()))(error.into()))?;
    Mounted::adopt(point)
}

mod mount_table;

#[cfg(test)]
mod tests;
