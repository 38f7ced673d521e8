//! One registration: its heartbeats, the commands it fetches, the items it holds.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use model::{Engine, Epoch, ItemId};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use transfer::Threads;
use transfer::rclone::{NoRclone, Rclone};
use wire::proto;
use wire::proto::command::Kind;

use crate::behind::Behind;
use crate::connection::{CallError, Connection, definite};
use crate::lease::{LeaseClock, granted_from, now};
use crate::room::Room;
use crate::running::Running;
use crate::slot;
use crate::{Options, random};

/// Long polls: a server that has nothing answers after this time.
const POLL: Duration = Duration::from_secs(20);
/// Time to answer on top of a poll.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// What still runs so long after it was told to stop is left behind.
const LEFT_AFTER: Duration = Duration::from_secs(4);

/// Where the server does not say it.
const HUNG_AFTER: Duration = Duration::from_secs(60);

/// Why a session ended.
#[derive(Debug)]
pub(crate) enum Over {
    /// The run is.
    Run,
    Stopped,
    /// The server knows it no more.
    Lost,
    Failed(CallError),
}

impl From<CallError> for Over {
    fn from(error: CallError) -> Self {
        match error {
            CallError::UnknownSession => Over::Lost,
            other => Over::Failed(other),
        }
    }
}

type Held = HashMap<(ItemId, Epoch), Arc<Running>>;

pub(crate) struct Session {
    pub(crate) id: u64,
    pub(crate) connection: Arc<Connection>,
    pub(crate) clock: Arc<LeaseClock>,
    pub(crate) threads: Threads,
    pub(crate) rclone: Result<Arc<Rclone>, NoRclone>,
    pub(crate) runtime: Handle,
    heartbeat: Duration,
    /// A call into a mount that takes longer hangs.
    pub(crate) hung_after: Duration,
    /// Of this process, whatever the session.
    pub(crate) behind: Arc<Behind>,
    pub(crate) slots: usize,
    pub(crate) room: Room,
    /// By epoch too: an item may come back while the attempt that lost it is still ending.
    held: Mutex<Held>,
    /// Woken when a slot has become free.
    pub(crate) freed: Notify,
}

/// Registers; repeated until a server answers.
pub(crate) async fn register(
    connection: &Arc<Connection>,
    behind: &Arc<Behind>,
    options: &Options,
) -> Result<Session, CallError> {
    let request = proto::RegisterRequest {
        protocol_version: wire::PROTOCOL_VERSION,
        request_id: random(),
        name: options.name.clone(),
        program_version: env!("CARGO_PKG_VERSION").to_owned(),
        slots: options.concurrency,
        engines: engines(&options.rclone),
        mounts: mounts(),
        only_walks: options.only_walks,
    };
    // The first try's time, if there are several: the server may have begun to count then.
    let sent = AtomicU64::new(u64::MAX);
    let reply = connection
        .call(ANSWER_WITHIN, |mut client| {
            sent.fetch_min(now(), Ordering::Relaxed);
            let request = request.clone();
            async move { client.register(request).await }
        })
        .await?;
    let slots = options.concurrency.min(reply.concurrency).max(1) as usize;
    let transfers = options.transfers.unwrap_or(reply.transfers).max(1) as usize;
    tracing::info!(
        "registered as {} with {slots} slots, {transfers} threads",
        options.name
    );
    let lease = Duration::from_millis(reply.lease_ms.into());
    Ok(Session {
        id: reply.session,
        connection: connection.clone(),
        clock: Arc::new(LeaseClock::new(lease, sent.into_inner())),
        threads: Threads::new(transfers),
        rclone: options.rclone.clone(),
        runtime: Handle::current(),
        heartbeat: Duration::from_millis(reply.heartbeat_ms.into()),
        hung_after: match reply.hung_mount_ms {
            0 => HUNG_AFTER,
            ms => Duration::from_millis(ms.into()),
        },
        behind: behind.clone(),
        slots,
        room: Room::default(),
        held: Mutex::new(HashMap::new()),
        freed: Notify::new(),
    })
}

