//! Notices: cards for Feishu (Lark) and JSON for webhooks, for each task that ended, for a target that is
//! full or has room again, and for the run.
//!
//! What happened ([`event`]) is laid out once ([`feishu`], [`webhook`]) and put into one queue a receiver
//! ([`outbox`]), from which that receiver's own thread posts it ([`sender`], [`transport`]). Nobody who tells
//! waits: a receiver that hangs, fails or is gone delays its own notices and nothing else. Queues are bounded,
//! and what could not be delivered is named in the log.
//!
//! A task is told of before its row counts as written: after a crash in between it is told of again.

mod event;
#[cfg(test)]
pub(crate) mod fake;
mod feishu;
mod outbox;
mod sender;
#[cfg(test)]
mod tests;
mod transport;
mod webhook;

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::RunId;
use model::config::{Config, NoticeKind, WebUrl};

pub(crate) use event::{Event, Paused, RunEnd};
use outbox::Outbox;
use sender::Pace;
use transport::{Https, Transport};

/// What the senders have above the limit for the notices to give up, before others speak for them.
const GRACE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    Feishu,
    Webhook,
}

/// Who is told, and of what.
#[derive(Debug, Clone)]
struct Receiver {
    url: WebUrl,
    layout: Layout,
    on: Vec<NoticeKind>,
}

/// Whoever has a clone may tell.
#[derive(Clone, Default)]
pub(crate) struct Notices {
    of_run: Option<Arc<OfRun>>,
}

struct OfRun {
    run: RunId,
    config: String,
    outboxes: Vec<(Receiver, Arc<Outbox>)>,
}

impl Notices {
    /// Starts the senders of a config's receivers, if there are any.
    pub(crate) fn start(config: &Config, run: RunId, config_name: &str) -> Self {
        let receivers = receivers(config);
        if receivers.is_empty() {
            return Self::default();
        }
        for receiver in &receivers {
            tracing::info!("notices go to {}", receiver.url);
        }
        let transport = Arc::new(Https::new());
        Self::with_transport(receivers, run, config_name, transport, Pace::default())
    }

    fn with_transport(
        receivers: Vec<Receiver>,
        run: RunId,
        config_name: &str,
        transport: Arc<dyn Transport>,
        pace: Pace,
    ) -> Self {
        let outboxes = receivers
            .into_iter()
            .map(|receiver| {
                let outbox = Arc::new(Outbox::new(receiver.url.origin().to_owned()));
                sender::spawn(receiver.clone(), outbox.clone(), transport.clone(), pace);
                (receiver, outbox)
            })
            .collect();
        Self {
            of_run: Some(Arc::new(OfRun {
                run,
                config: config_name.to_owned(),
                outboxes,
            })),
        }
    }

    /// Puts a notice into the queues of all who want it. Does not wait.
    pub(crate) fn tell(&self, event: &Event) {
        let Some(of_run) = &self.of_run else { return };
        for (receiver, outbox) in &of_run.outboxes {
            if !receiver.on.contains(&event.kind()) {
                continue;
            }
            let body = match receiver.layout {
                Layout::Feishu => feishu::card(event, &of_run.config),
                Layout::Webhook => webhook::body(event, of_run.run, &of_run.config),
            };
            outbox.put(event.name(), body.to_string().into_bytes());
        }
    }

    /// Waits until all is delivered or given up, up to `limit`; afterwards nothing is tried again.
    pub(crate) async fn settle(&self, limit: Duration) {
        let Some(of_run) = &self.of_run else { return };
        let deadline = Instant::now() + limit;
        for (_, outbox) in &of_run.outboxes {
            outbox.end_at(deadline);
        }
        let waited = tokio::time::timeout(Duration::from_secs(1).min(limit), of_run.all_settled());
        if waited.await.is_err() && !limit.is_zero() {
            tracing::info!(
                "notices are not delivered yet: waiting up to {} s",
                limit.as_secs()
            );
            let deadline = tokio::time::Instant::from_std(deadline + GRACE);
            let _ = tokio::time::timeout_at(deadline, of_run.all_settled()).await;
        }
        self.give_up();
    }

    /// Names what is not delivered; it never will be.
    pub(crate) fn give_up(&self) {
        let Some(of_run) = &self.of_run else { return };
        for (_, outbox) in &of_run.outboxes {
            outbox.give_up();
        }
    }
}

impl OfRun {
    async fn all_settled(&self) {
        for (_, outbox) in &self.outboxes {
            outbox.settled().await;
        }
    }
}

fn receivers(config: &Config) -> Vec<Receiver> {
    let feishu = config.global.feishu_url().map(|url| Receiver {
        url,
        layout: Layout::Feishu,
        on: NoticeKind::ALL.to_vec(),
    });
    let webhooks = config.notify.iter().map(|webhook| Receiver {
        url: webhook.url.clone(),
        layout: Layout::Webhook,
        on: webhook.on.clone(),
    });
    feishu.into_iter().chain(webhooks).collect()
}
