//! Extended attributes, POSIX ACLs among them.
//!
//! Of what can be opened they are reached by descriptor, of an entry by the held directory and its name: links are not
//! followed either way. No call takes both, so a thread that has a working directory of its own goes there, and others
//! take the way through `/proc/self/fd`, which costs several times as much. So do those of a held [`Inode`].

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::XattrFlags;
use rustix::io::{Errno, retry_on_intr};

use super::dir::Dir;
use super::error::{Action, Attempted, Error};
use super::file::File;
use super::inode::{Inode, path_of};
use super::process::has_own_directory;

/// Names and values of one entry, in the order of the names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Xattrs(Vec<(CString, Vec<u8>)>);

/// The ACL that says who may do what with an entry.
pub const ACL_ACCESS: &CStr = c"system.posix_acl_access";
/// The ACL that entries made in a directory get.
pub const ACL_DEFAULT: &CStr = c"system.posix_acl_default";

/// Most bytes of all names together, and of one value (`XATTR_LIST_MAX`, `XATTR_SIZE_MAX` of Linux).
const MAX_BYTES: usize = 64 * 1024;
/// Enough for what most entries have.
const FIRST_BYTES: usize = 512;

impl Xattrs {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&CStr, &[u8])> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_c_str(), value.as_slice()))
    }

    pub fn get(&self, name: &CStr) -> Option<&[u8]> {
        let at = self
            .0
            .binary_search_by(|(known, _)| known.as_c_str().cmp(name));
        at.ok().map(|at| self.0[at].1.as_slice())
    }

    /// Leaves out those whose name is not wanted.
    pub fn retain(&mut self, mut is_wanted: impl FnMut(&CStr) -> bool) {
        self.0.retain(|(name, _)| is_wanted(name));
    }
}

/// Whose attributes.
#[derive(Debug, Clone, Copy)]
pub struct XattrsOf<'a>(Place<'a>);

#[derive(Debug, Clone, Copy)]
enum Place<'a> {
    Open(BorrowedFd<'a>),
    Held(BorrowedFd<'a>),
    Entry(&'a Dir, &'a CStr),
}

impl Dir {
    pub fn own_xattrs(&self) -> XattrsOf<'_> {
        XattrsOf(Place::Open(std::os::fd::AsFd::as_fd(&self.fd)))
    }

    /// Those of an entry of any kind.
    pub fn xattrs_of<'a>(&'a self, name: &'a CStr) -> XattrsOf<'a> {
        XattrsOf(Place::Entry(self, name))
    }
}

impl File {
    pub fn xattrs(&self) -> XattrsOf<'_> {
        XattrsOf(Place::Open(self.fd()))
    }
}

impl Inode {
    pub fn xattrs(&self) -> XattrsOf<'_> {
        XattrsOf(Place::Held(self.fd()))
    }
}

impl XattrsOf<'_> {
    /// Reads all of them. A file system that has none of them has an empty list.
    pub fn read(&self) -> Result<Xattrs, Error> {
        let mut xattrs = Vec::new();
        for name in names(&self.list()?) {
            match self.value(name) {
                Ok(value) => xattrs.push((name.to_owned(), value)),
                // Removed since.
                Err(Errno::NODATA) => {}
                Err(errno) => return Err(Error::new(Action::ReadAttributes, errno)),
            }
        }
        xattrs.sort();
        Ok(Xattrs(xattrs))
    }

    pub fn set(&self, name: &CStr, value: &[u8]) -> Result<(), Error> {
        let flags = XattrFlags::empty();
        retry_on_intr(|| match self.0 {
            Place::Open(fd) => rustix::fs::fsetxattr(fd, name, value, flags),
            Place::Held(fd) => rustix::fs::setxattr(path_of(fd).as_str(), name, value, flags),
            Place::Entry(dir, entry) => {
                rustix::fs::lsetxattr(reach(dir, entry)?.as_slice(), name, value, flags)
            }
        })
        .attempted(Action::SetAttributes)
    }

    /// Removes one; that it isn't there is no error.
    pub fn remove(&self, name: &CStr) -> Result<(), Error> {
        let removed = retry_on_intr(|| match self.0 {
            Place::Open(fd) => rustix::fs::fremovexattr(fd, name),
            Place::Held(fd) => rustix::fs::removexattr(path_of(fd).as_str(), name),
            Place::Entry(dir, entry) => {
                rustix::fs::lremovexattr(reach(dir, entry)?.as_slice(), name)
            }
        });
        match removed {
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
            other => other.attempted(Action::SetAttributes),
        }
    }

    fn list(&self) -> Result<Vec<u8>, Error> {
        let listed = answer(|buffer| match self.0 {
            Place::Open(fd) => rustix::fs::flistxattr(fd, buffer),
            Place::Held(fd) => rustix::fs::listxattr(path_of(fd).as_str(), buffer),
            Place::Entry(dir, entry) => {
                rustix::fs::llistxattr(reach(dir, entry)?.as_slice(), buffer)
            }
        });
        match listed {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(Vec::new()),
            listed => listed.attempted(Action::ReadAttributes),
        }
    }

    fn value(&self, name: &CStr) -> Result<Vec<u8>, Errno> {
        answer(|buffer| match self.0 {
            Place::Open(fd) => rustix::fs::fgetxattr(fd, name, buffer),
            Place::Held(fd) => rustix::fs::getxattr(path_of(fd).as_str(), name, buffer),
            Place::Entry(dir, entry) => {
                rustix::fs::lgetxattr(reach(dir, entry)?.as_slice(), name, buffer)
            }
        })
    }
}

