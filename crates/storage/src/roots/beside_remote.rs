//! The one root of a task whose other end is a remote of rclone: checked and held like both of others'.

use std::path::Path;
use std::sync::Arc;

use model::SourceIdentity;
use model::fs_type::FsType;

use super::error::{RootsError, Side};
use super::marker::Marker;
use super::pin::Pin;
use super::{Guard, MarkerUse, TargetUse, source, target};
use crate::fs_type::detect;
use crate::posix::Dir;

/// A source root whose target is a remote.
#[derive(Debug)]
pub struct SourceRoot {
    pub source: Arc<Dir>,
    identity: SourceIdentity,
    pin: Pin,
}

impl SourceRoot {
    /// Opens and checks the source; `backend` is that of the target.
    pub fn open(
        path: &Path,
        backend: &str,
        guard: &Guard,
        expected: Option<&SourceIdentity>,
    ) -> Result<Self, RootsError> {
        let fd = source::open(path)?;
        let fs_type = detect(&fd).map_err(RootsError::io("stat", path))?;
        if !guard.source.allows(&fs_type) || !guard.target.allows_backend(backend) {
            return Err(mismatch(&fs_type.name(), backend));
        }
        let identity = source::identify(&fd, &fs_type).map_err(RootsError::io("stat", path))?;
        if let Some(expected) = expected
            && !source::is_same(&identity, expected, &fs_type)
        {
            return Err(RootsError::OtherSource {
                path: path.to_owned(),
                found: identity,
                expected: expected.clone(),
            });
        }
        let pin = Pin::new(Side::Source, path, fd, &fs_type)?;
        Ok(Self {
            source: Arc::new(pin.readable()?),
            identity,
            pin,
        })
    }

    pub fn identity(&self) -> SourceIdentity {
        self.identity.clone()
    }

    /// Whether the path still leads to the directory that is held.
    pub fn check(&self) -> Result<(), RootsError> {
        self.pin.check()
    }
}

/// A target root whose source is a remote.
#[derive(Debug)]
pub struct TargetRoot {
    /// `None` only in a dry run whose target does not exist.
    pub target: Option<Arc<Dir>>,
    pin: Option<Pin>,
    marker: Option<Marker>,
}

impl TargetRoot {
    /// Opens and checks the target, making it and the marker where asked to; `backend` is that of the source.
    pub fn open(
        path: &Path,
        backend: &str,
        guard: &Guard,
        target_use: TargetUse,
        marker_use: &MarkerUse,
    ) -> Result<Self, RootsError> {
        let check = |fs_type: &FsType| match guard.target.allows(fs_type)
            && guard.source.allows_backend(backend)
        {
            true => Ok(()),
            false => Err(mismatch(backend, &fs_type.name())),
        };
        let found = target::deepest_existing(path)?;
        let found_type = found.fs_type()?;
        check(&found_type)?;
        if !found.missing.is_empty() {
            match (target_use, marker_use.expected()) {
                (TargetUse::LookOnly, _) => {
                    return Ok(Self {
                        target: None,
                        pin: None,
                        marker: None,
                    });
                }
                (TargetUse::Write, Some((name, _))) => return Err(Marker::new(name).missing(path)),
                (TargetUse::Write, None) => {}
            }
        }
        let (fd, fs_type) = found.made(found_type)?;
        check(&fs_type)?;
        let pin = Pin::new(Side::Target, path, fd, &fs_type)?;
        let marker = match target_use {
            TargetUse::Write => Marker::take(marker_use, &pin)?,
            TargetUse::LookOnly => None,
        };
        Ok(Self {
            target: Some(Arc::new(pin.readable()?)),
            pin: Some(pin),
            marker,
        })
    }

    /// As [`super::Roots::check`], of the target alone.
    pub fn check(&self) -> Result<(), RootsError> {
        match &self.pin {
            Some(pin) => pin.check_with(self.marker.as_ref()),
            None => Ok(()),
        }
    }

    /// As [`super::Roots::remove_marker`].
    pub fn remove_marker(&self) -> Result<(), RootsError> {
        match (&self.marker, &self.pin) {
            (Some(marker), Some(pin)) => marker.remove(&pin.fd, &pin.path),
            _ => Ok(()),
        }
    }
}

fn mismatch(source: &str, target: &str) -> RootsError {
    RootsError::TypeMismatch {
        source_type: source.to_owned(),
        target_type: target.to_owned(),
    }
}

/// Neither end is mounted here: only the backends are checked.
pub fn check_backends(source: &str, target: &str, guard: &Guard) -> Result<(), RootsError> {
    match guard.source.allows_backend(source) && guard.target.allows_backend(target) {
        true => Ok(()),
        false => Err(mismatch(source, target)),
    }
}
