//! What the sections say, once read: defaults filled in, older spellings resolved.

use std::path::PathBuf;

use super::notify::{WebUrl, Webhook};
use super::server::ServerConfig;
use super::value::Secret;
use crate::choice::Choice;
use crate::engine::{Engine, EngineChoice, LogLevel, RcloneOptions};
use crate::filter::Filter;
use crate::location::{Location, Task};
use crate::options::{
    Attribute, Compare, Conflicts, CopyOptions, Durability, MetadataPolicy, Preserve, Sparse,
    Specials, Verify,
};

/// Most threads of one worker.
pub const MAX_TRANSFERS: u32 = 1024;
/// Threads of one worker when nothing else is said.
pub const DEFAULT_TRANSFERS: u32 = 64;
/// Items at a time of one worker, rclone processes with the rclone engine, when nothing else is said.
pub const DEFAULT_CONCURRENCY: u32 = 3;
/// Files of one piece of split work when nothing else is said.
pub const DEFAULT_MAX_FILES_PER_OUTPUT: u64 = 500_000;

/// Seconds without an answer after which a mount hangs, when nothing else is said.
pub const DEFAULT_HUNG_MOUNT_SECS: u64 = 60;

/// Names from which on one directory is shared between workers, when nothing else is said.
pub const DEFAULT_SHARD_ENTRIES: u64 = 50_000;

/// Seconds after which an item hands back what it has not begun, when nothing else is said.
pub const DEFAULT_ITEM_TARGET_SECS: u64 = 120;

/// Larger files are copied by several workers when nothing else is said.
pub const DEFAULT_SPLIT_FILE_BYTES: u64 = 4 << 30;

/// What one of them copies at a time when nothing else is said.
pub const DEFAULT_RANGE_BYTES: u64 = 1 << 30;

/// What one of them copies at a time is a multiple of this, so that it begins at a whole block everywhere.
pub const RANGE_UNIT_BYTES: u64 = 1 << 20;

/// Seconds without progress after which an rclone is ended, when nothing else is said.
pub const DEFAULT_RCLONE_STALL_SECS: u64 = 600;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub report: ReportConfig,
    pub global: GlobalConfig,
    pub server: ServerConfig,
    pub notify: Vec<Webhook>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReportConfig {
    pub format: ReportFormat,
    /// None: reports and logs are kept locally alone.
    pub s3: Option<S3Config>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReportFormat {
    #[default]
    Csv,
    Markdown,
    Html,
}

impl ReportFormat {
    /// The end of a report's file name.
    pub fn extension(self) -> &'static str {
        match self {
            ReportFormat::Csv => "csv",
            ReportFormat::Markdown => "md",
            ReportFormat::Html => "html",
        }
    }
}

impl Choice for ReportFormat {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("csv", ReportFormat::Csv),
        ("md", ReportFormat::Markdown),
        ("markdown", ReportFormat::Markdown),
        ("html", ReportFormat::Html),
    ];
}

/// Where reports and logs are kept. Empty texts and placeholders (`<s3 endpoint>`) count as not given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct S3Config {
    pub access_key: Option<Secret>,
    pub secret_key: Option<Secret>,
    pub access_key_file: Option<PathBuf>,
    pub secret_key_file: Option<PathBuf>,
    pub region: Option<String>,
    pub endpoint: Option<String>,
    pub bucket: Option<String>,
    pub skip_ssl_verify: bool,
    pub acl: Acl,
}

/// Who may read what is uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Acl {
    /// The bucket's owner; others by signed links.
    #[default]
    Private,
    /// Everybody.
    PublicRead,
}

impl Choice for Acl {
    const WORDS: &'static [(&'static str, Self)] =
        &[("private", Acl::Private), ("public-read", Acl::PublicRead)];
}

impl Choice for Engine {
    const WORDS: &'static [(&'static str, Self)] =
        &[("native", Engine::Native), ("rclone", Engine::Rclone)];
}

impl Choice for LogLevel {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("DEBUG", LogLevel::Debug),
        ("INFO", LogLevel::Info),
        ("NOTICE", LogLevel::Notice),
        ("ERROR", LogLevel::Error),
    ];
}