fn engines(rclone: &Result<Arc<Rclone>, NoRclone>) -> Vec<proto::EngineVersion> {
    let native = proto::EngineVersion {
        engine: Engine::Native.name().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        problem: String::new(),
    };
    let (version, problem) = match rclone {
        Ok(rclone) => (rclone.version(), String::new()),
        Err(why) => (String::new(), why.to_string()),
    };
    let rclone = proto::EngineVersion {
        engine: Engine::Rclone.name().to_owned(),
        version,
        problem,
    };
    vec![native, rclone]
}

/// For people who look for the mount that a worker misses; the kernel's own are left out.
fn mounts() -> Vec<proto::Mount> {
    use std::os::unix::ffi::OsStrExt;
    const OWN: [&str; 8] = [
        "proc",
        "sysfs",
        "devtmpfs",
        "devpts",
        "cgroup",
        "cgroup2",
        "securityfs",
        "debugfs",
    ];
    storage::mounts::read()
        .unwrap_or_default()
        .into_iter()
        .filter(|mount| !OWN.contains(&mount.fs_type.as_str()))
        .take(1000)
        .map(|mount| proto::Mount {
            mount_point: mount.mount_point.as_os_str().as_bytes().to_vec(),
            fs_type: mount.fs_type,
        })
        .collect()
}

impl Session {
    /// Works until the session is over for some reason.
    pub(crate) async fn work(self: &Arc<Self>) -> Over {
        tokio::select! {
            over = self.beat() => over,
            over = self.obey() => over,
            over = self.lease() => over,
            never = self.watch() => match never {},
        }
    }

    async fn beat(&self) -> Over {
        let mut interval = tokio::time::interval(self.heartbeat);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut is_heard = false;
        loop {
            tokio::select! {
                _ = interval.tick() => (),
                // Who gets no answer asks no oftener for that.
                () = self.room_has_changed(), if is_heard => (),
            }
            let listed: Vec<Arc<Running>> = self.held().values().cloned().collect();
            let held = listed.iter();
            let more = self.more_of_a_task();
            let request = proto::HeartbeatRequest {
                session: self.id,
                held: held
                    .map(|running| running.as_held(self.hung_after))
                    .collect(),
                left_behind: self.behind.named(),
                more_of_a_task: Some(more),
            };
            let sent = now();
            let answer = self
                .connection
                .try_once(self.heartbeat.max(Duration::from_secs(1)), |mut client| {
                    let request = request.clone();
                    async move { client.heartbeat(request).await }
                })
                .await;
            is_heard = answer.is_ok();
            match answer {
                Ok(reply) => {
                    for lost in reply.lost {
                        self.lose(lost);
                    }
                    listed.iter().for_each(|running| running.fence.heard());
                    self.clock.renewed(sent);
                    self.room.told(more);
                }
                Err(status) => match definite(status) {
                    Some(error) => return error.into(),
                    // `lease` and `obey` repeat their calls and give up in time.
                    None => continue,
                },
            }
        }
    }

    fn lose(&self, lost: proto::ItemEpoch) {
        if let Some(running) = self.running(&lost) {
            // What was listed may be handed in by now, and the answer under way.
            if !running.is_ending.load(Ordering::Relaxed) {
                tracing::warn!("item {} is another worker's now", running.item);
            }
            running.fence.lose();
        }
    }

    fn running(&self, named: &proto::ItemEpoch) -> Option<Arc<Running>> {
        let key = (ItemId::from_random(named.item), Epoch(named.epoch));
        self.held().get(&key).cloned()
    }

