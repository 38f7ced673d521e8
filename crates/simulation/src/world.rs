//! All that there is: one server, some workers, a network between them, trees, and a queue of what happens next.
//! One thread, no clock but its own; everything follows from the seed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use coordinator::store::{NewRun, NewTask};
use model::config::Config;
use model::{ItemId, Location, Priority, Purpose, RelPath, RunId, SessionId, Task, TaskId, Work};

use crate::broken::Rule;
use crate::check;
use crate::clock::VirtualClock;
use crate::faults::{self, Fault, Fired};
use crate::message::{Reply, Request, Ticket};
use crate::network::Network;
use crate::random::Random;
use crate::server::{Died, Place, Replies, Server, Servers, settings};
use crate::tree::{Temp, Tree};
use crate::watch::Watch;
use crate::worker::{Key, Worker};

/// How often the server looks what time brings.
const TICK_MS: u64 = 1_000;
/// Once there are no more faults, all must be over within so many leases and so long: it has that little to do.
const STUCK_LEASES: u64 = 20;
const STUCK_MS: u64 = 300_000;
/// After the end, late workers are watched for so many leases.
const AFTER_LEASES: u64 = 4;

#[derive(Debug)]
pub enum Event {
    Tick,
    ToServer(Ticket, Request),
    ToWorker(Ticket, Reply),
    /// Of a worker in one of its lives.
    Wake(usize, u64, Wake),
    Fault(Fault),
    ServerUp,
    WorkerUp(usize),
    TargetHasRoom(TaskId),
    DiskHasRoom,
    /// Files that could not be read.
    Readable(TaskId, BTreeSet<usize>),
    NetworkIsWell,
}

#[derive(Debug, Clone, Copy)]
pub enum Wake {
    Beat(SessionId),
    Step(Key),
    /// Nobody answered this try of a call.
    TimedOut(u64, u32),
    /// It is time for the call's next try.
    Again(u64, u32),
    LeaveNow(SessionId),
    Exit(SessionId),
}

pub struct World<'a> {
    pub now: u64,
    pub lease_ms: u64,
    /// Items that a worker holds at once.
    pub slots: usize,
    /// A step of an attempt takes so long at the most.
    pub step_ms: u64,
    pub random: Random,
    pub broken: Option<Rule>,
    queue: BTreeMap<(u64, u64), Event>,
    scheduled: u64,
    pub clock: Arc<VirtualClock>,
    pub watch: Watch,
    pub place: Place,
    /// All that ever ran.
    servers: &'a Servers,
    pub server: Option<Server<'a>>,
    /// All that ever were.
    sessions: Vec<SessionId>,
    pub server_frozen_until: u64,
    pub network: Network,
    pub workers: Vec<Worker>,
    pub trees: BTreeMap<TaskId, Tree>,
    /// Temps and markers that a worker made which had been frozen since it asked its fence.
    pub excused: BTreeSet<(TaskId, Temp)>,
    pub excused_markers: BTreeSet<TaskId>,
    /// Which versions attempts said that files have, by attempt.
    pub claims: BTreeMap<Key, BTreeMap<usize, u64>>,
    pub fired: Fired,
    pub over_since: Option<u64>,
    last_fault: u64,
    pub trace: Option<Vec<String>>,
}

/// What one seed came to.
#[derive(Debug)]
pub struct Ran {
    pub violations: Vec<String>,
    pub trace: Vec<String>,
    pub fired: Fired,
    pub virtual_ms: u64,
    /// From the last fault to the end of the run.
    pub after_faults_ms: u64,
}

pub struct Plan<'a> {
    pub seed: u64,
    pub config: &'a Config,
    pub directory: &'a std::path::Path,
    pub broken: Option<Rule>,
    pub is_traced: bool,
}

impl<'a> World<'a> {
    pub fn new(plan: &Plan<'_>, servers: &'a Servers) -> anyhow::Result<Self> {
        let mut random = Random::new(plan.seed);
        let lease = Duration::from_secs([6, 10, 30][random.between(0, 3) as usize]);
        let clock = Arc::new(VirtualClock::new(random.fork()));
        let watch = Watch::default();
        watch.seen().ignores_epochs = plan.broken == Some(Rule::EpochIgnored);
        watch.seen().takes_leased_for_done = plan.broken == Some(Rule::LeasedForDone);
        let slots = random.between(1, 4) as u32;
        let step_ms = [20, 200, 1000][random.between(0, 3) as usize];
        let tasks = 1..=random.between(1, 4) as u32;
        let trees: BTreeMap<_, _> = tasks
            .map(|n| (TaskId(n), Tree::grown(&mut random)))
            .collect();
        let run = NewRun {
            id: RunId::from_random(random.next()),
            identity: "simulated".to_owned(),
            tasks: trees.keys().map(|id| new_task(*id, &mut random)).collect(),
        };
        let mut settings = settings(plan.config, lease, slots);
        settings.priorities = priorities(trees.keys(), &mut random);
        let place = Place {
            directory: plan.directory.to_owned(),
            config: plan.config.clone(),
            settings,
            run,
            clock: clock.clone(),
            watch: watch.clone(),
            broken: plan.broken,
        };
        let workers = (0..random.between(1, 5))
            .map(|_| Worker::new(random.between(850, 1151)))
            .collect();
        let server = Some(place.open(servers, Vec::new())?);
        let mut world = Self {
            now: 0,
            lease_ms: lease.as_millis() as u64,
            slots: slots as usize,
            step_ms,
            network: Network::new(random.fork()),
            random,
            broken: plan.broken,
            queue: BTreeMap::new(),
            scheduled: 0,
            clock,
            watch,
            place,
            servers,
            server,
            sessions: Vec::new(),
            server_frozen_until: 0,
            workers,
            trees,
            excused: BTreeSet::new(),
            excused_markers: BTreeSet::new(),
            claims: BTreeMap::new(),
            fired: Fired::default(),
            over_since: None,
            last_fault: 0,
            trace: plan.is_traced.then(Vec::new),
        };
        world.begin();
        Ok(world)
    }

