//! Copies SRC to DST with the native engine and prints what it did: `copy_tree SRC DST THREADS [none|batch|file]`.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use model::{CopyOptions, Durability, Epoch, ItemId, RelPath, RunId};
use storage::posix::Dir;
use transfer::{
    Attempt, AttemptWork, Cancel, Fence, FileWork, NotTaken, Progress, Share, Threads, Unbegun,
};

struct Always;

impl Fence for Always {
    fn is_open(&self) -> bool {
        true
    }

    fn may_write(&self) -> bool {
        true
    }
}

impl Share for Always {
    fn is_wanted(&self) -> bool {
        false
    }

    fn hand_over(&self, _: &[Unbegun]) -> Result<(), NotTaken> {
        Err(NotTaken)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (source, target) = (&args[0], &args[1]);
    let threads = Threads::new(args.get(2).map_or(Ok(64), |n| n.parse())?);
    std::fs::create_dir_all(target)?;
    let durability = match args.get(3).map(String::as_str) {
        Some("batch") => Durability::Batch,
        Some("file") => Durability::File,
        _ => Durability::None,
    };
    let began = Instant::now();
    let attempt = |work| -> Result<Attempt, storage::posix::Error> {
        Ok(Attempt {
            run: RunId::from_random(u64::from(std::process::id())),
            item: ItemId::from_random(1),
            epoch: Epoch(1),
            options: CopyOptions {
                durability,
                ..CopyOptions::default()
            },
            ages_from_secs: 0,
            target_is_shared: false,
            source: Arc::new(Dir::open_root(Path::new(source))?),
            target: Some(Arc::new(Dir::open_root(Path::new(target))?)),
            work,
            files: FileWork::Copy,
            excluded: Vec::new(),
            another_try_follows: false,
            ancestors: Vec::new(),
            links: None,
            check_roots: Arc::new(|| Ok(())),
            fence: Arc::new(Always),
            share: Arc::new(Always),
            progress: Arc::new(Progress::default()),
            cancel: Arc::new(Cancel::default()),
        })
    };
    let finished = transfer::run(&threads, attempt(AttemptWork::Walk(vec![RelPath::ROOT]))?)?;
    let mut roots = finished.deferred_attributes;
    roots.push(RelPath::ROOT);
    transfer::run(&threads, attempt(AttemptWork::Attributes(roots))?)?;
    println!("{:?} {:?}", began.elapsed(), finished.outcome);
    Ok(())
}
