//! docs/config.md and the parser say the same: each key of the one is a key of the other, with the default that the code has.

use std::collections::BTreeMap;
use std::path::Path;

use model::config::{self, Config, NoticeKind};
use model::{Attribute, Choice, Compare, CopyOptions, Engine, Location, Preserve, Task, TaskId};

/// What is required, and the sections that would otherwise not be there.
const LEAST: &str = "
global_config:
  source_fs_types: [any]
  target_fs_types: [any]
  tasks_file: t
report_config:
  s3_config:
notify:
  - webhook: https://hooks.example.com
";

/// `section.key`, and its cell in the column of defaults.
type Keys = BTreeMap<String, String>;

fn parse(text: &str) -> Result<Config, String> {
    let parsed = config::parse(text.as_bytes(), Path::new("c.yaml"));
    parsed
        .map(|parsed| parsed.config)
        .map_err(|e| e.to_string())
}

/// The rows of all tables that begin with `| key | default |`, by the section that the heading above names.
fn documented() -> (Vec<String>, Keys) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/config.md");
    let text = std::fs::read_to_string(file).unwrap();
    let (mut sections, mut keys, mut is_table) = (Vec::new(), Keys::new(), false);
    for line in text.lines() {
        if let Some(heading) = line
            .strip_prefix("## ")
            .or_else(|| line.strip_prefix("### "))
        {
            sections.push(heading.replace('`', ""));
        }
        let Some(row) = line.strip_prefix('|') else {
            is_table = false;
            continue;
        };
        if line.starts_with("| key | default |") {
            is_table = true;
            continue;
        }
        let cells: Vec<&str> = row.splitn(3, '|').map(str::trim).collect();
        if !is_table || cells[0].is_empty() || cells[0].starts_with("--") {
            continue;
        }
        assert_eq!(cells.len(), 3, "{line}");
        for key in cells[0].split(", ") {
            let name = key.strip_prefix('`').and_then(|key| key.strip_suffix('`'));
            let name = name.unwrap_or_else(|| panic!("no key between backquotes: {line}"));
            let section = sections.last().expect("a heading comes first");
            let twice = keys.insert(format!("{section}.{name}"), cells[1].to_owned());
            assert_eq!(twice, None, "{section}.{name} is there twice");
        }
    }
    (sections, keys)
}

/// The cell of a key without a default, which therefore is not there.
fn none<T: std::fmt::Debug>(option: &Option<T>) -> String {
    assert!(option.is_none(), "{option:?}");
    String::new()
}

/// The same with words for what happens then.
fn else_is<T: std::fmt::Debug>(words: &str, option: &Option<T>) -> String {
    none(option) + words
}

fn engine(config: &Config) -> Engine {
    let task = Task {
        id: TaskId(1),
        line: 1,
        source: Location::Posix("/a".into()),
        target: Location::Posix("/b".into()),
        list: None,
        target_is_shared: false,
    };
    config.global.engine_of(&task).engine()
}

