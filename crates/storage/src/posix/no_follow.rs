//! What keeps each open in its tree: the last component of a name is never followed.
//!
//! The feature `deliberately-unsafe` takes that away. It is there for one test, which shows that the attack under which
//! nothing outside the roots is reached does reach something where the engine follows links.

use rustix::fs::OFlags;

#[cfg(all(feature = "deliberately-unsafe", not(debug_assertions)))]
compile_error!("deliberately-unsafe is for tests: no release build may follow links");

pub(super) const NO_FOLLOW: OFlags = match cfg!(feature = "deliberately-unsafe") {
    true => OFlags::empty(),
    false => OFlags::NOFOLLOW,
};
