//! A simulated worker: what one says to the server, without what it does.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use testkit::random::Random;
use tonic::transport::{Channel, Endpoint};
use wire::proto::coordinator_client::CoordinatorClient;
use wire::proto::{self, work};

const CALL_WITHIN: Duration = Duration::from_secs(60);

pub(crate) type Client = CoordinatorClient<Channel>;

/// An item under the epoch of its grant.
pub(crate) type Held = HashMap<u64, u32>;

pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) id: u64,
    random: Random,
}

pub(crate) async fn connect(address: &str) -> anyhow::Result<Client> {
    let channel = Endpoint::from_shared(address.to_owned())?
        .tcp_nodelay(true)
        .timeout(CALL_WITHIN)
        .connect()
        .await
        .with_context(|| format!("cannot reach {address}"))?;
    Ok(CoordinatorClient::new(channel).max_decoding_message_size(wire::MAX_MESSAGE_BYTES))
}

impl Session {
    pub(crate) async fn register(
        mut client: Client,
        number: u64,
        slots: u32,
    ) -> anyhow::Result<Self> {
        let mut random = Random::new(number + 1);
        let request = proto::RegisterRequest {
            protocol_version: wire::PROTOCOL_VERSION,
            request_id: id(&mut random),
            name: format!("simulated-{number}"),
            program_version: env!("CARGO_PKG_VERSION").to_owned(),
            slots,
            engines: vec![proto::EngineVersion {
                engine: "native".to_owned(),
                ..proto::EngineVersion::default()
            }],
            ..proto::RegisterRequest::default()
        };
        let reply = client.register(request).await?.into_inner();
        Ok(Self {
            client,
            id: reply.session,
            random,
        })
    }

    /// Waits for items for up to `wait`.
    pub(crate) async fn lease(
        &mut self,
        slots: u32,
        wait: Duration,
    ) -> anyhow::Result<Vec<proto::Grant>> {
        let request = proto::LeaseRequest {
            session: self.id,
            request_id: id(&mut self.random),
            slots,
            wait_ms: wait.as_millis() as u32,
            more_of_a_task: None,
        };
        Ok(self.client.lease(request).await?.into_inner().grants)
    }

    /// Takes the task's first item, and hands back `items` in its place.
    pub(crate) async fn split_root(&mut self, items: u64) -> anyhow::Result<()> {
        let grants = self.lease(1, Duration::from_secs(20)).await?;
        let root = grants
            .first()
            .context("the task has no first item")?
            .clone();
        let identity = proto::SourceIdentity {
            inode: 2,
            fs_type: "ext4".to_owned(),
            ..proto::SourceIdentity::default()
        };
        let roots = proto::RootsRequest {
            session: self.id,
            item: root.item,
            epoch: root.epoch,
            source_identity: Some(identity),
            ..proto::RootsRequest::default()
        };
        self.client.roots(roots).await?;
        const PAGE: u64 = 4_000;
        for first in (0..items).step_by(PAGE as usize) {
            let children = (first..items.min(first + PAGE)).map(|number| self.child(number));
            let request = proto::SplitRequest {
                children: children.collect(),
                session: self.id,
                item: root.item,
                epoch: root.epoch,
            };
            let reply = self.client.split(request).await?.into_inner();
            ensure!(
                reply.verdict() == proto::Verdict::Stored,
                "a split was refused"
            );
            let lost = self
                .heartbeat(&Held::from([(root.item, root.epoch)]))
                .await?;
            ensure!(lost.is_empty(), "the first item was lost");
        }
        self.complete(root.item, root.epoch, 0).await
    }

    fn child(&self, number: u64) -> proto::Child {
        let walk = proto::Walk {
            directories: vec![format!("projects/{:03}/{number:07}", number % 500).into_bytes()],
            purpose: proto::Purpose::Copy.into(),
            ..proto::Walk::default()
        };
        proto::Child {
            // Mixed, as those of real workers are.
            item: Random::part(self.id, number).next() >> 1,
            work: Some(proto::Work {
                kind: Some(work::Kind::Walk(walk)),
            }),
        }
    }

    /// Answers with the items that are not this worker's any more.
    pub(crate) async fn heartbeat(&mut self, held: &Held) -> anyhow::Result<Vec<u64>> {
        let held = held.iter().map(|(item, epoch)| proto::Held {
            item: *item,
            epoch: *epoch,
            progress: Some(proto::Progress::default()),
        });
        let request = proto::HeartbeatRequest {
            session: self.id,
            held: held.collect(),
            left_behind: Vec::new(),
            more_of_a_task: None,
        };
        let reply = self.client.heartbeat(request).await?.into_inner();
        Ok(reply.lost.into_iter().map(|lost| lost.item).collect())
    }

    /// Hands in that so many files were copied.
    pub(crate) async fn complete(
        &mut self,
        item: u64,
        epoch: u32,
        files: u64,
    ) -> anyhow::Result<()> {
        let outcome = proto::Outcome {
            listed: files,
            copied: files,
            copied_files: files,
            ..proto::Outcome::default()
        };
        let request = proto::CompleteRequest {
            session: self.id,
            item,
            epoch,
            outcome: Some(outcome),
            ..proto::CompleteRequest::default()
        };
        let reply = self.client.complete(request).await?.into_inner();
        ensure!(
            reply.verdict() == proto::Verdict::Stored,
            "a result was refused"
        );
        Ok(())
    }

    /// The same worker for one call beside others.
    pub(crate) fn another(&self) -> Self {
        Self {
            client: self.client.clone(),
            id: self.id,
            random: self.random.clone(),
        }
    }
}

fn id(random: &mut Random) -> u64 {
    random.next() >> 1
}
