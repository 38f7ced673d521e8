//! Config files, start commands and variables of both generations of users go on working, on the native engine, and
//! mean what they meant.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, SystemTime};

use testkit::compare::{Options, assert_same_by};
use testkit::mount::Tmpfs;
use testkit::tree::{Recipe, make};
use testkit::{Program, assert_same, free_port};

use crate::place::{self, Done, LONG, OLDER, Place, SERVER, WORKER};

/// The older config, with a type that the file systems of these tests have, and further lines of its section.
fn older(more: &str) -> String {
    format!("{}{more}", OLDER.replace(": any", ": tmpfs"))
}

/// A tmpfs with a tree in `fs/source`, and a tasks file that copies it to `fs/target`.
fn place(label: &str) -> (Place, Tmpfs) {
    let place = Place::new(label);
    let mounted = Tmpfs::over(&place.directory("fs"), 64).unwrap();
    make(&place.path("fs/source"), &Recipe::plain(10, 50), 3).unwrap();
    place.file(
        "deploy/data_sources.txt",
        "# Format: source_path destination_path file_list_path\nDIR/fs/source/ DIR/fs/target/\n\n",
    );
    (place, mounted)
}

/// Gives a file content and an age.
fn write(place: &Place, path: &str, content: &str, age_secs: u64) {
    let path = place.file(path, content);
    let time = SystemTime::now() - Duration::from_secs(age_secs);
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(time).unwrap();
}

fn read(place: &Place, path: &str) -> String {
    fs::read_to_string(place.path(path)).unwrap()
}

#[test]
fn an_older_config_moves_data_without_setting_times() {
    let (place, _mounted) = place("older");
    place.file(
        "config.yaml",
        &older("    local_no_set_modtime: true\n    size_only: true\n"),
    );
    let done = place.migrate("config.yaml").assert_code(0);
    let no_times = Options {
        file_times: false,
        directory_times: false,
        symlink_times: false,
        ..Options::default()
    };
    let (source, target) = (place.path("fs/source"), place.path("fs/target"));
    assert_same_by(&source, &target, &no_times);
    assert!(
        done.stderr
            .contains("WARN global_config.feishu_url is no URL"),
        "{}",
        done.stderr
    );
    let table = place.results();
    let row = table.find("id", "1").unwrap();
    assert_eq!(
        row.get("message"),
        Some("Migrated task 1 successfully"),
        "{row:?}"
    );
    // With times, what was copied without them is old.
    place.file("config.yaml", &older(""));
    place.migrate("config.yaml").assert_code(0);
    assert_same(&source, &target);
}

#[test]
fn dryrun_changes_nothing_and_says_so() {
    let (place, _mounted) = place("dryrun");
    place.file("config.yaml", &older("    dryrun: true\n"));
    let done = place.migrate("config.yaml").assert_code(0);
    assert!(!place.path("fs/target").exists());
    assert!(
        done.stderr
            .contains("WARN dryrun is on: nothing is changed, only counted"),
        "{}",
        done.stderr
    );
    let table = place.results();
    let row = table.find("id", "1").unwrap();
    assert_eq!(
        row.get("message"),
        Some("Migrated task 1 successfully (dry run: nothing was changed)")
    );
    assert_eq!(row.number("files"), 50, "it counts what would be copied");
    // Where something is, it stays as it is, times of directories included.
    place.file("fs/target/own", "own");
    let before = stamps(&place);
    place.file("config.yaml", &older("  dryrun: true\n"));
    place.migrate("config.yaml").assert_code(0);
    assert_eq!(stamps(&place), before);
}

/// All below `fs` with its time.
fn stamps(place: &Place) -> BTreeMap<std::path::PathBuf, SystemTime> {
    let all = place::list(&place.path("fs")).into_keys();
    all.map(|path| {
        let time = path.symlink_metadata().unwrap().modified().unwrap();
        (path, time)
    })
    .collect()
}

#[test]
fn size_only_and_update_decide_what_is_copied() {
    // Name, size only, update, what is at the target in the end for: other content of the same size, other content
    // of another size but newer, the same but older.
    for (label, flags, expected) in [
        ("neither", "", ["new!", "longer", "longer"]),
        ("size", "size_only: true", ["old!", "longer", "longer"]),
        ("update", "update: true", ["new!", "newer there", "longer"]),
    ] {
        let (place, _mounted) = place(label);
        write(&place, "fs/source/same size", "new!", 100);
        write(&place, "fs/target/same size", "old!", 200);
        write(&place, "fs/source/newer", "longer", 200);
        write(&place, "fs/target/newer", "newer there", 100);
        write(&place, "fs/source/older", "longer", 100);
        write(&place, "fs/target/older", "old", 200);
        place.file("config.yaml", &older(&format!("    {flags}\n")));
        place.migrate("config.yaml").assert_code(0);
        let found =
            ["same size", "newer", "older"].map(|n| read(&place, &format!("fs/target/{n}")));
        assert_eq!(found, expected, "{label}");
    }
}

