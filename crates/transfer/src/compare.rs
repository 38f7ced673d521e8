//! Whether what is at the target is what is at the source. Pure functions of two stats.

use model::{Attribute, Compare, CopyOptions};
use storage::posix::{Meta, Timestamp};

/// What is to be done about a regular file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    /// The content is equal, the attributes are not.
    AttributesDiffer,
    ContentDiffers,
    NewerAtTarget,
}

/// Compares two regular files. `owners_count`: whether this process can give owners away.
pub(crate) fn compare_files(
    source: &Meta,
    target: &Meta,
    options: &CopyOptions,
    owners_count: bool,
) -> Comparison {
    let same_time = is_same_time(source.modified, target.modified);
    if options.update && !same_time && target.modified > source.modified {
        return Comparison::NewerAtTarget;
    }
    let same_content = source.size == target.size
        && (options.compare == Compare::Size
            || same_time
            || (!options.keeps(Attribute::Times) && target.modified >= source.modified));
    if !same_content {
        Comparison::ContentDiffers
    } else if attributes_differ(source, target, options, owners_count) {
        Comparison::AttributesDiffer
    } else {
        Comparison::Equal
    }
}

/// Whether owner, mode or modification time are to be set. Links have no mode.
pub(crate) fn attributes_differ(
    source: &Meta,
    target: &Meta,
    options: &CopyOptions,
    owners_count: bool,
) -> bool {
    let is_link = source.kind == storage::posix::Kind::Symlink;
    let wanted = if owners_count {
        source.mode
    } else {
        kept_mode(source, target)
    };
    (!is_link && wanted != target.mode)
        || (owners_count && source.owner != target.owner)
        || (options.keeps(Attribute::Times) && !is_same_time(source.modified, target.modified))
}

/// The mode a file may have when its owner can't be kept: no setuid or setgid for somebody else.
pub(crate) fn kept_mode(source: &Meta, target: &Meta) -> u32 {
    if source.owner == target.owner || source.kind == storage::posix::Kind::Directory {
        source.mode
    } else {
        source.mode & !0o6000
    }
}

/// Whether the target's time is the source's, as finely as the target's file system keeps it.
/// A time with fewer digits than the source's was cut when it was set.
pub(crate) fn is_same_time(source: Timestamp, target: Timestamp) -> bool {
    let unit = [1_000_000_000, 1_000_000, 1_000, 100]
        .into_iter()
        .find(|unit| target.nanos.is_multiple_of(*unit))
        .unwrap_or(1);
    source.secs == target.secs && source.nanos / unit == target.nanos / unit
}

#[cfg(test)]
mod tests {
    use super::{Timestamp, is_same_time};

    #[test]
    fn a_time_is_equal_as_finely_as_the_target_keeps_it() {
        let at = |secs, nanos| Timestamp { secs, nanos };
        for (source, target, same) in [
            (at(5, 123_456_789), at(5, 123_456_789), true),
            (at(5, 123_456_789), at(5, 0), true),
            (at(5, 123_456_789), at(5, 123_456_000), true),
            (at(5, 123_456_789), at(5, 123_456_700), true),
            (at(5, 123_456_789), at(5, 123_456_788), false),
            (at(5, 0), at(5, 123_456_789), false),
            (at(5, 123_456_789), at(6, 0), false),
            (at(-1, 500_000_000), at(-1, 500_000_000), true),
        ] {
            assert_eq!(is_same_time(source, target), same, "{source:?} {target:?}");
        }
    }
}
