//! A copier as one might write it at first: by paths, looking before it acts, with nothing to hold on to between the
//! two. It shows that the attackers would get through.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, chown, symlink};
use std::path::Path;

use rustix::fs::OFlags;

/// Copies what it can.
pub fn naive_copy(source: &Path, target: &Path) -> io::Result<()> {
    for entry in fs::read_dir(source)? {
        let (from, to) = {
            let name = entry?.file_name();
            (source.join(&name), target.join(&name))
        };
        // An entry that fails is left out.
        let _ = naive_entry(&from, &to);
    }
    Ok(())
}

fn naive_entry(from: &Path, to: &Path) -> io::Result<()> {
    let about = fs::symlink_metadata(from)?;
    let present = fs::symlink_metadata(to);
    if about.is_dir() {
        if !present.is_ok_and(|present| present.is_dir()) {
            fs::create_dir(to)?;
        }
        naive_copy(from, to)?;
    } else if about.is_symlink() {
        if present.is_ok_and(|present| !present.is_dir()) {
            fs::remove_file(to)?;
        }
        return symlink(fs::read_link(from)?, to);
    } else if about.is_file() {
        if present.is_ok_and(|present| present.is_symlink()) {
            fs::remove_file(to)?;
        }
        // Of what is endless only the size that was seen; and a FIFO does not hold it up.
        let at_once = OFlags::NONBLOCK.bits() as i32;
        let mut options = fs::OpenOptions::new();
        let content = options.read(true).custom_flags(at_once).open(from)?;
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        let mut file = options.custom_flags(at_once).open(to)?;
        io::copy(&mut io::Read::take(content, about.len()), &mut file)?;
    } else {
        return Ok(());
    }
    chown(to, Some(about.uid()), Some(about.gid()))?;
    fs::set_permissions(to, about.permissions())
}