#[test]
fn a_newer_config_in_json_moves_data() {
    let (place, _mounted) = place("json");
    place.file(
        "config.json",
        r#"{
  "x-comment": {"anything": "goes"},
  "report_config": {"format": "MD", "s3_config": null},
  "global_config": {
    "source_fs_types": ["yrfs_ec", "tmpfs"],
    "target_fs_types": ["tmpfs", "s3"],
    "tasks_file": "deploy/data_sources.txt",
    "check_source_entry": false,
    "file_list_dir": "DIR/deploy",
    "file_list_dir_fs_type": "any",
    "max_files_per_output": 500000,
    "concurrency": -1,
    "ultra_large_scale": false,
    "server_side_listing": false,
    "feishu_url": "",
    "rclone_flags": {"checkers": 128, "transfers": 128, "log_level": "INFO", "size_only": false}
  }
}"#,
    );
    let done = place.migrate("config.json").assert_code(0);
    assert_same(&place.path("fs/source"), &place.path("fs/target"));
    let report = done
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("report:  DIR/"));
    assert!(
        report.is_some_and(|path| path.ends_with(".md")),
        "{}",
        done.stdout
    );
    assert!(place.path("data-migrate.d/config").is_dir());
}

#[test]
fn anchors_work_and_sections_may_be_missing() {
    let (place, _mounted) = place("anchors");
    place.file(
        "config.yaml",
        "x-types: &types [tmpfs]
x-more: &more
  concurrency: 2
  target_fs_types: *types
global_config:
  <<: *more
  source_fs_types: *types
  tasks_file: deploy/data_sources.txt
",
    );
    place.migrate("config.yaml").assert_code(0);
    assert_same(&place.path("fs/source"), &place.path("fs/target"));
}

#[test]
fn the_tasks_file_is_found_from_the_working_directory_else_beside_the_config() {
    let config = "global_config: {source_fs_types: any, target_fs_types: any, tasks_file: t.txt}\n";
    let place = Place::new("relative");
    place.file("source/file", "content");
    place.file("etc/config.yaml", config);
    place.file("etc/t.txt", "DIR/source DIR/beside\n");
    place.migrate("etc/config.yaml").assert_code(0);
    assert_eq!(read(&place, "beside/file"), "content");
    place.file("t.txt", "DIR/source DIR/working\n");
    place.migrate("etc/config.yaml").assert_code(0);
    assert_eq!(read(&place, "working/file"), "content");
    assert!(place.path("data-migrate.d/config").is_dir());
}

#[test]
fn variables_say_what_flags_say() {
    let (place, _mounted) = place("variables");
    place.file("config.yaml", &older(""));
    let port = free_port().to_string();
    let mut server = place.command(SERVER);
    server
        .envs([
            ("CONFIGFILE", "config.yaml"),
            ("SERVERPORT", &port),
            ("DEBUG", "1"),
        ])
        // Kubernetes puts these beside a service of the name data-migrate.
        .env("DATA_MIGRATE_SERVER_PORT", "tcp://10.0.0.1:2000")
        .env("DATA_MIGRATE_SERVER_SERVICE_PORT", "2000");
    let server = Program::start(&mut server).unwrap();
    server.wait_for_output("serving run ", LONG).unwrap();
    let mut worker = place.command(WORKER);
    worker
        .env("SERVERADDRESS", format!("127.0.0.1:{port}"))
        .env("CLIENT_NAME", "node-7")
        .envs([("CONCURRENCY", "2"), ("DEBUG", ""), ("TRACE", "0")])
        .env("DATA_MIGRATE_SERVER_PORT", "tcp://10.0.0.1:2000");
    let worker = Program::start(&mut worker).unwrap();
    let Done { stderr, .. } = place.end(&server).assert_code(0);
    assert!(stderr.contains("DEBUG coordinator"), "{stderr}");
    let Done { stderr, .. } = place.end(&worker).assert_code(0);
    assert!(
        stderr.contains("registered as node-7 with 2 slots, 128 threads"),
        "{stderr}"
    );
    assert!(!stderr.contains("DEBUG"), "{stderr}");
    let table = place.results();
    let row = table.find("id", "1").unwrap();
    assert_eq!(row.get("client id"), Some("node-7"));
    assert_same(&place.path("fs/source"), &place.path("fs/target"));
}

#[test]
fn the_lower_of_flag_and_config_is_the_concurrency_and_empty_or_zero_means_three() {
    for (variable, config, expected) in [
        ("", "", 3),
        ("0", "  concurrency: 5\n", 3),
        ("-1", "  concurrency: 2\n", 2),
        ("8", "  concurrency: 5\n", 5),
        ("2", "  concurrency: 0\n", 2),
    ] {
        let place = Place::new("concurrency");
        place.file("source/file", "content");
        place.file("t.txt", "DIR/source DIR/target\n");
        let text =
            "global_config:\n  source_fs_types: any\n  target_fs_types: any\n  tasks_file: t.txt\n";
        place.file("config.yaml", &format!("{text}{config}"));
        let port = free_port().to_string();
        let mut server = place.command(SERVER);
        server.args(["--config.file", "config.yaml", "--server.port", &port]);
        let server = Program::start(&mut server).unwrap();
        let mut worker = place.command(WORKER);
        worker.args(["--server.address", &format!("127.0.0.1:{port}")]);
        let worker = Program::start(worker.env("CONCURRENCY", variable)).unwrap();
        place.end(&server).assert_code(0);
        let done = place.end(&worker).assert_code(0);
        let slots = format!("with {expected} slots");
        assert!(done.stderr.contains(&slots), "{slots}: {}", done.stderr);
    }
}
