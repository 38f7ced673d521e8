//! Files whose blocks can be shared, on btrfs and on xfs: `BENCH_REFLINK_FILES` (10000) of 1 MiB.
//!
//! The file system has no room for a second copy of the default size. Whether blocks are shared is seen by the free
//! space: a tool that uses up half of the files' bytes has copied them, and fails.

use std::cell::Cell;
use std::fs::{self, File};
use std::io;

use rustix::fs::{Advice, fadvise, statvfs};
use testkit::tree::{Made, Many};

use super::make;
use crate::Failure;
use crate::goal::Goal;
use crate::measure::{rounds, same, timed};
use crate::place::{Kind, Place};
use crate::report::{Amount, Section};
use crate::settings::{Settings, number};
use crate::tools::{Content, Job, Tool};

pub(super) const TOOLS: &[Tool] = &[
    Tool::Copy,
    Tool::CopyBefore,
    Tool::CopyBatch,
    Tool::Floor,
    Tool::Xcp,
    Tool::Cp,
];

pub(super) fn run(settings: &Settings, tools: &[Tool]) -> Result<Vec<Section>, Failure> {
    let files = number("BENCH_REFLINK_FILES", 10_000)?;
    let many = Many {
        files,
        directories: files.div_ceil(100),
        file_bytes: 1 << 20..=1 << 20,
    };
    [
        (Kind::Btrfs, "Reflinks on btrfs"),
        (Kind::Xfs, "Reflinks on xfs"),
    ]
    .into_iter()
    .map(|(kind, heading)| part(settings, tools, &many, kind, heading))
    .collect()
}

fn part(
    settings: &Settings,
    tools: &[Tool],
    many: &Many,
    kind: Kind,
    heading: &'static str,
) -> Result<Section, Failure> {
    let place = Place::new(kind, many.files * 5 / 4 + 512)?;
    let made = make(&place, many)?;
    forget_cached(&place)?;
    let job = Job {
        content: Content::Shared,
        ..place.job()
    };
    let free_bytes = Cell::new(0);
    let run = |tool: Tool| {
        place.clear_target()?;
        free_bytes.set(free(&place)?);
        timed(settings, tool, &place, &job)
    };
    let check = |tool: Tool| {
        shared(&place, &made, free_bytes.get())?;
        same(&job.source, &job.target, &tool.kept())
    };
    let series = rounds(tools, settings.rounds, run, check);
    let goals = vec![Goal::faster(&series, Tool::Copy, Tool::Cp, 1.5)];
    let about = format!(
        "{} files of 1 MiB in {} directories, onto an empty directory of the same file system; cp with \
         `--reflink=always`, xcp with `--reflink always`.",
        made.files, made.directories
    );
    Ok(Section::of_times(
        heading,
        about,
        Amount::Files(made.files),
        &series,
        goals,
    ))
}

fn free(place: &Place) -> Result<u64, Failure> {
    let statistics = statvfs(place.data())?;
    Ok(statistics.f_bfree * statistics.f_frsize)
}

fn shared(place: &Place, made: &Made, free_bytes_before: u64) -> Result<(), Failure> {
    place.settle()?;
    let used_bytes = free_bytes_before.saturating_sub(free(place)?);
    match used_bytes < made.bytes / 2 {
        true => Ok(()),
        false => {
            let (used_mib, mib) = (used_bytes >> 20, made.bytes >> 20);
            Err(format!("the copy of {mib} MiB takes {used_mib} MiB: it shares no blocks").into())
        }
    }
}

/// The source is in memory as the image of the file system; not twice.
fn forget_cached(place: &Place) -> io::Result<()> {
    for directory in fs::read_dir(place.source())? {
        for file in fs::read_dir(directory?.path())? {
            fadvise(File::open(file?.path())?, 0, None, Advice::DontNeed)?;
        }
    }
    Ok(())
}
