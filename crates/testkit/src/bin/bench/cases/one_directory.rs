//! Very small files in one directory, which is new at the target: `BENCH_ONE_DIR_FILES` (50000).

use testkit::tree::Many;

use super::{make, onto_empty};
use crate::Failure;
use crate::goal::Goal;
use crate::place::Place;
use crate::report::{Amount, Section};
use crate::settings::{Settings, number};
use crate::tools::{RCLONE_16, RCLONE_64, Tool};

pub(super) const TOOLS: &[Tool] = &[
    Tool::Copy,
    Tool::CopyBefore,
    Tool::CopyBatch,
    Tool::Floor,
    Tool::Xcp,
    Tool::Cp,
    Tool::Rsync,
    Tool::Fpsync,
    RCLONE_16,
    RCLONE_64,
];

pub(super) fn run(settings: &Settings, tools: &[Tool]) -> Result<Section, Failure> {
    let many = Many {
        files: number("BENCH_ONE_DIR_FILES", 50_000)?,
        directories: 1,
        file_bytes: 0..=512,
    };
    let place = Place::for_small_files(many.files)?;
    let made = make(&place, &many)?;
    let series = onto_empty(settings, tools, &place, &place.job());
    let goals = vec![
        Goal::faster_than_rclone(&series, Tool::Copy, 5.5),
        Goal::faster(&series, Tool::Copy, Tool::Xcp, 1.15),
        Goal::time(&series, Tool::Copy, Tool::Floor, 1.1),
    ];
    let about = format!(
        "{} files of 0–512 B in one directory that is new at the target, on one ext4.",
        made.files
    );
    Ok(Section::of_times(
        "One directory",
        about,
        Amount::Files(made.files),
        &series,
        goals,
    ))
}
