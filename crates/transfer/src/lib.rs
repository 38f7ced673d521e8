//! Moves one item: walks, compares, copies, publishes, and sets attributes.
//!
//! [`run`] blocks its caller while a pool of [`Threads`], shared by all attempts of the process,
//! does the work. The engine knows no server: it asks a [`Fence`] whether it may still write,
//! and a [`Share`] whether somebody else wants part of its work.
//!
//! What an attempt promises:
//! - A final name appears only when its content is complete (and, as asked, durable).
//! - Each entry it read from a directory has exactly one result in the outcome.
//! - One bad entry is a counted failure; only what spoils the whole item is a [`Stopped`].
//! - All of it is idempotent: an attempt that died is simply run again.
//!
//! The story in the order of the files: `attempt` (what is asked), `threads` and `queue` (who does
//! it and when), `start` and `walk` (directories), `selection` (what is left out), `target` and `node` (one directory at the
//! target), `entry` and `link` (one file or link), `content` (its bytes), `batch` (durable
//! publishing), `engine` (what all share).

mod again;
mod attempt;
mod attributes;
mod batch;
mod bytes;
pub mod check;
mod compare;
mod content;
mod engine;
mod entry;
mod excluded;
mod find;
mod foreign_names;
mod fs_types;
mod full_read;
mod hard_links;
mod held;
mod late;
mod ledger;
mod link;
mod links_phase;
mod load;
mod node;
mod pace;
mod parents;
mod parts;
mod patterns;
mod policy;
mod progress;
mod put;
mod queue;
mod range;
pub mod rclone;
mod selection;
mod settled;
mod share;
mod special;
mod start;
mod supply;
mod sweep;
mod target;
mod threads;
mod unfinished;
mod vanished;
mod verify;
mod walk;
mod watch;
mod window;

pub use attempt::{
    Attempt, AttemptWork, Cancel, CheckRoots, Fence, FileWork, Finished, Found, FoundLinks,
    NotTaken, RootsLost, Settling, Share, Stopped, Unbegun, run,
};
pub use progress::Progress;
pub use sweep::{Remove, Swept, sweep};
pub use threads::Threads;
pub use watch::{Silence, asking};
