//! Needs root.

use std::io::{Read as _, Write as _};
use std::iter;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use super::{Cut, Network, Relay};
use crate::tool;

const PORT: u16 = 4000;
/// One frame of HTTP/2 with headers, such as begins an answer.
const ANSWER: &[u8] = &[0, 0, 1, 1, 0, 0, 0, 0, 1, 42];
/// For what does not come.
const SHORT: Duration = Duration::from_millis(300);
/// For what comes, on a machine that has much else to do.
const LONG: Duration = Duration::from_secs(30);

#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Answer,
    Nothing,
    End,
}

/// A server on host 0 that answers each byte; what it got comes out here.
fn serve(network: &Network) -> std::sync::mpsc::Receiver<u8> {
    let (says, got) = channel();
    let (ready, is_ready) = channel();
    network.spawn_on(0, move || {
        let listener = TcpListener::bind(("0.0.0.0", PORT)).unwrap();
        ready.send(()).unwrap();
        for stream in listener.incoming() {
            let (mut stream, says) = (stream.unwrap(), says.clone());
            std::thread::spawn(move || {
                let mut byte = [0];
                while let Ok(1) = stream.read(&mut byte) {
                    let _ = (says.send(byte[0]), stream.write_all(ANSWER));
                }
            });
        }
    });
    is_ready.recv().unwrap();
    got
}

/// Connects from host 1 and hands back the stream, which stays one of that host.
fn connect(network: &Network, to: SocketAddr) -> TcpStream {
    let (send, stream) = channel();
    network.spawn_on(1, move || {
        send.send(TcpStream::connect(to).unwrap()).unwrap()
    });
    stream.recv().unwrap()
}

fn ask(stream: &mut TcpStream, byte: u8) -> Heard {
    ask_for(stream, byte, LONG)
}

fn ask_for(stream: &mut TcpStream, byte: u8, patience: Duration) -> Heard {
    stream.set_read_timeout(Some(patience)).unwrap();
    stream.write_all(&[byte]).unwrap();
    let mut answer = [0; ANSWER.len()];
    match stream.read(&mut answer) {
        Ok(0) => Heard::End,
        Ok(_) => Heard::Answer,
        Err(_) => Heard::Nothing,
    }
}

#[test]
fn each_cut_loses_what_it_says_and_no_more() {
    let network = Network::new(2);
    let got = serve(&network);
    let server = SocketAddr::from((network.address(0), PORT));
    let cuts = [
        (Cut::Link, false),
        (Cut::FromHost, false),
        (Cut::ToHost, true),
    ];
    for (round, (cut, arrives)) in (0..).zip(cuts) {
        // What was held up by a cut may come at any time after it.
        let [before, meanwhile, after] = [1, 2, 3].map(|n| 10 * round + n);
        let comes = |byte: u8, patience: Duration| {
            let give_up = Instant::now() + patience;
            let left = || give_up.saturating_duration_since(Instant::now());
            iter::from_fn(|| got.recv_timeout(left()).ok()).any(|came| came == byte)
        };
        let mut stream = connect(&network, server);
        assert_eq!(ask(&mut stream, before), Heard::Answer, "{cut:?}");
        assert!(comes(before, LONG), "{cut:?}");
        network.cut(1, cut);
        let heard = ask_for(&mut stream, meanwhile, SHORT);
        assert_eq!(heard, Heard::Nothing, "{cut:?}");
        let patience = if arrives { LONG } else { SHORT };
        assert_eq!(comes(meanwhile, patience), arrives, "{cut:?}");
        network.mend(1, cut);
        let heard = ask(&mut connect(&network, server), after);
        assert_eq!(heard, Heard::Answer, "{cut:?}");
        assert!(comes(after, LONG), "{cut:?}");
    }
}

#[test]
fn a_lost_answer_was_asked_for() {
    let network = Network::new(2);
    let got = serve(&network);
    let relay = Relay::start(&network, 0, (network.address(0), PORT).into());
    let mut stream = connect(&network, relay.address());
    assert_eq!(ask(&mut stream, 1), Heard::Answer);
    relay.lose(1);
    assert_eq!(ask(&mut stream, 2), Heard::End);
    assert_eq!((got.recv(), got.recv()), (Ok(1), Ok(2)));
    assert_eq!(relay.lost(), 1);
    assert_eq!(
        ask(&mut connect(&network, relay.address()), 3),
        Heard::Answer
    );
}

#[test]
fn programs_on_a_host_see_its_network_alone() {
    let network = Network::new(1);
    let done = tool::run(&mut network.on(0, Command::new("cat").arg("/proc/net/dev"))).unwrap();
    let text = String::from_utf8(done.stdout).unwrap();
    let devices = text.lines().filter(|line| line.contains(':')).count();
    assert!(text.contains("eth0:") && devices == 2, "{text}");
}
