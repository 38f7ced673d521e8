//! The list that a walk writes down for one process of rclone: for each regular file its size in bytes as it was seen
//! (`-` where it isn't known), a blank, its path, and a NUL.

use crate::ids::RunId;
use crate::path::RelPath;

/// A file that a walk found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFile {
    pub path: RelPath,
    /// In bytes, as it was seen.
    pub size: Option<u64>,
}

/// A list that nobody wrote so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("entry {0} of the list of files is damaged")]
pub struct DamagedList(pub u64);

/// The directory of a run's lists in the folder that its workers share.
pub fn shared_lists(run: RunId) -> String {
    format!("data-migrate-{run}")
}

/// One entry, as it is written down.
pub fn encode(path: &RelPath, size: Option<u64>) -> Vec<u8> {
    let mut entry = match size {
        Some(size) => size.to_string().into_bytes(),
        None => b"-".to_vec(),
    };
    entry.push(b' ');
    entry.extend_from_slice(path.as_bytes());
    entry.push(0);
    entry
}

/// Reads a whole list.
pub fn decode(list: &[u8]) -> Result<Vec<FoundFile>, DamagedList> {
    let Some(list) = list.strip_suffix(b"\0") else {
        return match list {
            [] => Ok(Vec::new()),
            _ => Err(DamagedList(0)),
        };
    };
    (1..)
        .zip(list.split(|&b| b == 0))
        .map(|(n, entry)| file(entry).ok_or(DamagedList(n)))
        .collect()
}

fn file(entry: &[u8]) -> Option<FoundFile> {
    let blank = entry.iter().position(|&b| b == b' ')?;
    let size = match &entry[..blank] {
        b"-" => None,
        digits => Some(std::str::from_utf8(digits).ok()?.parse().ok()?),
    };
    let path = RelPath::new(entry[blank + 1..].to_vec()).ok()?;
    (!path.is_root()).then_some(FoundFile { path, size })
}

#[cfg(test)]
mod tests {
    use super::{DamagedList, FoundFile, decode, encode};
    use crate::RelPath;
    use proptest::prelude::*;

    #[test]
    fn a_list_reads_back_byte_for_byte() {
        let files: Vec<FoundFile> = [
            (&b"a b\n\xff"[..], Some(0)),
            (b"d/ x", None),
            (b"-", Some(u64::MAX)),
        ]
        .map(|(path, size)| FoundFile {
            path: RelPath::new(path.to_vec()).unwrap(),
            size,
        })
        .to_vec();
        let list: Vec<u8> = files
            .iter()
            .flat_map(|file| encode(&file.path, file.size))
            .collect();
        assert_eq!(decode(&list), Ok(files));
        assert_eq!(decode(b""), Ok(vec![]));
    }

    #[test]
    fn a_damaged_list_is_told_with_the_entry() {
        for (list, entry) in [
            (&b"1 a"[..], 0),
            (b"1 a\0x b\0", 2),
            (b"1 ../a\0", 1),
            (b"1 \0", 1),
            (b"\0", 1),
        ] {
            assert_eq!(decode(list), Err(DamagedList(entry)), "{list:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_read_panics(list: Vec<u8>) {
            let _ = decode(&list);
        }
    }
}
