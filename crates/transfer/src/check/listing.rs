//! The names of one directory on both sides, matched.
//!
//! A directory may have millions of entries: names lie in one buffer for all, and each entry takes a few bytes besides.

use std::ffi::{CStr, CString};
use std::mem;

use storage::posix::{Dir, Error, Kind, Listed, ListingBuffer};

use super::sides::Sides;

/// With fewer files a thread is done before another has begun to help.
const LEAST_FILES: usize = 32;

/// The kinds under one name, on the sides that have it.
pub(super) type Kinds = Sides<Kind>;

/// Entries of a directory that are still to be looked at; taken in the order of their names, directories last, so that
/// few names are held while what is below them is walked.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// All that are a directory on neither side.
    pub(super) files: Entries,
    /// Those that are one on either side.
    pub(super) directories: Entries,
}

impl Listing {
    pub(super) fn is_empty(&self) -> bool {
        self.files.items.is_empty() && self.directories.items.is_empty()
    }

    /// Whether [`Listing::give`] would give something.
    pub(super) fn can_give(&self) -> bool {
        self.files.items.len() >= LEAST_FILES || self.directories.items.len() > 1
    }

    /// About half of it, for another thread.
    pub(super) fn give(&mut self) -> Self {
        Self {
            files: self.files.give(LEAST_FILES),
            directories: self.directories.give(2),
        }
    }

    /// About half of it, all if it is only one.
    pub(super) fn give_any(&mut self) -> Self {
        Self {
            files: self.files.give(1),
            directories: self.directories.give(1),
        }
    }

    fn push(&mut self, name: &[u8], kinds: Kinds) {
        let may_be_directory = match kinds {
            Sides::Both(source, target) => {
                let is_known = source != Kind::Unknown && target != Kind::Unknown;
                is_known && (source == Kind::Directory || target == Kind::Directory)
            }
            Sides::Source(kind) | Sides::Target(kind) => kind == Kind::Directory,
        };
        match may_be_directory {
            true => self.directories.push(name, kinds),
            false => self.files.push(name, kinds),
        }
    }
}

/// The last is taken first.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// NUL after each.
    names: Vec<u8>,
    items: Vec<Item>,
}

#[derive(Debug, Clone, Copy)]
struct Item {
    /// With the NUL. An entry of a listing, which holds a name, is no longer than its 16 bits can say.
    name_bytes: u16,
    kinds: Kinds,
}

impl Entries {
    fn push(&mut self, name: &[u8], kinds: Kinds) {
        self.names.extend_from_slice(name);
        self.names.push(0);
        self.items.push(Item {
            name_bytes: u16::try_from(name.len() + 1).expect("a name is shorter than its entry"),
            kinds,
        });
    }

    pub(super) fn pop(&mut self) -> Option<(CString, Kinds)> {
        let item = self.items.pop()?;
        let begin = self.names.len() - usize::from(item.name_bytes);
        let name = CStr::from_bytes_with_nul(&self.names[begin..])
            .expect("a name of a listing holds no NUL")
            .to_owned();
        self.names.truncate(begin);
        if self.items.is_empty() {
            // What follows may take long.
            mem::take(&mut self.names);
        }
        Some((name, item.kinds))
    }

    /// The larger half of those that would be taken last, if there are so many.
    fn give(&mut self, least: usize) -> Self {
        if self.items.len() < least {
            return Self::default();
        }
        let kept = self.items.split_off(self.items.len().div_ceil(2));
        let items = mem::replace(&mut self.items, kept);
        let bytes = items.iter().map(|item| usize::from(item.name_bytes)).sum();
        let kept = self.names.split_off(bytes);
        let names = mem::replace(&mut self.names, kept);
        Self { names, items }
    }
}

/// The names of a directory on one side, the last in their order first.
#[derive(Default)]
pub(super) struct Names {
    bytes: Vec<u8>,
    entries: Vec<Name>,
}

#[derive(Clone, Copy)]
struct Name {
    begin: usize,
    bytes: u16,
    kind: Kind,
}

impl Names {
    /// Reads a directory from where its reading position is to its end, or until it is to stop.
    pub(super) fn read(
        dir: &Dir,
        buffer: &mut ListingBuffer,
        is_stopping: impl Fn() -> bool,
    ) -> Result<Self, Error> {
        let mut names = Self::default();
        while !is_stopping() {
            let listed = dir.list_chunk(buffer, |name, kind| {
                let kind = match kind {
                    // Where it can't be looked at either, the comparison will tell.
                    Kind::Unknown => dir.stat(name).map_or(Kind::Unknown, |meta| meta.kind),
                    kind => kind,
                };
                names.push(name.to_bytes(), kind);
            })?;
            if listed == Listed::End {
                break;
            }
        }
        names.sort();
        Ok(names)
    }

