//! One process of rclone, from its start to its end, whatever it does in between.
//!
//! It is the leader of a process group of its own, which is ended as a whole: when the attempt is told to stop, has
//! lost its lease, finds a mount gone, or sees no progress for too long. While it is not known whether the
//! attempt may still write, the group is stopped.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use rustix::pipe::fcntl_setpipe_size;
use rustix::process::{Pid, Signal, kill_process_group};

use super::environment::Environment;
use crate::attempt::{Cancel, CheckRoots, Fence, RootsLost, Stopped};

/// How often it is looked at while it says nothing.
const LOOK: Duration = Duration::from_millis(100);

/// How often the roots are checked meanwhile.
const CHECK_ROOTS: Duration = Duration::from_secs(1);

/// Longest line of its log; what is beyond is a line of its own.
const MAX_LINE: usize = 64 << 10;

/// How far rclone may be ahead of us with its log: some dozens of files. A worker that is frozen can't stop its rclone;
/// this does, within seconds: who can't log begins no further file. Those that it is writing it finishes.
const LOG_AHEAD_BYTES: usize = 16 << 10;

/// Between two looks at an empty log: in this time rclone does not fill it.
const READ_AGAIN: Duration = Duration::from_millis(2);

/// Lines that wait to be read.
const LINES_WAITING: usize = 256;

/// How long the rest of the log may take to come when the process has ended.
const LAST_LINES: Duration = Duration::from_secs(5);

/// What an attempt is bound to while a process runs for it.
pub(crate) struct Bounds<'a> {
    pub(crate) fence: &'a dyn Fence,
    pub(crate) cancel: &'a Cancel,
    pub(crate) check_roots: &'a CheckRoots,
    /// A process that shows no progress for so long is ended.
    pub(crate) stall: Duration,
}

/// Whether a line shows that something was done since the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shows {
    Progress,
    Nothing,
}

/// A program with what every process of it gets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Launch<'a> {
    pub(crate) program: &'a Path,
    pub(crate) environment: &'a Environment,
}

impl Launch<'_> {
    fn command(&self, args: &[OsString]) -> Command {
        let mut command = Command::new(self.program);
        command
            .args(args)
            .env_clear()
            .envs(self.environment.passed.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0);
        command
    }

    /// Runs it to its end; `on_line` gets each line that it logs.
    ///
    /// # Errors
    /// It could not be started, or was ended for a reason of [`Bounds`].
    pub(crate) fn run(
        &self,
        args: &[OsString],
        bounds: &Bounds<'_>,
        on_line: &mut dyn FnMut(&[u8]) -> Shows,
    ) -> Result<ExitStatus, Stopped> {
        let mut child = Group::start(&mut self.command(args)).map_err(|error| {
            Stopped::Again(format!("cannot start {}: {error}", self.program.display()))
        })?;
        let lines = child.lines();
        let (mut progressed, mut checked) = (Instant::now(), Instant::now());
        loop {
            let is_at_end = match lines.recv_timeout(LOOK) {
                Ok(line) => {
                    if on_line(&line) == Shows::Progress {
                        progressed = Instant::now();
                    }
                    false
                }
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            if bounds.cancel.is_cancelled() {
                return Err(Stopped::Cancelled);
            }
            if !bounds.fence.is_open() {
                child.signal(Signal::STOP);
                if !bounds.fence.may_write() {
                    return Err(match bounds.cancel.is_cancelled() {
                        true => Stopped::Cancelled,
                        false => Stopped::LeaseLost,
                    });
                }
                child.signal(Signal::CONT);
                progressed = Instant::now();
            }
            if checked.elapsed() >= CHECK_ROOTS {
                (bounds.check_roots)().map_err(RootsLost::stops)?;
                checked = Instant::now();
            }
            if progressed.elapsed() >= bounds.stall {
                return Err(Stopped::Again(format!(
                    "rclone showed no progress for {} s and was ended",
                    bounds.stall.as_secs()
                )));
            }
            if let Some(status) = child.ended()? {
                read_rest(&lines, on_line);
                return Ok(status);
            }
            if is_at_end {
                // It closed its log and lives on: the next looks have nothing to wait for.
                std::thread::sleep(LOOK);
            }
        }
    }
}

