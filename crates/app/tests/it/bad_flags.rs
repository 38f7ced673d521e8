//! Bad flags and variables, and a port or a data directory that is taken: exit code 2, a message that says what is
//! expected or who is in the way, and nothing created or changed.

use std::net::TcpListener;
use std::process::Command;

use testkit::{Program, free_port};

use crate::place::{LONG, MAIN, Place, SERVER, WORKER};

/// With a config for tasks that are good.
fn good_place(label: &str) -> Place {
    let place = Place::new(label);
    place.file("source/file", "content");
    place.file("tasks.txt", "DIR/source DIR/target\n");
    place.file(
        "config.yaml",
        "global_config: {tasks_file: tasks.txt, source_fs_types: any, target_fs_types: any}\n",
    );
    place
}

/// The first paragraph of what it is told.
#[track_caller]
fn refused(place: &Place, command: &mut Command) -> String {
    let message = place.refused(command);
    let first = message.split("\n\n").next().unwrap_or_default();
    first.trim_end().to_owned()
}

#[test]
fn flags_and_variables_that_can_not_be_used_say_what_is_expected() {
    let place = good_place("flags");
    let with_config = ["--config.file", "config.yaml"];
    let server: &[(&[&str], &str)] = &[
        (
            &["--server.port", "70000"],
            "error: invalid value '70000' for '--server.port <N>': expected a port from 0 to 65535",
        ),
        (
            &["--debug=maybe"],
            "error: invalid value 'maybe' for '--debug[=<BOOL>]': expected 1, t, true, 0, f, false or nothing",
        ),
        (
            &["--log.format", "xml"],
            "error: invalid value 'xml' for '--log.format <FORMAT>'\n  [possible values: text, json]",
        ),
        (
            &["--lease", "3"],
            "error: unexpected argument '--lease' found",
        ),
        (&["extra"], "error: unexpected argument 'extra' found"),
    ];
    for (flags, expected) in server {
        for command in [
            place.command(SERVER).args(with_config),
            place.command(MAIN).arg("run").args(with_config),
        ] {
            assert_eq!(refused(&place, command.args(*flags)), *expected);
        }
    }
    for (variable, value, expected) in [
        (
            "SERVERPORT",
            "tcp://10.0.0.1:2000",
            "error: invalid value 'tcp://10.0.0.1:2000' for '--server.port <N>': expected a port from 0 to 65535",
        ),
        (
            "DEBUG",
            "yes",
            "error: invalid value 'yes' for '--debug[=<BOOL>]': expected 1, t, true, 0, f, false or nothing",
        ),
    ] {
        let mut command = place.command(SERVER);
        command.args(with_config).env(variable, value);
        assert_eq!(refused(&place, &mut command), expected);
    }
}

#[test]
fn a_worker_without_a_usable_address_says_what_is_expected() {
    let place = Place::new("address");
    let none = "error: no server: name it with --server.address HOST:PORT or in SERVERADDRESS";
    assert_eq!(refused(&place, &mut place.command(WORKER)), none);
    let mut empty = place.command(WORKER);
    assert_eq!(refused(&place, empty.env("SERVERADDRESS", "")), none);
    for (address, shown) in [
        ("host", "host"),
        (":2000", ":2000"),
        ("host:99999", "host:99999"),
        ("host:", "host:"),
        ("host:2000,", ""),
        ("http://host:2000", "http://host:2000"),
    ] {
        let mut command = place.command(WORKER);
        command.args(["--server.address", address]);
        assert_eq!(
            refused(&place, &mut command),
            format!(
                "error: '{shown}' is no address of a server, expected HOST:PORT, as in 10.0.0.1:2000"
            )
        );
    }
    for (flags, expected) in [
        (
            ["--concurrency", "three"],
            "error: invalid value 'three' for '--concurrency <N>': expected a whole number",
        ),
        (
            ["--transfers", "0"],
            "error: invalid value '0' for '--transfers <N>': 0 is not in 1..=1024",
        ),
    ] {
        let mut command = place.command(WORKER);
        command.args(["--server.address", "host:2000"]).args(flags);
        assert_eq!(refused(&place, &mut command), expected);
    }
}

#[test]
fn a_copy_of_or_into_what_does_not_fit_is_refused() {
    let place = good_place("copy");
    for (paths, expected) in [
        (
            ["nowhere", "target"],
            "error: path does not exist: stat nowhere: no such file or directory",
        ),
        (
            ["source/file", "target"],
            "error: source dir source/file is not directory",
        ),
        (
            ["source", "tasks.txt"],
            "error: target dir tasks.txt is not directory",
        ),
        (
            ["source", "source/below/it"],
            "error: target dir source/below/it is inside source dir source: choose a target outside the source",
        ),
        (
            ["source", "source/"],
            "error: source dir source and target dir source/ are the same directory: choose another target",
        ),
    ] {
        let mut command = place.command(MAIN);
        assert_eq!(refused(&place, command.arg("copy").args(paths)), expected);
    }
}

#[test]
fn a_port_that_is_taken_is_named_and_nothing_is_begun() {
    let place = good_place("port");
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    for command in [&mut place.command(SERVER), place.command(MAIN).arg("run")] {
        command.args([
            "--config.file",
            "config.yaml",
            "--server.port",
            &port.to_string(),
        ]);
        assert_eq!(
            refused(&place, command),
            format!(
                "error: cannot listen on port {port}: another server may be running; --server.port takes another \
                 one: Address already in use (os error 98)"
            )
        );
    }
}

#[test]
fn a_data_directory_in_use_is_refused_and_its_holder_named() {
    let place = good_place("locked");
    let serve = || {
        let mut command = place.command(SERVER);
        command.args(["--config.file", "config.yaml", "--server.port"]);
        command.arg(free_port().to_string());
        command
    };
    let first = Program::start(&mut serve()).unwrap();
    first.wait_for_output("serving run ", LONG).unwrap();
    let holder = format!("process {} on ", first.id());
    let message = refused(&place, &mut serve());
    assert!(
        message.starts_with(&format!(
            "error: the data directory DIR/data-migrate.d/config is in use by {holder}"
        )),
        "{message}"
    );
    assert!(
        message.ends_with(": stop that server, or give this one another server.data_dir"),
        "{message}"
    );
    assert!(first.is_running());
    first.terminate();
    place.end(&first).assert_code(143);
}
