//! Remotes on either side or on both: trees and lists go there and come back, guarded by the types of the config; rclone
//! gets no section of the config file but those that it needs, and bad remotes are told by name (P13).

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use testkit::rclone::{both, current};
use testkit::{Program, free_port};

use crate::place::{self, LONG, SERVER, WORKER};
use crate::rclone::{self, remotes::Remotes};
use crate::rclone::{calls, in_front_of_each, migrate};

#[test]
fn a_tree_goes_to_a_remote_to_another_and_comes_back() {
    for (version, program) in both() {
        let remotes = Remotes::new(version);
        let place = &remotes.place;
        remotes.task(("any", "webdav"), "DIR/source dav:a/b\n");
        migrate(place, &program).assert_code(0);
        remotes.assert_in("dav/a/b");
        remotes.task(("webdav", "s3"), "dav:a/b store:bucket/x\n");
        migrate(place, &program).assert_code(0);
        remotes.assert_in("s3/bucket/x");
        remotes.task(("s3", "any"), "store:bucket/x DIR/back\n");
        migrate(place, &program).assert_code(0);
        remotes.assert_in("back");
        // What is there already is not copied again.
        migrate(place, &program).assert_code(0);
        let table = place.results();
        assert_eq!(table.rows().last().unwrap().number("files"), 0, "{version}");
    }
}

