//! The sections as they may be written: each key with its type and range.
//!
//! What is wrong with a section as a whole is said here too, while its place is known.

use std::path::PathBuf;

use super::list::{List, Several};
use super::notify::{NoticeKind, WebUrl};
use super::options::{Acl, ReportFormat};
use super::patterns::Patterns;
use super::read::section;
use super::value::{Names, Number, OneOf, Secret};
use crate::engine::{Engine, LogLevel};
use crate::filter::{Age, BadFilter, BadLines, Filter, Rules, Size};
use crate::options::{
    Attribute, Compare, Conflicts, Durability, MetadataPolicy, Sparse, Specials, Verify,
};

/// Seconds, up to a day.
type Seconds<const MIN: i64> = Number<MIN, 86_400>;
/// Threads or connections as rclone takes them.
type RcloneThreads = Number<0, 65_536>;

section! {
    RawConfig in "" "x-" {
        "report_config" report: RawReport,
        "global_config" global: RawGlobal,
        "server" server: RawServer,
        "notify" notify: List<RawNotify>,
    }
}

section! {
    RawNotify in "notify" {
        "webhook" webhook: WebUrl,
        "on" on: Several<OneOf<NoticeKind>>,
    }
}

section! {
    RawReport in "report_config" {
        "format" format: OneOf<ReportFormat>,
        "bucket" bucket: String,
        "s3_config" s3: RawS3,
    }
}

section! {
    RawS3 in "s3_config" {
        "access_key" access_key: Secret,
        "secret_key" secret_key: Secret,
        "access_key_file" access_key_file: PathBuf,
        "secret_key_file" secret_key_file: PathBuf,
        "region" region: String,
        "endpoint" endpoint: String,
        "bucket" bucket: String,
        "skipSSLverify" skip_ssl_verify: bool,
        "acl" acl: OneOf<Acl>,
    }
}

section! {
    RawGlobal in "global_config" {
        "source_fs_type" source_fs_type: Names,
        "source_fs_types" source_fs_types: Names,
        "target_fs_type" target_fs_type: Names,
        "target_fs_types" target_fs_types: Names,
        "tasks_file" tasks_file: PathBuf,
        "check_source_entry" check_source_entry: bool,
        "file_list_dir" file_list_dir: PathBuf,
        "file_list_dir_fs_type" file_list_dir_fs_type: Names,
        "max_files_per_output" max_files_per_output: Number<0, { i64::MAX }>,
        "shard_entries" shard_entries: Number<100, { i64::MAX }>,
        "item_target_secs" item_target_secs: Seconds<1>,
        "concurrency" concurrency: Number<{ i64::MIN }, { i64::MAX }>,
        "ultra_large_scale" ultra_large_scale: bool,
        "server_side_listing" server_side_listing: bool,
        "feishu_url" feishu_url: Secret,
        "engine" engine: OneOf<Engine>,
        "transfers" transfers: Number<1, { super::MAX_TRANSFERS as i64 }>,
        "checkers" checkers: Number<1, 65_536>,
        "hung_mount_secs" hung_mount_secs: Seconds<1>,
        "split_file_bytes" split_file_bytes: Number<1, { i64::MAX }>,
        "range_bytes" range_bytes: Number<{ super::RANGE_UNIT_BYTES as i64 }, { i64::MAX }>,
        "durability" durability: OneOf<Durability>,
        "compare" compare: OneOf<Compare>,
        "preserve" preserve: Several<OneOf<Attribute>>,
        "metadata" metadata: OneOf<MetadataPolicy>,
        "specials" specials: OneOf<Specials>,
        "sparse" sparse: OneOf<Sparse>,
        "conflicts" conflicts: OneOf<Conflicts>,
        "verify" verify: OneOf<Verify>,
        "size_only" size_only: bool,
        "update" update: bool,
        "dryrun" dryrun: bool,
        "local_no_set_modtime" local_no_set_modtime: bool,
        "exclude" exclude: Patterns,
        "include" include: Patterns,
        "min_size" min_size: Size,
        "max_size" max_size: Size,
        "min_age" min_age: Age,
        "max_age" max_age: Age,
        "one_file_system" one_file_system: bool,
        "rclone_stall_secs" rclone_stall_secs: Seconds<1>,
        "rclone_flags" rclone_flags: RawRcloneFlags,
    }
}

section! {
    RawRcloneFlags in "rclone_flags" {
        "checkers" checkers: RcloneThreads,
        "transfers" transfers: RcloneThreads,
        "log_level" log_level: OneOf<LogLevel>,
        "local_no_set_modtime" local_no_set_modtime: bool,
        "size_only" size_only: bool,
        "update" update: bool,
        "dryrun" dryrun: bool,
    }
}

