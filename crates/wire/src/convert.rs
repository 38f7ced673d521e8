//! Messages to nouns and back.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use model::location::{Location, SourceIdentity};
use model::outcome::MAX_FAILURES;
use model::tasks_file;
use model::{
    Attribute, Choice, CopyOptions, Counters, Epoch, Failure, FailureClass, FileIdentity,
    FilesWork, HashRange, ItemId, ListPlace, Outcome, Preserve, Purpose, RangeState, RangeWork,
    RelPath, RunId, SkipReason, TempName, Work,
};

use crate::{MAX_FAILURE_BYTES, proto};

/// A message that no honest peer of this version sends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bad message: {field}: {problem}")]
pub struct BadMessage {
    pub field: &'static str,
    pub problem: String,
}

pub(crate) fn bad(field: &'static str, problem: impl ToString) -> BadMessage {
    BadMessage {
        field,
        problem: problem.to_string(),
    }
}

impl From<BadMessage> for tonic::Status {
    fn from(message: BadMessage) -> Self {
        tonic::Status::invalid_argument(message.to_string())
    }
}

fn rel_path(field: &'static str, bytes: Vec<u8>) -> Result<RelPath, BadMessage> {
    RelPath::new(bytes).map_err(|e| bad(field, e))
}

/// Paths below a root, as a peer sent them.
pub fn rel_paths(field: &'static str, paths: Vec<Vec<u8>>) -> Result<Vec<RelPath>, BadMessage> {
    let paths = paths.into_iter();
    paths.map(|path| rel_path(field, path)).collect()
}

/// An id that a peer sent; ids beyond 63 bits were drawn by nobody.
fn checked_id<T>(field: &'static str, bits: u64, make: impl Fn(u64) -> T) -> Result<T, BadMessage> {
    if bits > model::ids::MAX_RANDOM_ID {
        return Err(bad(field, "an id has at most 63 bits"));
    }
    Ok(make(bits))
}

/// Reads the ids that most calls begin with.
pub fn item_epoch(item: u64, epoch: u32) -> Result<(ItemId, Epoch), BadMessage> {
    Ok((checked_id("item", item, ItemId::from_random)?, Epoch(epoch)))
}

pub fn run_from(bits: u64) -> Result<RunId, BadMessage> {
    checked_id("run", bits, RunId::from_random)
}

/// The answer to a call that changes an item.
pub fn verdict(verdict: proto::Verdict) -> proto::ChangeReply {
    proto::ChangeReply {
        verdict: verdict.into(),
    }
}

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

impl From<&CopyOptions> for proto::Options {
    fn from(options: &CopyOptions) -> Self {
        let preserve = options.preserve.attributes();
        proto::Options {
            update: options.update,
            dry_run: options.dry_run,
            durability: options.durability.word().to_owned(),
            compare: options.compare.word().to_owned(),
            preserve: preserve.map(|kept| kept.word().to_owned()).collect(),
            metadata: options.metadata.word().to_owned(),
            specials: options.specials.word().to_owned(),
            sparse: options.sparse.word().to_owned(),
            conflicts: options.conflicts.word().to_owned(),
            verify: options.verify.word().to_owned(),
            filter: Some((&options.filter).into()),
        }
    }
}

impl TryFrom<proto::Options> for CopyOptions {
    type Error = BadMessage;

    fn try_from(options: proto::Options) -> Result<Self, BadMessage> {
        let preserve: Result<Vec<Attribute>, BadMessage> = options
            .preserve
            .iter()
            .map(|word| choice("options.preserve", word))
            .collect();
        Ok(CopyOptions {
            update: options.update,
            dry_run: options.dry_run,
            preserve: Preserve::of(preserve?),
            durability: choice("options.durability", &options.durability)?,
            compare: choice("options.compare", &options.compare)?,
            metadata: choice("options.metadata", &options.metadata)?,
            specials: choice("options.specials", &options.specials)?,
            sparse: choice("options.sparse", &options.sparse)?,
            conflicts: choice("options.conflicts", &options.conflicts)?,
            verify: choice("options.verify", &options.verify)?,
            filter: options.filter.unwrap_or_default().try_into()?,
        })
    }
}

fn choice<T: Choice>(field: &'static str, word: &str) -> Result<T, BadMessage> {
    T::from_word(word).ok_or_else(|| bad(field, "an unknown word"))
}

impl From<&SourceIdentity> for proto::SourceIdentity {
    fn from(identity: &SourceIdentity) -> Self {
        proto::SourceIdentity {
            inode: identity.inode,
            birth_ns: identity.birth_ns,
            fs_type: identity.fs_type.clone(),
        }
    }
}

