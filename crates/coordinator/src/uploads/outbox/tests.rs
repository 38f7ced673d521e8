//! What was put in stays until its upload was answered.

use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use model::TaskId;

use super::{Outbox, Standing};
use crate::uploads::key::Key;

fn open(at: &Path) -> Outbox {
    Outbox::open(at.join("outbox")).unwrap()
}

fn put(outbox: &Outbox, key: &Key, text: &str) {
    outbox
        .put(key, |out| out.write_all(text.as_bytes()))
        .unwrap();
}

#[test]
fn what_is_not_uploaded_is_there_after_a_restart_and_what_is_uploaded_is_not() {
    let scratch = tempfile::tempdir().unwrap();
    let (first, second) = (Key::report("a.csv"), Key::list(1, TaskId(2)));
    let outbox = open(scratch.path());
    put(&outbox, &first, "1");
    put(&outbox, &second, "2");
    let entry = outbox.next();
    assert_eq!(entry.key, first);
    outbox.done(&entry).unwrap();
    drop(outbox);

    let again = open(scratch.path());
    assert_eq!(again.missing(), (vec![second.clone()], None));
    let path = again.path_of(&second);
    assert_eq!(std::fs::read_to_string(path).unwrap(), "2");
}

#[test]
fn a_file_that_was_not_finished_is_never_uploaded() {
    let scratch = tempfile::tempdir().unwrap();
    let outbox = open(scratch.path());
    let key = Key::report("a.csv");
    let failed = outbox.put(&key, |out| {
        out.write_all(b"half")?;
        Err(std::io::Error::other("the disk is gone"))
    });
    assert!(failed.is_err());
    assert_eq!(outbox.missing().0, []);
    // As a crash leaves it.
    let left = scratch.path().join("outbox/.unfinished/x");
    std::fs::write(&left, "half").unwrap();
    assert_eq!(open(scratch.path()).missing().0, []);
    assert!(!left.exists());
}

#[test]
fn the_end_of_an_older_upload_keeps_a_newer_content() {
    let scratch = tempfile::tempdir().unwrap();
    let outbox = open(scratch.path());
    let key = Key::report("a.csv");
    put(&outbox, &key, "old");
    let old = outbox.next();
    put(&outbox, &key, "new");
    outbox.done(&old).unwrap();
    let new = outbox.next();
    assert_eq!(new.key, key);
    assert_eq!(
        std::fs::read_to_string(outbox.path_of(&key)).unwrap(),
        "new"
    );
    outbox.done(&new).unwrap();
    assert!(!outbox.path_of(&key).exists());
}

#[test]
fn logs_are_compressed_and_lists_are_not() {
    let scratch = tempfile::tempdir().unwrap();
    let outbox = open(scratch.path());
    let (log, list) = (Key::task_log(1, TaskId(1)), Key::list(1, TaskId(1)));
    put(&outbox, &log, "text");
    put(&outbox, &list, "text");
    let mut text = String::new();
    let file = std::fs::File::open(outbox.path_of(&log)).unwrap();
    GzDecoder::new(file).read_to_string(&mut text).unwrap();
    assert_eq!(text, "text");
    assert_eq!(
        std::fs::read_to_string(outbox.path_of(&list)).unwrap(),
        "text"
    );
}

#[test]
fn who_waits_for_the_end_sees_refusals_since_then_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let outbox = open(scratch.path());
    let key = Key::report("a.csv");
    put(&outbox, &key, "x");
    outbox.failed("refused".to_owned(), true);
    let standing = outbox.hurry();
    let expect = |waiting, refusals| Standing { waiting, refusals };
    assert_eq!(*standing.borrow(), expect(1, 0));
    outbox.failed("away".to_owned(), false);
    outbox.failed("refused".to_owned(), true);
    assert_eq!(*standing.borrow(), expect(1, 1));
    let entry = outbox.next();
    outbox.set_aside(&entry, "too large".to_owned());
    assert_eq!(*standing.borrow(), expect(0, 1));
    assert_eq!(outbox.missing(), (vec![key], Some("too large".to_owned())));
}
