//! What holds up what: an object that is at fault none, a destination that is away all, and nobody else.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Key;
use super::bucket::{Target, UploadError};
use super::outbox::Outbox;
use super::sender::{self, Pace};
use crate::https::NoAnswer;

/// Answers as it is told, then takes everything; keeps what it was sent.
#[derive(Clone, Default)]
struct Fake {
    answers: Arc<Mutex<Vec<UploadError>>>,
    tried: Arc<Mutex<Vec<String>>>,
}

impl Target for Fake {
    fn put(&self, key: &Key, file: &Path) -> Result<(), UploadError> {
        self.tried.lock().unwrap().push(key.to_string());
        assert!(file.is_file());
        match self.answers.lock().unwrap().pop() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

fn answered(status: u16) -> UploadError {
    let code = String::new();
    UploadError::Answered { status, code }
}

fn outbox(at: &Path, names: &[&str]) -> Arc<Outbox> {
    let outbox = Outbox::open(at.join("outbox")).unwrap();
    for name in names {
        outbox
            .put(&Key::report(name), |out| out.write_all(b"x"))
            .unwrap();
    }
    Arc::new(outbox)
}

/// Sends until nothing waits; which keys were tried, without the folder of reports.
fn sent(outbox: &Arc<Outbox>, mut answers: Vec<UploadError>) -> Vec<String> {
    answers.reverse();
    let fake = Fake {
        answers: Arc::new(Mutex::new(answers)),
        ..Fake::default()
    };
    let pace = Pace {
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_millis(2),
    };
    let mut standing = outbox.hurry();
    sender::spawn(outbox.clone(), fake.clone(), "s3".to_owned(), pace);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let done = runtime.block_on(async {
        let done = standing.wait_for(|standing| standing.waiting == 0);
        tokio::time::timeout(Duration::from_secs(60), done)
            .await
            .is_ok()
    });
    assert!(done, "something waits for ever");
    let tried = fake.tried.lock().unwrap();
    let name = |key: &String| key.trim_start_matches("rclone/reports/").to_owned();
    tried.iter().map(name).collect()
}

#[test]
fn what_is_away_is_tried_again_until_it_takes_the_object() {
    let scratch = tempfile::tempdir().unwrap();
    let outbox = outbox(scratch.path(), &["a", "b"]);
    let away = || UploadError::NoAnswer(NoAnswer::Timeout);
    let answers = vec![away(), answered(503), answered(403), answered(507)];
    assert_eq!(sent(&outbox, answers), ["a", "a", "a", "a", "a", "b"]);
    assert_eq!(outbox.missing(), (vec![], None));
}

#[test]
fn an_object_that_is_too_large_holds_up_no_other_and_is_named() {
    let scratch = tempfile::tempdir().unwrap();
    let outbox = outbox(scratch.path(), &["a", "b"]);
    assert_eq!(sent(&outbox, vec![answered(413)]), ["a", "b"]);
    assert_eq!(outbox.missing().0, [Key::report("a")]);
    assert!(outbox.path_of(&Key::report("a")).is_file());
}
