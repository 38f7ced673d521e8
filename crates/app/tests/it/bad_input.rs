//! Bad input gets a clear error that names file, line and what is expected; the exit code is 2, and nothing is created
//! or changed: no state, no results, no target.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::place::{MAIN, Place, SERVER};

const GLOBAL: &str = "global_config:
  tasks_file: tasks.txt
  source_fs_types: [any]
  target_fs_types: [any]
";
const TASKS: &str = "DIR/source DIR/target\n";

/// With a source, a config and a tasks file that are good.
fn good_place(label: &str) -> Place {
    let place = Place::new(label);
    place.file("source/file", "content");
    place.file("config.yaml", GLOBAL);
    place.file("tasks.txt", TASKS);
    place
}

fn server(place: &Place, config: &str) -> Command {
    let mut command = place.command(SERVER);
    command.args(["--config.file", &place.with_directory(config)]);
    command
}

#[test]
fn a_config_that_can_not_be_used_is_refused_with_its_place() {
    let long_keys = "report_config, global_config, server, notify";
    let yaml: &[(&str, &str)] = &[
        ("", ": the file is empty, expected a config"),
        ("# only this\n", ": the file is empty, expected a config"),
        ("words\n", ": the config is text, expected keys with values"),
        (
            "global_config:\n\ttasks_file: t\n",
            ":2:2: tabs disallowed within this context (block indentation), expected YAML",
        ),
        (
            "global_config: {tasks_file: t\n",
            ":1:16: unclosed bracket '{', expected YAML",
        ),
        (
            "a: b\n",
            &format!(":1:1: unknown key 'a' at the top level, expected one of {long_keys}"),
        ),
        (
            "+  dry_run: true\n",
            ":5:3: unknown key 'dry_run' in global_config, expected perhaps 'dryrun'",
        ),
        (
            "+globl_config: {}\n",
            ":5:1: unknown key 'globl_config' at the top level, expected perhaps 'global_config'",
        ),
        (
            "+  transfers: many\n",
            ":5:14: global_config.transfers is text, expected a whole number from 1 to 1024",
        ),
        (
            "+  transfers: 0\n",
            ":5:14: global_config.transfers is 0, expected a whole number from 1 to 1024",
        ),
        (
            "+  dryrun: perhaps\n",
            ":5:11: global_config.dryrun is text, expected true or false",
        ),
        (
            "+  update: true\n  update: true\n",
            ":6:3: the key 'update' is given twice, expected each key once",
        ),
        (
            "+report_config: {format: pdf}\n",
            ":5:25: report_config.format is 'pdf', expected csv, md, markdown or html",
        ),
        (
            "+report_config: [csv]\n",
            ":5:16: report_config is a list, expected keys with values",
        ),
        (
            "report_config:\n  format: csv\n",
            ": the section global_config is missing, expected it with tasks_file, source_fs_types and target_fs_types",
        ),
        (
            "global_config:\n  source_fs_types: [any]\n  target_fs_types: [any]\n",
            ":2:3: global_config.tasks_file is missing, expected the path of the tasks file",
        ),
        (
            "global_config:\n  tasks_file: tasks.txt\n  source_fs_types: [any]\n  target_fs_types: []\n",
            ":2:3: global_config.target_fs_types is missing or empty, expected the types of file system that a target may lie on, or [any]",
        ),
        (
            "global_config:\n  tasks_file: tasks.txt\n  target_fs_type: xfs\n",
            ":2:3: global_config.source_fs_types is missing or empty, expected the types of file system that a source may lie on, or [any]",
        ),
        (
            "+server: {lease_secs: 5, heartbeat_secs: 4}\n",
            ":5:9: server.lease_secs is 5 and server.heartbeat_secs is 4, expected a lease of at least two heartbeats",
        ),
        (
            "+server: {lease_secs: 0}\n",
            ":5:22: server.lease_secs is 0, expected a whole number from 1 to 86400",
        ),
        (
            "+server: {heartbeat_secs: never}\n",
            ":5:26: server.heartbeat_secs is text, expected a whole number from 1 to 86400",
        ),
        (
            "+server: {port: 70000}\n",
            ":5:16: server.port is 70000, expected a whole number from 0 to 65535",
        ),
    ];
    let place = good_place("config");
    for (text, message) in yaml {
        let text = match text.strip_prefix('+') {
            Some(more) => format!("{GLOBAL}{more}"),
            None => (*text).to_owned(),
        };
        place.file("bad.yaml", &text);
        let expected = format!("error: bad.yaml{message}\n");
        assert_eq!(
            place.refused(&mut server(&place, "bad.yaml")),
            expected,
            "{text}"
        );
    }
    for (text, message) in [
        (
            "{\n  \"global_config\": x\n}",
            ":2:20: expected value, expected JSON",
        ),
        (
            "{\"global_config\": {\"transfers\": \"8\"}}",
            ":1:35: global_config.transfers is text, expected a whole number from 1 to 1024",
        ),
        (
            "{\"global_config\": {\"task_file\": \"t\"}}",
            ":1:30: unknown key 'task_file' in global_config, expected perhaps 'tasks_file'",
        ),
    ] {
        place.file("bad.json", text);
        let expected = format!("error: bad.json{message}\n");
        assert_eq!(
            place.refused(&mut server(&place, "bad.json")),
            expected,
            "{text}"
        );
    }
}

