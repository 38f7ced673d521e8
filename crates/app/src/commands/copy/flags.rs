//! The flags of `copy` that say how entries are compared and copied: the keys of a config by the same names.

use clap::Args;
use model::options::{Conflicts, MetadataPolicy, Sparse, Specials, Verify};
use model::{Attribute, Compare, CopyOptions, Durability, Filter, Preserve};

use crate::flags::{preserve, word_of};

#[derive(Debug, Args)]
pub(super) struct CopyFlags {
    /// How a file at the target is found to be the source's: by size and modification time, by size alone, by size
    /// and a full read of both sides, or not at all
    #[arg(long, value_name = "HOW", default_value = "mtime", value_parser = word_of::<Compare>())]
    compare: Compare,
    /// The same as --compare size
    #[arg(long, conflicts_with = "compare")]
    size_only: bool,
    /// Leave files alone that are newer at the target
    #[arg(long)]
    update: bool,
    /// Change nothing; count what would be copied
    #[arg(long)]
    pub(super) dry_run: bool,
    /// What is kept: all, none, or some of mode, owner, times, atime, xattrs, acls, links
    #[arg(long, value_name = "LIST", default_value = "all", value_parser = preserve)]
    preserve: Preserve,
    /// Do not carry modification times over
    #[arg(long, alias = "local-no-set-modtime")]
    no_times: bool,
    /// What the target can't hold (an owner, an ACL): copied all the same, each loss counted and named, or failed
    #[arg(long, value_name = "POLICY", default_value = "best", value_parser = word_of::<MetadataPolicy>())]
    metadata: MetadataPolicy,
    /// FIFOs, sockets and device nodes: left out and counted, or made anew
    #[arg(long, value_name = "WHAT", default_value = "skip", value_parser = word_of::<Specials>())]
    specials: Specials,
    /// Holes in files: kept, or written as zeros
    #[arg(long, value_name = "WHEN", default_value = "auto", value_parser = word_of::<Sparse>())]
    sparse: Sparse,
    /// A directory at the target where the source has something else, or the reverse: failed, or what is in the way is
    /// removed
    #[arg(long, value_name = "WHAT", default_value = "fail", value_parser = word_of::<Conflicts>())]
    conflicts: Conflicts,
    /// What is looked at before a copied file gets its name: nothing, the target's size, or all bytes of both sides,
    /// the target's read back from its storage
    #[arg(long, value_name = "WHAT", default_value = "none", value_parser = word_of::<Verify>())]
    verify: Verify,
    /// What a final name promises after a power cut: nothing until the system has written it back, its content, synced
    /// in batches, or file by file
    #[arg(long, value_name = "HOW", default_value = "none", value_parser = word_of::<Durability>())]
    durability: Durability,
}

impl CopyFlags {
    pub(super) fn options(&self, filter: Filter) -> CopyOptions {
        CopyOptions {
            compare: match self.size_only {
                true => Compare::Size,
                false => self.compare,
            },
            update: self.update,
            dry_run: self.dry_run,
            preserve: match self.no_times {
                true => self.preserve.without(Attribute::Times),
                false => self.preserve,
            },
            metadata: self.metadata,
            specials: self.specials,
            sparse: self.sparse,
            conflicts: self.conflicts,
            verify: self.verify,
            durability: self.durability,
            filter,
        }
    }
}