    async fn obey(&self) -> Over {
        loop {
            let request = proto::CommandsRequest {
                session: self.id,
                wait_ms: POLL.as_millis() as u32,
            };
            let reply = self
                .connection
                .call(POLL + ANSWER_WITHIN, |mut client| async move {
                    client.commands(request).await
                })
                .await;
            let commands = match reply {
                Ok(reply) => reply.commands,
                Err(error) => return error.into(),
            };
            for command in commands {
                match command.kind {
                    Some(Kind::Share(named)) => {
                        if let Some(running) = self.running(&named) {
                            running.wanted.store(true, Ordering::Relaxed);
                        }
                    }
                    Some(Kind::Cancel(named)) => {
                        if let Some(running) = self.running(&named) {
                            running.cancel.cancel();
                        }
                    }
                    Some(Kind::RunOver(_)) => return Over::Run,
                    Some(Kind::Drain(_)) => return Over::Stopped,
                    Some(Kind::Pause(_) | Kind::Limits(_)) | None => {
                        tracing::warn!("the server gave a command that this version does not know");
                    }
                }
            }
        }
    }

    async fn lease(self: &Arc<Self>) -> Over {
        loop {
            let free = self.slots.saturating_sub(self.held().len());
            if free == 0 || self.behind.is_full() {
                self.freed.notified().await;
                continue;
            }
            let more = self.more_of_a_task();
            self.room.told(more);
            let request = proto::LeaseRequest {
                session: self.id,
                request_id: random(),
                slots: free as u32,
                wait_ms: POLL.as_millis() as u32,
                more_of_a_task: Some(more),
            };
            let sent = AtomicU64::new(0);
            let reply = self
                .connection
                .call(POLL + ANSWER_WITHIN, |mut client| {
                    sent.store(now(), Ordering::Relaxed);
                    async move { client.lease(request).await }
                })
                .await;
            let reply = match reply {
                Ok(reply) => reply,
                Err(error) => return error.into(),
            };
            if reply.run_over {
                return Over::Run;
            }
            let ms = |ms: u32| Duration::from_millis(ms.into());
            let from = granted_from(sent.into_inner(), ms(reply.waited_ms), ms(reply.age_ms));
            for grant in reply.grants {
                self.begin(grant, from);
            }
        }
    }

    fn begin(self: &Arc<Self>, grant: proto::Grant, granted_from: u64) {
        let running = match Running::new(&grant, &self.clock, granted_from) {
            Ok(running) => Arc::new(running),
            Err(bad) => {
                // Not listed in heartbeats, it goes back by itself.
                tracing::error!("the server granted something that can't be run: {bad}");
                return;
            }
        };
        let key = (running.item, running.epoch);
        self.held().insert(key, running.clone());
        let session = self.clone();
        tokio::task::spawn_blocking(move || {
            running.progress.join();
            slot::run(&session, &running, grant);
            running.progress.leave();
            session.note_time_of(&running);
            session.held().remove(&key);
            session.behind.ended(&running);
            session.freed.notify_one();
        });
    }

    pub(crate) fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(|p| p.into_inner())
    }

    /// Tells what runs to stop, in the way that fits the reason.
    pub(crate) fn stop_attempts(&self, over: &Over) {
        if matches!(over, Over::Lost) {
            self.clock.lose();
        }
        for running in self.held().values() {
            running.cancel.cancel();
        }
    }

    /// Waits until nothing runs, then says goodbye, which is also how the server knows that
    /// no attempt of this session will write any more.
    pub(crate) async fn leave(&self) {
        self.nothing_runs().await;
        self.say_goodbye().await;
    }

    /// As [`Session::leave`], but leaves behind what does not stop.
    pub(crate) async fn leave_soon(&self) {
        let stopped = tokio::time::timeout(LEFT_AFTER, self.nothing_runs());
        if stopped.await.is_err() {
            tracing::warn!("what waits for a mount is left behind");
        }
        self.say_goodbye().await;
    }

    async fn nothing_runs(&self) {
        while !self.held().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn say_goodbye(&self) {
        let request = proto::LeaveRequest {
            session: self.id,
            left_behind: !self.behind.is_empty() || !self.held().is_empty(),
        };
        let left = self
            .connection
            .call(ANSWER_WITHIN, |mut client| async move {
                client.leave(request).await
            });
        if let Err(e) = left.await {
            tracing::debug!("could not say goodbye: {e}");
        }
    }
}
