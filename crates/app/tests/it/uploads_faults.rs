//! An S3 that is down, slow, wrong or full delays uploads and warns, and holds up nothing else: the run ends with its own
//! exit code, what is missing is named, and the next start or `data-migrate upload` brings exactly that.

use std::time::{Duration, Instant};

use testkit::Program;
use testkit::tree::{Recipe, make};

use crate::fleet::{self, Fleet, Settings, assert_exit};
use crate::place::{Done, LONG, MAIN, Place};
use crate::s3::{ACCESS, Fault, FaultyS3, RcloneS3, keys, section};

/// One task that succeeds, with uploads to `endpoint` that are tried for so long after the end.
fn place(label: &str, endpoint: &str, s3_keys: &[String], wait_secs: u32) -> Place {
    let place = Place::new(label);
    make(&place.path("a"), &Recipe::plain(3, 10), 1).unwrap();
    place.file("tasks.txt", "DIR/a DIR/to/a\n");
    let global =
        "global_config: {source_fs_types: [any], target_fs_types: [any], tasks_file: tasks.txt}\n";
    let server = format!("server: {{upload_wait_secs: {wait_secs}}}\n");
    let lines: Vec<&str> = s3_keys.iter().map(String::as_str).collect();
    let section = section(endpoint, "csv", &lines);
    place.file("config.yaml", &format!("{global}{server}{section}"));
    place
}

/// The keys that a program's log names as not uploaded.
fn named(log: &str) -> Vec<String> {
    let lines = log
        .lines()
        .filter_map(|line| line.split_once("not uploaded to "));
    let lists = lines.filter_map(|(_, rest)| rest.split_once(": ")?.1.split(" (").next());
    let mut keys: Vec<String> = lists
        .flat_map(|list| list.split(", ").map(str::to_owned))
        .collect();
    keys.sort();
    keys
}

fn upload(place: &Place) -> Done {
    let mut command = place.command(MAIN);
    place.run(command.args(["upload", "--config.file", "config.yaml"]))
}

#[test]
fn what_was_down_until_after_the_end_gets_exactly_what_was_named() {
    let mut s3 = RcloneS3::down();
    for by_command in [true, false] {
        let place = place("down", &s3.endpoint(), &keys(), 1);
        let done = place.migrate("config.yaml").assert_code(0);
        assert!(
            done.stderr
                .contains("no connection: connection refused; tried again in 1 s"),
            "{}",
            done.stderr
        );
        let missing = named(&done.stderr);
        assert_eq!(missing.len(), 2, "{}", done.stderr);
        // Still down.
        let still = upload(&place).assert_code(1);
        for key in &missing {
            assert!(
                still.stderr.contains(&format!("missing: {key}")),
                "{still:?}"
            );
        }
        let before = s3.keys();
        s3.start();
        match by_command {
            true => {
                let done = upload(&place).assert_code(0);
                assert!(done.stdout.contains("2 uploaded to "), "{done:?}");
                for key in &missing {
                    assert!(
                        done.stdout.contains(&format!("uploaded: {key}")),
                        "{done:?}"
                    );
                }
                let again = upload(&place).assert_code(0);
                assert!(again.stdout.contains("0 uploaded to "), "{again:?}");
            }
            false => {
                let again = place.migrate("config.yaml").assert_code(0);
                let log = &again.stderr;
                assert!(
                    log.contains("is over already, nothing is done again"),
                    "{log}"
                );
                assert!(
                    log.contains("uploads from before go on: 2 objects wait"),
                    "{log}"
                );
                assert_eq!(named(log), [""; 0]);
            }
        }
        let mut arrived = s3.keys();
        arrived.retain(|key| !before.contains(key));
        assert_eq!(arrived, missing);
        s3.stop();
    }
}

#[test]
fn what_comes_up_while_the_server_waits_gets_all() {
    let mut s3 = RcloneS3::down();
    let place = place("late", &s3.endpoint(), &keys(), 60);
    let mut command = place.command(MAIN);
    let program = Program::start(command.args(["run", "--config.file", "config.yaml"])).unwrap();
    program
        .wait_for_output("uploads are not done yet: waiting up to 60 s", LONG)
        .unwrap();
    s3.start();
    let done = place.end(&program).assert_code(0);
    assert!(done.stderr.contains("no connection: "), "{}", done.stderr);
    assert!(done.stderr.contains(" go on"), "{}", done.stderr);
    assert_eq!(named(&done.stderr), [""; 0]);
    assert_eq!(s3.keys().len(), 2);
}

