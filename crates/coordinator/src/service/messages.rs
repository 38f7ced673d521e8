//! What workers say and are told, between messages and the scheduler's nouns.

use std::time::Duration;

use model::Counters;
use wire::proto;

use crate::fleet::Progress;
use crate::mounts;
use crate::scheduler::{Command, Newcomer};

/// What a worker says of itself; one that says nothing of rclone has none.
pub(super) fn newcomer(request: proto::RegisterRequest, address: String) -> Newcomer {
    let rclone = request.engines.into_iter().find(|e| e.engine == "rclone");
    Newcomer {
        name: request.name,
        address,
        program_version: request.program_version,
        request: request.request_id,
        rclone: match rclone {
            Some(engine) if engine.problem.is_empty() => Ok(engine.version),
            Some(engine) => Err(engine.problem),
            None => Err("the worker has none".to_owned()),
        },
        only_walks: request.only_walks,
    }
}

pub(super) fn whole_ms(time: Duration) -> u32 {
    time.as_millis().min(u32::MAX.into()) as u32
}

pub(super) fn work_bytes(work: &model::Work) -> usize {
    match work {
        model::Work::Walk {
            directories: paths, ..
        }
        | model::Work::Entries(paths) => paths.iter().map(|path| path.as_bytes().len() + 8).sum(),
        model::Work::Shard { directory, .. } => directory.as_bytes().len() + 32,
        model::Work::Paths { .. } | model::Work::Links { .. } | model::Work::Files(_) => 32,
        model::Work::Range(range) => range.file.as_bytes().len() + range.temp.len() + 80,
    }
}

pub(super) fn progress(progress: proto::Progress) -> Progress {
    Progress {
        counters: Counters {
            listed: progress.listed,
            copied: progress.copied,
            unchanged: progress.unchanged,
            skipped: progress.skipped,
            failed: progress.failed,
            deferred: 0,
            copied_files: progress.copied_files,
            copied_bytes: progress.copied_bytes,
        },
        paths_in_flight: progress
            .paths_in_flight
            .into_iter()
            .filter_map(|path| model::RelPath::new(path).ok())
            .take(16)
            .collect(),
        unanswered: mounts::unanswered(progress.unanswered),
    }
}

pub(super) fn command(command: Command) -> proto::Command {
    use proto::command::Kind;
    let item_epoch = |item: model::ItemId, epoch: model::Epoch| proto::ItemEpoch {
        item: item.get(),
        epoch: epoch.0,
    };
    proto::Command {
        kind: Some(match command {
            Command::Share(item, epoch) => Kind::Share(item_epoch(item, epoch)),
            Command::Cancel(item, epoch) => Kind::Cancel(item_epoch(item, epoch)),
            Command::RunOver => Kind::RunOver(proto::RunOver {}),
        }),
    }
}
