//! What can go wrong inside one call, before it is known what the call was for.

use super::blob::DecodeError;
use crate::store::StoreError;

#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The caller asked for what may not be.
    #[error(transparent)]
    Refused(#[from] StoreError),
}

impl CallError {
    /// The error as callers of the store see it; `action` completes "cannot …".
    pub(super) fn during(self, action: &'static str) -> StoreError {
        match self {
            CallError::Sqlite(error) => database(action, error),
            CallError::Decode(error) => database(action, error),
            CallError::Refused(error) => error,
        }
    }
}

pub(super) fn database(
    action: &'static str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StoreError {
    StoreError::Database {
        action,
        source: source.into(),
    }
}
