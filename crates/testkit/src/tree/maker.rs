//! Makes one tree: directories, then what lies in them, then the directories' attributes. What is created is counted
//! where it is created.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use super::attributes::Painter;
use super::content::{preallocate, write_big, write_sparse};
use super::places::{Place, Places};
use super::{Made, Recipe, chain};
use crate::random::Random;

/// Kind, major and minor number: ordinary ones, the least (an overlay's whiteout), the most that xfs can hold. None
/// is ever opened.
const DEVICES: [(FileType, u32, u32); 5] = [
    (FileType::CharacterDevice, 1, 3),
    (FileType::BlockDevice, 7, 200),
    (FileType::CharacterDevice, 0, 0),
    (FileType::BlockDevice, 511, 262_143),
    (FileType::CharacterDevice, 10, 262_143),
];

pub(super) struct Maker<'a> {
    recipe: &'a Recipe,
    random: Random,
    painter: Painter,
    places: Places,
    files: Vec<(PathBuf, u64)>,
    symlinks: Vec<PathBuf>,
    specials: Vec<PathBuf>,
    made: Made,
}

impl<'a> Maker<'a> {
    pub(super) fn new(root: &Path, recipe: &'a Recipe, seed: u64) -> Self {
        Self {
            recipe,
            random: Random::part(seed, 0),
            painter: Painter::new(recipe, seed),
            places: Places::new(root, recipe, seed),
            files: Vec::new(),
            symlinks: Vec::new(),
            specials: Vec::new(),
            made: Made::default(),
        }
    }

    pub(super) fn make(mut self) -> io::Result<Made> {
        let recipe = self.recipe;
        for number in 0..recipe.directories {
            let place = self.directory("d", number)?;
            self.places.add(place);
        }
        let empty_directories = (0..recipe.empty_directories)
            .map(|number| self.directory("empty", number))
            .collect::<io::Result<Vec<_>>>()?;
        self.regular_files()?;
        (0..recipe.symlinks).try_for_each(|number| self.symlink(number))?;
        (0..recipe.specials).try_for_each(|number| self.fifo_or_socket(number))?;
        if self.painter.may_make_devices() {
            (0..recipe.devices).try_for_each(|number| self.device(number))?;
        }
        self.hard_links_of_others()?;
        if recipe.chain > 0 {
            self.made.bytes += chain::make(self.places.root(), recipe.chain)?;
            self.made.directories += recipe.chain;
            self.made.files += 1;
        }
        // Last: whatever is created in a directory changes its time, and gets what its default ACL says.
        for place in empty_directories.iter().chain(self.places.all()) {
            self.painter.directory(&place.path)?;
        }
        Ok(self.made)
    }

    fn directory(&mut self, stem: &str, number: u64) -> io::Result<Place> {
        let deepest = self.recipe.depth;
        let place = self
            .places
            .directory(deepest, stem, number, &mut self.random);
        fs::create_dir(&place.path)?;
        self.made.directories += 1;
        Ok(place)
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
        for number in 0..recipe.preallocated_files {
            let size = (1 << 20) + self.random.below(1 << 20);
            self.file("preallocated", number, size, |path| {
                preallocate(path, size, number)
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
            self.hard_link(&first, "link", number)?;
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
        self.symlinks.push(path);
        self.made.symlinks += 1;
        Ok(())
    }

    fn fifo_or_socket(&mut self, number: u64) -> io::Result<()> {
        let path = self.any_path("special", number);
        let kind = [FileType::Fifo, FileType::Socket][(number % 2) as usize];
        self.special(path, kind, 0)
    }

    fn device(&mut self, number: u64) -> io::Result<()> {
        let path = self.any_path("device", number);
        let (kind, major, minor) = DEVICES[number as usize % DEVICES.len()];
        self.special(path, kind, makedev(major, minor))
    }

    fn special(&mut self, path: PathBuf, kind: FileType, device: u64) -> io::Result<()> {
        mknodat(CWD, &path, kind, Mode::from_raw_mode(0o600), device)?;
        self.painter.special(&path)?;
        self.specials.push(path);
        self.made.specials += 1;
        Ok(())
    }

    fn hard_links_of_others(&mut self) -> io::Result<()> {
        for number in 0..self.recipe.symlink_hard_links {
            assert!(!self.symlinks.is_empty(), "their hard links need symlinks");
            let first = self.random.pick(&self.symlinks).clone();
            self.hard_link(&first, "symlink-link", number)?;
            self.made.symlinks += 1;
        }
        for number in 0..self.recipe.special_hard_links {
            assert!(!self.specials.is_empty(), "their hard links need specials");
            let first = self.random.pick(&self.specials).clone();
            self.hard_link(&first, "special-link", number)?;
            self.made.specials += 1;
        }
        Ok(())
    }

    fn hard_link(&mut self, first: &Path, stem: &str, number: u64) -> io::Result<()> {
        let path = self.any_path(stem, number);
        fs::hard_link(first, path)
    }

    fn any_path(&mut self, stem: &str, number: u64) -> PathBuf {
        self.places.any_path(stem, number, &mut self.random)
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