/// What the code does with a key that is not given.
fn defaults(config: &Config) -> Keys {
    let required = || "required".to_owned();
    let (global, server) = (&config.global, &config.server);
    let s3 = parse(&LEAST.replace("s3_config:", "s3_config: {}"));
    let s3 = s3.unwrap().report.s3.unwrap();
    let CopyOptions {
        compare,
        update,
        dry_run,
        preserve,
        metadata,
        specials,
        sparse,
        conflicts,
        verify,
        durability,
        filter,
    } = global.copy_options();
    let size_only = compare == Compare::Size;
    let omit_times = !preserve.keeps(Attribute::Times);
    assert_eq!(preserve, Preserve::ALL);
    let word = |word: &str| format!("`{word}`");
    let patterns = |lines: &[String]| lines.concat();
    let of_flags = |name: &str, value: String| match value.as_str() {
        "" => format!("`rclone_flags.{name}`"),
        value => format!("`rclone_flags.{name}`, else {value}"),
    };
    let rclone = global.rclone_options();
    let with_flags = LEAST.replace("  tasks_file", "  rclone_flags: {}\n  tasks_file");
    let with_flags = parse(&with_flags).unwrap();
    assert_eq!(
        (engine(config), engine(&with_flags)),
        (Engine::Native, Engine::Rclone)
    );
    assert_eq!(config.notify[0].on, NoticeKind::ALL);

    let rows = [
        (
            "report_config.format",
            format!("`{}`", config.report.format.extension()),
        ),
        ("report_config.bucket", none(&config.report.s3)),
        ("report_config.s3_config", none(&config.report.s3)),
        ("s3_config.endpoint", else_is("required", &s3.endpoint)),
        ("s3_config.bucket", else_is("required", &s3.bucket)),
        ("s3_config.access_key", none(&s3.access_key)),
        ("s3_config.secret_key", none(&s3.secret_key)),
        ("s3_config.access_key_file", none(&s3.access_key_file)),
        ("s3_config.secret_key_file", none(&s3.secret_key_file)),
        (
            "s3_config.region",
            else_is("`AWS_REGION`, else `us-east-1`", &s3.region),
        ),
        ("s3_config.skipSSLverify", s3.skip_ssl_verify.to_string()),
        ("s3_config.acl", format!("`{:?}`", s3.acl).to_lowercase()),
        ("global_config.source_fs_types", required()),
        ("global_config.target_fs_types", required()),
        ("global_config.source_fs_type", String::new()),
        ("global_config.target_fs_type", String::new()),
        ("global_config.tasks_file", required()),
        (
            "global_config.check_source_entry",
            none(&global.check_source_entry),
        ),
        ("global_config.file_list_dir", none(&rclone.list_dir)),
        (
            "global_config.file_list_dir_fs_type",
            none(&rclone.list_dir_fs_type),
        ),
        (
            "global_config.max_files_per_output",
            rclone.files_per_process.to_string(),
        ),
        (
            "global_config.shard_entries",
            global.shard_entries.to_string(),
        ),
        (
            "global_config.item_target_secs",
            global.item_target_secs.to_string(),
        ),
        (
            "global_config.concurrency",
            global.concurrency().to_string(),
        ),
        (
            "global_config.ultra_large_scale",
            global.ultra_large_scale.to_string(),
        ),
        (
            "global_config.server_side_listing",
            global.server_side_listing.to_string(),
        ),
        ("global_config.feishu_url", none(&global.feishu_url())),
        (
            "global_config.engine",
            else_is(
                "`rclone` with `rclone_flags` or a remote, else `native`",
                &global.engine,
            ),
        ),
        (
            "global_config.transfers",
            of_flags("transfers", global.transfers().to_string()),
        ),
        (
            "global_config.checkers",
            of_flags("checkers", none(&rclone.checkers)),
        ),
        ("global_config.durability", word(durability.word())),
        (
            "global_config.compare",
            format!("`size` with `size_only`, else `{}`", compare.word()),
        ),
        ("global_config.preserve", "all".to_owned()),
        ("global_config.metadata", word(metadata.word())),
        ("global_config.specials", word(specials.word())),
        ("global_config.sparse", word(sparse.word())),
        ("global_config.conflicts", word(conflicts.word())),
        ("global_config.verify", word(verify.word())),
        (
            "global_config.size_only",
            of_flags("size_only", size_only.to_string()),
        ),
        (
            "global_config.update",
            of_flags("update", update.to_string()),
        ),
        (
            "global_config.dryrun",
            of_flags("dryrun", dry_run.to_string()),
        ),
        (
            "global_config.local_no_set_modtime",
            of_flags("local_no_set_modtime", omit_times.to_string()),
        ),
        ("global_config.exclude", patterns(&filter.exclude)),
        ("global_config.include", patterns(&filter.include)),
        ("global_config.min_size", none(&filter.min_size_bytes)),
        ("global_config.max_size", none(&filter.max_size_bytes)),
        ("global_config.min_age", none(&filter.min_age_secs)),
        ("global_config.max_age", none(&filter.max_age_secs)),
        (
            "global_config.one_file_system",
            filter.one_file_system.to_string(),
        ),
        (
            "global_config.hung_mount_secs",
            global.hung_mount_secs.to_string(),
        ),
        (
            "global_config.split_file_bytes",
            global.split_file_bytes.to_string(),
        ),
        ("global_config.range_bytes", global.range_bytes.to_string()),
        (
            "global_config.rclone_stall_secs",
            rclone.stall_secs.to_string(),
        ),
        ("global_config.rclone_flags", none(&global.rclone_flags)),
        (
            "rclone_flags.checkers",
            else_is("rclone's own", &rclone.checkers),
        ),
        (
            "rclone_flags.transfers",
            else_is("rclone's own", &rclone.transfers),
        ),
        (
            "rclone_flags.log_level",
            format!("`{}`", rclone.log_level.name()),
        ),
        ("rclone_flags.local_no_set_modtime", omit_times.to_string()),
        ("rclone_flags.size_only", size_only.to_string()),
        ("rclone_flags.update", update.to_string()),
        ("rclone_flags.dryrun", dry_run.to_string()),
        (
            "server.port",
            else_is(&config::DEFAULT_PORT.to_string(), &server.port),
        ),
        (
            "server.data_dir",
            else_is(
                "`data-migrate.d/NAME` in the working directory, else `/var/lib/data-migrate/NAME`",
                &server.data_dir,
            ),
        ),
        ("server.lease_secs", server.lease_secs.to_string()),
        ("server.heartbeat_secs", server.heartbeat_secs.to_string()),
        ("server.progress_secs", server.progress_secs.to_string()),
        ("server.end_wait_secs", server.end_wait_secs.to_string()),
        (
            "server.ineligible_grace_secs",
            server.ineligible_grace_secs.to_string(),
        ),
        ("server.item_attempts", server.item_attempts.to_string()),
        (
            "server.full_target_secs",
            server.full_target_secs.to_string(),
        ),
        ("server.keep", else_is("only in Kubernetes", &server.keep)),
        (
            "server.notice_wait_secs",
            server.notice_wait_secs.to_string(),
        ),
        (
            "server.upload_wait_secs",
            server.upload_wait_secs.to_string(),
        ),
        ("notify.webhook", required()),
        ("notify.on", "all".to_owned()),
    ];
    rows.map(|(key, cell)| (key.to_owned(), cell)).into()
}