fn read_rest(lines: &Receiver<Vec<u8>>, on_line: &mut dyn FnMut(&[u8]) -> Shows) {
    let until = Instant::now() + LAST_LINES;
    while let Ok(line) = lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
        on_line(&line);
    }
}

/// A process group; dropped, it is ended.
struct Group {
    child: Child,
    has_ended: bool,
}

impl Group {
    fn start(command: &mut Command) -> io::Result<Self> {
        Ok(Self {
            child: command.spawn()?,
            has_ended: false,
        })
    }

    /// Its log, line by line, until the last process that has it open has ended.
    fn lines(&mut self) -> Receiver<Vec<u8>> {
        let (sender, lines) = sync_channel(LINES_WAITING);
        if let Some(log) = self.child.stderr.take() {
            // It ends with the log, or when nobody listens any more.
            let _ = std::thread::Builder::new()
                .name("rclone-log".to_owned())
                .spawn(move || send_lines(log, &sender));
        }
        lines
    }

    fn signal(&self, signal: Signal) {
        // The leader is not waited for before it is found ended: its number is nobody else's.
        if let Some(leader) = Pid::from_raw(self.child.id() as i32) {
            let _ = kill_process_group(leader, signal);
        }
    }

    fn ended(&mut self) -> Result<Option<ExitStatus>, Stopped> {
        let status = self
            .child
            .try_wait()
            .map_err(|error| Stopped::Again(format!("cannot wait for rclone: {error}")))?;
        if status.is_some() {
            // What it started must not write on without it.
            self.signal(Signal::KILL);
            self.has_ended = true;
        }
        Ok(status)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.has_ended {
            self.signal(Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

/// Reads now and then all that has come. A reader that waited in the call would be woken for every line, which costs
/// the writer more than the copying of a small file.
fn send_lines(mut log: ChildStderr, to: &SyncSender<Vec<u8>>) {
    // Where either is refused, lines come as well, only dearer.
    let _ = fcntl_setpipe_size(&log, LOG_AHEAD_BYTES);
    let _ = rustix::io::ioctl_fionbio(&log, true);
    let mut rest = Vec::new();
    let mut chunk = vec![0; LOG_AHEAD_BYTES];
    loop {
        match log.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => rest.extend_from_slice(&chunk[..n]),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(READ_AGAIN),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
        let mut begin = 0;
        while let Some(end) = rest[begin..].iter().position(|&b| b == b'\n') {
            if to.send(trimmed(&rest[begin..begin + end])).is_err() {
                return;
            }
            begin += end + 1;
        }
        rest.drain(..begin);
        if rest.len() > MAX_LINE && to.send(std::mem::take(&mut rest)).is_err() {
            return;
        }
    }
    if !rest.is_empty() {
        let _ = to.send(trimmed(&rest));
    }
}

fn trimmed(line: &[u8]) -> Vec<u8> {
    line.strip_suffix(b"\r").unwrap_or(line).to_vec()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    use super::{Bounds, Environment, Launch, Shows};
    use crate::attempt::{Cancel, CheckRoots, Fence, RootsLost, Stopped};

    /// Open, or closed after so many looks; then the lease turns out to be lost.
    struct Looks(AtomicUsize);

    impl Fence for Looks {
        fn may_write(&self) -> bool {
            self.is_open()
        }

        fn is_open(&self) -> bool {
            let left = |n: usize| n.checked_sub(1);
            let (set, get) = (Ordering::Relaxed, Ordering::Relaxed);
            self.0.fetch_update(set, get, left).is_ok()
        }
    }

    fn run(
        script: &str,
        fence: &dyn Fence,
        cancel: &Cancel,
        check_roots: &CheckRoots,
        stall: Duration,
    ) -> (Result<Option<i32>, Stopped>, Vec<String>) {
        let environment = Environment::from_vars(std::env::vars_os());
        let launch = Launch {
            program: Path::new("/bin/sh"),
            environment: &environment,
        };
        let bounds = Bounds {
            fence,
            cancel,
            check_roots,
            stall,
        };
        let mut lines = Vec::new();
        let args: Vec<OsString> = vec!["-c".into(), script.into()];
        let ended = launch.run(&args, &bounds, &mut |line| {
            lines.push(String::from_utf8_lossy(line).into_owned());
            match line.starts_with(b"progress") {
                true => Shows::Progress,
                false => Shows::Nothing,
            }
        });
        (ended.map(|status| status.code()), lines)
    }

    fn open() -> Looks {
        Looks(AtomicUsize::new(usize::MAX))
    }

    fn fine() -> CheckRoots {
        Arc::new(|| Ok(()))
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn all_that_it_logs_is_read_and_its_code_is_known() {
        let script = "echo progress >&2; printf 'no end' >&2; exit 5";
        let (ended, lines) = run(script, &open(), &Cancel::default(), &fine(), LONG);
        assert_eq!(ended, Ok(Some(5)));
        assert_eq!(lines, ["progress", "no end"]);
    }

    #[test]
    fn one_that_hangs_is_ended_with_all_that_it_started() {
        let scratch = tempfile::tempdir().unwrap();
        let alive = scratch.path().join("alive");
        let script = format!(
            "(while :; do echo x >> {0}; sleep 0.05; done) & echo progress >&2; sleep 600",
            alive.display()
        );
        // So long may a shell take to begin.
        let stall = Duration::from_secs(3);
        let began = Instant::now();
        let (ended, lines) = run(&script, &open(), &Cancel::default(), &fine(), stall);
        assert!(matches!(&ended, Err(Stopped::Again(why)) if why.contains("no progress")));
        assert_eq!(lines, ["progress"]);
        assert!(began.elapsed() >= stall, "it had its time");
        let size = || alive.metadata().unwrap().len();
        // Nothing of the group writes any more: two looks, further apart than it wrote.
        let before = size();
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(size(), before);
    }

    #[test]
    fn an_attempt_that_may_not_write_ends_its_process() {
        let cancel = Cancel::default();
        cancel.cancel();
        let (ended, _) = run("sleep 600", &open(), &cancel, &fine(), LONG);
        assert_eq!(ended, Err(Stopped::Cancelled));

        let lost = Looks(AtomicUsize::new(3));
        let (ended, _) = run("sleep 600", &lost, &Cancel::default(), &fine(), LONG);
        assert_eq!(ended, Err(Stopped::LeaseLost));
        assert_eq!(lost.0.load(Ordering::Relaxed), 0, "it was asked");

        let gone: CheckRoots = Arc::new(|| Err(RootsLost::Gone("the target is gone".to_owned())));
        let (ended, _) = run("sleep 600", &open(), &Cancel::default(), &gone, LONG);
        assert_eq!(
            ended,
            Err(Stopped::MountGone("the target is gone".to_owned()))
        );
    }

    /// Closed once; then it opens again.
    struct Blinks(AtomicBool);

    impl Fence for Blinks {
        fn may_write(&self) -> bool {
            std::thread::sleep(Duration::from_millis(500));
            true
        }

        fn is_open(&self) -> bool {
            self.0.swap(true, Ordering::Relaxed)
        }
    }

    #[test]
    fn while_it_is_not_known_whether_it_may_write_it_stands_still() {
        let script = "for i in $(seq 40); do date +%s%N >&2; sleep 0.05; done";
        let blinks = Blinks(AtomicBool::new(false));
        let (ended, lines) = run(script, &blinks, &Cancel::default(), &fine(), LONG);
        assert_eq!(ended, Ok(Some(0)));
        let times: Vec<u64> = lines.iter().map(|line| line.parse().unwrap()).collect();
        let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(longest >= Some(300_000_000), "{times:?}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let environment = Environment::from_vars([]);
        let launch = Launch {
            program: Path::new("/nowhere/rclone"),
            environment: &environment,
        };
        let (cancel, check_roots) = (Cancel::default(), fine());
        let bounds = Bounds {
            fence: &open(),
            cancel: &cancel,
            check_roots: &check_roots,
            stall: LONG,
        };
        let ended = launch.run(&[], &bounds, &mut |_| Shows::Nothing);
        assert!(matches!(ended, Err(Stopped::Again(why)) if why.contains("/nowhere/rclone")));
    }
}
