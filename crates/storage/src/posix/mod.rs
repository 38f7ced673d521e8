//! POSIX trees by directory descriptor.
//!
//! The one place with raw file calls. Each name is looked up relative to a held directory
//! descriptor and its last component is never followed, so what an attacker swaps in during
//! a migration can't lead out of the tree. Interrupted calls are repeated here; everything
//! else comes back as an [`Error`] with what was attempted.

mod descent;
mod dir;
mod error;
mod file;
mod inode;
mod listing;
mod make;
mod meta;
mod no_follow;
mod process;
mod remove;
mod room;
mod xattr;

pub use descent::{Descent, Moved};
pub use dir::{Dir, Replace};
pub use error::{Action, Error, Side, classify};
pub(crate) use error::{is_trouble, no_room};
pub use file::File;
pub use inode::Inode;
pub use listing::{Listed, ListingBuffer};
pub use meta::{Kind, Meta, Owner, Times, Timestamp};
pub use process::{
    Identity, isolate_creation_mask, kernel_is_since, max_descriptors, process_cpu_time,
    process_mask, thread_cpu_time,
};
pub use xattr::{ACL_ACCESS, ACL_DEFAULT, Xattrs, XattrsOf};
