//! S3 servers for tests, on the loopback address: `rclone serve s3`, which checks signatures and keeps objects as plain
//! files, moto, which knows ACLs and takes any key, and one that misbehaves as it is told.

mod fault;
mod moto;

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

pub use fault::{Fault, FaultyS3};
pub use moto::Moto;
use testkit::{Program, Scratch, free_port, tool};

pub const ACCESS: &str = "c4nary-acc3ss-8d1f";
pub const SECRET: &str = "c4nary-s3cret-77aa";
pub const BUCKET: &str = "test";

const LONG: Duration = Duration::from_secs(120);

/// Where `scripts/setup.sh` installs what Debian does not have.
pub fn tools() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("the directory for files of tests is below the target directory")
        .join("tools")
}

/// A port and a place for objects; up or down.
pub struct RcloneS3 {
    pub port: u16,
    scratch: Scratch,
    scheme: &'static str,
    program: Option<Program>,
}

impl RcloneS3 {
    /// Down: who connects is refused.
    pub fn down() -> Self {
        let scratch = Scratch::new("s3");
        scratch.directory(format!("objects/{BUCKET}"));
        Self {
            port: free_port(),
            scratch,
            scheme: "http",
            program: None,
        }
    }

    pub fn up() -> Self {
        let mut s3 = Self::down();
        s3.start();
        s3
    }

    /// With a certificate that nobody but itself has signed.
    pub fn up_with_own_certificate() -> Self {
        let mut s3 = Self::down();
        s3.scheme = "https";
        let mut command = Command::new("openssl");
        command.args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        ]);
        command.args([
            "-subj",
            "/CN=127.0.0.1",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        ]);
        command.arg("-keyout").arg(s3.scratch.join("key.pem"));
        command.arg("-out").arg(s3.scratch.join("cert.pem"));
        tool::run(&mut command).unwrap_or_else(|error| panic!("{error}"));
        s3.start();
        s3
    }

    /// Returns when it takes connections.
    pub fn start(&mut self) {
        let rclone = std::env::var_os("RCLONE").map(PathBuf::from);
        let rclone = rclone.unwrap_or_else(|| tools().join("rclone/bin/rclone"));
        let mut command = Command::new(&rclone);
        command
            .args(["serve", "s3"])
            .arg(self.scratch.join("objects"));
        command.args(["--config", "/dev/null", "--addr", &self.address()]);
        command.args(["--auth-key", &format!("{ACCESS},{SECRET}")]);
        if self.scheme == "https" {
            command.arg("--cert").arg(self.scratch.join("cert.pem"));
            command.arg("--key").arg(self.scratch.join("key.pem"));
        }
        let program = Program::start(&mut command).unwrap_or_else(|error| {
            panic!(
                "cannot start {} (scripts/setup.sh installs it): {error}",
                rclone.display()
            )
        });
        wait_for_port(&program, self.port);
        self.program = Some(program);
    }

    /// Down again; the objects stay.
    pub fn stop(&mut self) {
        self.program = None;
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn endpoint(&self) -> String {
        format!("{}://{}", self.scheme, self.address())
    }

    /// What is in the bucket.
    pub fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        let root = self.scratch.join(format!("objects/{BUCKET}"));
        let mut found = BTreeMap::new();
        let mut waiting = vec![root.clone()];
        while let Some(directory) = waiting.pop() {
            for entry in fs::read_dir(directory).expect("objects can be listed") {
                let path = entry.expect("objects can be listed").path();
                match path.is_dir() {
                    true => waiting.push(path),
                    false => {
                        let key = path.strip_prefix(&root).expect("it is below");
                        let key = key.to_str().expect("keys are text").to_owned();
                        found.insert(key, fs::read(&path).expect("objects can be read"));
                    }
                }
            }
        }
        found
    }

    pub fn keys(&self) -> Vec<String> {
        self.objects().into_keys().collect()
    }
}

/// Waits until the program takes connections.
pub fn wait_for_port(program: &Program, port: u16) {
    let takes = || TcpStream::connect(("127.0.0.1", port)).is_ok();
    program
        .wait_until("connections", LONG, takes)
        .unwrap_or_else(|error| panic!("{error}"));
}

/// The section of a config, with further lines of `s3_config`.
pub fn section(endpoint: &str, format: &str, more: &[&str]) -> String {
    let mut text = format!(
        "report_config:\n  format: {format}\n  s3_config:\n    endpoint: {endpoint}\n    bucket: {BUCKET}\n"
    );
    more.iter()
        .for_each(|line| text += &format!("    {line}\n"));
    text
}

/// Lines with the right keys.
pub fn keys() -> [String; 2] {
    [
        format!("access_key: {ACCESS}"),
        format!("secret_key: {SECRET}"),
    ]
}

/// Status and body of a plain GET.
pub fn get(url: &str) -> (String, Vec<u8>) {
    let scratch = Scratch::new("get");
    let body = scratch.join("body");
    let mut command = Command::new("curl");
    command.args([
        "--silent",
        "--show-error",
        "--noproxy",
        "*",
        "--write-out",
        "%{http_code}",
    ]);
    command.arg("--output").arg(&body).arg(url);
    let done = tool::run(&mut command).unwrap_or_else(|error| panic!("{error}"));
    let status = String::from_utf8(done.stdout).expect("a status is text");
    (status, fs::read(body).unwrap_or_default())
}

/// What gzip makes of it.
pub fn unpacked(bytes: &[u8]) -> String {
    let scratch = Scratch::new("gzip");
    let file = scratch.file("log.gz", bytes);
    let mut command = Command::new("gzip");
    command.arg("-dc").arg(file);
    let done = tool::run(&mut command).unwrap_or_else(|error| panic!("{error}"));
    String::from_utf8(done.stdout).expect("logs are text")
}