/// Calls with a buffer that most answers fit in, then with one that all do.
fn answer(call: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    for size in [FIRST_BYTES, MAX_BYTES] {
        let mut bytes = vec![0; size];
        match retry_on_intr(|| call(&mut bytes)) {
            Err(Errno::RANGE) if size < MAX_BYTES => {}
            length => {
                bytes.truncate(length?);
                return Ok(bytes);
            }
        }
    }
    Err(Errno::RANGE)
}

fn names(list: &[u8]) -> impl Iterator<Item = &CStr> {
    list.split_inclusive(|&byte| byte == 0)
        .filter_map(|name| CStr::from_bytes_with_nul(name).ok())
}

/// What to give to calls that don't follow the last component, so that they reach the entry in the held directory.
fn reach(dir: &Dir, entry: &CStr) -> Result<Vec<u8>, Errno> {
    if has_own_directory() {
        rustix::process::fchdir(&dir.fd)?;
        return Ok(entry.to_bytes().to_vec());
    }
    let mut path = format!("/proc/self/fd/{}/", dir.fd.as_raw_fd()).into_bytes();
    path.extend_from_slice(entry.to_bytes());
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use testkit::Scratch;

    use super::Dir;

    #[test]
    fn what_is_set_is_read_back_whatever_its_size() {
        let scratch = Scratch::new("xattrs");
        let root = Dir::open_root(scratch.path()).unwrap();
        drop(root.create_file(c"file", 0o600).unwrap());
        let file = root.open_file(c"file").unwrap();
        let large = vec![7; 2_000];
        file.xattrs().set(c"user.large", &large).unwrap();
        root.xattrs_of(c"file").set(c"user.empty", b"").unwrap();
        let read = root.xattrs_of(c"file").read().unwrap();
        assert_eq!(read, file.xattrs().read().unwrap());
        assert_eq!(read.get(c"user.large"), Some(large.as_slice()));
        assert_eq!(read.get(c"user.empty"), Some(&b""[..]));
        assert_eq!(read.get(c"user.other"), None);
        file.xattrs().remove(c"user.large").unwrap();
        file.xattrs().remove(c"user.large").unwrap();
        assert_eq!(root.xattrs_of(c"file").read().unwrap().iter().count(), 1);
    }

    #[test]
    fn a_thread_with_its_own_directory_reaches_the_same() {
        let scratch = Scratch::new("xattrs-by-directory");
        let root = Dir::open_root(scratch.path()).unwrap();
        drop(root.create_file(c"file", 0o600).unwrap());
        root.xattrs_of(c"file").set(c"user.x", b"1").unwrap();
        let here = std::env::current_dir().unwrap();
        let read = std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                crate::posix::isolate_creation_mask();
                root.xattrs_of(c"file").read().unwrap()
            });
            reader.join().unwrap()
        });
        assert_eq!(read, root.xattrs_of(c"file").read().unwrap());
        assert_eq!(std::env::current_dir().unwrap(), here);
    }

    #[test]
    fn those_of_a_link_are_its_own() {
        let scratch = Scratch::new("xattrs-of-link");
        let root = Dir::open_root(scratch.path()).unwrap();
        drop(root.create_file(c"file", 0o600).unwrap());
        root.xattrs_of(c"file").set(c"user.of", b"file").unwrap();
        symlink("file", scratch.path().join("link")).unwrap();
        assert!(root.xattrs_of(c"link").read().unwrap().is_empty());
    }
}
