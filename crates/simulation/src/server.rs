//! The server's process: a scheduler over a database in a file, and the calls that wait for an answer.
//! When it dies, only the file stays.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use anyhow::Context as _;
use coordinator::Received;
use coordinator::data_dir::DataDir;
use coordinator::results::Results;
use coordinator::scheduler::{Clock, Newcomer, Refused, Scheduler, Settings, Waiting};
use coordinator::store::{
    ItemRecord, NewRun, SqliteStore, Store, StoreError, TakeBack, WhenFinished,
};
use model::config::Config;
use model::{SessionId, SourceIdentity, TaskId};
use tokio::sync::futures::OwnedNotified;

use crate::broken::Rule;
use crate::calls::POLL_MS;
use crate::clock::VirtualClock;
use crate::message::{Grant, Leased, Reply, Request, Ticket};
use crate::watch::{Watch, WatchedStore};

/// A call that waits for work looks again this often, in memory alone.
const LOOK_AGAIN_MS: u64 = 1_000;
/// Children in an answer: few, so that there are pages.
const CHILDREN_PER_PAGE: usize = 2;

/// What a server needs to start, however often.
pub struct Place {
    pub directory: PathBuf,
    pub config: Config,
    pub settings: Settings,
    pub run: NewRun,
    pub clock: Arc<VirtualClock>,
    pub watch: Watch,
    pub broken: Option<Rule>,
}

/// Schedulers, of which all but the last are those of dead processes.
#[derive(Default)]
pub struct Servers {
    first: OnceCell<Box<(Scheduler, Servers)>>,
}

impl Servers {
    fn add(&self, scheduler: Scheduler) -> &Scheduler {
        let mut last = self;
        while let Some(server) = last.first.get() {
            last = &server.1;
        }
        &last
            .first
            .get_or_init(|| Box::new((scheduler, Servers::default())))
            .0
    }
}

/// A call that waits for work or for commands.
struct Poll<'a> {
    ticket: Ticket,
    request: Request,
    came: u64,
    wakes: Wakes<'a>,
}

/// What a call waits for, as in the server's own.
enum Wakes<'a> {
    Work { waiting: Waiting<'a>, look: u64 },
    Commands(Pin<Box<OwnedNotified>>),
}

impl Poll<'_> {
    /// Whether the call should look again, for as many as it is told.
    fn is_due(&mut self, now: u64) -> bool {
        match &mut self.wakes {
            Wakes::Work { waiting, look } => {
                let mut context = Context::from_waker(Waker::noop());
                let is_woken = pin!(waiting.woken()).poll(&mut context).is_ready();
                if !is_woken && now < *look {
                    return false;
                }
                *look = now + LOOK_AGAIN_MS;
                let most = waiting.should_look();
                if let (Request::Lease { slots, .. }, Some(most)) = (&mut self.request, most) {
                    *slots = most;
                }
                most.is_some()
            }
            Wakes::Commands(woken) => woken.as_mut().enable(),
        }
    }
}

pub struct Server<'a> {
    scheduler: &'a Scheduler,
    store: Arc<dyn Store>,
    polls: Vec<Poll<'a>>,
    sessions: Vec<SessionId>,
    broken: Option<Rule>,
    watch: Watch,
}

/// The store failed: the process ends.
#[derive(Debug)]
pub struct Died;

pub type Replies = Vec<(Ticket, Reply)>;

impl Place {
    /// `sessions`: all that ever were.
    pub fn open<'a>(
        &self,
        servers: &'a Servers,
        sessions: Vec<SessionId>,
    ) -> anyhow::Result<Server<'a>> {
        let store = SqliteStore::open(&self.directory.join("state.sqlite"))?;
        if self.broken == Some(Rule::LeasesNotExtended) {
            for session in store.sessions()? {
                store.remove_session(session.id)?;
            }
        }
        let store: Arc<dyn Store> = Arc::new(WatchedStore {
            store,
            watch: self.watch.clone(),
        });
        let begun = store.begin_run(self.run.clone(), WhenFinished::Keep, self.clock.now_ms())?;
        let data = self.directory.join("data");
        let data_dir = DataDir::open(Path::new("simulation.yaml"), Some(&data))?;
        let results = Results::open(
            &self.directory,
            &data_dir,
            begun.run.started,
            &self.config,
            "simulation.yaml".to_owned(),
        )?;
        let scheduler = Scheduler::with_clock(
            store.clone(),
            &begun.run,
            self.settings.clone(),
            HashMap::new(),
            Received::new(data.join("lists"), data.join("logs"), 1),
            results,
            self.clock.clone(),
        )?;
        scheduler.take_up_results().context("take up results")?;
        Ok(Server {
            scheduler: servers.add(scheduler),
            store,
            polls: Vec::new(),
            sessions,
            broken: self.broken,
            watch: self.watch.clone(),
        })
    }
}