    fn begin(&mut self) {
        self.at(0, Event::Tick);
        for worker in 0..self.workers.len() {
            let after = self.random.between(0, 3000);
            self.at(after, Event::WorkerUp(worker));
        }
        for (at, fault) in faults::draw(self) {
            self.last_fault = self.last_fault.max(at);
            self.at(at, Event::Fault(fault));
        }
        self.at(faults::SPAN_MS, Event::NetworkIsWell);
    }

    pub fn heartbeat_ms(&self) -> u64 {
        self.lease_ms / 6
    }

    pub fn say(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>8.3} {}", self.now as f64 / 1000.0, line()));
        }
    }

    pub fn wrong(&mut self, what: String) {
        self.say(|| format!("WRONG: {what}"));
        self.watch.seen().violations.push(what);
    }

    pub fn at(&mut self, at: u64, event: Event) {
        self.scheduled += 1;
        self.queue.insert((at.max(self.now), self.scheduled), event);
    }

    pub fn after(&mut self, ms: u64, event: Event) {
        self.at(self.now + ms, event);
    }

    /// To this worker, if it lives so long.
    pub fn wake_after(&mut self, ms: u64, worker: usize, wake: Wake) {
        let life = self.workers[worker].life;
        self.after(ms, Event::Wake(worker, life, wake));
    }

    /// A fault lasts until then.
    pub fn fault_until(&mut self, until: u64) {
        self.last_fault = self.last_fault.max(until);
    }

    /// Lets it all happen.
    pub fn run(mut self) -> anyhow::Result<Ran> {
        while let Some(((at, _), event)) = self.queue.pop_first() {
            self.now = at;
            self.clock.set(at);
            self.happen(event)?;
            if self.is_wrong() || self.is_at_end() {
                break;
            }
        }
        if !self.is_wrong() {
            check::the_end(&mut self)?;
        }
        self.fired.network = self.network.counts;
        self.fired.disk_full_refused = self.watch.seen().refused;
        let violations = std::mem::take(&mut self.watch.seen().violations);
        Ok(Ran {
            violations,
            trace: self.trace.unwrap_or_default(),
            fired: self.fired,
            virtual_ms: self.now,
            after_faults_ms: self
                .over_since
                .unwrap_or(self.now)
                .saturating_sub(self.last_fault),
        })
    }

    fn is_wrong(&self) -> bool {
        !self.watch.seen().violations.is_empty()
    }

    fn is_at_end(&mut self) -> bool {
        if self.over_since.is_none()
            && let Some(server) = &self.server
            && server.scheduler().is_over()
        {
            self.over_since = Some(self.now);
            self.say(|| "the run is over".to_owned());
        }
        let has_everybody_left = self.workers.iter().all(|worker| worker.is_finished);
        if let Some(since) = self.over_since
            && has_everybody_left
        {
            return self.now > since.max(self.last_fault) + AFTER_LEASES * self.lease_ms;
        }
        let is_stuck = self.now > self.last_fault + STUCK_LEASES * self.lease_ms + STUCK_MS;
        if is_stuck {
            self.wrong(match self.over_since {
                None => "the run is stuck".to_owned(),
                Some(_) => "a worker never heard that the run is over".to_owned(),
            });
        }
        is_stuck
    }

    fn happen(&mut self, event: Event) -> anyhow::Result<()> {
        if let Some(until) = self.frozen(&event) {
            // What waited comes in any order.
            let at = until + self.random.between(0, 10);
            self.at(at, event);
            return Ok(());
        }
        match event {
            Event::Tick => {
                self.after(TICK_MS, Event::Tick);
                self.tick();
            }
            Event::ToServer(ticket, request) => self.take(ticket, request),
            Event::ToWorker(ticket, reply) => self.hear(ticket, reply),
            Event::Wake(worker, life, wake) => {
                if self.workers[worker].life == life && self.workers[worker].is_up {
                    self.wake(worker, wake);
                }
            }
            Event::Fault(fault) => self.inject(fault),
            Event::ServerUp => self.server_up()?,
            Event::WorkerUp(worker) => {
                self.say(|| format!("worker {worker} starts"));
                self.worker_up(worker);
            }
            Event::TargetHasRoom(task) => {
                self.trees.get_mut(&task).expect("a task").is_full = false;
            }
            Event::DiskHasRoom => self.watch.seen().is_full = false,
            Event::Readable(task, files) => {
                let tree = self.trees.get_mut(&task).expect("a task");
                tree.faulty.retain(|file| !files.contains(file));
            }
            Event::NetworkIsWell => self.network.is_well(),
        }
        Ok(())
    }

    /// Until when the process is frozen to which this would happen.
    fn frozen(&self, event: &Event) -> Option<u64> {
        let until = match event {
            Event::Tick | Event::ToServer(..) if self.server.is_some() => self.server_frozen_until,
            Event::ToWorker(ticket, _) => self.workers[ticket.worker].frozen_until,
            Event::Wake(worker, ..) => self.workers[*worker].frozen_until,
            _ => 0,
        };
        (until > self.now).then_some(until)
    }

    fn tick(&mut self) {
        let Some(mut server) = self.server.take() else {
            return;
        };
        let ticked = server.tick(self.now, &self.clock);
        self.replied(server, ticked);
    }

    fn take(&mut self, ticket: Ticket, request: Request) {
        let Some(mut server) = self.server.take() else {
            self.send_reply(ticket, Reply::Unavailable);
            return;
        };
        let id = self.random.next();
        self.say(|| format!("server takes {ticket:?} {request:?}"));
        let taken = server.take(self.now, ticket, request, id);
        self.replied(server, taken);
    }

    fn replied(&mut self, server: Server<'a>, replies: Result<Replies, Died>) {
        match replies {
            Ok(replies) => {
                self.server = Some(server);
                for (ticket, reply) in replies {
                    self.send_reply(ticket, reply);
                }
            }
            Err(Died) => {
                self.fired.server_died_in_a_call += 1;
                self.server = Some(server);
                let away = self.random.between(500, 5000);
                self.kill_server(away);
            }
        }
    }

    pub fn kill_server(&mut self, away: u64) {
        if let Some(server) = self.server.take() {
            self.say(|| format!("the server dies, for {away} ms"));
            let (sessions, waiting) = server.into_parts();
            self.sessions = sessions;
            // Where only its process ended, its machine says so.
            if self.random.chance(500) {
                for ticket in waiting {
                    self.send_reply(ticket, Reply::Unavailable);
                }
            }
            self.server_frozen_until = 0;
            self.fault_until(self.now + away);
            self.after(away, Event::ServerUp);
        }
    }

    fn server_up(&mut self) -> anyhow::Result<()> {
        self.place.settings.priorities = priorities(self.trees.keys(), &mut self.random);
        let was_full = {
            let mut seen = self.watch.seen();
            seen.fuse = None;
            std::mem::take(&mut seen.is_full)
        };
        self.server = Some(
            self.place
                .open(self.servers, std::mem::take(&mut self.sessions))?,
        );
        self.watch.seen().is_full = was_full;
        self.say(|| "the server is back".to_owned());
        Ok(())
    }

    pub fn send_reply(&mut self, ticket: Ticket, reply: Reply) {
        let deaf = self.workers[ticket.worker].deaf_until > self.now;
        self.say(|| format!("server answers {ticket:?} {reply:?}"));
        for delay in self.network.delays(deaf) {
            self.after(delay, Event::ToWorker(ticket, reply.clone()));
        }
    }

    pub fn send_request(&mut self, ticket: Ticket, request: Request) {
        let mute = self.workers[ticket.worker].mute_until > self.now;
        for delay in self.network.delays(mute) {
            self.after(delay, Event::ToServer(ticket, request.clone()));
        }
    }
}

/// As the tasks file has them now: each server that starts goes by others.
fn priorities<'a>(
    tasks: impl Iterator<Item = &'a TaskId>,
    random: &mut Random,
) -> BTreeMap<TaskId, Priority> {
    tasks
        .filter_map(|task| Some((*task, Priority::new(random.between(0, 3) as i32)?)))
        .collect()
}

fn new_task(id: TaskId, random: &mut Random) -> NewTask {
    let root = Work::Walk {
        directories: vec![RelPath::ROOT],
        purpose: Purpose::Copy,
    };
    NewTask {
        task: Task {
            id,
            line: id.0,
            source: Location::Posix(format!("/from/{id}").into()),
            target: Location::Posix(format!("/to/{id}").into()),
            list: None,
            target_is_shared: false,
        },
        items: Ok(vec![(ItemId::from_random(random.next()), root)]),
    }
}
