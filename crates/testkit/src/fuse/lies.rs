//! Answers that are not true, and writes that are stored otherwise than they are acknowledged. A lie counts as fired
//! only where it made a difference.

use std::os::fd::OwnedFd;

use rustix::fs::{fstat, ftruncate};
use rustix::io::Errno;

use super::armed::Armed;
use super::fault::{CopyLie, Effect, ReadLie, SeekLie, WriteLie};
use super::lower::{Lower, Whence};

/// Makes of `data`, which was read, what is answered.
pub(super) fn falsify_read(armed: &Armed, data: &mut Vec<u8>) {
    let Effect::Read(lie) = armed.effect() else {
        return;
    };
    let before_bytes = data.len();
    match lie {
        ReadLie::Short { bytes } => data.truncate(bytes),
        ReadLie::Empty => data.clear(),
        ReadLie::FlipByte { at } => flip(data, at),
    }
    if before_bytes > 0 && (matches!(lie, ReadLie::FlipByte { .. }) || data.len() < before_bytes) {
        armed.fire();
    }
}

/// Stores what the fault makes of `data`; how many bytes are acknowledged.
pub(super) fn falsify_write(
    armed: &Armed,
    lower: &Lower,
    file: &OwnedFd,
    data: &[u8],
    offset: u64,
) -> Result<usize, Errno> {
    let Effect::Write(lie) = armed.effect() else {
        return lower.write(file, data, offset);
    };
    if data.is_empty() {
        return Ok(0);
    }
    let end = offset + data.len() as u64;
    match lie {
        WriteLie::Short { bytes } if bytes >= data.len() => {
            return lower.write(file, data, offset);
        }
        WriteLie::Short { bytes } => {
            armed.fire();
            return match bytes {
                0 => Ok(0),
                _ => lower.write(file, &data[..bytes], offset),
            };
        }
        WriteLie::FlipByte { at } => {
            let mut flipped = data.to_vec();
            flip(&mut flipped, at);
            store_all(lower, file, &flipped, offset)?;
        }
        WriteLie::Drop => {
            if fstat(file)?.st_size.cast_unsigned() < end {
                ftruncate(file, end)?;
            }
        }
        WriteLie::Truncate => {
            let half = &data[..data.len() / 2];
            store_all(lower, file, half, offset)?;
            ftruncate(file, offset + half.len() as u64)?;
        }
    }
    armed.fire();
    Ok(data.len())
}

/// Copies what the fault leaves of the range; how many bytes are acknowledged.
pub(super) fn falsify_copy(
    armed: &Armed,
    lower: &Lower,
    (from, read_at): (&OwnedFd, u64),
    (to, write_at): (&OwnedFd, u64),
    length: usize,
) -> Result<usize, Errno> {
    let copy = |length| lower.copy_range((from, read_at), (to, write_at), length);
    match armed.effect() {
        Effect::Copy(CopyLie::Short { bytes }) if bytes < length => {
            armed.fire();
            match bytes {
                0 => Ok(0),
                _ => copy(bytes),
            }
        }
        Effect::Copy(CopyLie::FlipByte { at }) => {
            let copied = copy(length)?;
            if copied > 0 {
                let place = at % copied as u64;
                let mut byte = lower.read(from, read_at + place, 1)?;
                flip(&mut byte, 0);
                store_all(lower, to, &byte, write_at + place)?;
                armed.fire();
            }
            Ok(copied)
        }
        _ => copy(length),
    }
}

/// Where data or a hole is said to begin.
pub(super) fn falsify_seek(
    armed: &Armed,
    lower: &Lower,
    file: &OwnedFd,
    whence: Whence,
    offset: u64,
) -> Result<u64, Errno> {
    let truth = lower.seek(file, whence, offset);
    let size_bytes = fstat(file)?.st_size.cast_unsigned();
    let Effect::Seek(lie) = armed.effect() else {
        return truth;
    };
    if offset >= size_bytes {
        return truth;
    }
    let answer = match (lie, whence) {
        (SeekLie::AllHole, Whence::Hole) | (SeekLie::AllData, Whence::Data) => Ok(offset),
        (SeekLie::AllHole, Whence::Data) => Err(Errno::NXIO),
        (SeekLie::AllData, Whence::Hole) => Ok(size_bytes),
    };
    if answer != truth {
        armed.fire();
    }
    answer
}

fn flip(data: &mut [u8], at: u64) {
    let length = data.len() as u64;
    if length > 0 {
        data[(at % length) as usize] ^= 0xff;
    }
}

fn store_all(lower: &Lower, file: &OwnedFd, data: &[u8], offset: u64) -> Result<(), Errno> {
    let mut stored = 0;
    while stored < data.len() {
        match lower.write(file, &data[stored..], offset + stored as u64)? {
            0 => return Err(Errno::IO),
            count => stored += count,
        }
    }
    Ok(())
}