impl<'a> Server<'a> {
    pub fn scheduler(&self) -> &Scheduler {
        self.scheduler
    }

    pub fn items(&self, task: TaskId) -> Result<Vec<ItemRecord>, StoreError> {
        self.store.items(self.scheduler.run(), task)
    }

    /// All that ever were, and the calls that still wait: nobody will answer them.
    pub fn into_parts(self) -> (Vec<SessionId>, Vec<Ticket>) {
        let tickets = self.polls.into_iter().map(|poll| poll.ticket);
        (self.sessions, tickets.collect())
    }

    pub fn tick(&mut self, now: u64, clock: &VirtualClock) -> Result<Replies, Died> {
        let mut at = clock.now();
        if self.broken == Some(Rule::LeaseCutShort) {
            at += self.scheduler.settings().lease / 2;
        }
        match self.scheduler.tick(at) {
            Ok(()) => {}
            Err(error) if error.is_no_room() => self.scheduler.no_room(&error, clock.now()),
            Err(_) => return Err(Died),
        }
        if self.broken == Some(Rule::NoTwoLeases) {
            // As if all that were lost had said goodbye.
            let known = self.store.sessions().map_err(|_| Died)?;
            for session in &self.sessions {
                if known.iter().all(|known| known.id != *session) {
                    self.scheduler.leave(*session).map_err(|_| Died)?;
                }
            }
        }
        self.look_at_polls(now)
    }

    /// Takes a call; it may answer others too, or none for now.
    pub fn take(
        &mut self,
        now: u64,
        ticket: Ticket,
        request: Request,
        id: u64,
    ) -> Result<Replies, Died> {
        let mut replies = Vec::new();
        if let Request::Lease {
            session,
            more_of_a_task,
            ..
        }
        | Request::Beat {
            session,
            more_of_a_task,
            ..
        } = &request
        {
            self.scheduler.note_room(*session, *more_of_a_task);
        }
        // Before the first look, so that nothing that comes meanwhile is missed.
        let wakes = self.wait(&request, now);
        match (self.answer(&request, id)?, wakes) {
            (Some(reply), _) => replies.push((ticket, reply)),
            (None, Some(wakes)) => self.polls.push(Poll {
                ticket,
                request,
                came: now,
                wakes,
            }),
            (None, None) => replies.push((ticket, Reply::UnknownSession)),
        }
        replies.extend(self.look_at_polls(now)?);
        Ok(replies)
    }

    /// What the call waits for, if it is one that waits.
    fn wait(&self, request: &Request, now: u64) -> Option<Wakes<'a>> {
        let scheduler = self.scheduler;
        match request {
            Request::Lease { session, slots, .. } => Some(Wakes::Work {
                waiting: scheduler.wait_for_work(*session, *slots),
                look: now + LOOK_AGAIN_MS,
            }),
            Request::Commands(session) => {
                let wakes = scheduler.wakes_for_commands(*session).ok()?;
                let mut woken = Box::pin(wakes.notified_owned());
                woken.as_mut().enable();
                Some(Wakes::Commands(woken))
            }
            _ => None,
        }
    }

    /// Until none is woken by what another one did.
    fn look_at_polls(&mut self, now: u64) -> Result<Replies, Died> {
        let mut replies = Vec::new();
        loop {
            let is_due = |poll: &mut Poll<'a>| poll.is_due(now) || now >= poll.came + POLL_MS;
            let Some(at) = self.polls.iter_mut().position(is_due) else {
                return Ok(replies);
            };
            let mut poll = self.polls.remove(at);
            if let Request::Commands(_) = &poll.request
                && let Some(wakes) = self.wait(&poll.request, now)
            {
                poll.wakes = wakes;
            }
            match self.answer(&poll.request, 0)? {
                Some(reply) => replies.push((poll.ticket, waited(reply, now - poll.came))),
                None if now < poll.came + POLL_MS => self.polls.push(poll),
                None => replies.push((poll.ticket, empty(&poll.request))),
            }
        }
    }

    /// None: nothing to say yet.
    fn answer(&mut self, request: &Request, id: u64) -> Result<Option<Reply>, Died> {
        let answered = ask(self.scheduler, request, id);
        match answered {
            Ok(reply) => {
                if let Some(Reply::Registered(session)) = &reply {
                    self.sessions.push(*session);
                }
                Ok(reply)
            }
            Err(Refused::UnknownSession) => Ok(Some(Reply::UnknownSession)),
            Err(refused) if refused.is_stale() => Ok(Some(Reply::Stale)),
            Err(Refused::Store(StoreError::NoRoom { .. })) => Ok(Some(Reply::Unavailable)),
            Err(Refused::Store(StoreError::Database { .. })) => Err(Died),
            Err(refused) => {
                let told = format!("{request:?} was refused: {refused}");
                self.watch.seen().violations.push(told);
                Ok(Some(Reply::Stale))
            }
        }
    }
}