#[test]
fn what_comes_up_in_mid_run_gets_the_logs_while_the_run_goes_on() {
    let mut s3 = RcloneS3::down();
    let [access, secret] = keys();
    let settings = Settings {
        transfers: 1,
        concurrency: 1,
        lease_secs: 60,
        more_sections: section(&s3.endpoint(), "csv", &[&access, &secret]),
        ..Settings::default()
    };
    let mut fleet = Fleet::new("mid-run", &settings);
    fleet.add_tree(&Recipe::plain(2, 10), 1);
    fleet.add_slow_tree(&Recipe::plain(100, 1_000), 2);
    let server = fleet.server();
    let worker = fleet.worker("w1");
    server.wait_for_output("tried again in 1 s", LONG).unwrap();
    worker.stop();
    s3.start();
    let arrived = || s3.keys().iter().any(|key| key.ends_with("_1.txt.gz"));
    server
        .wait_until("the log of task 1", LONG, arrived)
        .unwrap();
    assert!(fleet.status().is_some(), "the server goes on");
    worker.resume();
    assert_exit(&server, 0);
    assert_exit(&worker, 0);
    fleet.assert_migrated();
    assert_eq!(s3.keys().len(), 3);
    assert!(server.stderr().contains("no connection: "));
}

#[test]
fn keys_that_are_refused_are_named_and_the_run_ends_soon() {
    let s3 = RcloneS3::up();
    let wrong = [
        format!("access_key: {ACCESS}"),
        "secret_key: wrong".to_owned(),
    ];
    let place = place("refused", &s3.endpoint(), &wrong, 600);
    let begun = Instant::now();
    let done = place.migrate("config.yaml").assert_code(0);
    assert!(
        begun.elapsed() < Duration::from_secs(60),
        "it need not wait"
    );
    let log = &done.stderr;
    let reason = "HTTP status 403 SignatureDoesNotMatch: the keys of s3_config are not accepted";
    assert!(log.contains(reason), "{log}");
    assert_eq!(named(log).len(), 2, "{log}");
    assert!(
        log.contains("data-migrate upload --config.file config.yaml"),
        "{log}"
    );
    assert_eq!(s3.keys(), [""; 0]);
}

#[test]
fn a_bucket_that_does_not_exist_is_told() {
    let s3 = RcloneS3::up();
    let place = place("no-bucket", &s3.endpoint(), &keys(), 600);
    let config = std::fs::read_to_string(place.path("config.yaml")).unwrap();
    place.file(
        "config.yaml",
        &config.replace("bucket: test", "bucket: nowhere"),
    );
    let done = place.migrate("config.yaml").assert_code(0);
    let reason = "HTTP status 404 NoSuchBucket: there is no such bucket";
    assert!(done.stderr.contains(reason), "{}", done.stderr);
    assert_eq!(named(&done.stderr).len(), 2);
}

#[test]
fn a_server_that_never_answers_holds_up_neither_the_run_nor_the_end() {
    let s3 = FaultyS3::new(Fault::Hang);
    let place = place("hang", &s3.endpoint(), &keys(), 3);
    let begun = Instant::now();
    let done = place.migrate("config.yaml").assert_code(0);
    assert!(
        begun.elapsed() < Duration::from_secs(30),
        "{:?}",
        begun.elapsed()
    );
    assert!(s3.fired() > 0, "the fault fired");
    assert_eq!(named(&done.stderr).len(), 2, "{}", done.stderr);
    assert!(
        done.stderr.contains("(there was no time)"),
        "{}",
        done.stderr
    );
}

#[test]
fn a_bucket_that_is_full_is_tried_again_and_told() {
    for (status, code) in [(507, "QuotaExceeded"), (503, "SlowDown")] {
        let s3 = FaultyS3::new(Fault::Status(status, code));
        let place = place("full", &s3.endpoint(), &keys(), 3);
        let done = place.migrate("config.yaml").assert_code(0);
        let reason = format!("HTTP status {status} {code}");
        assert!(done.stderr.contains(&reason), "{}", done.stderr);
        assert!(!done.stderr.contains("SHOWN TO NOBODY"), "{}", done.stderr);
        assert_eq!(named(&done.stderr).len(), 2, "{}", done.stderr);
        assert!(s3.fired() >= 2, "tried again: {}", s3.fired());
    }
}

