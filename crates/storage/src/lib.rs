//! Where bytes live, and whether it is the right place.
//!
//! `posix` has the only raw file calls of the project: trees by held directory descriptors. `mounts` and
//! `fs_type` tell on what a descriptor lies; `roots` pins a task's source and target and guards
//! them with that; `locality` says whether a directory may hold a database.

pub mod fs_type;
pub mod locality;
pub mod mounts;
pub mod posix;
pub mod roots;