#[test]
fn the_reference_names_each_key_of_the_parser_and_no_other() {
    let (sections, documented) = documented();
    let mut known: Vec<String> = Vec::new();
    for (section, keys) in config::keys() {
        if section.is_empty() {
            for section in keys {
                assert!(
                    sections.iter().any(|heading| heading == section),
                    "docs/config.md has no heading `{section}`"
                );
            }
            continue;
        }
        known.extend(keys.iter().map(|key| format!("{section}.{key}")));
    }
    known.sort();
    assert!(known.len() > 50, "{known:?}");
    let missing: Vec<_> = known
        .iter()
        .filter(|key| !documented.contains_key(*key))
        .collect();
    let unknown: Vec<_> = documented
        .keys()
        .filter(|key| !known.contains(key))
        .collect();
    assert!(
        missing.is_empty(),
        "keys that docs/config.md leaves out: {missing:?}"
    );
    assert!(
        unknown.is_empty(),
        "keys of docs/config.md that the parser does not know: {unknown:?}"
    );
}

#[test]
fn the_reference_gives_each_default_as_the_code_has_it() {
    let (_, documented) = documented();
    let defaults = defaults(&parse(LEAST).unwrap());
    assert_eq!(documented.len(), defaults.len());
    for (key, cell) in &documented {
        let default = defaults
            .get(key)
            .unwrap_or_else(|| panic!("this test knows no default of {key}"));
        assert_eq!(
            cell, default,
            "the default of {key}: docs/config.md, then the code"
        );
    }
}

#[test]
fn what_the_reference_calls_required_is() {
    parse(LEAST).unwrap();
    for line in [
        "  source_fs_types: [any]\n",
        "  target_fs_types: [any]\n",
        "  tasks_file: t\n",
    ] {
        let error = parse(&LEAST.replacen(line, "", 1)).unwrap_err();
        let key = line.trim().split(':').next().unwrap();
        assert!(error.contains(key), "{error}");
    }
    let error = parse(&LEAST.replace("webhook: https://hooks.example.com", "on: [run]"));
    assert!(error.unwrap_err().contains("notify.webhook"));
}