section! {
    RawServer in "server" {
        "port" port: Number<0, 65_535>,
        "data_dir" data_dir: PathBuf,
        "lease_secs" lease_secs: Seconds<1>,
        "heartbeat_secs" heartbeat_secs: Seconds<1>,
        "progress_secs" progress_secs: Seconds<1>,
        "end_wait_secs" end_wait_secs: Seconds<0>,
        "ineligible_grace_secs" ineligible_grace_secs: Seconds<0>,
        "item_attempts" item_attempts: Number<1, 1_000_000>,
        "full_target_secs" full_target_secs: Seconds<1>,
        "keep" keep: bool,
        "notice_wait_secs" notice_wait_secs: Seconds<0>,
        "upload_wait_secs" upload_wait_secs: Seconds<0>,
    }
}

/// A section's verdict on itself: what is wrong, and what is expected.
type Verdict = Result<(), String>;

fn require(holds: bool, complaint: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(complaint()) }
}

impl RawConfig {
    fn check(&self) -> Verdict {
        require(self.global.is_some(), || {
            "the section global_config is missing, expected it with tasks_file, source_fs_types \
             and target_fs_types"
                .into()
        })
    }
}

impl RawNotify {
    fn check(&self) -> Verdict {
        require(self.webhook.is_some(), || {
            "notify.webhook is missing, expected the URL that notices are posted to".into()
        })
    }
}

impl RawReport {
    fn check(&self) -> Verdict {
        Ok(())
    }
}

impl RawS3 {
    fn check(&self) -> Verdict {
        let given = |key: &Option<Secret>| key.as_ref().is_some_and(|k| !k.expose().is_empty());
        for (name, is_given, is_in_file) in [
            (
                "access_key",
                given(&self.access_key),
                self.access_key_file.is_some(),
            ),
            (
                "secret_key",
                given(&self.secret_key),
                self.secret_key_file.is_some(),
            ),
        ] {
            require(!(is_given && is_in_file), || {
                format!("s3_config has {name} and {name}_file, expected one of them")
            })?;
        }
        let has_access_key = given(&self.access_key) || self.access_key_file.is_some();
        let has_secret_key = given(&self.secret_key) || self.secret_key_file.is_some();
        require(has_access_key == has_secret_key, || {
            "s3_config has one of access_key and secret_key, expected both or neither".into()
        })
    }
}

impl RawGlobal {
    fn check(&self) -> Verdict {
        let has_tasks = self.tasks_file.as_ref();
        require(has_tasks.is_some_and(|f| !f.as_os_str().is_empty()), || {
            "global_config.tasks_file is missing, expected the path of the tasks file".into()
        })?;
        for (side, older, newer) in [
            ("source", &self.source_fs_type, &self.source_fs_types),
            ("target", &self.target_fs_type, &self.target_fs_types),
        ] {
            let is_named = |names: &Option<Names>| names.as_ref().is_some_and(|n| !n.0.is_empty());
            require(is_named(older) || is_named(newer), || {
                format!(
                    "global_config.{side}_fs_types is missing or empty, expected the types of \
                     file system that a {side} may lie on, or [any]"
                )
            })?;
        }
        let list_types = self.file_list_dir_fs_type.as_ref();
        require(list_types.is_none_or(|names| names.0.len() <= 1), || {
            "global_config.file_list_dir_fs_type has several names, expected one".into()
        })?;
        self.check_filter()
    }
}

impl RawGlobal {
    /// Each pattern by itself was looked at when it was read.
    fn check_filter(&self) -> Verdict {
        let told = |key: &str, lines: &BadLines| match lines {
            BadLines::Pattern(bad) => format!("a pattern of global_config.{key} {}", bad.problem),
            BadLines::TooLarge => format!("global_config.{key}: {lines}"),
        };
        Rules::compile(&self.filter())
            .map(drop)
            .map_err(|bad| match &bad {
                BadFilter::Exclude(lines) => told("exclude", lines),
                BadFilter::Include(lines) => told("include", lines),
                BadFilter::Sizes => format!("global_config.min_size and max_size: {bad}"),
                BadFilter::Ages => format!("global_config.min_age and max_age: {bad}"),
            })
    }

    pub(crate) fn filter(&self) -> Filter {
        let lines =
            |given: &Option<Patterns>| given.as_ref().map_or_else(Vec::new, |p| p.0.clone());
        Filter {
            exclude: lines(&self.exclude),
            include: lines(&self.include),
            min_size_bytes: self.min_size.map(Size::bytes),
            max_size_bytes: self.max_size.map(Size::bytes),
            min_age_secs: self.min_age.map(Age::secs),
            max_age_secs: self.max_age.map(Age::secs),
            one_file_system: self.one_file_system.unwrap_or(false),
        }
    }
}

impl RawRcloneFlags {
    fn check(&self) -> Verdict {
        Ok(())
    }
}

impl RawServer {
    fn check(&self) -> Verdict {
        let lease = self.lease_secs.map_or(super::LEASE_SECS, Number::to);
        let beat = self
            .heartbeat_secs
            .map_or(super::HEARTBEAT_SECS, Number::to);
        require(lease >= 2 * beat, || {
            format!(
                "server.lease_secs is {lease} and server.heartbeat_secs is {beat}, expected a \
                 lease of at least two heartbeats"
            )
        })
    }
}
