//! Notices arrive, for each task and for the run; receivers in trouble are tried again, and hold nothing up; what
//! lets whoever knows it post, the URL, is found nowhere (P16).

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::Program;
use testkit::mount::Tmpfs;
use testkit::tree::Recipe;

use crate::fleet::{self, Fleet, LONG, Settings, assert_exit};
use crate::receiver::{Answer, Receiver};

/// In the path of each URL.
const CANARY: &str = "c4nary-t0ken-8d1f";

/// Feishu at the first, a webhook for `on` at the second.
fn settings(feishu: &Receiver, webhook: &Receiver, on: &str) -> Settings {
    Settings {
        more_global: vec![format!("feishu_url: {}", feishu.url(CANARY))],
        more_sections: format!(
            "notify:\n  - webhook: {}\n    on: {on}\n",
            webhook.url(CANARY)
        ),
        ..Settings::default()
    }
}

fn content(card: &Value) -> &str {
    let card = &card["card"]["body"]["elements"][0];
    assert_eq!(card["tag"], "markdown");
    card["content"].as_str().expect("a card has content")
}

fn with_title(receiver: &Receiver, text: &str) -> Vec<Value> {
    let cards = receiver.taken().into_iter();
    cards
        .filter(|card| {
            let title = &card["card"]["header"]["title"]["content"];
            title.as_str().is_some_and(|title| title.contains(text))
        })
        .collect()
}

/// Server and one worker until the run is over.
fn migrate(fleet: &Fleet, code: i32, more: &[&str]) -> (Program, Program) {
    let server = fleet::start(fleet.server_command().args(more));
    let worker = fleet::start(fleet.worker_command("w1").args(more));
    assert_exit(&server, code);
    assert_exit(&worker, 0);
    (server, worker)
}

/// Fails where a file below `directory` holds the canary.
fn assert_no_canary_below(directory: &Path) {
    let mut waiting = vec![directory.to_owned()];
    let mut files = 0;
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            files += 1;
            let bytes = fs::read(&path).unwrap();
            let found = bytes.windows(CANARY.len()).any(|w| w == CANARY.as_bytes());
            assert!(!found, "the token is in {}", path.display());
        }
    }
    assert!(files > 0, "nothing to search in {}", directory.display());
}

fn assert_no_canary(programs: &[&Program]) {
    for program in programs {
        for (name, text) in [("stdout", program.stdout()), ("stderr", program.stderr())] {
            assert!(!text.contains(CANARY), "the token is in {name}:\n{text}");
        }
    }
}

#[test]
fn each_task_and_the_run_are_told_of_and_the_url_is_found_nowhere() {
    let (feishu, webhook) = (Receiver::new(&[]), Receiver::new(&[]));
    let mut fleet = Fleet::new("notices", &settings(&feishu, &webhook, "[run, task]"));
    fleet.add_tree(&Recipe::plain(3, 10), 1);
    let (gone, target) = (fleet.path("gone"), fleet.path("target2"));
    fleet.add_task(&gone, &target, None);
    // The third has a list, in several pieces.
    let source = fleet.path("source1");
    let list = fleet.path("list#1#.txt");
    let names: Vec<String> = fs::read_dir(&source)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.len() > 2);
    fs::write(&list, names.join("\n")).unwrap();
    let line = format!(
        "{} {} {}\n",
        source.display(),
        fleet.path("target3").display(),
        list.display()
    );
    let tasks = fs::read_to_string(fleet.tasks_file()).unwrap();
    fs::write(fleet.tasks_file(), tasks + &line).unwrap();
    let mut in_pieces = settings(&feishu, &webhook, "[run, task]");
    in_pieces.more_global.push("max_files_per_output: 1".into());
    in_pieces.more_server.push("keep: true".into());
    fleet.configure(&in_pieces);

    let server = fleet::start(fleet.server_command().arg("--trace"));
    let worker = fleet::start(fleet.worker_command("w1").arg("--trace"));
    assert_exit(&worker, 0);
    feishu.wait_for(4);
    webhook.wait_for(4);
    let status = fleet.status().expect("the server stays");
    server.terminate();
    assert_exit(&server, 1);
    assert!(fleet.results().len() > 3, "the list is in pieces");

    let cards = feishu.taken();
    assert_eq!(cards.len(), 4, "{cards:#?}");
    for card in &cards {
        assert_eq!(card["msg_type"], "interactive");
        assert_eq!(card["card"]["schema"], "2.0");
        assert_eq!(card["card"]["header"]["template"], "blue");
        assert_eq!(card["card"]["header"]["title"]["tag"], "plain_text");
    }
    let first = with_title(&feishu, "task 1 succeeded");
    assert_eq!(first.len(), 1, "{cards:#?}");
    for expected in [
        "**source**: /",
        "**target**: /",
        "**duration**: ",
        "**task**: 1\n",
        "**client**: w1\n",
        "**split pattern**: ",
        "**split files**: ",
        "**log file**: /",
        "**message**: Migrated task 1 successfully",
    ] {
        assert!(
            content(&first[0]).contains(expected),
            "{expected}: {}",
            content(&first[0])
        );
    }
    let second = with_title(&feishu, "task 2 failed");
    assert!(content(&second[0]).contains("**message**: path does not exist: stat "));
    assert_eq!(
        with_title(&feishu, "task 3 succeeded").len(),
        1,
        "pieces are no cards"
    );
    let run = with_title(&feishu, "the run is over, 1 task failed");
    for expected in [
        "**total**: 3\n",
        "**success**: 2\n",
        "**failed**: 1\n",
        "**duration**: ",
        "**report**: /",
    ] {
        assert!(content(&run[0]).contains(expected), "{}", content(&run[0]));
    }
    assert_eq!(cards[3], run[0], "the run comes last");

    let notices = webhook.taken();
    let events: Vec<&str> = notices.iter().filter_map(|n| n["event"].as_str()).collect();
    assert_eq!(events, ["task", "task", "task", "run"]);
    let summary = &notices[3]["summary"];
    assert_eq!(
        (&summary["total"], &summary["failed"]),
        (&3.into(), &1.into())
    );
    let report = summary["report"].as_str().unwrap();
    assert!(Path::new(report).is_file(), "{report}");

    assert!(feishu.paths().iter().all(|path| path.contains(CANARY)));
    assert_no_canary(&[&server, &worker]);
    assert!(!status.contains(CANARY), "{status}");
    assert!(server.stderr().contains("notices go to http://127.0.0.1:"));
    assert_no_canary_below(&fleet.data_dir());
    assert_no_canary_below(&fleet.server_dir());

    // Started again, it tells nobody of what they know.
    let again = fleet.start_server();
    again.wait_for_output("is over already", LONG).unwrap();
    again.wait_for_output("the run is over;", LONG).unwrap();
    again.terminate();
    assert_exit(&again, 1);
    assert_eq!((feishu.taken().len(), webhook.taken().len()), (4, 4));
}

