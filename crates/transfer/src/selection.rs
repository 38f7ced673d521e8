//! What an attempt, or a check, leaves out of its source by the filter of its run.
//!
//! Where there is no filter, no path is put together and nothing is looked at for it.

use model::filter::{Above, EntryKind, Rules};
use model::{Filter, RelPath, SkipReason};
use storage::posix::{Dir, Kind, Meta};

use crate::attempt::Stopped;
use crate::engine::describe;

#[derive(Default)]
pub(crate) struct Selection {
    rules: Rules,
    /// Ages are counted back from here: seconds since 1970.
    began_secs: i64,
    /// The only device whose directories are entered; none: all are.
    device: Option<u64>,
}

impl Selection {
    /// # Errors
    /// The filter can't be used, or the root can't be looked at.
    pub(crate) fn new(filter: &Filter, began_secs: i64, root: &Dir) -> Result<Self, Stopped> {
        let mut selection = Self::of_remote(filter, began_secs)?;
        if selection.rules.is_one_file_system() {
            let meta = root.meta().map_err(|e| Stopped::Again(describe(&e)))?;
            selection.device = Some(meta.dev);
        }
        Ok(selection)
    }

    /// Of a source without file systems.
    ///
    /// # Errors
    /// The filter can't be used.
    pub(crate) fn of_remote(filter: &Filter, began_secs: i64) -> Result<Self, Stopped> {
        let rules = Rules::compile(filter).map_err(|e| Stopped::Again(model::error_chain(&e)))?;
        Ok(Self {
            rules,
            began_secs,
            device: None,
        })
    }

    /// What a directory means for what is in it.
    pub(crate) fn above(&self, directory: &RelPath) -> Above {
        self.rules.above(directory)
    }

    /// Why an entry is left out by its path.
    pub(crate) fn skips(
        &self,
        above: Above,
        path: impl FnOnce() -> RelPath,
        kind: Kind,
    ) -> Option<SkipReason> {
        if !self.rules.has_patterns() {
            return None;
        }
        let kind = match kind {
            Kind::Directory => EntryKind::Directory,
            _ => EntryKind::NoDirectory,
        };
        self.rules.skips(above, &path(), kind)
    }

    /// Whether directories have to be looked at before they are entered.
    pub(crate) fn is_one_file_system(&self) -> bool {
        self.device.is_some()
    }

    /// Why a directory is not entered that was found to be this.
    pub(crate) fn skips_directory(&self, meta: &Meta) -> Option<SkipReason> {
        let is_elsewhere = self.device.is_some_and(|device| device != meta.dev);
        is_elsewhere.then_some(SkipReason::OtherFileSystem)
    }

    /// Whether files have to be looked at before anything else.
    pub(crate) fn has_limits(&self) -> bool {
        self.rules.has_limits()
    }

    /// Whether times have to be asked for.
    pub(crate) fn has_ages(&self) -> bool {
        self.rules.has_ages()
    }

    /// Why a regular file is left out that was found to be this.
    pub(crate) fn skips_file(&self, meta: &Meta) -> Option<SkipReason> {
        self.skips_known(Some(meta.size), Some(meta.modified.secs))
    }

    /// The same of a file of which not all may be known.
    pub(crate) fn skips_known(
        &self,
        bytes: Option<u64>,
        modified_secs: Option<i64>,
    ) -> Option<SkipReason> {
        self.rules.skips_file(bytes, modified_secs, self.began_secs)
    }
}
