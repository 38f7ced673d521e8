//! The directory in which a server keeps what it must not forget: one for each config, held by
//! one server at a time.
//!
//! The database's promises need a local disk, so a directory on a network file system is not taken.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Where servers look when the working directory won't do.
const SYSTEM_DIRECTORY: &str = "/var/lib/data-migrate";

#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    #[error(
        "the data directory {path} is in use by {holder}: stop that server, or give this one another server.data_dir"
    )]
    Locked { path: PathBuf, holder: String },
    #[error(
        "cannot use the data directory {path}: set server.data_dir to a directory on a local disk"
    )]
    Unusable { path: PathBuf, source: io::Error },
    #[error(
        "the data directory {path} is on a network file system ({fs_type}), where the database is not safe: set server.data_dir to a directory on a local disk"
    )]
    Network { path: PathBuf, fs_type: String },
}

/// The directory, locked until this is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Opens `configured`, or else `data-migrate.d/STEM` in the working directory, or else, where
    /// that cannot be used, `/var/lib/data-migrate/STEM`; STEM is the config file's name without ending.
    pub fn open(config_file: &Path, configured: Option<&Path>) -> Result<Self, DataDirError> {
        if let Some(path) = configured {
            return Self::open_at(path);
        }
        let stem = config_file.file_stem().unwrap_or(config_file.as_os_str());
        let here = std::env::current_dir()
            .unwrap_or_default()
            .join("data-migrate.d")
            .join(stem);
        match Self::open_at(&here) {
            Err(DataDirError::Unusable { .. } | DataDirError::Network { .. }) => {
                let system = Path::new(SYSTEM_DIRECTORY).join(stem);
                tracing::warn!(
                    "the data directory {} cannot be used, taking {}",
                    here.display(),
                    system.display()
                );
                Self::open_at(&system)
            }
            other => other,
        }
    }

    fn open_at(path: &Path) -> Result<Self, DataDirError> {
        let unusable = |source| DataDirError::Unusable {
            path: path.to_owned(),
            source,
        };
        // Looked at before anything is made: no directory is left behind on a file system that
        // is not taken.
        let (local, fs_type) =
            storage::locality::is_local(nearest_existing(path)).map_err(unusable)?;
        if !local {
            return Err(DataDirError::Network {
                path: path.to_owned(),
                fs_type: fs_type.name(),
            });
        }
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(unusable)?;
        let lock = lock(path)?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn database(&self) -> PathBuf {
        self.path.join("state.sqlite")
    }

    /// Makes (if need be) and returns a directory below.
    pub fn directory(&self, name: impl AsRef<Path>) -> io::Result<PathBuf> {
        let path = self.path.join(name);
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)?;
        Ok(path)
    }
}

fn nearest_existing(path: &Path) -> &Path {
    path.ancestors()
        .find(|ancestor| ancestor.exists())
        .unwrap_or(Path::new("/"))
}

fn lock(directory: &Path) -> Result<File, DataDirError> {
    let unusable = |source| DataDirError::Unusable {
        path: directory.to_owned(),
        source,
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(directory.join("lock"))
        .map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // The holder writes its name after it has the lock: it may not be there yet.
            let _ = file.read_to_string(&mut holder);
            let holder = holder.trim();
            return Err(DataDirError::Locked {
                path: directory.to_owned(),
                holder: match holder {
                    "" => "another server".to_owned(),
                    holder => holder.to_owned(),
                },
            });
        }
        Err(TryLockError::Error(source)) => return Err(unusable(source)),
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "process {} on {}", std::process::id(), host_name()))
        .map_err(unusable)?;
    Ok(file)
}

/// The name of this machine, as the kernel has it.
pub fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .unwrap_or_else(|_| "localhost".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{DataDir, DataDirError};
    use std::path::Path;

    #[test]
    fn a_second_server_is_told_who_holds_the_directory() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("a/b");
        let held = DataDir::open(Path::new("x.yaml"), Some(&path)).unwrap();
        match DataDir::open(Path::new("x.yaml"), Some(&path)) {
            Err(DataDirError::Locked { holder, .. }) => {
                assert!(holder.contains(&std::process::id().to_string()), "{holder}");
            }
            other => panic!("{other:?}"),
        }
        drop(held);
        DataDir::open(Path::new("x.yaml"), Some(&path)).unwrap();
    }

    #[test]
    fn a_directory_that_can_not_be_made_names_the_key() {
        let error =
            DataDir::open(Path::new("x.yaml"), Some(Path::new("/proc/nowhere"))).unwrap_err();
        assert!(error.to_string().contains("server.data_dir"), "{error}");
    }
}
