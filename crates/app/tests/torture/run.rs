//! One run: its machines, its programs, and what is done to them.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use testkit::Program;
use testkit::network::{Cut, Network, Relay};
use testkit::process::Exit;
use testkit::random::Random;
use testkit::tool;

use crate::faults::{Fault, Kind, Suspect, newest, plan};
use crate::fleet::{Begun, Fleet, LONG, SERVER, Settings, WORKER, begun, start};
use crate::judge;
use crate::mounts::{Small, View};
use crate::sources::Sources;
use crate::tally::Ended;

pub const WORKERS: usize = 4;
/// Behind the workers.
const SERVER_HOST: usize = WORKERS;
/// So long a worker waits for a server: longer than one is ever away.
const WAIT_SECS: &str = "12";
/// Between two looks, and between two changes of the source.
const PAUSE: Duration = Duration::from_millis(30);
/// That sources hold still at last.
const MAX_CHANGES: u64 = 150;

/// So long it is waited for programs to meet a fault: not all of them still have to.
const MEETING: Duration = Duration::from_secs(4);

/// Fields are dropped in this order: programs before what they work on.
pub struct Run {
    seed: u64,
    begun: Instant,
    /// Each of these goes on where the one before was killed.
    pub servers: Vec<Program>,
    /// Of each worker its lives, one after another.
    pub workers: Vec<Vec<Program>>,
    /// What each worker's newest life sees.
    views: Vec<Option<View>>,
    pub sources: Sources,
    pub fleet: Fleet,
    /// These are looked at when the fleet is dropped.
    volume: Small,
    state: Small,
    network: Network,
    relays: Vec<Relay>,
    faults: Vec<Fault>,
    suspects: Vec<Suspect>,
    fired: Vec<Kind>,
}

/// Mostly, the flat directory is shared by ranges of names, and the big file by ranges of bytes. No answer for two
/// seconds is a mount that hangs.
fn more_global(random: &mut Random) -> Vec<String> {
    let mut cuts = vec!["hung_mount_secs: 2".to_owned()];
    if random.below(4) > 0 {
        cuts.push("shard_entries: 100".to_owned());
    }
    if random.below(4) > 0 {
        cuts.push(format!("split_file_bytes: {}", 2 << 20));
        cuts.push(format!("range_bytes: {}", 1 << 20));
    }
    cuts
}

