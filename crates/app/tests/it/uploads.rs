//! Reports, logs and lists arrive in the bucket: under their keys, with what is here, readable for those who have a link.

use std::fs;
use std::path::PathBuf;

use testkit::Program;
use testkit::tree::{Recipe, make};

use crate::place::{self, LONG, MAIN, Place, reports_in_tmp, take_copy};
use crate::receiver::Receiver;
use crate::s3::{self, Moto, RcloneS3, get, keys, section, unpacked};

/// Three tasks: one succeeds, one fails, one has a list.
fn place(label: &str, sections: &str) -> Place {
    let place = Place::new(label);
    make(&place.path("a"), &Recipe::plain(3, 10), 1).unwrap();
    place.file("c/one", "1");
    place.file("c/two", "2");
    place.file("c/three", "3");
    place.file("list.txt", "two\n\none\n");
    place.file(
        "tasks.txt",
        "DIR/a DIR/to/a\nDIR/b DIR/to/b\nDIR/c DIR/to/c DIR/list.txt\n",
    );
    let global =
        "global_config: {source_fs_types: [any], target_fs_types: [any], tasks_file: tasks.txt}\n";
    place.file("config.yaml", &format!("{global}{sections}"));
    place
}

/// The one entry of a directory.
fn only_entry(directory: PathBuf) -> PathBuf {
    let mut entries = fs::read_dir(&directory).unwrap();
    let entry = entries.next().unwrap().unwrap().path();
    assert!(entries.next().is_none(), "several in {directory:?}");
    entry
}

/// What stands between the two in `text`, at each place.
fn all_between<'a>(text: &'a str, begin: &str, end: &str) -> Vec<&'a str> {
    let rest = text.split(begin).skip(1);
    rest.filter_map(|rest| rest.split(end).next()).collect()
}

/// With the last character of the signature another one.
fn tampered(link: &str) -> String {
    let (rest, last) = link.split_at(link.len() - 1);
    format!("{rest}{}", if last == "0" { "1" } else { "0" })
}

#[test]
fn all_arrive_under_their_keys_with_what_is_here_and_links_open_them() {
    let s3 = RcloneS3::up();
    let webhook = Receiver::new(&[]);
    let [access, secret] = keys();
    let section = section(&s3.endpoint(), "md", &[&access, &secret]);
    let notify = format!("notify:\n  - webhook: {}\n", webhook.url("x"));
    let place = place("uploads", &format!("{section}{notify}"));
    let mut command = place.command(MAIN);
    let program =
        Program::start(command.args(["run", "--trace", "--config.file", "config.yaml"])).unwrap();
    assert_eq!(program.exit_code(LONG).unwrap(), 1, "{}", program.stderr());
    let (stdout, log) = (program.stdout(), program.stderr());
    let [copy] = &reports_in_tmp(&stdout)[..] else {
        panic!("one copy in /tmp: {stdout}");
    };
    let copied = take_copy(copy, &place.path(""));

    let state = place.path("data-migrate.d/config");
    let logs = only_entry(state.join("logs"));
    let run = logs.file_name().unwrap().to_str().unwrap();
    let report = only_entry(state.join("reports"));
    let report_name = report.file_name().unwrap().to_str().unwrap();
    let log_key = |task: u32| format!("rclone/log-files/{run}/rclone_copy_{run}_{task}.txt.gz");
    let report_key = format!("rclone/reports/{report_name}");
    let list_key = format!("rclone/include-files/{run}/include_3.txt");
    let mut expected = vec![log_key(1), log_key(2), log_key(3)];
    expected.extend([report_key.clone(), list_key.clone()]);
    expected.sort();
    let objects = s3.objects();
    assert_eq!(
        objects.keys().cloned().collect::<Vec<_>>(),
        expected,
        "{log}"
    );
    let report = fs::read(report).unwrap();
    assert!(objects[&report_key] == report);
    assert_eq!(objects[&list_key], b"one\ntwo\n");
    for task in 1..=3 {
        let here = fs::read_to_string(logs.join(format!("task_{task}.log"))).unwrap();
        assert_eq!(unpacked(&objects[&log_key(task)]), here);
    }
    let waiting: Vec<_> = place::list(&state.join("outbox")).into_keys().collect();
    assert!(waiting.iter().all(|path| path.is_dir()), "{waiting:?}");

    let table = place.results();
    for task in 1..=3 {
        let row = table.find("id", &task.to_string()).unwrap();
        let address = format!("{}/test/{}", s3.endpoint(), log_key(task));
        assert_eq!(row.get("log file"), Some(&*address));
        let list = if task == 3 { &*list_key } else { "" };
        assert_eq!(row.get("include file"), Some(list));
    }

    // Links: in the report, of which the one in /tmp has none, and in notices, but not in the log.
    let report = String::from_utf8(report).unwrap();
    let links = all_between(&report, "](<", ">)");
    assert_eq!(links.len(), 3, "{report}");
    for (task, link) in (1..).zip(&links) {
        let (status, body) = get(link);
        assert_eq!(status, "200", "{link}");
        assert!(body == objects[&log_key(task)], "{link}");
        assert!(link.contains("X-Amz-Expires=604800"), "seven days: {link}");
        assert_eq!(get(&tampered(link)).0, "403");
    }
    let plain = links[0].split('?').next().unwrap();
    let (status, _) = get(plain);
    assert!(
        status.starts_with('4'),
        "without its signature it opens nothing: {status}"
    );
    if let Some(copied) = copied {
        assert!(!copied.contains("X-Amz"), "{copied}");
        assert!(copied.contains(plain), "{copied}");
    }
    webhook.wait_for(4);
    for notice in webhook.taken() {
        let link = match notice["event"].as_str().unwrap() {
            "run" => notice["summary"]["report_link"].as_str().unwrap(),
            _ => notice["task"]["log_link"].as_str().unwrap(),
        };
        let (status, body) = get(link);
        assert_eq!(status, "200", "{link}");
        assert!(objects.values().any(|object| *object == body));
    }
    for text in [&stdout, &log] {
        assert!(!text.contains("X-Amz-Signature"), "{text}");
    }
}

