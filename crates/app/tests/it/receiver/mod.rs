//! A receiver of notices: a small HTTP server that keeps what it is sent and answers as it is told. It takes one
//! request a connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::free_port;

#[derive(Debug, Clone)]
pub enum Answer {
    Status(u16),
    /// HTTP 200 with this code in its body.
    Feishu(i64),
    /// A redirect to this URL.
    Redirect(String),
    /// None, with the connection held open.
    Hang,
}

#[derive(Default)]
struct State {
    next: Mutex<Vec<Answer>>,
    always: Mutex<Option<Answer>>,
    taken: Mutex<Vec<(String, Value)>>,
    accepted: AtomicUsize,
    closed: AtomicBool,
}

pub struct Receiver {
    address: SocketAddr,
    state: Arc<State>,
}

impl Receiver {
    /// Gives these answers, one after another, then Feishu's for success.
    pub fn new(answers: &[Answer]) -> Self {
        // Nobody else gets it when it is closed.
        let listener = TcpListener::bind(("127.0.0.1", free_port())).expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let state = Arc::new(State::default());
        *state.next.lock().unwrap() = answers.iter().rev().cloned().collect();
        let ours = state.clone();
        thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming() {
                if ours.closed.load(Ordering::SeqCst) {
                    return;
                }
                ours.accepted.fetch_add(1, Ordering::SeqCst);
                held.extend(stream.ok().and_then(|stream| take(stream, &ours)));
            }
        });
        Self { address, state }
    }

    /// Gives this answer to everything.
    pub fn always(&self, answer: Answer) {
        *self.state.always.lock().unwrap() = Some(answer);
    }

    /// Accepts nothing more: whoever comes is refused.
    pub fn close(&self) {
        self.state.closed.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(self.address).is_ok() {
            assert!(Instant::now() < deadline, "it goes on listening");
            thread::yield_now();
        }
    }

    pub fn url(&self, token: &str) -> String {
        format!("http://{}/hook/{token}?key={token}", self.address)
    }

    /// The bodies of all requests, in order.
    pub fn taken(&self) -> Vec<Value> {
        let taken = self.state.taken.lock().unwrap();
        taken.iter().map(|(_, body)| body.clone()).collect()
    }

    pub fn paths(&self) -> Vec<String> {
        let taken = self.state.taken.lock().unwrap();
        taken.iter().map(|(path, _)| path.clone()).collect()
    }

    pub fn accepted(&self) -> usize {
        self.state.accepted.load(Ordering::SeqCst)
    }

    /// # Panics
    /// Where so many requests do not come in time.
    pub fn wait_for(&self, requests: usize) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while self.taken().len() < requests {
            assert!(
                Instant::now() < deadline,
                "only these came: {:#?}",
                self.taken()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Reads a request and answers it; the connection back where it is to be held.
fn take(stream: TcpStream, state: &State) -> Option<TcpStream> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    assert!(first.starts_with("POST "), "{first}");
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().expect("a length");
        }
        if name.eq_ignore_ascii_case("content-type") {
            assert!(value.starts_with("application/json"), "{value}");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = serde_json::from_slice(&body).expect("the body is JSON");
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    state.taken.lock().unwrap().push((path, body));
    let always = state.always.lock().unwrap().clone();
    let answer = always
        .or_else(|| state.next.lock().unwrap().pop())
        .unwrap_or(Answer::Feishu(0));
    let (status, header, body) = match answer {
        Answer::Hang => return Some(stream),
        Answer::Status(status) => (status, String::new(), String::new()),
        Answer::Feishu(code) => (
            200,
            String::new(),
            format!("{{\"code\":{code},\"msg\":\"x\"}}"),
        ),
        Answer::Redirect(to) => (307, format!("Location: {to}\r\n"), String::new()),
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status} X\r\n{header}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    (&stream).write_all(answer.as_bytes()).ok()?;
    None
}
