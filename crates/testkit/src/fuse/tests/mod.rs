//! What the file system promises, by mounting it over directories of this machine. Needs root.

mod delays;
mod ends;
mod faults;
mod lies;
mod passthrough;

use std::path::PathBuf;
use std::time::Duration;

use super::{Mounted, SlowFs};
use crate::Scratch;

const PATIENCE: Duration = Duration::from_secs(60);

/// A file system over `lower`, both in a directory that goes with them.
struct Stand {
    // Dropped before the directory that it is in.
    mounted: Mounted,
    scratch: Scratch,
}

impl Stand {
    fn new(label: &str) -> Self {
        Self::with(label, |slow| slow)
    }

    fn with(label: &str, set: impl FnOnce(SlowFs) -> SlowFs) -> Self {
        Self::on(Scratch::in_memory(label), set)
    }

    fn on(scratch: Scratch, set: impl FnOnce(SlowFs) -> SlowFs) -> Self {
        let lower = scratch.directory("lower");
        let point = scratch.directory("mounted");
        let mounted = set(SlowFs::over(&lower)).mount(&point).unwrap();
        Self { mounted, scratch }
    }

    fn lower(&self, name: &str) -> PathBuf {
        self.scratch.join("lower").join(name)
    }

    fn upper(&self, name: &str) -> PathBuf {
        self.mounted.path().join(name)
    }
}
