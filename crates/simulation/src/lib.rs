//! The whole of a migration in one thread, played from a seed: the real scheduler over a real store, workers with the
//! real leases and fences, and all that can go wrong between them.
//!
//! Real: the coordinator's `Scheduler` with its fleet and its SQLite store, and the worker's `lease`. Modelled: files are
//! names with versions, attempts are steps, calls are messages. [`world`] has the queue of what happens next; a [`faults`]
//! is drawn before; what must never be so is noted where it is seen (`watch`, `step`), what must be so in the end is
//! looked at in `check`.

mod attempt;
mod broken;
mod calls;
mod check;
mod clock;
mod excluded;
mod faults;
mod lister;
mod message;
mod network;
mod random;
mod ranges;
mod seeds;
mod server;
mod session;
mod share;
mod step;
mod tree;
mod watch;
mod worker;
mod world;

pub use broken::Rule;
pub use faults::Fired;
pub use seeds::{Range, Tally, Wrong, play, run};
pub use world::Ran;
