use std::path::{Path, PathBuf};

use proptest::prelude::{ProptestConfig, any, proptest};

use super::{
    Acl, Config, ConfigError, DEFAULT_ITEM_TARGET_SECS, DEFAULT_MAX_FILES_PER_OUTPUT,
    DEFAULT_SHARD_ENTRIES, Parsed, ReportConfig, ReportFormat, ServerConfig, parse,
};
use crate::engine::{Engine, LogLevel};
use crate::filter::Filter;
use crate::options::{Attribute, Compare, CopyOptions, Durability, Preserve};

fn yaml(text: &str) -> Result<Parsed, ConfigError> {
    parse(text.as_bytes(), Path::new("c.yaml"))
}

fn json(text: &str) -> Result<Parsed, ConfigError> {
    parse(text.as_bytes(), Path::new("c.json"))
}

fn good(text: &str) -> Config {
    yaml(text).unwrap_or_else(|error| panic!("{error}")).config
}

const LEAST: &str = "global_config:
  source_fs_types: [gpfs]
  target_fs_type: xfs
  tasks_file: t
";

const OLDER: &str = "report_config:
  format: CSV # csv, md or html
  bucket: test
  s3_config:
    access_key: 0123
    secret_key: CANARY
    region: us-east-1
    endpoint: http://10.0.0.1:80
    skipSSLverify: true

global_config:
  source_fs_type: gpfs
  target_fs_type: yrfs_ec
  tasks_file: deploy/data_sources.txt # data sources
  feishu_url: feishu_url
  rclone_flags:
    checkers: 128
    transfers: 128
    log_level: INFO
    local_no_set_modtime: true
    size_only: true
    dryrun: true
";

#[test]
fn an_older_config_goes_on_working() {
    let config = good(OLDER);
    let s3 = config.report.s3.as_ref().unwrap();
    assert_eq!(config.report.format, ReportFormat::Csv);
    assert_eq!(s3.bucket.as_deref(), Some("test"));
    assert_eq!(s3.access_key.as_ref().unwrap().expose(), "0123");
    assert!(s3.skip_ssl_verify && s3.acl == Acl::Private);
    let global = &config.global;
    assert_eq!(global.source_fs_types, ["gpfs"]);
    assert_eq!(global.target_fs_types, ["yrfs_ec"]);
    assert_eq!(global.tasks_file, PathBuf::from("deploy/data_sources.txt"));
    assert_eq!(
        (global.transfers(), global.rclone_options().checkers),
        (128, Some(128))
    );
    assert_eq!(global.rclone_options().log_level, LogLevel::Info);
    assert_eq!(global.feishu_url(), None);
    let expected = CopyOptions {
        compare: Compare::Size,
        update: false,
        dry_run: true,
        preserve: Preserve::ALL.without(Attribute::Times),
        durability: Durability::Batch,
        ..CopyOptions::default()
    };
    assert_eq!(global.copy_options(), expected);
}

#[test]
fn missing_and_empty_sections_have_defaults() {
    let empty =
        format!("{LEAST}  rclone_flags:\n  feishu_url: \"\"\nreport_config:\nserver: null\n");
    for text in [LEAST, &empty] {
        let config = good(text);
        assert_eq!(config.report, ReportConfig::default());
        assert_eq!(config.server, ServerConfig::default());
        let global = config.global;
        assert_eq!(global.rclone_flags, None);
        assert_eq!((global.concurrency(), global.transfers()), (3, 64));
        assert_eq!(global.max_files_per_output, DEFAULT_MAX_FILES_PER_OUTPUT);
        assert_eq!(global.shard_entries, DEFAULT_SHARD_ENTRIES);
        assert_eq!(global.item_target_secs, DEFAULT_ITEM_TARGET_SECS);
        assert_eq!(global.copy_options(), CopyOptions::default());
        assert_eq!(global.feishu_url, None);
    }
}

#[test]
fn each_key_is_understood() {
    let config = good(
        "report_config: {format: Markdown, s3_config: {access_key_file: /a, secret_key_file: /b,
          bucket: b, acl: public-read}}
global_config: {source_fs_type: gpfs, source_fs_types: [nfs, GPFS, 0x6969], target_fs_types: any,
  tasks_file: t, check_source_entry: true, file_list_dir: /l, file_list_dir_fs_type: yrfs_ec,
  max_files_per_output: 7, shard_entries: 100, item_target_secs: 9, concurrency: -1, ultra_large_scale: true, server_side_listing: true,
  feishu_url: 'https://open.feishu.cn/hook/x', engine: Native, transfers: 9, checkers: 8,
  durability: file, size_only: false, update: true, dryrun: no, local_no_set_modtime: true,
  rclone_flags: {transfers: 2048, size_only: true, update: false, log_level: debug}}
