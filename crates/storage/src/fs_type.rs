//! What kind of file system an open descriptor, or a path, is on: the statfs magic, which the kernel
//! answers for the descriptor itself, and the mount table's type, which tells FUSE systems apart.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use model::fs_type::FsType;
use model::path::Escaped;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

use crate::mounts::{self, Mount};

/// The type of the file system that an open descriptor (also one opened with `O_PATH`) is on.
pub fn detect(fd: impl AsFd) -> io::Result<FsType> {
    Ok(with_mount(fd)?.0)
}

/// The statfs magic alone: one cheap call, no mount table.
pub fn magic(fd: impl AsFd) -> io::Result<u64> {
    // The field's type differs by architecture; 32 bits are the magic, the rest may be its sign.
    Ok(u64::from(rustix::fs::fstatfs(fd)?.f_type as u32))
}

fn with_mount(fd: impl AsFd) -> io::Result<(FsType, Option<Mount>)> {
    let magic = magic(&fd)?;
    let mount = mounts::of_descriptor(&fd)?;
    let mount_type = mount.as_ref().map(|mount| mount.fs_type.clone());
    Ok((FsType::new(magic, mount_type), mount))
}

/// What the guard of a task would see at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// As asked for.
    pub path: PathBuf,
    /// The same, or its nearest ancestor that exists.
    pub existing: PathBuf,
    pub fs_type: FsType,
    /// None when the file system was just detached.
    pub mount: Option<Mount>,
}

/// A path whose file system can't be told.
#[derive(Debug, thiserror::Error)]
#[error("cannot look at {}", Escaped(.path.as_os_str().as_bytes()))]
pub struct NotSeen {
    pub path: PathBuf,
    pub source: io::Error,
}

/// Looks at a path, links followed. For one that does not exist, at its nearest existing ancestor: that is where
/// it would be made.
pub fn detect_path(path: &Path) -> Result<Seen, NotSeen> {
    let mut existing = path;
    let fd = loop {
        match look_at(existing) {
            Ok(fd) => break fd,
            Err(errno) => match existing.parent() {
                Some(parent) if errno == Errno::NOENT => existing = parent,
                _ => return Err(not_seen(existing)(errno.into())),
            },
        }
    };
    let (fs_type, mount) = with_mount(fd).map_err(not_seen(existing))?;
    Ok(Seen {
        path: path.to_owned(),
        existing: existing.to_owned(),
        fs_type,
        mount,
    })
}

fn not_seen(path: &Path) -> impl FnOnce(io::Error) -> NotSeen {
    move |source| NotSeen {
        path: path.to_owned(),
        source,
    }
}

/// Opens anything by path for looking only: a device or a FIFO is not really opened. A directory is tried first,
/// since `O_DIRECTORY` makes automounts mount, which plain `O_PATH` does not.
fn look_at(path: &Path) -> Result<OwnedFd, Errno> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let open = |flags| retry_on_intr(|| rustix::fs::openat(CWD, path, flags, Mode::empty()));
    match open(flags | OFlags::DIRECTORY) {
        Err(Errno::NOTDIR) => open(flags),
        opened => opened,
    }
}

/// One fact a line, as `data-migrate fstype` prints it. Mount options are left out: they may hold secrets.
impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |path: &Path| Escaped(path.as_os_str().as_bytes()).to_string();
        writeln!(f, "path:         {}", shown(&self.path))?;
        if self.existing != self.path {
            let nearest = match shown(&self.existing) {
                path if path.is_empty() => ".".to_owned(),
                path => path,
            };
            writeln!(
                f,
                "              does not exist; what follows is for {nearest}"
            )?;
        }
        writeln!(f, "type:         {}", self.fs_type.name())?;
        writeln!(f, "magic:        {:#x}", self.fs_type.magic)?;
        let unknown = OsString::from("not in the mount table");
        let (mount_type, point, source) = match &self.mount {
            Some(mount) => (
                mount.fs_type.as_str(),
                mount.mount_point.as_os_str(),
                &mount.source,
            ),
            None => ("unknown", unknown.as_os_str(), &unknown),
        };
        writeln!(f, "mount type:   {mount_type}")?;
        writeln!(f, "mount point:  {}", shown(Path::new(point)))?;
        writeln!(f, "mount source: {}", shown(Path::new(source)))?;
        write!(f, "accepted as:  {}", self.fs_type.names().join(", "))
    }
}
