
pub mod fs_type;
pub mod locality;
pub mod mounts;
pub mod posix;
pub mod roots;
