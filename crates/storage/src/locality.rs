//! Whether a place is on a disk of this machine. SQLite's locks and shared memory are not to be
//! trusted over a network, so the server's data directory must be.

use std::io;
use std::path::Path;

use model::fs_type::FsType;

use crate::fs_type::detect_path;

/// Whether `path`, or for one that does not exist its nearest existing ancestor, is on a local file
/// system, and on which type.
pub fn is_local(path: &Path) -> io::Result<(bool, FsType)> {
    let fs_type = detect_path(path).map_err(|error| error.source)?.fs_type;
    Ok((!fs_type.is_network(), fs_type))
}
