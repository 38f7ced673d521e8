
pub mod posix;
