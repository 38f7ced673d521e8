//! How urgent a task is beside the others of its run: of those with waiting items, the one with the highest goes first.
//!
//! It says when things are copied, not what is: it is no part of a task, of what is stored of it, or of the run's identity.

use std::fmt;

/// From [`Priority::LOWEST`] to [`Priority::HIGHEST`]; 0 unless the tasks file says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Priority(i32);

impl Priority {
    pub const LOWEST: Self = Self(-1000);
    pub const HIGHEST: Self = Self(1000);

    /// `None` if it is out of range.
    pub fn new(number: i32) -> Option<Self> {
        let range = Self::LOWEST..=Self::HIGHEST;
        Some(Self(number)).filter(|priority| range.contains(priority))
    }

    pub fn get(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
