//! Standard error, shared by log lines and one live line that is redrawn below them, and results on standard output. Whether
//! anybody can read what is written decides nothing but that: a disk that is full of logs ends no migration.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;

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
    *live = fitting(text, width(io::stderr(), 80).saturating_sub(1));
    // There is nobody to tell when standard error is gone.
    let _ = write!(io::stderr(), "{CLEAR}{live}");
    let _ = io::stderr().flush();
}

/// As many fields of a line as have room.
fn fitting(text: &str, width: usize) -> String {
    const BETWEEN: &str = ", ";
    let mut fits = text.chars().take(width).collect::<String>();
    if fits.len() < text.len()
        && !text[fits.len()..].starts_with(BETWEEN)
        && let Some(end) = fits.rfind(BETWEEN)
    {
        fits.truncate(end);
    }
    fits
}

/// Writes results to standard output; a reader that has gone away wants no more.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}

/// As [`print`], of what is also found elsewhere: that it can't be written is no failure.
pub(crate) fn tell(text: &str) {
    if let Err(error) = print(text) {
        line(&format!("{error:#}"));
    }
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

impl Log {
    fn write_lines(self, lines: &[u8]) -> io::Result<()> {
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
        Ok(())
    }
}

impl Write for Log {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        // There is nobody to tell.
        let _ = self.write_lines(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::fitting;

    #[test]
    fn a_line_without_room_loses_whole_fields() {
        let line = "12 entries, 78 %, 3 s left";
        assert_eq!(fitting(line, 80), line);
        assert_eq!(fitting(line, line.len()), line);
        assert_eq!(fitting(line, line.len() - 1), "12 entries, 78 %");
        assert_eq!(fitting(line, 16), "12 entries, 78 %");
        assert_eq!(fitting(line, 15), "12 entries");
        assert_eq!(fitting(line, 4), "12 e");
    }
}
