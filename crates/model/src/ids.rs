//! Identities. Each kind has its own type, so that one can't be passed for another.
//!
//! Random ids are drawn by their makers and have 63 bits, which fits an SQL integer.

use std::fmt;
use std::str::FromStr;

/// Largest value of a random id: 63 bits, so that it is a positive SQL integer.
pub const MAX_RANDOM_ID: u64 = i64::MAX as u64;

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// Takes 64 random bits; the topmost is dropped.
            pub fn from_random(bits: u64) -> Self {
                Self(bits & MAX_RANDOM_ID)
            }

            pub fn get(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:016x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:016x})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                match u64::from_str_radix(text, 16) {
                    Ok(id) if text.len() == 16 && id <= MAX_RANDOM_ID => Ok(Self(id)),
                    _ => Err(InvalidId),
                }
            }
        }
    };
}

random_id! {
    /// One execution of a config and its tasks file.
    RunId
}
random_id! {
    /// One unit of leased work.
    ItemId
}
random_id! {
    /// One registration of one worker process.
    SessionId
}

/// Text that is no id: expected are 16 hexadecimal digits below 2⁶³.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected 16 hexadecimal digits below 8000000000000000")]
pub struct InvalidId;

/// The number of a task: its position among the tasks of the file, from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TaskId(pub u32);

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of an attempt at an item: 0 before the first grant, then one more with each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Epoch(pub u32);

impl Epoch {
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::{InvalidId, ItemId};

    #[test]
    fn an_id_reads_back_what_it_prints() {
        let id = ItemId::from_random(u64::MAX);
        assert_eq!(id.to_string().parse::<ItemId>(), Ok(id));
        assert_eq!("ffffffffffffffff".parse::<ItemId>(), Err(InvalidId));
        assert_eq!("12".parse::<ItemId>(), Err(InvalidId));
    }
}
