//! Removing what an unfinished attempt left: one entry, or a whole tree by descriptors.
//! Links are unlinked, never followed. The depth is kept on the heap.

use std::ffi::CString;

use rustix::path::Arg;

use super::dir::Dir;
use super::error::Error;
use super::listing::{Listed, ListingBuffer};
use super::meta::Kind;

struct Level {
    dir: Dir,
    /// In its parent.
    name: CString,
    sub_directories: Vec<CString>,
}

impl Dir {
    /// Removes an entry with everything below it. One that is already gone is no error.
    pub fn remove_tree(&self, name: impl Arg + Copy) -> Result<(), Error> {
        match self.unlink(name) {
            Ok(()) => return Ok(()),
            Err(error) if error.is_missing() => return Ok(()),
            // Directories answer EISDIR, or EPERM on some systems.
            Err(error) if !error.is_other_kind() && !error.is_refused() => return Err(error),
            Err(_) => {}
        }
        let mut buffer = ListingBuffer::default();
        let mut levels = vec![Level::open(self, name, &mut buffer)?];
        while let Some(level) = levels.last_mut() {
            if let Some(name) = level.sub_directories.pop() {
                let next = Level::open(&level.dir, name.as_c_str(), &mut buffer)?;
                levels.push(next);
            } else {
                let Some(done) = levels.pop() else { break };
                let parent = levels.last().map_or(self, |level| &level.dir);
                ignore_missing(parent.rmdir(done.name.as_c_str()))?;
            }
        }
        Ok(())
    }
}

impl Level {
    /// Opens a directory and removes all its entries but the sub-directories.
    fn open(
        parent: &Dir,
        name: impl Arg + Copy,
        buffer: &mut ListingBuffer,
    ) -> Result<Self, Error> {
        let dir = parent.open_dir(name)?;
        let mut sub_directories = Vec::new();
        let mut others = Vec::new();
        loop {
            let listed = dir.list_chunk(buffer, |name, kind| match kind {
                Kind::Directory => sub_directories.push(name.to_owned()),
                _ => others.push(name.to_owned()),
            })?;
            for name in others.drain(..) {
                match dir.unlink(name.as_c_str()) {
                    Err(error) if error.is_other_kind() => sub_directories.push(name),
                    result => ignore_missing(result)?,
                }
            }
            if listed == Listed::End {
                break;
            }
        }
        let name = name
            .into_c_str()
            .map_err(|errno| Error::new(super::error::Action::Remove, errno))?
            .into_owned();
        Ok(Self {
            dir,
            name,
            sub_directories,
        })
    }
}

fn ignore_missing(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(error) if error.is_missing() => Ok(()),
        result => result,
    }
}
