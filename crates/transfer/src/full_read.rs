//! The hash of all bytes of a file, read to its end, or of a part of it: also past the cache, where each read has to begin at a whole block.

use std::ops::Range;

use storage::posix::{Error, File};

/// Reads past the cache begin at such addresses and offsets.
const ALIGNMENT: usize = 4_096;

/// What is to come after the bytes that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    /// Nothing: more would be wrong.
    There,
    Later,
}

/// Of a whole file; else as [`hash_part`].
pub(crate) fn hash<E>(
    file: &File,
    buffer: &mut [u8],
    expected_bytes: u64,
    of_file: impl Fn(Error) -> E,
    go_on: impl FnMut(u64) -> Result<(), E>,
) -> Result<Option<blake3::Hash>, E> {
    hash_part(file, buffer, 0..expected_bytes, Ends::There, of_file, go_on)
}

/// Of some bytes, which begin at a whole block, and end at one where the file goes on. `None` when there are not as many
/// as expected. `go_on` is asked before each read, and told how many bytes came
/// with the one before.
///
/// # Panics
/// Where the buffer has less than two blocks.
pub(crate) fn hash_part<E>(
    file: &File,
    buffer: &mut [u8],
    bytes: Range<u64>,
    ends: Ends,
    of_file: impl Fn(Error) -> E,
    mut go_on: impl FnMut(u64) -> Result<(), E>,
) -> Result<Option<blake3::Hash>, E> {
    let mut hasher = blake3::Hasher::new();
    let begin = buffer.as_ptr().align_offset(ALIGNMENT);
    let length = (buffer.len() - begin) / ALIGNMENT * ALIGNMENT;
    assert!(length > 0, "the buffer holds a block");
    let buffer = &mut buffer[begin..begin + length];
    let mut left_bytes = bytes.end - bytes.start;
    let mut read = 0;
    loop {
        go_on(read as u64)?;
        // Where the file goes on, more would come than is asked for.
        let wanted = match ends {
            Ends::There => length,
            Ends::Later => length.min(usize::try_from(left_bytes).unwrap_or(length)),
        };
        let buffer = &mut buffer[..wanted];
        read = read_full(file, buffer, bytes.end - left_bytes, left_bytes).map_err(&of_file)?;
        // Where nothing is left, nothing must come.
        match read as u64 {
            0 if left_bytes == 0 => return Ok(Some(hasher.finalize())),
            0 => return Ok(None),
            read_bytes if read_bytes > left_bytes => return Ok(None),
            read_bytes => left_bytes -= read_bytes,
        }
        hasher.update(&buffer[..read]);
        let was_more_asked_for = !read.is_multiple_of(ALIGNMENT);
        if left_bytes == 0 && (was_more_asked_for || ends == Ends::Later) {
            go_on(read as u64)?;
            return Ok(Some(hasher.finalize()));
        }
    }
}

/// Until the buffer is full, the file ends, or all that is left of it has come. An answer may be short in the middle of a
/// file: past the cache the next one fails then, for it would not begin at a whole block.
fn read_full(file: &File, buffer: &mut [u8], offset: u64, left_bytes: u64) -> Result<usize, Error> {
    let mut length = 0;
    while length < buffer.len() {
        let read = file.read_at(&mut buffer[length..], offset + length as u64)?;
        length += read;
        if read == 0 || length as u64 >= left_bytes {
            break;
        }
    }
    Ok(length)
}
