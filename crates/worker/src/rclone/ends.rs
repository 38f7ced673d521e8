//! Source and target of a task of rclone: each a mounted directory that is checked and held, or a remote.

use std::path::PathBuf;
use std::sync::Arc;

use model::{Location, RcloneOptions, SourceIdentity};
use storage::posix::Dir;
use storage::roots::{
    Guard, MarkerUse, Roots, RootsError, SourceRoot, TargetRoot, TargetUse, check_backends,
};
use transfer::rclone::{ConfigFileError, End, NoRclone, Rclone, RemoteError, has_anything};
use transfer::{Cancel, asking};

#[derive(Debug, thiserror::Error)]
pub(crate) enum EndsError {
    #[error(transparent)]
    Roots(#[from] RootsError),
    #[error(transparent)]
    Config(#[from] ConfigFileError),
    #[error(transparent)]
    NoRclone(#[from] NoRclone),
    #[error("path does not exist: {remote}: nothing is there")]
    Missing { remote: String },
    #[error(transparent)]
    Remote(#[from] RemoteError),
}

/// What is held of the mounted ends.
#[derive(Debug)]
enum Held {
    Both(Roots),
    Source(SourceRoot),
    Target(TargetRoot),
    Neither,
}

#[derive(Debug)]
pub(crate) struct Ends {
    source: Location,
    target: Location,
    held: Held,
    /// The config for rclone, with the remotes among the two.
    pub(crate) config: String,
    identity: SourceIdentity,
}

impl Ends {
    pub(crate) fn open(
        (source, target): (Location, Location),
        (rclone, settings): (Result<&Rclone, &NoRclone>, &RcloneOptions),
        guard: &Guard,
        target_use: TargetUse,
        marker: MarkerUse,
        cancel: &Cancel,
    ) -> Result<Self, EndsError> {
        let remotes: Vec<&str> = [&source, &target]
            .into_iter()
            .filter_map(|end| match end {
                Location::Remote(remote) => Some(remote.as_str()),
                Location::Posix(_) => None,
            })
            .collect();
        let (config, backends) = match (remotes.is_empty(), rclone) {
            (true, _) => Default::default(),
            (false, Ok(rclone)) => rclone.config_for(&remotes)?,
            (false, Err(why)) => return Err(why.clone().into()),
        };
        // Before anything is made for it.
        if let (Location::Remote(remote), None, Ok(rclone)) = (&source, marker.source(), rclone)
            && !has_anything(rclone, &config, remote, settings, cancel)?
        {
            let remote = remote.clone();
            return Err(EndsError::Missing { remote });
        }
        let mut backends = backends.into_iter();
        let mut backend = || backends.next().unwrap_or_default();
        let of_remote = |fs_type: String| SourceIdentity {
            inode: 0,
            birth_ns: None,
            fs_type,
        };
        let (held, identity) = match (&source, &target) {
            (Location::Posix(from), Location::Posix(to)) => {
                let roots = asking(|| Roots::open(from, to, guard, target_use, marker))?;
                let identity = roots.source_identity();
                (Held::Both(roots), identity)
            }
            (Location::Posix(from), Location::Remote(_)) => {
                let to = backend();
                let root = asking(|| SourceRoot::open(from, &to, guard, marker.source()))?;
                let identity = root.identity();
                (Held::Source(root), identity)
            }
            (Location::Remote(_), Location::Posix(to)) => {
                let from = backend();
                let root = asking(|| TargetRoot::open(to, &from, guard, target_use, &marker))?;
                (Held::Target(root), of_remote(from))
            }
            (Location::Remote(_), Location::Remote(_)) => {
                let (from, to) = (backend(), backend());
                check_backends(&from, &to, guard)?;
                (Held::Neither, of_remote(from))
            }
        };
        Ok(Self {
            source,
            target,
            held,
            config,
            identity,
        })
    }

    pub(crate) fn source_identity(&self) -> &SourceIdentity {
        &self.identity
    }

    pub(crate) fn source_dir(&self) -> Option<&Arc<Dir>> {
        match &self.held {
            Held::Both(roots) => Some(&roots.source),
            Held::Source(root) => Some(&root.source),
            Held::Target(_) | Held::Neither => None,
        }
    }

    pub(crate) fn target_dir(&self) -> Option<&Arc<Dir>> {
        match &self.held {
            Held::Both(roots) => roots.target.as_ref(),
            Held::Target(root) => root.target.as_ref(),
            Held::Source(_) | Held::Neither => None,
        }
    }

    pub(crate) fn target_is_remote(&self) -> bool {
        matches!(self.target, Location::Remote(_))
    }

    pub(crate) fn source_remote(&self) -> Option<&str> {
        match &self.source {
            Location::Remote(remote) => Some(remote),
            Location::Posix(_) => None,
        }
    }

    /// The source as rclone is told of it.
    pub(crate) fn source(&self) -> End<'_> {
        end(&self.source, self.source_dir())
    }

    pub(crate) fn target(&self) -> End<'_> {
        end(&self.target, self.target_dir())
    }

    /// Whether what is held is still what its path leads to.
    pub(crate) fn check(&self) -> Result<(), RootsError> {
        match &self.held {
            Held::Both(roots) => roots.check(),
            Held::Source(root) => root.check(),
            Held::Target(root) => root.check(),
            Held::Neither => Ok(()),
        }
    }

    pub(crate) fn remove_marker(&self) -> Result<(), RootsError> {
        match &self.held {
            Held::Both(roots) => roots.remove_marker(),
            Held::Target(root) => root.remove_marker(),
            Held::Source(_) | Held::Neither => Ok(()),
        }
    }
}

fn end<'a>(location: &'a Location, dir: Option<&'a Arc<Dir>>) -> End<'a> {
    match (location, dir) {
        (Location::Remote(remote), _) => End::Remote(remote),
        (Location::Posix(path), Some(dir)) => End::Mounted { dir, path },
        (Location::Posix(path), None) => End::Imagined { path },
    }
}

/// Where the lists of a run are in the folder that its workers share, if it can be used here.
pub(crate) fn shared_lists(
    settings: &model::RcloneOptions,
    run: model::RunId,
) -> Result<Option<PathBuf>, String> {
    let Some(directory) = &settings.list_dir else {
        return Ok(None);
    };
    let shown = directory.display();
    let (_, fs_type) = storage::locality::is_local(directory)
        .map_err(|e| format!("cannot look at file_list_dir {shown}: {e}"))?;
    if let Some(expected) = &settings.list_dir_fs_type {
        let (allowed, _) = model::fs_type::AllowedTypes::parse(std::slice::from_ref(expected));
        if !allowed.allows(&fs_type) {
            return Err(format!(
                "file_list_dir {shown} is on {}, expected {expected}",
                fs_type.name()
            ));
        }
    }
    Ok(Some(directory.join(model::found_files::shared_lists(run))))
}
