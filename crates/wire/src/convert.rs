//! Messages to nouns and back.

mod outcome;
mod work;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use model::location::{Location, SourceIdentity};
use model::tasks_file;
use model::{Attribute, Choice, CopyOptions, Epoch, ItemId, Preserve, RelPath, RunId};

use crate::proto;

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

#[cfg(test)]
mod tests;