/// What is migrated, and how. Options are as given; the accessors know the defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlobalConfig {
    /// At least one; see [`crate::fs_type::AllowedTypes`].
    pub source_fs_types: Vec<String>,
    /// At least one.
    pub target_fs_types: Vec<String>,
    pub tasks_file: PathBuf,
    /// Accepted without effect: entries are always looked at.
    pub check_source_entry: Option<bool>,
    pub file_list_dir: Option<PathBuf>,
    pub file_list_dir_fs_type: Option<String>,
    pub max_files_per_output: u64,
    /// From so many names on, one directory is shared between workers. A matter of speed alone.
    pub shard_entries: u64,
    /// An item that has run for so long hands back all that it has not begun. A matter of speed alone.
    pub item_target_secs: u64,
    pub concurrency: Option<i64>,
    pub ultra_large_scale: bool,
    pub server_side_listing: bool,
    /// As given, which may be a placeholder: see [`GlobalConfig::feishu_url`]. It lets whoever
    /// knows it post, hence secret.
    pub feishu_url: Option<Secret>,
    pub engine: Option<Engine>,
    pub transfers: Option<u32>,
    pub checkers: Option<u32>,
    /// A mount that does not answer a call for so long hangs.
    pub hung_mount_secs: u64,
    /// Larger files are copied by several workers.
    pub split_file_bytes: u64,
    /// What one of them copies of such a file; a multiple of [`super::RANGE_UNIT_BYTES`].
    pub range_bytes: u64,
    pub durability: Durability,
    pub compare: Option<Compare>,
    pub preserve: Option<Preserve>,
    pub metadata: MetadataPolicy,
    pub specials: Specials,
    pub sparse: Sparse,
    pub conflicts: Conflicts,
    pub verify: Verify,
    pub size_only: Option<bool>,
    pub update: Option<bool>,
    pub dryrun: Option<bool>,
    pub local_no_set_modtime: Option<bool>,
    pub filter: Filter,
    /// An rclone that shows no progress for so long is ended and run again.
    pub rclone_stall_secs: u64,
    /// None when the section is missing or empty.
    pub rclone_flags: Option<RcloneFlags>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RcloneFlags {
    pub checkers: Option<u32>,
    pub transfers: Option<u32>,
    pub log_level: Option<LogLevel>,
    pub local_no_set_modtime: Option<bool>,
    pub size_only: Option<bool>,
    pub update: Option<bool>,
    pub dryrun: Option<bool>,
}

impl GlobalConfig {
    /// Items that one worker works on at a time: 3 when unset or not positive.
    pub fn concurrency(&self) -> u32 {
        match self.concurrency {
            Some(n) if n > 0 => u32::try_from(n).unwrap_or(u32::MAX),
            _ => DEFAULT_CONCURRENCY,
        }
    }

    /// Threads of one worker, from 1 to [`MAX_TRANSFERS`].
    pub fn transfers(&self) -> u32 {
        self.transfers
            .or_else(|| self.flag(|flags| flags.transfers))
            .unwrap_or(DEFAULT_TRANSFERS)
            .clamp(1, MAX_TRANSFERS)
    }

    /// What moves the bytes of a task, and why that.
    pub fn engine_of(&self, task: &Task) -> EngineChoice {
        let is_remote = |location: &Location| matches!(location, Location::Remote(_));
        if is_remote(&task.source) || is_remote(&task.target) {
            return EngineChoice::Remote;
        }
        match (self.engine, &self.rclone_flags) {
            (Some(Engine::Native), _) => EngineChoice::NativeAsked,
            (Some(Engine::Rclone), _) => EngineChoice::RcloneAsked,
            (None, Some(_)) => EngineChoice::RcloneFlags,
            (None, None) => EngineChoice::Default,
        }
    }

    /// Whether the sources of rclone's tasks are listed beside the server: the two keys have an effect only together.
    pub fn lists_beside_server(&self) -> bool {
        self.ultra_large_scale && self.server_side_listing
    }

    /// What rclone is run with besides [`GlobalConfig::copy_options`].
    pub fn rclone_options(&self) -> RcloneOptions {
        RcloneOptions {
            checkers: self.checkers.or_else(|| self.flag(|flags| flags.checkers)),
            transfers: self
                .transfers
                .or_else(|| self.flag(|flags| flags.transfers)),
            log_level: self.flag(|flags| flags.log_level).unwrap_or_default(),
            stall_secs: self.rclone_stall_secs,
            files_per_process: self.max_files_per_output,
            list_dir: self.file_list_dir.clone(),
            list_dir_fs_type: self.file_list_dir_fs_type.clone(),
        }
    }

    /// Each option as the section says, else as `rclone_flags` says, else the default.
    pub fn copy_options(&self) -> CopyOptions {
        let resolve = |own: Option<bool>, of_flags: fn(&RcloneFlags) -> Option<bool>| {
            own.or_else(|| self.flag(of_flags)).unwrap_or(false)
        };
        let size_only = resolve(self.size_only, |flags| flags.size_only);
        let omits_times = resolve(self.local_no_set_modtime, |flags| {
            flags.local_no_set_modtime
        });
        let preserve = self.preserve.unwrap_or_default();
        CopyOptions {
            compare: self.compare.unwrap_or(match size_only {
                true => Compare::Size,
                false => Compare::default(),
            }),
            update: resolve(self.update, |flags| flags.update),
            dry_run: resolve(self.dryrun, |flags| flags.dryrun),
            preserve: match omits_times {
                true => preserve.without(Attribute::Times),
                false => preserve,
            },
            metadata: self.metadata,
            specials: self.specials,
            sparse: self.sparse,
            conflicts: self.conflicts,
            verify: self.verify,
            durability: self.durability,
            filter: self.filter.clone(),
        }
    }

    /// Where cards are posted; none when what is given is no URL (older configs hold the
    /// placeholder `feishu_url`).
    pub fn feishu_url(&self) -> Option<WebUrl> {
        WebUrl::parse(self.feishu_url.as_ref()?.expose().trim())
    }

    fn flag<T>(&self, get: fn(&RcloneFlags) -> Option<T>) -> Option<T> {
        self.rclone_flags.as_ref().and_then(get)
    }
}