impl From<proto::SourceIdentity> for SourceIdentity {
    fn from(identity: proto::SourceIdentity) -> Self {
        SourceIdentity {
            inode: identity.inode,
            birth_ns: identity.birth_ns,
            fs_type: identity.fs_type,
        }
    }
}

/// The ends of a task, each an absolute path or a remote.
impl proto::TaskSpec {
    pub fn source_location(&self) -> Result<Location, BadMessage> {
        location("task.source", &self.source, &self.source_remote)
    }

    pub fn target_location(&self) -> Result<Location, BadMessage> {
        location("task.target", &self.target, &self.target_remote)
    }
}

fn location(field: &'static str, path: &[u8], remote: &str) -> Result<Location, BadMessage> {
    match (path, remote) {
        ([], remote) if tasks_file::is_remote(remote.as_bytes()) => {
            Ok(Location::Remote(remote.to_owned()))
        }
        ([b'/', ..], "") if !path.contains(&0) => {
            Ok(Location::Posix(OsStr::from_bytes(path).into()))
        }
        _ => Err(bad(field, "neither an absolute path nor a remote")),
    }
}

impl From<&Failure> for proto::Failure {
    fn from(failure: &Failure) -> Self {
        proto::Failure {
            path: failure.path.as_bytes().to_vec(),
            failure_class: failure.class.name().to_owned(),
            error: failure.error.clone(),
        }
    }
}

impl TryFrom<proto::Failure> for Failure {
    type Error = BadMessage;

    fn try_from(failure: proto::Failure) -> Result<Self, BadMessage> {
        Ok(Failure {
            path: rel_path("failure.path", failure.path)?,
            class: FailureClass::from_name(&failure.failure_class)
                .ok_or_else(|| bad("failure.failure_class", &failure.failure_class))?,
            error: failure.error,
        })
    }
}

impl From<&Outcome> for proto::Outcome {
    /// Drops failures by name beyond what one message may carry; their number stays.
    fn from(outcome: &Outcome) -> Self {
        let c = &outcome.counters;
        let mut room = MAX_FAILURE_BYTES;
        let failures = outcome
            .failures
            .iter()
            .take(MAX_FAILURES)
            .take_while(|failure| {
                let size = failure.path.as_bytes().len() + failure.error.len() + 32;
                room = room.saturating_sub(size);
                room > 0
            })
            .map(Into::into)
            .collect();
        proto::Outcome {
            listed: c.listed,
            copied: c.copied,
            unchanged: c.unchanged,
            skipped: c.skipped,
            failed: c.failed,
            deferred: c.deferred,
            copied_files: c.copied_files,
            copied_bytes: c.copied_bytes,
            unreadable_directories: outcome.unreadable_directories,
            skipped_by_reason: outcome
                .skipped
                .iter()
                .map(|(reason, n)| (reason.name().to_owned(), *n))
                .collect(),
            notes: outcome.notes.clone().into_iter().collect(),
            failures,
        }
    }
}

impl TryFrom<proto::Outcome> for Outcome {
    type Error = BadMessage;