    fn push(&mut self, name: &[u8], kind: Kind) {
        self.entries.push(Name {
            begin: self.bytes.len(),
            bytes: u16::try_from(name.len()).expect("a name is shorter than its entry"),
            kind,
        });
        self.bytes.extend_from_slice(name);
    }

    fn sort(&mut self) {
        let bytes = &self.bytes;
        let name = |entry: &Name| &bytes[entry.begin..][..usize::from(entry.bytes)];
        self.entries.sort_unstable_by(|a, b| name(b).cmp(name(a)));
    }

    fn get(&self, at: usize) -> Option<(&[u8], Kind)> {
        let entry = self.entries.get(at)?;
        let name = &self.bytes[entry.begin..][..usize::from(entry.bytes)];
        Some((name, entry.kind))
    }
}

/// What is on both sides, or on one, as far as it is wanted.
pub(super) fn matched(
    source: &Names,
    target: &Names,
    is_wanted: impl Fn(&[u8], Kinds) -> bool,
) -> Listing {
    let mut listing = Listing::default();
    let (mut at_source, mut at_target) = (0, 0);
    loop {
        let (name, kinds) = match (source.get(at_source), target.get(at_target)) {
            (None, None) => return listing,
            (Some((name, kind)), None) => (name, Sides::Source(kind)),
            (None, Some((name, kind))) => (name, Sides::Target(kind)),
            (Some((ours, kind)), Some((theirs, _))) if ours > theirs => (ours, Sides::Source(kind)),
            (Some((ours, _)), Some((theirs, kind))) if ours < theirs => {
                (theirs, Sides::Target(kind))
            }
            (Some((name, kind)), Some((_, other))) => (name, Sides::Both(kind, other)),
        };
        if is_wanted(name, kinds) {
            listing.push(name, kinds);
        }
        at_source += usize::from(!matches!(kinds, Sides::Target(_)));
        at_target += usize::from(!matches!(kinds, Sides::Source(_)));
    }
}

#[cfg(test)]
mod tests {
    use super::{Entries, Kind, Kinds, Listing, Names, Sides, matched};

    fn names(of: &[(&str, Kind)]) -> Names {
        let mut names = Names::default();
        for (name, kind) in of {
            names.push(name.as_bytes(), *kind);
        }
        names.sort();
        names
    }

    fn taken(mut entries: Entries) -> Vec<(String, Kinds)> {
        std::iter::from_fn(|| entries.pop())
            .map(|(name, kinds)| (name.into_string().unwrap(), kinds))
            .collect()
    }

    #[test]
    fn each_name_is_met_once_with_what_both_sides_have() {
        use Kind::{Directory, Fifo, File, Unknown};
        let source = names(&[
            ("b", File),
            ("a", Directory),
            ("c", Fifo),
            ("e", Unknown),
            ("f", File),
        ]);
        let target = names(&[
            ("e", Directory),
            ("b", File),
            ("a", File),
            ("bb", Directory),
        ]);
        let listing = matched(&source, &target, |name, _| name != b"f");
        let owned = |name: &str, kinds| (name.to_owned(), kinds);
        assert_eq!(
            taken(listing.directories),
            [
                owned("a", Sides::Both(Directory, File)),
                owned("bb", Sides::Target(Directory)),
            ]
        );
        assert_eq!(
            taken(listing.files),
            [
                owned("b", Sides::Both(File, File)),
                owned("c", Sides::Source(Fifo)),
                owned("e", Sides::Both(Unknown, Directory)),
            ]
        );
    }

    #[test]
    fn what_is_given_away_is_no_longer_held() {
        let mut listing = Listing::default();
        for number in 0..100 {
            listing.push(number.to_string().as_bytes(), Sides::Source(Kind::File));
            listing.push(&[b'd'; 255][..=number], Sides::Source(Kind::Directory));
        }
        let mut shares = Vec::new();
        while listing.can_give() {
            shares.push(listing.give());
        }
        assert_eq!(taken_files(&mut listing), 25);
        shares.push(listing.give_any());
        assert!(listing.is_empty());
        let mut files = 25;
        let mut directories = Vec::new();
        for mut share in shares {
            files += taken_files(&mut share);
            directories.extend(taken(share.directories));
        }
        directories.sort_by_key(|(name, _)| name.len());
        let lengths = directories.iter().map(|(name, _)| name.len());
        assert!(lengths.eq(1..=100));
        assert_eq!(files, 100);
    }

    fn taken_files(listing: &mut Listing) -> usize {
        taken(std::mem::take(&mut listing.files)).len()
    }
}
