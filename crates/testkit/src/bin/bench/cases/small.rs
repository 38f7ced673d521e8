//! Small files in many directories: `BENCH_FILES` (100000), a hundred to a directory.

use testkit::tree::Many;

use super::{make, onto_empty};
use crate::Failure;
use crate::goal::Goal;
use crate::memory;
use crate::place::Place;
use crate::report::{Amount, Section};
use crate::settings::{Settings, number};
use crate::tools::{OLD_NATIVE, OLD_RCLONE, RCLONE_16, RCLONE_64, Tool, write_list};

pub(super) const TOOLS: &[Tool] = &[
    Tool::Copy,
    Tool::CopyBefore,
    Tool::CopyBatch,
    Tool::Service,
    Tool::Floor,
    Tool::Xcp,
    Tool::Cp,
    Tool::Rsync,
    Tool::Fpsync,
    RCLONE_16,
    RCLONE_64,
    Tool::RclonePiece,
    OLD_RCLONE,
    OLD_NATIVE,
];

/// The tree of this case, of `BENCH_FILES` files.
pub(super) fn tree() -> Result<Many, Failure> {
    let files = number("BENCH_FILES", 100_000)?;
    Ok(Many {
        files,
        directories: files.div_ceil(100),
        ..Many::default()
    })
}

pub(super) fn run(settings: &Settings, tools: &[Tool]) -> Result<Section, Failure> {
    let many = tree()?;
    let place = Place::for_small_files(many.files)?;
    let made = make(&place, &many)?;
    write_list(&place.source(), place.beside())?;
    let series = onto_empty(settings, tools, &place, &place.job());
    let mut goals = vec![
        Goal::faster_than_rclone(&series, Tool::Copy, 5.8),
        Goal::faster(&series, Tool::Copy, Tool::Xcp, 1.25),
        Goal::faster(&series, Tool::Copy, Tool::Cp, 1.5),
        Goal::time(&series, Tool::Copy, Tool::Floor, 1.1),
        Goal::time(&series, Tool::Service, Tool::Copy, 1.1),
        Goal::time(&series, OLD_RCLONE, Tool::RclonePiece, 1.1),
        Goal::faster(&series, OLD_NATIVE, OLD_RCLONE, 1.0),
    ];
    let memory = match tools.iter().any(|tool| tool.is_service()) {
        true => Some(memory::measure(&place)?),
        false => None,
    };
    let memory = memory.as_ref();
    goals.push(Goal::peak(
        "idle server",
        64,
        memory.map(|one| one.idle_server_bytes),
    ));
    goals.push(Goal::peak(
        "worker with 64 transfers, peak",
        128,
        memory.map(|one| one.worker_peak_bytes),
    ));
    let about = format!(
        "{} files of 0–16 KiB ({} MiB) in {} directories, source in the page cache, onto an empty directory of the \
         same ext4.",
        made.files,
        made.bytes >> 20,
        made.directories
    );
    Ok(Section::of_times(
        "Small files",
        about,
        Amount::Files(made.files),
        &series,
        goals,
    ))
}
