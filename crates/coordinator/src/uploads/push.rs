//! `data-migrate upload`: brings away what a server has left in its outbox.
//!
//! It holds the data directory's lock: where a server runs, that one uploads.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Key, Uploads, UploadsError};
use crate::data_dir::{DataDir, DataDirError};
use crate::server::{ServerError, read_config};

/// Nothing could be tried. All of it is the user's to mend.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    #[error(transparent)]
    Config(#[from] ServerError),
    #[error("{config} has no report_config.s3_config: there is nowhere to upload to")]
    NoS3 { config: PathBuf },
    #[error("{config}: {reason}")]
    Unusable { config: PathBuf, reason: String },
    #[error(transparent)]
    DataDir(#[from] DataDirError),
}

/// How it went.
#[derive(Debug)]
pub struct Pushed {
    /// Endpoint and bucket.
    pub destination: String,
    /// Keys, oldest first.
    pub uploaded: Vec<String>,
    pub missing: Vec<String>,
    /// Why the last try failed.
    pub trouble: Option<String>,
}

/// Uploads what waits in the outbox of a config's data directory. What is away is tried again for as long as a server
/// would after the end of its run.
pub async fn push(config_file: &Path) -> Result<Pushed, PushError> {
    let config = read_config(config_file)?;
    let no_s3 = || PushError::NoS3 {
        config: config_file.to_owned(),
    };
    if config.report.s3.is_none() {
        return Err(no_s3());
    }
    let data_dir = DataDir::open(config_file, config.server.data_dir.as_deref())?;
    let started = Uploads::try_start(&config, &data_dir, config_file);
    let started = started.map_err(|error: UploadsError| PushError::Unusable {
        config: config_file.to_owned(),
        reason: model::error_chain(&error),
    })?;
    let (uploads, before) = started.ok_or_else(no_s3)?;
    let limit = Duration::from_secs(config.server.upload_wait_secs);
    uploads.settle(limit).await;
    let (missing, trouble) = uploads.missing();
    let left: HashSet<&Key> = missing.iter().collect();
    let uploaded = before.iter().filter(|key| !left.contains(key));
    Ok(Pushed {
        destination: uploads.to_string(),
        uploaded: uploaded.map(|key| key.to_string()).collect(),
        missing: missing.iter().map(ToString::to_string).collect(),
        trouble,
    })
}
