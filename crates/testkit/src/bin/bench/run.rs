//! One program, from its start to its end: how long it took, and the most memory it had.

use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use testkit::Program;

use crate::Failure;

/// Memory that is taken in the last moment is missed.
const SAMPLE: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended {
    pub(crate) time: Duration,
    /// Of the process itself, without those that it starts.
    pub(crate) peak_bytes: Option<u64>,
}

/// Runs it; another exit code than 0, or no end within `limit`, is an error with what it wrote last.
pub(crate) fn to_end(command: &mut Command, limit: Duration) -> Result<Ended, Failure> {
    let begun = Instant::now();
    let program = Program::start(command)
        .map_err(|error| format!("cannot start {:?}: {error}", command.get_program()))?;
    let (sender, ends) = mpsc::channel();
    let mut peak_bytes = None;
    let time = thread::scope(|scope| {
        let id = program.id();
        scope.spawn(move || {
            wait(id);
            // Nobody listens any more only after the limit.
            let _ = sender.send(begun.elapsed());
        });
        loop {
            match ends.recv_timeout(SAMPLE) {
                Ok(time) => return Some(time),
                Err(_) if begun.elapsed() > limit => {
                    program.kill_group();
                    return None;
                }
                Err(_) => {
                    let memory = program.memory().map(|memory| memory.peak_bytes);
                    peak_bytes = memory.or(peak_bytes);
                }
            }
        }
    });
    let Some(time) = time else {
        return Err(format!("no end within {} s", limit.as_secs()).into());
    };
    match program.exit_code(limit)? {
        0 => Ok(Ended { time, peak_bytes }),
        code => Err(format!("exit code {code}: {}", last_line(&program.stderr())).into()),
    }
}

/// Blocks to its end, and leaves it to its owner to be reaped.
fn wait(id: u32) {
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        // It is a child that was not reaped.
        while matches!(waitid(WaitId::Pid(pid), options), Err(Errno::INTR)) {}
    }
}

fn last_line(text: &str) -> &str {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.next_back().unwrap_or("it said nothing")
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::to_end;

    #[test]
    fn a_failure_says_why_and_a_limit_is_kept() {
        let limit = Duration::from_secs(60);
        assert!(to_end(&mut Command::new("true"), limit).is_ok());
        let mut failing = Command::new("ls");
        let error = to_end(failing.arg("/no/such/place"), limit).unwrap_err();
        assert!(error.to_string().contains("/no/such/place"), "{error}");
        let mut endless = Command::new("sleep");
        let error = to_end(endless.arg("3600"), Duration::from_millis(50)).unwrap_err();
        assert!(error.to_string().contains("no end"), "{error}");
    }
}
