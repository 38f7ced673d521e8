//! Files of several names: names of one file at the source must be names of one file at the target, and no others.
//!
//! All names of a file on one side that are one file on the other side too are a *pair* of files. It is compared once, under
//! the name that is met first; when the trees have been walked, each of its names is found with what was found then, and
//! with its links, if another pair, one that is right itself, has one of the two files under an earlier name.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, PoisonError};

use model::RelPath;
use storage::posix::Meta;

use super::{Aspect, Difference, Found, Unseen};

/// Device and inode.
type File = (u64, u64);

/// A file at the source, and one at the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Pair {
    source: File,
    target: File,
}

impl Pair {
    pub(super) fn of(source: &Meta, target: &Meta) -> Self {
        Self {
            source: (source.dev, source.ino),
            target: (target.dev, target.ino),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Links(Mutex<HashMap<Pair, Names>>);

#[derive(Debug)]
struct Names {
    paths: Vec<RelPath>,
    differs: Result<Vec<Aspect>, Unseen>,
}

impl Links {
    /// Takes a name down; whether it is the first of its pair, which is to be compared.
    pub(super) fn meet(&self, pair: Pair, path: RelPath) -> bool {
        let mut pairs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match pairs.entry(pair) {
            Entry::Occupied(mut known) => {
                known.get_mut().paths.push(path);
                false
            }
            Entry::Vacant(new) => {
                new.insert(Names {
                    paths: vec![path],
                    differs: Ok(Vec::new()),
                });
                true
            }
        }
    }

    /// In what the two files of a pair differ.
    pub(super) fn settle(&self, pair: Pair, differs: Result<Vec<Aspect>, Unseen>) {
        let mut pairs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(names) = pairs.get_mut(&pair) {
            names.differs = differs;
        }
    }

    /// What is found of all names, in their order.
    pub(super) fn into_found(self) -> impl Iterator<Item = Found> {
        let pairs = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut pairs: Vec<(Pair, Names)> = pairs.into_iter().collect();
        for (_, names) in &mut pairs {
            names.paths.sort_unstable();
        }
        pairs.sort_unstable_by(|(_, a), (_, b)| a.paths.cmp(&b.paths));
        let (mut sources, mut targets) = (HashMap::new(), HashMap::new());
        let mut found = Vec::new();
        for (pair, names) in pairs {
            // One that is broken breaks no other.
            let is_broken = *sources.entry(pair.source).or_insert(pair) != pair
                || *targets.entry(pair.target).or_insert(pair) != pair;
            let difference = match names.differs {
                Ok(mut aspects) => {
                    if is_broken {
                        aspects.push(Aspect::HardLinks);
                        aspects.sort_unstable();
                    }
                    Difference::Differs(aspects)
                }
                Err(unseen) => Difference::Unseen(unseen),
            };
            if difference == Difference::Differs(Vec::new()) {
                continue;
            }
            found.extend(names.paths.into_iter().map(|path| Found {
                path,
                difference: difference.clone(),
            }));
        }
        found.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        found.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use model::RelPath;

    use super::{Aspect, Difference, Links, Pair};

    /// What is found where files with these numbers have these names.
    fn broken(names: &[(&str, u64, u64)]) -> Vec<String> {
        let links = Links::default();
        for &(name, source, target) in names {
            let pair = Pair {
                source: (1, source),
                target: (2, target),
            };
            links.meet(pair, RelPath::new(name).unwrap());
        }
        let found = links.into_found().map(|found| {
            let expected = Difference::Differs(vec![Aspect::HardLinks]);
            assert_eq!(found.difference, expected);
            found.path.to_string()
        });
        found.collect()
    }

    #[test]
    fn names_of_one_file_are_names_of_one_file_and_of_no_other() {
        // The same on both sides.
        assert!(broken(&[("a", 1, 7), ("b", 1, 7), ("c", 2, 8)]).is_empty());
        // One name of three became a file of its own.
        assert_eq!(broken(&[("c", 1, 9), ("a", 1, 7), ("b", 1, 7)]), ["c"]);
        // Two files became one.
        assert_eq!(broken(&[("a", 1, 7), ("b", 2, 7)]), ["b"]);
        // Names have changed places.
        let swapped = [("a", 1, 7), ("b", 1, 8), ("c", 2, 8), ("d", 2, 7)];
        assert_eq!(broken(&swapped), ["b", "d"]);
    }

    #[test]
    fn what_was_found_under_one_name_is_found_under_all() {
        let links = Links::default();
        let pair = Pair {
            source: (1, 1),
            target: (1, 2),
        };
        assert!(links.meet(pair, RelPath::new("b").unwrap()));
        assert!(!links.meet(pair, RelPath::new("a").unwrap()));
        links.settle(pair, Ok(vec![Aspect::Mode]));
        let found: Vec<_> = links
            .into_found()
            .map(|found| (found.path.to_string(), found.difference))
            .collect();
        let mode = || Difference::Differs(vec![Aspect::Mode]);
        assert_eq!(found, [("a".to_owned(), mode()), ("b".to_owned(), mode())]);
    }
}
