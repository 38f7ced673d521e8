//! Sends files to the server, piece by piece, and goes on where it stands however often it was interrupted.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use wire::proto::{UploadKind, UploadRequest};

use crate::slot::Slot;
use crate::verdict::Verdict;

/// Bytes of one call.
const PIECE: u64 = 1 << 20;

impl Slot<'_> {
    /// Sends a whole file; when this returns, the server has it on its disk. `list`: of a list, the item it is for.
    pub(crate) fn upload(&self, path: &Path, kind: UploadKind, list: u64) -> Result<(), Verdict> {
        let failed = |e: io::Error| Verdict::failed(format!("cannot read {}: {e}", path.display()));
        let mut file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let mut offset = 0;
        loop {
            let mut bytes = Vec::new();
            file.seek(SeekFrom::Start(offset))
                .and_then(|_| file.by_ref().take(PIECE).read_to_end(&mut bytes))
                .map_err(failed)?;
            let last = offset + bytes.len() as u64 >= length;
            let request = UploadRequest {
                session: self.session.id,
                item: self.running.item.get(),
                epoch: self.running.epoch.0,
                kind: kind.into(),
                list,
                offset,
                bytes,
                last,
            };
            let reply = self.call(|mut client| {
                let request = request.clone();
                async move { client.upload(request).await }
            })?;
            if last && reply.stored >= length {
                return Ok(());
            }
            // It may have less than was sent before, if it lost its disk's last writes.
            offset = reply.stored.min(length);
        }
    }
}
