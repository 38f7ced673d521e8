//! What a run leaves for people and scripts: rows appended as tasks end, the final report in each format, the progress
//! line, the status, the log as text and JSON.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::results::Table;
use testkit::tree::{Recipe, make};

use crate::fleet::{Fleet, LONG, Settings, assert_exit, start};
use crate::place::{self, Place, reports_in_tmp, take_copy};

const HEADER: &str = "id,subtask id,source dir,target dir,client id,duration,success,split pattern,split files,file from,\
     log file,message,include file,files,bytes,failures,retries,engine";

/// A config for three tasks, of which the second fails.
fn place(label: &str, more: &str) -> Place {
    let place = Place::new(label);
    for source in ["a", "c"] {
        make(&place.path(source), &Recipe::plain(3, 10), 1).unwrap();
    }
    place.file(
        "tasks.txt",
        "DIR/a DIR/to/a\nDIR/b DIR/to/b\nDIR/c DIR/to/c\n",
    );
    let config =
        "global_config: {source_fs_types: [any], target_fs_types: [any], tasks_file: tasks.txt}\n";
    place.file("config.yaml", &format!("{config}{more}"));
    place
}

#[test]
fn rows_are_appended_over_runs_and_a_table_of_others_is_moved_aside() {
    let place = place("append", "");
    let older = "id,source dir,target dir,client id,duration,success,include file,log file,message\n1,/x,/y,,1s,true,,,\n";
    place.file("data_migrate_results.csv", older);
    let done = place.migrate("config.yaml").assert_code(1);
    let note = "WARN a data_migrate_results.csv that has other columns was moved to DIR/";
    assert!(done.stderr.contains(note), "{}", done.stderr);
    let moved: Vec<PathBuf> = fs::read_dir(place.path("."))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| fs::read_to_string(path).is_ok_and(|text| text == older))
        .collect();
    assert_eq!(moved.len(), 1, "{moved:?}");

    let first = place.results();
    assert_eq!(first.header.join(","), HEADER);
    assert_eq!(first.len(), 3);
    let row = first.find("id", "2").unwrap();
    assert_eq!(row.get("success"), Some("false"));
    assert_eq!(
        row.get("message").map(|text| place.without_directory(text)),
        Some("path does not exist: stat DIR/b: no such file or directory".to_owned())
    );
    let row = first.find("id", "3").unwrap();
    assert_eq!(
        (row.number("files"), row.get("engine")),
        (10, Some("native"))
    );
    assert!(Path::new(row.get("log file").unwrap()).is_file());
    let duration = row.get("duration").unwrap();
    assert!(duration.ends_with('s'), "as Go writes it: {duration}");

    // The same again: the run is over.
    let done = place.migrate("config.yaml").assert_code(1);
    assert!(
        done.stderr
            .contains("is over already, nothing is done again; --new-run begins another"),
        "{}",
        done.stderr
    );
    assert_eq!(place.results().len(), 3);
    // Others: their rows come after, all of them, though some are equal to the last.
    for runs in 2..=6 {
        let mut command = place.command(place::MAIN);
        command.args(["run", "--config.file", "config.yaml", "--new-run"]);
        place.run(&mut command).assert_code(1);
        assert_eq!(place.results().len(), 3 * runs);
    }
    let files = |table: &Table| table.rows().map(|row| row.number("files")).sum::<u64>();
    assert_eq!(
        (files(&first), files(&place.results())),
        (20, 20),
        "the runs after the first found all unchanged"
    );
}

#[test]
fn the_report_is_written_in_each_format_to_tmp_and_the_data_directory() {
    let mut copies = 0;
    for (format, extension) in [
        ("csv", "csv"),
        ("md", "md"),
        ("Markdown", "md"),
        ("HTML", "html"),
    ] {
        let place = place("format", &format!("report_config: {{format: {format}}}\n"));
        let mut command = place.command(place::MAIN);
        let program = start(command.args(["run", "--config.file", "config.yaml"]));
        assert_exit(&program, 1);
        let stdout = program.stdout();
        let reports = reports_in_tmp(&stdout);
        let [copy] = &reports[..] else {
            panic!("one copy in /tmp: {stdout}");
        };
        let name = copy.file_name().unwrap().to_str().unwrap();
        let millis = name
            .strip_prefix("data_migrate_results_")
            .and_then(|rest| rest.strip_suffix(&format!(".{extension}")))
            .unwrap_or_else(|| panic!("{name}"));
        assert!(
            millis.len() == 13 && millis.bytes().all(|b| b.is_ascii_digit()),
            "{name}"
        );
        let own = place.path("data-migrate.d/config/reports").join(name);
        let text = fs::read_to_string(own).unwrap();
        if let Some(copy) = take_copy(copy, &place.path("")) {
            copies += 1;
            match extension {
                // A page for the browser has a number in it that is used once.
                "html" => assert_eq!(copy.len(), text.len()),
                _ => assert_eq!(copy, text),
            }
        }
        assert!(text.contains("path does not exist: stat "), "{text}");
        match extension {
            "csv" => {
                let table = Table::parse(&text).unwrap();
                let ids: Vec<u64> = table.rows().map(|row| row.number("id")).collect();
                assert_eq!(ids, [1, 2, 3], "sorted, whichever task ended first");
            }
            "md" => assert!(text.contains("| 3 | 0 |"), "{text}"),
            _ => {
                assert!(text.starts_with("<!doctype html>") || text.starts_with("<!DOCTYPE html>"));
                assert!(
                    !text.contains("src=\"http") && !text.contains("href=\"http"),
                    "it stands alone"
                );
            }
        }
    }
    assert!(copies >= 3, "of four copies in /tmp {copies} were ours");
}

