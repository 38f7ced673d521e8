//! Machines on one: network namespaces that reach each other through a router, whose links can be cut.
//!
//! Each host is a namespace at the end of a veth pair, the router another that forwards between them, so that nothing of
//! the machine's own network is touched. What is cut is dropped without a word, as by a switch that fails. File systems
//! are those of the machine: only the network is apart. A namespace lives as long as a process that sleeps in it: with
//! the [`Network`] all are gone.

mod relay;

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::Program;
use crate::tool::{self, ToolError};

pub use relay::Relay;

/// Longer than any test, so that what a killed test leaves behind is not there for ever.
const LIFE_SECS: &str = "7200";
const PATIENCE: Duration = Duration::from_secs(60);

/// Which packets of a host are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cut {
    /// Its link is down.
    Link,
    /// Nothing that it sends arrives.
    FromHost,
    /// Nothing arrives that is sent to it.
    ToHost,
}

/// Hosts are numbered from 0.
#[derive(Debug)]
pub struct Network {
    router: Namespace,
    hosts: Vec<Namespace>,
}

impl Network {
    /// # Panics
    /// Where namespaces cannot be made, with what it needs.
    pub fn new(hosts: u8) -> Self {
        Self::try_new(hosts).unwrap_or_else(|error| {
            panic!(
                "network namespaces cannot be made here: {error}; it takes root, the package iproute2 and a kernel with \
                 CONFIG_NET_NS, CONFIG_VETH and CONFIG_IP_MULTIPLE_TABLES (in a container: --privileged)"
            )
        })
    }

    /// As [`Network::new`], with its failure as a value.
    pub fn try_new(hosts: u8) -> Result<Self, ToolError> {
        let router = Namespace::new()?;
        router.run(&["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])?;
        let hosts = (0..hosts)
            .map(|number| connect(&router, number))
            .collect::<Result<_, _>>()?;
        Ok(Self { router, hosts })
    }

    pub fn address(&self, host: usize) -> Ipv4Addr {
        address(host as u8, 2)
    }

    /// `command` as it is started on the host, as one process.
    pub fn on(&self, host: usize, command: &Command) -> Command {
        self.hosts[host].inside(command)
    }

    /// Drops packets from now on.
    ///
    /// # Panics
    /// Where the router cannot be told.
    pub fn cut(&self, host: usize, cut: Cut) {
        self.switch(host, cut, ["down", "add"]);
    }

    /// Ends what [`Network::cut`] began.
    ///
    /// # Panics
    /// Where the router cannot be told.
    pub fn mend(&self, host: usize, cut: Cut) {
        self.switch(host, cut, ["up", "del"]);
    }

    fn switch(&self, host: usize, cut: Cut, [link, rule]: [&str; 2]) {
        let device = device(host as u8);
        let to = format!("{}/32", self.address(host));
        let done = match cut {
            Cut::Link => self.router.run(&["ip", "link", "set", &device, link]),
            Cut::FromHost => self
                .router
                .run(&["ip", "rule", rule, "iif", &device, "blackhole"]),
            Cut::ToHost => self.router.run(&["ip", "route", rule, "blackhole", &to]),
        };
        done.unwrap_or_else(|error| panic!("the router cannot be told of {cut:?}: {error}"));
    }

    /// Runs `work` on a thread that is on the host: sockets that it makes are the host's.
    pub fn spawn_on(&self, host: usize, work: impl FnOnce() + Send + 'static) {
        let path = self.hosts[host].path();
        thread::spawn(move || {
            let namespace = File::open(&path)
                .unwrap_or_else(|error| panic!("cannot open {}: {error}", path.display()));
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                .unwrap_or_else(|error| panic!("cannot enter {}: {error}", path.display()));
            work();
        });
    }
}

fn connect(router: &Namespace, number: u8) -> Result<Namespace, ToolError> {
    let host = Namespace::new()?;
    let (device, inside) = (device(number), host.keeper.id().to_string());
    let (near, far) = (address(number, 1).to_string(), address(number, 2));
    let (near_net, far_net) = (format!("{near}/24"), format!("{far}/24"));
    router.run(&[
        "ip", "link", "add", &device, "type", "veth", "peer", "name", "eth0", "netns", &inside,
    ])?;
    router.run(&["ip", "addr", "add", &near_net, "dev", &device])?;
    router.run(&["ip", "link", "set", &device, "up"])?;
    host.run(&["ip", "addr", "add", &far_net, "dev", "eth0"])?;
    host.run(&["ip", "link", "set", "lo", "up"])?;
    host.run(&["ip", "link", "set", "eth0", "up"])?;
    host.run(&["ip", "route", "add", "default", "via", &near])?;
    Ok(host)
}

fn device(host: u8) -> String {
    format!("host{host}")
}

/// Each host has a network of its own with the router, which is `.1` there.
fn address(host: u8, end: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, host, end)
}

#[derive(Debug)]
struct Namespace {
    keeper: Program,
}

impl Namespace {
    fn new() -> Result<Self, ToolError> {
        let mut command = Command::new("unshare");
        command.args(["--net", "--", "sleep", LIFE_SECS]);
        let failed = |why: String| ToolError::Failed {
            command: format!("{command:?}"),
            status: "no namespace".to_owned(),
            stderr: why,
        };
        let keeper = Program::start(Command::new("unshare").args(command.get_args()))
            .map_err(|error| failed(error.to_string()))?;
        let namespace = Self { keeper };
        let deadline = Instant::now() + PATIENCE;
        // Its process is in ours until it has called unshare, and sleeps only then.
        while namespace.program().as_deref() != Some("sleep") {
            if !namespace.keeper.is_running() || Instant::now() > deadline {
                return Err(failed(namespace.keeper.stderr()));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(namespace)
    }

    fn program(&self) -> Option<String> {
        let name = std::fs::read_to_string(format!("/proc/{}/comm", self.keeper.id())).ok()?;
        Some(name.trim_end().to_owned())
    }

    fn path(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.keeper.id()).into()
    }

    fn inside(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside
            .arg(format!("--net={}", self.path().display()))
            .arg("--");
        tool::started_by(inside, command)
    }

    fn run(&self, words: &[&str]) -> Result<(), ToolError> {
        let mut command = Command::new(words[0]);
        // On a minimal PATH these are not found.
        command
            .args(&words[1..])
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        tool::run(&mut self.inside(&command)).map(|_| ())
    }
}

#[cfg(test)]
mod tests;
