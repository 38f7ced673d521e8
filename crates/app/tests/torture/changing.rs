//! A source that changes while it is migrated, and every version that each of its files had.
//!
//! Each change is one system call, so that a file has no states but those that are written down here. Every version says
//! throughout whose it is and the how manieth: what was put together of two is neither.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use testkit::random::Random;

const DIRECTORIES: u64 = 8;
const FILES: u64 = 160;
/// The rest stays as it is.
const SUBJECTS: u64 = 60;
const MAX_BYTES: u64 = 12 << 10;

pub struct Changing {
    base: PathBuf,
    random: Random,
    /// By path below the root.
    files: BTreeMap<PathBuf, History>,
    /// Those that are changed.
    subjects: Vec<PathBuf>,
    changes: u64,
}

#[derive(Debug, Default)]
pub struct History {
    versions: Vec<Vec<u8>>,
    /// Drawn so often, for versions that are no two the same.
    drawn: u64,
    is_there: bool,
    /// At the beginning or between two versions.
    was_missing: bool,
    is_touched: bool,
}

impl History {
    pub fn has(&self, content: &[u8]) -> bool {
        self.versions.iter().any(|version| version == content)
    }

    pub fn was_missing(&self) -> bool {
        self.was_missing
    }

    fn newest(&self) -> &[u8] {
        self.versions.last().expect("it had content once")
    }
}

impl Changing {
    /// A tree in a directory of its own in `base`.
    pub fn new(base: &Path, random: &mut Random) -> Self {
        let mut changing = Self {
            base: base.to_owned(),
            random: Random::new(random.next()),
            files: BTreeMap::new(),
            subjects: Vec::new(),
            changes: 0,
        };
        fs::create_dir(changing.aside()).expect("a directory can be made");
        for directory in 0..DIRECTORIES {
            fs::create_dir_all(changing.root().join(format!("{directory}")))
                .expect("a directory can be made");
        }
        for number in 0..FILES {
            let path = PathBuf::from(format!("{}/file {number}", number % DIRECTORIES));
            if number < SUBJECTS {
                changing.subjects.push(path.clone());
            }
            changing.put(&path).expect("a file can be made");
        }
        for history in changing.files.values_mut() {
            (history.was_missing, history.is_touched) = (false, false);
        }
        changing
    }

    pub fn root(&self) -> PathBuf {
        self.base.join("changing")
    }

    /// Where files are made before they come into the tree.
    fn aside(&self) -> PathBuf {
        self.base.join("aside")
    }

    pub fn changes(&self) -> u64 {
        self.changes
    }

    pub fn files(&self) -> &BTreeMap<PathBuf, History> {
        &self.files
    }

    /// Files and directories that were there all the time, and that were ever there.
    pub fn entries(&self) -> (u64, u64) {
        let always = self.files.values().filter(|file| !file.was_missing).count() as u64;
        (DIRECTORIES + always, DIRECTORIES + self.files.len() as u64)
    }

    /// Files that were changed, and the directories that they are in.
    pub fn touched(&self) -> BTreeSet<PathBuf> {
        let touched = self.files.iter().filter(|(_, history)| history.is_touched);
        touched
            .flat_map(|(path, _)| [path.clone(), path.parent().unwrap_or(path).to_owned()])
            .collect()
    }

    /// Changes one file.
    ///
    /// # Panics
    /// Where the file system does not let it.
    pub fn change(&mut self) {
        let path = self.random.pick(&self.subjects).clone();
        let is_there = self.files[&path].is_there;
        let done = match self.random.below(6) {
            _ if !is_there => self.put(&path),
            0 => self.remove(&path),
            1 => self.put(&path),
            2 => self.cut(&path),
            3 => self.append(&path),
            4 => {
                let new = PathBuf::from(format!("{}.new{}", path.display(), self.changes));
                self.put(&new)
            }
            _ => self.overwrite(&path),
        };
        done.unwrap_or_else(|error| panic!("cannot change {}: {error}", path.display()));
        self.changes += 1;
    }

    /// The whole file, new or in the place of another.
    fn put(&mut self, path: &Path) -> io::Result<()> {
        let bytes = self.random.within(&(1..=MAX_BYTES));
        let content = self.draw(path, bytes);
        let aside = self.aside().join("next");
        fs::write(&aside, &content)?;
        let history = self.note(path, content);
        history.was_missing |= !history.is_there;
        history.is_there = true;
        fs::rename(aside, self.root().join(path))
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        let history = self.files.get_mut(path).expect("it is there");
        (history.is_there, history.was_missing, history.is_touched) = (false, true, true);
        fs::remove_file(self.root().join(path))
    }

    fn cut(&mut self, path: &Path) -> io::Result<()> {
        let newest = self.files[path].newest();
        let content = newest[..newest.len() / 2].to_vec();
        let bytes = content.len() as u64;
        self.note(path, content);
        self.open(path)?.set_len(bytes)
    }

    fn append(&mut self, path: &Path) -> io::Result<()> {
        let more = self.draw(path, 1_000);
        let mut content = self.files[path].newest().to_vec();
        let end = content.len() as u64;
        content.extend(&more);
        self.note(path, content);
        write_once(&self.open(path)?, &more, end)
    }

    fn overwrite(&mut self, path: &Path) -> io::Result<()> {
        let bytes = self.files[path].newest().len() as u64;
        let content = self.draw(path, bytes);
        self.note(path, content.clone());
        write_once(&self.open(path)?, &content, 0)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).open(self.root().join(path))
    }

    /// Content that this file never had.
    fn draw(&mut self, path: &Path, bytes: u64) -> Vec<u8> {
        let history = self.files.entry(path.to_owned()).or_default();
        history.drawn += 1;
        let line = format!("{} version {}\n", path.display(), history.drawn);
        line.bytes().cycle().take(bytes as usize).collect()
    }

    /// Written down before it is so: it may be read at once.
    fn note(&mut self, path: &Path, content: Vec<u8>) -> &mut History {
        let history = self.files.entry(path.to_owned()).or_default();
        history.versions.push(content);
        history.is_touched = true;
        history
    }
}

fn write_once(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    let written = file.write_at(bytes, offset)?;
    assert_eq!(written, bytes.len(), "it would take a second call");
    Ok(())
}
