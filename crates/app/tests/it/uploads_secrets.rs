//! The keys of S3 are found nowhere (P16): in no log at `--trace`, no argument, environment, database, result, report or notice,
//! and not even in the memory of a worker. A signed link holds the access key's name by its nature, never the secret: links are in reports
//! that only the owner can read, in the bucket and in notices, and nowhere else.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use testkit::Program;
use testkit::tree::Recipe;

use crate::fleet::{self, Fleet, LONG, Settings, assert_exit};
use crate::place;
use crate::receiver::Receiver;
use crate::s3::{self, ACCESS, RcloneS3, SECRET, keys, section};

/// In every signed link.
const SIGNATURE: &str = "X-Amz-Signature=";

#[derive(Clone, Copy, PartialEq)]
enum Keys {
    InConfig,
    InEnvironment,
}

#[track_caller]
fn assert_without(what: &str, bytes: &[u8], canaries: &[&str]) {
    for canary in canaries {
        let found = bytes.windows(canary.len()).any(|w| w == canary.as_bytes());
        assert!(!found, "{canary} is in {what}");
    }
}

/// The text without the part of each link that names the access key, which must be there.
fn without_link_names(text: &str) -> String {
    let named = format!("X-Amz-Credential={ACCESS}%2F");
    assert!(text.contains(&named), "it has links: {text}");
    text.replace(&named, "")
}

/// All files below a directory, but for the reports, which have links.
fn assert_clean_below(directory: &Path) -> Vec<String> {
    let mut reports = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    let mut files = 0;
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            files += 1;
            if path.parent().unwrap().ends_with("reports") {
                reports.push(fs::read_to_string(&path).unwrap());
                continue;
            }
            let name = path.display().to_string();
            assert_without(
                &name,
                &fs::read(&path).unwrap(),
                &[ACCESS, SECRET, SIGNATURE],
            );
        }
    }
    assert!(files > 0, "nothing to search in {}", directory.display());
    reports
}

fn assert_clean_process(program: &Program, files: &[&str]) {
    for file in files {
        let bytes = fs::read(format!("/proc/{}/{file}", program.id())).unwrap();
        assert!(!bytes.is_empty(), "{file}");
        assert_without(file, &bytes, &[ACCESS, SECRET]);
    }
}

/// Whether the memory of a process that stands still holds the text.
fn is_in_memory(program: &Program, text: &str) -> bool {
    let process = format!("/proc/{}", program.id());
    let memory = fs::File::open(format!("{process}/mem")).unwrap();
    let maps = fs::read_to_string(format!("{process}/maps")).unwrap();
    let writable = maps.lines().filter(|line| line.contains(" rw"));
    let regions = writable.filter_map(|line| {
        let (begin, end) = line.split(' ').next()?.split_once('-')?;
        let begin = u64::from_str_radix(begin, 16).ok()?;
        Some((begin, u64::from_str_radix(end, 16).ok()?))
    });
    regions.into_iter().any(|(begin, end)| {
        let mut bytes = vec![0; (end - begin) as usize];
        // Some regions are the kernel's own.
        memory.read_exact_at(&mut bytes, begin).is_ok()
            && bytes.windows(text.len()).any(|w| w == text.as_bytes())
    })
}

