//! Where a case happens: source and target on one file system in memory, made for it and gone with it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::Scratch;
use testkit::mount::{LoopMount, Tmpfs};
use testkit::tool;

use crate::Failure;
use crate::tools::{Content, Job, Latency};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ext4,
    Xfs,
    Btrfs,
    Tmpfs,
}

enum Mounted {
    Loop(LoopMount),
    Tmpfs(Tmpfs),
    /// Takes off on its removal what is mounted below.
    Below(Scratch),
}

pub(crate) struct Place {
    data: Mounted,
    /// State of a server, logs and lists have a file system of their own, as on a server: otherwise each of its
    /// syncs would write the copied files too.
    beside: LoopMount,
}

impl Place {
    pub(crate) fn new(kind: Kind, size_mib: u64) -> Result<Self, Failure> {
        let data = match kind {
            Kind::Ext4 => Mounted::Loop(LoopMount::ext4(size_mib)?),
            // The smallest that mkfs.xfs makes has 300 MiB.
            Kind::Xfs => Mounted::Loop(LoopMount::xfs(size_mib.max(300))?),
            Kind::Btrfs => Mounted::Below(btrfs(size_mib)?),
            Kind::Tmpfs => Mounted::Tmpfs(Tmpfs::new(size_mib)?),
        };
        Ok(Self {
            data,
            beside: LoopMount::ext4(256)?,
        })
    }

    /// For files of at most 16 KiB, twice over.
    pub(crate) fn for_small_files(files: u64) -> Result<Self, Failure> {
        // 8 KiB a file, and an inode for each.
        Self::new(Kind::Ext4, 512 + files * 2 * 2 * 12 / 1024)
    }

    /// For a tree of so many entries without much content and its copy, in the directory for temporary files: in
    /// memory they would take what the machine needs to know them by.
    pub(crate) fn for_entries(entries: u64) -> Result<Self, Failure> {
        // Some to spare for what has its name later.
        Ok(Self {
            data: Mounted::Loop(LoopMount::ext4_of_entries(entries * 21 / 10)?),
            beside: LoopMount::ext4(1024)?,
        })
    }

    pub(crate) fn data(&self) -> PathBuf {
        match &self.data {
            Mounted::Loop(mounted) => mounted.path().to_owned(),
            Mounted::Tmpfs(mounted) => mounted.path().to_owned(),
            Mounted::Below(scratch) => scratch.join("mounted"),
        }
    }

    pub(crate) fn source(&self) -> PathBuf {
        self.data().join("source")
    }

    pub(crate) fn target(&self) -> PathBuf {
        self.data().join("target")
    }

    pub(crate) fn beside(&self) -> &Path {
        self.beside.path()
    }

    /// Makes the target empty, on a file system with nothing left to write.
    pub(crate) fn clear_target(&self) -> io::Result<()> {
        empty(&self.target())?;
        self.settle()
    }

    pub(crate) fn settle(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(File::open(self.data())?)?)
    }

    /// Source onto target, as is usual.
    pub(crate) fn job(&self) -> Job {
        Job {
            source: self.source(),
            target: self.target(),
            beside: self.beside().to_owned(),
            content: Content::Copied,
            latency: Latency::Low,
            files_per_thread: 1000,
        }
    }
}

/// Makes it an empty directory.
pub(crate) fn empty(directory: &Path) -> io::Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory)?;
    }
    fs::create_dir(directory)
}

fn btrfs(size_mib: u64) -> Result<Scratch, Failure> {
    // The smallest that mkfs.btrfs makes has some 110 MiB.
    let size_mib = size_mib.max(256);
    let scratch = Scratch::in_memory("btrfs");
    let image = scratch.join("image");
    File::create(&image)?.set_len(size_mib << 20)?;
    tool::run(Command::new("mkfs.btrfs").arg("--quiet").arg(&image))?;
    tool::run(
        Command::new("mount")
            .args(["-o", "loop"])
            .arg(&image)
            .arg(scratch.directory("mounted")),
    )?;
    Ok(scratch)
}
