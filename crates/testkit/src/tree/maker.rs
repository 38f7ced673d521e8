//! Makes one tree: directories, then what lies in them, then the directories' attributes. What is created is counted
//! where it is created.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::attributes::Painter;
use super::names::odd_names;
use super::{Made, Recipe, chain};
use crate::random::Random;

/// A directory that entries may be put in.
struct Place {
    path: PathBuf,
    depth: u32,
}

pub(super) struct Maker<'a> {
    recipe: &'a Recipe,
    random: Random,
    painter: Painter,
    odd_names: Vec<Vec<u8>>,
    /// The root first.
    places: Vec<Place>,
    files: Vec<(PathBuf, u64)>,
    taken: HashSet<PathBuf>,
    made: Made,
}

impl<'a> Maker<'a> {
    pub(super) fn new(root: &Path, recipe: &'a Recipe, seed: u64) -> Self {
        let root = Place {
            path: root.to_owned(),
            depth: 0,
        };
        Self {
            recipe,
            random: Random::part(seed, 0),
            painter: Painter::new(recipe.odd_attributes, Random::part(seed, 1)),
            odd_names: odd_names(),
            places: vec![root],
            files: Vec::new(),
            taken: HashSet::new(),
            made: Made::default(),
        }
    }

    pub(super) fn make(mut self) -> io::Result<Made> {
        let recipe = self.recipe;
        for number in 0..recipe.directories {
            let place = self.directory("d", number)?;
            self.places.push(place);
        }
        let empty_directories = (0..recipe.empty_directories)
            .map(|number| self.directory("empty", number))
            .collect::<io::Result<Vec<_>>>()?;
        self.regular_files()?;
        for number in 0..recipe.symlinks {
            self.symlink(number)?;
        }
        for number in 0..recipe.specials {
            self.special(number)?;
        }
        if recipe.chain > 0 {
            self.made.bytes += chain::make(&self.places[0].path, recipe.chain)?;
            self.made.directories += recipe.chain;
            self.made.files += 1;
        }
        // Last: whatever is created in a directory changes its time.
        for place in empty_directories.iter().chain(&self.places) {
            self.painter.directory(&place.path)?;
        }
        Ok(self.made)
    }

    fn directory(&mut self, stem: &str, number: u64) -> io::Result<Place> {
        let depth = self.recipe.depth.max(1);
        let parent = loop {
            let drawn = self.random.below(self.places.len() as u64) as usize;
            if self.places[drawn].depth < depth {
                break drawn;
            }
        };
        let path = self.free_path(parent, stem, number);
        fs::create_dir(&path)?;
        self.made.directories += 1;
        Ok(Place {
            depth: self.places[parent].depth + 1,
            path,
        })
    }

    fn regular_files(&mut self) -> io::Result<()> {
        let recipe = self.recipe;
        let mut content = vec![0; *recipe.file_bytes.end() as usize];
        for number in 0..recipe.files {
            let size = self.random.within(&recipe.file_bytes);
            let bytes = &mut content[..size as usize];
            self.random.fill(bytes);
            self.file("f", number, size, |path| fs::write(path, bytes))?;
        }
        for number in 0..recipe.sparse_files {
            let size = (4 << 20) + self.random.below(1 << 20);
            self.file("sparse", number, size, |path| {
                write_sparse(path, size, number)
            })?;
        }
        let mut block = vec![0; 1 << 20];
        self.random.fill(&mut block);
        for number in 0..recipe.big_files {
            let size = recipe.big_file_bytes;
            self.file("big", number, size, |path| write_big(path, size, &block))?;
        }
        for number in 0..recipe.hard_links {
            assert!(!self.files.is_empty(), "hard links need a file");
            let (first, size) = self.random.pick(&self.files).clone();
            let path = self.any_path("link", number);
            fs::hard_link(first, path)?;
            self.made.files += 1;
            self.made.bytes += size;
        }
        Ok(())
    }

