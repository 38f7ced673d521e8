//! The commands, a file each.

pub(crate) mod check;
pub(crate) mod copy;
mod filter_flags;
pub(crate) mod fstype;
pub(crate) mod run;
pub(crate) mod server;
pub(crate) mod status;
pub(crate) mod sweep;
pub(crate) mod upload;
pub(crate) mod worker;

use model::fs_type::AllowedTypes;
use storage::roots::Guard;

/// With fewer not even the runtime starts.
const LEAST_DESCRIPTORS: u64 = 64;

/// As many descriptors as this process may have: directories are held open while they are worked on.
fn raise_descriptor_limit() -> anyhow::Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if let Some(most) = limit.maximum.filter(|most| *most < LEAST_DESCRIPTORS) {
        anyhow::bail!(
            "at most {most} files may be open here, and {LEAST_DESCRIPTORS} at least are needed: raise the limit \
             (`ulimit -n`, `LimitNOFILE=` of a unit)"
        );
    }
    limit.current = limit.maximum;
    if let Err(e) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!("cannot raise the limit of open files: {e}");
    }
    Ok(())
}

/// Whoever names two directories on the command line has them before his eyes.
fn any_file_systems() -> Guard {
    let any = || AllowedTypes::parse(&["any".to_owned()]).0;
    Guard {
        source: any(),
        target: any(),
    }
}

/// To be called last: an attempt that hangs in a file call must not hold up the exit, and a call that
/// one is making would panic if its runtime were shut down beneath it.
fn leave_running(runtime: tokio::runtime::Runtime) {
    std::mem::forget(runtime);
}

/// How this process is named among workers, unless the user says: host and process id.
fn default_name() -> String {
    format!(
        "{}-{}",
        coordinator::data_dir::host_name(),
        std::process::id()
    )
}
