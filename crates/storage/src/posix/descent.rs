//! Going down a tree of any depth, and back, with few descriptors.
//!
//! Only the innermost directories are open. One further up is opened again by `..` when the way back comes to it, and
//! must then be the one that was entered, by device and inode: from a directory that was moved meanwhile `..` leads
//! elsewhere, and that is an error. What lies above an open directory can't vanish, so its inode is no other's; only
//! when it was moved out of there the number may be given anew, to a directory younger than the descent.
//!
//! A directory that is opened again is read from its first entry. So all its names are to be read before one of them
//! is entered.

use std::collections::VecDeque;

use rustix::path::Arg;

use super::dir::Dir;
use super::error::Error;

/// Most trees are less deep. Beyond it the way back costs one more open for each directory; a larger one would
/// cost descriptors on each of many threads.
const MAX_OPEN: usize = 16;

/// A place below a held root, and the way back to it. Of each directory on the way, the root too, it keeps what the
/// caller wants to know when it comes back.
#[derive(Debug)]
pub struct Descent<'root, T> {
    root: &'root Dir,
    at_root: T,
    /// Outermost first.
    below: Vec<Level<T>>,
    /// The innermost of those below: the last of them always, at most [`MAX_OPEN`] between calls.
    open: VecDeque<Dir>,
}

#[derive(Debug)]
struct Level<T> {
    device: u64,
    inode: u64,
    data: T,
}

/// The source of the [`Error`] of a way back that leads to another directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a directory above it was moved meanwhile")]
pub struct Moved;

impl<'root, T> Descent<'root, T> {
    /// Begins at the root.
    pub fn new(root: &'root Dir, at_root: T) -> Self {
        Self {
            root,
            at_root,
            below: Vec::new(),
            open: VecDeque::new(),
        }
    }

    /// The directory that was entered last and not left.
    pub fn current(&self) -> &Dir {
        self.open.back().unwrap_or(self.root)
    }

    /// The current directory and what is kept of it.
    pub fn level(&mut self) -> (&Dir, &mut T) {
        let dir = self.open.back().unwrap_or(self.root);
        let data = match self.below.last_mut() {
            Some(level) => &mut level.data,
            None => &mut self.at_root,
        };
        (dir, data)
    }

    /// What is kept of each directory from the root down to the current one.
    pub fn levels(&self) -> impl Iterator<Item = &T> {
        let below = self.below.iter().map(|level| &level.data);
        std::iter::once(&self.at_root).chain(below)
    }

    /// Goes into a sub-directory of the current one; a link is refused with ELOOP or ENOTDIR. After an error it
    /// is where it was.
    pub fn enter(&mut self, name: impl Arg + Copy, data: T) -> Result<(), Error> {
        let dir = self.current().open_dir(name)?;
        let meta = dir.meta()?;
        if self.open.len() == MAX_OPEN {
            self.open.pop_front();
        }
        self.open.push_back(dir);
        self.below.push(Level {
            device: meta.dev,
            inode: meta.ino,
            data,
        });
        Ok(())
    }

    /// Goes back to the directory from which the current one was entered, and gives what was kept of the one that is
    /// left; `None` at the root. After an error it is where it was; one whose source is [`Moved`] stays.
    pub fn leave(&mut self) -> Result<Option<T>, Error> {
        if let ([.., parent, _], 1) = (&self.below[..], self.open.len()) {
            let above = self.current().open_dir(c"..")?;
            parent.recognise(&above)?;
            self.open.push_front(above);
        }
        self.open.pop_back();
        Ok(self.below.pop().map(|level| level.data))
    }
}

impl<T> Level<T> {
    fn recognise(&self, dir: &Dir) -> Result<(), Error> {
        let meta = dir.meta()?;
        if (meta.dev, meta.ino) == (self.device, self.inode) {
            return Ok(());
        }
        Err(Error::moved())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, symlink};
    use std::path::PathBuf;

    use testkit::Scratch;

    use super::{Descent, Dir, MAX_OPEN, Moved};

    const DEPTH: usize = 3 * MAX_OPEN;

    /// `0/1/2/…`, each with its number in its parent.
    fn chain(depth: usize) -> PathBuf {
        (0..depth).map(|level| level.to_string()).collect()
    }

