//! One tree, copied onto one state of a target by several programs: a case, the programs, and what must hold then.

mod case;
mod examine;
mod tool;

pub use case::{Before, Case, any_case};
pub use examine::{examine, has_sticky_acls};
pub use tool::{Tool, User};
