//! A file that is there whole or not at all. It is written and synced under a random
//! name beside its own, which nobody can have prepared a link for, then renamed.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::ReportError;

/// Mode of every file that this module makes, whatever the process's umask.
pub(super) const MODE: u32 = 0o644;

/// Puts `content` at `path`, mode 0644.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<(), ReportError> {
    let temp = temp_path(path).map_err(ReportError::file("make a temporary name for", path))?;
    let written = create_new(&temp).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    let published = written.and_then(|()| std::fs::rename(&temp, path));
    if let Err(source) = published {
        // What matters is the first error; a temp that can't be removed either is only litter.
        let _ = std::fs::remove_file(&temp);
        return Err(ReportError::file("write", path)(source));
    }
    sync_directory_of(path).map_err(ReportError::file("sync the directory of", path))
}

/// Creates a file that must not be there yet, not even as a link.
pub(super) fn create_new(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .create_new(true)
        .mode(MODE)
        .open(path)?;
    file.set_permissions(Permissions::from_mode(MODE))?;
    Ok(file)
}

/// Makes names in the directory of `path` durable.
pub(super) fn sync_directory_of(path: &Path) -> io::Result<()> {
    File::open(directory_of(path))?.sync_all()
}

pub(super) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn temp_path(path: &Path) -> io::Result<PathBuf> {
    let random = getrandom::u64().map_err(io::Error::other)?;
    Ok(directory_of(path).join(format!(".data_migrate_report.{random:016x}.tmp")))
}
