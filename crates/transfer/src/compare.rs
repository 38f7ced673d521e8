//! Whether what is at the target is what is at the source. Pure functions of two stats.

use model::{Attribute, Compare, CopyOptions};
use storage::posix::{Kind, Meta, Timestamp};

/// What is to be done about a regular file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    /// The content is equal, the attributes are not.
    AttributesDiffer,
    ContentDiffers,
    NewerAtTarget,
    /// Only reading both tells whether the content is equal.
    MustBeRead,
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
        && match options.compare {
            Compare::Always => false,
            Compare::Size => true,
            Compare::Checksum => return Comparison::MustBeRead,
            Compare::Mtime => speaks_for_same_content(source, target, options),
        };
    if !same_content {
        Comparison::ContentDiffers
    } else if attributes_differ(source, target, options, owners_count) {
        Comparison::AttributesDiffer
    } else {
        Comparison::Equal
    }
}

/// Whether the modification times of two files of one size say that their content is the same. Where times are not
/// carried over, a copy is younger than what it was made from.
pub(crate) fn speaks_for_same_content(source: &Meta, target: &Meta, options: &CopyOptions) -> bool {
    is_same_time(source.modified, target.modified)
        || (!options.keeps(Attribute::Times) && target.modified >= source.modified)
}

/// Whether owner, mode or modification time are to be set.
pub(crate) fn attributes_differ(
    source: &Meta,
    target: &Meta,
    options: &CopyOptions,
    owners_count: bool,
) -> bool {
    mode_differs(source, target, options, owners_count)
        || owner_differs(source, target, options, owners_count)
        || time_differs(source, target, options)
}

/// Whether the mode is to be set. Links have none.
pub(crate) fn mode_differs(
    source: &Meta,
    target: &Meta,
    options: &CopyOptions,
    owners_count: bool,
) -> bool {
    let wanted = match owners_count && options.keeps(Attribute::Owner) {
        true => source.mode,
        false => kept_mode(source, target),
    };
    options.keeps(Attribute::Mode) && source.kind != Kind::Symlink && wanted != target.mode
}

pub(crate) fn owner_differs(
    source: &Meta,
    target: &Meta,
    options: &CopyOptions,
    owners_count: bool,
) -> bool {
    owners_count && options.keeps(Attribute::Owner) && source.owner != target.owner
}

pub(crate) fn time_differs(source: &Meta, target: &Meta, options: &CopyOptions) -> bool {
    options.keeps(Attribute::Times) && !is_same_time(source.modified, target.modified)
}

/// The mode a file may have when its owner can't be kept: no setuid or setgid for somebody else.
pub(crate) fn kept_mode(source: &Meta, target: &Meta) -> u32 {
    if source.owner == target.owner || source.kind == Kind::Directory {
        source.mode
    } else {
        source.mode & !0o6000
    }
}

/// Whether the target's time is the source's, as finely and as far as the target's file system keeps it.
/// A time with fewer digits than the source's was cut when it was set, and so was one beyond what it can hold.
pub(crate) fn is_same_time(source: Timestamp, target: Timestamp) -> bool {
    let unit = [1_000_000_000, 1_000_000, 1_000, 100]
        .into_iter()
        .find(|unit| target.nanos.is_multiple_of(*unit))
        .unwrap_or(1);
    (source.secs == target.secs && source.nanos / unit == target.nanos / unit)
        || (is_cut(source.secs, target.secs) && target.nanos == 0)
}

/// The first and last second of file systems: of 32 bits, with a sign and without (NFS before version 4, Ceph); ext4
/// with 34 bits; xfs with its big times.
const FIRST_SECS: [i64; 2] = [i32::MIN as i64, 0];
const LAST_SECS: [i64; 4] = [
    i32::MAX as i64,
    u32::MAX as i64,
    0x3_7fff_ffff,
    16_299_260_424,
];

fn is_cut(source_secs: i64, target_secs: i64) -> bool {
    (source_secs < target_secs && FIRST_SECS.contains(&target_secs))
        || (source_secs > target_secs && LAST_SECS.contains(&target_secs))
}

/// Whether every file system holds it.
pub(crate) fn is_ordinary(time: Timestamp) -> bool {
    (0..i64::from(i32::MAX)).contains(&time.secs)
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
            (at(4_102_444_800, 5), at(i32::MAX.into(), 0), true),
            (at(-9_000_000_000, 5), at(i32::MIN.into(), 0), true),
            (at(5, 5), at(i32::MAX.into(), 0), false),
            (at(4_102_444_800, 5), at(i32::MIN.into(), 0), false),
        ] {
            assert_eq!(is_same_time(source, target), same, "{source:?} {target:?}");
        }
    }
}
