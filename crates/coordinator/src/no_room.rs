//! The server's own disk has no room. Nothing is lost for that: what could not be written is written later.

use std::io;

/// Whether more room would make the call succeed.
pub(crate) fn is_no_room(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

#[cfg(test)]
mod tests {
    use std::io;

    use rustix::io::Errno;

    use super::is_no_room;

    #[test]
    fn room_is_what_is_missing_when_blocks_inodes_or_a_quota_are_used_up() {
        for (errno, expected) in [
            (Errno::NOSPC, true),
            (Errno::DQUOT, true),
            (Errno::IO, false),
            (Errno::ROFS, false),
            (Errno::FBIG, false),
        ] {
            let error = io::Error::from(errno);
            assert_eq!(is_no_room(&error), expected, "{error}");
        }
    }
}
