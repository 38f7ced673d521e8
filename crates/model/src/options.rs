//! How entries are compared and copied: what a config or the flags of `copy` ask of the engine.

use serde::{Deserialize, Serialize};

/// When a final name may appear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// At once. A power cut may leave files under their final names whose content is lost.
    None,
    /// When the content of a whole batch has been synced.
    #[default]
    Batch,
    /// When the file's own content has been synced.
    File,
}

/// What concerns one copy, whoever runs it. The same for all tasks of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyOptions {
    /// Compare by size alone, not by size and modification time.
    pub size_only: bool,
    /// Leave files alone that are newer at the target.
    pub update: bool,
    /// Change nothing; count what would be copied.
    pub dry_run: bool,
    /// Do not carry modification times over.
    pub omit_times: bool,
    pub durability: Durability,
}

impl Default for CopyOptions {
    fn default() -> Self {
        Self {
            size_only: false,
            update: false,
            dry_run: false,
            omit_times: false,
            durability: Durability::Batch,
        }
    }
}
