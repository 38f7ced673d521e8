
pub mod mounts;
pub mod posix;
