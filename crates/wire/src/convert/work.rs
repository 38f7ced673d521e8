//! What an item is made of, and what it hands over.

use model::{
    FileIdentity, FilesWork, HashRange, ItemId, ListPlace, Purpose, RangeState, RangeWork, RelPath,
    TempName, Work,
};

use super::{BadMessage, bad, checked_id, rel_path, rel_paths};
use crate::proto;

impl From<&Work> for proto::Work {
    fn from(work: &Work) -> Self {
        let kind = match work {
            Work::Walk {
                directories,
                purpose,
            } => proto::work::Kind::Walk(proto::Walk {
                directories: directories.iter().map(|d| d.as_bytes().to_vec()).collect(),
                shard: None,
                purpose: match purpose {
                    Purpose::Copy => proto::Purpose::Copy,
                    Purpose::Attributes => proto::Purpose::Attributes,
                    Purpose::Close => proto::Purpose::Close,
                }
                .into(),
            }),
            Work::Shard { directory, range } => proto::work::Kind::Walk(proto::Walk {
                directories: vec![directory.as_bytes().to_vec()],
                shard: Some(proto::Shard {
                    from: range.from(),
                    to: range.to(),
                }),
                purpose: proto::Purpose::Copy.into(),
            }),
            Work::Paths { offset, length } => proto::work::Kind::Paths(proto::Paths {
                offset: *offset,
                length: *length,
            }),
            Work::Links { names } => proto::work::Kind::Links(proto::Links { names: *names }),
            Work::Entries(paths) => proto::work::Kind::Entries(proto::Entries {
                paths: paths.iter().map(|path| path.as_bytes().to_vec()).collect(),
            }),
            Work::Files(files) => proto::work::Kind::Files(proto::Files {
                files: files.files,
                bytes: files.bytes,
                shared_list: files.place == ListPlace::Shared,
            }),
            Work::Range(range) => proto::work::Kind::Range(proto::Range {
                file: range.file.as_bytes().to_vec(),
                offset: range.offset,
                length: range.length,
                identity: Some(proto::FileIdentity {
                    inode: range.identity.inode,
                    size: range.identity.size,
                    mtime_ns: range.identity.modified_ns,
                    ctime_ns: range.identity.changed_ns,
                }),
                temp: range.temp.clone(),
                temp_inode: range.temp_inode,
            }),
        };
        proto::Work { kind: Some(kind) }
    }
}

impl TryFrom<proto::Work> for Work {
    type Error = BadMessage;

    fn try_from(work: proto::Work) -> Result<Self, BadMessage> {
        match work.kind {
            Some(proto::work::Kind::Walk(walk)) => {
                let purpose = match walk.purpose() {
                    proto::Purpose::Copy => Purpose::Copy,
                    proto::Purpose::Attributes => Purpose::Attributes,
                    proto::Purpose::Close => Purpose::Close,
                    other => return Err(bad("walk.purpose", other.as_str_name())),
                };
                if walk.directories.is_empty() {
                    return Err(bad("walk.directories", "empty"));
                }
                let directories = rel_paths("walk.directories", walk.directories)?;
                match walk.shard {
                    Some(range) => shard(directories, purpose, range),
                    None => Ok(Work::Walk {
                        directories,
                        purpose,
                    }),
                }
            }
            Some(proto::work::Kind::Paths(paths)) => Ok(Work::Paths {
                offset: paths.offset,
                length: paths.length,
            }),
            Some(proto::work::Kind::Links(links)) => Ok(Work::Links { names: links.names }),
            Some(proto::work::Kind::Entries(entries)) if entries.paths.is_empty() => {
                Err(bad("entries.paths", "empty"))
            }
            Some(proto::work::Kind::Entries(entries)) => {
                Ok(Work::Entries(rel_paths("entries.paths", entries.paths)?))
            }
            Some(proto::work::Kind::Files(files)) => Ok(Work::Files(FilesWork {
                files: files.files,
                bytes: files.bytes,
                place: match files.shared_list {
                    true => ListPlace::Shared,
                    false => ListPlace::Server,
                },
            })),
            Some(proto::work::Kind::Range(range)) => Ok(Work::Range(range.try_into()?)),
            None => Err(bad("work", "missing")),
        }
    }
}

fn shard(
    directories: Vec<RelPath>,
    purpose: Purpose,
    range: proto::Shard,
) -> Result<Work, BadMessage> {
    let range = HashRange::new(range.from, range.to)
        .ok_or_else(|| bad("walk.shard", "it ends before it begins"))?;
    match <[RelPath; 1]>::try_from(directories) {
        Ok([directory]) if purpose == Purpose::Copy => Ok(Work::Shard { directory, range }),
        _ => Err(bad("walk.shard", "not of one directory that is copied")),
    }
}

impl TryFrom<proto::Range> for RangeWork {
    type Error = BadMessage;

    fn try_from(range: proto::Range) -> Result<Self, BadMessage> {
        let identity = range
            .identity
            .ok_or_else(|| bad("range.identity", "missing"))?;
        let end = range.offset.checked_add(range.length);
        if range.length == 0 || end.is_none_or(|end| end > identity.size) {
            return Err(bad("range.length", "not within the file"));
        }
        let file = rel_path("range.file", range.file)?;
        if file.is_root() {
            return Err(bad("range.file", "the root"));
        }
        if TempName::parse(range.temp.as_bytes()).is_none() {
            return Err(bad("range.temp", "no name of an unfinished file"));
        }
        Ok(RangeWork {
            file,
            identity: FileIdentity {
                inode: identity.inode,
                size: identity.size,
                modified_ns: identity.mtime_ns,
                changed_ns: identity.ctime_ns,
            },
            temp: range.temp,
            temp_inode: range.temp_inode,
            offset: range.offset,
            length: range.length,
        })
    }
}

impl From<RangeState> for proto::RangeState {
    fn from(state: RangeState) -> Self {
        match state {
            RangeState::TakenBack => proto::RangeState::TakenBack,
            RangeState::Leased => proto::RangeState::Leased,
            RangeState::Done => proto::RangeState::Done,
        }
    }
}

impl TryFrom<proto::RangeState> for RangeState {
    type Error = BadMessage;

    fn try_from(state: proto::RangeState) -> Result<Self, BadMessage> {
        match state {
            proto::RangeState::TakenBack => Ok(RangeState::TakenBack),
            proto::RangeState::Leased => Ok(RangeState::Leased),
            proto::RangeState::Done => Ok(RangeState::Done),
            proto::RangeState::Unspecified => Err(bad("states", "missing")),
        }
    }
}

impl From<&(ItemId, Work)> for proto::Child {
    fn from((item, work): &(ItemId, Work)) -> Self {
        proto::Child {
            item: item.get(),
            work: Some(work.into()),
        }
    }
}

impl TryFrom<proto::Child> for (ItemId, Work) {
    type Error = BadMessage;

    fn try_from(child: proto::Child) -> Result<Self, BadMessage> {
        let id = checked_id("child.item", child.item, ItemId::from_random)?;
        let work = child.work.ok_or_else(|| bad("child.work", "missing"))?;
        Ok((id, work.try_into()?))
    }
}
