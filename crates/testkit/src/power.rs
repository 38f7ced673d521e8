//! A disk whose power can be cut: the kernel forgets all that has not come to it, as ext4 and xfs do when they are told.
//!
//! Needs root and `xfs_io` (package xfsprogs); never skips.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use crate::scratch::Scratch;
use crate::tool;

/// xfs takes 300 MiB at least. The image is sparse, and in memory where there is some to spare.
const BYTES: u64 = 320 << 20;
/// Tests that have mounts of their own hold those of all others for as long as they last.
const PATIENCE: Duration = Duration::from_secs(120);

/// A disk that can be switched off and on again, with a file system of its own.
#[derive(Debug)]
pub struct Disk {
    scratch: Scratch,
    is_on: bool,
}

impl Disk {
    /// With the file system that `mkfs` makes: `mkfs.ext4` or `mkfs.xfs`. It is on.
    ///
    /// # Panics
    /// Where it cannot be made, as all of the following.
    pub fn new(mkfs: &str) -> Self {
        let scratch = Scratch::in_memory("disk");
        File::create(scratch.join("image"))
            .and_then(|image| image.set_len(BYTES))
            .unwrap_or_else(|error| panic!("cannot create an image: {error}"));
        let quiet = if mkfs == "mkfs.ext4" { "-qF" } else { "-qf" };
        run(Command::new(mkfs).arg(quiet).arg(scratch.join("image")));
        scratch.directory("mounted");
        let mut disk = Self {
            scratch,
            is_on: false,
        };
        disk.switch_on();
        disk
    }

    /// Where it is mounted.
    pub fn point(&self) -> PathBuf {
        self.scratch.join("mounted")
    }

    /// Writes all of it to the disk: of no other one, as other tests have some, too.
    pub fn sync(&self) {
        run(Command::new("sync").arg("-f").arg(self.point()));
    }

    /// Mounts it again after [`cut`], as the machine does when it has power again.
    pub fn start_again(&mut self) {
        self.take_off();
        self.switch_on();
    }

    fn switch_on(&mut self) {
        run(Command::new("mount")
            .args(["-o", "loop"])
            .args([self.scratch.join("image"), self.point()]));
        self.is_on = true;
    }

    fn take_off(&mut self) {
        let mut umount = Command::new("umount");
        umount.arg(self.point());
        // A child that another test has just begun may have something of it open.
        patiently("cannot be unmounted", || tool::run(&mut umount).is_ok());
        self.is_on = false;
        // Before that the kernel would go on with what it was: whatever holds it ends.
        let mut devices = Command::new("losetup");
        devices.arg("-j").arg(self.scratch.join("image"));
        patiently("is still in use", || run(&mut devices).stdout.is_empty());
    }
}

fn patiently(what: &str, mut is_done: impl FnMut() -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !is_done() {
        assert!(Instant::now() < give_up, "the disk {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.is_on {
            let _ = Command::new("umount").arg("-l").arg(self.point()).output();
        }
    }
}

/// Cuts the power of the disk that is mounted here: nothing is written any more, not even its log.
///
/// # Panics
/// Where the kernel does not do it.
pub fn cut(point: &Path) {
    run(Command::new("xfs_io")
        .args(["-x", "-c", "shutdown"])
        .arg(point));
}

fn run(command: &mut Command) -> Output {
    tool::run(command).unwrap_or_else(|error| panic!("{error}"))
}
