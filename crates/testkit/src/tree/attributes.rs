//! Owners, modes and times: set by the seed, so that a tree does not depend on when and by whom it was made. What an
//! entry has beyond them is set in between, each where nothing that follows takes it away.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, lchown};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use super::Recipe;
use super::extended::{Extender, Subject};
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

/// The ends of 32 bits, and years that need more.
const DISTANT_SECONDS: [i64; 5] = [
    -5_000_000_000,
    -2_147_483_649,
    -2_147_483_648,
    4_294_967_296,
    20_000_000_000,
];

/// Gives attributes to what was made, odd ones if so told.
pub(super) struct Painter {
    is_odd: bool,
    /// Whether owners may be any, and modes such that nobody but root can read.
    is_root: bool,
    plain_user: Option<u32>,
    odd_seconds: Vec<i64>,
    random: Random,
    extender: Extender,
}

impl Painter {
    pub(super) fn new(recipe: &Recipe, seed: u64) -> Self {
        let is_root = rustix::process::geteuid().is_root() && recipe.plain_user.is_none();
        let mut odd_seconds = ODD_SECONDS.to_vec();
        if recipe.distant_times {
            odd_seconds.extend(DISTANT_SECONDS);
        }
        Self {
            is_odd: recipe.odd_attributes,
            is_root,
            plain_user: recipe.plain_user,
            odd_seconds,
            random: Random::part(seed, 1),
            extender: Extender::new(recipe, is_root, seed),
        }
    }

    pub(super) fn may_make_devices(&self) -> bool {
        self.is_root
    }

    pub(super) fn file(&mut self, path: &Path) -> io::Result<()> {
        self.paint(path, Subject::File, 0o644, &FILE_MODES)
    }

    pub(super) fn special(&mut self, path: &Path) -> io::Result<()> {
        self.paint(path, Subject::Special, 0o600, &FILE_MODES)
    }

    /// To be called when nothing more is created in it.
    pub(super) fn directory(&mut self, path: &Path) -> io::Result<()> {
        self.paint(path, Subject::Directory, 0o755, &DIRECTORY_MODES)
    }

    pub(super) fn symlink(&mut self, path: &Path) -> io::Result<()> {
        self.owner(path)?;
        self.extender.attributes(path, Subject::Symlink)?;
        self.time(path)
    }

    /// In this order: a new owner clears setuid and capabilities, a mode without `w` keeps a plain user from setting
    /// attributes, and a mode that is set after an ACL changes its mask.
    fn paint(
        &mut self,
        path: &Path,
        subject: Subject,
        ordinary: u32,
        odd: &[u32],
    ) -> io::Result<()> {
        self.owner(path)?;
        self.extender.attributes(path, subject)?;
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
        self.extender.acls(path, subject, mode)?;
        self.time(path)
    }

    fn owner(&mut self, path: &Path) -> io::Result<()> {
        let (user, group) = (*self.random.pick(&OWNERS), *self.random.pick(&OWNERS));
        match self.plain_user {
            Some(plain) => lchown(path, Some(plain), Some(plain)),
            None if self.is_odd && self.is_root => lchown(path, Some(user), Some(group)),
            None => Ok(()),
        }
    }

    fn time(&mut self, path: &Path) -> io::Result<()> {
        let ordinary = self.random.within(&(1_000_000_000..=1_700_000_000)) as i64;
        let odd = *self.random.pick(&self.odd_seconds);
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
