//! The nouns of data-migrate: what a run, a task, an item and an outcome are,
//! how they may change, and how users write them down.
//!
//! Nothing here does I/O or waits. Decisions are pure functions of values, so
//! that each rule can be shown by a table of cases.

pub mod choice;
pub mod config;
pub mod engine;
mod error_chain;
pub mod file_list;
pub mod filter;
pub mod found_files;
pub mod found_links;
pub mod fs_type;
pub mod go_duration;
pub mod identity;
pub mod ids;
pub mod item;
pub mod location;
mod name_hash;
mod no_room;
pub mod options;
pub mod outcome;
pub mod path;
mod priority;
pub mod tasks_file;
pub mod temp_name;

pub use choice::Choice;
pub use engine::{Engine, RcloneOptions};
pub use error_chain::error_chain;
pub use filter::Filter;
pub use ids::{Epoch, ItemId, RunId, SessionId, TaskId};
pub use item::{
    FileIdentity, FilesWork, Item, ItemState, Lease, ListPlace, Purpose, RangeSizes, RangeState,
    RangeWork, StaleLease, Work, WorkKind,
};
pub use location::{Location, SourceIdentity, Task};
pub use name_hash::{HashRange, name_hash};
pub use no_room::NoRoom;
pub use options::{Attribute, Compare, CopyOptions, Durability, Preserve};
pub use outcome::{Counters, Failure, FailureClass, Outcome, SkipReason};
pub use path::RelPath;
pub use priority::Priority;
pub use temp_name::{PartialSuffix, TempName};
