//! A server and workers as separate processes, each with a working directory of its own below one scratch
//! directory, and what they leave behind: results, logs, state, trees.
//!
//! Leases are short (2 s, heartbeats of 1 s), so that what takes leases takes seconds. The programs get none of the
//! variables that they read from the environment of the tests. Everything is gone with the [`Fleet`].

mod judge;
mod settings;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

pub use judge::{Begun, Counts, assert_no_leftovers, assert_tree, begun};
pub use settings::Settings;
use testkit::fuse::{Mounted, SlowFs};
use testkit::results::Table;
use testkit::tree::{self, Made, Recipe};
use testkit::{Program, Scratch, free_port};

pub const MAIN: &str = env!("CARGO_BIN_EXE_data-migrate");
pub const SERVER: &str = env!("CARGO_BIN_EXE_data-migrate-server");
pub const WORKER: &str = env!("CARGO_BIN_EXE_data-migrate-worker");

/// Longer than anything here takes, on a machine that has much else to do.
pub const LONG: Duration = Duration::from_secs(120);

/// Variables that the programs read.
const VARIABLES: [&str; 14] = [
    "CONFIGFILE",
    "SERVERPORT",
    "SERVERADDRESS",
    "CONCURRENCY",
    "CLIENT_NAME",
    "DEBUG",
    "TRACE",
    "TERM",
    "RUST_LOG",
    "KUBERNETES_SERVICE_HOST",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
];

/// One line of the tasks file.
#[derive(Debug, Clone)]
pub struct Task {
    pub source: PathBuf,
    /// Where the source's entries lie: the source itself, unless it is slow.
    pub lower: PathBuf,
    pub target: PathBuf,
    /// What the source was made of, where it was made here.
    pub made: Option<Made>,
}

#[derive(Debug)]
pub struct Fleet {
    // Ends before the directories go that it is mounted on and over.
    mounted: Vec<Mounted>,
    scratch: Scratch,
    pub port: u16,
    pub tasks: Vec<Task>,
}

impl Fleet {
    /// With a config file and an empty tasks file.
    pub fn new(label: &str, settings: &Settings) -> Self {
        let scratch = Scratch::new(label);
        let fleet = Self {
            port: free_port(),
            tasks: Vec::new(),
            mounted: Vec::new(),
            scratch,
        };
        fleet.scratch.directory("server");
        fleet.configure(settings);
        fleet
    }

    /// Leaves everything where it is when the fleet is dropped; where that is.
    #[allow(dead_code, reason = "torture keeps what went wrong")]
    pub fn keep(&mut self) -> PathBuf {
        self.scratch.keep();
        self.scratch.path().to_owned()
    }

    /// Writes the config file anew.
    pub fn configure(&self, settings: &Settings) {
        let mut text = format!(
            "global_config:\n  tasks_file: {}\n  source_fs_types: [{}]\n  target_fs_types: [{}]\n  durability: {}\n  \
             concurrency: {}\n  transfers: {}\n",
            self.tasks_file().display(),
            settings.source_fs_types,
            settings.target_fs_types,
            settings.durability,
            settings.concurrency,
            settings.transfers,
        );
        settings
            .more_global
            .iter()
            .for_each(|line| text += &format!("  {line}\n"));
        text += &format!(
            "server:\n  port: {}\n  data_dir: {}\n  lease_secs: {}\n  heartbeat_secs: {}\n  \
             ineligible_grace_secs: {}\n  end_wait_secs: {}\n  item_attempts: {}\n",
            self.port,
            self.data_dir().display(),
            settings.lease_secs,
            settings.heartbeat_secs,
            settings.ineligible_grace_secs,
            settings.end_wait_secs,
            settings.item_attempts,
        );
        settings
            .more_server
            .iter()
            .for_each(|line| text += &format!("  {line}\n"));
        text += &settings.more_sections;
        fs::write(self.config_file(), text).expect("the config file can be written");
    }