    fn at_the_end_of_a_chain(root: &Dir) -> Descent<'_, usize> {
        let mut descent = Descent::new(root, usize::MAX);
        for level in 0..DEPTH {
            descent.enter(level.to_string().as_str(), level).unwrap();
            assert!(descent.open.len() <= MAX_OPEN);
        }
        descent
    }

    #[test]
    fn the_way_back_leads_through_the_same_directories() {
        let scratch = Scratch::new("way-back");
        scratch.directory(chain(DEPTH));
        let root = Dir::open_root(scratch.path()).unwrap();
        let mut descent = at_the_end_of_a_chain(&root);
        assert_eq!(descent.levels().count(), DEPTH + 1);
        for level in (0..DEPTH).rev() {
            assert_eq!(descent.leave().unwrap(), Some(level));
            let expected = fs::metadata(scratch.join(chain(level))).unwrap();
            assert_eq!(descent.current().meta().unwrap().ino, expected.ino());
            assert_eq!(descent.levels().count(), level + 1);
        }
        assert_eq!(descent.leave().unwrap(), None);
        assert_eq!(*descent.level().1, usize::MAX);
    }

    #[test]
    fn other_ways_down_begin_anywhere_on_the_way_back() {
        let scratch = Scratch::new("other-ways");
        scratch.directory(chain(DEPTH));
        let halfway = DEPTH / 2;
        scratch.directory(chain(halfway).join("other").join(chain(DEPTH)));
        let root = Dir::open_root(scratch.path()).unwrap();
        let mut descent = at_the_end_of_a_chain(&root);
        while descent.leave().unwrap() != Some(halfway) {}
        descent.enter("other", 0).unwrap();
        for level in 0..DEPTH {
            descent.enter(level.to_string().as_str(), level).unwrap();
        }
        while descent.leave().unwrap().is_some() {}
        assert_eq!(
            descent.current().meta().unwrap().ino,
            root.meta().unwrap().ino
        );
    }

    #[test]
    fn a_way_back_that_leads_elsewhere_is_an_error_and_not_taken() {
        let scratch = Scratch::new("elsewhere");
        scratch.directory(chain(DEPTH));
        let outside = scratch.directory("outside");
        let root = Dir::open_root(scratch.path()).unwrap();
        let mut descent = at_the_end_of_a_chain(&root);
        let moved = outside.join("5");
        fs::rename(scratch.join(chain(6)), &moved).unwrap();
        let error = loop {
            match descent.leave() {
                Ok(left) => assert!(left > Some(5), "{left:?} was left"),
                Err(error) => break error,
            }
        };
        assert!(error.source.get_ref().is_some_and(|why| why.is::<Moved>()));
        // It stays in what was moved.
        assert_eq!(*descent.level().1, 5);
        assert_eq!(
            descent.current().meta().unwrap().ino,
            fs::metadata(&moved).unwrap().ino()
        );
        assert!(descent.leave().is_err());
        // Back in its place it is the way again.
        fs::rename(&moved, scratch.join(chain(6))).unwrap();
        assert_eq!(descent.leave().unwrap(), Some(5));
    }

    #[test]
    fn a_directory_that_is_still_held_is_gone_back_to_wherever_the_lower_one_is() {
        let scratch = Scratch::new("held");
        let lower = scratch.directory("upper/lower");
        let root = Dir::open_root(scratch.path()).unwrap();
        let mut descent = Descent::new(&root, ());
        descent.enter("upper", ()).unwrap();
        descent.enter("lower", ()).unwrap();
        fs::rename(lower, scratch.join("elsewhere")).unwrap();
        descent.leave().unwrap();
        let expected = fs::metadata(scratch.join("upper")).unwrap();
        assert_eq!(descent.current().meta().unwrap().ino, expected.ino());
    }

    #[test]
    fn links_are_not_entered() {
        let scratch = Scratch::new("links");
        symlink("/", scratch.join("link")).unwrap();
        let root = Dir::open_root(scratch.path()).unwrap();
        let mut descent = Descent::new(&root, ());
        assert!(descent.enter("link", ()).unwrap_err().is_other_kind());
        assert_eq!(descent.leave().unwrap(), None);
    }
}
