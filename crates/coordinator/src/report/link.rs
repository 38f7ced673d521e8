//! A link that opens what it leads to for whoever has it.

use std::fmt;

/// An address that may carry a signature. Printed by accident, it is `***`; those who mean to show it say so.
#[derive(Clone, PartialEq, Eq)]
pub struct Link(String);

impl Link {
    pub fn new(url: String) -> Self {
        Self(url)
    }

    /// The address itself, for reports and notices.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