fn empty(poll: &Request) -> Reply {
    match poll {
        Request::Commands(_) => Reply::Commands(Vec::new()),
        _ => Reply::Leased(Leased::default()),
    }
}

fn waited(reply: Reply, ms: u64) -> Reply {
    match reply {
        Reply::Leased(leased) => Reply::Leased(Leased {
            waited_ms: ms,
            ..leased
        }),
        other => other,
    }
}

fn ask(scheduler: &Scheduler, request: &Request, id: u64) -> Result<Option<Reply>, Refused> {
    let reply = match request {
        Request::Register(request) => {
            let newcomer = Newcomer {
                name: format!("w{request:x}"),
                address: String::new(),
                program_version: String::new(),
                request: *request,
                rclone: Err("none".to_owned()),
                only_walks: false,
            };
            Reply::Registered(scheduler.register(newcomer, SessionId::from_random(id))?)
        }
        Request::Lease {
            session,
            request,
            slots,
            ..
        } => {
            let answer = scheduler.lease(*session, *request, *slots)?;
            if answer.grants.is_empty() && !answer.run_over {
                return Ok(None);
            }
            let grants = answer.grants.into_iter();
            let grants = grants.map(|(granted, task)| {
                let is_task_begun = task.source_identity.is_some();
                Grant::new(granted, is_task_begun, scheduler.settings().item_attempts)
            });
            Reply::Leased(Leased {
                grants: grants.collect(),
                waited_ms: 0,
                age_ms: answer.age.as_millis() as u64,
                run_over: answer.run_over,
            })
        }
        Request::Beat {
            session, listed, ..
        } => {
            let listed = listed.iter().map(|(i, e)| (*i, *e, Default::default()));
            Reply::Beaten(scheduler.heartbeat(*session, listed.collect(), "")?)
        }
        Request::Commands(session) => {
            let commands = scheduler.commands(*session)?;
            if commands.is_empty() {
                return Ok(None);
            }
            Reply::Commands(commands)
        }
        Request::Roots(item, epoch) => {
            scheduler.roots(*item, *epoch, &identity(), None)?;
            Reply::Rooted
        }
        Request::Children(item, from) => {
            let page = scheduler.children(*item, *from, CHILDREN_PER_PAGE)?;
            let more = page.len() == CHILDREN_PER_PAGE;
            Reply::Children(page, more)
        }
        Request::Split(item, epoch, children) => {
            scheduler.split(*item, *epoch, children)?;
            Reply::Stored
        }
        Request::TakeBack(item, epoch, ranges, is_given_up) => {
            let what = match is_given_up {
                true => TakeBack::All,
                false => TakeBack::Waiting,
            };
            Reply::Ranges(scheduler.take_back(*item, *epoch, ranges, what)?)
        }
        Request::Complete(session, item, epoch, outcome, again) => {
            let (outcome, again) = (outcome.clone(), again.clone());
            scheduler.complete(*session, *item, *epoch, outcome, &[], again)?;
            Reply::Stored
        }
        Request::Release(session, item, epoch, reason) => {
            let why = reason.for_scheduler();
            scheduler.release(*session, *item, *epoch, why, "stopped", Duration::ZERO)?;
            Reply::Stored
        }
        Request::Leave {
            session,
            left_behind,
        } => {
            match left_behind {
                true => scheduler.leave_threads_behind(*session)?,
                false => scheduler.leave(*session)?,
            }
            Reply::Left
        }
    };
    Ok(Some(reply))
}

fn identity() -> SourceIdentity {
    SourceIdentity {
        inode: 2,
        birth_ns: None,
        fs_type: "ext4".to_owned(),
    }
}

/// What a config with nothing but defaults says.
pub fn settings(config: &Config, lease: Duration, slots: u32) -> Settings {
    Settings {
        lease,
        heartbeat: lease / 6,
        ineligible_grace: lease,
        item_attempts: 5,
        full_target: Duration::from_secs(60),
        item_target: Duration::from_secs(120),
        concurrency: slots,
        transfers: 1,
        hung_mount: Duration::from_secs(60),
        ranges: model::RangeSizes {
            split_file_bytes: 4 << 30,
            range_bytes: 1 << 30,
        },
        shard_entries: 50_000,
        options: config.global.copy_options(),
        engines: BTreeMap::new(),
        priorities: BTreeMap::new(),
        rclone: config.global.rclone_options(),
        server_side_listing: false,
        embedded: false,
        source_fs_types: vec!["any".to_owned()],
        target_fs_types: vec!["any".to_owned()],
        config_file: PathBuf::from("simulation.yaml"),
    }
}
