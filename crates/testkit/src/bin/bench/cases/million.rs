//! Empty files, all in one directory and spread over a thousand: `BENCH_MILLION_FILES` (1000000). Memory counts.

use testkit::tree::Many;

use super::make;
use crate::Failure;
use crate::goal::Goal;
use crate::measure::{rounds, same, timed};
use crate::place::{Kind, Place};
use crate::report::{Section, Table};
use crate::settings::{Settings, number};
use crate::tools::Tool;

pub(super) const TOOLS: &[Tool] = &[Tool::Copy, Tool::CopyBefore, Tool::CopyBatch];

const LIMIT_MIB: u64 = 256;

pub(super) fn run(settings: &Settings, tools: &[Tool]) -> Result<Section, Failure> {
    let files = number("BENCH_MILLION_FILES", 1_000_000)?;
    let mut section = Section {
        heading: "A million entries",
        about: format!(
            "{files} empty files on one ext4: all in one directory, and spread over a thousand. One round."
        ),
        table: Table {
            columns: vec!["tool", "directories", "s", "files/s", "peak MiB"],
            rows: Vec::new(),
        },
        goals: Vec::new(),
        is_broken: false,
    };
    for directories in [1, 1000.min(files)] {
        let many = Many {
            files,
            directories,
            file_bytes: 0..=0,
        };
        part(settings, tools, &many, &mut section)?;
    }
    Ok(section)
}

fn part(
    settings: &Settings,
    tools: &[Tool],
    many: &Many,
    section: &mut Section,
) -> Result<(), Failure> {
    // mkfs.ext4 makes an inode for each 16 KiB: for source and target, and some to spare. The image stays sparse.
    let place = Place::new(Kind::Ext4, 512 + many.files * 16 * 9 / 4 / 1024)?;
    make(&place, many)?;
    let job = place.job();
    let run = |tool: Tool| {
        place.clear_target()?;
        timed(settings, tool, &place, &job)
    };
    let check = |tool: Tool| same(&job.source, &job.target, &tool.kept());
    for one in rounds(tools, 1, run, check) {
        let title = one.tool.title();
        let mut row = vec![title.clone(), many.directories.to_string()];
        match (one.median_seconds(), one.failure.as_ref()) {
            (Some(seconds), _) => row.extend([
                format!("{seconds:.2}"),
                format!("{:.0}", many.files as f64 / seconds),
                one.peak_bytes().map_or("–".to_owned(), |bytes| {
                    format!("{:.1}", bytes as f64 / 1_048_576.0)
                }),
            ]),
            (None, why) => {
                let why = why.map_or("no run", String::as_str);
                row.extend([format!("failed: {why}"), "–".to_owned(), "–".to_owned()]);
            }
        }
        section.table.rows.push(row);
        section.is_broken |= one.tool.is_ours() && one.failure.is_some();
        if one.tool == Tool::Copy {
            let what = format!(
                "{title}, {} in each directory, peak",
                many.files / many.directories
            );
            section
                .goals
                .push(Goal::peak(what, LIMIT_MIB, one.peak_bytes()));
        }
    }
    Ok(())
}
