//! A directory that only this user can read, for lists and for the config of one process; gone with its owner.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

#[derive(Debug)]
pub(crate) struct PrivateDir(TempDir);

impl PrivateDir {
    /// Its name can't be guessed, and its mode is 0700.
    pub(crate) fn create() -> io::Result<Self> {
        tempfile::Builder::new()
            .prefix("data-migrate-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir()
            .map(Self)
    }

    /// Writes a file of mode 0600, in place of the one that has the name.
    pub(crate) fn write(
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

    fn path(&self) -> &Path {
        self.0.path()
    }
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
}
