//! Runs attempts on directories of their own and judges the result with plain `std::fs` calls.

pub mod judge;
pub mod sweep;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use model::{CopyOptions, Durability, Epoch, ItemId, RelPath, RunId, TempName};
use storage::posix::Dir;
use testkit::tool;
use transfer::{
    Attempt, AttemptWork, Cancel, Fence, FileWork, Finished, FoundLinks, NotTaken, Progress, Share,
    Stopped, Threads, Unbegun,
};

pub const RUN: u64 = 77;

/// A directory with `source` and `target`, removed at the end.
pub struct Place {
    pub root: PathBuf,
}

impl Place {
    pub fn new(name: &str) -> Self {
        Self::within(&std::env::temp_dir(), name)
    }

    /// Where removing a deep tree is quick.
    pub fn in_memory(name: &str) -> Self {
        Self::within(&testkit::memory(), name)
    }

    fn within(parent: &Path, name: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("transfer-{name}-{}-{n}", std::process::id());
        let root = parent.join(name);
        fs::create_dir_all(root.join("source")).unwrap();
        fs::create_dir_all(root.join("target")).unwrap();
        Self { root }
    }

    pub fn source(&self, path: &str) -> PathBuf {
        self.root.join("source").join(path)
    }

    pub fn target(&self, path: &str) -> PathBuf {
        self.root.join("target").join(path)
    }

    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.source(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// Closes after so many questions; each is an occasion to meddle.
pub struct CountingFence {
    left: AtomicI64,
    meddle: Box<dyn Fn() + Send + Sync>,
}

impl Fence for CountingFence {
    fn is_open(&self) -> bool {
        self.left.load(Ordering::Relaxed) > 0
    }

    fn may_write(&self) -> bool {
        (self.meddle)();
        self.left.fetch_sub(1, Ordering::Relaxed) > 0
    }
}

/// Wants work as long as it is told to, and keeps what it got.
#[derive(Default)]
pub struct Taker {
    pub wants: AtomicBool,
    pub refuses: bool,
    pub taken: Mutex<Vec<Unbegun>>,
}

impl Share for Taker {
    fn is_wanted(&self) -> bool {
        self.wants.load(Ordering::Relaxed)
    }

    fn hand_over(&self, work: &[Unbegun]) -> Result<(), NotTaken> {
        if self.refuses {
            return Err(NotTaken);
        }
        self.taken.lock().unwrap().extend_from_slice(work);
        Ok(())
    }
}

/// One attempt, to be changed before it is run.
pub struct Try {
    pub work: AttemptWork,
    pub options: CopyOptions,
    pub ages_from_secs: i64,
    pub item: u64,
    pub epoch: u32,
    pub threads: usize,
    /// Questions that the fence answers with yes.
    pub writes: i64,
    /// Done each time just before the engine changes something.
    pub meddle: Box<dyn Fn() + Send + Sync>,
    pub share: Arc<dyn Share>,
    pub cancel: Arc<Cancel>,
    pub excluded: Vec<Unbegun>,
    pub ancestors: Vec<model::ItemId>,
    pub files: FileWork,
    pub another_try_follows: bool,
    pub target_is_shared: bool,
    pub no_target: bool,
    pub links: Option<Arc<dyn FoundLinks>>,
    pub check_roots: transfer::CheckRoots,
    pub progress: Arc<Progress>,
    /// Asked instead of the one that counts.
    pub fence: Option<Arc<dyn Fence>>,
    /// Done when the roots are open, before anything else.
    pub begin: Box<dyn FnOnce() + Send>,
}

pub fn walk() -> Try {
    Try {
        work: AttemptWork::Walk(vec![RelPath::ROOT]),
        options: CopyOptions {
            durability: Durability::None,
            ..CopyOptions::default()
        },
        ages_from_secs: 0,
        item: 1,
        epoch: 1,
        threads: 4,
        writes: i64::MAX,
        meddle: Box::new(|| ()),
        share: Arc::<Taker>::default(),
        cancel: Arc::default(),
        excluded: Vec::new(),
        ancestors: Vec::new(),
        files: FileWork::Copy,
        another_try_follows: false,
        target_is_shared: false,
        no_target: false,
        links: None,
        check_roots: Arc::new(|| Ok(())),
        progress: Arc::default(),
        fence: None,
        begin: Box::new(|| ()),
    }
}

impl Try {
    pub fn run(self, place: &Place) -> Result<Finished, Stopped> {
        self.run_between(&place.source(""), &place.target(""))
    }

    pub fn run_between(self, source: &Path, target: &Path) -> Result<Finished, Stopped> {
        let threads = Threads::new(self.threads);
        self.run_on(&threads, source, target)
    }

    pub fn run_on(
        self,
        threads: &Threads,
        source: &Path,
        target: &Path,
    ) -> Result<Finished, Stopped> {
        let open = |path| match Dir::open_root(path) {
            Ok(root) => Ok(Arc::new(root)),
            Err(error) => Err(Stopped::Again(format!("a root: {error}: {}", error.source))),
        };
        let attempt = Attempt {
            run: RunId::from_random(RUN),
            item: ItemId::from_random(self.item),
            epoch: Epoch(self.epoch),
            options: self.options,
            ages_from_secs: self.ages_from_secs,
            target_is_shared: self.target_is_shared,
            source: open(source)?,
            target: match self.no_target {
                true => None,
                false => Some(open(target)?),
            },
            work: self.work,
            files: self.files,
            another_try_follows: self.another_try_follows,
            excluded: self.excluded,
            ancestors: self.ancestors,
            links: self.links,
            check_roots: self.check_roots,
            fence: self.fence.unwrap_or_else(|| {
                Arc::new(CountingFence {
                    left: AtomicI64::new(self.writes),
                    meddle: self.meddle,
                })
            }),
            share: self.share,
            progress: self.progress,
            cancel: self.cancel,
        };
        (self.begin)();
        let finished = transfer::run(threads, attempt);
        if let Ok(finished) = &finished {
            assert!(finished.outcome.is_balanced(), "{:?}", finished.outcome);
        }
        finished
    }
}

/// The directories among what was handed over.
pub fn directories(work: &[Unbegun]) -> Vec<RelPath> {
    let directory = |unbegun: &Unbegun| match unbegun {
        Unbegun::Directory(path) => Some(path.clone()),
        Unbegun::Shard { .. } => None,
    };
    work.iter().filter_map(directory).collect()
}

pub fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

pub fn temp_name(item: u64, epoch: u32, seq: u64) -> String {
    TempName {
        run: RunId::from_random(RUN),
        item: ItemId::from_random(item),
        epoch: Epoch(epoch),
        seq,
    }
    .format()
}

/// Everything below `root` that a copy has to keep, by path; the root itself is left out.
pub fn tree(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![root.to_path_buf()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let content = if meta.is_dir() {
                waiting.push(path.clone());
                "directory".to_owned()
            } else if meta.is_symlink() {
                format!("-> {:?}", fs::read_link(&path).unwrap())
            } else {
                format!("{:?}", fs::read(&path).unwrap())
            };
            let mode = if meta.is_symlink() {
                0
            } else {
                meta.permissions().mode() & 0o7777
            };
            let text = format!(
                "{mode:o} {}:{} {}.{} {content}",
                meta.uid(),
                meta.gid(),
                meta.mtime(),
                meta.mtime_nsec()
            );
            found.insert(path.strip_prefix(root).unwrap().to_path_buf(), text);
        }
    }
    found
}

pub fn assert_same(place: &Place) {
    let (source, target) = (tree(&place.source("")), tree(&place.target("")));
    assert_eq!(source, target);
}

/// Names at the target that only unfinished work has.
pub fn temps(root: &Path) -> Vec<PathBuf> {
    let is_temp = |path: &PathBuf| path.to_string_lossy().contains(".dm.");
    tree(root).into_keys().filter(is_temp).collect()
}

const INNER: &str = "TRANSFER_TEST_PLACE";

/// Where the test runs again in a process of its own, or `None` in the first one.
pub fn inner_place() -> Option<PathBuf> {
    std::env::var_os(INNER).map(PathBuf::from)
}

/// A copy of this program. Another process makes it: what one of the children of this one still has open for writing, the kernel
/// does not run.
pub fn copy_of_this(to: &Path) {
    let this = std::env::current_exe().unwrap();
    tool::run(Command::new("cp").args([&this, to])).unwrap();
}

/// Runs this test, named with its module, again in a process of its own, under a command that changes its circumstances.
pub fn run_again(test: &str, place: &Place, under: &[&str]) {
    let program = place.root.join("program");
    copy_of_this(&program);
    let output = Command::new(under[0])
        .args(&under[1..])
        .arg(&program)
        .args(["--exact", test, "--nocapture"])
        .env(INNER, &place.root)
        .output()
        .unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (said(&output.stdout), said(&output.stderr));
    let has_passed = output.status.success() && stdout.contains("test result: ok. 1 passed");
    assert!(has_passed, "{stdout}{stderr}");
}

pub const AS_PLAIN_USER: [&str; 4] = [
    "setpriv",
    "--reuid=12345",
    "--regid=12345",
    "--clear-groups",
];

/// Gives all of a place to the plain user.
pub fn give_away(place: &Place) {
    let mut waiting = vec![place.root.clone()];
    while let Some(path) = waiting.pop() {
        std::os::unix::fs::lchown(&path, Some(12345), Some(12345)).unwrap();
        if fs::symlink_metadata(&path).unwrap().is_dir() {
            waiting.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
    }
}

pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
