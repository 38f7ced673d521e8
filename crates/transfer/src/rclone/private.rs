//! A directory that only this user can read, for lists, logs and for the config of one process; gone with its owner, and
//! if that was killed, with the next worker of this user on this machine.

use std::fs::{DirEntry, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

/// Begins the names.
const PREFIX: &str = "data-migrate-";

/// The file in it that its owner holds locked.
const OWNER: &str = "owner";

/// A directory younger than this may not be locked yet.
const YOUNG: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct PrivateDir {
    directory: TempDir,
    _owner: File,
}

impl PrivateDir {
    /// Its name can't be guessed, and its mode is 0700.
    pub fn create() -> io::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(Permissions::from_mode(0o700))
            .tempdir()?;
        let owner = File::create_new(directory.path().join(OWNER))?;
        owner.lock()?;
        Ok(Self {
            directory,
            _owner: owner,
        })
    }

    /// Removes those of this user whose owners were killed.
    pub fn remove_forsaken() {
        let entries = std::fs::read_dir(std::env::temp_dir());
        for entry in entries.into_iter().flatten().flatten() {
            if is_forsaken(&entry).unwrap_or(false)
                && let Err(e) = std::fs::remove_dir_all(entry.path())
            {
                tracing::debug!("cannot remove {}: {e}", entry.path().display());
            }
        }
    }

    /// Writes a file of mode 0600, in place of the one that has the name.
    pub fn write(
        &self,
        name: &str,
        parts: impl IntoIterator<Item = impl AsRef<[u8]>>,
    ) -> io::Result<PathBuf> {
        let path = self.path().join(name);
        let file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)?;
        let mut file = io::BufWriter::new(file);
        for part in parts {
            file.write_all(part.as_ref())?;
        }
        file.flush()?;
        Ok(path)
    }

    /// Makes an empty directory, or finds the one that was made.
    pub(crate) fn directory(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.path().join(name);
        match std::fs::create_dir(&path) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
            _ => Ok(path),
        }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

fn is_forsaken(entry: &DirEntry) -> io::Result<bool> {
    let is_named_so = entry
        .file_name()
        .as_encoded_bytes()
        .starts_with(PREFIX.as_bytes());
    let meta = entry.path().symlink_metadata()?;
    let is_ours = meta.uid() == rustix::process::geteuid().as_raw();
    let is_old = meta.modified()?.elapsed().is_ok_and(|age| age > YOUNG);
    if !(is_named_so && meta.is_dir() && meta.mode() & 0o077 == 0 && is_ours && is_old) {
        return Ok(false);
    }
    let owner = File::open(entry.path().join(OWNER))?;
    Ok(owner.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::{PermissionsExt, PrivateDir};

    #[test]
    fn nobody_else_can_read_it_and_it_is_gone_afterwards() {
        let private = PrivateDir::create().unwrap();
        let path = private.write("config", [&b"secret"[..]]).unwrap();
        let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(private.path()), 0o700);
        let directory = private.path().to_owned();
        drop(private);
        assert!(!directory.exists());
    }

    #[test]
    fn only_what_nobody_owns_any_more_is_forsaken() {
        let held = PrivateDir::create().unwrap();
        let age = |private: &PrivateDir| {
            let old = std::time::SystemTime::now() - super::YOUNG * 2;
            let directory = super::File::open(private.path()).unwrap();
            directory.set_modified(old).unwrap();
        };
        let entry = |private: &PrivateDir| {
            let mut entries = std::fs::read_dir(private.path().parent().unwrap()).unwrap();
            entries.find_map(|entry| {
                let entry = entry.unwrap();
                (entry.path() == private.path()).then_some(entry)
            })
        };
        let is_forsaken =
            |private: &PrivateDir| super::is_forsaken(&entry(private).unwrap()).unwrap();
        assert!(!is_forsaken(&held), "it is young");
        age(&held);
        assert!(!is_forsaken(&held), "it is locked");
        held._owner.unlock().unwrap();
        assert!(is_forsaken(&held));
    }
}