#[test]
fn objects_are_private_unless_the_config_says_that_everybody_may_read() {
    let everybody = "http://acs.amazonaws.com/groups/global/AllUsers\n";
    for (acl, readers) in [(None, ""), (Some("acl: public-read"), everybody)] {
        let moto = Moto::up();
        let more: Vec<&str> = acl.into_iter().collect();
        let place = place("acl", &section(&moto.endpoint(), "html", &more));
        let mut command = place.command(MAIN);
        command.args(["run", "--config.file", "config.yaml"]);
        // Keys may come from the environment.
        command.envs([("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")]);
        let done = place.run(&mut command).assert_code(1);
        let keys = moto.keys();
        assert_eq!(keys.len(), 5, "{keys:?}\n{}", done.stderr);
        for key in &keys {
            assert_eq!(moto.readers(key), readers, "{key}");
            let content_type = match key.rsplit_once('.').unwrap().1 {
                "gz" => "application/gzip",
                "html" => "text/html; charset=utf-8",
                _ => "text/plain; charset=utf-8",
            };
            assert_eq!(moto.content_type(key), content_type, "{key}");
        }
        let report = only_entry(place.path("data-migrate.d/config/reports"));
        let report = fs::read_to_string(report).unwrap();
        let links = all_between(&report, "href=\"", "\"");
        assert_eq!(links.len(), 3, "{links:?}");
        for link in links {
            assert_eq!(link.contains("X-Amz-Signature"), acl.is_none(), "{link}");
        }
    }
}

#[test]
fn keys_may_come_from_files() {
    let s3 = RcloneS3::up();
    let files = ["access_key_file: access.txt", "secret_key_file: secret.txt"];
    let place = place("key-files", &section(&s3.endpoint(), "csv", &files));
    place.file("access.txt", &format!("{}\n", s3::ACCESS));
    place.file("secret.txt", &format!("{}\n", s3::SECRET));
    let done = place.migrate("config.yaml").assert_code(1);
    assert_eq!(s3.keys().len(), 5, "{}", done.stderr);
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_taken_only_when_asked_to() {
    let s3 = RcloneS3::up_with_own_certificate();
    let [access, secret] = keys();
    let strict = section(&s3.endpoint(), "csv", &[&access, &secret]);
    let done = place("strict", &strict)
        .migrate("config.yaml")
        .assert_code(1);
    let log = &done.stderr;
    assert!(log.contains("no secure connection: "), "{log}");
    assert!(log.contains("not uploaded to https://127.0.0.1"), "{log}");
    assert_eq!(s3.keys(), [""; 0]);

    let lax = section(
        &s3.endpoint(),
        "csv",
        &[&access, &secret, "skipSSLverify: true"],
    );
    let done = place("lax", &lax).migrate("config.yaml").assert_code(1);
    let warning = "skipSSLverify: the certificate of the endpoint is not checked";
    assert!(done.stderr.contains(warning), "{}", done.stderr);
    assert_eq!(s3.keys().len(), 5, "{}", done.stderr);
}
