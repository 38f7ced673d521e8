//! How many descriptors this process, and what it starts, may have open. A limit that could not be raised shows where
//! the next descriptor is refused.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// To what is allowed without privileges.
pub fn raise_soft_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}

/// To what the kernel allows root, else as [`raise_soft_limit`].
pub fn raise_hard_limit() {
    let most = std::fs::read_to_string("/proc/sys/fs/nr_open")
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let limit = Rlimit {
        current: most,
        maximum: most,
    };
    if most.is_none() || setrlimit(Resource::Nofile, limit).is_err() {
        raise_soft_limit();
    }
}
