//! Exit codes, which scripts and service managers go by.

use std::process::ExitCode;

use crate::console;

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// 0: all that was asked for was done.
    Success,
    /// 1: something failed or is incomplete.
    Failed,
    /// 128 + the signal's number: told to stop; can be resumed.
    Signal(i32),
}

/// A mistake in what the user wrote: exit code 2. Any other error: 3, it could not go on.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

pub(crate) fn of(end: anyhow::Result<End>) -> ExitCode {
    match end {
        Ok(End::Success) => ExitCode::SUCCESS,
        Ok(End::Failed) => ExitCode::from(1),
        Ok(End::Signal(signal)) => ExitCode::from(128u8.saturating_add(signal as u8)),
        Err(error) => {
            console::line(&format!("error: {error:#}"));
            match error.downcast_ref::<Usage>() {
                Some(_) => ExitCode::from(2),
                None => ExitCode::from(3),
            }
        }
    }
}
