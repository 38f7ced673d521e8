//! One task's source and target: names with versions instead of content.
//!
//! The target knows who changes it. It refuses nothing; what must not happen is noted.

use std::collections::{BTreeMap, BTreeSet};

use model::{Epoch, HashRange, ItemId, RelPath, name_hash};

use crate::random::Random;
use crate::ranges::{RANGE_BLOCKS, Write};

/// Of a thousand trees, so many have a huge directory for sure, and so many some huge files.
const WITH_HUGE: u64 = 300;

#[derive(Debug)]
pub struct Directory {
    pub path: RelPath,
    /// Of its name.
    hash: u64,
    pub directories: Vec<usize>,
    pub files: Vec<usize>,
}

#[derive(Debug)]
pub struct File {
    pub directory: usize,
    /// Of its name.
    hash: u64,
    /// None: it has vanished.
    pub version: Option<u64>,
    /// Of a huge file several, an even number: it is copied block by block.
    pub blocks: usize,
}

/// What a temp stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unfinished {
    /// Of the source, when it was made.
    pub version: u64,
    pub inode: u64,
}

/// What a directory has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    File(usize),
    Directory(usize),
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
    pub temps: BTreeMap<Temp, Unfinished>,
    /// Of all files that were ever made at the target, by inode: which version is in each block.
    contents: BTreeMap<u64, Vec<Option<u64>>>,
    /// The inodes of those that have a final name.
    published: BTreeSet<u64>,
    pub made: BTreeSet<usize>,
    /// The run's, at the root of the target.
    pub has_marker: bool,
    pub is_full: bool,
    /// A file that kills whoever reads it.
    pub poison: Option<usize>,
    /// Files that can't be read, for now and ever so far.
    pub faulty: BTreeSet<usize>,
    pub ever_faulty: BTreeSet<usize>,
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
            tree.add_directory_in(parent);
        }
        for _ in 0..random.between(1, 30) {
            let directory = random.next() as usize % tree.directories.len();
            tree.add_file(directory);
        }
        if random.chance(WITH_HUGE) {
            tree.grow_huge(random);
        }
        if random.chance(WITH_HUGE) {
            for _ in 0..random.between(1, 4) {
                let file = random.next() as usize % tree.files.len();
                tree.files[file].blocks = RANGE_BLOCKS * random.between(2, 8) as usize;
            }
        }
        tree.file_paths = (0..tree.files.len())
            .map(|file| (tree.file_path(file), file))
            .collect();
        tree
    }

    /// One of its directories gets many names.
    fn grow_huge(&mut self, random: &mut Random) {
        let huge = random.next() as usize % self.directories.len();
        for _ in 0..random.between(8, 40) {
            match random.chance(400) {
                true => {
                    let below = self.add_directory_in(huge);
                    (0..random.between(0, 3)).for_each(|_| self.add_file(below));
                }
                false => self.add_file(huge),
            }
        }
    }

    fn add_directory_in(&mut self, parent: usize) -> usize {
        let name = format!("d{}", self.directories.len());
        let path = self.directories[parent].path.join(name.as_bytes());
        let directory = self.add_directory(path);
        self.directories[parent].directories.push(directory);
        directory
    }

    fn add_file(&mut self, directory: usize) {
        let file = self.files.len();
        self.directories[directory].files.push(file);
        self.files.push(File {
            directory,
            hash: name_hash(file_name(file).as_bytes()),
            version: Some(1),
            blocks: 1,
        });
    }

    fn add_directory(&mut self, path: RelPath) -> usize {
        let n = self.directories.len();
        self.by_path.insert(path.clone(), n);
        let name = path.split_last().map(|(_, name)| name_hash(name));
        self.directories.push(Directory {
            path,
            hash: name.unwrap_or_default(),
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
            .join(file_name(file).as_bytes())
    }

    /// The directory's names of which the hashes are in the range, in the order of these.
    pub fn names_in(&self, directory: usize, range: HashRange) -> Vec<(u64, Name)> {
        let Directory {
            directories, files, ..
        } = &self.directories[directory];
        let is_there = |file: &&usize| self.files[**file].version.is_some();
        let files = files.iter().filter(is_there);
        let files = files.map(|file| (self.files[*file].hash, Name::File(*file)));
        let directories = directories
            .iter()
            .map(|below| (self.directories[*below].hash, Name::Directory(*below)));
        let all = files.chain(directories);
        let mut names: Vec<_> = all.filter(|(hash, _)| range.contains(*hash)).collect();
        names.sort_unstable();
        names
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

    /// Whether it is there and can't be read.
    pub fn fails(&self, file: usize) -> bool {
        self.faulty.contains(&file) && self.files[file].version.is_some()
    }

    /// Makes a temp. What is no huge file is whole at once.
    pub fn create(&mut self, temp: Temp, version: u64) -> Unfinished {
        let inode = self.contents.len() as u64;
        let content = match self.files[temp.file].blocks {
            1 => vec![Some(version)],
            blocks => vec![None; blocks],
        };
        self.contents.insert(inode, content);
        let made = Unfinished { version, inode };
        self.temps.insert(temp, made);
        made
    }

    pub fn temp_named(&self, name: &str) -> Option<Unfinished> {
        let mut temps = self.temps.iter();
        let (_, found) = temps.find(|(temp, _)| temp.name() == name)?;
        Some(*found)
    }

    /// Writes a block of a file that was opened, whatever name it has by now.
    pub fn write(&mut self, write: Write) -> Result<(), String> {
        let Write {
            inode,
            block,
            version,
            file,
        } = write;
        let content = self.contents.get_mut(&inode).expect("it was opened");
        let before = content[block].replace(version);
        match self.published.contains(&inode) && before != Some(version) {
            true => Err(format!(
                "block {block} of file {file} had version {before:?} when it was published, and got {version}"
            )),
            false => Ok(()),
        }
    }

    /// Gives a file its final name, and says with which version; none if its temp is gone.
    pub fn publish(&mut self, temp: Temp) -> Result<Option<u64>, String> {
        let Some(Unfinished { version, inode }) = self.temps.remove(&temp) else {
            return Ok(None);
        };
        self.published.insert(inode);
        let content = &self.contents[&inode];
        if content.iter().any(|block| *block != Some(version)) {
            return Err(format!(
                "file {} was published with version {version}, its blocks have {content:?}",
                temp.file
            ));
        }
        match self.finals.insert(temp.file, version) {
            Some(older) if older > version => Err(format!(
                "file {} had version {older} and got {version} from epoch {} of item {}",
                temp.file, temp.epoch, temp.item
            )),
            _ => Ok(Some(version)),
        }
    }
}

fn file_name(file: usize) -> String {
    format!("f{file}")
}
