//! Modes, owners and times: set by the seed, so that a tree does not depend on when and by whom it was made.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, lchown};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use crate::random::Random;

const FILE_MODES: [u32; 8] = [0o644, 0o600, 0o755, 0o444, 0o4755, 0o2755, 0o1644, 0o666];
const DIRECTORY_MODES: [u32; 6] = [0o755, 0o700, 0o2775, 0o1777, 0o555, 0o750];

/// The last is 2³²−2: the highest that is not "leave as it is".
const OWNERS: [u32; 5] = [0, 1000, 65_534, 123_456, u32::MAX - 1];

/// Before 1970, 1970, after 2038: all within what ext4, xfs and tmpfs can hold.
const ODD_SECONDS: [i64; 7] = [
    -2_000_000_000,
    -86_400,
    -1,
    0,
    2_147_483_648,
    4_102_444_800,
    10_000_000_000,
];

/// Gives attributes to what was made, odd ones if so told.
pub(super) struct Painter {
    is_odd: bool,
    is_root: bool,
    random: Random,
}

impl Painter {
    pub(super) fn new(is_odd: bool, random: Random) -> Self {
        Self {
            is_odd,
            is_root: rustix::process::geteuid().is_root(),
            random,
        }
    }

    pub(super) fn file(&mut self, path: &Path) -> io::Result<()> {
        self.paint(path, 0o644, &FILE_MODES)
    }

    pub(super) fn special(&mut self, path: &Path) -> io::Result<()> {
        self.paint(path, 0o600, &FILE_MODES)
    }

    /// To be called when nothing more is created in it.
    pub(super) fn directory(&mut self, path: &Path) -> io::Result<()> {
        self.paint(path, 0o755, &DIRECTORY_MODES)
    }

    pub(super) fn symlink(&mut self, path: &Path) -> io::Result<()> {
        self.owner(path)?;
        self.time(path)
    }

    /// In this order: a new owner clears setuid.
    fn paint(&mut self, path: &Path, ordinary: u32, odd: &[u32]) -> io::Result<()> {
        self.owner(path)?;
        let drawn = match self.random.below(12) {
            0 => 0o000,
            _ => *self.random.pick(odd),
        };
        // A plain user could not read what has mode 0 and would copy an incomplete tree.
        let mode = match self.is_odd && (drawn != 0 || self.is_root) {
            true => drawn,
            false => ordinary,
        };
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        self.time(path)
    }

    fn owner(&mut self, path: &Path) -> io::Result<()> {
        let (user, group) = (*self.random.pick(&OWNERS), *self.random.pick(&OWNERS));
        match self.is_odd && self.is_root {
            true => lchown(path, Some(user), Some(group)),
            false => Ok(()),
        }
    }

    fn time(&mut self, path: &Path) -> io::Result<()> {
        let ordinary = self.random.within(&(1_000_000_000..=1_700_000_000)) as i64;
        let odd = *self.random.pick(&ODD_SECONDS);
        let tv_sec = match self.is_odd && self.random.below(4) == 0 {
            true => odd,
            false => ordinary,
        };
        let tv_nsec = self.random.below(1_000_000_000) as _;
        let time = Timespec { tv_sec, tv_nsec };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }
}
