//! The small files once more, onto a target that has them all: `BENCH_FILES` as there.
//!
//! The target was made by `cp -a`. A tool that changes a file in it had no need to: it fails.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use testkit::tool;

use super::{make, small};
use crate::Failure;
use crate::goal::Goal;
use crate::measure::{rounds, same, timed};
use crate::place::Place;
use crate::report::{Amount, Section};
use crate::settings::Settings;
use crate::tools::{RCLONE_16, RCLONE_64, Tool};

pub(super) const TOOLS: &[Tool] = &[
    Tool::Copy,
    Tool::CopyBefore,
    Tool::CopyPreserve,
    Tool::Rsync,
    Tool::RsyncAll,
    Tool::Fpsync,
    RCLONE_16,
    RCLONE_64,
];

pub(super) fn run(settings: &Settings, tools: &[Tool]) -> Result<Section, Failure> {
    let many = small::tree()?;
    let place = Place::for_small_files(many.files)?;
    let made = make(&place, &many)?;
    let job = place.job();
    tool::run(
        Command::new("cp")
            .arg("-a")
            .args([&job.source, &job.target]),
    )?;
    place.settle()?;
    let begun = SystemTime::now();
    let run = |tool: Tool| {
        let sample = timed(settings, tool, &place, &job)?;
        untouched(&place, begun)?;
        place.settle()?;
        Ok(sample)
    };
    let check = |tool: Tool| same(&job.source, &job.target, &tool.kept());
    let series = rounds(tools, settings.rounds, run, check);
    let goals = vec![
        Goal::faster_than_rclone(&series, Tool::CopyPreserve, 6.0),
        Goal::faster(&series, Tool::CopyPreserve, Tool::Rsync, 2.5),
    ];
    let about = format!(
        "The same {} files in {} directories, all of them there and equal at the target; modes, owners and times with \
         `--preserve mode,owner,times`, extended attributes and ACLs too without.",
        made.files, made.directories
    );
    Ok(Section::of_times(
        "Nothing to do",
        about,
        Amount::Files(made.files),
        &series,
        goals,
    ))
}

/// An error where a file of the target was changed since.
fn untouched(place: &Place, since: SystemTime) -> Result<(), Failure> {
    let since = since.duration_since(UNIX_EPOCH)?.as_secs_f64();
    let found = tool::run(Command::new("find").arg(place.target()).args([
        "-type",
        "f",
        "-newerct",
        &format!("@{since}"),
    ]))?;
    let text = String::from_utf8_lossy(&found.stdout);
    match text.lines().next() {
        None => Ok(()),
        Some(first) => {
            let count = text.lines().count();
            Err(format!("it changed {count} files that were equal, first {first}").into())
        }
    }
}
