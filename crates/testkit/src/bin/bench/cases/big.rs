//! Two big files on a tmpfs: `BENCH_BIG_MIB` (2048) each. Source and target are in memory at once.

use std::fs::{self, File};
use std::io::Write as _;

use testkit::random::Random;

use super::onto_empty;
use crate::Failure;
use crate::goal::Goal;
use crate::place::{Kind, Place};
use crate::report::{Amount, Section};
use crate::settings::{Settings, number};
use crate::tools::{Job, RCLONE_16, RCLONE_64, Tool};

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

const FILES: u64 = 2;

pub(super) fn run(settings: &Settings, tools: &[Tool]) -> Result<Section, Failure> {
    let file_mib = number("BENCH_BIG_MIB", 2048)?;
    let place = Place::new(Kind::Tmpfs, 2 * FILES * file_mib + 64)?;
    make_files(&place, file_mib)?;
    let job = Job {
        files_per_thread: 1,
        ..place.job()
    };
    let series = onto_empty(settings, tools, &place, &job);
    let goals = vec![
        Goal::faster_than_rclone(&series, Tool::Copy, 7.5),
        Goal::faster(&series, Tool::Copy, Tool::Xcp, 1.05),
        Goal::time(&series, Tool::Copy, Tool::Floor, 1.1),
    ];
    let about = format!("{FILES} files of {file_mib} MiB on one tmpfs.");
    Ok(Section::of_times(
        "Big files",
        about,
        Amount::MebiBytes(FILES * file_mib),
        &series,
        goals,
    ))
}

fn make_files(place: &Place, file_mib: u64) -> Result<(), Failure> {
    eprintln!("making {FILES} files of {file_mib} MiB");
    let mut block = vec![0; 1 << 20];
    fs::create_dir(place.source())?;
    for number in 0..FILES {
        Random::part(1, number).fill(&mut block);
        let mut file = File::create_new(place.source().join(format!("{number}.dat")))?;
        for mib in 0..file_mib {
            // No two blocks are the same.
            block[..8].copy_from_slice(&mib.to_le_bytes());
            file.write_all(&block)?;
        }
    }
    Ok(())
}
