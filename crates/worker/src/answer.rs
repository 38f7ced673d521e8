//! Telling the server what came of an item, until it has heard it.

use std::os::unix::ffi::OsStringExt;
use std::sync::atomic::Ordering;

use transfer::asking;
use wire::proto;

use crate::connection::CallError;
use crate::running::Running;
use crate::session::{ANSWER_WITHIN, Session};
use crate::verdict::{Complete, Verdict};

/// Tells the server how an attempt at the item ended. Blocks.
pub(crate) fn tell(session: &Session, running: &Running, task: &proto::TaskSpec, verdict: Verdict) {
    running.is_ending.store(true, Ordering::Relaxed);
    let answer = match verdict {
        Verdict::Silent => return,
        Verdict::Complete(complete) => hand_in(session, running, &complete),
        Verdict::Release(reason, message) => {
            if reason == proto::ReleaseReason::Machine {
                tracing::warn!("task {} can't be run on this machine: {message}", task.task);
            }
            give_back(session, running, release(reason, message))
        }
        Verdict::TargetFull(what, message) => {
            let request = proto::ReleaseRequest {
                no_room: proto::NoRoom::from(what).into(),
                volume: asking(|| volume(task)),
                ..release(proto::ReleaseReason::TargetFull, message)
            };
            give_back(session, running, request)
        }
    };
    match answer {
        Ok(proto::Verdict::Stale) => {
            tracing::warn!(
                "item {}: the result came too late and was not taken",
                running.item
            );
        }
        Ok(_) => {}
        Err(e) => tracing::warn!(
            "item {}: its result could not be handed in: {e}",
            running.item
        ),
    }
}

/// A result that the server refuses as such costs an attempt: else the item would be
/// done and refused for ever.
fn hand_in(
    session: &Session,
    running: &Running,
    complete: &Complete,
) -> Result<proto::Verdict, CallError> {
    let request = proto::CompleteRequest {
        session: session.id,
        item: running.item.get(),
        epoch: running.epoch.0,
        outcome: Some((&complete.outcome).into()),
        children: complete.children.iter().map(Into::into).collect(),
        again: complete
            .again
            .iter()
            .map(|path| path.as_bytes().to_vec())
            .collect(),
    };
    let answer = session
        .runtime
        .block_on(session.connection.call(ANSWER_WITHIN, |mut client| {
            let request = request.clone();
            async move { client.complete(request).await }
        }));
    match answer {
        Ok(reply) => Ok(reply.verdict()),
        Err(CallError::Refused(status)) => {
            let message = format!("the server refused its result: {}", status.message());
            tracing::warn!("item {}: {message}", running.item);
            give_back(
                session,
                running,
                release(proto::ReleaseReason::Failed, message),
            )
        }
        Err(error) => Err(error),
    }
}

/// Of no item yet.
pub(crate) fn release(reason: proto::ReleaseReason, message: String) -> proto::ReleaseRequest {
    proto::ReleaseRequest {
        reason: reason.into(),
        message,
        ..proto::ReleaseRequest::default()
    }
}

/// Where the file system of a task's target is mounted; empty where that is not to be found out.
pub(crate) fn volume(task: &proto::TaskSpec) -> Vec<u8> {
    let found = || {
        let target = task.target_location().ok()?;
        storage::mounts::volume_of(target.as_posix()?).ok()?
    };
    found().map_or_else(Vec::new, |volume| volume.into_os_string().into_vec())
}

fn give_back(
    session: &Session,
    running: &Running,
    release: proto::ReleaseRequest,
) -> Result<proto::Verdict, CallError> {
    let handed_back = hand_back(session, running, release);
    session.runtime.block_on(handed_back)
}

/// Hands the item back.
pub(crate) async fn hand_back(
    session: &Session,
    running: &Running,
    release: proto::ReleaseRequest,
) -> Result<proto::Verdict, CallError> {
    let request = proto::ReleaseRequest {
        session: session.id,
        item: running.item.get(),
        epoch: running.epoch.0,
        ..release
    };
    let answer = session
        .connection
        .call(ANSWER_WITHIN, |mut client| {
            let request = request.clone();
            async move { client.release(request).await }
        })
        .await;
    answer.map(|reply| reply.verdict())
}
