//! What is posted, to whom, how often, and what becomes of what nobody takes.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::config::{self, NoticeKind, WebUrl};
use model::{RunId, TaskId};
use serde_json::Value;

use super::event::{Event, Paused, RunEnd};
use super::fake::{Fake, receiver, settle};
use super::sender::{Pace, TryError, judge};
use super::transport::{Answer, Https, Transport};
use super::{Layout, Notices, feishu, receivers, webhook};
use crate::https::NoAnswer;
use crate::report::{Link, Row};
use crate::results::Written;

const START: i64 = 1_764_920_244_408;

fn row(id: u32, success: bool, message: &str) -> Row {
    Row {
        id,
        source_dir: "/mnt/gpfs/lidar_1".to_owned(),
        target_dir: "/mnt/yrfs/lidar".to_owned(),
        client_id: "node-1-4711".to_owned(),
        duration: "1m2.5s".to_owned(),
        success,
        file_from: "/mnt/lists/mnt#csi-data-gfs#camera_1#.txt".to_owned(),
        log_file: "/data/logs/1764920244408/task_3.log".to_owned(),
        message: message.to_owned(),
        files: 1234,
        bytes: 5_000_000,
        engine: "native".to_owned(),
        ..Row::default()
    }
}

fn task(id: u32) -> Event {
    Event::Task(Box::new(row(id, true, "Migrated task 3 successfully")))
}

fn full() -> Paused {
    Paused {
        task: TaskId(3),
        source: "/a".to_owned(),
        target: "/b".to_owned(),
        tasks: vec![TaskId(3), TaskId(5)],
        client: "node-1-4711".to_owned(),
        message: "no space left on device".to_owned(),
    }
}

fn run_end() -> RunEnd {
    let piece = Row {
        subtask_id: 1,
        ..row(2, false, "a piece")
    };
    let rows = [
        row(1, true, ""),
        row(2, false, "1 file failed: x"),
        piece,
        row(3, false, "incomplete: y"),
    ];
    let written = Written {
        rows: rows.into(),
        report: "/data/reports/r.csv".into(),
        copy: None,
        report_link: None,
        results_file: "/r.csv".into(),
        logs: "/data/logs".into(),
    };
    RunEnd::new(START, START + 62_500, &written)
}

/// Compares with a checked-in file.
fn expect(name: &str, found: &Value) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/notices/snapshots/").to_owned() + name;
    let found = format!("{found:#}\n");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        expected, found,
        "{name} changed (UPDATE_SNAPSHOTS=1 accepts)"
    );
}

#[test]
fn notices_look_as_they_are_expected_to() {
    let failed = Event::Task(Box::new(row(3, false, "1 file failed: a: cannot read")));
    expect("task.feishu.json", &feishu::card(&failed, "config.yaml"));
    let run = RunId::from_random(7);
    expect(
        "task.webhook.json",
        &webhook::body(&failed, run, "config.yaml"),
    );
    let end = Event::Run(run_end());
    expect("run.feishu.json", &feishu::card(&end, "config.yaml"));
    expect("run.webhook.json", &webhook::body(&end, run, "config.yaml"));
    let paused = Event::Paused(full());
    expect("paused.feishu.json", &feishu::card(&paused, "config.yaml"));
    let mut body = webhook::body(&paused, run, "config.yaml");
    let id = body["id"].take();
    assert!(
        id.as_str()
            .unwrap()
            .starts_with(&format!("{run}/paused/3/"))
    );
    expect("paused.webhook.json", &body);
    let resumed = Event::Resumed(Paused {
        client: String::new(),
        message: "there is room again after 5m".to_owned(),
        ..full()
    });
    expect(
        "resumed.feishu.json",
        &feishu::card(&resumed, "config.yaml"),
    );
    let mut body = webhook::body(&resumed, run, "config.yaml");
    let id = body["id"].take();
    assert!(
        id.as_str()
            .unwrap()
            .starts_with(&format!("{run}/resumed/3/"))
    );
    expect("resumed.webhook.json", &body);
    let full = Event::ServerFull("cannot complete an item: no room".to_owned());
    expect(
        "server_full.feishu.json",
        &feishu::card(&full, "config.yaml"),
    );
    let mut body = webhook::body(&full, run, "config.yaml");
    let id = body["id"].take();
    assert!(
        id.as_str()
            .unwrap()
            .starts_with(&format!("{run}/paused/server/"))
    );
    expect("server_full.webhook.json", &body);
}

