//! `floor SOURCE TARGET`: copies a tree with only the calls that a safe copy with all attributes cannot leave out.
//!
//! It is the yardstick of the bench: the engine may take a tenth longer. It shares no code with the engine, and leaves
//! out all that costs nothing but thought: no comparing, no resuming, no counting, no retries, no temps of
//! its own to tidy up. The target is empty; whatever is in the way, changes meanwhile or is no file, directory or
//! symbolic link is a failure.
//!
//! A new directory is made under a temp name, filled, given its attributes, and renamed to its own name if nothing has
//! that name. Directories go to the threads newest first, which bounds how many are open at once.

mod directory;
mod file;
mod queue;

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use rustix::fs::Mode;
use rustix::process::{Resource, getrlimit, setrlimit, umask};

use directory::{Job, Node, Tree};
use file::{Content, Copier};
use queue::Queue;

const USAGE: &str = "usage: floor [--threads N] [--files-per-job N] [--reflink] SOURCE TARGET (TARGET: made if it is missing)";

struct Flags {
    threads: usize,
    /// A directory with more files than this is given to several threads.
    files_per_job: usize,
    content: Content,
    source: PathBuf,
    target: PathBuf,
}

impl Flags {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let mut paths = Vec::new();
        let (mut threads, mut files_per_job, mut content) = (64, 1000, Content::ReadWrite);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--threads" => threads = above_zero(arguments.next())?,
                "--files-per-job" => files_per_job = above_zero(arguments.next())?,
                "--reflink" => content = Content::Reflink,
                flag if flag.starts_with("--") => return None,
                path => paths.push(PathBuf::from(path)),
            }
        }
        let [source, target] = paths.try_into().ok()?;
        Some(Self {
            threads,
            files_per_job,
            content,
            source,
            target,
        })
    }
}

fn above_zero(text: Option<String>) -> Option<usize> {
    usize::from_str(&text?).ok().filter(|number| *number > 0)
}

/// What went wrong, said as it happens.
#[derive(Default)]
struct Failures(AtomicU64);

impl Failures {
    fn add(&self, what: &dyn fmt::Display) {
        const SHOWN: u64 = 20;
        if self.0.fetch_add(1, Ordering::Relaxed) < SHOWN {
            eprintln!("floor: {what}");
        }
    }
}

fn main() -> ExitCode {
    let Some(flags) = Flags::parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    raise_descriptor_limit();
    let failures = Failures::default();
    match Node::root(&flags.source, &flags.target) {
        Ok(root) => copy(&flags, root, &failures),
        Err(error) => failures.add(&error),
    }
    match failures.0.into_inner() {
        0 => ExitCode::SUCCESS,
        number => {
            eprintln!("floor: {number} failures");
            ExitCode::FAILURE
        }
    }
}

fn copy(flags: &Flags, root: Node, failures: &Failures) {
    // Files are created with the mode that they are to have.
    umask(Mode::empty());
    let queue = Queue::new(Job::Contents(root.into()));
    let tree = Tree::new(&queue, failures, flags.files_per_job);
    thread::scope(|scope| {
        for _ in 0..flags.threads {
            scope.spawn(|| {
                let mut copier = Copier::new(flags.content);
                while let Some(job) = queue.next() {
                    tree.work(job, &mut copier);
                    queue.finished();
                }
            });
        }
    });
}

/// Each directory that is being copied takes two descriptors, and so do those above it.
fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // A lower limit shows as a failure.
    let _ = setrlimit(Resource::Nofile, limit);
}

#[cfg(test)]
mod tests;
