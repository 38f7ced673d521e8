//! A path below a root, as bytes: never absolute, never with `..`, `.` or empty
//! components, never with NUL. So whoever holds one can't be led out of the root by it.

use std::borrow::Borrow;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A path relative to a root. Empty means the root itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RelPath(Vec<u8>);

/// Why bytes are no relative path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPath {
    #[error("the path contains a NUL byte")]
    Nul,
    #[error("the path is absolute, expected one relative to the root")]
    Absolute,
    #[error("the path has an empty, '.' or '..' component")]
    Component,
}

impl RelPath {
    /// The root itself.
    pub const ROOT: RelPath = RelPath(Vec::new());

    /// Takes bytes that are already in the one legal form; see [`RelPath::normalised`] for what users write.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, InvalidPath> {
        let bytes = bytes.into();
        if bytes.is_empty() {
            return Ok(Self::ROOT);
        }
        if bytes.contains(&0) {
            return Err(InvalidPath::Nul);
        }
        if bytes[0] == b'/' {
            return Err(InvalidPath::Absolute);
        }
        if bytes
            .split(|&b| b == b'/')
            .any(|component| matches!(component, b"" | b"." | b".."))
        {
            return Err(InvalidPath::Component);
        }
        Ok(Self(bytes))
    }

    /// Takes what users write: leading, trailing and doubled slashes and `.` components are
    /// dropped, `a/../b` is resolved by its letters; a `..` that leaves the root is refused.
    pub fn normalised(bytes: &[u8]) -> Result<Self, InvalidPath> {
        if bytes.contains(&0) {
            return Err(InvalidPath::Nul);
        }
        let mut components: Vec<&[u8]> = Vec::new();
        for component in bytes.split(|&b| b == b'/') {
            match component {
                b"" | b"." => {}
                b".." => {
                    components.pop().ok_or(InvalidPath::Component)?;
                }
                name => components.push(name),
            }
        }
        Ok(Self(components.join(&b'/')))
    }

    /// The path of the entry `name` of this directory. `name` is one legal component.
    pub fn join(&self, name: &[u8]) -> Self {
        debug_assert!(!name.is_empty() && !name.contains(&b'/') && !name.contains(&0));
        let mut bytes = Vec::with_capacity(self.0.len() + 1 + name.len());
        bytes.extend_from_slice(&self.0);
        if !bytes.is_empty() {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(name);
        Self(bytes)
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// The components from the root down; none for the root itself.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|&b| b == b'/').filter(|c| !c.is_empty())
    }

    /// The directory that holds this entry and the entry's name; `None` for the root.
    pub fn split_last(&self) -> Option<(RelPath, &[u8])> {
        if self.is_root() {
            return None;
        }
        match self.0.iter().rposition(|&b| b == b'/') {
            Some(at) => Some((Self(self.0[..at].to_vec()), &self.0[at + 1..])),
            None => Some((Self::ROOT, &self.0)),
        }
    }

    /// Whether this is `directory` itself or lies below it.
    pub fn is_within(&self, directory: &RelPath) -> bool {
        directory.is_root()
            || self.0 == directory.0
            || (self.0.starts_with(&directory.0) && self.0[directory.0.len()] == b'/')
    }
}

/// They are in the order of their bytes.
impl Borrow<[u8]> for RelPath {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// Printable on one line and reversible: a backslash, control characters and bytes that are
/// no UTF-8 are escaped; the root prints as `.`.
impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str(".");
        }
        write_escaped(f, &self.0)
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelPath({self})")
    }
}

/// Bytes of a path shown so that they stay on one line and can be told apart.
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(f, self.0)
    }
}

fn write_escaped(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    use fmt::Write;
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                c if c.is_control() => write!(f, "\\u{{{:x}}}", c as u32)?,
                c => f.write_char(c)?,
            }
        }
        for byte in chunk.invalid() {
            write!(f, "\\x{byte:02x}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{InvalidPath, RelPath};

    #[test]
    fn a_path_can_not_leave_its_root() {
        for (bytes, expected) in [
            (&b"a\0b"[..], InvalidPath::Nul),
            (b"/a", InvalidPath::Absolute),
            (b"a//b", InvalidPath::Component),
            (b"a/", InvalidPath::Component),
            (b"..", InvalidPath::Component),
            (b"a/../b", InvalidPath::Component),
            (b"./a", InvalidPath::Component),
        ] {
            assert_eq!(RelPath::new(bytes), Err(expected), "{bytes:?}");
        }
        assert_eq!(
            RelPath::normalised(b"a/../../b"),
            Err(InvalidPath::Component)
        );
    }

    #[test]
    fn what_users_write_is_brought_into_one_form() {
        for (written, expected) in [
            (&b"/a/b/"[..], &b"a/b"[..]),
            (b"./a//b/.", b"a/b"),
            (b"a/x/../b", b"a/b"),
            (b"/", b""),
            (b"...", b"..."),
        ] {
            assert_eq!(RelPath::normalised(written).unwrap().as_bytes(), expected);
        }
    }

    #[test]
    fn within_is_by_component() {
        let path = |s: &str| RelPath::new(s).unwrap();
        assert!(path("a/b").is_within(&path("a")));
        assert!(path("a").is_within(&RelPath::ROOT));
        assert!(!path("ab").is_within(&path("a")));
        assert_eq!(path("a/b").split_last(), Some((path("a"), &b"b"[..])));
        assert_eq!(path("a").split_last(), Some((RelPath::ROOT, &b"a"[..])));
    }

    #[test]
    fn odd_names_stay_on_one_line() {
        let path = RelPath::new(b"a\nb\\\xff\x1b".to_vec()).unwrap();
        assert_eq!(path.to_string(), "a\\nb\\\\\\xff\\u{1b}");
    }
}
