//! The run's marker at the target root: the first worker of a task leaves it, every other must find it before
//! it writes. A worker whose mount is missing, and whose own disk happens to be of the right type, does not.

use std::os::fd::AsFd;
use std::path::Path;

use model::temp_name::MarkerName;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::MarkerUse;
use super::error::RootsError;
use super::pin::Pin;

#[derive(Debug, Clone)]
pub(super) struct Marker {
    of: MarkerName,
    name: String,
}

impl Marker {
    pub(super) fn new(of: MarkerName) -> Self {
        let name = of.to_string();
        Self { of, name }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Leaves the marker at a target or looks for it there, as it is to be used; `None`: it isn't, or is gone by right.
    pub(super) fn take(marker_use: &MarkerUse, target: &Pin) -> Result<Option<Self>, RootsError> {
        let (root, path) = (&target.fd, target.path.as_path());
        let (name, may_be_gone) = match marker_use {
            MarkerUse::None => return Ok(None),
            MarkerUse::Create(name) => {
                let marker = Self::new(*name);
                marker.create(root, path)?;
                return Ok(Some(marker));
            }
            MarkerUse::Expect(name, _) => (name, false),
            MarkerUse::MayBeGone(name, _) => (name, true),
        };
        let marker = Self::new(*name);
        match marker.is_at(root, path)? {
            true => Ok(Some(marker)),
            false if may_be_gone => Ok(None),
            false => Err(marker.missing(path)),
        }
    }

    /// Leaves the marker in `root`. One that is there already is our own run's: the name is random.
    pub(super) fn create(&self, root: impl AsFd, path: &Path) -> Result<(), RootsError> {
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = match rustix::fs::openat(&root, &self.name, flags, mode) {
            Ok(file) => file,
            Err(Errno::EXIST) => {
                return match self.is_at(root, path)? {
                    true => Ok(()),
                    // Removed in this very moment: the run is just ending.
                    false => Err(self.missing(path)),
                };
            }
            Err(errno) => return Err(self.failed("create", path)(errno)),
        };
        // The name is what counts, the text is for whoever finds it. So a full disk, on which there is
        // room for a name but not for a block, is no error here; the first file will tell.
        let text = format!(
            "{}\ndata-migrate is writing here and removes this file when task {} of the run is over.\n",
            self.of.run, self.of.task
        );
        match rustix::io::write(&file, text.as_bytes()) {
            Ok(_) | Err(Errno::NOSPC | Errno::DQUOT) => Ok(()),
            Err(errno) => Err(self.failed("write", path)(errno)),
        }
    }

    /// Whether the marker lies in `root`, whose path is `path`.
    pub(super) fn is_at(&self, root: impl AsFd, path: &Path) -> Result<bool, RootsError> {
        match rustix::fs::statat(root, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => Ok(true),
            Ok(_) => Err(RootsError::MarkerForged {
                marker: self.name.clone(),
                path: path.to_owned(),
            }),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(self.failed("stat", path)(errno)),
        }
    }

    /// Removes the marker; that it is gone already is fine.
    pub(super) fn remove(&self, root: impl AsFd, path: &Path) -> Result<(), RootsError> {
        match rustix::fs::unlinkat(root, &self.name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(self.failed("remove", path)(errno)),
        }
    }

    pub(super) fn missing(&self, path: &Path) -> RootsError {
        RootsError::MarkerMissing {
            marker: self.name.clone(),
            path: path.to_owned(),
        }
    }

    fn failed(&self, action: &'static str, root: &Path) -> impl FnOnce(Errno) -> RootsError {
        let path = root.join(&self.name);
        move |errno| RootsError::io(action, &path)(errno)
    }
}
