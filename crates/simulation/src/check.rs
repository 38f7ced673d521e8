//! What must be so when a run is over: nothing lost, nothing done twice, nothing left, and books that say what was done.
//!
//! What the store and the report say is compared with what the world saw, not with each other.

use coordinator::results::FinishedTask;
use model::{ItemState, TaskId, Work, WorkKind};

use crate::tree::Tree;
use crate::world::World;

/// Notes all that is wrong.
pub fn the_end(world: &mut World<'_>) -> anyhow::Result<()> {
    let Some(server) = &world.server else {
        world.wrong("the server is away at the end".to_owned());
        return Ok(());
    };
    let mut wrong = Vec::new();
    for finished in server.scheduler().finished_tasks()? {
        let task = finished.record.task.id;
        let Some(tree) = world.trees.get(&task) else {
            wrong.push(format!("task {task} was made up"));
            continue;
        };
        items(world, &finished, tree, &mut wrong)?;
        ledger(&finished, tree, &mut wrong);
        let is_aside = finished.ledger.failed_items > 0;
        target(world, task, tree, is_aside, &mut wrong);
    }
    wrong.into_iter().for_each(|what| world.wrong(what));
    Ok(())
}

/// Each item was done, each file taken by exactly one of them, and left as it said.
fn items(
    world: &World<'_>,
    finished: &FinishedTask,
    tree: &Tree,
    wrong: &mut Vec<String>,
) -> anyhow::Result<()> {
    let task = finished.record.task.id;
    let mut takers = vec![0; tree.files.len()];
    let server = world.server.as_ref().expect("it was there");
    for record in server.items(task)? {
        let item = record.item;
        if item.state == ItemState::Failed && is_poison(&item.work, tree) {
            takers[tree.poison.expect("it is one")] += 1;
            continue;
        }
        if item.state == ItemState::Withdrawn && item.work.kind() == WorkKind::Range {
            continue;
        }
        if item.state != ItemState::Done {
            wrong.push(format!(
                "item {} of task {task} is {:?} at the end",
                item.id, item.state
            ));
            continue;
        }
        let Some(claims) = world.claims.get(&(item.id, item.epoch)) else {
            wrong.push(format!(
                "item {} was done by epoch {}, which handed nothing in",
                item.id, item.epoch
            ));
            continue;
        };
        for (file, version) in claims {
            takers[*file] += 1;
            if tree.finals.get(file) != Some(version) {
                wrong.push(format!(
                    "item {} said that file {file} has version {version}, it is {:?}",
                    item.id,
                    tree.finals.get(file)
                ));
            }
        }
    }
    for failure in &finished.failures {
        match tree.file(&failure.path) {
            Some(file) if tree.ever_faulty.contains(&file) => takers[file] += 1,
            Some(file) if tree.poison == Some(file) => {}
            _ => wrong.push(format!("task {task} failed at {failure}")),
        }
    }
    for (file, takers) in takers.iter().enumerate() {
        let is_there = tree.files[file].version.is_some();
        if *takers > 1 || (is_there && *takers == 0) {
            wrong.push(format!(
                "file {file} of task {task} was taken {takers} times"
            ));
        }
    }
    Ok(())
}

/// The one file that may be set aside.
fn is_poison(work: &Work, tree: &Tree) -> bool {
    let path = tree.poison.map(|file| tree.file_path(file));
    matches!(work, Work::Entries(paths) if paths.len() == 1 && paths.first() == path.as_ref())
}

/// Each entry counts once.
fn ledger(finished: &FinishedTask, tree: &Tree, wrong: &mut Vec<String>) {
    let task = finished.record.task.id;
    let counters = finished.ledger.outcome.counters;
    // It may vanish before it is found out, or after.
    let aside = counters.failed;
    let done = counters.copied + counters.unchanged + aside;
    let (entries, there) = (tree.entries(), tree.entries() - tree.vanished);
    let is_exact = (there..=entries).contains(&counters.listed)
        && (there..=entries).contains(&done)
        && counters.listed == done + counters.skipped
        && counters.skipped <= tree.vanished
        && finished.ledger.failed_items <= u64::from(tree.poison.is_some())
        && counters.deferred == 0
        && finished.failures.len() as u64 == aside;
    if !is_exact {
        wrong.push(format!(
            "the ledger of task {task} is off, there were {entries} entries, of which {} vanished: {:?}",
            tree.vanished, finished.ledger
        ));
    }
    match &finished.record.result {
        Some(result) if result.success == (aside == 0) => {}
        other => wrong.push(format!("task {task} ended with {other:?}")),
    }
}

/// All is there, and nothing else.
fn target(
    world: &World<'_>,
    task: TaskId,
    tree: &Tree,
    is_one_aside: bool,
    wrong: &mut Vec<String>,
) {
    for directory in 0..tree.directories.len() {
        if !tree.made.contains(&directory) {
            wrong.push(format!("directory {directory} of task {task} was not made"));
        }
    }
    for temp in tree.temps.keys() {
        // What was written of a file that was set aside stays (`data-migrate sweep` removes it).
        let is_huge = tree.files[temp.file].blocks > 1;
        let is_aside = is_one_aside && is_huge && tree.poison == Some(temp.file);
        if !is_aside && !world.excused.contains(&(task, *temp)) {
            wrong.push(format!("{temp:?} of task {task} was left"));
        }
    }
    if tree.has_marker && !world.excused_markers.contains(&task) {
        wrong.push(format!("the marker of task {task} was left"));
    }
}
