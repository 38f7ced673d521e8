//! A task's source and target root, checked and held.
//!
//! A missing or wrong mount is never written under: the types of both file systems are checked on descriptors before
//! anything is made; all work then goes through those descriptors; the target carries the run's marker, which
//! every worker but the first must find; and [`Roots::check`] tells whether the paths still lead to what is held.
//!
//! What this can not see: the first worker of a task leaves the marker, so if its own target mount is missing and the
//! disk beneath is of an allowed type, the run begins there. The others then refuse to work, which shows it.

mod beside_remote;
mod error;
mod marker;
mod nesting;
mod pin;
mod source;
mod target;

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use model::SourceIdentity;
use model::fs_type::{AllowedTypes, FsType};
use model::temp_name::MarkerName;

use crate::fs_type::detect;
use crate::posix::Dir;
use marker::Marker;
use pin::Pin;

pub use beside_remote::{SourceRoot, TargetRoot, check_backends};
pub use error::{RootsError, RootsErrorKind, Side};

/// The file-system types that a task's roots may be on.
#[derive(Debug, Clone)]
pub struct Guard {
    pub source: AllowedTypes,
    pub target: AllowedTypes,
}

impl Guard {
    /// The error names both actual types, whichever is not allowed.
    fn check(&self, source: &FsType, target: &FsType) -> Result<(), RootsError> {
        if self.source.allows(source) && self.target.allows(target) {
            return Ok(());
        }
        Err(RootsError::TypeMismatch {
            source_type: source.name(),
            target_type: target.name(),
        })
    }
}

/// What the target root is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetUse {
    /// To write into. It is made where it is missing.
    Write,
    /// Dry run: it may be missing, and nothing is made, no marker either.
    LookOnly,
}

/// How the run's marker is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MarkerUse {
    None,
    /// The first worker of a task leaves it; it may be there already, from our own run.
    Create(MarkerName),
    /// Every other worker must find it, and the same source. Then nothing is made: the first worker
    /// made the target, so where it is missing, the mount is.
    Expect(MarkerName, SourceIdentity),
    /// A further attempt at the task's last item, which removes the marker: an earlier one may have
    /// done so. Otherwise as [`MarkerUse::Expect`].
    MayBeGone(MarkerName, SourceIdentity),
}

impl MarkerUse {
    /// The source that the first worker of the task found.
    pub fn source(&self) -> Option<&SourceIdentity> {
        self.expected().map(|(_, source)| source)
    }

    /// What the first worker of the task found.
    fn expected(&self) -> Option<(MarkerName, &SourceIdentity)> {
        match self {
            MarkerUse::None | MarkerUse::Create(_) => None,
            MarkerUse::Expect(name, source) | MarkerUse::MayBeGone(name, source) => {
                Some((*name, source))
            }
        }
    }
}

/// Both roots of a task, held by descriptor.
#[derive(Debug)]
pub struct Roots {
    pub source: Arc<Dir>,
    /// `None` only in a dry run whose target does not exist.
    pub target: Option<Arc<Dir>>,
    /// That of the target's nearest existing ancestor where there is no target.
    target_type: FsType,
    source_pin: Pin,
    target_pin: Option<Pin>,
    source_type: FsType,
    source_identity: SourceIdentity,
    marker: Option<Marker>,
}

