//! Rules that can be broken on purpose, to see that the simulation notices.

use clap::ValueEnum;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Rule {
    /// An attempt writes whatever its fence says.
    FenceIgnored,
    /// The store takes a result under any epoch.
    EpochIgnored,
    /// The server gives items to others when a worker was silent for half of its lease.
    LeaseCutShort,
    /// A server that starts knows nobody, so that all leases end at once.
    LeasesNotExtended,
    /// A repeated Split has other ids than the first.
    NewIdsOnRepeat,
    /// An attempt hands over what lies above something that an earlier one handed over.
    SharedAbove,
    /// An attempt does not leave out the names of a huge directory that an earlier one handed over.
    ShardsForgotten,
    /// An attempt hands over a range of names below one of which something is another's.
    ShardsAbove,
    /// A huge file gets its name without a question where the ranges stand that others have.
    RangesNotAwaited,
    /// What a block gets is read when it is written, and not before the fence is asked.
    ReadAfterFence,
    /// A range that another attempt still has is taken for done.
    LeasedForDone,
    /// An entry that is left to another try is counted as failed, too.
    LeftAndFailed,
    /// An attempt leaves alone what earlier ones left in its directories.
    TempsNotRemoved,
    /// A task ends without waiting for attempts that were superseded.
    NoTwoLeases,
}

impl Rule {
    /// As it is named on the command line.
    pub fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }
}
