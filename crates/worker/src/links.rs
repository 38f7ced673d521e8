//! Names that a walk leaves to the links phase, on their way to the server: first in a private file, so that memory stays
//! bounded however many there are.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::{Arc, Mutex, PoisonError};

use model::found_links::FoundLink;
use transfer::FoundLinks;
use transfer::rclone::PrivateDir;
use wire::proto::UploadKind;

use crate::slot::Slot;
use crate::verdict::Verdict;

/// The names that one attempt left.
#[derive(Default)]
pub(crate) struct LeftNames(Mutex<Option<Written>>);

struct Written {
    directory: PrivateDir,
    file: BufWriter<File>,
}

const NAME: &str = "links";

impl Written {
    fn begin() -> io::Result<Self> {
        let directory = PrivateDir::create()?;
        let path = directory.path().join(NAME);
        let file = File::options().write(true).create_new(true).open(path)?;
        Ok(Self {
            directory,
            file: BufWriter::new(file),
        })
    }
}

impl FoundLinks for LeftNames {
    fn add(&self, link: &FoundLink) -> Result<(), String> {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut add = || -> io::Result<()> {
            if written.is_none() {
                *written = Some(Written::begin()?);
            }
            match written.as_mut() {
                Some(written) => written.file.write_all(&link.encode()),
                None => Ok(()),
            }
        };
        add().map_err(|e| format!("cannot write down names of files with several: {e}"))
    }
}

impl Slot<'_> {
    /// Sends the server what the attempt left; it counts when the attempt is complete.
    pub(crate) fn send_left_names(&self, left: &Arc<LeftNames>) -> Result<(), Verdict> {
        let written = left.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut written) = written else {
            return Ok(());
        };
        written
            .file
            .flush()
            .map_err(|e| Verdict::failed(format!("cannot write down names of files: {e}")))?;
        self.upload(&written.directory.path().join(NAME), UploadKind::Links, 0)
    }
}
