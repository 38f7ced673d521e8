//! Values as compact blobs. Each begins with the version of its form, so that a later
//! version of the program can read what an earlier one wrote, and refuses what it does
//! not know. Paths are kept byte for byte.
//!
//! Numbers are LEB128 variable-length integers, bytes have their length before them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use model::location::SourceIdentity;
use model::{Location, Purpose, RelPath, SkipReason, Task, TaskId, Work};

const VERSION: u8 = 1;

/// A blob that no version up to this one wrote.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("stored {what} cannot be read: {problem}")]
pub(super) struct DecodeError {
    what: &'static str,
    problem: &'static str,
}

pub(super) fn work_to_blob(work: &Work) -> Vec<u8> {
    let mut out = Encoder::new();
    match work {
        Work::Walk {
            directories,
            purpose,
        } => {
            out.number(0);
            out.number(match purpose {
                Purpose::Copy => 0,
                Purpose::Attributes => 1,
                Purpose::Close => 2,
            });
            out.number(directories.len() as u64);
            for directory in directories {
                out.bytes(directory.as_bytes());
            }
        }
        Work::Paths { offset, length } => {
            out.number(1);
            out.number(*offset);
            out.number(*length);
        }
    }
    out.0
}

pub(super) fn work_from_blob(blob: &[u8]) -> Result<Work, DecodeError> {
    Decoder::read("work", blob, |input| match input.number()? {
        0 => {
            let purpose = match input.number()? {
                0 => Purpose::Copy,
                1 => Purpose::Attributes,
                2 => Purpose::Close,
                _ => return Err("unknown purpose"),
            };
            let directories = (0..input.number()?)
                .map(|_| RelPath::new(input.bytes()?).map_err(|_| "illegal path"))
                .collect::<Result<_, _>>()?;
            Ok(Work::Walk {
                directories,
                purpose,
            })
        }
        1 => Ok(Work::Paths {
            offset: input.number()?,
            length: input.number()?,
        }),
        _ => Err("unknown kind"),
    })
}

pub(super) fn task_to_blob(task: &Task) -> Vec<u8> {
    let mut out = Encoder::new();
    out.number(task.id.0.into());
    out.number(task.line.into());
    out.location(&task.source);
    out.location(&task.target);
    out.option(task.list.as_deref(), |out, list| {
        out.bytes(list.as_os_str().as_bytes());
    });
    out.number(task.target_is_shared.into());
    out.0
}

pub(super) fn task_from_blob(blob: &[u8]) -> Result<Task, DecodeError> {
    Decoder::read("task", blob, |input| {
        Ok(Task {
            id: TaskId(input.small()?),
            line: input.small()?,
            source: input.location()?,
            target: input.location()?,
            list: input.option(Decoder::path)?,
            target_is_shared: input.flag()?,
        })
    })
}

pub(super) fn identity_to_blob(identity: &SourceIdentity) -> Vec<u8> {
    let mut out = Encoder::new();
    out.number(identity.inode);
    out.option(identity.birth_ns, |out, birth| out.signed(birth));
    out.bytes(identity.fs_type.as_bytes());
    out.0
}

pub(super) fn identity_from_blob(blob: &[u8]) -> Result<SourceIdentity, DecodeError> {
    Decoder::read("source identity", blob, |input| {
        Ok(SourceIdentity {
            inode: input.number()?,
            birth_ns: input.option(Decoder::signed)?,
            fs_type: input.text()?,
        })
    })
}

/// What of an outcome has no column of its own: reasons of skipping, and notes.
pub(super) type Details = (BTreeMap<SkipReason, u64>, BTreeMap<String, u64>);

pub(super) fn details_to_blob(
    skipped: &BTreeMap<SkipReason, u64>,
    notes: &BTreeMap<String, u64>,
) -> Vec<u8> {
    let mut out = Encoder::new();
    out.number(skipped.len() as u64);
    for (reason, n) in skipped {
        out.number(skip_reason_code(*reason).into());
        out.number(*n);
    }
    out.number(notes.len() as u64);
    for (note, n) in notes {
        out.bytes(note.as_bytes());
        out.number(*n);
    }
    out.0
}

