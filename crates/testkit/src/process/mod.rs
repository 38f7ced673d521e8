//! Programs under test as separate processes: started, watched, frozen and killed.
//!
//! Each is the leader of a process group of its own. It is not reaped before its [`Program`] is dropped, so that its
//! number and that of its group cannot come to mean another process meanwhile. Waits poll with a time limit
//! and end as soon as what they wait for is there; only a limit that is reached is an error.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::mem;
use std::net::{TcpListener, UdpSocket};
use std::ops::RangeInclusive;
use std::os::unix::process::CommandExt as _;
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub use rustix::process::Signal;
use rustix::process::{
    Pid, WaitId, WaitIdOptions, WaitIdStatus, kill_process, kill_process_group, waitid,
};

use crate::scratch::Scratch;

const POLL: Duration = Duration::from_millis(5);

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    Signal(i32),
}

/// What was waited for did not come; with all that the program wrote, to tell why.
#[derive(Debug)]
pub struct WaitError {
    program: String,
    wanted: String,
    happened: String,
    stdout: String,
    stderr: String,
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: waited for {}, but {}\n--- stdout\n{}\n--- stderr\n{}",
            self.program, self.wanted, self.happened, self.stdout, self.stderr
        )
    }
}

impl std::error::Error for WaitError {}

/// A started program. Dropped, it and its whole group are killed.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    group: Pid,
    output: Scratch,
}

impl Program {
    /// Starts `command` in a process group of its own, with nothing to read and its output kept in files.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        let output = Scratch::new("output");
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(File::create(output.join("stdout"))?)
            .stderr(File::create(output.join("stderr"))?)
            .spawn()?;
        let name = command.get_program().to_string_lossy().into_owned();
        let group = Pid::from_child(&child);
        Ok(Self {
            name,
            child,
            group,
            output,
        })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to its standard output so far.
    pub fn stdout(&self) -> String {
        self.written("stdout")
    }

    /// What it has written to its standard error so far.
    pub fn stderr(&self) -> String {
        self.written("stderr")
    }

    fn written(&self, stream: &str) -> String {
        let bytes = fs::read(self.output.join(stream)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// How it ended, if it has.
    pub fn exit(&self) -> Option<Exit> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(self.group), options).ok()??;
        Some(exit_of(&status))
    }

    pub fn is_running(&self) -> bool {
        self.exit().is_none()
    }

    /// Waits until `text` is in what it wrote to either stream.
    pub fn wait_for_output(&self, text: &str, limit: Duration) -> Result<(), WaitError> {
        self.wait_until(&format!("the output {text:?}"), limit, || {
            self.stdout().contains(text) || self.stderr().contains(text)
        })
    }

    /// Waits until `reached` says so. That the program ends first is an error.
    pub fn wait_until(
        &self,
        wanted: &str,
        limit: Duration,
        reached: impl Fn() -> bool,
    ) -> Result<(), WaitError> {
        let deadline = Instant::now() + limit;
        loop {
            // In this order: what it did just before its end counts.
            let exit = self.exit();
            if reached() {
                return Ok(());
            }
            if let Some(exit) = exit {
                return Err(self.wait_error(wanted, format!("it ended with {exit:?}")));
            }
            if Instant::now() >= deadline {
                return Err(self.wait_error(wanted, format!("{limit:?} passed")));
            }
            thread::sleep(POLL);
        }
    }

    /// Waits for its end.
    pub fn wait(&self, limit: Duration) -> Result<Exit, WaitError> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(exit) = self.exit() {
                return Ok(exit);
            }
            if Instant::now() >= deadline {
                return Err(self.wait_error("its end", format!("{limit:?} passed")));
            }
            thread::sleep(POLL);
        }
    }

    /// Waits for its end: its exit code, or 128 and the signal as a shell has it.
    pub fn exit_code(&self, limit: Duration) -> Result<i32, WaitError> {
        Ok(match self.wait(limit)? {
            Exit::Code(code) => code,
            Exit::Signal(signal) => 128 + signal,
        })
    }

    fn wait_error(&self, wanted: &str, happened: String) -> WaitError {
        WaitError {
            program: self.name.clone(),
            wanted: wanted.to_owned(),
            happened,
            stdout: self.stdout(),
            stderr: self.stderr(),
        }
    }

    /// Sends a signal to the program alone; to one that has ended it does nothing.
    ///
    /// # Panics
    /// Where it cannot be sent.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.group, signal)
            .unwrap_or_else(|error| panic!("cannot send {signal:?} to {}: {error}", self.name));
    }

    /// `kill -9` of the program alone, as the kernel out of memory would; what it started lives on.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// `kill -9` of the program and all that it started.
    pub fn kill_group(&self) {
        // No process of the group may be left.
        let _ = kill_process_group(self.group, Signal::KILL);
    }

    /// Asks it to end.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Freezes the program, and returns when it stands still.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
        let options = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let _ = waitid(WaitId::Pid(self.group), options);
    }

    /// Lets a frozen program go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Its memory; `None` when it has ended.
    pub fn memory(&self) -> Option<Memory> {
        Memory::of(self.id())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill_group();
        let _ = self.child.wait();
    }
}

fn exit_of(status: &WaitIdStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => unreachable!("only ends of processes were asked for"),
    }
}

/// Memory of a process that is not swapped out, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    pub resident_bytes: u64,
    /// The most it ever was.
    pub peak_bytes: u64,
}

impl Memory {
    /// From `/proc/ID/status`; `None` when there is no such process.
    pub fn of(id: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
            Some(kibibytes * 1024)
        };
        Some(Self {
            resident_bytes: field("VmRSS:")?,
            peak_bytes: field("VmHWM:")?,
        })
    }
}

/// Below those that the kernel gives to whoever connects, or asks for any.
const PORTS: RangeInclusive<u16> = 15_000..=29_999;

/// A TCP port of the loopback address for a server of this process, which may be away for a while: no other process gets it
/// from this function before this one ends, nor does the kernel give it to a connection.
///
/// # Panics
/// Where the machine has none left.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = process::id();
    let all = u32::from(PORTS.end() - PORTS.start()) + 1;
    for _ in 0..all {
        let next = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let number = first.wrapping_mul(61).wrapping_add(next);
        let port = PORTS.start() + (number % all) as u16;
        // The UDP port of the same number stands for it.
        let Ok(reserved) = UdpSocket::bind(("127.0.0.1", port)) else {
            continue;
        };
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            mem::forget(reserved);
            return port;
        }
    }
    panic!("the machine has a free port")
}

#[cfg(test)]
mod tests;
