//! Standard error, shared by log lines and one live line that is redrawn below them.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

/// The live line as it is drawn now.
static LIVE: Mutex<String> = Mutex::new(String::new());

const CLEAR: &str = "\r\x1b[K";

/// Whether a live line can be redrawn.
pub(crate) fn is_live() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Columns of the terminal behind `stream`, or `otherwise`.
pub(crate) fn width(stream: impl std::os::fd::AsFd, otherwise: usize) -> usize {
    rustix::termios::tcgetwinsize(stream)
        .ok()
        .map(|size| usize::from(size.ws_col))
        .filter(|columns| *columns > 0)
        .unwrap_or(otherwise)
}

/// Redraws the live line; an empty one takes it away.
pub(crate) fn live(text: &str) {
    let mut live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
    if text.is_empty() && live.is_empty() {
        return;
    }
    // A line that wraps could not be taken back.
    let width = width(io::stderr(), 80).saturating_sub(1);
    *live = text.chars().take(width).collect();
    // There is nobody to tell when standard error is gone.
    let _ = write!(io::stderr(), "{CLEAR}{live}");
    let _ = io::stderr().flush();
}

/// Takes the live line away while `write` writes whole lines to where it is drawn.
pub(crate) fn above_live<T>(write: impl FnOnce() -> T) -> T {
    let live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
    if live.is_empty() {
        return write();
    }
    let _ = write!(io::stderr(), "{CLEAR}");
    let written = write();
    let _ = write!(io::stderr(), "{live}");
    let _ = io::stderr().flush();
    written
}

/// Writes a whole line above the live one.
pub(crate) fn line(text: &str) {
    let _ = Log.write_all(format!("{text}\n").as_bytes());
}

/// Where log lines go; each write is whole lines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Log;

impl Write for Log {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stderr = io::stderr().lock();
        if !live.is_empty() {
            stderr.write_all(CLEAR.as_bytes())?;
        }
        stderr.write_all(lines)?;
        if !live.is_empty() {
            stderr.write_all(live.as_bytes())?;
            stderr.flush()?;
        }
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
