//! A receiver without a network, for tests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::RunId;
use model::config::{NoticeKind, WebUrl};
use serde_json::Value;

use super::sender::Pace;
use super::transport::{Answer, Transport};
use super::{Layout, Notices, Receiver};
use crate::https::NoAnswer;

type Answers = Vec<Result<u16, NoAnswer>>;

/// Answers as it is told, then 200; keeps what it was sent.
#[derive(Default)]
pub(crate) struct Fake {
    answers: Mutex<HashMap<String, Answers>>,
    posts: Mutex<Vec<(String, Value)>>,
}

impl Fake {
    pub(super) fn answering(origin: &str, mut answers: Answers) -> Arc<Self> {
        answers.reverse();
        let fake = Self::default();
        fake.answers
            .lock()
            .unwrap()
            .insert(origin.to_owned(), answers);
        Arc::new(fake)
    }

    /// The names of what an origin was sent, in order.
    pub(crate) fn posts(&self, origin: &str) -> Vec<String> {
        let posts = self.posts.lock().unwrap();
        let to = posts.iter().filter(|(to, _)| to == origin);
        to.map(|(_, body)| match &body["task"]["id"] {
            Value::Null => body["event"].as_str().unwrap().to_owned(),
            id => format!("{} {id}", body["event"].as_str().unwrap()),
        })
        .collect()
    }
}

impl Transport for Fake {
    fn post(&self, url: &WebUrl, body: &[u8], limit: Duration) -> Result<Answer, NoAnswer> {
        assert!(limit <= Duration::from_secs(10));
        let body = serde_json::from_slice(body).unwrap();
        let origin = url.origin().to_owned();
        self.posts.lock().unwrap().push((origin.clone(), body));
        let mut answers = self.answers.lock().unwrap();
        let next = answers
            .get_mut(&origin)
            .and_then(Vec::pop)
            .unwrap_or(Ok(200));
        next.map(|status| Answer {
            status,
            body: Vec::new(),
        })
    }
}

/// A webhook that is told of everything.
pub(super) fn receiver(url: &str) -> Receiver {
    Receiver {
        url: WebUrl::parse(url).unwrap(),
        layout: Layout::Webhook,
        on: NoticeKind::ALL.to_vec(),
    }
}

/// Notices to one that takes all, and what it took.
pub(crate) fn taken_at(url: &str) -> (Notices, Arc<Fake>) {
    let (fake, run) = (Arc::new(Fake::default()), RunId::from_random(7));
    let receivers = vec![receiver(url)];
    let notices = Notices::with_transport(receivers, run, "c", fake.clone(), Pace::default());
    (notices, fake)
}

/// As at the end of a run.
pub(crate) fn settle(notices: &Notices, limit: Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(notices.settle(limit));
}