#[test]
fn what_a_filter_leaves_out_of_a_remote_is_counted_and_stays_there() {
    for (version, program) in both() {
        let remotes = Remotes::new(version);
        let place = &remotes.place;
        for file in [
            "dav/x/a/keep",
            "dav/x/a/out/1",
            "dav/x/a/out/2",
            "dav/x/b.tmp",
            "dav/x/old",
        ] {
            place.file(file, "content");
        }
        place.file("dav/x/large", &"x".repeat(100));
        let old = SystemTime::now() - Duration::from_secs(40 * 24 * 60 * 60);
        let opened = fs::File::options()
            .write(true)
            .open(place.path("dav/x/old"));
        opened.unwrap().set_modified(old).unwrap();
        remotes.task(("webdav", "any"), "dav:x DIR/back\n");
        let config = fs::read_to_string(place.path("config.yaml")).unwrap();
        let section = "global_config:\n";
        assert!(config.contains(section), "{config}");
        let filter = "  exclude: [out/, \"*.tmp\"]\n  max_size: 50\n  max_age: 30d\n";
        place.file(
            "config.yaml",
            &config.replace(section, &format!("{section}{filter}")),
        );
        let done = migrate(place, &program).assert_code(0);
        let mut names: Vec<_> = fs::read_dir(place.path("back"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["a"], "{version}: {}", done.stderr);
        let inside = fs::read_dir(place.path("back/a")).unwrap();
        assert_eq!(inside.count(), 1, "{version}");
        assert!(place.path("back/a/keep").exists());
        let table = place.results();
        let task = table.rows().find(|row| row.number("subtask id") == 0);
        let log = fs::read_to_string(task.unwrap().get("log file").unwrap()).unwrap();
        for line in [
            "skipped, excluded: 2",
            "skipped, size outside the limits: 1",
            "skipped, age outside the limits: 1",
        ] {
            assert!(log.contains(line), "{version}: {line}: {log}");
        }
    }
}

#[test]
fn the_types_of_the_config_guard_remotes_too() {
    let remotes = Remotes::new("types");
    remotes.place.file("s3/bucket/there", "something");
    remotes.place.file("dav/a/there", "something");
    for (types, task, told) in [
        (("any", "s3"), "DIR/source dav:a\n", ", webdav)"),
        (("webdav", "any"), "store:bucket DIR/target\n", "(s3, "),
        (("webdav", "webdav"), "dav:a store:bucket\n", "(webdav, s3)"),
    ] {
        remotes.task(types, task);
        migrate(&remotes.place, &current()).assert_code(1);
        let message = remotes.failure();
        let expected = "actual source or target filesystem type not match(";
        assert!(message.starts_with(expected), "{message}");
        assert!(message.contains(told), "{message}");
    }
    assert!(!remotes.place.path("target").exists());
    for directory in ["dav/a", "s3/bucket"] {
        let there = fs::read_dir(remotes.place.path(directory)).unwrap();
        assert_eq!(there.count(), 1, "nothing came to {directory}");
    }
}

#[test]
fn rclone_gets_only_the_sections_that_it_needs_in_a_file_of_its_own() {
    let remotes = Remotes::new("sections");
    let place = &remotes.place;
    let look = "while [[ $1 != --config ]]; do shift_args+=(\"$1\"); shift; done
        stat -c %a \"$2\" \"$(dirname \"$2\")\" >\"$call/modes\"
        tr '\\0' '\\n' </proc/$$/cmdline | grep -A1 '^--config$' | tail -n 1 >\"$call/named\"
        echo \"$2\" >>\"$call/named\"
        cp \"$2\" \"$call/config\"
        real \"${shift_args[@]}\" \"$@\"";
    let looking = in_front_of_each(place, &current(), "copy|lsjson", look);
    remotes.task(("webdav", "any"), "dav:more DIR/back\n");
    place.file("dav/more/file", "content");
    migrate(place, &looking).assert_code(0);
    assert_eq!(fs::read(place.path("back/file")).unwrap(), b"content");
    assert!(calls(place) >= 2, "it listed, and copied");
    for call in 1..=calls(place) {
        let read = |name| fs::read_to_string(place.path(format!("calls/{call}/{name}"))).unwrap();
        assert_eq!(read("modes"), "600\n700\n");
        let config = read("config");
        assert!(config.starts_with("[dav]\n"), "{config}");
        assert_eq!(config.matches('[').count(), 1, "{config}");
        let named = read("named");
        let (in_proc, given) = named.split_once('\n').unwrap();
        assert_eq!(in_proc, given.trim_end());
        assert!(!fs::exists(in_proc).unwrap(), "gone with its process");
    }
}

#[test]
fn a_listing_that_hangs_ends_with_its_worker() {
    for hanging_call in [1, 2] {
        let remotes = Remotes::new("hanging");
        let place = &remotes.place;
        let hang = format!(
            "((n == {hanging_call})) || exec {} \"$@\"\nsleep 1000",
            current().display()
        );
        let hanging = in_front_of_each(place, &current(), "lsjson", &hang);
        remotes.task(("webdav", "any"), "dav: DIR/back\n");
        place.file("dav/file", "content");
        let run = Program::start(&mut rclone::command(place, &hanging)).unwrap();
        let hangs = || place.path(format!("calls/{hanging_call}/pid")).exists();
        run.wait_until("a listing that hangs", LONG, hangs).unwrap();
        run.terminate();
        let ended = run.exit_code(LONG).unwrap();
        assert_eq!(ended, 128 + 15, "{}", run.stderr());
        assert!(
            !run.stderr().contains("it is tried again"),
            "no attempt is lost: {}",
            run.stderr()
        );
        let pid = fs::read_to_string(place.path(format!("calls/{hanging_call}/pid"))).unwrap();
        rclone::assert_ends(pid.trim());
        assert!(!place.path("back/file").exists());
    }
}

#[test]
fn a_listing_that_tells_of_nothing_more_is_ended_and_tried_again() {
    let remotes = Remotes::new("stalled");
    let place = &remotes.place;
    let hang = format!(
        "((n == 2)) || exec {} \"$@\"\nsleep 1000",
        current().display()
    );
    let hanging = in_front_of_each(place, &current(), "lsjson", &hang);
    remotes.task(("webdav", "any"), "dav: DIR/back\n");
    let config = fs::read_to_string(place.path("config.yaml")).unwrap();
    let section = "global_config:\n";
    let limited = format!("{section}  rclone_stall_secs: 2\n");
    assert!(config.contains(section), "{config}");
    place.file("config.yaml", &config.replace(section, &limited));
    place.file("dav/file", "content");
    let done = place.run(&mut rclone::command(place, &hanging));
    assert_eq!(done.code, 0, "{}", done.stderr);
    let told = "rclone told of nothing more in dav: for 2 s and was ended; it is tried again";
    assert!(done.stderr.contains(told), "{}", done.stderr);
    let pid = fs::read_to_string(place.path("calls/2/pid")).unwrap();
    rclone::assert_ends(pid.trim());
    assert_eq!(
        fs::read_to_string(place.path("back/file")).unwrap(),
        "content"
    );
}

#[test]
fn a_worker_without_rclone_has_no_part_in_a_task_with_a_remote() {
    let remotes = Remotes::new("no-part");
    let place = &remotes.place;
    remotes.task(("any", "webdav"), "DIR/source dav:a\n");
    let port = free_port().to_string();
    let mut server = place.command(SERVER);
    server.args(["--config.file", "config.yaml", "--server.port", &port]);
    let server = Program::start(&mut server).unwrap();
    server.wait_for_output("serving run ", LONG).unwrap();
    let worker = |name: &str, rclone: &Path| {
        let mut command = place.command(WORKER);
        command
            .args(["--server.address", &format!("127.0.0.1:{port}")])
            .args(["--debug", "--name", name, "--rclone.path"])
            .arg(rclone)
            .env("RCLONE_CONFIG", place.path("rclone.conf"));
        Program::start(&mut command).unwrap()
    };
    let without = worker("without", Path::new("/no/such/rclone"));
    server
        .wait_for_output("task 1 waits: no worker has a usable rclone", LONG)
        .unwrap();
    let with = worker("with", &current());
    place.end(&server).assert_code(0);
    place.end(&with).assert_code(0);
    let log = place.end(&without).assert_code(0).stderr;
    assert!(
        log.contains("registered") && !log.contains(": item "),
        "{log}"
    );
    remotes.assert_in("dav/a");
}

#[test]
fn a_remote_that_is_not_there_is_told_with_the_config_file() {
    let remotes = Remotes::new("unknown");
    for task in ["DIR/source nowhere:x\n", "nowhere:x DIR/target\n"] {
        remotes.task(("any", "any"), task);
        migrate(&remotes.place, &current()).assert_code(1);
        let message = remotes.failure();
        assert!(
            message.contains("DIR/rclone.conf has no remote nowhere"),
            "{message}"
        );
    }
    fs::remove_file(remotes.place.path("rclone.conf")).unwrap();
    migrate(&remotes.place, &current()).assert_code(1);
    let message = remotes.failure();
    assert!(message.contains("cannot read DIR/rclone.conf"), "{message}");
}

#[test]
fn remotes_with_options_of_their_own_are_refused_at_the_start() {
    let remotes = Remotes::new("inline");
    for remote in [
        ":local:/etc",
        ":sftp,ssh=\"touch DIR/x\":y",
        "dav,url=http://x:y",
    ] {
        for task in [
            format!("DIR/source '{remote}'\n"),
            format!("'{remote}' DIR/target\n"),
        ] {
            remotes.task(("any", "any"), &task);
            let done = migrate(&remotes.place, &current()).assert_code(2);
            let said = "is a remote with inline options, which can make rclone run commands";
            assert!(done.stderr.contains(said), "{}", done.stderr);
        }
    }
    assert!(!remotes.place.path("data_migrate_results.csv").exists());
}

#[test]
fn a_list_names_what_is_taken_from_a_remote_or_to_it() {
    for (version, program) in both() {
        let remotes = Remotes::new(version);
        let place = &remotes.place;
        for file in ["f", "d/a", "d/b/c", "e/x", "e/y", "#g", "with blank/h"] {
            place.file(&format!("dav/in/{file}"), file);
            place.file(&format!("plain/{file}"), file);
        }
        place.file(
            "list",
            "/f\r\nd/\r\n\r\n e//x \n#g\nwith blank\nf\ngone\nd/gone too\n",
        );
        let expected = [
            "#g",
            "d",
            "d/a",
            "d/b",
            "d/b/c",
            "e",
            "e/x",
            "f",
            "with blank",
            "with blank/h",
        ];
        for (types, task, there) in [
            (("webdav", "any"), "dav:in DIR/target DIR/list\n", "target"),
            (
                ("any", "s3"),
                "DIR/plain store:bucket/out DIR/list\n",
                "s3/bucket/out",
            ),
            (
                ("webdav", "s3"),
                "dav:in store:bucket/over DIR/list\n",
                "s3/bucket/over",
            ),
        ] {
            remotes.task(types, task);
            migrate(place, &program).assert_code(1);
            let root = place.path(there);
            let found: Vec<String> = place::list(&root)
                .into_keys()
                .map(|path| {
                    path.strip_prefix(&root)
                        .unwrap()
                        .to_str()
                        .unwrap()
                        .to_owned()
                })
                .collect();
            assert_eq!(found, expected, "{version}: {task}");
            let table = place.results();
            let row = table.rows().last().unwrap();
            assert_eq!(row.number("files"), 6, "{version}: {task} {row:?}");
            let log = fs::read_to_string(row.get("log file").unwrap()).unwrap();
            assert!(
                log.contains("FAILED (missing) gone: "),
                "{version}: {task} {log}"
            );
        }
    }
}
