//! The config file of both generations of users, YAML or (name in `.json`) JSON.
//!
//! Nothing is taken silently for something else: unknown keys, keys given twice, values of the
//! wrong kind or out of range are errors that name the place, the key and what is expected.
//! Secrets are kept apart ([`Secret`]) and no message repeats what may be one.

mod error;
mod list;
mod nearest;
mod notify;
mod options;
mod patterns;
mod raw;
mod read;
mod resolve;
mod scalar;
mod server;
#[cfg(test)]
mod tests;
mod value;

use std::path::Path;

use serde::de::DeserializeSeed;

pub use error::{ConfigError, Position};
pub use notify::{NoticeKind, WebUrl, Webhook};
pub use options::{
    Acl, Config, DEFAULT_CONCURRENCY, DEFAULT_HUNG_MOUNT_SECS, DEFAULT_ITEM_TARGET_SECS,
    DEFAULT_MAX_FILES_PER_OUTPUT, DEFAULT_RANGE_BYTES, DEFAULT_RCLONE_STALL_SECS,
    DEFAULT_SHARD_ENTRIES, DEFAULT_SPLIT_FILE_BYTES, DEFAULT_TRANSFERS, GlobalConfig,
    MAX_TRANSFERS, RANGE_UNIT_BYTES, RcloneFlags, ReportConfig, ReportFormat, S3Config,
};
use raw::RawConfig;
use read::{Place, Read, Seed};
pub use server::{DEFAULT_PORT, ServerConfig};
pub(crate) use server::{HEARTBEAT_SECS, LEASE_SECS};
pub use value::Secret;

/// A config, and what its user should know about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    pub config: Config,
    pub warnings: Vec<String>,
}

/// All sections with all their keys, as they are written; the top level has no name.
pub fn keys() -> Vec<(&'static str, &'static [&'static str])> {
    let mut keys = Vec::new();
    RawConfig::add_keys(&mut keys);
    keys
}

/// Reads a config. `file` is its name: it tells YAML from JSON and begins each error.
pub fn parse(text: &[u8], file: &Path) -> Result<Parsed, ConfigError> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let text = std::str::from_utf8(text).map_err(|error| {
        let line = text[..error.valid_up_to()].split(|&b| b == b'\n').count();
        let message = format!("line {line} has bytes that are no text, expected UTF-8");
        ConfigError::new(file, message)
    })?;
    let empty = || ConfigError::new(file, "the file is empty, expected a config");
    if text.trim().is_empty() {
        return Err(empty());
    }
    let is_json = file
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let raw = match is_json {
        true => from_json(text).map_err(|error| ConfigError::from_json(file, &error))?,
        false => from_yaml(text).map_err(|error| ConfigError::from_yaml(file, &error))?,
    };
    let raw = raw.ok_or_else(empty)?;
    let mut warnings = Vec::new();
    let config = Config {
        report: resolve::report(raw.report.unwrap_or_default(), &mut warnings),
        global: resolve::global(raw.global.unwrap_or_default(), &mut warnings),
        server: resolve::server(raw.server.unwrap_or_default()),
        notify: resolve::notify(raw.notify.unwrap_or_default()),
    };
    Ok(Parsed { config, warnings })
}

fn from_json(text: &str) -> Result<Option<RawConfig>, serde_json::Error> {
    let (name, is_json) = ("", true);
    let mut from = serde_json::Deserializer::from_str(text);
    let raw = Seed::new(Place { name, is_json }).deserialize(&mut from)?;
    from.end()?;
    Ok(raw)
}

fn from_yaml(text: &str) -> Result<Option<RawConfig>, serde_saphyr::Error> {
    let (name, is_json) = ("", false);
    // Snippets of the source could show secrets.
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::with_deserializer_from_str_with_options(text, options, |from| {
        Seed::new(Place { name, is_json }).deserialize(from)
    })
}
