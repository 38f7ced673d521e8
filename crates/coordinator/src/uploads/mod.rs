//! Reports, logs and lists in an S3 bucket.
//!
//! Whatever is to be uploaded is first put into the [`outbox`], a directory below the data directory, under its
//! [`key`]; one thread ([`sender`]) puts it into the [`bucket`] that the config names ([`destination`]) and only then
//! removes it. Nobody who puts waits for S3: one that is down, slow, wrong or full delays uploads and nothing else, and
//! what it did not take is named at the end and goes with the next start or with `data-migrate upload` ([`push`]).
//! Workers have no part in this and never see a key. [`address`] makes the links by which people read what is private.

mod address;
mod bucket;
mod connector;
mod destination;
mod key;
mod outbox;
pub mod push;
mod sender;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use model::config::{Acl, Config};

use crate::data_dir::DataDir;
use crate::https::Certificate;
use crate::no_room;
use crate::report::Link;
use bucket::Bucket;
use destination::{Destination, NoDestination};
pub(crate) use key::Key;
use outbox::Outbox;
use sender::Pace;

/// Below the data directory.
const OUTBOX: &str = "outbox";

/// Objects that one line of the log names.
const NAMED: usize = 20;

/// Refusals after which nobody waits for another.
const REFUSALS: u32 = 3;

/// Why nothing is uploaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadsError {
    #[error(transparent)]
    Destination(#[from] NoDestination),
    #[error("cannot use the outbox {path}")]
    Outbox { path: PathBuf, source: io::Error },
}

/// Whoever has a clone may upload. The default one uploads nothing.
#[derive(Clone, Default)]
pub(crate) struct Uploads {
    to: Option<Arc<To>>,
}

struct To {
    destination: Destination,
    outbox: Arc<Outbox>,
    config_file: PathBuf,
}

impl Uploads {
    /// Starts to upload what is there from before. A config that can't be followed is told, and nothing is uploaded.
    pub(crate) fn start(config: &Config, data_dir: &DataDir, config_file: &Path) -> Self {
        match Self::try_start(config, data_dir, config_file) {
            Ok(Some((uploads, before))) => {
                uploads.announce(before.len());
                uploads
            }
            Ok(None) => Self::default(),
            Err(error) => {
                tracing::warn!(
                    "{}: reports, logs and lists are kept on this machine only",
                    model::error_chain(&error)
                );
                Self::default()
            }
        }
    }

    /// With the keys of what is there from before. None: the config has no `s3_config`.
    fn try_start(
        config: &Config,
        data_dir: &DataDir,
        config_file: &Path,
    ) -> Result<Option<(Self, Vec<Key>)>, UploadsError> {
        let Some(s3) = &config.report.s3 else {
            return Ok(None);
        };
        let destination = Destination::resolve(s3, |name| std::env::var(name).ok())?;
        let path = data_dir.path().join(OUTBOX);
        let unusable = |source| UploadsError::Outbox {
            path: path.clone(),
            source,
        };
        let outbox = Arc::new(Outbox::open(path.clone()).map_err(unusable)?);
        let (before, _) = outbox.missing();
        let bucket = Bucket::new(&destination).map_err(unusable)?;
        let name = destination.to_string();
        sender::spawn(outbox.clone(), bucket, name, Pace::default());
        let to = To {
            destination,
            outbox,
            config_file: config_file.to_owned(),
        };
        let uploads = Self {
            to: Some(Arc::new(to)),
        };
        Ok(Some((uploads, before)))
    }

    fn announce(&self, before: usize) {
        let Some(to) = &self.to else { return };
        let readers = match to.destination.acl {
            Acl::Private => "private, with signed links",
            Acl::PublicRead => "readable for everybody",
        };
        tracing::info!(
            "reports, logs and lists go to {} ({readers})",
            to.destination
        );
        if to.destination.certificate == Certificate::Any {
            tracing::warn!(
                "s3_config.skipSSLverify: the certificate of the endpoint is not checked"
            );
        }
        if before > 0 {
            tracing::info!("uploads from before go on: {before} objects wait");
        }
    }

    /// Puts an object into the outbox, compressed where its key says so. An error says that there is no room for it
    /// now; what can't be kept there for another reason is named.
    pub(crate) fn put(
        &self,
        key: &Key,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(to) = &self.to else { return Ok(()) };
        match to.outbox.put(key, write) {
            Err(error) if no_room::is_no_room(&error) => Err(error),
            Err(error) => {
                tracing::warn!(
                    "{key} may not be uploaded, it can't be kept in the outbox: {error}"
                );
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// The same with a file's content.
    pub(crate) fn put_file(&self, key: &Key, file: &Path) -> io::Result<()> {
        self.put(key, |mut out| {
            io::copy(&mut File::open(file)?, &mut out).map(|_| ())
        })
    }

    /// `endpoint/bucket/key`; none where nothing is uploaded.
    pub(crate) fn address_of(&self, key: &Key) -> Option<String> {
        let to = self.to.as_ref()?;
        Some(to.destination.address_of(key))
    }

    /// What opens the object for seven days from now.
    pub(crate) fn link_to(&self, key: &Key) -> Option<Link> {
        let to = self.to.as_ref()?;
        to.destination.link_to(key, SystemTime::now())
    }

    /// Whether anything is uploaded.
    pub(crate) fn is_on(&self) -> bool {
        self.to.is_some()
    }

    /// Waits until all is uploaded or refused, up to `limit`. Uploading goes on afterwards.
    pub(crate) async fn settle(&self, limit: Duration) {
        let Some(to) = &self.to else { return };
        let mut standing = to.outbox.hurry();
        let mut settled = async |limit| {
            let ended = standing.wait_for(|s| s.waiting == 0 || s.refusals >= REFUSALS);
            tokio::time::timeout(limit, ended).await.is_ok()
        };
        let first = limit.min(Duration::from_secs(1));
        if !settled(first).await && limit > first {
            tracing::info!(
                "uploads are not done yet: waiting up to {} s",
                limit.as_secs()
            );
            settled(limit - first).await;
        }
    }

    /// What is not uploaded, oldest first, and why the last try failed.
    fn missing(&self) -> (Vec<Key>, Option<String>) {
        let to = self.to.as_ref();
        to.map(|to| to.outbox.missing()).unwrap_or_default()
    }

    /// Names what is not uploaded, where it waits, and what brings it there.
    pub(crate) fn tell_missing(&self) {
        let Some(to) = &self.to else { return };
        let (missing, trouble) = self.missing();
        if missing.is_empty() {
            return;
        }
        let named: Vec<&str> = missing.iter().take(NAMED).map(Key::as_str).collect();
        let more = match missing.len().saturating_sub(NAMED) {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        tracing::warn!(
            "not uploaded to {}: {}{more} ({}); it waits in {}, the next start goes on, or: data-migrate upload --config.file {}",
            to.destination,
            named.join(", "),
            trouble.as_deref().unwrap_or("there was no time"),
            to.outbox.directory().display(),
            to.config_file.display()
        );
    }
}

/// Endpoint and bucket, for messages.
impl fmt::Display for Uploads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.to {
            Some(to) => to.destination.fmt(f),
            None => f.write_str("nowhere"),
        }
    }
}

impl fmt::Debug for Uploads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uploads({self})")
    }
}