server: {port: 0, data_dir: /d, lease_secs: 10, heartbeat_secs: 5, progress_secs: 1,
  end_wait_secs: 0, ineligible_grace_secs: 0, item_attempts: 1, keep: true}
",
    );
    let s3 = config.report.s3.unwrap();
    assert_eq!(config.report.format, ReportFormat::Markdown);
    assert_eq!((s3.acl, s3.access_key), (Acl::PublicRead, None));
    let global = config.global;
    assert_eq!(global.source_fs_types, ["nfs", "GPFS", "0x6969"]);
    assert_eq!(global.target_fs_types, ["any"]);
    assert_eq!((global.shard_entries, global.item_target_secs), (100, 9));
    assert_eq!((global.concurrency, global.concurrency()), (Some(-1), 3));
    assert_eq!(
        (global.transfers(), global.rclone_options().checkers),
        (9, Some(8))
    );
    assert_eq!(global.engine, Some(Engine::Native));
    assert!(global.feishu_url().is_some());
    let options = global.copy_options();
    assert!(options.update && !options.dry_run && !options.keeps(Attribute::Times));
    assert_eq!(options.compare, Compare::Mtime);
    assert_eq!(options.durability, Durability::File);
    assert_eq!(global.rclone_options().log_level, LogLevel::Debug);
    assert_eq!(config.server.port, Some(0));
    assert_eq!(config.server.keep, Some(true));
}

#[test]
fn anchors_and_merge_keys_work_and_x_keys_are_ignored() {
    let config = good(
        "x-types: &types [gpfs, xfs]
x-flags: &flags
  anything: {goes: here}
x-common: &common
  concurrency: 9
  dryrun: true
global_config:
  <<: *common
  dryrun: false
  source_fs_types: *types
  target_fs_types: *types
  tasks_file: t
",
    );
    assert_eq!(config.global.target_fs_types, ["gpfs", "xfs"]);
    assert_eq!(config.global.concurrency(), 9);
    assert_eq!(config.global.dryrun, Some(false));
}

#[test]
fn json_is_read_by_its_name() {
    let text = r#"{"global_config": {"source_fs_types": ["any"], "target_fs_types": ["s3"],
        "tasks_file": "t", "concurrency": 4, "dryrun": true, "engine": null}, "x-a": [1]}"#;
    let config = json(text).unwrap().config;
    assert_eq!(config.global.concurrency(), 4);
    assert_eq!(config, good(text), "and as YAML it says the same");
}

#[test]
fn bad_input_gets_a_clear_error() {
    for (text, expected) in [
        ("", "c.yaml: the file is empty, expected a config"),
        (
            "# nothing\n",
            "c.yaml: the file is empty, expected a config",
        ),
        (
            "- 5",
            "c.yaml: the config is a list, expected keys with values",
        ),
        (
            "global_config:\n  dryrun: true\n  tasksfile: t\n",
            "c.yaml:3:3: unknown key 'tasksfile' in global_config, expected perhaps 'tasks_file'",
        ),
        (
            "global_confg: {}\n",
            "c.yaml:1:1: unknown key 'global_confg' at the top level, expected perhaps 'global_config'",
        ),
        (
            "report_config:\n  colour: red\n",
            "c.yaml:2:3: unknown key 'colour' in report_config, expected one of format, bucket, s3_config",
        ),
        (
            "global_config: 5\n",
            "c.yaml:1:16: global_config is a number, expected keys with values",
        ),
        (
            "global_config:\n  concurrency: many\n",
            "c.yaml:2:16: global_config.concurrency is text, expected a whole number",
        ),
        (
            "global_config:\n  dryrun: 1\n",
            "c.yaml:2:11: global_config.dryrun is 1, expected true or false",
        ),
        (
            "global_config:\n  tasks_file: [a]\n",
            "c.yaml:2:15: unexpected value, expected text",
        ),
        (
            "global_config:\n  transfers: 0\n",
            "c.yaml:2:14: global_config.transfers is 0, expected a whole number from 1 to 1024",
        ),
        (
            "global_config:\n  engine: rsync\n",
            "c.yaml:2:11: global_config.engine is 'rsync', expected native or rclone",
        ),
        (
            "global_config:\n  dryrun: true\n  dryrun: true\n",
            "c.yaml:3:3: the key 'dryrun' is given twice, expected each key once",
        ),
        (
            "global_config:\n  source_fs_types: []\n  target_fs_type: x\n  tasks_file: t\n",
            "c.yaml:2:3: global_config.source_fs_types is missing or empty, expected the types of \
             file system that a source may lie on, or [any]",
        ),
        (
            "global_config:\n  source_fs_type: x\n  target_fs_type: x\n",
            "c.yaml:2:3: global_config.tasks_file is missing, expected the path of the tasks file",
        ),
        (
            "server:\n  port: 65536\n",
            "c.yaml:2:9: server.port is 65536, expected a whole number from 0 to 65535",
        ),
        (
            "server:\n  lease_secs: 9\n",
            "c.yaml:2:3: server.lease_secs is 9 and server.heartbeat_secs is 5, expected a lease \
             of at least two heartbeats",
        ),
        (
            "report_config:\n  s3_config:\n    access_key: a\n    access_key_file: b\n",
            "c.yaml:3:5: s3_config has access_key and access_key_file, expected one of them",
        ),
        (
            "global_config:\n  tasks_file: \"a\n",
            "c.yaml:2:15: unclosed quote, expected YAML",
        ),
        (
            "server:\n  port: 1\n",
            "c.yaml: the section global_config is missing, expected it with tasks_file, \
             source_fs_types and target_fs_types",
        ),
    ] {
        assert_eq!(yaml(text).expect_err(text).to_string(), expected);
    }
    let not_text = parse(b"a\n\xff", Path::new("d/c.yml")).unwrap_err();
    let expected = "d/c.yml: line 2 has bytes that are no text, expected UTF-8";
    assert_eq!(not_text.to_string(), expected);
    let two = format!("{LEAST}---\na: b\n");
    assert!(yaml(&two).unwrap_err().message.contains("second document"));
}