#[test]
fn names_are_escaped_in_the_html_report() {
    let place = Place::new("escaped");
    place.file("tasks.txt", "\"DIR/<script>alert(1)</script>\" DIR/to\n");
    place.file(
        "config.yaml",
        "report_config: {format: html}\nglobal_config: {source_fs_types: any, target_fs_types: any, tasks_file: tasks.txt}\n",
    );
    place.migrate("config.yaml").assert_code(1);
    let reports = place.path("data-migrate.d/config/reports");
    let report = fs::read_dir(reports)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let text = fs::read_to_string(report).unwrap();
    assert!(!text.contains("<script>alert"), "{text}");
    assert!(text.contains("alert(1)"));
}

#[test]
fn progress_and_status_tell_how_far_a_run_is() {
    let settings = Settings {
        transfers: 1,
        concurrency: 1,
        lease_secs: 60,
        more_server: vec!["progress_secs: 1".to_owned()],
        ..Settings::default()
    };
    let mut fleet = Fleet::new("progress", &settings);
    fleet.add_tree(&Recipe::plain(2, 10), 1);
    fleet.add_slow_tree(&Recipe::plain(100, 1_000), 2);
    fleet.add_tree(&Recipe::plain(2, 10), 3);
    let server = fleet.server();
    let worker = fleet.worker("worker-1");
    let second_begun =
        || fs::read_dir(&fleet.tasks[1].target).is_ok_and(|entries| entries.count() > 3);
    worker
        .wait_until("the second task", LONG, second_begun)
        .unwrap_or_else(|error| panic!("{error}"));
    // It stands still, so that what is seen is known.
    worker.stop();
    server
        .wait_for_output(
            "Progress: 1/3 tasks completed(success: 1, failed: 0), 1 clients: [worker-1], ",
            LONG,
        )
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        fleet.results().len(),
        1,
        "a row is appended as its task ends"
    );
    let status = fleet.status().expect("the server answers");
    for expected in [
        "worker-1",
        "Migrated task 1 successfully",
        "waiting",
        "running",
    ] {
        assert!(status.contains(expected), "{expected}: {status}");
    }
    worker.resume();
    assert_exit(&server, 0);
    assert_exit(&worker, 0);
    fleet.assert_migrated();
    assert!(fleet.status().is_none(), "nobody answers any more");
}

#[test]
fn the_log_is_text_or_json_and_as_detailed_as_asked_for() {
    let logged = |flags: &[&str]| {
        let place = place("log", "");
        let mut command: Command = place.command(place::MAIN);
        command
            .args(["run", "--config.file", "config.yaml"])
            .args(flags);
        place.run(&mut command).assert_code(1).stderr
    };
    let text = logged(&[]);
    assert!(
        text.contains(
            "  INFO engine: native for all tasks: source and target are mounted file systems\n"
        ),
        "{text}"
    );
    assert!(!text.contains("DEBUG") && !text.contains("TRACE"), "{text}");
    assert!(
        !text.contains('\u{1b}'),
        "no colours where there is no terminal: {text}"
    );
    let text = logged(&["--debug"]);
    assert!(
        text.contains("DEBUG worker") && !text.contains("TRACE"),
        "{text}"
    );
    let text = logged(&["--trace"]);
    assert!(text.contains("DEBUG worker"), "{text}");
    for flags in [
        &["--log.format", "json"][..],
        &["--log.format=json", "--debug"],
    ] {
        let text = logged(flags);
        assert!(text.lines().count() > 5, "{text}");
        for line in text.lines() {
            let value: serde_json::Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            for key in ["timestamp", "level", "message"] {
                assert!(value[key].is_string(), "{key}: {line}");
            }
        }
    }
}
