//! The server's side of a migration: it decides who does what, remembers it, and shows it.
//! It never copies.
//!
//! From outside in: [`server`] reads what the user wrote and serves; `callers` tells who speaks
//! no HTTP, `http` answers probes, `service` turns calls into verbs of the [`scheduler`], which
//! decides with the help of the `fleet` (who is there) and the [`store`] (what must not be
//! forgotten); `links` deals out files with several names, `ledger` adds up what a task did, `results` and [`report`] show it, `notices` tell
//! of it, [`uploads`] bring it to S3. What leaves this process over HTTP goes through `https`.

mod callers;
pub mod data_dir;
mod fleet;
mod http;
mod https;
mod ledger;
mod links;
mod mounts;
mod no_room;
mod notices;
mod plan;
mod received;
pub mod report;
pub mod results;
pub mod scheduler;
pub mod server;
mod service;
mod status;
pub mod store;
pub mod uploads;

pub use received::Received;

/// 64 random bits, for ids.
fn random() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    u64::from_ne_bytes(bytes)
}