#[test]
fn bad_json_gets_a_clear_error() {
    for (text, expected) in [
        (
            "{\"server\":\n{\"prot\":1}}",
            "c.json:2:7: unknown key 'prot' in server, expected perhaps 'port'",
        ),
        (
            "{\"server\":{\"port\":1,\"port\":2}}",
            "c.json:1:29: the key 'port' is given twice, expected each key once",
        ),
        ("null", "c.json: the file is empty, expected a config"),
        (
            "{\"a",
            "c.json:1:3: EOF while parsing a string, expected JSON",
        ),
    ] {
        assert_eq!(json(text).expect_err(text).to_string(), expected);
    }
}

#[test]
fn what_has_no_effect_is_said() {
    let parsed = yaml(&format!(
        "report_config: {{bucket: a}}\n{LEAST}  check_source_entry: false\n  ultra_large_scale: true
  feishu_url: feishu_url\n  rclone_flags: {{transfers: 2000}}\n"
    ))
    .unwrap();
    assert_eq!(parsed.config.global.transfers(), 1024);
    assert_eq!(parsed.warnings.len(), 5, "{:?}", parsed.warnings);
    assert_eq!(yaml(LEAST).unwrap().warnings, [""; 0]);
}

#[test]
fn secrets_appear_in_no_error_and_no_debug_output() {
    let config = good(OLDER);
    let shown = format!("{config:?} {:?}", config.report.s3);
    assert!(
        !shown.contains("CANARY") && shown.contains("***"),
        "{shown}"
    );
    for text in [
        "report_config:\n  s3_config:\n    access_key:CANARY\n    secret_key: CANARY\n",
        "report_config:\n  s3_config:\n    region: x\n    access_key:CANARY\n",
        "report_config:\n  s3_config:\n    region: x\n    access_key:CANARY: 5\n",
        "report_config:\n  s3_config:\n    access_key: [CANARY]\n",
        "report_config:\n  s3_config:\n    access_key: {CANARY: 1}\n",
        "report_config:\n  s3_config:\n    access_key: *CANARY\n",
        "report_config:\n  s3_config:\n    access_key: \"CANARY\n",
        "report_config:\n  s3_config:\n    access_key: !!int CANARY\n",
        "report_config:\n  s3_config:\n    access_key: !CANARY {}\n",
        "report_config:\n  s3_config:\n    access_key: @CANARY\n",
        "report_config:\n  s3_config:\n    access_key: %CANARY\n",
        "report_config:\n  s3_config:\n    access_key: |CANARY\n",
        "report_config:\n  s3_config:\n    access_key: a: CANARY\n",
        "report_config:\n  s3_config:\n    skipSSLverify: CANARY\n",
        "report_config:\n  s3_config: CANARY\n",
        "{\"report_config\":{\"s3_config\":{\"access_key\":[\"CANARY\"]}}}",
        "{\"report_config\":{\"s3_config\":{\"access_key\":\"CANARY\\q\"}}}",
        "{\"report_config\":{\"s3_config\":\"CANARY\"}}",
    ] {
        for parsed in [yaml(text), json(text)] {
            let error = format!("{:?}", parsed.expect_err(text));
            assert!(!error.contains("CANARY"), "{error}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>(), text in "(global_config|server|[ a-z:\\[\\]{}&*<>!\"'|\n-]){0,40}") {
        for name in ["c.yaml", "c.json"] {
            let _ = parse(&bytes, Path::new(name));
            let _ = parse(text.as_bytes(), Path::new(name));
        }
    }

    #[test]
    fn no_damage_to_a_config_makes_it_panic(at in 0..OLDER.len(), byte in any::<u8>()) {
        let mut text = OLDER.as_bytes().to_vec();
        text[at] = byte;
        let _ = parse(&text, Path::new("c.yaml"));
    }
}

#[test]
fn an_s3_config_that_was_not_filled_in_counts_as_not_given() {
    let text = OLDER
        .replace("0123", "<access key>")
        .replace("CANARY", "<secret key>")
        .replace("http://10.0.0.1:80", "<s3 endpoint>");
    let s3 = good(&text).report.s3.unwrap();
    assert_eq!((s3.access_key, s3.secret_key), (None, None));
    assert_eq!((s3.endpoint, s3.bucket.as_deref()), (None, Some("test")));
}

#[test]
fn a_filter_is_read_with_its_patterns_as_written() {
    let of = |text: &str| good(&format!("{LEAST}{text}")).global.copy_options().filter;
    assert_eq!(of(""), Filter::default());
    assert_eq!(of("  exclude: .snapshot\n").exclude, [".snapshot"]);
    let filter = of("  exclude: [.snapshot, lost+found/, 2024, 0x10, ~x, \"!a\", '#b', \"*.o\", a b]
  include:\n  - /x/**\n  - '[ab]*'\n  min_size: 7\n  max_size: 1 GiB\n  min_age: 12h\n  max_age: 30d\n  one_file_system: true\n");
    let expected = Filter {
        exclude: [
            ".snapshot",
            "lost+found/",
            "2024",
            "0x10",
            "~x",
            "!a",
            "#b",
            "*.o",
            "a b",
        ]
        .map(str::to_owned)
        .into(),
        include: ["/x/**", "[ab]*"].map(str::to_owned).into(),
        min_size_bytes: Some(7),
        max_size_bytes: Some(1 << 30),
        min_age_secs: Some(43_200),
        max_age_secs: Some(2_592_000),
        one_file_system: true,
    };
    assert_eq!(filter, expected);
    let of_json = r#"{"global_config": {"source_fs_types": ["any"], "target_fs_types": ["any"],
        "tasks_file": "t", "exclude": ["*.o"], "min_size": 7, "max_size": "1K"}}"#;
    let filter = json(of_json).unwrap().config.global.copy_options().filter;
    assert_eq!(filter.exclude, ["*.o"]);
    assert_eq!(
        (filter.min_size_bytes, filter.max_size_bytes),
        (Some(7), Some(1024))
    );
}

#[test]
fn a_filter_that_can_not_be_meant_gets_a_clear_error() {
    for (line, expected) in [
        (
            "exclude: [a, 'b//c']",
            "c.yaml:5:16: a pattern of global_config.exclude has an empty, '.' or '..' component",
        ),
        (
            "include: ['[']",
            "c.yaml:5:13: a pattern of global_config.include has a '[' without its ']'",
        ),
        (
            "include: ['!a']",
            "c.yaml:2:3: a pattern of global_config.include begins with '!'",
        ),
        (
            "exclude: 7",
            "c.yaml:5:12: global_config.exclude is a number, expected a list of patterns",
        ),
        (
            "exclude: {a: b}",
            "c.yaml:5:12: global_config.exclude is a section, expected a list of patterns",
        ),
        // What YAML takes for something else.
        (
            "exclude:\n  - a\n  - !keep\n",
            "c.yaml:6:5: entry 2 of global_config.exclude is empty",
        ),
        (
            "exclude:\n  - #recycle\n  - a\n",
            "c.yaml:6:13: entry 1 of global_config.exclude is empty",
        ),
        ("exclude: [*.tmp]", "c.yaml:5:13: "),
        (
            "min_size: 1X",
            "c.yaml:5:13: global_config.min_size is text, expected a whole number of bytes, or",
        ),
        (
            "max_age: 30",
            "c.yaml:5:12: global_config.max_age is text, expected whole numbers with their units",
        ),
        (
            "min_size: 2\n  max_size: 1",
            "c.yaml:2:3: global_config.min_size and max_size: the smallest size is",
        ),
        (
            "min_age: 2d\n  max_age: 1h",
            "c.yaml:2:3: global_config.min_age and max_age: the lowest age is",
        ),
    ] {
        let error = yaml(&format!("{LEAST}  {line}\n"))
            .expect_err(line)
            .to_string();
        assert!(error.starts_with(expected), "{line}: {error}");
    }
}
