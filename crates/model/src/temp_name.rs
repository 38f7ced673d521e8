//! The names under which unfinished files and directories lie at the target:
//! `.dm.RUN.ITEM.EPOCH.SEQ`, all in hexadecimal.
//!
//! A later attempt at an item recognises by them what its predecessors left.
//! RUN is random, so that a user's file is never taken for one of ours.

use std::fmt;

use crate::ids::{Epoch, ItemId, RunId, TaskId};

const PREFIX: &str = ".dm.";

/// Who owns an unfinished entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TempName {
    pub run: RunId,
    pub item: ItemId,
    pub epoch: Epoch,
    pub seq: u64,
}

impl TempName {
    pub fn format(&self) -> String {
        format!(
            "{PREFIX}{}.{}.{:x}.{:x}",
            self.run, self.item, self.epoch.0, self.seq
        )
    }

    /// Reads a name back; `None` when it was not written by [`TempName::format`].
    pub fn parse(name: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(name).ok()?.strip_prefix(PREFIX)?;
        let mut parts = text.split('.');
        let temp = Self {
            run: parts.next()?.parse().ok()?,
            item: parts.next()?.parse().ok()?,
            epoch: Epoch(u32::from_str_radix(parts.next()?, 16).ok()?),
            seq: u64::from_str_radix(parts.next()?, 16).ok()?,
        };
        (parts.next().is_none() && temp.format().as_bytes() == name).then_some(temp)
    }

    /// Whether `later`, another attempt at the same item, may remove what has this name.
    pub fn is_superseded_by(&self, run: RunId, item: ItemId, later: Epoch) -> bool {
        self.run == run && self.item == item && self.epoch < later
    }
}

/// The name of the marker that a run leaves at a task's target root, `.dm.RUN.TASK.marker`: every worker must find it
/// there before it writes, so that a missing mount is never written under. Tasks may share a root, and
/// each takes its own marker away at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarkerName {
    pub run: RunId,
    pub task: TaskId,
}

impl MarkerName {
    /// Reads a name back; `None` when it is no marker's.
    pub fn parse(name: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(name).ok()?.strip_prefix(PREFIX)?;
        let (run, task) = text.strip_suffix(".marker")?.split_once('.')?;
        let marker = Self {
            run: run.parse().ok()?,
            task: TaskId(task.parse().ok()?),
        };
        (marker.to_string().as_bytes() == name).then_some(marker)
    }
}

impl fmt::Display for MarkerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}.{}.marker", self.run, self.task)
    }
}

#[cfg(test)]
mod tests {
    use super::{MarkerName, TempName};
    use crate::ids::{Epoch, ItemId, RunId, TaskId};

    #[test]
    fn only_our_own_names_are_recognised() {
        let temp = TempName {
            run: RunId::from_random(7),
            item: ItemId::from_random(8),
            epoch: Epoch(2),
            seq: 255,
        };
        let name = temp.format();
        assert_eq!(TempName::parse(name.as_bytes()), Some(temp));
        assert!(temp.is_superseded_by(temp.run, temp.item, Epoch(3)));
        assert!(!temp.is_superseded_by(temp.run, temp.item, Epoch(2)));
        for other in [
            ".dm.x",
            ".dm.1.2.3.4",
            &format!("{name}.5"),
            &name.to_uppercase(),
            &name.replace(".2.", ".02."),
        ] {
            assert_eq!(TempName::parse(other.as_bytes()), None, "{other}");
        }
    }
    #[test]
    fn a_marker_tells_its_run() {
        let marker = MarkerName {
            run: RunId::from_random(7),
            task: TaskId(12),
        };
        let name = marker.to_string();
        assert_eq!(MarkerName::parse(name.as_bytes()), Some(marker));
        for other in [
            &name.replace(".12.", ".012."),
            &name.replace(".dm.", ".dm"),
            ".dm.marker",
        ] {
            assert_eq!(MarkerName::parse(other.as_bytes()), None, "{other}");
        }
    }
}
