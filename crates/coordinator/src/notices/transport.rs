//! Posting over HTTP and HTTPS.
//!
//! Redirects are not followed: the URL is for its host alone, and a post that is redirected would arrive as
//! something else.

use std::time::Duration;

use model::config::WebUrl;
use ureq::{Agent, Error};

use crate::https::{self, Certificate, NoAnswer};

/// Of an answer no more is read.
const MAX_ANSWER: u64 = 64 << 10;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// How a notice gets to its receiver.
pub(super) trait Transport: Send + Sync {
    /// Posts JSON; takes no longer than `limit`.
    fn post(&self, url: &WebUrl, body: &[u8], limit: Duration) -> Result<Answer, NoAnswer>;
}

pub(super) struct Https {
    agent: Agent,
}

impl Https {
    pub(super) fn new() -> Self {
        Self {
            agent: https::agent(Certificate::Verified),
        }
    }
}

impl Transport for Https {
    fn post(&self, url: &WebUrl, body: &[u8], limit: Duration) -> Result<Answer, NoAnswer> {
        let request = self.agent.post(url.expose());
        let mut response = request
            .content_type("application/json; charset=utf-8")
            .config()
            .timeout_global(Some(limit))
            .build()
            .send(body)?;
        let status = response.status().as_u16();
        let answer = response.body_mut().with_config().limit(MAX_ANSWER);
        match answer.read_to_vec() {
            Ok(body) => Ok(Answer { status, body }),
            // Whatever it goes on to say, it has taken the notice or not.
            Err(Error::BodyExceedsLimit(_)) => Ok(Answer {
                status,
                body: Vec::new(),
            }),
            Err(error) => Err(error.into()),
        }
    }
}
