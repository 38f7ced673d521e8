//! `make bench-scale`: how many workers and items one server bears on this machine.
//!
//! The server is the real program as a process of its own, with SQLite on the disk of the directory for temporary files
//! (`TMPDIR`). Workers are simulated: they register, lease, send heartbeats and complete over gRPC as real ones do, and
//! move nothing. They take their share of the same processors. What a disk can do is printed beside: each
//! acknowledged change is on it.

mod clients;
mod disk;
mod heartbeats;
mod latency;
mod numbers;
mod process;
mod restart;
mod session;
mod throughput;

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use testkit::descriptors;

use numbers::{Numbers, number};

const USAGE: &str = "usage: scale [--strict]
  SCALE_WORKERS (1000), SCALE_ITEMS (100000): simulated workers, and items that they lease and complete
  SCALE_SILENT (10000): workers that only send heartbeats
  SCALE_STORED (1000000): items in the store of a server that starts again
  --strict: exit code 1 where a number is not reached";

fn main() -> anyhow::Result<ExitCode> {
    let is_strict = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--strict") => true,
        Some(_) => bail!(USAGE),
    };
    // A connection for each worker, on both sides.
    descriptors::raise_hard_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start")?;
    let numbers = runtime.block_on(measure())?;
    println!("{numbers}");
    Ok(ExitCode::from(u8::from(
        is_strict && !numbers.are_reached(),
    )))
}

async fn measure() -> anyhow::Result<Numbers> {
    let mut numbers = Numbers::default();
    disk::measure(&mut numbers)?;
    let (workers, items) = (
        number("SCALE_WORKERS", 1_000)?,
        number("SCALE_ITEMS", 100_000)?,
    );
    throughput::measure(&mut numbers, workers, items).await?;
    heartbeats::measure(&mut numbers, number("SCALE_SILENT", 10_000)?).await?;
    restart::measure(&mut numbers, number("SCALE_STORED", 1_000_000)?).await?;
    Ok(numbers)
}
