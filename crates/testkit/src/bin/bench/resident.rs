//! How much memory programs have from their start to their end.

use std::thread;
use std::time::{Duration, Instant};

use testkit::Program;
use testkit::process::Exit;

use crate::Failure;

const SAMPLE: Duration = Duration::from_millis(250);
/// Threads come as work does: that long, or a tenth of a shorter time, is left out.
const START: Duration = Duration::from_secs(30);
/// Between two lines of progress.
const TOLD: Duration = Duration::from_secs(5);

/// A program, and what it had in resident memory each quarter of a second, in bytes.
pub(crate) struct Watched {
    pub(crate) name: &'static str,
    program: Program,
    resident: Vec<u64>,
    pub(crate) peak_bytes: u64,
}

impl Watched {
    pub(crate) fn new(name: &'static str, program: Program) -> Self {
        Self {
            name,
            program,
            resident: Vec::new(),
            peak_bytes: 0,
        }
    }

    /// Medians of the first and the last tenth of its time after its start; none of one that ended at once.
    pub(crate) fn tenths(&self) -> Option<(u64, u64)> {
        tenths(&self.resident)
    }

    fn has_not_failed(&self) -> Result<(), Failure> {
        match self.program.exit() {
            None | Some(Exit::Code(0)) => Ok(()),
            Some(exit) => {
                let said = self.program.stderr() + &self.program.stdout();
                Err(format!("the {} ended with {exit:?}: {said}", self.name).into())
            }
        }
    }

    fn now(&self) -> String {
        let mib = self.resident.last().copied().unwrap_or_default() as f64 / 1_048_576.0;
        format!("{} {mib:.1} MiB", self.name)
    }

    fn look(&mut self) {
        if let Some(memory) = self.program.memory() {
            self.resident.push(memory.resident_bytes);
            self.peak_bytes = self.peak_bytes.max(memory.peak_bytes);
        }
    }
}

/// Watches them until each has ended, with 0 and within `limit`; `progress` says how far they are.
pub(crate) fn to_end(
    all: &mut [Watched],
    limit: Duration,
    progress: impl Fn() -> Result<String, Failure>,
) -> Result<Duration, Failure> {
    let begun = Instant::now();
    let mut told = begun;
    while all.iter().any(|one| one.program.is_running()) {
        all.iter_mut().for_each(Watched::look);
        // The others would wait for one that has failed.
        all.iter().try_for_each(Watched::has_not_failed)?;
        if begun.elapsed() > limit {
            return Err(format!("no end within {} s: {}", limit.as_secs(), progress()?).into());
        }
        if told.elapsed() > TOLD {
            told = Instant::now();
            let memory: Vec<String> = all.iter().map(Watched::now).collect();
            let seconds = begun.elapsed().as_secs();
            eprintln!("{seconds} s: {}; {}", progress()?, memory.join(", "));
        }
        thread::sleep(SAMPLE);
    }
    let time = begun.elapsed();
    all.iter().try_for_each(Watched::has_not_failed)?;
    Ok(time)
}

fn tenths(samples: &[u64]) -> Option<(u64, u64)> {
    let start = (START.as_millis() / SAMPLE.as_millis()) as usize;
    let samples = &samples[start.min(samples.len() / 10)..];
    let size = samples.len().div_ceil(10);
    let median = |part: &[u64]| {
        let mut part = part.to_vec();
        part.sort_unstable();
        part.get(part.len() / 2).copied()
    };
    let first = median(&samples[..size])?;
    Some((first, median(&samples[samples.len() - size..])?))
}

#[cfg(test)]
mod tests {
    use super::tenths;

    #[test]
    fn tenths_are_judged_by_their_medians() {
        assert_eq!(tenths(&[]), None);
        assert_eq!(tenths(&[7]), Some((7, 7)));
        // Of the 45 after the start, 5 are a tenth.
        let rising: Vec<u64> = (0..50).collect();
        assert_eq!(tenths(&rising), Some((7, 47)));
        // Of a long run 120 are its start.
        let long: Vec<u64> = (0..2120).collect();
        assert_eq!(tenths(&long), Some((220, 2020)));
        let mut with_a_spike = vec![10; 50];
        with_a_spike[48] = 1000;
        assert_eq!(tenths(&with_a_spike), Some((10, 10)));
    }
}
