//! What tests and benchmarks stand on: trees whose counts are known, a comparer, a foreign oracle,
//! mounts, and programs run as separate processes.
//!
//! Nothing here uses a crate that it judges: names of unfinished files, the results table and the rules of what
//! makes two trees equal are written down a second time, from the documentation. A helper that cannot do its work
//! says why (a missing tool: which package has it) and never lets a test pass by skipping.

pub mod compare;
pub mod damage;
pub mod descriptors;
pub mod fuse;
pub mod leftovers;
pub mod mount;
pub mod network;
pub mod posix_acl;
pub mod power;
pub mod process;
pub mod random;
pub mod rclone;
mod removal;
pub mod results;
pub mod rsync;
pub mod scratch;
pub mod stamps;
pub mod tool;
pub mod tree;

pub use compare::{assert_same, compare};
pub use leftovers::leftovers;
pub use process::{Program, free_port};
pub use rsync::{HardLinks, rsync_differences};
pub use scratch::{Scratch, memory};
pub use stamps::Stamps;