    fn file(
        &mut self,
        stem: &str,
        number: u64,
        size: u64,
        write: impl FnOnce(&Path) -> io::Result<()>,
    ) -> io::Result<()> {
        let path = self.any_path(stem, number);
        write(&path)?;
        self.painter.file(&path)?;
        self.files.push((path, size));
        self.made.files += 1;
        self.made.bytes += size;
        Ok(())
    }

    fn symlink(&mut self, number: u64) -> io::Result<()> {
        let path = self.any_path("s", number);
        let own_name = path.file_name().expect("it was joined").as_bytes().to_vec();
        let target: Vec<u8> = match number % 8 {
            0 => self.name_beside(&path),
            1 => b"no such place".to_vec(),
            2 => b"/etc/hostname".to_vec(),
            3 => b"../../../../../../../../etc".to_vec(),
            4 => own_name,
            5 => b".".to_vec(),
            6 => b"line\nbreak and \xff".to_vec(),
            _ => vec![b'x'; self.recipe.longest_target_bytes],
        };
        symlink(OsStr::from_bytes(&target), &path)?;
        self.painter.symlink(&path)?;
        self.made.symlinks += 1;
        Ok(())
    }

    fn special(&mut self, number: u64) -> io::Result<()> {
        let path = self.any_path("special", number);
        let kind = [FileType::Fifo, FileType::Socket][(number % 2) as usize];
        mknodat(CWD, &path, kind, Mode::from_raw_mode(0o600), 0)?;
        self.painter.special(&path)?;
        self.made.specials += 1;
        Ok(())
    }

    /// A name that is not taken yet, in any directory. The first odd ones lie together in the root: some of them are
    /// traps only beside another.
    fn any_path(&mut self, stem: &str, number: u64) -> PathBuf {
        let is_first_odd = self.recipe.odd_names && number < self.odd_names.len() as u64;
        let place = match is_first_odd && stem == "f" {
            true => 0,
            false => self.random.below(self.places.len() as u64) as usize,
        };
        self.free_path(place, stem, number)
    }

    fn free_path(&mut self, place: usize, stem: &str, number: u64) -> PathBuf {
        let directory = &self.places[place].path;
        let plain = directory.join(format!("{stem}{number:05}"));
        // Names of directories add up to paths, which a single call must still take.
        let is_long = |name: &[u8]| stem == "d" && name.len() > 100;
        let odd = usize::try_from(number)
            .ok()
            .filter(|_| self.recipe.odd_names)
            .and_then(|number| self.odd_names.get(number))
            .filter(|name| !is_long(name))
            .map(|name| directory.join(OsStr::from_bytes(name)))
            .filter(|path| !self.taken.contains(path));
        let path = odd.unwrap_or(plain);
        let is_new = self.taken.insert(path.clone());
        assert!(is_new, "{} is made twice", path.display());
        path
    }

    fn name_beside(&self, path: &Path) -> Vec<u8> {
        let beside = self
            .files
            .iter()
            .find(|(file, _)| file.parent() == path.parent());
        beside
            .and_then(|(file, _)| file.file_name())
            .map_or(b"..".to_vec(), |name| name.as_bytes().to_vec())
    }
}

/// In turn: a hole first, a hole last, a hole all over, data and holes by turns.
fn write_sparse(path: &Path, size: u64, number: u64) -> io::Result<()> {
    static DATA: [u8; 64 << 10] = [0x5a; 64 << 10];
    let file = File::create_new(path)?;
    file.set_len(size)?;
    let last = size - DATA.len() as u64;
    match number % 4 {
        0 => file.write_all_at(&DATA, last),
        1 => file.write_all_at(&DATA, 0),
        2 => Ok(()),
        _ => (0..last)
            .step_by(4 * DATA.len())
            .try_for_each(|offset| file.write_all_at(&DATA, offset)),
    }
}

fn write_big(path: &Path, size: u64, block: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    let mut left = size;
    while left > 0 {
        let part = left.min(block.len() as u64);
        file.write_all(&block[..part as usize])?;
        left -= part;
    }
    Ok(())
}