pub(super) fn details_from_blob(blob: &[u8]) -> Result<Details, DecodeError> {
    Decoder::read("outcome", blob, |input| {
        let skipped = (0..input.number()?)
            .map(|_| {
                let reason = skip_reason(input.small()?).ok_or("unknown reason of skipping")?;
                Ok((reason, input.number()?))
            })
            .collect::<Result<_, Problem>>()?;
        let notes = (0..input.number()?)
            .map(|_| Ok((input.text()?, input.number()?)))
            .collect::<Result<_, Problem>>()?;
        Ok((skipped, notes))
    })
}

/// Never change what a number means: it is on users' disks.
pub(super) fn skip_reason_code(reason: SkipReason) -> u32 {
    match reason {
        SkipReason::Special => 0,
        SkipReason::NewerAtTarget => 1,
        SkipReason::Vanished => 2,
    }
}

pub(super) fn skip_reason(code: u32) -> Option<SkipReason> {
    SkipReason::ALL
        .into_iter()
        .find(|reason| skip_reason_code(*reason) == code)
}

struct Encoder(Vec<u8>);

impl Encoder {
    fn new() -> Self {
        Self(vec![VERSION])
    }

    fn number(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.0.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.0.push(n as u8);
    }

    fn signed(&mut self, n: i64) {
        self.0.extend(n.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.number(value.is_some().into());
        if let Some(value) = value {
            write(self, value);
        }
    }

    fn location(&mut self, location: &Location) {
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
type Problem = &'static str;

struct Decoder<'a>(&'a [u8]);

impl<'a> Decoder<'a> {
    fn read<T>(
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

    fn number(&mut self) -> Result<u64, Problem> {
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

    fn small(&mut self) -> Result<u32, Problem> {
        u32::try_from(self.number()?).map_err(|_| "a number is too large")
    }

    fn flag(&mut self) -> Result<bool, Problem> {
        match self.number()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err("neither yes nor no"),
        }
    }

    fn signed(&mut self) -> Result<i64, Problem> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or("it ends too early")?;
        self.0 = rest;
        Ok(i64::from_le_bytes(*bytes))
    }

    fn bytes(&mut self) -> Result<&'a [u8], Problem> {
        let length = usize::try_from(self.number()?).map_err(|_| "a length is too large")?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or("it ends too early")?;
        self.0 = rest;
        Ok(bytes)
    }

    fn text(&mut self) -> Result<String, Problem> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| "text is no UTF-8")
    }

    fn path(&mut self) -> Result<PathBuf, Problem> {
        Ok(PathBuf::from(OsString::from_vec(self.bytes()?.to_vec())))
    }

    fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Problem>,
    ) -> Result<Option<T>, Problem> {
        Ok(match self.flag()? {
            true => Some(read(self)?),
            false => None,
        })
    }

    fn location(&mut self) -> Result<Location, Problem> {
        match self.number()? {
            0 => Ok(Location::Posix(self.path()?)),
            1 => Ok(Location::Remote(self.text()?)),
            _ => Err("unknown kind of location"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DecodeError, work_from_blob, work_to_blob};
    use model::{Purpose, RelPath, Work};

    fn walk() -> Work {
        Work::Walk {
            directories: vec![
                RelPath::ROOT,
                RelPath::new(b"a\n\xff/b".to_vec()).expect("a legal path"),
                RelPath::new(vec![b'x'; 300]).expect("a legal path"),
            ],
            purpose: Purpose::Attributes,
        }
    }

    #[test]
    fn work_reads_back_byte_for_byte() {
        let paths = Work::Paths {
            offset: u64::MAX,
            length: 127,
        };
        for work in [walk(), paths] {
            assert_eq!(work_from_blob(&work_to_blob(&work)), Ok(work));
        }
    }

    #[test]
    fn a_damaged_blob_is_an_error_and_no_panic() {
        let blob = work_to_blob(&walk());
        for end in 0..blob.len() {
            work_from_blob(&blob[..end]).expect_err("it is cut short");
        }
        let mut later = blob.clone();
        later[0] += 1;
        assert_eq!(
            work_from_blob(&later),
            Err(DecodeError {
                what: "work",
                problem: "unknown version"
            })
        );
        let endless = [&[1, 1][..], &[0xff; 20]].concat();
        work_from_blob(&endless).expect_err("the number is too large");
        let huge_count = [1, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f];
        work_from_blob(&huge_count).expect_err("it ends before its last path");
    }
}