#[test]
fn a_receiver_in_trouble_is_tried_again() {
    let feishu = Receiver::new(&[
        Answer::Status(500),
        Answer::Status(500),
        Answer::Feishu(11232),
    ]);
    let (elsewhere, refusing) = (Receiver::new(&[]), Receiver::new(&[]));
    refusing.always(Answer::Redirect(elsewhere.url(CANARY)));
    let mut fleet = Fleet::new("trouble", &settings(&feishu, &refusing, "[run]"));
    fleet.add_tree(&Recipe::plain(3, 10), 1);
    let (server, worker) = migrate(&fleet, 0, &["--trace"]);
    fleet.assert_migrated();
    let titles: Vec<String> = feishu
        .taken()
        .iter()
        .map(|card| card["card"]["header"]["title"]["content"].to_string())
        .collect();
    assert_eq!(titles.len(), 5, "{titles:?}");
    assert!(
        titles[..4].iter().all(|t| t.contains("task 1")),
        "{titles:?}"
    );
    assert!(titles[4].contains("all tasks succeeded"), "{titles:?}");
    let log = server.stderr();
    assert!(
        log.contains("notice of task 1 to http://127.0.0.1:"),
        "{log}"
    );
    assert!(log.contains("HTTP status 500; tried again in 1 s"), "{log}");
    assert!(log.contains("redirects are not followed"), "{log}");
    assert!(log.contains("were not delivered: the run"), "{log}");
    assert!(elsewhere.paths().is_empty(), "the token went elsewhere");
    assert!(refusing.paths().len() > 1, "the fault fired");
    assert_no_canary(&[&server, &worker]);
    assert_no_canary_below(&fleet.data_dir());
}

#[test]
fn a_receiver_that_hangs_holds_up_neither_the_run_nor_the_end() {
    let (hanging, dead) = (Receiver::new(&[]), Receiver::new(&[]));
    hanging.always(Answer::Hang);
    let mut settings = settings(&hanging, &dead, "[task, run]");
    dead.close();
    settings.more_server.push("notice_wait_secs: 3".into());
    let mut fleet = Fleet::new("hanging", &settings);
    fleet.add_tree(&Recipe::plain(3, 10), 1);
    fleet.add_tree(&Recipe::plain(3, 10), 2);
    let server = fleet.server();
    let worker = fleet.worker("w1");
    server
        .wait_for_output("notices are not delivered yet: waiting up to 3 s", LONG)
        .unwrap();
    let over = Instant::now();
    assert_exit(&server, 0);
    assert!(
        over.elapsed() < Duration::from_secs(30),
        "{:?}",
        over.elapsed()
    );
    assert_exit(&worker, 0);
    fleet.assert_migrated();
    assert!(hanging.accepted() > 0, "the fault fired");
    let log = server.stderr();
    // In the order in which they were tried last.
    let named: Vec<Vec<&str>> = log
        .lines()
        .filter_map(|line| line.split_once("were not delivered: "))
        .map(|(_, names)| {
            let mut names: Vec<&str> = names.split(", ").collect();
            names.sort();
            names
        })
        .collect();
    let all = ["task 1", "task 2", "the run"];
    assert_eq!(named, [all, all], "{log}");
    assert_no_canary(&[&server, &worker]);
    assert_no_canary_below(&fleet.data_dir());
}

#[test]
fn a_full_target_is_told_of() {
    let (feishu, webhook) = (Receiver::new(&[]), Receiver::new(&[]));
    let mut fleet = Fleet::new("full", &settings(&feishu, &webhook, "[paused]"));
    let source = fleet.path("source");
    fs::create_dir(&source).unwrap();
    for n in 0..8 {
        fs::write(source.join(n.to_string()), vec![n; 1 << 20]).unwrap();
    }
    let point = fleet.path("target");
    fs::create_dir(&point).unwrap();
    let _target = Tmpfs::over(&point, 4).unwrap();
    fleet.add_task(&source, &point, None);
    let server = fleet.server();
    let worker = fleet.worker("w1");
    feishu.wait_for(1);
    webhook.wait_for(1);
    let card = &feishu.taken()[0];
    let title = &card["card"]["header"]["title"]["content"];
    assert_eq!(title, "data-migrate: task 1 waits, its target is full");
    let notice = &webhook.taken()[0];
    assert_eq!(notice["event"], "paused");
    assert_eq!(notice["task"]["target"], point.display().to_string());
    for program in [&server, &worker] {
        program.terminate();
        program.wait(LONG).unwrap();
    }
    assert_eq!(feishu.taken().len(), 1, "told of once");
}
