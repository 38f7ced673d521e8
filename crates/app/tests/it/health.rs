//! The one port answers probes over HTTP besides workers' calls, and who speaks no HTTP on it is named in the log,
//! once a minute for each address, while all others are served as before.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use testkit::Program;
use testkit::process::Signal;
use testkit::tree::Recipe;

use crate::fleet::{Fleet, LONG, Settings, assert_exit};

const NAMED: &str = "is no data-migrate worker of this version";

/// A server whose run goes on, since no worker comes.
fn waiting_server(label: &str, settings: &Settings) -> (Fleet, Program) {
    let mut fleet = Fleet::new(label, settings);
    fleet.add_tree(&Recipe::odd(2, 5), 7);
    let server = fleet.server();
    (fleet, server)
}

/// Status code and body of a request made by hand.
fn get(fleet: &Fleet, path: &str) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n");
    let answer = said_to(fleet, request.as_bytes());
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no answer of HTTP: {answer:?}"));
    let code = head
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .unwrap_or_else(|| panic!("no status: {head:?}"));
    (code.parse().unwrap(), body.to_owned())
}

/// What the server answers to some bytes before it closes the connection.
fn said_to(fleet: &Fleet, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, fleet.port)).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        // Closed with bytes unread.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("the server does not close the connection: {error}"),
    }
    String::from_utf8(answer).unwrap()
}

fn times_named(server: &Program) -> usize {
    server.stderr().matches(NAMED).count()
}

#[test]
fn probes_are_answered_on_the_port_of_workers() {
    let settings = Settings {
        more_server: vec!["keep: true".to_owned()],
        ..Settings::default()
    };
    let (fleet, server) = waiting_server("health", &settings);
    assert_eq!(get(&fleet, "/healthz"), (200, "ok\n".to_owned()));
    let (code, body) = get(&fleet, "/readyz");
    assert_eq!(code, 200);
    assert!(body.starts_with("serving run "), "{body}");
    assert_eq!(get(&fleet, "/nowhere").0, 404);
    assert!(fleet.status().is_some(), "gRPC is not answered");

    let worker = fleet.worker("worker");
    assert_exit(&worker, 0);
    let (code, body) = get(&fleet, "/readyz");
    assert_eq!(code, 200);
    assert!(body.ends_with(" is over\n"), "{body}");
    assert_eq!(times_named(&server), 0, "{}", server.stderr());
    server.signal(Signal::TERM);
    assert_exit(&server, 0);
}

#[test]
fn who_speaks_no_http_is_named_once_and_hung_up_on() {
    let (fleet, server) = waiting_server("strangers", &Settings::default());
    // As a load balancer looks whether the port is open.
    drop(TcpStream::connect((Ipv4Addr::LOCALHOST, fleet.port)).unwrap());
    assert_eq!(get(&fleet, "/healthz").0, 200);
    assert_eq!(times_named(&server), 0, "{}", server.stderr());

    for hello in [&b"\x07hello \xff\x00\x01 worker"[..], b"{\"client\": 1}\n"] {
        assert_eq!(said_to(&fleet, hello), "");
    }
    server.wait_for_output(NAMED, LONG).unwrap();
    assert!(
        server.stderr().contains("an old Go worker? replace it"),
        "{}",
        server.stderr()
    );
    assert!(fleet.status().is_some(), "gRPC is not answered any more");
    assert_eq!(get(&fleet, "/healthz").0, 200);
    assert_eq!(times_named(&server), 1, "{}", server.stderr());
    assert!(!server.stderr().contains("ERROR"), "{}", server.stderr());

    // A worker of this version is served as ever.
    assert_exit(&fleet.worker("worker"), 0);
    assert_exit(&server, 0);
}

#[test]
fn who_waits_to_be_spoken_to_is_named_too() {
    let (fleet, server) = waiting_server("silent", &Settings::default());
    let mut silent = TcpStream::connect((Ipv4Addr::LOCALHOST, fleet.port)).unwrap();
    silent
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    assert_eq!(silent.read(&mut [0]).unwrap(), 0, "it is spoken to");
    server.wait_for_output(NAMED, LONG).unwrap();
    assert_eq!(times_named(&server), 1, "{}", server.stderr());
}
