//! Where entries go and what they are called: directories drawn by the seed, names that nothing has yet.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::Recipe;
use super::names::{LONGEST_NAME_BYTES, odd_names, random_name};
use crate::random::Random;

/// Names of directories add up to paths, which a single call must still take.
const LONGEST_DIRECTORY_BYTES: usize = 100;

/// A directory that entries may be put in.
pub(super) struct Place {
    pub(super) path: PathBuf,
    depth: u32,
}

pub(super) struct Places {
    /// The root first.
    places: Vec<Place>,
    taken: HashSet<PathBuf>,
    odd_names: Vec<Vec<u8>>,
    random_names: Option<Random>,
}

impl Places {
    pub(super) fn new(root: &Path, recipe: &Recipe, seed: u64) -> Self {
        let root = Place {
            path: root.to_owned(),
            depth: 0,
        };
        Self {
            places: vec![root],
            taken: HashSet::new(),
            odd_names: match recipe.odd_names {
                true => odd_names(),
                false => Vec::new(),
            },
            random_names: recipe.random_names.then(|| Random::part(seed, 2)),
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.places[0].path
    }

    pub(super) fn all(&self) -> &[Place] {
        &self.places
    }

    pub(super) fn add(&mut self, place: Place) {
        self.places.push(place);
    }

    /// For a directory that is at most so deep below the root.
    pub(super) fn directory(
        &mut self,
        deepest: u32,
        stem: &str,
        number: u64,
        random: &mut Random,
    ) -> Place {
        let parent = loop {
            let drawn = random.below(self.places.len() as u64) as usize;
            if self.places[drawn].depth < deepest.max(1) {
                break drawn;
            }
        };
        Place {
            depth: self.places[parent].depth + 1,
            path: self.free_path(parent, stem, number),
        }
    }

    /// A name that is not taken yet, in any directory. The first odd ones lie together in the root: some of them are
    /// traps only beside another.
    pub(super) fn any_path(&mut self, stem: &str, number: u64, random: &mut Random) -> PathBuf {
        let is_odd = number < self.odd_names.len() as u64;
        let place = match is_odd && stem == "f" {
            true => 0,
            false => random.below(self.places.len() as u64) as usize,
        };
        self.free_path(place, stem, number)
    }

    fn free_path(&mut self, place: usize, stem: &str, number: u64) -> PathBuf {
        let longest = match stem {
            "d" => LONGEST_DIRECTORY_BYTES,
            _ => LONGEST_NAME_BYTES,
        };
        let directory = &self.places[place].path;
        let odd = usize::try_from(number)
            .ok()
            .and_then(|number| self.odd_names.get(number))
            .filter(|name| name.len() <= longest)
            .cloned();
        let drawn = || {
            self.random_names
                .as_mut()
                .map(|random| random_name(random, longest))
        };
        let path = odd
            .or_else(drawn)
            .map(|name| directory.join(OsStr::from_bytes(&name)))
            .filter(|path| !self.taken.contains(path))
            .unwrap_or_else(|| directory.join(format!("{stem}{number:05}")));
        let is_new = self.taken.insert(path.clone());
        assert!(is_new, "{} is made twice", path.display());
        path
    }
}
