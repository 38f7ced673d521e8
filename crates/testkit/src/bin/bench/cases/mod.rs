//! What is measured: a file for each case, which makes its source, has each tool copy it, and says what is to be reached.

mod big;
mod entries;
mod fleet;
mod million;
mod nothing;
mod one_directory;
mod reflink;
mod slow;
mod small;
mod system_calls;

use testkit::tree::{Made, Many, make_many};

use crate::Failure;
use crate::measure::{Sample, Series, rounds, same, timed};
use crate::place::Place;
use crate::report::Section;
use crate::settings::Settings;
use crate::tools::{Job, Tool};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    Small,
    OneDirectory,
    Big,
    Nothing,
    Slow,
    Reflink,
    Million,
    SystemCalls,
    Fleet,
    Entries,
}

pub(crate) const ALL: [Case; 10] = [
    Case::Small,
    Case::OneDirectory,
    Case::Big,
    Case::Nothing,
    Case::Slow,
    Case::Reflink,
    Case::Million,
    Case::SystemCalls,
    Case::Fleet,
    Case::Entries,
];

impl Case {
    /// By which `BENCH_CASES` calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::OneDirectory => "one-dir",
            Self::Big => "big",
            Self::Nothing => "nothing",
            Self::Slow => "slow",
            Self::Reflink => "reflink",
            Self::Million => "million",
            Self::SystemCalls => "calls",
            Self::Fleet => "fleet",
            Self::Entries => "entries",
        }
    }

    /// Whether it is measured only where `BENCH_CASES` names it, as it takes so long.
    pub(crate) fn is_asked_for(self) -> bool {
        self == Self::Entries
    }

    /// Those that it has a use for.
    pub(crate) fn tools(self) -> &'static [Tool] {
        match self {
            Self::Small => small::TOOLS,
            Self::OneDirectory => one_directory::TOOLS,
            Self::Big => big::TOOLS,
            Self::Nothing => nothing::TOOLS,
            Self::Slow => slow::TOOLS,
            Self::Reflink => reflink::TOOLS,
            Self::Million => million::TOOLS,
            Self::SystemCalls => system_calls::TOOLS,
            Self::Fleet => fleet::TOOLS,
            Self::Entries => entries::TOOLS,
        }
    }

    pub(crate) fn run(self, settings: &Settings) -> Result<Vec<Section>, Failure> {
        let tools = settings.wanted(self.tools());
        match self {
            Self::Small => Ok(vec![small::run(settings, &tools)?]),
            Self::OneDirectory => Ok(vec![one_directory::run(settings, &tools)?]),
            Self::Big => Ok(vec![big::run(settings, &tools)?]),
            Self::Nothing => Ok(vec![nothing::run(settings, &tools)?]),
            Self::Slow => slow::run(settings, &tools),
            Self::Reflink => reflink::run(settings, &tools),
            Self::Million => Ok(vec![million::run(settings, &tools)?]),
            Self::SystemCalls => Ok(vec![system_calls::run(settings, &tools)?]),
            Self::Fleet => fleet::run(settings, &tools),
            Self::Entries => Ok(vec![entries::run(settings)?]),
        }
    }
}

/// Makes the files in the source of `place`.
fn make(place: &Place, many: &Many) -> Result<Made, Failure> {
    eprintln!(
        "making {} files in {} directories",
        many.files, many.directories
    );
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let made = make_many(&place.source(), many, 1, threads)?;
    place.settle()?;
    Ok(made)
}

/// Rounds of copies onto a target that is empty each time.
fn onto_empty(settings: &Settings, tools: &[Tool], place: &Place, job: &Job) -> Vec<Series> {
    let run = |tool: Tool| -> Result<Sample, Failure> {
        place.clear_target()?;
        timed(settings, tool, place, job)
    };
    let check = |tool: Tool| same(&job.source, &job.target, &tool.kept());
    rounds(tools, settings.rounds, run, check)
}
