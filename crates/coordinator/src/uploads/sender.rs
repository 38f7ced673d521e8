//! Uploads what is in the outbox, one object after another, on a thread of its own.
//!
//! While nothing can be uploaded the oldest object is tried again with growing waits, for as long as the process lives;
//! one that is itself at fault is set aside, so that it holds up no other. Nothing leaves the outbox that was not
//! answered.

use std::sync::Arc;
use std::time::Duration;

use super::bucket::{Target, UploadError};
use super::outbox::{Entry, Outbox};

/// Waits between tries.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) first_wait: Duration,
    pub(super) longest_wait: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(60),
        }
    }
}

/// `name` is how the destination is called in the log.
pub(super) fn spawn(outbox: Arc<Outbox>, target: impl Target + 'static, name: String, pace: Pace) {
    let thread = std::thread::Builder::new().name("uploads".to_owned());
    let spawned = thread.spawn(move || {
        let mut sender = Sender {
            outbox,
            name,
            pace,
            wait: pace.first_wait,
            in_trouble: false,
        };
        loop {
            let entry = sender.outbox.next();
            let file = sender.outbox.path_of(&entry.key);
            match target.put(&entry.key, &file) {
                Ok(()) => sender.uploaded(&entry),
                Err(error) if error.is_of_object() => sender.at_fault(&entry, &error),
                Err(error) => sender.failed(&entry, &error),
            }
        }
    });
    if let Err(error) = spawned {
        tracing::warn!("no thread for uploads, they wait for the next start: {error}");
    }
}

struct Sender {
    outbox: Arc<Outbox>,
    name: String,
    pace: Pace,
    /// Before the next try.
    wait: Duration,
    in_trouble: bool,
}

impl Sender {
    fn uploaded(&mut self, entry: &Entry) {
        tracing::debug!("{} is uploaded to {}", entry.key, self.name);
        if std::mem::take(&mut self.in_trouble) {
            tracing::info!("uploads to {} go on", self.name);
        }
        self.wait = self.pace.first_wait;
        if let Err(error) = self.outbox.done(entry) {
            tracing::warn!(
                "{} is uploaded, but stays in the outbox: {error}",
                entry.key
            );
        }
    }

    fn at_fault(&self, entry: &Entry, error: &UploadError) {
        let why = model::error_chain(error);
        tracing::warn!("{} can't be uploaded to {}: {why}", entry.key, self.name);
        self.outbox.set_aside(entry, why);
    }

    fn failed(&mut self, entry: &Entry, error: &UploadError) {
        let (key, name, secs) = (&entry.key, &self.name, self.wait.as_secs());
        match std::mem::replace(&mut self.in_trouble, true) {
            false => tracing::warn!("upload of {key} to {name}: {error}; tried again in {secs} s"),
            true => tracing::debug!("upload of {key} to {name}: {error}; again in {secs} s"),
        }
        self.outbox.failed(error.to_string(), error.is_refusal());
        self.wait = match self.outbox.pause(self.wait) {
            true => self.pace.first_wait,
            false => (self.wait * 2).min(self.pace.longest_wait),
        };
    }
}
