//! A large fleet that is busy with long items: heartbeats alone.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tokio::task::JoinSet;
use tokio::time::{interval_at, sleep_until};

use crate::clients::{register, spread};
use crate::latency::Latencies;
use crate::numbers::{Numbers, Wanted};
use crate::process::Server;
use crate::session::{Held, Session, connect};

const HEARTBEAT: Duration = Duration::from_secs(5);
const CONNECTIONS: u64 = 100;
/// Before measuring starts, and while it lasts.
const SETTLES: Duration = Duration::from_secs(6);
const LASTS: Duration = Duration::from_secs(20);

pub(crate) async fn measure(numbers: &mut Numbers, workers: u64) -> anyhow::Result<()> {
    let server = Server::start(1)?;
    let address = server.address();
    let mut first = Session::register(connect(&address).await?, 0, 1).await?;
    first.split_root(workers).await?;
    let sessions = register(&address, workers, CONNECTIONS, 1).await?;
    let all = sessions.len();
    let from = tokio::time::Instant::now();
    let end = from + SETTLES + LASTS;
    let mut under_way = JoinSet::new();
    for (number, session) in sessions.into_iter().enumerate() {
        under_way.spawn(hold(session, spread(HEARTBEAT, number, all), end));
    }
    sleep_until(from + SETTLES).await;
    let (before, begun) = (server.processor_secs()?, Instant::now());
    sleep_until(end).await;
    let cores = (server.processor_secs()? - before) / begun.elapsed().as_secs_f64();
    let mut latencies = Latencies::default();
    while let Some(ended) = under_way.join_next().await {
        latencies.join(ended.context("a worker panicked")??);
    }
    let about = format!("heartbeats of {workers} workers, one item each, every 5 s");
    numbers.add(&about, cores, "cores", Wanted::AtMost(0.5));
    latencies.tell(numbers, "such a heartbeat", Wanted::Beside);
    Ok(())
}

/// One worker that takes an item and goes on with it until the end.
async fn hold(
    mut session: Session,
    offset: Duration,
    end: tokio::time::Instant,
) -> anyhow::Result<Latencies> {
    let grants = session.lease(1, HEARTBEAT).await?;
    let held: Held = grants
        .iter()
        .map(|grant| (grant.item, grant.epoch))
        .collect();
    ensure!(held.len() == 1, "a worker got no item");
    let mut ticks = interval_at(tokio::time::Instant::now() + offset, HEARTBEAT);
    let mut latencies = Latencies::default();
    while ticks.tick().await < end {
        let asked = Instant::now();
        let lost = session.heartbeat(&held).await?;
        ensure!(lost.is_empty(), "an item was lost");
        latencies.add(asked.elapsed());
    }
    Ok(latencies)
}
