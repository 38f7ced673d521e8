//! The links phase: names of files that have others, as all items of a task left them, are dealt to the items of the phase
//! by file.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use model::found_links::FoundLink;
use model::{ItemId, RelPath, Work};

use crate::received::Received;

/// Bytes of names that an item is to have: they are held in memory by who does it.
const BYTES_PER_ITEM: u64 = 8 << 20;

/// Below so many bytes an item is not worth its own way to a worker.
const LEAST_BYTES: u64 = 64 << 10;

/// As long as there are no more than so many items, each may be small: several workers can copy the files then.
const FEW_ITEMS: u64 = 16;

/// Lists open at once; there may be more items, in several passes.
const MOST_OPEN: u64 = 256;

/// Deals the names in `lists` to new items, and writes the list of each; when this returns they are on the disk.
///
/// # Errors
/// A list can't be read or written, or is damaged ([`io::ErrorKind::InvalidData`]). Nothing is left behind then: on a full
/// disk this is tried again and again.
pub fn deal(
    lists: &[PathBuf],
    received: &Received,
    mut new_item: impl FnMut() -> ItemId,
) -> io::Result<Vec<(ItemId, Work)>> {
    let mut begun = Vec::new();
    let dealt = deal_to(lists, received, || {
        let item = new_item();
        begun.push(item);
        item
    });
    if dealt.is_err() {
        for item in begun {
            // It may not have come to be.
            let _ = std::fs::remove_file(received.list(item));
        }
    }
    dealt
}

fn deal_to(
    lists: &[PathBuf],
    received: &Received,
    mut new_item: impl FnMut() -> ItemId,
) -> io::Result<Vec<(ItemId, Work)>> {
    let bytes = lists
        .iter()
        .map(|list| Ok(std::fs::metadata(list)?.len()))
        .sum::<io::Result<u64>>()?;
    let items = bytes
        .div_ceil(LEAST_BYTES)
        .min(FEW_ITEMS)
        .max(bytes.div_ceil(BYTES_PER_ITEM));
    let mut dealt = Vec::new();
    for first in (0..items).step_by(MOST_OPEN as usize) {
        let mut hands: Vec<Hand> = (first..items.min(first + MOST_OPEN))
            .map(|_| Hand::new(received, new_item()))
            .collect::<io::Result<_>>()?;
        for list in lists {
            for_each_name(list, |link, entry| {
                let number = number_of(link) % items;
                match number
                    .checked_sub(first)
                    .and_then(|at| hands.get_mut(at as usize))
                {
                    Some(hand) => hand.take(entry),
                    None => Ok(()),
                }
            })?;
        }
        for hand in hands {
            dealt.extend(hand.finish()?);
        }
    }
    if !dealt.is_empty() {
        received.sync_lists()?;
    }
    Ok(dealt)
}

/// The directories below the root in which names of the list are.
pub fn parents(list: &Path, directories: &mut BTreeSet<RelPath>) -> io::Result<()> {
    for_each_name(list, |link, _| {
        if let Some((parent, _)) = link.path.split_last()
            && !parent.is_root()
        {
            directories.insert(parent);
        }
        Ok(())
    })
}

/// The list of one item, while it is dealt.
struct Hand {
    item: ItemId,
    file: BufWriter<File>,
    path: PathBuf,
    names: u64,
}

impl Hand {
    fn new(received: &Received, item: ItemId) -> io::Result<Self> {
        let path = received.list(item);
        let file = File::options().write(true).create_new(true).open(&path)?;
        Ok(Self {
            item,
            file: BufWriter::new(file),
            path,
            names: 0,
        })
    }

    fn take(&mut self, entry: &[u8]) -> io::Result<()> {
        self.names += 1;
        self.file.write_all(entry)?;
        self.file.write_all(b"\0")
    }

    fn finish(self) -> io::Result<Option<(ItemId, Work)>> {
        let file = self
            .file
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        if self.names == 0 {
            std::fs::remove_file(self.path)?;
            return Ok(None);
        }
        file.sync_all()?;
        let names = self.names;
        Ok(Some((self.item, Work::Links { names })))
    }
}

/// All names of one file get the same.
fn number_of(link: &FoundLink) -> u64 {
    // Neighbouring inodes go different ways, and the number of items does not matter.
    (link.file.inode ^ link.file.device.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16
}

fn for_each_name(
    list: &Path,
    mut each: impl FnMut(&FoundLink, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut input = BufReader::new(File::open(list)?);
    let mut entry = Vec::new();
    loop {
        entry.clear();
        if input.read_until(0, &mut entry)? == 0 {
            return Ok(());
        }
        let link = entry
            .strip_suffix(b"\0")
            .and_then(|entry| Some((FoundLink::decode(entry)?, entry)));
        let (link, entry) = link.ok_or_else(|| {
            let why = format!("{}: a damaged list of links", list.display());
            io::Error::new(io::ErrorKind::InvalidData, why)
        })?;
        each(&link, entry)?;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};

    use model::found_links::{FileKey, FoundLink};
    use model::{ItemId, RelPath, Work};

    use super::{deal, parents};
    use crate::received::Received;

    #[test]
    fn every_name_is_dealt_once_and_all_names_of_a_file_to_one_item() {
        let scratch = tempfile::tempdir().unwrap();
        let received = Received::new(scratch.path().into(), scratch.path().into(), 0);
        let link = |file: u64, name: u64| FoundLink {
            file: FileKey {
                device: file % 2,
                inode: file,
            },
            path: RelPath::new(format!("{name}/{}/{file}", "long".repeat(40))).unwrap(),
        };
        let mut all: Vec<FoundLink> = Vec::new();
        let mut lists = Vec::new();
        for name in 0..3 {
            let names: Vec<FoundLink> = (0..2_000).map(|file| link(file, name)).collect();
            let list = scratch.path().join(format!("left{name}"));
            let bytes: Vec<u8> = names.iter().flat_map(FoundLink::encode).collect();
            std::fs::write(&list, bytes).unwrap();
            lists.push(list);
            all.extend(names);
        }
        let mut next = 0;
        let new_item = || {
            next += 1;
            ItemId::from_random(next)
        };
        let items = deal(&lists, &received, new_item).unwrap();
        assert_eq!(items.len(), 16);
        let mut dealt = Vec::new();
        let mut item_of = HashMap::new();
        let mut directories = BTreeSet::new();
        for (item, work) in items {
            let list = received.list(item);
            let names = FoundLink::decode_all(&std::fs::read(&list).unwrap()).unwrap();
            assert_eq!(
                work,
                Work::Links {
                    names: names.len() as u64
                }
            );
            parents(&list, &mut directories).unwrap();
            for link in names {
                assert_eq!(*item_of.entry(link.file).or_insert(item), item);
                dealt.push(link);
            }
        }
        dealt.sort();
        all.sort();
        assert_eq!(dealt, all);
        assert_eq!(directories.len(), 3);
    }

    #[test]
    fn a_damaged_list_is_an_error_with_its_name_and_leaves_nothing_behind() {
        let scratch = tempfile::tempdir().unwrap();
        let received = Received::new(scratch.path().into(), scratch.path().into(), 0);
        let list = scratch.path().join("left");
        std::fs::write(&list, "00").unwrap();
        let error = deal(&[list], &received, || ItemId::from_random(1)).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
        assert!(error.to_string().contains("left"), "{error}");
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 1);
    }
}
