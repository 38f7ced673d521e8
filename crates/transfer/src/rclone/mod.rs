//! Drives rclone, which moves the bytes of regular files.
//!
//! rclone's exit code alone never makes a success: each listed name gets a claim of its own from what rclone logs of
//! it, a name without one is looked up, and at a mounted target each claim is held against what is there.
//!
//! In the order of their use: `probe` finds the program and its `version`, `environment` and `config_file` say what
//! a process gets of this worker's, `names` what a list can tell it, `ends` and `pinned` how it reaches source and
//! target, `private` keeps lists and config from others' eyes, `arguments` is its command line, `process` runs one and ends
//! it, `log` reads what it says, `claims` keeps that, `piece` runs it until every name has a claim with the help of
//! `look_up`, `partials` clears up after one that was ended, `full` tells a target that takes nothing more, `remote` lists remotes and looks at what came from them.

mod arguments;
mod claims;
mod config_file;
mod config_line;
mod config_location;
mod ends;
mod environment;
mod full;
mod log;
mod look_up;
mod names;
mod partials;
mod piece;
mod pinned;
mod private;
mod probe;
mod process;
mod remote;
mod remote_listing;
mod remote_name;
mod remote_walk;
mod version;

pub use claims::{Claim, Claims};
pub use config_file::ConfigFileError;
pub use ends::End;
pub(crate) use names::{NOT_LISTABLE, can_be_listed};
pub use piece::{Piece, Watch, parents, run_piece};
pub use private::PrivateDir;
pub use probe::{NoRclone, Rclone};
pub use remote::{RemoteError, has_anything, settle_remote};
pub use remote_walk::{RemoteWalk, walk_remote};
