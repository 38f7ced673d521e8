//! `data-migrate status`

use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use coordinator::report::human;
use tonic::transport::Endpoint;
use wire::proto::coordinator_client::CoordinatorClient;
use wire::proto::{Progress, StatusReply, StatusRequest, TaskStatus, Unanswered, WorkerStatus};

use super::worker::addresses;
use crate::console;
use crate::exit::End;
use crate::flags::LogFlags;
use crate::logging;

const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Show tasks, items, workers, rates and failures of a live run
///
/// Exit codes: 0 the server answered; 2 a mistake in the flags; 3 no server did.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Where the server is
    #[arg(
        long = "server.address",
        env = "SERVERADDRESS",
        default_value = "127.0.0.1:2000",
        value_name = "HOST:PORT[,HOST:PORT…]"
    )]
    addresses: String,
    /// Failures to name for each task
    #[arg(long, default_value_t = 5, value_name = "N")]
    failures: u32,
    #[command(flatten)]
    log: LogFlags,
}

pub(crate) fn main(flags: Flags) -> anyhow::Result<End> {
    logging::begin(&flags.log);
    let addresses = addresses(&flags.addresses)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")?;
    let mut last = anyhow!("no address");
    for address in addresses {
        match runtime.block_on(ask(&address.to_string(), flags.failures)) {
            Ok(reply) => {
                console::print(&text(&reply))?;
                return Ok(End::Success);
            }
            Err(error) => last = error.context(format!("no answer from the server at {address}")),
        }
    }
    Err(last)
}

async fn ask(address: &str, failures: u32) -> anyhow::Result<StatusReply> {
    let channel = Endpoint::from_shared(format!("http://{address}"))?
        .connect_timeout(ANSWER_WITHIN)
        .timeout(ANSWER_WITHIN)
        .connect()
        .await?;
    let mut client =
        CoordinatorClient::new(channel).max_decoding_message_size(wire::MAX_MESSAGE_BYTES);
    Ok(client
        .status(StatusRequest { failures })
        .await?
        .into_inner())
}

fn text(reply: &StatusReply) -> String {
    let mut out = String::new();
    let end = reply.finished_ms.unwrap_or(reply.now_ms);
    let ms = end - reply.started_ms;
    let state = match reply.finished_ms {
        Some(_) => "over",
        None => "running",
    };
    out += &format!(
        "run {:016x} of {}: {state}, began {}, {}\n",
        reply.run,
        one_line(&reply.config),
        human::utc(reply.started_ms),
        human::duration(ms),
    );
    let sum = reply.tasks.iter().fold((0, 0, 0), |sum, task| {
        let (done, running) = both(task);
        (
            sum.0 + done.copied_files + running.copied_files,
            sum.1 + done.copied_bytes + running.copied_bytes,
            sum.2 + done.failed + running.failed,
        )
    });
    out += &format!(
        "{} files, {} copied, {} failed; on average {} files/s, {}\n\ntasks:\n",
        human::count(sum.0),
        human::bytes(sum.1),
        human::count(sum.2),
        human::rate(sum.0, ms),
        human::byte_rate(sum.1, ms),
    );
    for task in &reply.tasks {
        out += &task_text(task, reply.now_ms);
    }
    out += &format!("\nworkers: {}\n", reply.workers.len());
    for worker in &reply.workers {
        out += &worker_text(worker);
    }
    out
}

fn both(task: &TaskStatus) -> (Progress, Progress) {
    (
        task.done.clone().unwrap_or_default(),
        task.running.clone().unwrap_or_default(),
    )
}

fn task_text(task: &TaskStatus, now_ms: i64) -> String {
    let (done, running) = both(task);
    let files = done.copied_files + running.copied_files;
    let bytes = done.copied_bytes + running.copied_bytes;
    let ms = task
        .started_ms
        .map_or(0, |started| task.finished_ms.unwrap_or(now_ms) - started);
    let priority = match task.priority {
        0 => String::new(),
        priority => format!(", priority {priority}"),
    };
    let mut out = format!(
        "  {} {} -> {}: {} ({}){priority}, {} items open, {} leased, {} retries\n    {} listed, {} files, {} copied, {} unchanged, {} skipped, {} failed; {} files/s, {}, {}\n",
        task.task,
        one_line(&task.source),
        one_line(&task.target),
        task.state,
        task.phase,
        task.open_items,
        task.leased_items,
        task.retries,
        human::count(done.listed + running.listed),
        human::count(files),
        human::bytes(bytes),
        human::count(done.unchanged + running.unchanged),
        human::count(done.skipped + running.skipped),
        human::count(done.failed + running.failed),
        human::rate(files, ms),
        human::byte_rate(bytes, ms),
        human::duration(ms),
    );
    if !task.message.is_empty() {
        out += &format!("    {}\n", one_line(&task.message));
    }
    for failure in &task.failures {
        let path = model::path::Escaped(&failure.path);
        out += &format!("    failed: {path}: {}\n", one_line(&failure.error));
    }
    out
}

fn worker_text(worker: &WorkerStatus) -> String {
    let mut out = format!(
        "  {} ({}), heard of {} ago, {} items\n",
        one_line(&worker.name),
        worker.address,
        human::duration(worker.silent_ms.into()),
        worker.items.len(),
    );
    if let Some(rclone) = &worker.rclone {
        out += &match rclone.problem.as_str() {
            "" => format!("    rclone {}\n", one_line(&rclone.version)),
            problem => format!("    no rclone: {}\n", one_line(problem)),
        };
    }
    for item in &worker.items {
        let progress = item.progress.clone().unwrap_or_default();
        let paths: Vec<String> = progress
            .paths_in_flight
            .iter()
            .take(3)
            .map(|path| model::path::Escaped(path).to_string())
            .collect();
        out += &format!(
            "    task {}, item {:016x}, attempt {}, for {}: {} files, {}; {}\n",
            item.task,
            item.item,
            item.epoch,
            human::duration(item.held_ms.into()),
            human::count(progress.copied_files),
            human::bytes(progress.copied_bytes),
            paths.join(", "),
        );
        for call in &progress.unanswered {
            out += &unanswered_text(item.task, call);
        }
    }
    for left in &worker.left_behind {
        let call = left.call.clone().unwrap_or_default();
        out += &unanswered_text(left.task, &call);
    }
    for refusal in &worker.refusals {
        out += &format!(
            "    can't run task {}: {}\n",
            refusal.task,
            one_line(&refusal.message)
        );
    }
    out
}

/// A mount that does not answer.
fn unanswered_text(task: u32, call: &Unanswered) -> String {
    let path = match call.path.as_slice() {
        [] => "source or target root".to_owned(),
        path => model::path::Escaped(path).to_string(),
    };
    format!(
        "    task {task}, no answer for {}: {path}\n",
        human::duration(call.ms.into())
    )
}

/// Text from elsewhere, so that it can't move the cursor or begin lines of its own.
fn one_line(text: &str) -> String {
    model::path::Escaped(text.as_bytes()).to_string()
}
