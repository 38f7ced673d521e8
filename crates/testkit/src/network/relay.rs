//! Stands between clients and a server and loses answers: what a client has sent arrives, what the server says to it does
//! not, and the connection ends. The client cannot know whether its call had an effect.
//!
//! An answer is told from the small talk of HTTP/2 (window updates, pings, settings) by its frames. What comes in one
//! piece is taken for whole frames; where it is not, it counts for no answer, and passes.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;

use super::Network;

const FRAME_HEAD_BYTES: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;

/// Serves until the process ends; its connections end with either side's.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// So many of the next answers are to be lost.
    to_lose: AtomicU64,
    lost: AtomicU64,
}

impl Relay {
    /// On a free port of the host, to `server`.
    ///
    /// # Panics
    /// Where the host has no free port.
    pub fn start(network: &Network, host: usize, server: SocketAddr) -> Self {
        let state = Arc::new(State::default());
        let serving = Arc::clone(&state);
        let (said, address) = sync_channel(1);
        network.spawn_on(host, move || {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a free port");
            let port = listener.local_addr().expect("it is bound").port();
            said.send(port).expect("the address is waited for");
            for client in listener.incoming().flatten() {
                // What cannot be reached ends the client's connection, as the server itself would.
                if let Ok(server) = TcpStream::connect(server) {
                    join(client, server, &serving);
                }
            }
        });
        let port = address.recv().expect("the relay listens");
        Self {
            address: (network.address(host), port).into(),
            state,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Loses so many answers from now on.
    pub fn lose(&self, answers: u64) {
        self.state.to_lose.store(answers, Ordering::SeqCst);
    }

    /// Answers that were lost so far.
    pub fn lost(&self) -> u64 {
        self.state.lost.load(Ordering::SeqCst)
    }
}

fn join(client: TcpStream, server: TcpStream, state: &Arc<State>) {
    let (Ok(to_server), Ok(to_client)) = (server.try_clone(), client.try_clone()) else {
        return;
    };
    let state = Arc::clone(state);
    thread::spawn(move || pass(client, to_server, |_| false));
    thread::spawn(move || {
        pass(server, to_client, |bytes| {
            has_answer(bytes) && state.takes()
        })
    });
}

impl State {
    /// Whether an answer is to be lost now.
    fn takes(&self) -> bool {
        let taken = self
            .to_lose
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        if taken.is_ok() {
            self.lost.fetch_add(1, Ordering::SeqCst);
        }
        taken.is_ok()
    }
}

/// Hands on what comes until either side ends or something `is_lost`; then both end.
fn pass(mut from: TcpStream, mut to: TcpStream, is_lost: impl Fn(&[u8]) -> bool) {
    let _ = (from.set_nodelay(true), to.set_nodelay(true));
    let mut bytes = vec![0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        if is_lost(&bytes[..read]) || to.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    // Either may be closed already.
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// Whether these frames hold an answer or a part of one.
fn has_answer(mut frames: &[u8]) -> bool {
    while let Some((head, rest)) = frames.split_at_checked(FRAME_HEAD_BYTES) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        if matches!(head[3], DATA | HEADERS) && length <= rest.len() {
            return true;
        }
        let Some((_, next)) = rest.split_at_checked(length) else {
            return false;
        };
        frames = next;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::has_answer;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0, 0, payload.len() as u8, kind, 0, 0, 0, 0, 1];
        frame.extend(payload);
        frame
    }

    #[test]
    fn only_headers_and_data_are_answers() {
        let (window, ping, headers) = (frame(8, &[0; 4]), frame(6, &[0; 8]), frame(1, b"abc"));
        assert!(!has_answer(&[window.clone(), ping.clone()].concat()));
        assert!(has_answer(&[window, ping, headers.clone()].concat()));
        assert!(has_answer(&frame(0, b"")));
        assert!(!has_answer(&headers[..10]));
        assert!(!has_answer(b""));
    }
}
