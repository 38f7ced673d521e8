//! Calls that are repeated until they are answered.
//!
//! Every call of the contract may be repeated, so a lost answer, a server that restarts and
//! one that is away for an hour are all the same: try again, in growing waits, at the next address.

use std::future::Future;
use std::str::FromStr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Response, Status};
use wire::proto::coordinator_client::CoordinatorClient;

pub(crate) type Client = CoordinatorClient<Channel>;

const FIRST_WAIT: Duration = Duration::from_millis(100);
/// With its jitter 15 s at the most.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// That the server can't be reached is said this often.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// A server's `HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no address of a server, expected HOST:PORT, as in 10.0.0.1:2000")]
pub struct InvalidAddress(String);

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let invalid = || InvalidAddress(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(invalid)?;
        let port: u16 = port.parse().map_err(|_| invalid())?;
        let bad = host.is_empty()
            || port == 0
            || host.contains(|c: char| c.is_whitespace() || matches!(c, '/' | '@' | '?' | '#'));
        if bad || Endpoint::from_shared(format!("http://{text}")).is_err() {
            return Err(invalid());
        }
        Ok(Self(text.to_owned()))
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// An answer that repeating the call would not change.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("the server knows no such session")]
    UnknownSession,
    #[error("{0}")]
    Refused(Status),
    #[error("no server was reached for {secs} s")]
    GaveUp { secs: u64 },
}

#[derive(Debug)]
pub(crate) struct Connection {
    channels: Vec<(Address, Channel)>,
    wait: Option<Duration>,
    state: Mutex<State>,
    /// Woken when a silent server answers: what waits to repeat its call need not wait on.
    answered: Notify,
}

#[derive(Debug)]
struct State {
    /// The channel that answered last.
    active: usize,
    /// Since when nothing was answered.
    silent: Option<Instant>,
    /// When that was last said: a server whose disk is full answers some calls and refuses others in turn.
    said: Option<Instant>,
}

impl Connection {
    pub(crate) fn new(addresses: Vec<Address>, wait: Option<Duration>) -> Self {
        let channels = addresses
            .into_iter()
            .map(|address| {
                let channel = Endpoint::from_shared(format!("http://{address}"))
                    .expect("an Address makes a valid URI")
                    .connect_timeout(CONNECT_WITHIN)
                    .tcp_nodelay(true)
                    .http2_keep_alive_interval(Duration::from_secs(10))
                    .keep_alive_timeout(Duration::from_secs(10))
                    .keep_alive_while_idle(true)
                    .connect_lazy();
                (address, channel)
            })
            .collect();
        Self {
            channels,
            wait,
            state: Mutex::new(State {
                active: 0,
                silent: None,
                said: None,
            }),
            answered: Notify::new(),
        }
    }

    /// Repeats `call` until there is an answer. `within` bounds each try.
    pub(crate) async fn call<T, F>(
        &self,
        within: Duration,
        call: impl Fn(Client) -> F,
    ) -> Result<T, CallError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let mut wait = FIRST_WAIT;
        loop {
            match self.try_once(within, &call).await {
                Ok(answer) => return Ok(answer),
                Err(status) => {
                    if let Some(error) = definite(status) {
                        return Err(error);
                    }
                }
            }
            if let Some(error) = self.gave_up() {
                return Err(error);
            }
            // The heartbeat, which doesn't wait longer and longer, may be answered first.
            let _ = tokio::time::timeout(wait + jitter(wait), self.answered.notified()).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Tries once; the error may be indefinite.
    pub(crate) async fn try_once<T, F>(
        &self,
        within: Duration,
        call: impl Fn(Client) -> F,
    ) -> Result<T, Status>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let active = self.state().active;
        let (address, channel) = &self.channels[active];
        let client = Client::new(channel.clone())
            .max_decoding_message_size(wire::MAX_MESSAGE_BYTES)
            .max_encoding_message_size(wire::MAX_MESSAGE_BYTES);
        let answer = match tokio::time::timeout(within, call(client)).await {
            Ok(answer) => answer,
            Err(_) => Err(Status::deadline_exceeded("no answer in time")),
        };
        match answer {
            Err(status) if is_indefinite(&status) => {
                self.was_silent(active, address, &status);
                Err(status)
            }
            other => {
                self.was_answered(address);
                other.map(Response::into_inner)
            }
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn was_silent(&self, active: usize, address: &Address, status: &Status) {
        let now = Instant::now();
        let mut state = self.state();
        if state.active == active {
            state.active = (active + 1) % self.channels.len();
        }
        state.silent.get_or_insert(now);
        let is_old = |said| now.duration_since(said) >= SAID_EVERY;
        if state.said.is_none_or(is_old) {
            state.said = Some(now);
            tracing::warn!(
                "the server at {address} can't be reached, waiting for it: {}",
                cause(status)
            );
        }
    }

    fn was_answered(&self, address: &Address) {
        let (since, said) = {
            let mut state = self.state();
            let Some(since) = state.silent.take() else {
                return;
            };
            (since, state.said)
        };
        self.answered.notify_waiters();
        if said.is_some_and(|said| said >= since) {
            tracing::info!(
                "the server at {address} answers again after {} s",
                since.elapsed().as_secs()
            );
        }
    }

    fn gave_up(&self) -> Option<CallError> {
        let wait = self.wait?;
        let since = self.state().silent?;
        (since.elapsed() >= wait).then_some(CallError::GaveUp {
            secs: wait.as_secs(),
        })
    }
}

/// Whether the answer leaves open what happened, so that the call must be repeated.
fn is_indefinite(status: &Status) -> bool {
    !matches!(
        status.code(),
        Code::NotFound
            | Code::FailedPrecondition
            | Code::InvalidArgument
            | Code::Unimplemented
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::OutOfRange
    )
}

pub(crate) fn definite(status: Status) -> Option<CallError> {
    if is_indefinite(&status) {
        return None;
    }
    Some(match status.code() {
        Code::NotFound => CallError::UnknownSession,
        _ => CallError::Refused(status),
    })
}

/// The innermost cause, which says more than "transport error".
fn cause(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        text = error.to_string();
        source = error.source();
    }
    text
}

/// Up to half of the wait, so that a fleet doesn't call in step.
fn jitter(wait: Duration) -> Duration {
    wait.mul_f64((crate::random() % 1024) as f64 / 2048.0)
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        for good in ["10.0.0.1:2000", "server.example:1", "[::1]:2000"] {
            assert_eq!(good.parse::<Address>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "host",
            "host:",
            ":2000",
            "host:0",
            "host:70000",
            "a b:1",
            "http://h:1",
            "u@h:1",
        ] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}
