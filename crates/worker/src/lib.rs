//! The worker: asks the server for items, holds their leases, runs them on slots.
//!
//! `connection` repeats each call until it is answered; `session` is one registration with its
//! heartbeats; `running` an item that it
//! holds; `room` how much more the threads could do; `behind` what hangs in a mount; `lease` is the clock by which an attempt knows whether it may still write; `slot` runs
//! one item, `verdict` is what that ended with, `answer` tells the server; `rclone` runs those that rclone has a part in.

mod answer;
mod behind;
mod connection;
pub mod lease;
mod links;
mod rclone;
mod room;
mod running;
mod session;
mod share;
mod slot;
mod upload;
mod verdict;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use behind::Behind;
pub use connection::{Address, InvalidAddress};
use connection::{CallError, Connection};
use session::Over;
use transfer::rclone::{NoRclone, PrivateDir, Rclone};

/// What the command line says.
#[derive(Debug, Clone)]
pub struct Options {
    /// Servers, of which one is active.
    pub addresses: Vec<Address>,
    /// Shown in reports.
    pub name: String,
    /// Items to hold at once; the server's own limit may be lower.
    pub concurrency: u32,
    /// Threads, where the server's config is not to decide.
    pub transfers: Option<u32>,
    /// Of this machine.
    pub rclone: Result<Arc<Rclone>, NoRclone>,
    /// Take only items that look at sources: this worker stands beside the server.
    pub only_walks: bool,
    /// How long to wait for a server that can't be reached; none: for ever.
    pub wait: Option<Duration>,
}

/// How a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    RunOver,
    Stopped,
}

#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error("no server was reached for {secs} s (--wait-secs)")]
    NoServer { secs: u64 },
    /// The two programs don't fit together.
    #[error("the server refuses this worker: {0}")]
    Refused(String),
}

/// What must not take longer once the worker was told to stop: hand back, leave, exit.
const STOP_WITHIN: Duration = Duration::from_secs(8);

/// Works until the run is over or until `stop`.
pub async fn run(options: Options, stop: impl Future<Output = ()>) -> Result<Ended, WorkerError> {
    PrivateDir::remove_forsaken();
    let connection = Arc::new(Connection::new(options.addresses.clone(), options.wait));
    let behind = Arc::new(Behind::default());
    tokio::pin!(stop);
    loop {
        let registered = tokio::select! {
            registered = session::register(&connection, &behind, &options) => registered,
            () = &mut stop => return Ok(Ended::Stopped),
        };
        let session = Arc::new(registered.map_err(fatal)?);
        let over = tokio::select! {
            over = session.work() => over,
            () = &mut stop => Over::Stopped,
        };
        session.stop_attempts(&over);
        match over {
            Over::Run => {
                let _ = tokio::time::timeout(STOP_WITHIN, session.leave_soon()).await;
                tracing::info!("the run is over");
                return Ok(Ended::RunOver);
            }
            Over::Stopped => {
                let left = tokio::time::timeout(STOP_WITHIN, session.leave_soon());
                if left.await.is_err() {
                    tracing::warn!(
                        "the server did not answer: what was held runs elsewhere once its lease is over"
                    );
                }
                return Ok(Ended::Stopped);
            }
            Over::Lost => {
                tracing::warn!(
                    "the session was lost: what was held runs elsewhere; registering again"
                );
                // A new session must not begin beside attempts of this one, but for those that hang.
                tokio::select! {
                    () = session.leave() => {}
                    never = session.watch() => match never {},
                    () = &mut stop => {
                        let _ = tokio::time::timeout(STOP_WITHIN, session.leave_soon()).await;
                        return Ok(Ended::Stopped);
                    }
                }
            }
            Over::Failed(error) => {
                let _ = tokio::time::timeout(STOP_WITHIN, session.leave_soon()).await;
                return Err(fatal(error));
            }
        }
    }
}

fn fatal(error: CallError) -> WorkerError {
    match error {
        CallError::GaveUp { secs } => WorkerError::NoServer { secs },
        CallError::Refused(status) => WorkerError::Refused(status.message().to_owned()),
        CallError::UnknownSession => WorkerError::Refused("it knows no session of it".to_owned()),
    }
}

/// 64 random bits, for ids.
fn random() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    u64::from_ne_bytes(bytes)
}
