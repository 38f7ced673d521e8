//! From what is written to what is meant: older spellings, defaults, and what to warn of.

use std::path::PathBuf;

use super::list::List;
use super::notify::{NoticeKind, Webhook};
use super::options::{
    DEFAULT_HUNG_MOUNT_SECS, DEFAULT_ITEM_TARGET_SECS, DEFAULT_MAX_FILES_PER_OUTPUT,
    DEFAULT_RANGE_BYTES, DEFAULT_RCLONE_STALL_SECS, DEFAULT_SHARD_ENTRIES,
    DEFAULT_SPLIT_FILE_BYTES, GlobalConfig, MAX_TRANSFERS, RANGE_UNIT_BYTES, RcloneFlags,
    ReportConfig, S3Config,
};
use super::raw::{RawGlobal, RawNotify, RawRcloneFlags, RawReport, RawS3, RawServer};
use super::server::ServerConfig;
use super::value::{Names, Number, OneOf, Secret};
use crate::options::{Compare, Preserve};

/// Texts that stay empty say nothing.
fn text(given: Option<String>) -> Option<String> {
    given.filter(|text| !text.is_empty())
}

/// Older configs hold texts like `<s3 endpoint>` where nothing was filled in.
fn is_placeholder(text: &str) -> bool {
    let text = text.trim();
    text.starts_with('<') && text.ends_with('>')
}

fn filled(given: Option<String>) -> Option<String> {
    text(given).filter(|text| !is_placeholder(text))
}

fn path(given: Option<PathBuf>) -> Option<PathBuf> {
    given.filter(|path| !path.as_os_str().is_empty())
}

fn secret(given: Option<Secret>) -> Option<Secret> {
    given.filter(|secret| !secret.expose().is_empty())
}

fn filled_secret(given: Option<Secret>) -> Option<Secret> {
    secret(given).filter(|secret| !is_placeholder(secret.expose()))
}

/// Both generations' names, each once, in the order given.
fn merged(older: Option<Names>, newer: Option<Names>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in [newer, older].into_iter().flatten().flat_map(|n| n.0) {
        if !names.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
            names.push(name);
        }
    }
    names
}

fn chosen<T: Default>(given: Option<OneOf<T>>) -> T {
    given.map_or_else(T::default, |OneOf(choice)| choice)
}

/// 0 means what leaving it out means, as in the older tool.
fn positive<const MAX: i64>(given: Option<Number<0, MAX>>) -> Option<u32> {
    given.map(Number::to).filter(|&n| n > 0)
}

pub(crate) fn report(raw: RawReport, warnings: &mut Vec<String>) -> ReportConfig {
    let bucket = filled(raw.bucket);
    let s3 = raw.s3.map(|raw| s3(raw, bucket.clone(), warnings));
    if s3.is_none() && bucket.is_some() {
        warnings.push(
            "report_config.bucket has no effect without report_config.s3_config: reports and logs \
             are kept locally alone"
                .into(),
        );
    }
    ReportConfig {
        format: raw.format.map_or_else(Default::default, |format| format.0),
        s3,
    }
}

fn s3(raw: RawS3, older_bucket: Option<String>, warnings: &mut Vec<String>) -> S3Config {
    let bucket = filled(raw.bucket);
    if let (Some(bucket), Some(older)) = (&bucket, &older_bucket)
        && bucket != older
    {
        warnings.push(format!(
            "report_config.bucket is '{older}' and s3_config.bucket is '{bucket}': the latter is used"
        ));
    }
    S3Config {
        access_key: filled_secret(raw.access_key),
        secret_key: filled_secret(raw.secret_key),
        access_key_file: path(raw.access_key_file),
        secret_key_file: path(raw.secret_key_file),
        region: filled(raw.region),
        endpoint: filled(raw.endpoint),
        bucket: bucket.or(older_bucket),
        skip_ssl_verify: raw.skip_ssl_verify.unwrap_or(false),
        acl: raw.acl.map_or_else(Default::default, |acl| acl.0),
    }
}

