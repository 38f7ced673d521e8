//! Posts the notices of one receiver, in order, on a thread of its own.
//!
//! A receiver that can't be reached or is in trouble is tried again with growing waits, for up to an hour a
//! notice; one that refuses what it is sent, a few times, since the next notice may be another matter.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::outbox::{Notice, Outbox};
use super::transport::{Answer, Transport};
use super::{Layout, Receiver};
use crate::https::NoAnswer;

/// Of one try, from the look-up of the name to the end of the answer.
const TRY: Duration = Duration::from_secs(10);
/// Tries of a notice that is refused.
const REFUSALS: u32 = 4;

/// How often is tried.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) first_wait: Duration,
    pub(super) longest_wait: Duration,
    /// Of all tries of one notice.
    pub(super) overall: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(60),
            overall: Duration::from_secs(3600),
        }
    }
}

/// Codes of Feishu for senders that are to slow down.
const TOO_OFTEN: [i64; 2] = [11232, 11247];

/// Why a try was none. No message holds the URL or what the receiver said.
#[derive(Debug, thiserror::Error)]
pub(super) enum TryError {
    #[error("{0}")]
    Post(#[from] NoAnswer),
    #[error("HTTP status {0}")]
    Status(u16),
    #[error("HTTP status {0}: redirects are not followed, expected the URL where it leads to")]
    Redirect(u16),
    #[error("Feishu's code {0}{hint}", hint = hint(*.0))]
    Code(i64),
}

impl TryError {
    /// Whether it is the notice or its address that is not wanted, rather than the moment.
    fn is_refusal(&self) -> bool {
        match self {
            TryError::Post(_) => false,
            TryError::Status(status) => {
                (400..500).contains(status) && !matches!(status, 408 | 425 | 429)
            }
            TryError::Redirect(_) => true,
            TryError::Code(code) => !TOO_OFTEN.contains(code),
        }
    }
}

fn hint(code: i64) -> &'static str {
    match code {
        19001 => " (the token in the URL is not valid)",
        19021 => " (the robot expects signatures, which are not supported)",
        19022 => " (this machine's address is not allowed by the robot)",
        19024 => " (the robot expects a keyword that the card has not)",
        11232 | 11247 => " (too many cards in a short time)",
        _ => "",
    }
}

pub(super) fn spawn(
    receiver: Receiver,
    outbox: Arc<Outbox>,
    transport: Arc<dyn Transport>,
    pace: Pace,
) {
    let ours = outbox.clone();
    let thread = std::thread::Builder::new().name("notices".to_owned());
    let spawned = thread.spawn(move || {
        while let Some(notice) = outbox.next() {
            deliver(&receiver, &notice, &outbox, &*transport, pace);
        }
    });
    if let Err(error) = spawned {
        tracing::warn!("no thread for notices: {error}");
        ours.give_up();
    }
}

fn deliver(
    receiver: &Receiver,
    notice: &Arc<Notice>,
    outbox: &Outbox,
    transport: &dyn Transport,
    pace: Pace,
) {
    let begun = Instant::now();
    let mut refusals = 0;
    let mut wait = pace.first_wait;
    while let Some(limit) = outbox.time_left(TRY) {
        let tried = transport
            .post(&receiver.url, &notice.body, limit)
            .map_err(TryError::from)
            .and_then(|answer| judge(receiver.layout, &answer));
        let Err(error) = tried else {
            tracing::debug!("notice of {} delivered to {}", notice.name, receiver.url);
            outbox.done(notice);
            return;
        };
        refusals += u32::from(error.is_refusal());
        if refusals >= REFUSALS || begun.elapsed() >= pace.overall {
            tracing::warn!("notice of {} to {}: {error}", notice.name, receiver.url);
            outbox.missing(std::slice::from_ref(&notice.name));
            outbox.done(notice);
            return;
        }
        let first = wait == pace.first_wait;
        let secs = wait.as_secs();
        let (name, url) = (&notice.name, &receiver.url);
        match first {
            true => tracing::warn!("notice of {name} to {url}: {error}; tried again in {secs} s"),
            false => tracing::debug!("notice of {name} to {url}: {error}; again in {secs} s"),
        }
        outbox.pause(wait);
        wait = (wait * 2).min(pace.longest_wait);
    }
    // The time is over for all of them.
    outbox.give_up();
}

/// Feishu says what is wrong in the body of an HTTP 200.
pub(super) fn judge(layout: Layout, answer: &Answer) -> Result<(), TryError> {
    match answer.status {
        200..=299 => {}
        300..=399 => return Err(TryError::Redirect(answer.status)),
        status => return Err(TryError::Status(status)),
    }
    if layout == Layout::Webhook {
        return Ok(());
    }
    let body: Option<serde_json::Value> = serde_json::from_slice(&answer.body).ok();
    let code = body.and_then(|body| {
        let code = body.get("code").or_else(|| body.get("StatusCode"))?;
        Some(code.as_i64().unwrap_or(-1))
    });
    match code {
        None | Some(0) => Ok(()),
        Some(code) => Err(TryError::Code(code)),
    }
}
