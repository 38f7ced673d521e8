//! The real server as a process of its own: started, asked, killed and started again on the same store.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use testkit::process::Memory;
use testkit::{Program, Scratch, free_port};

const READY_WITHIN: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(5);
/// Of processor time in `/proc`, on every Linux that runs Rust.
const TICKS_PER_SEC: f64 = 100.0;

pub(crate) struct Server {
    /// Before its directory.
    program: Program,
    scratch: Scratch,
    port: u16,
}

impl Server {
    /// With one task, whose source is empty, ready to serve.
    pub(crate) fn start(concurrency: u64) -> anyhow::Result<Self> {
        let scratch = Scratch::new("scale");
        let port = free_port();
        for directory in ["source", "work"] {
            scratch.directory(directory);
        }
        scratch.file(
            "tasks",
            format!("{0}/source {0}/target\n", scratch.path().display()),
        );
        scratch.file(
            "config.yaml",
            format!(
                "global_config:\n  tasks_file: {0}/tasks\n  source_fs_types: [any]\n  target_fs_types: [any]\n  \
                 concurrency: {concurrency}\nserver:\n  port: {port}\n  data_dir: {0}/state\n  lease_secs: 30\n  heartbeat_secs: 5\n",
                scratch.path().display()
            ),
        );
        let program = program(&scratch)?;
        let server = Self {
            program,
            scratch,
            port,
        };
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Kills it and starts another on its store; how long until that was ready.
    pub(crate) fn start_again(&mut self) -> anyhow::Result<Duration> {
        self.program.kill();
        self.program
            .wait(READY_WITHIN)
            .map_err(|error| anyhow!("{error}"))?;
        let begun = Instant::now();
        self.program = program(&self.scratch)?;
        self.wait_until_ready()?;
        Ok(begun.elapsed())
    }

    pub(crate) fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn memory(&self) -> anyhow::Result<Memory> {
        self.program.memory().context("the server has ended")
    }

    /// Processor time that it has used so far, in seconds.
    pub(crate) fn processor_secs(&self) -> anyhow::Result<f64> {
        processor_secs(&self.program.id().to_string())
    }

    fn wait_until_ready(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        while !self.is_ready() {
            ensure!(
                self.program.is_running() && Instant::now() < deadline,
                "the server is not ready: {}",
                self.program.stderr()
            );
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn is_ready(&self) -> bool {
        let ask = || {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream
                .write_all(b"GET /readyz HTTP/1.1\r\nHost: scale\r\nConnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            std::io::Result::Ok(answer.starts_with("HTTP/1.1 200 "))
        };
        // It does not listen yet.
        ask().unwrap_or(false)
    }
}

/// Processor time of the process `id`, which may be `self`, in seconds.
pub(crate) fn processor_secs(id: &str) -> anyhow::Result<f64> {
    let path = format!("/proc/{id}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    // The name, which may hold anything, ends with the last bracket.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = |field: usize| {
        let text = fields.split_whitespace().nth(field)?;
        text.parse::<f64>().ok()
    };
    let (user, system) = ticks(11)
        .zip(ticks(12))
        .with_context(|| format!("cannot understand {path}"))?;
    Ok((user + system) / TICKS_PER_SEC)
}

fn program(scratch: &Scratch) -> anyhow::Result<Program> {
    let mut command = Command::new(beside("data-migrate-server")?);
    command
        .current_dir(scratch.join("work"))
        .arg("--config.file")
        .arg(scratch.join("config.yaml"))
        .env_remove("SERVERPORT")
        .env_remove("CONFIGFILE");
    Program::start(&mut command).with_context(|| format!("cannot start {command:?}"))
}

/// A program that was built together with this one.
fn beside(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find this program")?;
    let path = own.with_file_name(name);
    ensure!(path.exists(), "{} is not built", path.display());
    Ok(path)
}
