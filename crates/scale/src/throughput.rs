//! A fleet at work: items leased and completed a second, and how long calls take meanwhile.
//!
//! Twice: with items that last about a second, where 1,000 workers of three slots offer some 3,700 a second, so that the
//! time of a call is the server's and not a queue's; and with items that last for nothing, for the most it can do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use testkit::random::Random;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{interval_at, sleep};
use wire::proto;

use crate::clients::{register, spread};
use crate::latency::Latencies;
use crate::numbers::{Numbers, Wanted};
use crate::process::{Server, processor_secs};
use crate::session::{Held, Session, connect};

const SLOTS: u32 = 3;
const HEARTBEAT: Duration = Duration::from_secs(5);
const WAIT: Duration = Duration::from_secs(20);
const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// How long an item lasts, in milliseconds.
type WorkMs = std::ops::RangeInclusive<u64>;

pub(crate) async fn measure(numbers: &mut Numbers, workers: u64, items: u64) -> anyhow::Result<()> {
    let paced = fleet(workers, items, 400..=1_200).await?;
    let about = format!("{workers} workers, {items} items of 0.8 s");
    let rate = Wanted::AtLeast(3_000.0);
    numbers.add(
        &format!("{about}: leased and completed"),
        paced.rate,
        "items/s",
        rate,
    );
    let p99 = Wanted::AtMost(50.0);
    paced
        .leases
        .tell(numbers, "Lease that is granted at once", p99);
    paced.completes.tell(numbers, "Complete", p99);
    paced.heartbeats.tell(numbers, "Heartbeat", p99);
    let memory = Wanted::AtMost(256.0);
    numbers.add(
        "the server's memory, at most",
        paced.memory_mib,
        "MiB",
        memory,
    );
    numbers.add(
        "the server's processor time",
        paced.server_cores,
        "cores",
        Wanted::Beside,
    );
    numbers.add(
        "that of the workers",
        paced.worker_cores,
        "cores",
        Wanted::Beside,
    );
    let pressed = fleet(workers, items, 0..=0).await?;
    numbers.add(
        "items that last for nothing",
        pressed.rate,
        "items/s",
        Wanted::Beside,
    );
    numbers.add(
        "the server's processor time",
        pressed.server_cores,
        "cores",
        Wanted::Beside,
    );
    Ok(())
}

struct Measured {
    rate: f64,
    leases: Latencies,
    completes: Latencies,
    heartbeats: Latencies,
    memory_mib: f64,
    server_cores: f64,
    worker_cores: f64,
}

/// What all workers share.
struct Fleet {
    /// Items that are not completed.
    left: AtomicU64,
    work_ms: WorkMs,
    leases: Mutex<Latencies>,
    completes: Mutex<Latencies>,
    heartbeats: Mutex<Latencies>,
}

async fn fleet(workers: u64, items: u64, work_ms: WorkMs) -> anyhow::Result<Measured> {
    let server = Server::start(SLOTS.into())?;
    let address = server.address();
    let mut first = Session::register(connect(&address).await?, 0, 1).await?;
    first.split_root(items).await?;
    let sessions = register(&address, workers, workers, SLOTS).await?;
    let fleet = Arc::new(Fleet {
        left: AtomicU64::new(items),
        work_ms,
        leases: Mutex::default(),
        completes: Mutex::default(),
        heartbeats: Mutex::default(),
    });
    let (server_before, own_before) = (server.processor_secs()?, processor_secs("self")?);
    let begun = Instant::now();
    let mut under_way = JoinSet::new();
    let all = sessions.len();
    for (number, session) in sessions.into_iter().enumerate() {
        let fleet = Arc::clone(&fleet);
        under_way.spawn(work(session, fleet, spread(HEARTBEAT, number, all)));
    }
    while let Some(ended) = under_way.join_next().await {
        ended.context("a worker panicked")??;
    }
    let secs = begun.elapsed().as_secs_f64();
    let fleet = Arc::into_inner(fleet).context("all workers have ended")?;
    Ok(Measured {
        rate: items as f64 / secs,
        leases: fleet.leases.into_inner(),
        completes: fleet.completes.into_inner(),
        heartbeats: fleet.heartbeats.into_inner(),
        memory_mib: server.memory()?.peak_bytes as f64 / MEBIBYTE,
        server_cores: (server.processor_secs()? - server_before) / secs,
        worker_cores: (processor_secs("self")? - own_before) / secs,
    })
}

/// One worker, until nothing is left.
async fn work(mut session: Session, fleet: Arc<Fleet>, offset: Duration) -> anyhow::Result<()> {
    let held = Arc::new(std::sync::Mutex::new(Held::new()));
    let slots = Arc::new(Semaphore::new(SLOTS as usize));
    let beating = tokio::spawn(beat(
        session.another(),
        Arc::clone(&fleet),
        Arc::clone(&held),
        offset,
    ));
    let mut random = Random::new(session.id);
    let mut items = JoinSet::new();
    while fleet.left.load(Ordering::SeqCst) > 0 && !beating.is_finished() {
        // At least one is free, then all that are.
        let mut free = slots.clone().acquire_owned().await?;
        while let Ok(another) = slots.clone().try_acquire_owned() {
            free.merge(another);
        }
        let asked = Instant::now();
        let grants = tokio::select! {
            grants = session.lease(free.num_permits() as u32, WAIT) => grants?,
            () = nothing_left(&fleet) => break,
        };
        if grants.len() == free.num_permits() {
            fleet.leases.lock().await.add(asked.elapsed());
        }
        for grant in grants {
            held.lock()
                .expect("nobody panics")
                .insert(grant.item, grant.epoch);
            let ms = random.within(&fleet.work_ms);
            let slot = free.split(1).context("more was granted than asked for")?;
            let (session, fleet, held) = (session.another(), Arc::clone(&fleet), Arc::clone(&held));
            items.spawn(async move {
                sleep(Duration::from_millis(ms)).await;
                let done = complete(session, &fleet, &grant).await;
                held.lock().expect("nobody panics").remove(&grant.item);
                drop(slot);
                done
            });
        }
    }
    while let Some(ended) = items.join_next().await {
        ended.context("an item panicked")??;
    }
    beating.abort();
    match beating.await {
        Ok(ended) => ended,
        Err(_) => Ok(()),
    }
}

async fn complete(mut session: Session, fleet: &Fleet, grant: &proto::Grant) -> anyhow::Result<()> {
    let asked = Instant::now();
    session.complete(grant.item, grant.epoch, 1).await?;
    fleet.completes.lock().await.add(asked.elapsed());
    // Beyond what was split there may be items of later phases.
    let _ = fleet
        .left
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            left.checked_sub(1)
        });
    Ok(())
}

/// A poll that still waits when all is done would last for long.
async fn nothing_left(fleet: &Fleet) {
    while fleet.left.load(Ordering::SeqCst) > 0 {
        sleep(Duration::from_millis(200)).await;
    }
}

async fn beat(
    mut session: Session,
    fleet: Arc<Fleet>,
    held: Arc<std::sync::Mutex<Held>>,
    offset: Duration,
) -> anyhow::Result<()> {
    let mut ticks = interval_at(tokio::time::Instant::now() + offset, HEARTBEAT);
    loop {
        ticks.tick().await;
        let now_held = held.lock().expect("nobody panics").clone();
        let asked = Instant::now();
        // An item that was completed meanwhile is lost, and rightly so; one that was not is refused when it is.
        session.heartbeat(&now_held).await?;
        fleet.heartbeats.lock().await.add(asked.elapsed());
    }
}
