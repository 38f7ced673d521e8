//! Whether two trees are the same, by walking both and looking at everything that [`Options`] names.
//!
//! Directories are held by descriptors and entries named relative to them, so that neither odd names nor paths longer
//! than PATH_MAX are in the way; links are never followed. Neither stack nor descriptors grow with the depth. Content
//! is read in full on both sides, holes included. What cannot be read is a difference too, never taken for equal.

mod difference;
mod entry;
mod extended;
mod walk;

use std::path::Path;

pub use difference::{Aspect, Difference};

/// What must be the same. The default: all that `cp -a` keeps but hard links, ACLs, extended attributes and holes;
/// owners only where the caller is root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub modes: bool,
    pub owners: bool,
    pub file_times: bool,
    pub directory_times: bool,
    pub symlink_times: bool,
    pub content: bool,
    /// Mode, owner and time of the two roots.
    pub root_attributes: bool,
    /// Which names are names of one file.
    pub hard_links: bool,
    /// Who may do what, and what directories hand down: as rights, not as bytes.
    pub acls: bool,
    /// Names and values of extended attributes but ACLs, on entries of every kind.
    pub extended_attributes: bool,
    /// `b` may not take up more blocks than `a` by over 64 KiB a file.
    pub holes: bool,
    /// Entries that exist only in `b` are no difference.
    pub extra_entries_allowed: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            modes: true,
            owners: rustix::process::geteuid().is_root(),
            file_times: true,
            directory_times: true,
            symlink_times: true,
            content: true,
            root_attributes: true,
            hard_links: false,
            acls: false,
            extended_attributes: false,
            holes: false,
            extra_entries_allowed: false,
        }
    }
}

impl Options {
    /// Kinds, sizes, link targets and content only.
    pub fn data_only() -> Self {
        Self {
            modes: false,
            owners: false,
            file_times: false,
            directory_times: false,
            symlink_times: false,
            root_attributes: false,
            ..Self::default()
        }
    }

    /// All that can be compared.
    pub fn everything() -> Self {
        Self {
            hard_links: true,
            acls: true,
            extended_attributes: true,
            holes: true,
            ..Self::default()
        }
    }
}

/// Every difference between the trees below `a` and `b`, in the order of their paths.
pub fn compare(a: &Path, b: &Path, options: &Options) -> Vec<Difference> {
    walk::walk(a, b, options)
}

/// Asserts that the trees are the same by the default [`Options`].
///
/// # Panics
/// Where they are not, with the first differences.
#[track_caller]
pub fn assert_same(a: &Path, b: &Path) {
    assert_same_by(a, b, &Options::default());
}

/// Asserts that the trees are the same by these options.
///
/// # Panics
/// Where they are not, with the first differences.
#[track_caller]
pub fn assert_same_by(a: &Path, b: &Path, options: &Options) {
    const SHOWN: usize = 20;
    let differences = compare(a, b, options);
    let rows: Vec<String> = differences
        .iter()
        .take(SHOWN)
        .map(|difference| format!("  {difference}"))
        .collect();
    assert!(
        differences.is_empty(),
        "{} and {} differ in {} places:\n{}",
        a.display(),
        b.display(),
        differences.len(),
        rows.join("\n")
    );
}

#[cfg(test)]
mod tests;
