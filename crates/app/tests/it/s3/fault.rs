//! A server that is in trouble: it reads what it is sent, and answers every request in one way.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// No answer, with the connection held open.
    Hang,
    /// This status, and S3's code for it.
    Status(u16, &'static str),
}

pub struct FaultyS3 {
    address: SocketAddr,
    fired: Arc<AtomicUsize>,
}

impl FaultyS3 {
    pub fn new(fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let fired = Arc::new(AtomicUsize::new(0));
        let counted = fired.clone();
        thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming().flatten() {
                // Who goes away in the middle is no fault of this one.
                held.extend(answer(stream, fault, &counted));
            }
        });
        Self { address, fired }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many requests met the fault.
    pub fn fired(&self) -> usize {
        self.fired.load(Ordering::SeqCst)
    }
}

/// The connection back where it is to be held.
fn answer(stream: TcpStream, fault: Fault, fired: &AtomicUsize) -> Option<TcpStream> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            if line.trim_end().is_empty() {
                break;
            }
            assert!(line.starts_with("PUT /test/rclone/"), "{line}");
            continue;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().expect("a length");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    fired.fetch_add(1, Ordering::SeqCst);
    let Fault::Status(status, code) = fault else {
        return Some(stream);
    };
    let body = format!(
        "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>SHOWN TO NOBODY</Message></Error>"
    );
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/xml\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    (&stream).write_all(answer.as_bytes()).ok()?;
    None
}
