//! What is kept of an entry besides its kind and content: owner, extended attributes and ACLs, mode, times; set in
//! this order (a new owner clears setuid and capabilities, an ACL changes the mode), always through a
//! descriptor, and only where they aren't right already.
//!
//! What the target can't hold is lost by one policy: counted and named, or the entry fails.

mod creation;
mod directory;
mod keep;
mod xattrs;

pub(crate) use creation::{Creation, CreationMode, creation_mode, inherited};
pub(crate) use directory::{
    Set, attributes_of_directory, complete_directory, open_up, passable, set_on_directory,
    sync_directory,
};
pub(crate) use keep::{At, Keeper, Present, Wanted};
pub(crate) use xattrs::{carried, differing, is_acl, xattrs_differ};
