//! How far a check has come, on a terminal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use coordinator::report::human;
use transfer::check::{Counts, Progress};

use crate::console;

const REDRAW: Duration = Duration::from_millis(200);

/// The thread that shows a running check.
pub(super) struct Shown(Option<(Arc<AtomicBool>, JoinHandle<()>)>);

impl Shown {
    pub(super) fn begin(progress: &Arc<Progress>) -> Self {
        if !console::is_live() {
            return Self(None);
        }
        let is_done = Arc::new(AtomicBool::new(false));
        let (progress, done) = (Arc::clone(progress), Arc::clone(&is_done));
        let thread = std::thread::spawn(move || show(&progress, &done));
        Self(Some((is_done, thread)))
    }

    pub(super) fn end(self) {
        let Some((is_done, thread)) = self.0 else {
            return;
        };
        is_done.store(true, Ordering::Release);
        thread.thread().unpark();
        // A panic there has been printed, and is no matter of the check.
        let _ = thread.join();
        console::live("");
    }
}

fn show(progress: &Progress, is_done: &AtomicBool) {
    let begun = Instant::now();
    loop {
        std::thread::park_timeout(REDRAW);
        if is_done.load(Ordering::Acquire) {
            return;
        }
        let ms = begun.elapsed().as_millis() as i64;
        console::live(&line(&progress.counts(), ms));
    }
}

fn line(counts: &Counts, ms: i64) -> String {
    let entries = counts.compared + counts.missing + counts.extra + counts.skipped;
    let read = match counts.read_bytes {
        0 => String::new(),
        n => format!(", {} read, {}", human::bytes(n), human::byte_rate(n, ms)),
    };
    format!(
        "{} entries, {}/s, {} missing, {} extra, {} differ, {} errors{read}",
        human::count(entries),
        human::rate(entries, ms),
        human::count(counts.missing),
        human::count(counts.extra),
        human::count(counts.differing),
        human::count(counts.unseen),
    )
}