    fn try_from(outcome: proto::Outcome) -> Result<Self, BadMessage> {
        let skipped = outcome
            .skipped_by_reason
            .into_iter()
            .map(|(name, n)| {
                SkipReason::ALL
                    .into_iter()
                    .find(|reason| reason.name() == name)
                    .map(|reason| (reason, n))
                    .ok_or_else(|| bad("outcome.skipped_by_reason", name))
            })
            .collect::<Result<_, _>>()?;
        if outcome.failures.len() > MAX_FAILURES {
            return Err(bad("outcome.failures", "more than 10,000"));
        }
        let outcome = Outcome {
            counters: Counters {
                listed: outcome.listed,
                copied: outcome.copied,
                unchanged: outcome.unchanged,
                skipped: outcome.skipped,
                failed: outcome.failed,
                deferred: outcome.deferred,
                copied_files: outcome.copied_files,
                copied_bytes: outcome.copied_bytes,
            },
            skipped,
            failures: outcome
                .failures
                .into_iter()
                .map(TryInto::try_into)
                .collect::<Result<_, _>>()?,
            unreadable_directories: outcome.unreadable_directories,
            notes: outcome.notes.into_iter().collect(),
        };
        if !outcome.is_balanced() {
            return Err(bad("outcome", "listed is not the sum of the results"));
        }
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_survives_the_wire() {
        let outcome = Outcome {
            counters: Counters {
                listed: 7,
                copied: 3,
                unchanged: 1,
                skipped: 1,
                failed: 1,
                deferred: 1,
                copied_files: 2,
                copied_bytes: 9,
            },
            skipped: [(SkipReason::Special, 1)].into(),
            failures: vec![Failure {
                path: RelPath::new(b"a/\xff\n".to_vec()).unwrap(),
                class: FailureClass::Changed,
                error: "cannot read".into(),
            }],
            unreadable_directories: 1,
            notes: [("hard links copied as separate files".to_owned(), 2)].into(),
        };
        assert_eq!(
            Outcome::try_from(proto::Outcome::from(&outcome)),
            Ok(outcome)
        );
    }

    #[test]
    fn what_no_honest_peer_sends_is_refused() {
        let unbalanced = proto::Outcome {
            listed: 2,
            copied: 1,
            ..Default::default()
        };
        assert_eq!(Outcome::try_from(unbalanced).unwrap_err().field, "outcome");
        for directories in [vec![], vec![b"../x".to_vec()], vec![b"/etc".to_vec()]] {
            let walk = proto::Work {
                kind: Some(proto::work::Kind::Walk(proto::Walk {
                    directories,
                    shard: None,
                    purpose: proto::Purpose::Copy.into(),
                })),
            };
            assert_eq!(Work::try_from(walk).unwrap_err().field, "walk.directories");
        }
        let shard = |directories: &[&str], purpose: proto::Purpose, from| {
            let walk = proto::Walk {
                directories: directories.iter().map(|d| d.as_bytes().to_vec()).collect(),
                shard: Some(proto::Shard { from, to: 7 }),
                purpose: purpose.into(),
            };
            let kind = Some(proto::work::Kind::Walk(walk));
            Work::try_from(proto::Work { kind })
        };
        for walk in [
            shard(&["a"], proto::Purpose::Copy, 8),
            shard(&["a", "b"], proto::Purpose::Copy, 7),
            shard(&["a"], proto::Purpose::Close, 7),
        ] {
            assert_eq!(walk.unwrap_err().field, "walk.shard");
        }
        let shard = shard(&[""], proto::Purpose::Copy, 7).unwrap();
        assert_eq!(Work::try_from(proto::Work::from(&shard)), Ok(shard));
        for paths in [vec![], vec![b"a/../b".to_vec()]] {
            let entries = proto::Work {
                kind: Some(proto::work::Kind::Entries(proto::Entries { paths })),
            };
            assert_eq!(Work::try_from(entries).unwrap_err().field, "entries.paths");
        }
        let range = proto::Range {
            file: b"a/huge".to_vec(),
            offset: 1 << 30,
            length: 5,
            identity: Some(proto::FileIdentity {
                size: (1 << 30) + 5,
                ..Default::default()
            }),
            temp: ".dm.0000000000000001.0000000000000002.1.0".to_owned(),
            temp_inode: 8,
        };
        assert!(RangeWork::try_from(range.clone()).is_ok());
        type Spoil = fn(&mut proto::Range);
        let bad_ranges: [(&str, Spoil); 7] = [
            ("range.length", |range| range.length = 0),
            ("range.length", |range| range.length = 6),
            ("range.length", |range| range.offset = u64::MAX),
            ("range.identity", |range| range.identity = None),
            ("range.file", |range| range.file = b"../huge".to_vec()),
            ("range.file", |range| range.file.clear()),
            ("range.temp", |range| {
                range.temp = "../../etc/passwd".to_owned()
            }),
        ];
        for (field, spoil) in bad_ranges {
            let mut range = range.clone();
            spoil(&mut range);
            assert_eq!(RangeWork::try_from(range).unwrap_err().field, field);
        }
        assert!(item_epoch(u64::MAX, 1).is_err());
        let spec = proto::TaskSpec {
            source: b"relative".to_vec(),
            ..Default::default()
        };
        assert!(spec.source_location().is_err());
        for remote in ["", "no remote", ":local:/etc", "a,b=c:/etc", "-x:y"] {
            let spec = proto::TaskSpec {
                source_remote: remote.to_owned(),
                ..Default::default()
            };
            assert!(spec.source_location().is_err(), "{remote}");
        }
    }

    #[test]
    fn too_many_failures_for_one_message_keep_their_number() {
        let failure = Failure {
            path: RelPath::new("p".repeat(4000)).unwrap(),
            class: FailureClass::GiveUp,
            error: String::new(),
        };
        let outcome = Outcome {
            counters: Counters {
                listed: 10_000,
                failed: 10_000,
                ..Default::default()
            },
            failures: vec![failure; 10_000],
            ..Default::default()
        };
        let back = Outcome::try_from(proto::Outcome::from(&outcome)).unwrap();
        assert_eq!(back.counters.failed, 10_000);
        assert!(back.failures.len() < 1_000);
    }
}
