//! Whether a target is full that rclone calls so.
//!
//! rclone tells of it in the system's words, or its own where it asks for room in advance. They may be about its
//! cache or about the source as well, and anything may be in a message: they count only after a look at the target.

use model::found_files::FoundFile;
use model::{NoRoom, PartialSuffix};
use storage::posix::{Dir, Error};

use super::piece::open_parent;

/// As Go words the errors of the system; the second is of rclone 1.60 to 1.75.
const WORDS: [&str; 4] = [
    "no space left on device",
    "file too big for remaining disk space",
    "disk quota exceeded",
    "read-only file system",
];

/// Whether the message speaks of a full target.
pub(crate) fn is_meant(message: &str) -> bool {
    WORDS.iter().any(|words| message.contains(words))
}

/// What the target really lacks for these files, which are said to have found no room: by its own account, or as a
/// trial beside the first of them shows, which is removed again.
pub(crate) fn lacks(target: &Dir, files: &[&FoundFile], suffix: PartialSuffix) -> Option<NoRoom> {
    let first = files.first()?;
    let bytes = files.iter().filter_map(|file| file.size).sum();
    let by_itself = target.lacks_for(bytes).ok().flatten();
    by_itself.or_else(|| try_out(target, first, suffix).err()?.no_room())
}

fn try_out(target: &Dir, beside: &FoundFile, suffix: PartialSuffix) -> Result<(), Error> {
    let directory = open_parent(target, &beside.path)?;
    // Should this process die meanwhile, it is cleared up as what rclone leaves.
    let name = format!("trial{suffix}");
    let written = directory.create_file(&*name, 0o600).and_then(|file| {
        file.write_all_at(b"trial", 0)?;
        file.sync()
    });
    match directory.unlink(&*name) {
        Err(error) if !error.is_missing() => written.and(Err(error)),
        _ => written,
    }
}

#[cfg(test)]
mod tests {
    use super::is_meant;

    #[test]
    fn a_full_target_is_known_by_its_words() {
        for (message, expected) in [
            (
                "Failed to copy: write /t/a.1.dm2: no space left on device",
                true,
            ),
            (
                "Failed to copy: preallocate: file too big for remaining disk space",
                true,
            ),
            ("Failed to copy: close /t/a: disk quota exceeded", true),
            ("Failed to copy: mkdir /t/d: read-only file system", true),
            ("Failed to copy: open /t/a: permission denied", false),
            ("", false),
        ] {
            assert_eq!(is_meant(message), expected, "{message}");
        }
    }
}