#[test]
fn a_config_file_that_can_not_be_read_is_named() {
    let place = good_place("unreadable");
    let none = "error: no config file: name it with --config.file FILE or in CONFIGFILE\n";
    assert_eq!(place.refused(&mut place.command(SERVER)), none);
    assert_eq!(place.refused(place.command(MAIN).arg("run")), none);
    assert_eq!(
        place.refused(place.command(SERVER).env("CONFIGFILE", "")),
        none
    );
    assert_eq!(
        place.refused(&mut server(&place, "DIR/nowhere.yaml")),
        "error: cannot read the config file DIR/nowhere.yaml: No such file or directory (os error 2)\n"
    );
    assert_eq!(
        place.refused(&mut server(&place, "source")),
        "error: cannot read the config file source: Is a directory (os error 21)\n"
    );
    place.bytes("bad.yaml", b"global_config:\n  tasks_file: \xff\n");
    assert_eq!(
        place.refused(&mut server(&place, "bad.yaml")),
        "error: bad.yaml: line 2 has bytes that are no text, expected UTF-8\n"
    );

    let secret = place.file("secret.yaml", GLOBAL);
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let mut as_other = place.command_as_plain_user(SERVER);
    assert_eq!(
        place.refused(as_other.args(["--config.file", "secret.yaml"])),
        "error: cannot read the config file secret.yaml: Permission denied (os error 13)\n"
    );
}

#[test]
fn a_tasks_file_that_can_not_be_used_is_refused_with_its_line() {
    const FORM: &str = "SOURCE TARGET [FILE_LIST] [priority=N]";
    const PATHS: &str = "an absolute path, or REMOTE:PATH with a remote of rclone's configuration";
    let apart = "expected a source and a target apart from each other";
    let no_tasks = format!(": the file has no tasks, expected a line for each: {FORM}");
    let columns = |n| format!("the line has {n}, expected: {FORM} (a path with blanks in quotes)");
    let inline = "is a remote with inline options, which can make rclone run commands";
    let relative = "is neither absolute nor a remote";
    let cases = [
        ("", no_tasks.clone()),
        ("# a comment\n\n  # another\n", no_tasks),
        ("DIR/source\n", format!(":1: {}", columns("1 column"))),
        ("\n/a /b /c /d\n", format!(":2: {}", columns("4 columns"))),
        ("/a b /c '/d'\n", format!(":1: {}", columns("4 columns"))),
        (
            "DIR/source DIR/t\n# between\nDIR/source/ DIR//t\n",
            ":3: the line repeats line 1, expected each task once".to_owned(),
        ),
        (
            "DIR/source DIR/source/t\n",
            format!(":1: the target lies inside the source, {apart}"),
        ),
        (
            "DIR/source/x DIR/source\n",
            format!(":1: the source lies inside the target, {apart}"),
        ),
        (
            "DIR/source DIR//source/\n",
            format!(":1: the target is the source itself, {apart}"),
        ),
        (
            "source DIR/t\n",
            format!(":1: SOURCE {relative}, expected {PATHS}"),
        ),
        (
            "DIR/source ./t\n",
            format!(":1: TARGET {relative}, expected {PATHS}"),
        ),
        (
            "/a /b list\n",
            ":1: FILE_LIST is not absolute, expected the absolute path of a file, or priority=N"
                .to_owned(),
        ),
        (
            "DIR/source DIR/t\n/a /b priority=high\n",
            ":2: the priority is malformed or out of range, expected priority=N with a whole number from \
             -1000 to 1000"
                .to_owned(),
        ),
        (
            "/a\0 /b\n",
            format!(
                ":1: the line contains a NUL byte, expected text without any (UTF-8, not UTF-16): {FORM}"
            ),
        ),
        (
            "/a /b\n:sftp,ssh='touch DIR/x':/a /b\n",
            format!(":2: SOURCE {inline}, expected {PATHS}"),
        ),
        (
            "/a s3,secret_access_key=CANARY:b\n",
            format!(":1: TARGET {inline}, expected {PATHS}"),
        ),
        ("'' /b\n", format!(":1: SOURCE is empty, expected {PATHS}")),
        (
            "/a --rc\n",
            format!(":1: TARGET begins with '-' like an option, expected {PATHS}"),
        ),
    ];
    let place = good_place("tasks");
    for (text, message) in cases {
        place.file("tasks.txt", text);
        assert_eq!(
            place.refused(&mut server(&place, "config.yaml")),
            format!("error: tasks.txt{message}\n"),
            "{text}"
        );
    }
    for (name, cause) in [
        ("nowhere.txt", "No such file or directory (os error 2)"),
        ("source", "Is a directory (os error 21)"),
    ] {
        place.file("bad.yaml", &GLOBAL.replace("tasks.txt", name));
        assert_eq!(
            place.refused(&mut server(&place, "bad.yaml")),
            format!(
                "error: cannot read the tasks file {name} (tasks_file in bad.yaml): expected a file with lines \
                 'SOURCE TARGET [FILE_LIST] [priority=N]', named from the working directory or from the config file's: {cause}\n"
            )
        );
    }
}

/// No input, but as much the user's to set right.
#[test]
fn a_low_limit_of_open_files_is_refused_with_what_to_do() {
    let place = good_place("few-open-files");
    for (program, arguments) in [
        (MAIN, &["copy", "source", "target"][..]),
        (MAIN, &["check", "source", "target"]),
        (MAIN, &["run", "--config.file", "config.yaml"]),
        (SERVER, &["--config.file", "config.yaml"]),
    ] {
        let mut command = place.any_command("sh");
        command.args(["-c", "ulimit -n 20 && exec \"$0\" \"$@\"", program]);
        command.args(arguments);
        let done = place.run(&mut command).assert_code(3);
        let expected =
            "error: at most 20 files may be open here, and 64 at least are needed: raise the limit";
        assert!(done.stderr.contains(expected), "{}", done.stderr);
        assert!(!place.path("target").exists());
    }
}
