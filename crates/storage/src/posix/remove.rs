//! Removing what an unfinished attempt left: one entry, or a whole tree by descriptors, few of them
//! however deep it is. Links are unlinked, never followed.
//!
//! What is mounted in the tree is no part of it: it ends the removal with EXDEV, and nothing in it is touched. So does
//! a directory that is moved out of the tree while the removal is far below it ([`Moved`](super::Moved)).
//!
//! Directories in it may have their final mode already: one that a plain user can't write to is
//! opened up first. Somebody else may be removing the same tree: what is gone is no error.

use std::ffi::CString;
use std::ops::ControlFlow;

use rustix::fs::{AtFlags, StatxAttributes, StatxFlags};
use rustix::io::Errno;
use rustix::path::Arg;

use super::descent::Descent;
use super::dir::Dir;
use super::error::{Action, Attempted, Error};
use super::listing::{Listed, ListingBuffer};
use super::meta::Kind;

/// Looks into a directory that isn't empty when it ought to be, because a call of the attempt
/// that made it was still under way.
const LOOKS: u32 = 3;

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
        let name = name.into_c_str().attempted(Action::Remove)?.into_owned();
        let mut removal = Removal::new(self, name)?;
        while removal.step()?.is_continue() {}
        Ok(())
    }
}

struct Removal<'root> {
    descent: Descent<'root, Level>,
    /// That of the directory which holds the tree.
    device: u64,
    buffer: ListingBuffer,
}

#[derive(Default)]
struct Level {
    /// In its parent.
    name: CString,
    /// Those that are still to be removed.
    sub_directories: Vec<CString>,
    looks: u32,
}

impl<'root> Removal<'root> {
    fn new(holder: &'root Dir, name: CString) -> Result<Self, Error> {
        let at_holder = Level {
            sub_directories: vec![name],
            ..Level::default()
        };
        Ok(Self {
            descent: Descent::new(holder, at_holder),
            device: holder.meta()?.dev,
            buffer: ListingBuffer::default(),
        })
    }

    /// One directory further down, or one less.
    fn step(&mut self) -> Result<ControlFlow<()>, Error> {
        if let Some(name) = self.descent.level().1.sub_directories.pop() {
            self.enter(Level {
                name,
                ..Level::default()
            })?;
            return Ok(ControlFlow::Continue(()));
        }
        let Some(done) = self.descent.leave()? else {
            return Ok(ControlFlow::Break(()));
        };
        match self.descent.current().rmdir(done.name.as_c_str()) {
            Err(error) if error.is_not_empty() && done.looks < LOOKS => self.enter(done)?,
            result => ignore_missing(result)?,
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Enters a directory, unless it is gone, and removes all its entries but the sub-directories.
    fn enter(&mut self, level: Level) -> Result<(), Error> {
        let name = level.name.clone();
        match self.descent.enter(name.as_c_str(), level) {
            Err(error) if error.is_missing() => return Ok(()),
            result => result?,
        }
        let (dir, level) = self.descent.level();
        if dir.meta()?.dev != self.device || is_mount_point(dir) {
            return Err(Error::new(Action::Remove, Errno::XDEV));
        }
        level.empty(dir, &mut self.buffer)
    }
}

impl Level {
    fn empty(&mut self, dir: &Dir, buffer: &mut ListingBuffer) -> Result<(), Error> {
        self.looks += 1;
        let mut others = Vec::new();
        loop {
            let sub_directories = &mut self.sub_directories;
            let listed = dir.list_chunk(buffer, |name, kind| match kind {
                Kind::Directory => sub_directories.push(name.to_owned()),
                _ => others.push(name.to_owned()),
            });
            for name in others.drain(..) {
                match unlink(dir, &name) {
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
            open_up_if_needed(dir)?;
        }
        Ok(())
    }
}

/// Whether it is seen in place of another directory, perhaps one of the same file system. Kernels before 5.8 don't
/// tell.
fn is_mount_point(dir: &Dir) -> bool {
    rustix::fs::statx(&dir.fd, c"", AtFlags::EMPTY_PATH, StatxFlags::empty())
        .is_ok_and(|stat| stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

fn unlink(dir: &Dir, name: &CString) -> Result<(), Error> {
    match dir.unlink(name.as_c_str()) {
        Err(error) if error.is_refused() => {
            dir.set_mode(0o700)?;
            dir.unlink(name.as_c_str())
        }
        result => result,
    }
}

/// Its sub-directories are to be removed from it later.
fn open_up_if_needed(dir: &Dir) -> Result<(), Error> {
    if dir.meta()?.mode & 0o300 == 0o300 {
        return Ok(());
    }
    match dir.set_mode(0o700) {
        // Another's, or one that we may write to all the same: the removal will tell.
        Err(error) if error.is_refused() => Ok(()),
        result => result,
    }
}

fn ignore_missing(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(error) if error.is_missing() => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use testkit::Scratch;

    use super::super::Moved;
    use super::{Dir, Removal};

    const DEPTH: usize = 100;

    /// `0/1/2/…`, each with its number in its parent.
    fn chain(depth: usize) -> PathBuf {
        (0..depth).map(|level| level.to_string()).collect()
    }

    /// A removal that has come to the end of a chain.
    fn at_the_end_of_a_chain<'root>(scratch: &Scratch, root: &'root Dir) -> Removal<'root> {
        scratch.directory(chain(DEPTH));
        let mut removal = Removal::new(root, c"0".into()).unwrap();
        for _ in 0..DEPTH {
            assert!(removal.step().unwrap().is_continue());
        }
        removal
    }

    #[test]
    fn a_tree_that_is_moved_meanwhile_takes_nothing_outside_with_it() {
        let scratch = Scratch::new("moved");
        let root = Dir::open_root(scratch.path()).unwrap();
        let mut removal = at_the_end_of_a_chain(&scratch, &root);
        // Directories of just the names that would be removed next, had the way led there.
        let outside = scratch.directory("outside/4");
        let moved = outside.join("5");
        fs::rename(scratch.join(chain(6)), &moved).unwrap();
        scratch.directory("3");

        let error = loop {
            match removal.step() {
                Ok(step) => assert!(step.is_continue(), "it was not noticed"),
                Err(error) => break error,
            }
        };
        assert!(error.source.get_ref().is_some_and(|why| why.is::<Moved>()));
        let is_there = |path: &Path| assert!(path.is_dir(), "{}", path.display());
        is_there(&moved);
        is_there(&scratch.join("3"));
        is_there(&scratch.join(chain(5)));
    }

    #[test]
    fn what_comes_after_the_first_look_is_removed_too() {
        let scratch = Scratch::new("late");
        let top = scratch.directory("top");
        let root = Dir::open_root(scratch.path()).unwrap();
        let mut removal = Removal::new(&root, c"top".into()).unwrap();
        assert!(removal.step().unwrap().is_continue());
        scratch.directory("top/late/below");
        while removal.step().unwrap().is_continue() {}
        assert!(!top.exists());
    }

    #[test]
    fn what_somebody_else_removes_meanwhile_is_no_error() {
        let scratch = Scratch::new("both");
        let root = Dir::open_root(scratch.path()).unwrap();
        let mut removal = at_the_end_of_a_chain(&scratch, &root);
        fs::remove_dir_all(scratch.join("0")).unwrap();
        while removal.step().unwrap().is_continue() {}
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    }
}
