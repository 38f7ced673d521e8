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

/// What the names end with under which rclone writes files before they are finished: `.dm`, ten
/// hexadecimal digits of the item, three of the epoch. rclone takes 16 characters at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartialSuffix {
    pub item: ItemId,
    pub epoch: Epoch,
}

impl PartialSuffix {
    const ITEM_BITS: u64 = (1 << 40) - 1;
    const EPOCH_BITS: u32 = (1 << 12) - 1;

    /// Whether a name was left unfinished by this attempt or by another one at the same item.
    pub fn is_of_item(&self, name: &[u8]) -> bool {
        let own = self.to_string();
        let same = own.len() - 3;
        let Some(at) = name.len().checked_sub(own.len()) else {
            return false;
        };
        let (end, epoch) = name[at..].split_at(same);
        end == &own.as_bytes()[..same] && epoch.iter().all(u8::is_ascii_hexdigit)
    }
}

impl fmt::Display for PartialSuffix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let item = self.item.get() & Self::ITEM_BITS;
        let epoch = self.epoch.0 & Self::EPOCH_BITS;
        write!(f, ".dm{item:010x}{epoch:03x}")
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
    use super::{MarkerName, PartialSuffix, TempName};
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

    #[test]
    fn what_rclone_left_is_recognised_by_its_item() {
        let suffix = |item, epoch| PartialSuffix {
            item: ItemId::from_random(item),
            epoch: Epoch(epoch),
        };
        let own = suffix(0x0123_4567_89ab_cdef, 3).to_string();
        assert_eq!(own, ".dm6789abcdef003");
        assert!(own.len() <= 16, "rclone takes no more");
        let later = suffix(0x0123_4567_89ab_cdef, 4);
        for (name, is_ours) in [
            (format!("a.1ba2f16d{own}"), true),
            (own.clone(), true),
            (format!("a{own}x"), false),
            (format!("a{}", suffix(7, 3)), false),
            ("a.dm6789abcdefxyz".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(later.is_of_item(name.as_bytes()), is_ours, "{name}");
        }
    }
}
