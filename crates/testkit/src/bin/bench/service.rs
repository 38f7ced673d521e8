//! Server and worker on a config of their own, as two processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use testkit::{Program, Scratch, free_port};

use crate::Failure;
use crate::tools::{built, rclone};

/// Everything ready for `data-migrate-server` and `data-migrate-worker`.
pub(crate) struct Service {
    port: u16,
    /// The working directory of both: config, tasks file, data directory, results.
    directory: Scratch,
}

impl Service {
    /// `state`: on whose file system its state is; `keys`: lines of `global_config`.
    pub(crate) fn prepare(
        state: &Path,
        (source, target): (&Path, &Path),
        keys: &str,
    ) -> Result<Self, Failure> {
        let directory = Scratch::within(state, "service")?;
        let tasks = format!("{} {}\n", source.display(), target.display());
        directory.file("tasks.txt", tasks);
        let port = free_port();
        let config = format!(
            "global_config:
  source_fs_types: [any]
  target_fs_types: [any]
  tasks_file: tasks.txt
{keys}server:
  port: {port}
  data_dir: {}
",
            directory.join("data").display()
        );
        directory.file("bench.yaml", config);
        rustix::fs::syncfs(fs::File::open(directory.path())?)?;
        Ok(Self { port, directory })
    }

    pub(crate) fn server(&self, flags: &[&str]) -> Result<Program, Failure> {
        self.start("data-migrate-server", |command| {
            command.args(["--config.file", "bench.yaml"]).args(flags)
        })
    }

    pub(crate) fn worker(&self) -> Result<Program, Failure> {
        let address = format!("127.0.0.1:{}", self.port);
        self.start("data-migrate-worker", |command| {
            command
                .args(["--server.address", &address, "--rclone.path"])
                .arg(rclone())
        })
    }

    /// A worker to which each of these places is at its point, as on a machine with mounts of its own.
    pub(crate) fn worker_with(&self, places: &[(&Path, &Path)]) -> Result<Program, Failure> {
        const BIND: &str = r#"set -e
while [ "$1" != -- ]; do mount --bind "$1" "$2"; shift 2; done
shift
exec "$@""#;
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "--", "sh", "-c"])
            .args([BIND, "sh"])
            .args(places.iter().flat_map(|(place, point)| [place, point]))
            .arg("--")
            .arg(built("data-migrate-worker"))
            .args(["--server.address", &format!("127.0.0.1:{}", self.port)])
            .current_dir(self.directory.path());
        Program::start(&mut command)
            .map_err(|error| format!("cannot start a worker: {error}").into())
    }

    fn start(
        &self,
        program: &str,
        arguments: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Result<Program, Failure> {
        let mut command = Command::new(built(program));
        arguments(&mut command).current_dir(self.directory.path());
        Program::start(&mut command)
            .map_err(|error| format!("cannot start {program}: {error}").into())
    }

    /// The log of the task with this number, once it has ended.
    pub(crate) fn log_of(&self, task: u64) -> Result<String, Failure> {
        // A directory for each run, of which there was one.
        let runs = fs::read_dir(self.directory.join("data/logs"))?;
        let run = runs.last().ok_or("there are no logs")??;
        Ok(fs::read_to_string(
            run.path().join(format!("task_{task}.log")),
        )?)
    }

    /// The table to which a row is appended as the task ends.
    pub(crate) fn results(&self) -> PathBuf {
        self.directory.join("data_migrate_results.csv")
    }

    /// The time from the start of both to the end of both.
    pub(crate) fn run_to_end(&self, limit: Duration) -> Result<Duration, Failure> {
        let begun = Instant::now();
        let server = self.server(&[])?;
        let worker = self.worker()?;
        for (name, program) in [("server", &server), ("worker", &worker)] {
            let code = program.exit_code(limit)?;
            if code != 0 {
                let said = program.stderr() + &program.stdout();
                return Err(format!("the {name} ended with {code}: {said}").into());
            }
        }
        Ok(begun.elapsed())
    }
}