    /// A path in the scratch directory.
    pub fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.scratch.join(below)
    }

    pub fn config_file(&self) -> PathBuf {
        self.path("config.yaml")
    }

    pub fn tasks_file(&self) -> PathBuf {
        self.path("tasks.txt")
    }

    pub fn data_dir(&self) -> PathBuf {
        self.path("state")
    }

    /// Where the server runs, and leaves its results file.
    pub fn server_dir(&self) -> PathBuf {
        self.path("server")
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Makes a source tree and adds a task for it; its target does not exist yet.
    pub fn add_tree(&mut self, recipe: &Recipe, seed: u64) -> &Task {
        let number = self.tasks.len() + 1;
        let source = self.path(format!("source{number}"));
        let target = self.path(format!("target{number}"));
        let made = tree::make(&source, recipe, seed).expect("a tree can be made");
        self.add_task(&source, &target, Some(made))
    }

    /// As [`Self::add_tree`], of a source that answers each request after a millisecond: a run takes so many of them at
    /// least, however fast the machine is, and what happens meanwhile does happen meanwhile.
    pub fn add_slow_tree(&mut self, recipe: &Recipe, seed: u64) -> &Task {
        self.add_slow_tree_after(Duration::from_millis(1), recipe, seed)
    }

    /// As [`Self::add_slow_tree`], of a tree that lasts as long as one of four times its size: each entry takes this
    /// process a descriptor, of which all tests together have some 20,000 where the limit can't be raised.
    pub fn add_slower_tree(&mut self, recipe: &Recipe, seed: u64) -> &Task {
        self.add_slow_tree_after(Duration::from_millis(4), recipe, seed)
    }

    fn add_slow_tree_after(&mut self, delay: Duration, recipe: &Recipe, seed: u64) -> &Task {
        let lower = self.path(format!("lower{}", self.tasks.len() + 1));
        let made = tree::make(&lower, recipe, seed).expect("a tree can be made");
        let slow = SlowFs::over(&lower).metadata_delay(delay);
        self.add_mounted(&lower, slow, Some(made))
    }

    /// Adds a task for what is in this directory, through a mount as slow as that of [`Self::add_slow_tree`].
    pub fn add_slow(&mut self, lower: &Path, made: Option<Made>) -> &Task {
        let slow = SlowFs::over(lower).metadata_delay(Duration::from_millis(1));
        self.add_mounted(lower, slow, made)
    }

    /// As [`Self::add_slow`], where content is slow: 3 ms for each request to read, also of what was read before.
    pub fn add_slow_content(&mut self, lower: &Path) -> &Task {
        let slow = SlowFs::over(lower)
            .data_delay(Duration::from_millis(3))
            .direct_io();
        self.add_mounted(lower, slow, None)
    }

    fn add_mounted(&mut self, lower: &Path, slow: SlowFs, made: Option<Made>) -> &Task {
        let number = self.tasks.len() + 1;
        let source = self.scratch.directory(format!("source{number}"));
        let target = self.path(format!("target{number}"));
        // Each thread has a buffer of 16 MiB, and there are many mounts at once.
        let mounted = slow.threads(8).mount(&source);
        self.mounted.push(mounted.expect("it can be mounted"));
        self.add_task(&source, &target, made);
        let task = self.tasks.last_mut().expect("one was added");
        lower.clone_into(&mut task.lower);
        task
    }

    /// Adds a line to the tasks file.
    pub fn add_task(&mut self, source: &Path, target: &Path, made: Option<Made>) -> &Task {
        self.tasks.push(Task {
            source: source.to_owned(),
            lower: source.to_owned(),
            target: target.to_owned(),
            made,
        });
        let lines: String = self
            .tasks
            .iter()
            .map(|task| format!("{} {}\n", task.source.display(), task.target.display()))
            .collect();
        fs::write(self.tasks_file(), lines).expect("the tasks file can be written");
        &self.tasks[self.tasks.len() - 1]
    }

    /// A command of ours in the working directory `below` (created if need be), with a clean environment.
    pub fn command(&self, program: &str, below: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.scratch.directory(below));
        VARIABLES.iter().for_each(|name| {
            command.env_remove(name);
        });
        command
    }

    pub fn server_command(&self) -> Command {
        let mut command = self.command(SERVER, "server");
        command.arg("--config.file").arg(self.config_file());
        command
    }

    pub fn worker_command(&self, name: &str) -> Command {
        let mut command = self.command(WORKER, name);
        command.args(["--server.address", &self.address(), "--name", name]);
        command
    }

    /// Starts the server without waiting until it serves.
    pub fn start_server(&self) -> Program {
        start(&mut self.server_command())
    }

    /// Starts the server and waits until it serves. A tree so small that it is migrated at once is no error.
    pub fn server(&self) -> Program {
        let server = self.start_server();
        wait_until_serving(&server);
        server
    }

    pub fn worker(&self, name: &str) -> Program {
        start(&mut self.worker_command(name))
    }

    /// `data-migrate run` with the config file.
    pub fn run_embedded(&self) -> Program {
        start(
            self.command(MAIN, "server")
                .arg("run")
                .arg("--config.file")
                .arg(self.config_file()),
        )
    }

    /// What `data-migrate status` prints, if the server answers.
    pub fn status(&self) -> Option<String> {
        let output = self
            .command(MAIN, "status")
            .args(["status", "--server.address", &self.address()])
            .output()
            .expect("data-migrate can be started");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        output.status.success().then_some(text)
    }

    /// The results file in the server's working directory.
    pub fn results_file(&self) -> PathBuf {
        self.server_dir().join("data_migrate_results.csv")
    }

    /// # Panics
    /// Where there is none.
    pub fn results(&self) -> Table {
        Table::read(&self.results_file()).unwrap_or_else(|error| panic!("the results: {error}"))
    }

    /// The log of a task's end (the first task is 1) of the newest run that has one.
    pub fn task_log(&self, task: usize) -> Option<String> {
        let runs = fs::read_dir(self.data_dir().join("logs")).ok()?;
        let mut logs: Vec<PathBuf> = runs
            .map(|run| {
                run.expect("logs can be listed")
                    .path()
                    .join(format!("task_{task}.log"))
            })
            .filter(|log| log.exists())
            .collect();
        logs.sort();
        fs::read_to_string(logs.last()?).ok()
    }
}

/// Starts a program.
///
/// # Panics
/// Where it cannot be started.
pub fn start(command: &mut Command) -> Program {
    Program::start(command).unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"))
}

/// # Panics
/// Where the server ends before it serves, or does not serve in time.
pub fn wait_until_serving(server: &Program) {
    server
        .wait_for_output("serving run ", LONG)
        .unwrap_or_else(|error| panic!("{error}"));
}

/// Who never got in waits for a server, and was told of no end.
#[track_caller]
pub fn assert_ends_or_never_got_in(worker: &Program) {
    if worker.stderr().contains("registered as ") {
        assert_exit(worker, 0);
    } else {
        worker.terminate();
        assert_exit(worker, 143);
    }
}

/// Waits for the program's end and asserts its exit code.
#[track_caller]
pub fn assert_exit(program: &Program, code: i32) {
    match program.exit_code(LONG) {
        Ok(found) if found == code => {}
        Ok(found) => panic!(
            "exit code {found} instead of {code}\n--- stdout\n{}\n--- stderr\n{}",
            program.stdout(),
            program.stderr()
        ),
        Err(error) => panic!("{error}"),
    }
}
