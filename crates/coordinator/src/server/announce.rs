//! What a server says at its start: what was begun, with which engines, and what its user should know.

use std::collections::BTreeMap;
use std::path::Path;

use model::config::Config;
use model::engine::EngineChoice;
use model::{Engine, TaskId};

use crate::data_dir::DataDir;
use crate::store::{Begun, BegunRun, TaskRecord};

/// Says what was begun and how it will be done.
pub(super) fn announce(begun: &BegunRun, config: &Config, config_file: &Path, data_dir: &DataDir) {
    let run = begun.run.id;
    if let Some(cancelled) = begun.cancelled {
        tracing::warn!(
            "run {cancelled} was unfinished and is cancelled: tasks, lists or options are others now"
        );
    }
    let (config_file, directory) = (config_file.display(), data_dir.path().display());
    match begun.begun {
        Begun::New => tracing::info!("run {run} begins: {config_file}, state in {directory}"),
        Begun::Resumed => tracing::info!("run {run} goes on: {config_file}, state in {directory}"),
        Begun::AlreadyFinished => {
            tracing::warn!(
                "run {run} of {config_file} is over already, nothing is done again; --new-run begins another"
            )
        }
    }
    if config.global.copy_options().dry_run {
        tracing::warn!("dryrun is on: nothing is changed, only counted");
    }
    for (side, types) in [
        ("source", &config.global.source_fs_types),
        ("target", &config.global.target_fs_types),
    ] {
        let (allowed, warnings) = model::fs_type::AllowedTypes::parse(types);
        warn_all(&warnings);
        if allowed.is_any() {
            tracing::warn!(
                "{side}_fs_types has 'any': a missing mount of the {side} will not be noticed by its type"
            );
        }
    }
}

/// Says which engine each task uses and why, and what the other one would be like.
pub(super) fn announce_engines(config: &Config, tasks: &[TaskRecord]) {
    let mut by_choice: BTreeMap<EngineChoice, Vec<TaskId>> = BTreeMap::new();
    for record in tasks {
        let choice = config.global.engine_of(&record.task);
        by_choice.entry(choice).or_default().push(record.task.id);
    }
    for (choice, tasks_of_it) in &by_choice {
        let which = match by_choice.len() {
            1 => "all tasks".to_owned(),
            _ => numbers(tasks_of_it),
        };
        tracing::info!(
            "engine: {} for {which}: {}",
            choice.engine().name(),
            choice.reason()
        );
    }
    if by_choice.contains_key(&EngineChoice::RcloneFlags) {
        tracing::info!(
            "engine: native in global_config would follow transfers, size_only, update, dryrun and \
             local_no_set_modtime of rclone_flags; it needs no rclone, is several times faster, keeps holes, \
             gives a file its name only when its content is on the disk, and shares one big list or tree \
             out while it is copied"
        );
    }
    let has_remote = by_choice.contains_key(&EngineChoice::Remote);
    if has_remote && config.global.engine == Some(Engine::Native) {
        tracing::warn!(
            "engine: native has no effect on tasks with a remote: only rclone reaches it"
        );
    }
    if config.global.lists_beside_server()
        && !by_choice.keys().any(|c| c.engine() == Engine::Rclone)
    {
        tracing::info!("server_side_listing: no effect with engine native, where all workers list");
    }
}

/// `task 7`, `tasks 1, 2, 3 and 40 more`.
fn numbers(tasks: &[TaskId]) -> String {
    const SHOWN: usize = 20;
    let shown: Vec<String> = tasks.iter().take(SHOWN).map(TaskId::to_string).collect();
    let shown = shown.join(", ");
    match tasks.len() {
        1 => format!("task {shown}"),
        n if n <= SHOWN => format!("tasks {shown}"),
        n => format!("tasks {shown} and {} more", n - SHOWN),
    }
}

pub(super) fn warn_all(warnings: &[String]) {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}
