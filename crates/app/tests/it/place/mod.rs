//! One scratch directory in which a program of ours runs to its end: files go in, exit code and messages come out.
//!
//! `DIR` stands for the directory in all that is written and read here, so that tests show texts whole. The programs
//! get no variables of the tests but PATH. Copies of reports that they leave in `/tmp` are removed.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use testkit::results::Table;
use testkit::{Program, Scratch};

pub const MAIN: &str = env!("CARGO_BIN_EXE_data-migrate");
pub const SERVER: &str = env!("CARGO_BIN_EXE_data-migrate-server");
pub const WORKER: &str = env!("CARGO_BIN_EXE_data-migrate-worker");

/// Longer than anything here takes, on a machine that has much else to do.
pub const LONG: Duration = Duration::from_secs(120);

/// User and group of [`Place::command_as_plain_user`].
pub const PLAIN_USER: u32 = 65_534;

/// As in the older tool's README, but for paths and types. Further lines of the section may follow.
pub const OLDER: &str = "report_config:
  format: csv # csv, md or html
  bucket: test
  s3_config:
    access_key: <access key>
    secret_key: <secret key>
    region: us-east-1
    endpoint: <s3 endpoint>
    skipSSLverify: true

global_config:
  source_fs_type: any
  target_fs_type: any
  tasks_file: deploy/data_sources.txt # data sources
  feishu_url: feishu_url
  rclone_flags:
    checkers: 128
    transfers: 128
    log_level: INFO
";

#[derive(Debug)]
pub struct Place {
    scratch: Scratch,
}

/// How a program ended.
#[derive(Debug)]
pub struct Done {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Place {
    pub fn new(label: &str) -> Self {
        let scratch = Scratch::new(label);
        Self { scratch }
    }

    pub fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.scratch.join(below)
    }

    pub fn directory(&self, below: impl AsRef<Path>) -> PathBuf {
        self.scratch.directory(below)
    }

    /// Writes a file, its directory made if need be.
    pub fn file(&self, below: &str, text: &str) -> PathBuf {
        if let Some((directory, _)) = below.rsplit_once('/') {
            self.scratch.directory(directory);
        }
        self.scratch.file(below, self.with_directory(text))
    }

    pub fn bytes(&self, below: &str, bytes: &[u8]) -> PathBuf {
        self.scratch.file(below, bytes)
    }

    pub fn with_directory(&self, text: &str) -> String {
        text.replace("DIR", &self.scratch.path().display().to_string())
    }

    pub fn without_directory(&self, text: &str) -> String {
        text.replace(&self.scratch.path().display().to_string(), "DIR")
    }

    /// A program of ours in the directory.
    pub fn command(&self, program: &str) -> Command {
        self.any_command(program)
    }

    /// The same as a user who may not do more than others.
    pub fn command_as_plain_user(&self, program: &str) -> Command {
        fs::set_permissions(self.scratch.path(), fs::Permissions::from_mode(0o777))
            .expect("the scratch directory is ours");
        // Others may not be let in where the program was built.
        let own = self.path(
            Path::new(program)
                .file_name()
                .expect("a program has a name"),
        );
        if !own.exists() {
            // By another process: what is open for writing here is for a moment open too in what other threads start, and
            // can't be run (ETXTBSY).
            testkit::tool::run(Command::new("cp").arg(program).arg(&own))
                .expect("the program can be copied");
        }
        let mut command = self.any_command("setpriv");
        command
            .arg(format!("--reuid={PLAIN_USER}"))
            .arg(format!("--regid={PLAIN_USER}"))
            .args(["--clear-groups", "--"])
            .arg(own);
        command
    }

    /// Any program in the directory, with no variables but PATH.
    pub fn any_command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.scratch.path()).env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command
    }

    /// Runs a program to its end.
    ///
    /// # Panics
    /// Where it cannot be started or does not end.
    pub fn run(&self, command: &mut Command) -> Done {
        let program = Program::start(command)
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        self.end(&program)
    }

    /// Waits for a program's end.
    pub fn end(&self, program: &Program) -> Done {
        let code = program
            .exit_code(LONG)
            .unwrap_or_else(|error| panic!("{error}"));
        let stdout = program.stdout();
        for report in reports_in_tmp(&stdout) {
            take_copy(&report, &self.path(""));
        }
        Done {
            code,
            stdout: self.without_directory(&stdout),
            stderr: self.without_directory(&program.stderr()),
        }
    }

    /// Runs a command that must be refused and change nothing; its message.
    #[track_caller]
    pub fn refused(&self, command: &mut Command) -> String {
        let before = self.listing();
        let done = self.run(command).assert_code(2);
        assert_eq!(done.stdout, "");
        assert_eq!(self.listing(), before, "something was created or changed");
        done.stderr
    }

    /// `data-migrate run` with this config file to its end.
    pub fn migrate(&self, config_file: &str) -> Done {
        self.run(
            self.command(MAIN)
                .args(["run", "--config.file", config_file]),
        )
    }

    /// The results that the runs in this directory have left.
    ///
    /// # Panics
    /// Where there are none.
    pub fn results(&self) -> Table {
        Table::read(&self.path("data_migrate_results.csv"))
            .unwrap_or_else(|error| panic!("the results: {error}"))
    }

    /// Everything in the directory with its size.
    pub fn listing(&self) -> BTreeMap<PathBuf, u64> {
        list(self.scratch.path())
    }
}

impl Done {
    /// Asserts the exit code.
    #[track_caller]
    pub fn assert_code(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "\n--- stdout\n{}\n--- stderr\n{}",
            self.stdout, self.stderr
        );
        self
    }
}

/// All paths below a directory with the sizes of files.
pub fn list(directory: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory).expect("it can be read") {
            let path = entry.expect("it can be read").path();
            let about = path.symlink_metadata().expect("it can be looked at");
            if about.is_dir() {
                pending.push(path.clone());
            }
            let size = if about.is_file() { about.len() } else { 0 };
            found.insert(path, size);
        }
    }
    found
}

/// Makes a tree one that a plain user can have and read.
pub fn give_to_plain_user(root: &Path) {
    let below = list(root).into_keys();
    for path in below.chain([root.to_owned()]) {
        let about = path.symlink_metadata().unwrap();
        lchown(&path, Some(PLAIN_USER), Some(PLAIN_USER)).unwrap();
        let mode = about.mode() & 0o7777;
        let readable = match about.is_dir() {
            true => mode | 0o500,
            false => mode | 0o400,
        };
        // A new owner takes some bits away: all are set again.
        if !about.is_symlink() {
            fs::set_permissions(&path, fs::Permissions::from_mode(readable)).unwrap();
        }
    }
}

/// The reports of which a program's output says that they are in `/tmp`.
pub fn reports_in_tmp(stdout: &str) -> Vec<PathBuf> {
    stdout
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("/tmp/data_migrate_results_"))
        .map(PathBuf::from)
        .collect()
}

/// A copy of a report in `/tmp`, which is removed. None where it is of another run, with another directory, that ended in the
/// same millisecond and so gave it the same name; that one removes it itself.
pub fn take_copy(report: &Path, directory: &Path) -> Option<String> {
    let text = fs::read_to_string(report).ok()?;
    let is_ours = text.contains(directory.to_str().expect("scratch directories are text"));
    if is_ours {
        fs::remove_file(report).expect("it is ours");
    }
    is_ours.then_some(text)
}