impl Run {
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut fleet = Fleet::new(
            "torture",
            &Settings {
                durability: random.pick::<&str>(&["batch", "none", "file"]),
                concurrency: random.within(&(1..=3)) as u32,
                transfers: random.within(&(1..=4)) as u32,
                more_global: more_global(&mut random),
                // What is full is tried again at once.
                more_server: vec!["full_target_secs: 1".to_owned()],
                ..Settings::default()
            },
        );
        let volume = Small::volume(&fleet.path("volume"), &mut random);
        let state = Small::state(&fleet.data_dir());
        let sources = Sources::new(&mut fleet, volume.path(), seed, &mut random);
        let network = Network::new(WORKERS as u8 + 1);
        let server = (network.address(SERVER_HOST), fleet.port).into();
        let relays = (0..WORKERS)
            .map(|_| Relay::start(&network, SERVER_HOST, server))
            .collect();
        Self {
            seed,
            begun: Instant::now(),
            servers: Vec::new(),
            workers: (0..WORKERS).map(|_| Vec::new()).collect(),
            views: (0..WORKERS).map(|_| None).collect(),
            sources,
            fleet,
            volume,
            state,
            network,
            relays,
            faults: plan(seed, WORKERS, &mut random),
            suspects: Vec::new(),
            fired: Vec::new(),
        }
    }

    /// What is wrong is said by a panic, whose run is kept.
    pub fn finish(mut self) -> Ended {
        let is_right = catch_unwind(AssertUnwindSafe(|| self.drive())).is_ok();
        let attempts = self.attempts();
        let mut fired = std::mem::take(&mut self.fired);
        let suspects = self.suspects.iter().filter(|one| one.has_fired(&attempts));
        fired.extend(suspects.map(|one| one.kind));
        let mut begun = BTreeMap::new();
        for attempt in &attempts {
            *begun.entry(attempt.work.clone()).or_default() += 1;
        }
        Ended {
            seed: self.seed,
            fired,
            begun,
            lasted: self.begun.elapsed(),
            changes: self.sources.changing.changes(),
            wrong: (!is_right).then(|| self.keep()),
        }
    }

    fn drive(&mut self) {
        self.start_server();
        (0..WORKERS).for_each(|worker| self.start_worker(worker));
        for fault in self.faults.clone() {
            if self.is_over() {
                break;
            }
            self.strike(&fault);
        }
        let server = self.servers.len() - 1;
        let deadline = Instant::now() + 2 * LONG;
        while self.servers[server].is_running() {
            assert!(Instant::now() < deadline, "seed {}: stuck", self.seed);
            self.pass(PAUSE);
        }
        judge::assert_right(self);
    }

    fn strike(&mut self, fault: &Fault) {
        match fault.kind {
            Kind::KillWorker => self.kill_worker(fault),
            Kind::FreezeWorker => self.freeze_worker(fault),
            Kind::CutOff | Kind::Mute | Kind::Deaf => {
                fault
                    .kind
                    .cut()
                    .into_iter()
                    .for_each(|cut| self.cut(fault, cut));
            }
            Kind::LoseAnswers => self.lose_answers(fault),
            Kind::KillServer => self.kill_server(fault, Duration::ZERO),
            Kind::ServerAway => self.kill_server(fault, fault.lasts),
            Kind::FreezeServer => self.freeze_server(fault),
            Kind::FullTarget => self.fill(fault, "takes nothing more", |run| &run.volume),
            Kind::FullState => self.fill(fault, "no room on the server's disk", |run| &run.state),
            Kind::HangMount => self.hang_mount(fault),
            Kind::LoseMount => self.lose_mount(fault),
        }
    }

    fn kill_worker(&mut self, fault: &Fault) {
        self.wait_for_item(fault);
        let victim = self.life(fault.worker);
        victim.kill();
        let exit = victim.wait(LONG).expect("a killed process ends");
        if exit == Exit::Signal(9) {
            self.suspect(fault, false);
        }
        self.start_worker(fault.worker);
    }

    fn freeze_worker(&mut self, fault: &Fault) {
        self.wait_for_item(fault);
        if !self.life(fault.worker).is_running() {
            return;
        }
        self.life(fault.worker).stop();
        self.suspect(fault, false);
        self.pass(fault.lasts);
        self.life(fault.worker).resume();
    }

    fn cut(&mut self, fault: &Fault, cut: Cut) {
        self.wait_for_item(fault);
        let silences = |run: &Self| {
            let log = run.life(fault.worker).stderr();
            log.matches("can't be reached, waiting for it").count()
        };
        let (before, held) = (silences(self), self.held(fault.worker));
        self.network.cut(fault.worker, cut);
        self.pass(fault.lasts);
        self.network.mend(fault.worker, cut);
        self.suspects.push(Suspect {
            kind: fault.kind,
            held,
            was_noticed: silences(self) > before,
        });
    }

    fn lose_answers(&mut self, fault: &Fault) {
        self.wait_for_item(fault);
        let relay = &self.relays[fault.worker];
        let before = relay.lost();
        relay.lose(fault.answers);
        self.pass(fault.lasts);
        let relay = &self.relays[fault.worker];
        relay.lose(0);
        if relay.lost() > before {
            self.fired.push(fault.kind);
        }
    }

    fn kill_server(&mut self, fault: &Fault, away: Duration) {
        self.pass(fault.delay);
        let server = self.server();
        server.kill();
        let exit = server.wait(LONG).expect("a killed process ends");
        if exit == Exit::Signal(9) && self.has_open_tasks() {
            self.fired.push(fault.kind);
        }
        if !matches!(exit, Exit::Code(_)) {
            self.pass(away);
            self.start_server();
        }
    }

    fn freeze_server(&mut self, fault: &Fault) {
        self.pass(fault.delay);
        self.server().stop();
        let has_effect = self.server().is_running() && self.has_open_tasks();
        self.pass(fault.lasts);
        if has_effect {
            self.fired.push(fault.kind);
        }
        self.server().resume();
    }

    /// A file system is full until the server has said so, and for the fault's time after that.
    fn fill(&mut self, fault: &Fault, told: &str, small: impl Fn(&Self) -> &Small) {
        self.wait_for_item(fault);
        let before = self.server().stderr().matches(told).count();
        let is_told = |run: &Self| run.server().stderr().matches(told).count() > before;
        small(self).fill();
        self.wait_for_meeting(is_told);
        self.pass(fault.lasts);
        small(self).empty();
        if is_told(self) {
            self.fired.push(fault.kind);
        }
    }

    fn hang_mount(&mut self, fault: &Fault) {
        self.wait_for_item(fault);
        let before = self.left_behind(fault.worker);
        let hang = self.view(fault.worker).hang();
        self.wait_for_meeting(|run| run.left_behind(fault.worker) > before);
        self.pass(fault.lasts);
        if hang.has_fired() && self.left_behind(fault.worker) > before {
            self.fired.push(fault.kind);
        }
        hang.end();
    }

    /// The mount hangs at first, so that the worker is in the middle of it.
    fn lose_mount(&mut self, fault: &Fault) {
        self.wait_for_item(fault);
        let before = self.given_to_others(fault.worker);
        let hang = self.view(fault.worker).hang();
        self.wait_for_meeting(|_| hang.has_fired());
        self.view(fault.worker).disconnect();
        self.wait_for_meeting(|run| run.given_to_others(fault.worker) > before);
        self.pass(fault.lasts);
        if self.given_to_others(fault.worker) > before {
            self.fired.push(fault.kind);
        }
        let worker = self.life(fault.worker);
        worker.terminate();
        worker
            .wait(LONG)
            .unwrap_or_else(|error| panic!("it was told to stop: {error}"));
        self.start_worker(fault.worker);
    }

    /// How often the server says that others go on with what the worker's mount does not give.
    fn given_to_others(&self, worker: usize) -> usize {
        let begin = format!("worker w{worker}-{}, task ", self.workers[worker].len() - 1);
        let log = self.server().stderr();
        let lines = log.lines().filter(|line| line.contains(&begin));
        lines
            .filter(|line| line.ends_with("; others go on with it"))
            .count()
    }

    /// How many attempts the worker has left to their mount.
    fn left_behind(&self, worker: usize) -> usize {
        let log = self.life(worker).stderr();
        log.matches("is left behind: no answer for").count()
    }

    fn wait_for_meeting(&mut self, is_met: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + MEETING;
        while !is_met(self) && !self.is_over() && Instant::now() < deadline {
            self.pass(PAUSE);
        }
    }

    fn suspect(&mut self, fault: &Fault, was_noticed: bool) {
        self.suspects.push(Suspect {
            kind: fault.kind,
            held: self.held(fault.worker),
            was_noticed,
        });
    }

    /// What the worker has begun, and nobody since.
    fn held(&self, worker: usize) -> Vec<Begun> {
        newest(begun(self.life(worker)), &self.attempts())
    }

    /// All attempts that were ever begun.
    pub fn attempts(&self) -> Vec<Begun> {
        self.workers.iter().flatten().flat_map(begun).collect()
    }

    /// Waits for the worker's first item, not for ever, and then the fault's time.
    fn wait_for_item(&mut self, fault: &Fault) {
        self.wait_for_meeting(|run| !begun(run.life(fault.worker)).is_empty());
        self.pass(fault.delay);
    }

    /// Time goes by, and sources change.
    fn pass(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            let changing = &mut self.sources.changing;
            if changing.changes() < MAX_CHANGES {
                changing.change();
            }
            thread::sleep(left.min(PAUSE));
        }
    }

    fn is_over(&self) -> bool {
        !self.has_open_tasks() || !self.server().is_running()
    }

    fn has_open_tasks(&self) -> bool {
        self.fleet.ended_tasks() < self.fleet.tasks.len()
    }

    pub fn server(&self) -> &Program {
        &self.servers[self.servers.len() - 1]
    }

    fn life(&self, worker: usize) -> &Program {
        let lives = &self.workers[worker];
        &lives[lives.len() - 1]
    }

    fn view(&self, worker: usize) -> &View {
        let view = self.views[worker].as_ref();
        view.expect("each life has one")
    }

    fn start_server(&mut self) {
        let mut command = self.fleet.command(SERVER, "server");
        command.arg("--config.file").arg(self.fleet.config_file());
        self.servers.push(self.start_on(SERVER_HOST, &command));
    }

    fn start_worker(&mut self, worker: usize) {
        let name = format!("w{worker}-{}", self.workers[worker].len());
        let mut command = self.fleet.command(WORKER, &name);
        let address = self.relays[worker].address().to_string();
        command
            .args(["--server.address", &address, "--name", &name])
            .args(["--debug", "--wait-secs", WAIT_SECS]);
        let view = self.sources.view(&name);
        let config = self.fleet.config_file();
        let own = config.parent().expect("it is in the fleet's directory");
        let seeing = view.seen_by(&command, own);
        let started = self.start_on(worker, &seeing);
        self.workers[worker].push(started);
        self.views[worker] = Some(view);
    }

    fn start_on(&self, host: usize, command: &Command) -> Program {
        start(&mut self.network.on(host, command))
    }

    /// Leaves everything where it can be looked at, with the logs of all programs.
    fn keep(&mut self) -> PathBuf {
        let directory = self.fleet.keep();
        let lives = self.workers.iter().enumerate().flat_map(|(worker, lives)| {
            let named = lives.iter().enumerate();
            named.map(move |(life, program)| (format!("w{worker}-{life}"), program))
        });
        let servers = self.servers.iter().enumerate();
        let servers = servers.map(|(number, program)| (format!("server-{number}"), program));
        for (name, program) in servers.chain(lives) {
            let text = format!(
                "{}{}\n{:?}\n",
                program.stdout(),
                program.stderr(),
                program.exit()
            );
            fs::write(directory.join(format!("{name}.log")), text).expect("logs can be kept");
        }
        let told = format!(
            "faults: {:#?}\nfired: {:?}\nsuspects: {:#?}\n",
            self.faults, self.fired, self.suspects
        );
        fs::write(directory.join("faults.txt"), told).expect("faults can be written down");
        // What is mounted does not stay.
        for small in [&self.volume, &self.state] {
            let mut kept = small.path().as_os_str().to_owned();
            kept.push("-kept");
            tool::run(Command::new("cp").arg("-a").arg(small.path()).arg(kept))
                .expect("a file system can be copied");
        }
        directory
    }
}
