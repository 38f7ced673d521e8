//! What files hold that is more than some bytes in a row: holes, preallocated space, much.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate};

static DATA: [u8; 64 << 10] = [0x5a; 64 << 10];
const DATA_BYTES: u64 = DATA.len() as u64;

/// In turn: a hole first, a hole last, a hole all over, data and holes by turns, a hole in the middle.
pub(super) fn write_sparse(path: &Path, size: u64, number: u64) -> io::Result<()> {
    let file = File::create_new(path)?;
    file.set_len(size)?;
    let last = size - DATA_BYTES;
    let write = |offset| file.write_all_at(&DATA, offset);
    match number % 5 {
        0 => write(last),
        1 => write(0),
        2 => Ok(()),
        3 => (0..last).step_by(4 * DATA.len()).try_for_each(write),
        _ => [0, last].into_iter().try_for_each(write),
    }
}

/// Space that was asked for and never written reads as zeros, by turns: all of the file; all but some data in its
/// middle; beyond its end, where nothing may be read.
pub(super) fn preallocate(path: &Path, size: u64, number: u64) -> io::Result<()> {
    let file = File::create_new(path)?;
    match number % 3 {
        0 => fallocate(&file, FallocateFlags::empty(), 0, size)?,
        1 => {
            fallocate(&file, FallocateFlags::empty(), 0, size)?;
            file.write_all_at(&DATA, size / 2)?;
        }
        _ => {
            let all = vec![0x5a; size as usize];
            file.write_all_at(&all, 0)?;
            fallocate(&file, FallocateFlags::KEEP_SIZE, 0, size + DATA_BYTES)?;
        }
    }
    Ok(())
}

pub(super) fn write_big(path: &Path, size: u64, block: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    let mut left = size;
    while left > 0 {
        let part = left.min(block.len() as u64);
        file.write_all(&block[..part as usize])?;
        left -= part;
    }
    Ok(())
}
