//! Memory of a server that has nothing more to do, and of a worker with 64 transfers. Not part of any timed run.

use std::thread;
use std::time::{Duration, Instant};

use testkit::process::Memory;
use testkit::results::Table;

use crate::Failure;
use crate::place::Place;
use crate::service::Service;
use crate::tools::Tool;

const LIMIT: Duration = Duration::from_secs(3600);
const SAMPLE: Duration = Duration::from_millis(20);
/// For what a run leaves to be tidied up.
const SETTLE: Duration = Duration::from_secs(2);

pub(crate) struct Figures {
    /// Resident, some seconds after the end of a run, with `--server.keep`.
    pub(crate) idle_server_bytes: u64,
    /// The most that was ever resident during the whole copy.
    pub(crate) worker_peak_bytes: u64,
}

pub(crate) fn measure(place: &Place) -> Result<Figures, Failure> {
    place.clear_target()?;
    let keys = Tool::Service.service_config().unwrap_or_default();
    let ends = (place.source(), place.target());
    let service = Service::prepare(place.beside(), (&ends.0, &ends.1), &keys)?;
    let server = service.server(&["--server.keep"])?;
    let worker = service.worker()?;
    let deadline = Instant::now() + LIMIT;
    let mut last: Option<Memory> = None;
    while !has_row(&service) {
        last = worker.memory().or(last);
        if !server.is_running() || Instant::now() > deadline {
            let said = server.stderr() + &worker.stderr();
            return Err(format!("the run whose memory is measured did not end: {said}").into());
        }
        thread::sleep(SAMPLE);
    }
    // The worker may end now, or stay while the server does.
    thread::sleep(SETTLE);
    last = worker.memory().or(last);
    let server = server
        .memory()
        .ok_or("the server did not stay, though told to")?;
    Ok(Figures {
        idle_server_bytes: server.resident_bytes,
        worker_peak_bytes: last.ok_or("the worker ended too soon")?.peak_bytes,
    })
}

fn has_row(service: &Service) -> bool {
    Table::read(&service.results()).is_ok_and(|table| !table.is_empty())
}
