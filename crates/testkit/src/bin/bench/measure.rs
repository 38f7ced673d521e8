//! Rounds: each tool in turn, so that what disturbs the machine disturbs them alike; medians count.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use testkit::compare::{Options, compare};

use crate::Failure;
use crate::place::Place;
use crate::run;
use crate::service::Service;
use crate::settings::Settings;
use crate::tools::{Job, Tool};

/// One run of one tool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) time: Duration,
    pub(crate) peak_bytes: Option<u64>,
    /// To the file system that counts them.
    pub(crate) requests: Option<u64>,
}

/// The runs of one tool, a round each. One that failed ran no more.
pub(crate) struct Series {
    pub(crate) tool: Tool,
    pub(crate) samples: Vec<Sample>,
    pub(crate) failure: Option<String>,
}

impl Series {
    /// None of a tool that failed.
    pub(crate) fn median_seconds(&self) -> Option<f64> {
        self.median(|sample| Some(sample.time.as_secs_f64()))
    }

    pub(crate) fn median_requests(&self) -> Option<f64> {
        self.median(|sample| Some(sample.requests? as f64))
    }

    pub(crate) fn peak_bytes(&self) -> Option<u64> {
        let peaks = self.samples.iter().filter_map(|sample| sample.peak_bytes);
        peaks.max().filter(|_| self.failure.is_none())
    }

    fn median(&self, value: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
        let mut values: Vec<f64> = self.samples.iter().filter_map(value).collect();
        if values.is_empty() || self.failure.is_some() {
            return None;
        }
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        Some(match values.len() % 2 {
            0 => (values[middle - 1] + values[middle]) / 2.0,
            _ => values[middle],
        })
    }
}

/// Measures all tools, the result of each tool's first run being judged by `check`, outside of the time measured.
pub(crate) fn rounds(
    tools: &[Tool],
    rounds: u64,
    mut run: impl FnMut(Tool) -> Result<Sample, Failure>,
    mut check: impl FnMut(Tool) -> Result<(), Failure>,
) -> Vec<Series> {
    let new = |tool: &Tool| Series {
        tool: *tool,
        samples: Vec::new(),
        failure: None,
    };
    let mut all: Vec<Series> = tools.iter().map(new).collect();
    for round in 0..rounds {
        for one in all.iter_mut().filter(|one| one.failure.is_none()) {
            let sample = run(one.tool).and_then(|sample| match round {
                0 => check(one.tool).map(|()| sample),
                _ => Ok(sample),
            });
            let said: &dyn fmt::Display = match &sample {
                Ok(sample) => &format!("{:.2} s", sample.time.as_secs_f64()),
                Err(error) => error,
            };
            eprintln!("round {}: {}: {said}", round + 1, one.tool.title());
            match sample {
                Ok(sample) => one.samples.push(sample),
                Err(error) => one.failure = Some(error.to_string()),
            }
        }
    }
    all
}

/// One run of a tool that copies the source of `place` onto its target.
pub(crate) fn timed(
    settings: &Settings,
    tool: Tool,
    place: &Place,
    job: &Job,
) -> Result<Sample, Failure> {
    if let Some(keys) = tool.service_config() {
        let service = Service::prepare(place.beside(), (&job.source, &job.target), &keys)?;
        return Ok(Sample {
            time: service.run_to_end(settings.limit)?,
            peak_bytes: None,
            requests: None,
        });
    }
    let Some(mut command) = tool.command(job) else {
        return Err(format!("{} has no command", tool.title()).into());
    };
    let ended = run::to_end(&mut command, settings.limit)?;
    Ok(Sample {
        time: ended.time,
        peak_bytes: ended.peak_bytes,
        requests: None,
    })
}

/// An error where the two trees are not the same by these options.
pub(crate) fn same(source: &Path, target: &Path, options: &Options) -> Result<(), Failure> {
    let differences = compare(source, target, options);
    match differences.first() {
        None => Ok(()),
        Some(first) => {
            let count = differences.len();
            Err(format!("the copy differs in {count} places, first {first}").into())
        }
    }
}