#[test]
fn a_stop_does_not_wait_for_a_server_that_hangs() {
    let s3 = FaultyS3::new(Fault::Hang);
    let place = place("stopped", &s3.endpoint(), &keys(), 600);
    let mut command = place.command(MAIN);
    let program = Program::start(command.args(["run", "--config.file", "config.yaml"])).unwrap();
    program
        .wait_for_output("uploads are not done yet: waiting up to 600 s", LONG)
        .unwrap();
    program.terminate();
    let stopped = Instant::now();
    // The run is over: its result counts.
    let done = place.end(&program).assert_code(0);
    assert!(stopped.elapsed() < Duration::from_secs(20));
    assert!(s3.fired() > 0, "the fault fired");
    assert_eq!(named(&done.stderr).len(), 2, "{}", done.stderr);
}

#[test]
fn a_killed_server_has_lost_no_upload() {
    let hanging = FaultyS3::new(Fault::Hang);
    let place = place("killed", &hanging.endpoint(), &keys(), 600);
    let mut command = place.command(MAIN);
    let program = Program::start(command.args(["run", "--config.file", "config.yaml"])).unwrap();
    program
        .wait_for_output("uploads are not done yet", LONG)
        .unwrap();
    program.kill();
    program.wait(LONG).unwrap();
    let s3 = RcloneS3::up();
    let config = std::fs::read_to_string(place.path("config.yaml")).unwrap();
    place.file(
        "config.yaml",
        &config.replace(&hanging.endpoint(), &s3.endpoint()),
    );
    let done = upload(&place).assert_code(0);
    assert!(done.stdout.contains("2 uploaded to "), "{done:?}");
    assert_eq!(s3.keys().len(), 2);
}

#[test]
fn a_config_that_names_no_place_is_told_and_the_run_goes_on() {
    for (from, to, told) in [
        (
            "bucket: test",
            "bucket: <bucket>",
            "s3_config.bucket is not set, or still a placeholder",
        ),
        (
            "endpoint: ",
            "endpoint: ftp://",
            "s3_config.endpoint is no address",
        ),
        (
            "secret_key: ",
            "secret_key_file: /gone/",
            "cannot read s3_config.secret_key_file",
        ),
    ] {
        let place = place("unusable", "10.0.0.1:80", &keys(), 600);
        let config = std::fs::read_to_string(place.path("config.yaml")).unwrap();
        assert!(config.contains(from));
        let config = config.replace(from, to);
        place.file(
            "config.yaml",
            &config.replace(&format!("access_key: {ACCESS}"), "access_key: x"),
        );
        let done = place.migrate("config.yaml").assert_code(0);
        let log = &done.stderr;
        assert!(log.contains(told), "{told}: {log}");
        assert!(log.contains("are kept on this machine only"), "{log}");
        let done = upload(&place).assert_code(2);
        assert!(done.stderr.contains(told), "{}", done.stderr);
    }
}

#[test]
fn upload_says_what_it_needs() {
    let fleet = Fleet::new("no-s3", &Settings::default());
    let config = fleet.config_file();
    let run = |fleet: &Fleet| {
        let mut command = fleet.command(MAIN, "elsewhere");
        fleet::start(command.args(["upload", "--config.file"]).arg(&config))
    };
    let program = run(&fleet);
    assert_exit(&program, 2);
    let log = program.stderr();
    assert!(log.contains("has no report_config.s3_config"), "{log}");
    assert!(!fleet.data_dir().exists(), "nothing is created");

    // A server uploads by itself.
    let [access, secret] = keys();
    let settings = Settings {
        more_sections: section("http://127.0.0.1:9", "csv", &[&access, &secret]),
        ..Settings::default()
    };
    let mut fleet = Fleet::new("running", &settings);
    fleet.add_tree(&Recipe::plain(2, 10), 1);
    let server = fleet.server();
    let mut command = fleet.command(MAIN, "elsewhere");
    let program = fleet::start(
        command
            .args(["upload", "--config.file"])
            .arg(fleet.config_file()),
    );
    assert_exit(&program, 2);
    let log = program.stderr();
    assert!(
        log.contains(&format!("is in use by process {} on ", server.id())),
        "{log}"
    );
}
