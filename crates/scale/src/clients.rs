//! Many simulated workers at once, on so many connections.

use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinSet;

use crate::session::{Client, Session, connect};

/// Registered at once, at most: no fleet starts in one moment.
const AT_ONCE: usize = 100;

pub(crate) async fn register(
    address: &str,
    workers: u64,
    connections: u64,
    slots: u32,
) -> anyhow::Result<Vec<Session>> {
    let mut clients: Vec<Client> = Vec::new();
    for _ in 0..connections.min(workers) {
        clients.push(connect(address).await?);
    }
    let (mut under_way, mut sessions) = (JoinSet::new(), Vec::new());
    for number in 0..workers {
        let client = clients[number as usize % clients.len()].clone();
        // The first was the one that split.
        under_way.spawn(Session::register(client, number + 1, slots));
        if under_way.len() >= AT_ONCE {
            sessions.push(next(&mut under_way).await?);
        }
    }
    while !under_way.is_empty() {
        sessions.push(next(&mut under_way).await?);
    }
    Ok(sessions)
}

async fn next(under_way: &mut JoinSet<anyhow::Result<Session>>) -> anyhow::Result<Session> {
    under_way.join_next().await.context("one is under way")??
}

/// Every worker's heartbeats, evenly spread: the first of number `n` of `all` comes after so long.
pub(crate) fn spread(interval: Duration, number: usize, all: usize) -> Duration {
    interval.mul_f64(number as f64 / all.max(1) as f64)
}
