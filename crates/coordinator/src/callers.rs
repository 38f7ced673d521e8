//! Who calls on the port, looked at by the first bytes they send: what speaks no HTTP is named in the log, once a minute
//! for each address, and hung up on before it can make HTTP's own errors.
//!
//! The tool before this one had its workers on the same port, in a protocol of its own: one that was forgotten somewhere
//! tries for ever, and must be found. Who connects and leaves without a word is a probe, and not worth a line.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tonic::transport::server::{Connected, TcpConnectInfo};

/// How often the same address is named.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// So many addresses are remembered; beyond, those that may be named again are forgotten.
const REMEMBERED: usize = 1000;

/// Who speaks HTTP begins at once; who has said nothing for so long waits to be spoken to.
const SILENT_FOR: Duration = Duration::from_secs(10);

/// How every HTTP/2 connection begins (RFC 9113, 3.4).
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How requests of HTTP/1 begin.
const HTTP1: [&[u8]; 9] = [
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"PUT ",
    b"DELETE ",
    b"OPTIONS ",
    b"PATCH ",
    b"CONNECT ",
    b"TRACE ",
];

/// How a TLS handshake begins (RFC 8446, 5.1).
const TLS: &[u8] = &[0x16, 0x03];

/// What a connection's first bytes say that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opening {
    Http,
    Tls,
    Foreign,
    /// There are too few of them.
    Undecided,
}

fn opening(bytes: &[u8]) -> Opening {
    let begins = |known: &[u8]| bytes.starts_with(known);
    let may_become = |known: &[u8]| known.starts_with(bytes);
    if begins(HTTP2) || HTTP1.into_iter().any(begins) {
        Opening::Http
    } else if begins(TLS) {
        Opening::Tls
    } else if may_become(HTTP2) || may_become(TLS) || HTTP1.into_iter().any(may_become) {
        Opening::Undecided
    } else {
        Opening::Foreign
    }
}

/// The addresses that were named, so that none fills the log.
#[derive(Debug, Default)]
pub(crate) struct Strangers {
    named: Mutex<HashMap<IpAddr, Instant>>,
}

impl Strangers {
    /// Names an address and what it did, unless that was done a moment ago.
    pub(crate) fn name(&self, address: Option<SocketAddr>, what: &str) {
        let Some(address) = address else {
            return;
        };
        if self.is_due(address.ip(), Instant::now()) {
            tracing::warn!(
                "{} is no data-migrate worker of this version: {what}",
                address.ip()
            );
        }
    }

    fn is_due(&self, address: IpAddr, now: Instant) -> bool {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |at: &Instant| now.saturating_duration_since(*at) < SAID_EVERY;
        if named.get(&address).is_some_and(is_recent) {
            return false;
        }
        if named.len() >= REMEMBERED {
            named.retain(|_, at| is_recent(at));
        }
        // Where a thousand were named within a minute, one more line helps nobody.
        if named.len() >= REMEMBERED {
            return false;
        }
        named.insert(address, now);
        true
    }
}

/// A connection whose first bytes are looked at as they are read.
#[derive(Debug)]
pub(crate) struct Caller {
    stream: TcpStream,
    strangers: Arc<Strangers>,
    /// None once it is known to speak HTTP.
    unknown: Option<Unknown>,
}

/// What was read so far of a connection that nothing is known of.
#[derive(Debug)]
struct Unknown {
    bytes: Vec<u8>,
    silence: Pin<Box<Sleep>>,
}

impl Caller {
    pub(crate) fn new(stream: TcpStream, strangers: Arc<Strangers>) -> Self {
        let unknown = Some(Unknown {
            bytes: Vec::with_capacity(HTTP2.len()),
            silence: Box::pin(tokio::time::sleep(SILENT_FOR)),
        });
        Self {
            stream,
            strangers,
            unknown,
        }
    }

    /// Ends the connection with an error, after its address was named.
    fn refuse(&self, what: &str) -> io::Error {
        self.strangers.name(self.stream.peer_addr().ok(), what);
        io::Error::new(io::ErrorKind::InvalidData, "the connection speaks no HTTP")
    }
}

impl AsyncRead for Caller {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let Some(unknown) = &mut self.unknown else {
            return read;
        };
        if read.is_pending() {
            ready!(unknown.silence.as_mut().poll(context));
            return Poll::Ready(Err(
                self.refuse("it connected and said nothing: an old Go worker? replace it")
            ));
        }
        let missing = HTTP2.len() - unknown.bytes.len();
        let new = &buffer.filled()[before..];
        unknown.bytes.extend(new.iter().take(missing));
        match opening(&unknown.bytes) {
            Opening::Undecided => {}
            Opening::Http => self.unknown = None,
            Opening::Tls => {
                return Poll::Ready(Err(self.refuse("it speaks TLS, which this server does not")));
            }
            Opening::Foreign => {
                return Poll::Ready(Err(
                    self.refuse("it speaks no HTTP: an old Go worker? replace it")
                ));
            }
        }
        read
    }
}

impl AsyncWrite for Caller {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl Connected for Caller {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::{Duration, Instant};

    use super::{HTTP2, Opening, REMEMBERED, SAID_EVERY, Strangers, opening};

    #[test]
    fn a_connection_is_known_by_its_first_bytes() {
        for (bytes, expected) in [
            (HTTP2, Opening::Http),
            (b"GET /healthz HTTP/1.1\r\n", Opening::Http),
            (b"POST / HTTP/1.1\r\n", Opening::Http),
            (b"", Opening::Undecided),
            (b"P", Opening::Undecided),
            (b"PRI * HTTP/2.0\r\n", Opening::Undecided),
            (b"\x16", Opening::Undecided),
            (b"\x16\x03\x01\x02\x00", Opening::Tls),
            (b"PRI * HTTP/3", Opening::Foreign),
            (b"{\"type\":\"hello\"}", Opening::Foreign),
            (b"\x1f\xff\x81\x03\x01\x01", Opening::Foreign),
            (b"GETTING", Opening::Foreign),
        ] {
            assert_eq!(opening(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn an_address_is_named_once_a_minute() {
        let strangers = Strangers::default();
        let now = Instant::now();
        let [one, other] = [1, 2].map(|n| IpAddr::V4(Ipv4Addr::new(10, 0, 0, n)));
        assert!(strangers.is_due(one, now));
        assert!(!strangers.is_due(one, now + SAID_EVERY - Duration::from_millis(1)));
        assert!(strangers.is_due(other, now));
        assert!(strangers.is_due(one, now + SAID_EVERY));
    }

    #[test]
    fn a_crowd_of_addresses_fills_neither_log_nor_memory() {
        let strangers = Strangers::default();
        let now = Instant::now();
        let address = |n: usize| IpAddr::V4(Ipv4Addr::from_bits(n as u32));
        let named = (0..2 * REMEMBERED).filter(|n| strangers.is_due(address(*n), now));
        assert_eq!(named.count(), REMEMBERED);
        assert!(strangers.is_due(address(5 * REMEMBERED), now + SAID_EVERY));
    }
}
