//! What goes over the wire: the gRPC contract and the one place that turns its messages
//! into the model's nouns and back.
//!
//! A message from a peer is data: whatever it holds, it is turned into legal values or refused
//! with a [`BadMessage`] that names the field. Nothing here panics on it.

mod convert;
mod filter;
mod no_room;
mod rclone;

/// Generated from `proto/data_migrate.proto`, where the rules of each call are written.
#[allow(clippy::all)]
pub mod proto {
    tonic::include_proto!("data_migrate.v1");
}

pub use convert::{BadMessage, item_epoch, rel_paths, run_from, verdict};

/// Raised with every change that an older program would misread.
pub const PROTOCOL_VERSION: u32 = 3;

/// Largest message that either side takes, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// Paths in one page, in bytes.
pub const MAX_PAGE_BYTES: usize = 1024 * 1024;

/// Failures by name in one `Complete`, in bytes.
pub const MAX_FAILURE_BYTES: usize = 3 * 1024 * 1024;
