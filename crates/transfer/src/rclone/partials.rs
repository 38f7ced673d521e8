//! Files that an rclone which was ended had not finished: they lie beside their final names, with an end that tells
//! whose they are.

use model::{PartialSuffix, RelPath};
use storage::posix::{Dir, Error, Listed, ListingBuffer};

use crate::attempt::Fence;

/// Removes what attempts at this item left in these directories of the target; how many files. A directory that is
/// not there has none.
pub(crate) fn remove_partials(
    target: &Dir,
    directories: &[RelPath],
    suffix: PartialSuffix,
    fence: &dyn Fence,
) -> Result<u64, Error> {
    let mut buffer = ListingBuffer::default();
    let mut removed = 0;
    for directory in directories {
        let Some(directory) = target.find_below(directory.components())? else {
            continue;
        };
        let mut left = Vec::new();
        while directory.list_chunk(&mut buffer, |name, _| {
            if suffix.is_of_item(name.to_bytes()) {
                left.push(name.to_owned());
            }
        })? == Listed::Chunk
        {}
        for name in left {
            if !fence.may_write() {
                return Ok(removed);
            }
            match directory.unlink(name.as_c_str()) {
                Err(error) if !error.is_missing() => return Err(error),
                _ => removed += 1,
            }
        }
    }
    Ok(removed)
}