pub(crate) fn global(raw: RawGlobal, warnings: &mut Vec<String>) -> GlobalConfig {
    let global = GlobalConfig {
        filter: raw.filter(),
        source_fs_types: merged(raw.source_fs_type, raw.source_fs_types),
        target_fs_types: merged(raw.target_fs_type, raw.target_fs_types),
        tasks_file: raw.tasks_file.unwrap_or_default(),
        check_source_entry: raw.check_source_entry,
        file_list_dir: path(raw.file_list_dir),
        file_list_dir_fs_type: raw
            .file_list_dir_fs_type
            .and_then(|names| names.0.into_iter().next()),
        max_files_per_output: raw
            .max_files_per_output
            .map(Number::to)
            .filter(|&files| files > 0)
            .unwrap_or(DEFAULT_MAX_FILES_PER_OUTPUT),
        shard_entries: raw.shard_entries.map_or(DEFAULT_SHARD_ENTRIES, Number::to),
        item_target_secs: raw
            .item_target_secs
            .map_or(DEFAULT_ITEM_TARGET_SECS, Number::to),
        concurrency: raw.concurrency.map(Number::get),
        ultra_large_scale: raw.ultra_large_scale.unwrap_or(false),
        server_side_listing: raw.server_side_listing.unwrap_or(false),
        feishu_url: secret(raw.feishu_url),
        engine: raw.engine.map(|engine| engine.0),
        transfers: raw.transfers.map(Number::to),
        checkers: raw.checkers.map(Number::to),
        hung_mount_secs: raw
            .hung_mount_secs
            .map_or(DEFAULT_HUNG_MOUNT_SECS, Number::to),
        split_file_bytes: raw
            .split_file_bytes
            .map_or(DEFAULT_SPLIT_FILE_BYTES, Number::to),
        range_bytes: raw
            .range_bytes
            .map_or(DEFAULT_RANGE_BYTES, Number::to::<u64>)
            / RANGE_UNIT_BYTES
            * RANGE_UNIT_BYTES,
        durability: chosen(raw.durability),
        compare: raw.compare.map(|OneOf(compare)| compare),
        preserve: raw
            .preserve
            .map(|kept| Preserve::of(kept.0.into_iter().map(|OneOf(attribute)| attribute))),
        metadata: chosen(raw.metadata),
        specials: chosen(raw.specials),
        sparse: chosen(raw.sparse),
        conflicts: chosen(raw.conflicts),
        verify: chosen(raw.verify),
        size_only: raw.size_only,
        update: raw.update,
        dryrun: raw.dryrun,
        local_no_set_modtime: raw.local_no_set_modtime,
        rclone_stall_secs: raw
            .rclone_stall_secs
            .map_or(DEFAULT_RCLONE_STALL_SECS, Number::to),
        rclone_flags: raw.rclone_flags.map(rclone_flags),
    };
    warn(&global, warnings);
    global
}

fn warn(global: &GlobalConfig, warnings: &mut Vec<String>) {
    if global.check_source_entry == Some(false) {
        warnings.push(
            "global_config.check_source_entry: false has no effect: what an entry of a list is, is \
             always looked up"
                .into(),
        );
    }
    if global
        .compare
        .is_some_and(|compare| compare != Compare::Size)
        && global.size_only == Some(true)
    {
        warnings.push(
            "global_config.size_only has no effect: global_config.compare says otherwise".into(),
        );
    }
    if global.ultra_large_scale != global.server_side_listing {
        warnings.push(
            "global_config.ultra_large_scale and server_side_listing have an effect only together"
                .into(),
        );
    }
    if global.feishu_url.is_some() && global.feishu_url().is_none() {
        warnings.push("global_config.feishu_url is no URL: no notices are sent".into());
    }
    let flags = global.rclone_flags.as_ref();
    if let Some(transfers) = flags.and_then(|flags| flags.transfers)
        && transfers > MAX_TRANSFERS
        && global.transfers.is_none()
    {
        warnings.push(format!(
            "rclone_flags.transfers is {transfers}: {MAX_TRANSFERS} are used"
        ));
    }
}

fn rclone_flags(raw: RawRcloneFlags) -> RcloneFlags {
    RcloneFlags {
        checkers: positive(raw.checkers),
        transfers: positive(raw.transfers),
        log_level: raw.log_level.map(|OneOf(level)| level),
        local_no_set_modtime: raw.local_no_set_modtime,
        size_only: raw.size_only,
        update: raw.update,
        dryrun: raw.dryrun,
    }
}

pub(crate) fn server(raw: RawServer) -> ServerConfig {
    let default = ServerConfig::default();
    ServerConfig {
        port: raw.port.map(Number::to),
        data_dir: path(raw.data_dir),
        lease_secs: raw.lease_secs.map_or(default.lease_secs, Number::to),
        heartbeat_secs: raw
            .heartbeat_secs
            .map_or(default.heartbeat_secs, Number::to),
        progress_secs: raw.progress_secs.map_or(default.progress_secs, Number::to),
        end_wait_secs: raw.end_wait_secs.map_or(default.end_wait_secs, Number::to),
        ineligible_grace_secs: raw
            .ineligible_grace_secs
            .map_or(default.ineligible_grace_secs, Number::to),
        item_attempts: raw.item_attempts.map_or(default.item_attempts, Number::to),
        full_target_secs: raw
            .full_target_secs
            .map_or(default.full_target_secs, Number::to),
        keep: raw.keep,
        notice_wait_secs: raw
            .notice_wait_secs
            .map_or(default.notice_wait_secs, Number::to),
        upload_wait_secs: raw
            .upload_wait_secs
            .map_or(default.upload_wait_secs, Number::to),
    }
}

/// Each as given; one that doesn't say of what tells of everything.
pub(crate) fn notify(raw: List<RawNotify>) -> Vec<Webhook> {
    let webhook = |raw: RawNotify| {
        let on: Vec<NoticeKind> = match raw.on {
            Some(kinds) => kinds.0.into_iter().map(|OneOf(kind)| kind).collect(),
            None => NoticeKind::ALL.to_vec(),
        };
        raw.webhook.map(|url| Webhook { url, on })
    };
    raw.0.into_iter().filter_map(webhook).collect()
}
