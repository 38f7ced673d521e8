//! One task's source and target: names with versions instead of content.
//!
//! The target knows who changes it. It refuses nothing; what must not happen is noted.

use std::collections::{BTreeMap, BTreeSet};

use model::{Epoch, ItemId, RelPath};

use crate::random::Random;

#[derive(Debug)]
pub struct Directory {
    pub path: RelPath,
    pub directories: Vec<usize>,
    pub files: Vec<usize>,
}

#[derive(Debug)]
pub struct File {
    pub directory: usize,
    /// None: it has vanished.
    pub version: Option<u64>,
}

/// An unfinished file, by its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Temp {
    pub item: ItemId,
    pub epoch: Epoch,
    pub file: usize,
}

#[derive(Debug, Default)]
pub struct Tree {
    pub directories: Vec<Directory>,
    pub files: Vec<File>,
    by_path: BTreeMap<RelPath, usize>,
    file_paths: BTreeMap<RelPath, usize>,
    /// At the target, with the version of their content.
    pub finals: BTreeMap<usize, u64>,
    pub temps: BTreeMap<Temp, u64>,
    pub made: BTreeSet<usize>,
    /// The run's, at the root of the target.
    pub has_marker: bool,
    pub is_full: bool,
    /// A file that kills whoever reads it.
    pub poison: Option<usize>,
    /// Files that vanished.
    pub vanished: u64,
}

impl Tree {
    /// A root with directories below, of which some are deep.
    pub fn grown(random: &mut Random) -> Self {
        let mut tree = Self::default();
        tree.add_directory(RelPath::ROOT);
        for n in 1..random.between(2, 14) as usize {
            let parent = random.between(0, n as u64) as usize;
            let path = match tree.directories[parent].path.is_root() {
                true => format!("d{n}"),
                false => format!("{}/d{n}", tree.directories[parent].path),
            };
            let path = RelPath::new(path).expect("a path of plain names");
            let directory = tree.add_directory(path);
            tree.directories[parent].directories.push(directory);
        }
        for _ in 0..random.between(1, 30) {
            let directory = random.next() as usize % tree.directories.len();
            tree.directories[directory].files.push(tree.files.len());
            tree.files.push(File {
                directory,
                version: Some(1),
            });
        }
        tree.file_paths = (0..tree.files.len())
            .map(|file| (tree.file_path(file), file))
            .collect();
        tree
    }

    fn add_directory(&mut self, path: RelPath) -> usize {
        let n = self.directories.len();
        self.by_path.insert(path.clone(), n);
        self.directories.push(Directory {
            path,
            directories: Vec::new(),
            files: Vec::new(),
        });
        n
    }

    pub fn directory(&self, path: &RelPath) -> usize {
        self.by_path[path]
    }

    /// The file at a path that is no directory's.
    pub fn file(&self, path: &RelPath) -> Option<usize> {
        self.file_paths.get(path).copied()
    }

    pub fn file_path(&self, file: usize) -> RelPath {
        let directory = self.files[file].directory;
        self.directories[directory]
            .path
            .join(format!("f{file}").as_bytes())
    }

    /// Entries below the root that were there at the beginning.
    pub fn entries(&self) -> u64 {
        (self.directories.len() - 1 + self.files.len()) as u64
    }

    /// What an attempt does when it enters a directory: it makes it, and removes what dead attempts left.
    pub fn enter(&mut self, directory: usize, is_dead: impl Fn(&Temp) -> bool) {
        self.made.insert(directory);
        self.remove_temps(directory, is_dead);
    }

    pub fn remove_temps(&mut self, directory: usize, is_dead: impl Fn(&Temp) -> bool) {
        let files = &self.files;
        self.temps
            .retain(|temp, _| files[temp.file].directory != directory || !is_dead(temp));
    }

    /// Gives a file its final name, and says with which version; none if its temp is gone.
    pub fn publish(&mut self, temp: Temp) -> Result<Option<u64>, String> {
        let Some(version) = self.temps.remove(&temp) else {
            return Ok(None);
        };
        match self.finals.insert(temp.file, version) {
            Some(older) if older > version => Err(format!(
                "file {} had version {older} and got {version} from epoch {} of item {}",
                temp.file, temp.epoch, temp.item
            )),
            _ => Ok(Some(version)),
        }
    }
}
