//! The form of blobs. Each begins with the version of its form, so that a later version
//! of the program can read what an earlier one wrote, and refuses what it does not know.
//!
//! Numbers are LEB128 variable-length integers; bytes have their length before them, so that
//! paths are kept byte for byte.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use model::Location;

const VERSION: u8 = 1;

/// A blob that no version up to this one wrote.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("stored {what} cannot be read: {problem}")]
pub(super) struct DecodeError {
    what: &'static str,
    problem: &'static str,
}

pub(super) struct Encoder(Vec<u8>);

impl Encoder {
    pub(super) fn new() -> Self {
        Self(vec![VERSION])
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn number(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.0.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.0.push(n as u8);
    }

    pub(super) fn signed(&mut self, n: i64) {
        self.0.extend(n.to_le_bytes());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend(bytes);
    }

    pub(super) fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.number(value.is_some().into());
        if let Some(value) = value {
            write(self, value);
        }
    }

    pub(super) fn location(&mut self, location: &Location) {
        match location {
            Location::Posix(path) => {
                self.number(0);
                self.bytes(path.as_os_str().as_bytes());
            }
            Location::Remote(name) => {
                self.number(1);
                self.bytes(name.as_bytes());
            }
        }
    }
}

/// Why a blob can not be read.
pub(super) type Problem = &'static str;

pub(super) struct Decoder<'a>(&'a [u8]);

impl<'a> Decoder<'a> {
    /// Reads a whole blob: nothing may be left over.
    pub(super) fn read<T>(
        what: &'static str,
        blob: &'a [u8],
        read: impl FnOnce(&mut Self) -> Result<T, Problem>,
    ) -> Result<T, DecodeError> {
        let whole = match blob {
            [VERSION, rest @ ..] => {
                let mut input = Decoder(rest);
                read(&mut input).and_then(|value| match input.0 {
                    [] => Ok(value),
                    _ => Err("bytes are left over"),
                })
            }
            _ => Err("unknown version"),
        };
        whole.map_err(|problem| DecodeError { what, problem })
    }

    pub(super) fn number(&mut self) -> Result<u64, Problem> {
        let mut n = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or("it ends too early")?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            n |= bits << shift;
            if byte < 0x80 {
                return Ok(n);
            }
        }
        Err("a number is too large")
    }

    pub(super) fn small(&mut self) -> Result<u32, Problem> {
        u32::try_from(self.number()?).map_err(|_| "a number is too large")
    }

    pub(super) fn flag(&mut self) -> Result<bool, Problem> {
        match self.number()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err("neither yes nor no"),
        }
    }

    pub(super) fn signed(&mut self) -> Result<i64, Problem> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or("it ends too early")?;
        self.0 = rest;
        Ok(i64::from_le_bytes(*bytes))
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Problem> {
        let length = usize::try_from(self.number()?).map_err(|_| "a length is too large")?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or("it ends too early")?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(super) fn text(&mut self) -> Result<String, Problem> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| "text is no UTF-8")
    }

    pub(super) fn path(&mut self) -> Result<PathBuf, Problem> {
        Ok(PathBuf::from(OsString::from_vec(self.bytes()?.to_vec())))
    }

    pub(super) fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Problem>,
    ) -> Result<Option<T>, Problem> {
        Ok(match self.flag()? {
            true => Some(read(self)?),
            false => None,
        })
    }

    pub(super) fn location(&mut self) -> Result<Location, Problem> {
        match self.number()? {
            0 => Ok(Location::Posix(self.path()?)),
            1 => Ok(Location::Remote(self.text()?)),
            _ => Err("unknown kind of location"),
        }
    }
}
