//! Removing what an unfinished attempt left: one entry, or a whole tree by descriptors.
//! Links are unlinked, never followed. The depth is kept on the heap.
//!
//! Directories in it may have their final mode already: one that a plain user can't write to is
//! opened up first. Somebody else may be removing the same tree: what is gone is no error.

use std::ffi::CString;

use rustix::path::Arg;

use super::dir::Dir;
use super::error::Error;
use super::listing::{Listed, ListingBuffer};
use super::meta::Kind;

/// Looks into a directory that isn't empty when it ought to be, because a call of the attempt
/// that made it was still under way.
const LOOKS: u32 = 3;

struct Level {
    dir: Dir,
    /// In its parent.
    name: CString,
    sub_directories: Vec<CString>,
    looks: u32,
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
        let Some(top) = Level::open(self, name, &mut buffer)? else {
            return Ok(());
        };
        let mut levels = vec![top];
        while let Some(level) = levels.last_mut() {
            if let Some(name) = level.sub_directories.pop() {
                let next = Level::open(&level.dir, name.as_c_str(), &mut buffer)?;
                levels.extend(next);
                continue;
            }
            let Some(mut done) = levels.pop() else { break };
            let parent = levels.last().map_or(self, |level| &level.dir);
            match parent.rmdir(done.name.as_c_str()) {
                Err(error) if error.is_not_empty() && done.looks < LOOKS => {
                    done.dir.rewind()?;
                    done.empty(&mut buffer)?;
                    levels.push(done);
                }
                result => ignore_missing(result)?,
            }
        }
        Ok(())
    }
}

impl Level {
    /// Opens a directory and removes all its entries but the sub-directories. `None`: it is gone.
    fn open(
        parent: &Dir,
        name: impl Arg + Copy,
        buffer: &mut ListingBuffer,
    ) -> Result<Option<Self>, Error> {
        let dir = match parent.open_dir(name) {
            Ok(dir) => dir,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(error),
        };
        let name = name
            .into_c_str()
            .map_err(|errno| Error::new(super::error::Action::Remove, errno))?
            .into_owned();
        let mut level = Self {
            dir,
            name,
            sub_directories: Vec::new(),
            looks: 0,
        };
        level.empty(buffer)?;
        Ok(Some(level))
    }

    fn empty(&mut self, buffer: &mut ListingBuffer) -> Result<(), Error> {
        self.looks += 1;
        let mut others = Vec::new();
        loop {
            let sub_directories = &mut self.sub_directories;
            let listed = self.dir.list_chunk(buffer, |name, kind| match kind {
                Kind::Directory => sub_directories.push(name.to_owned()),
                _ => others.push(name.to_owned()),
            });
            for name in others.drain(..) {
                match self.unlink(&name) {
                    Err(error) if error.is_other_kind() => self.sub_directories.push(name),
                    result => ignore_missing(result)?,
                }
            }
            match listed {
                Ok(Listed::Chunk) => {}
                Ok(Listed::End) => break,
                Err(error) if error.is_missing() => break,
                Err(error) => return Err(error),
            }
        }
        if !self.sub_directories.is_empty() {
            self.open_up_if_needed()?;
        }
        Ok(())
    }

    fn unlink(&self, name: &CString) -> Result<(), Error> {
        match self.dir.unlink(name.as_c_str()) {
            Err(error) if error.is_refused() => {
                self.dir.set_mode(0o700)?;
                self.dir.unlink(name.as_c_str())
            }
            result => result,
        }
    }

    /// Its sub-directories are to be removed from it later.
    fn open_up_if_needed(&self) -> Result<(), Error> {
        if self.dir.meta()?.mode & 0o300 == 0o300 {
            return Ok(());
        }
        match self.dir.set_mode(0o700) {
            // Another's, or one that we may write to all the same: the removal will tell.
            Err(error) if error.is_refused() => Ok(()),
            result => result,
        }
    }
}

fn ignore_missing(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(error) if error.is_missing() => Ok(()),
        result => result,
    }
}
