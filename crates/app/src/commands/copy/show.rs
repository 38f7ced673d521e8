//! How far a copy has come, and what it did in the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use coordinator::report::human;
use model::Outcome;
use transfer::Progress;

use super::ahead::Ahead;
use super::{Copy, Done};
use crate::console;

const REDRAW: Duration = Duration::from_millis(200);
/// Where no line can be redrawn, a plain one is written this often.
const PLAIN: Duration = Duration::from_secs(10);
/// Rates are over this time.
const RECENT: Duration = Duration::from_secs(3);
/// Failures that are named at the end.
const FAILURES_SHOWN: usize = 50;

/// The threads that show a running copy.
pub(super) struct Shown {
    done: Arc<Done>,
    threads: Vec<JoinHandle<()>>,
}

impl Shown {
    pub(super) fn begin(copy: &Copy) -> Self {
        let done = Arc::new(Done::default());
        let mut threads = Vec::new();
        let ahead = Arc::new(Ahead::default());
        let live = console::is_live();
        if live {
            let (root, ahead, done) = (copy.roots.source.clone(), ahead.clone(), done.clone());
            let filter = copy.options.filter.clone();
            threads.push(std::thread::spawn(move || {
                ahead.count(&root, &filter, &done);
            }));
        }
        let (progress, finished) = (copy.progress.clone(), done.clone());
        threads.push(std::thread::spawn(move || {
            show(&progress, &ahead, &finished, live);
        }));
        Self { done, threads }
    }

    pub(super) fn end(self) {
        self.done.set();
        for thread in self.threads {
            thread.thread().unpark();
            // A panic there has been printed, and is no matter of the copy.
            let _ = thread.join();
        }
        console::live("");
    }
}

/// Numbers at one moment.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Instant,
    entries: u64,
    files: u64,
    bytes: u64,
    failed: u64,
}

impl Sample {
    fn of(progress: &Progress) -> Self {
        let read = |n: &AtomicU64| n.load(Ordering::Relaxed);
        Self {
            at: Instant::now(),
            entries: read(&progress.copied)
                + read(&progress.unchanged)
                + read(&progress.skipped)
                + read(&progress.failed),
            files: read(&progress.copied_files),
            // What was read shows that large files get on.
            bytes: read(&progress.read_bytes).max(read(&progress.copied_bytes)),
            failed: read(&progress.failed),
        }
    }
}

fn show(progress: &Progress, ahead: &Ahead, done: &Done, live: bool) {
    let begun = Sample::of(progress);
    let mut before = begun;
    let mut recent = begun;
    let every = if live { REDRAW } else { PLAIN };
    loop {
        std::thread::park_timeout(every);
        if done.is_set() {
            return;
        }
        let now = Sample::of(progress);
        let text = line(now, before, begun, ahead.total());
        match live {
            true => console::live(&text),
            false => console::line(&text),
        }
        if now.at.duration_since(recent.at) >= RECENT {
            (before, recent) = (recent, now);
        }
    }
}

fn line(now: Sample, before: Sample, begun: Sample, total: Option<u64>) -> String {
    let ms = |since: Sample| now.at.duration_since(since.at).as_millis() as i64;
    let failed = match now.failed {
        0 => String::new(),
        n => format!(", {} failed", human::count(n)),
    };
    let left = match total {
        Some(total) if now.entries > 0 && total >= now.entries => {
            let left =
                (total - now.entries) as i128 * i128::from(ms(begun)) / i128::from(now.entries);
            let part = now.entries * 100 / total.max(1);
            format!(", {part} %, {} left", human::duration(left as i64))
        }
        _ => String::new(),
    };
    format!(
        "{} entries{failed}{left}, {} files, {}, {} files/s, {}",
        human::count(now.entries),
        human::count(now.files),
        human::bytes(now.bytes),
        human::rate(now.files - before.files, ms(before)),
        human::byte_rate(now.bytes - before.bytes, ms(before)),
    )
}

/// How far a copy came that did not come to its end.
pub(super) fn broken_off(copy: &Copy) {
    let done = Sample::of(&copy.progress);
    console::line(&format!(
        "broken off after {} ({}, {}); the same command again does the rest",
        human::counted(done.entries, "entry", "entries"),
        human::counted(done.files, "file", "files"),
        human::bytes(copy.progress.copied_bytes.load(Ordering::Relaxed)),
    ));
}

/// What was done, and what failed by name.
pub(super) fn summary(outcome: &Outcome, copy: &Copy) {
    for failure in outcome.failures.iter().take(FAILURES_SHOWN) {
        console::line(&format!("failed: {failure}"));
    }
    let n = &outcome.counters;
    let more = n.failed.saturating_sub(FAILURES_SHOWN as u64);
    if more > 0 {
        console::line(&format!("and {} more", human::count(more)));
    }
    if outcome.unreadable_directories > 0 {
        console::line(&format!(
            "incomplete: {} could not be read, what is below is unknown",
            human::counted(outcome.unreadable_directories, "directory", "directories")
        ));
    }
    for (reason, n) in &outcome.skipped {
        console::line(&format!("skipped, {}: {}", reason.name(), human::count(*n)));
    }
    for (note, n) in &outcome.notes {
        console::line(&format!("{note}: {}", human::count(*n)));
    }
    let would = if copy.options.dry_run {
        "would be "
    } else {
        ""
    };
    console::tell(&format!(
        "{} listed: {} {would}copied ({}, {}), {} unchanged, {} skipped, {} failed\n",
        human::counted(n.listed, "entry", "entries"),
        human::count(n.copied),
        human::counted(n.copied_files, "file", "files"),
        human::bytes(n.copied_bytes),
        human::count(n.unchanged),
        human::count(n.skipped),
        human::count(n.failed),
    ));
}
