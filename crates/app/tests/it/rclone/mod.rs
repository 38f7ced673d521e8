//! Runs of one process with the rclone engine, and scripts that stand in front of a real rclone.

pub mod remotes;

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use testkit::{Program, free_port};

use crate::place::{Done, LONG, MAIN, Place};

/// `data-migrate run` with `config.yaml` and this rclone; its config is
/// `DIR/rclone.conf`, and what is kept in a temp directory goes to `DIR/tmp`.
pub fn command(place: &Place, rclone: &Path) -> Command {
    let mut command = place.command(MAIN);
    command
        .args([
            "run",
            "--config.file",
            "config.yaml",
            "--debug",
            "--new-run",
            "--rclone.path",
        ])
        .arg(rclone)
        .env("HOME", place.directory("home"))
        .env("TMPDIR", place.directory("tmp"))
        .env("RCLONE_CONFIG", place.path("rclone.conf"));
    command
}

/// Runs it to its end, which leaves nothing in the temp directory.
pub fn migrate(place: &Place, rclone: &Path) -> Done {
    let done = place.run(&mut command(place, rclone));
    let left: Vec<_> = fs::read_dir(place.path("tmp")).unwrap().collect();
    assert!(left.is_empty(), "left in the temp directory: {left:?}");
    done
}

/// A script that is called as rclone and stands in front of it. It calls the real one as `real`; what it does
/// with `copy` is up to `on_copy`, which finds in `$n` how many there were with this one, and in `$list` the list of
/// names. Each call leaves `DIR/calls/N/list` and the pid of its leader.
pub fn in_front_of(place: &Place, rclone: &Path, on_copy: &str) -> PathBuf {
    in_front_of_each(place, rclone, "copy", on_copy)
}

/// The same for other commands, `copy|lsjson` for example.
pub fn in_front_of_each(place: &Place, rclone: &Path, commands: &str, then: &str) -> PathBuf {
    place.directory("calls");
    let text = format!(
        "#!/bin/bash
real() {{ {rclone} \"$@\"; }}
case $1 in {commands}) ;; *) exec {rclone} \"$@\" ;; esac
n=1
until mkdir \"DIR/calls/$n\" 2>/dev/null; do n=$((n + 1)); done
call=DIR/calls/$n
for list; do :; done
echo $$ >\"$call/pid\"
[[ $* != *--files-from-raw* ]] || cp \"$list\" \"$call/list\"
{then}
",
        rclone = rclone.display()
    );
    let path = place.file("bin/rclone", &text);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// How often the script was called to copy.
pub fn calls(place: &Place) -> usize {
    fs::read_dir(place.path("calls")).unwrap().count()
}

/// The names that the script was given in its call `n`, in order.
pub fn listed(place: &Place, n: usize) -> Vec<String> {
    let list = fs::read_to_string(place.path(format!("calls/{n}/list"))).unwrap();
    list.lines().map(str::to_owned).collect()
}

/// What is written in a file by a script, once it is a whole line.
pub fn line_of(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.strip_suffix('\n')?.to_owned())
}

/// Whether a process lives; one that has ended and was not waited for does not.
pub fn lives(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    !status.is_empty() && !status.contains("State:\tZ")
}

/// Waits for a process's end.
///
/// # Panics
/// Where it lives on.
pub fn assert_ends(pid: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while lives(pid) {
        assert!(Instant::now() < deadline, "process {pid} lives on");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A log as the server keeps rclone's, unpacked by a tool that is not ours.
pub fn unpacked(log: &Path) -> String {
    let done = testkit::tool::run(Command::new("gzip").arg("-dc").arg(log)).unwrap();
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// An rclone that serves a directory, and the port it does that on.
pub struct Serving {
    _program: Program,
    pub port: u16,
}

impl Serving {
    /// By `protocol` of `rclone serve`.
    pub fn start(place: &Place, protocol: &str, directory: &str, more: &[&str]) -> Self {
        let port = free_port();
        let mut command = place.any_command(testkit::rclone::current());
        command
            .args(["serve", protocol])
            .arg(place.directory(directory))
            .args(["--addr", &format!("127.0.0.1:{port}")])
            .args(["--config", "/dev/null"])
            .args(more)
            .env("HOME", place.directory("home"));
        let program = Program::start(&mut command).unwrap();
        let is_up = || TcpStream::connect(("127.0.0.1", port)).is_ok();
        program.wait_until("its port", LONG, is_up).unwrap();
        Self {
            _program: program,
            port,
        }
    }
}
