//! Which blob stands for which value of the model. Never change what a number means:
//! it is on users' disks.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;

use model::location::SourceIdentity;
use model::{
    FileIdentity, FilesWork, HashRange, ListPlace, Purpose, RangeWork, RelPath, SkipReason, Task,
    TaskId, Work, WorkKind,
};

use super::blob::{DecodeError, Decoder, Encoder, Problem};

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
        Work::Files(files) => {
            out.number(2);
            out.number(files.files);
            out.number(files.bytes);
            out.number(match files.place {
                ListPlace::Server => 0,
                ListPlace::Shared => 1,
            });
        }
        Work::Shard { directory, range } => {
            out.number(3);
            out.bytes(directory.as_bytes());
            out.number(range.from());
            out.number(range.to());
        }
        Work::Links { names } => {
            out.number(4);
            out.number(*names);
        }
        Work::Entries(paths) => {
            out.number(5);
            out.number(paths.len() as u64);
            for path in paths {
                out.bytes(path.as_bytes());
            }
        }
        Work::Range(range) => {
            out.number(6);
            out.bytes(range.file.as_bytes());
            out.number(range.identity.inode);
            out.number(range.identity.size);
            out.signed(range.identity.modified_ns);
            out.signed(range.identity.changed_ns);
            out.bytes(range.temp.as_bytes());
            out.number(range.temp_inode);
            out.number(range.offset);
            out.number(range.length);
        }
    }
    out.finish()
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
            Ok(Work::Walk {
                directories: paths(input)?,
                purpose,
            })
        }
        1 => Ok(Work::Paths {
            offset: input.number()?,
            length: input.number()?,
        }),
        2 => Ok(Work::Files(FilesWork {
            files: input.number()?,
            bytes: input.number()?,
            place: match input.number()? {
                0 => ListPlace::Server,
                1 => ListPlace::Shared,
                _ => return Err("unknown place of a list"),
            },
        })),
        3 => Ok(Work::Shard {
            directory: RelPath::new(input.bytes()?).map_err(|_| "illegal path")?,
            range: HashRange::new(input.number()?, input.number()?).ok_or("an empty range")?,
        }),
        4 => Ok(Work::Links {
            names: input.number()?,
        }),
        5 => Ok(Work::Entries(paths(input)?)),
        6 => Ok(Work::Range(RangeWork {
            file: RelPath::new(input.bytes()?).map_err(|_| "illegal path")?,
            identity: FileIdentity {
                inode: input.number()?,
                size: input.number()?,
                modified_ns: input.signed()?,
                changed_ns: input.signed()?,
            },
            temp: input.text()?,
            temp_inode: input.number()?,
            offset: input.number()?,
            length: input.number()?,
        })),
        _ => Err("unknown kind"),
    })
}

fn paths(input: &mut Decoder<'_>) -> Result<Vec<RelPath>, Problem> {
    (0..input.number()?)
        .map(|_| RelPath::new(input.bytes()?).map_err(|_| "illegal path"))
        .collect()
}

/// In the item's column `kind`.
pub(super) fn kind_code(kind: WorkKind) -> u32 {
    match kind {
        WorkKind::Walk => 0,
        WorkKind::Files => 1,
        WorkKind::Range => 2,
    }
}

/// Added to the code of its kind: the item is granted alone.
pub(super) const ALONE: u32 = 16;

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
    out.finish()
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
    out.finish()
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
    out.finish()
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

pub(super) fn skip_reason_code(reason: SkipReason) -> u32 {
    match reason {
        SkipReason::Special => 0,
        SkipReason::NewerAtTarget => 1,
        SkipReason::Vanished => 2,
        SkipReason::NotOnRemote => 3,
        SkipReason::Excluded => 4,
        SkipReason::NotIncluded => 5,
        SkipReason::Size => 6,
        SkipReason::Age => 7,
        SkipReason::OtherFileSystem => 8,
    }
}

pub(super) fn skip_reason(code: u32) -> Option<SkipReason> {
    SkipReason::ALL
        .into_iter()
        .find(|reason| skip_reason_code(*reason) == code)
}

#[cfg(test)]
mod tests {
    use model::{FilesWork, HashRange, ListPlace, Purpose, RelPath, Work};

    use super::{work_from_blob, work_to_blob};

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
        let files = [ListPlace::Server, ListPlace::Shared].map(|place| {
            Work::Files(FilesWork {
                files: 500_000,
                bytes: u64::MAX,
                place,
            })
        });
        let shard = Work::Shard {
            directory: RelPath::new(b"a\n\xff".to_vec()).expect("a legal path"),
            range: HashRange::new(1, u64::MAX).expect("a range"),
        };
        let links = Work::Links { names: u64::MAX };
        let entries = Work::Entries(vec![RelPath::new("a/b").expect("a legal path")]);
        for work in [walk(), paths, shard, links, entries]
            .into_iter()
            .chain(files)
        {
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
        let error = work_from_blob(&later).expect_err("it is of a later version");
        assert_eq!(
            error.to_string(),
            "stored work cannot be read: unknown version"
        );
        let endless = [&[1, 1][..], &[0xff; 20]].concat();
        work_from_blob(&endless).expect_err("the number is too large");
        let huge_count = [1, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f];
        work_from_blob(&huge_count).expect_err("it ends before its last path");
    }
}