#[test]
fn names_of_files_are_no_markup_and_no_card_is_too_large() {
    let mut hostile = row(1, false, &"<at id=all></at>[x](http://evil)\n".repeat(1000));
    hostile.source_dir = "*".repeat(4096);
    hostile.target_dir = "<".repeat(4096);
    hostile.log_file = "http://x/a)[b](c".to_owned();
    hostile.client_id = "&".repeat(4096);
    let card = feishu::card(&Event::Task(Box::new(hostile)), "c");
    let content = card["card"]["body"]["elements"][0]["content"]
        .as_str()
        .unwrap();
    assert!(!content.contains(['<', '[', ']', '`']), "{content}");
    assert_eq!(content.lines().count(), 12);
    assert!(card.to_string().len() < 30_000);
    let mut linked = row(1, true, "");
    linked.log_file = "https://s3/logs/1?sig=a%2Fb&x=1".to_owned();
    let card = feishu::card(&Event::Task(Box::new(linked)), "c").to_string();
    assert!(
        card.contains("[log file](https://s3/logs/1?sig=a%2Fb&x=1)"),
        "{card}"
    );
}

#[test]
fn what_is_in_the_bucket_is_told_with_a_link_that_opens_it() {
    let link = |name: &str| Some(Link::new(format!("https://s3/{name}?X-Amz-Signature=1")));
    let mut row = row(3, true, "");
    row.log_file = "https://s3/log".to_owned();
    row.log_link = link("log");
    let task = Event::Task(Box::new(row));
    let run = RunEnd {
        report_link: link("report"),
        ..run_end()
    };
    let run = Event::Run(run);
    for (event, line) in [
        (&task, "[log file](https://s3/log?X-Amz-Signature=1)"),
        (&run, "[report](https://s3/report?X-Amz-Signature=1)"),
    ] {
        let card = feishu::card(event, "c").to_string();
        assert!(card.contains(line), "{card}");
        assert!(!format!("{event:?}").contains("Signature"), "{event:?}");
    }
    let body = |event| webhook::body(event, RunId::from_random(1), "c");
    assert_eq!(body(&task)["task"]["log_file"], "https://s3/log");
    assert_eq!(
        body(&task)["task"]["log_link"],
        "https://s3/log?X-Amz-Signature=1"
    );
    assert_eq!(
        body(&run)["summary"]["report_link"],
        "https://s3/report?X-Amz-Signature=1"
    );
}

