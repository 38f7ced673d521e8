//! How the server itself runs: none of these keys changes what a run does.

use std::path::PathBuf;
use std::time::Duration;

/// Where the server listens when nothing else is said.
pub const DEFAULT_PORT: u16 = 2000;
pub(crate) const LEASE_SECS: u64 = 30;
pub(crate) const HEARTBEAT_SECS: u64 = 5;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// 0: any free one. None: not given here.
    pub port: Option<u16>,
    pub data_dir: Option<PathBuf>,
    /// At least two heartbeats.
    pub lease_secs: u64,
    pub heartbeat_secs: u64,
    /// Between two lines of progress.
    pub progress_secs: u64,
    /// How long workers are told of the end before the server exits.
    pub end_wait_secs: u64,
    /// How long a task may wait while every worker is ineligible for it.
    pub ineligible_grace_secs: u64,
    /// Attempts of an item before it counts as failed.
    pub item_attempts: u32,
    /// How often a target that takes nothing more is tried.
    pub full_target_secs: u64,
    /// Whether the server stays after the end of the run.
    pub keep: Option<bool>,
    /// How long after the end of the run notices are tried again.
    pub notice_wait_secs: u64,
    /// How long after the end of the run uploads to S3 are tried again.
    pub upload_wait_secs: u64,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            port: None,
            data_dir: None,
            lease_secs: LEASE_SECS,
            heartbeat_secs: HEARTBEAT_SECS,
            progress_secs: 30,
            end_wait_secs: 10,
            ineligible_grace_secs: 10,
            item_attempts: 5,
            full_target_secs: 60,
            keep: None,
            notice_wait_secs: 60,
            upload_wait_secs: 60,
        }
    }
}

impl ServerConfig {
    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_secs)
    }

    pub fn heartbeat(&self) -> Duration {
        Duration::from_secs(self.heartbeat_secs)
    }
}