fn assert_keys_are_found_nowhere(place_of_keys: Keys) {
    let s3 = RcloneS3::up();
    let webhook = Receiver::new(&[]);
    let lines = match place_of_keys {
        Keys::InConfig => keys().to_vec(),
        Keys::InEnvironment => Vec::new(),
    };
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let notify = format!("notify:\n  - webhook: {}\n", webhook.url("x"));
    let settings = Settings {
        transfers: 1,
        concurrency: 1,
        lease_secs: 60,
        more_sections: section(&s3.endpoint(), "html", &lines) + &notify,
        ..Settings::default()
    };
    let mut fleet = Fleet::new("secrets", &settings);
    fleet.add_tree(&Recipe::plain(2, 10), 1);
    fleet.add_slow_tree(&Recipe::plain(100, 1_000), 2);
    let mut command = fleet.server_command();
    command.arg("--trace");
    if place_of_keys == Keys::InEnvironment {
        command.env("AWS_ACCESS_KEY_ID", ACCESS);
        command.env("AWS_SECRET_ACCESS_KEY", SECRET);
    }
    let server = fleet::start(&mut command);
    fleet::wait_until_serving(&server);
    let worker = fleet::start(fleet.worker_command("w1").arg("--trace"));
    let arrived = || !s3.keys().is_empty();
    server.wait_until("an upload", LONG, arrived).unwrap();
    worker.stop();
    assert_clean_process(&worker, &["cmdline", "environ"]);
    match place_of_keys {
        Keys::InConfig => assert_clean_process(&server, &["cmdline", "environ"]),
        // What the user put there himself is there.
        Keys::InEnvironment => assert_clean_process(&server, &["cmdline"]),
    }
    server.stop();
    assert!(
        is_in_memory(&server, SECRET),
        "this is how it would be found"
    );
    server.resume();
    assert!(
        !is_in_memory(&worker, SECRET),
        "the worker was sent the secret"
    );
    let status = fleet.status().expect("it answers");
    assert_without("status", status.as_bytes(), &[ACCESS, SECRET, SIGNATURE]);
    worker.resume();
    assert_exit(&server, 0);
    assert_exit(&worker, 0);
    assert_eq!(s3.keys().len(), 3, "{}", server.stderr());

    for program in [&server, &worker] {
        for text in [program.stdout(), program.stderr()] {
            assert_without("an output", text.as_bytes(), &[ACCESS, SECRET, SIGNATURE]);
        }
    }
    assert!(server.stderr().contains("DEBUG"), "the log is in detail");
    assert_eq!(assert_clean_below(&fleet.server_dir()), [""; 0]);
    let left = fs::read_dir(fleet.path("w1")).unwrap().count();
    assert_eq!(left, 0, "a worker leaves nothing where it ran");
    let [copy] = &place::reports_in_tmp(&server.stdout())[..] else {
        panic!("one copy in /tmp: {}", server.stdout());
    };
    if let Some(text) = place::take_copy(copy, &fleet.path("")) {
        let canaries = [ACCESS, SECRET, SIGNATURE];
        assert_without("the report in /tmp", text.as_bytes(), &canaries);
    }

    let [report] = &assert_clean_below(&fleet.data_dir())[..] else {
        panic!("one report");
    };
    let report = without_link_names(report);
    assert_without("the report", report.as_bytes(), &[ACCESS, SECRET]);
    for (key, bytes) in s3.objects() {
        if key.ends_with(".html") {
            let text = without_link_names(&String::from_utf8(bytes).unwrap());
            assert_without(&key, text.as_bytes(), &[ACCESS, SECRET]);
        } else {
            let text = s3::unpacked(&bytes);
            assert_without(&key, text.as_bytes(), &[ACCESS, SECRET, SIGNATURE]);
        }
    }
    webhook.wait_for(3);
    for notice in webhook.taken() {
        let text = without_link_names(&notice.to_string());
        assert_without("a notice", text.as_bytes(), &[ACCESS, SECRET]);
    }
}

#[test]
fn keys_of_the_config_are_found_nowhere() {
    assert_keys_are_found_nowhere(Keys::InConfig);
}

#[test]
fn keys_of_the_environment_are_found_nowhere_else() {
    assert_keys_are_found_nowhere(Keys::InEnvironment);
}

#[test]
fn keys_that_are_refused_are_not_repeated() {
    let s3 = RcloneS3::up();
    let wrong = [
        "access_key: c4nary-wr0ng".to_owned(),
        format!("secret_key: {SECRET}"),
    ];
    let lines: Vec<&str> = wrong.iter().map(String::as_str).collect();
    let settings = Settings {
        more_sections: section(&s3.endpoint(), "csv", &lines),
        ..Settings::default()
    };
    let mut fleet = Fleet::new("refused", &settings);
    fleet.add_tree(&Recipe::plain(2, 10), 1);
    let server = fleet::start(fleet.server_command().arg("--trace"));
    let worker = fleet.worker("w1");
    assert_exit(&server, 0);
    assert_exit(&worker, 0);
    let config = ["upload", "--trace", "--config.file"];
    let mut command = fleet.command(fleet::MAIN, "server");
    let upload = fleet::start(command.args(config).arg(fleet.config_file()));
    assert_exit(&upload, 1);
    for program in [&server, &upload] {
        let log = program.stderr();
        assert!(log.contains("HTTP status 403"), "refused: {log}");
        let all = log + &program.stdout();
        assert_without(
            "an output",
            all.as_bytes(),
            &["c4nary-wr0ng", SECRET, SIGNATURE],
        );
    }
}