impl Roots {
    /// Opens and checks both roots; makes the target root and the marker where asked to.
    pub fn open(
        source: &Path,
        target: &Path,
        guard: &Guard,
        target_use: TargetUse,
        marker_use: MarkerUse,
    ) -> Result<Roots, RootsError> {
        let source_fd = source::open(source)?;
        let found = target::deepest_existing(target)?;
        let source_type = detect(&source_fd).map_err(RootsError::io("stat", source))?;
        let target_type = found.fs_type()?;
        guard.check(&source_type, &target_type)?;

        let source_identity =
            source::identify(&source_fd, &source_type).map_err(RootsError::io("stat", source))?;
        if let Some((_, expected)) = marker_use.expected()
            && !source::is_same(&source_identity, expected, &source_type)
        {
            return Err(RootsError::OtherSource {
                path: source.to_owned(),
                found: source_identity,
                expected: expected.clone(),
            });
        }
        refuse_nesting(source, &source_fd, target, &found)?;

        let (target_fd, target_type) = match (target_use, marker_use.expected()) {
            (TargetUse::LookOnly, _) if !found.missing.is_empty() => (None, target_type),
            (TargetUse::Write, Some((name, _))) if !found.missing.is_empty() => {
                return Err(Marker::new(name).missing(target));
            }
            _ => {
                let (fd, target_type) = found.made(target_type)?;
                (Some(fd), target_type)
            }
        };
        guard.check(&source_type, &target_type)?;
        let source_pin = Pin::new(Side::Source, source, source_fd, &source_type)?;
        let target_pin = target_fd
            .map(|fd| Pin::new(Side::Target, target, fd, &target_type))
            .transpose()?;

        let mut roots = Roots {
            source: Arc::new(source_pin.readable()?),
            target: target_pin
                .as_ref()
                .map(Pin::readable)
                .transpose()?
                .map(Arc::new),
            target_type,
            source_pin,
            target_pin,
            source_type,
            source_identity,
            marker: None,
        };
        if target_use == TargetUse::Write {
            roots.marker = match &roots.target_pin {
                Some(pin) => Marker::take(&marker_use, pin)?,
                None => None,
            };
        }
        Ok(roots)
    }

    /// What other workers must find at the source path, see [`MarkerUse::Expect`].
    pub fn source_identity(&self) -> SourceIdentity {
        self.source_identity.clone()
    }

    pub fn source_type(&self) -> &FsType {
        &self.source_type
    }

    /// Of the target, or of its nearest existing ancestor in a dry run without one.
    pub fn target_type(&self) -> &FsType {
        &self.target_type
    }

    /// Whether both paths still lead to the directories that are held, and the marker is still there. Waits as
    /// long as the file systems do.
    pub fn check(&self) -> Result<(), RootsError> {
        self.source_pin.check()?;
        match &self.target_pin {
            Some(target) => target.check_with(self.marker.as_ref()),
            None => Ok(()),
        }
    }

    /// Removes the run's marker, if it was taken; gone already is fine. The task's last act: from
    /// now on [`Roots::check`] fails, here and on every other worker.
    pub fn remove_marker(&self) -> Result<(), RootsError> {
        match (&self.marker, &self.target_pin) {
            (Some(marker), Some(target)) => marker.remove(&target.fd, &target.path),
            _ => Ok(()),
        }
    }
}

/// Before anything is made: a target that is to be made lies in the source if its ancestor does.
fn refuse_nesting(
    source: &Path,
    source_fd: impl AsFd,
    target: &Path,
    found: &target::Found,
) -> Result<(), RootsError> {
    let failed = |error| RootsError::io("look above", target)(error);
    let nested = |inner, inner_path: &Path, outer, outer_path: &Path| RootsError::Nested {
        inner,
        inner_path: inner_path.to_owned(),
        outer,
        outer_path: outer_path.to_owned(),
    };
    let target_in_source = nesting::is_within(&found.directory, &source_fd).map_err(failed)?;
    if !found.missing.is_empty() {
        return match target_in_source {
            true => Err(nested(Side::Target, target, Side::Source, source)),
            false => Ok(()),
        };
    }
    let source_in_target = nesting::is_within(&source_fd, &found.directory).map_err(failed)?;
    match (target_in_source, source_in_target) {
        (true, true) => Err(RootsError::SameDirectory {
            source_path: source.to_owned(),
            target_path: target.to_owned(),
        }),
        (true, false) => Err(nested(Side::Target, target, Side::Source, source)),
        (false, true) => Err(nested(Side::Source, source, Side::Target, target)),
        (false, false) => Ok(()),
    }
}
