//! Names of files that have others, as walks write them down for the links phase. Each entry of a list: the file's device and
//! inode as 16 hexadecimal digits each, its path, and a NUL.

use crate::path::RelPath;

/// The file that a name is one of, for all workers the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileKey {
    /// Stands for the file system within the source: 0 for that of its root. Device numbers differ from one machine to another.
    pub device: u64,
    pub inode: u64,
}

/// One name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FoundLink {
    pub file: FileKey,
    pub path: RelPath,
}

/// A list that nobody wrote so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("entry {0} of the list of links is damaged")]
pub struct DamagedList(pub u64);

/// Hexadecimal digits of a number.
const DIGITS: usize = 16;

impl FoundLink {
    /// As it is written down.
    pub fn encode(&self) -> Vec<u8> {
        let FileKey { device, inode } = self.file;
        let mut entry = format!("{device:016x}{inode:016x}").into_bytes();
        entry.extend_from_slice(self.path.as_bytes());
        entry.push(0);
        entry
    }

    /// Reads an entry without its NUL. `None`: nobody wrote it so.
    pub fn decode(entry: &[u8]) -> Option<Self> {
        let (key, path) = entry.split_at_checked(2 * DIGITS)?;
        let (device, inode) = key.split_at(DIGITS);
        let path = RelPath::new(path.to_vec()).ok()?;
        let file = FileKey {
            device: number(device)?,
            inode: number(inode)?,
        };
        (!path.is_root()).then_some(Self { file, path })
    }

    /// Reads a whole list.
    ///
    /// # Errors
    /// Which entry is damaged, counted from 1; 0: the end is missing.
    pub fn decode_all(list: &[u8]) -> Result<Vec<Self>, DamagedList> {
        let Some(list) = list.strip_suffix(b"\0") else {
            return match list {
                [] => Ok(Vec::new()),
                _ => Err(DamagedList(0)),
            };
        };
        (1..)
            .zip(list.split(|&b| b == 0))
            .map(|(n, entry)| Self::decode(entry).ok_or(DamagedList(n)))
            .collect()
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{DamagedList, FileKey, FoundLink};
    use crate::RelPath;

    fn link(device: u64, inode: u64, path: &[u8]) -> FoundLink {
        FoundLink {
            file: FileKey { device, inode },
            path: RelPath::new(path.to_vec()).unwrap(),
        }
    }

    #[test]
    fn a_list_reads_back_byte_for_byte() {
        let links = vec![
            link(0, 1, b"a b\n\xff"),
            link(u64::MAX, u64::MAX, b"d/0000000000000000"),
        ];
        let list: Vec<u8> = links.iter().flat_map(FoundLink::encode).collect();
        assert_eq!(FoundLink::decode_all(&list), Ok(links));
        assert_eq!(FoundLink::decode_all(b""), Ok(Vec::new()));
    }

    #[test]
    fn a_damaged_list_is_an_error() {
        let mut list = link(0, 1, b"a").encode();
        list.extend(b"00000000000000000000000000000+01b\0");
        assert_eq!(FoundLink::decode_all(&list), Err(DamagedList(2)));
        list.pop();
        assert_eq!(FoundLink::decode_all(&list), Err(DamagedList(0)));
        for entry in [
            &b""[..],
            b"00",
            b"00000000000000000000000000000001",
            b"00000000000000000000000000000001/../a",
        ] {
            assert_eq!(FoundLink::decode(entry), None, "{}", entry.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(list in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = FoundLink::decode_all(&list);
        }
    }
}
