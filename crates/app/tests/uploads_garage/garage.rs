//! garage, a server that checks signatures as strictly as AWS does. The variable `GARAGE` names the program.

use std::process::Command;

use testkit::{Program, Scratch, free_port};

use crate::s3::{BUCKET, wait_for_port};

/// Keys as garage has them.
pub const ACCESS: &str = "GK0123456789abcdef01234567";
pub const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
pub const REGION: &str = "garage";

pub struct Garage {
    port: u16,
    _scratch: Scratch,
    _program: Program,
}

impl Garage {
    /// With a bucket into which the keys may write.
    pub fn up() -> Self {
        let program = std::env::var_os("GARAGE").expect("GARAGE names it, as 'make test-s3' does");
        let (port, rpc, scratch) = (free_port(), free_port(), Scratch::new("garage"));
        let config = format!(
            "metadata_dir = \"{meta}\"\ndata_dir = \"{data}\"\ndb_engine = \"sqlite\"\nreplication_factor = 1\n\
             rpc_bind_addr = \"127.0.0.1:{rpc}\"\nrpc_public_addr = \"127.0.0.1:{rpc}\"\nrpc_secret = \"{SECRET}\"\n\
             [s3_api]\ns3_region = \"{REGION}\"\napi_bind_addr = \"127.0.0.1:{port}\"\n",
            meta = scratch.directory("meta").display(),
            data = scratch.directory("data").display(),
        );
        let config = scratch.file("garage.toml", config);
        let mut command = Command::new(program);
        command.arg("-c").arg(config);
        // Before it listens it has made these.
        command.args(["server", "--single-node", "--default-bucket"]);
        command.env("GARAGE_DEFAULT_BUCKET", BUCKET);
        command.env("GARAGE_DEFAULT_ACCESS_KEY", ACCESS);
        command.env("GARAGE_DEFAULT_SECRET_KEY", SECRET);
        let server = Program::start(&mut command).expect("garage can be started");
        wait_for_port(&server, port);
        Self {
            port,
            _scratch: scratch,
            _program: server,
        }
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}
