//! How a run ends: its report, what is still to be delivered, the workers that are still to be told.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Ended, ServerError, TICK, blocking};
use crate::notices::{Event, Notices, RunEnd};
use crate::results::Written;
use crate::scheduler::{Scheduler, now_ms};
use crate::store::{Millis, RunRecord, RunState};
use crate::uploads::Uploads;

/// How often a report is tried for which the disk has no room.
const REPORT_AGAIN: Duration = Duration::from_secs(2);

/// How long a server that is told to stop tries to deliver the notices and uploads that it has.
const LAST_DELIVERIES: Duration = Duration::from_secs(2);

/// What is done, and how long, once the run is over.
pub(super) struct RunsEnd {
    pub(super) keep: bool,
    pub(super) end_wait: Duration,
    pub(super) notices: Notices,
    pub(super) notice_wait: Duration,
    pub(super) uploads: Uploads,
    pub(super) upload_wait: Duration,
}

pub(super) async fn until_over(
    scheduler: &Arc<Scheduler>,
    run: &RunRecord,
    end: RunsEnd,
    stop: impl Future<Output = ()>,
) -> Result<Ended, ServerError> {
    tokio::pin!(stop);
    let mut over = scheduler.watch_over();
    let take_up = scheduler.clone();
    blocking(move || take_up.take_up_results()).await?;
    let is_over = over.wait_for(|over| *over);
    tokio::select! {
        _ = is_over => {}
        broken = broken(scheduler) => return Err(ServerError::Broken(broken)),
        () = &mut stop => {
            let (notices, uploads) = (&end.notices, &end.uploads);
            tokio::join!(notices.settle(LAST_DELIVERIES), uploads.settle(LAST_DELIVERIES));
            uploads.tell_missing();
            return Ok(Ended::Stopped);
        }
    }
    let (written, finished) = loop {
        match write_report(scheduler, run).await {
            Err(ServerError::Results(error)) if error.is_no_room() => {
                scheduler.no_room(&error, Instant::now());
            }
            written => break written?,
        }
        tokio::select! {
            () = tokio::time::sleep(REPORT_AGAIN) => {}
            () = &mut stop => return Ok(Ended::Stopped),
        }
    };
    if run.state == RunState::Running {
        let run_end = RunEnd::new(run.started, finished, &written);
        end.notices.tell(&Event::Run(run_end));
    }
    let delivered = async {
        let uploaded = end.uploads.settle(end.upload_wait);
        tokio::join!(end.notices.settle(end.notice_wait), uploaded);
    };
    tokio::pin!(delivered);
    let snapshot = scheduler.clone();
    let all_succeeded = blocking(move || snapshot.snapshot()).await?.all_succeeded();
    if end.keep {
        tracing::info!("the run is over; its results are served until this server is stopped");
        tokio::select! {
            () = async {
                delivered.await;
                end.uploads.tell_missing();
                std::future::pending().await
            } => {}
            () = &mut stop => {}
        }
    } else {
        let all_left = async {
            while scheduler.sessions_left() > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let all_left = tokio::time::timeout(end.end_wait, all_left);
        tokio::select! {
            _ = async { tokio::join!(all_left, delivered) } => {}
            () = &mut stop => {}
        }
    }
    end.notices.give_up();
    end.uploads.tell_missing();
    Ok(Ended::Over {
        all_succeeded,
        written,
    })
}

async fn broken(scheduler: &Scheduler) -> String {
    loop {
        if let Some(why) = scheduler.what_broke() {
            return why;
        }
        tokio::time::sleep(TICK).await;
    }
}

/// Also says when the run's last task ended.
async fn write_report(
    scheduler: &Arc<Scheduler>,
    run: &RunRecord,
) -> Result<(Written, Millis), ServerError> {
    let (scheduler, run) = (scheduler.clone(), run.clone());
    let written = tokio::task::spawn_blocking(move || -> Result<(Written, Millis), ServerError> {
        let tasks = scheduler.finished_tasks()?;
        let finished = tasks
            .iter()
            .filter_map(|task| task.record.result.as_ref().map(|r| r.finished))
            .max()
            .unwrap_or_else(now_ms);
        let written = scheduler.write_report(run.started, finished, &tasks)?;
        Ok((written, finished))
    });
    written
        .await
        .unwrap_or_else(|panic| Err(ServerError::Broken(panic.to_string())))
}