#[test]
fn what_feishu_says_in_a_200_counts() {
    let answer = |status, body: &str| Answer {
        status,
        body: body.as_bytes().to_vec(),
    };
    let said =
        |status, body| judge(Layout::Feishu, &answer(status, body)).map_err(|e| e.to_string());
    for good in [
        r#"{"code":0,"msg":"success"}"#,
        r#"{"StatusCode":0}"#,
        "",
        "ok",
    ] {
        assert_eq!(said(200, good), Ok(()));
    }
    assert_eq!(
        said(200, r#"{"code":19001,"msg":"CANARY"}"#),
        Err("Feishu's code 19001 (the token in the URL is not valid)".into())
    );
    assert_eq!(said(200, r#"{"code":"x"}"#), Err("Feishu's code -1".into()));
    assert_eq!(said(503, ""), Err("HTTP status 503".into()));
    assert!(matches!(
        judge(Layout::Webhook, &answer(302, "")),
        Err(TryError::Redirect(302))
    ));
    assert!(judge(Layout::Webhook, &answer(200, r#"{"code":7}"#)).is_ok());
}

#[test]
fn feishu_is_told_of_everything_and_webhooks_of_what_they_ask_for() {
    let text = "global_config: {source_fs_types: [any], target_fs_types: [any], tasks_file: t, \
                feishu_url: FEISHU}\nnotify: [{webhook: 'http://b/x', on: [run]}]\n";
    let of = |feishu: &str| {
        let text = text.replace("FEISHU", feishu);
        let parsed = config::parse(text.as_bytes(), Path::new("c.yaml")).unwrap();
        (receivers(&parsed.config), parsed.warnings)
    };
    let (both, warnings) = of("'https://open.feishu.cn/hook/x'");
    assert_eq!(both.len(), 2);
    assert_eq!((both[0].layout, both[0].on.len()), (Layout::Feishu, 4));
    assert_eq!(both[1].on, [NoticeKind::Run]);
    assert!(warnings.is_empty(), "{warnings:?}");
    let (placeholder, warnings) = of("feishu_url");
    assert_eq!((placeholder.len(), warnings.len()), (1, 1), "{warnings:?}");
    let (empty, warnings) = of("''");
    assert_eq!((empty.len(), warnings.len()), (1, 0), "{warnings:?}");
}

const LONG: Duration = Duration::from_secs(60);

fn notices(urls: &[&str], fake: &Arc<Fake>, first_wait: Duration) -> Notices {
    let receivers = urls.iter().map(|url| receiver(url)).collect();
    let pace = Pace {
        first_wait,
        longest_wait: first_wait,
        overall: LONG,
    };
    Notices::with_transport(receivers, RunId::from_random(7), "c", fake.clone(), pace)
}

#[test]
fn trouble_is_tried_again_in_order_and_refusals_only_a_few_times() {
    let trouble = vec![
        Ok(500),
        Err(NoAnswer::Timeout),
        Ok(429),
        Ok(502),
        Ok(503),
        Ok(504),
        Ok(200),
    ];
    let fake = Fake::answering("http://a", trouble);
    let told = notices(&["http://a/x"], &fake, Duration::from_millis(1));
    told.tell(&task(1));
    told.tell(&task(2));
    settle(&told, LONG);
    let mut expected = vec!["task 1"; 7];
    expected.push("task 2");
    assert_eq!(fake.posts("http://a"), expected);

    let fake = Fake::answering("http://a", vec![Ok(403); 4]);
    let told = notices(&["http://a/x"], &fake, Duration::from_millis(1));
    told.tell(&task(1));
    told.tell(&Event::Run(run_end()));
    settle(&told, LONG);
    assert_eq!(
        fake.posts("http://a"),
        ["task 1", "task 1", "task 1", "task 1", "run"]
    );
}

#[test]
fn one_receiver_in_trouble_holds_up_no_other_and_not_the_end() {
    let fake = Fake::answering("http://a", vec![Ok(500); 100]);
    let told = notices(&["http://a/x", "http://b/x"], &fake, LONG);
    let begun = Instant::now();
    for id in 1..=3 {
        told.tell(&task(id));
    }
    settle(&told, Duration::from_millis(300));
    assert!(begun.elapsed() < LONG / 2, "{:?}", begun.elapsed());
    assert_eq!(fake.posts("http://b"), ["task 1", "task 2", "task 3"]);
    assert!(fake.posts("http://a").iter().all(|post| post == "task 1"));
    // What comes too late is taken by nobody and harms nobody.
    told.tell(&task(4));
    settle(&told, Duration::ZERO);
    assert_eq!(fake.posts("http://b").len(), 3);
}

#[test]
fn nobody_to_tell_costs_nothing() {
    let told = Notices::default();
    told.tell(&task(1));
    told.tell(&Event::Paused(full()));
    settle(&told, LONG);
}

#[test]
fn a_host_that_speaks_no_tls_is_an_error_without_the_url() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answering = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
    });
    let url = WebUrl::parse(&format!("https://127.0.0.1:{port}/CANARY")).unwrap();
    let error = Https::new().post(&url, b"{}", LONG).unwrap_err();
    answering.join().unwrap();
    assert!(matches!(error, NoAnswer::Tls(_)), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("CANARY"));
}
