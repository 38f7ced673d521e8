//! Small files onto and from a file system that takes its time: `BENCH_SLOW_FILES` (2000), a hundred to a directory.
//!
//! It is mounted anew for each run, over a directory in memory, and counts requests until it is unmounted. What was
//! copied is compared below it.

use std::fs;
use std::path::Path;

use testkit::tree::{Made, Many};

use super::make;
use crate::Failure;
use crate::goal::{Bound, Goal, Unit, find};
use crate::measure::{Sample, Series, rounds, same, timed};
use crate::place::{Kind, Place, empty};
use crate::report::{Amount, Section};
use crate::settings::{Settings, number};
use crate::slowfs::{DATA_DELAY_US, METADATA_DELAY_US, SlowFs};
use crate::tools::{Job, Latency, RCLONE_16, RCLONE_64, Tool};

pub(super) const TOOLS: &[Tool] = &[
    Tool::Copy,
    Tool::CopyBefore,
    Tool::CopyBatch,
    Tool::CopyPreserve,
    Tool::Floor,
    Tool::Xcp,
    Tool::Cp,
    Tool::Rsync,
    Tool::Fpsync,
    RCLONE_16,
    RCLONE_64,
];

/// Where it is, and what is at the target before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    NewDirectories,
    ExistingDirectories,
    Source,
}

impl Part {
    fn heading(self) -> &'static str {
        match self {
            Self::NewDirectories => "A slow target, new directories",
            Self::ExistingDirectories => "A slow target, directories that exist",
            Self::Source => "A slow source",
        }
    }

    /// Without those that do one thing at a time, where nothing is to be learned from them, and without the
    /// floor where directories exist, which it takes for an error.
    fn has(self, tool: Tool) -> bool {
        match self {
            // A target sees no difference.
            Self::NewDirectories | Self::ExistingDirectories if tool == Tool::CopyPreserve => false,
            Self::NewDirectories => true,
            Self::ExistingDirectories if tool == Tool::Floor => false,
            _ => !matches!(tool, Tool::Cp | Tool::Rsync | Tool::Fpsync),
        }
    }

    fn requests_per_file(self) -> f64 {
        match self {
            Self::NewDirectories => 9.5,
            Self::ExistingDirectories => 11.5,
            Self::Source => 7.0,
        }
    }
}

pub(super) fn run(settings: &Settings, tools: &[Tool]) -> Result<Vec<Section>, Failure> {
    let files = number("BENCH_SLOW_FILES", 2000)?;
    let many = Many {
        files,
        directories: files.div_ceil(100),
        file_bytes: 0..=8 << 10,
    };
    let place = Place::new(Kind::Tmpfs, 256 + files * 12 * 3 / 1024)?;
    let made = make(&place, &many)?;
    let field = Field {
        settings,
        place,
        made,
    };
    [
        Part::NewDirectories,
        Part::ExistingDirectories,
        Part::Source,
    ]
    .into_iter()
    .map(|part| {
        let tools: Vec<Tool> = tools.iter().copied().filter(|one| part.has(*one)).collect();
        field.part(part, &tools)
    })
    .collect()
}

struct Field<'a> {
    settings: &'a Settings,
    place: Place,
    made: Made,
}

impl Field<'_> {
    fn part(&self, part: Part, tools: &[Tool]) -> Result<Section, Failure> {
        let (source, target) = (self.place.source(), self.place.target());
        let series = rounds(
            tools,
            self.settings.rounds,
            |tool| self.timed(part, tool),
            |tool| same(&source, &target, &tool.kept()),
        );
        let made = &self.made;
        let about = format!(
            "{} files of 0–8 KiB in {} directories; {} ms a metadata request, {} ms a data request, 64 workers where a \
             tool can be told.",
            made.files,
            made.directories,
            METADATA_DELAY_US as f64 / 1000.0,
            DATA_DELAY_US as f64 / 1000.0
        );
        let goals = self.goals(part, &series);
        Ok(Section::of_times(
            part.heading(),
            about,
            Amount::Files(made.files),
            &series,
            goals,
        ))
    }

    fn timed(&self, part: Part, tool: Tool) -> Result<Sample, Failure> {
        let (source, target) = (self.place.source(), self.place.target());
        empty(&target)?;
        if part == Part::ExistingDirectories {
            make_directories(&source, &target)?;
        }
        let (slow, source, target) = match part {
            Part::Source => {
                let slow = SlowFs::mount(&source)?;
                let point = slow.path();
                (slow, point, target)
            }
            Part::NewDirectories | Part::ExistingDirectories => {
                let slow = SlowFs::mount(&target)?;
                let point = slow.path();
                (slow, source, point)
            }
        };
        let job = Job {
            source,
            target,
            latency: Latency::High,
            files_per_thread: 4,
            ..self.place.job()
        };
        let sample = timed(self.settings, tool, &self.place, &job)?;
        Ok(Sample {
            requests: Some(slow.finish()?),
            ..sample
        })
    }

    fn goals(&self, part: Part, series: &[Series]) -> Vec<Goal> {
        let requests = |tool: Tool| {
            let requests = find(series, tool).and_then(Series::median_requests);
            Goal::new(
                format!("{}: requests", tool.title()),
                Bound::AtMost(part.requests_per_file()),
                Unit::RequestsPerFile,
                requests.map(|requests| requests / self.made.files as f64),
            )
        };
        match part {
            Part::NewDirectories => vec![
                Goal::faster_than_rclone(series, Tool::Copy, 12.0),
                requests(Tool::Copy),
            ],
            Part::ExistingDirectories => vec![requests(Tool::Copy)],
            Part::Source => vec![requests(Tool::Copy), requests(Tool::CopyPreserve)],
        }
    }
}

fn make_directories(source: &Path, target: &Path) -> Result<(), Failure> {
    for entry in fs::read_dir(source)? {
        fs::create_dir(target.join(entry?.file_name()))?;
    }
    Ok(())
}
