//! Which rclone is installed, and what it can therefore be asked for.
//!
//! Each capability has the release that brought it, so that the oldest rclone supported
//! is never given a flag it would refuse, nor trusted with what it does not do yet.

use std::fmt;

/// A release of rclone. A beta or development build counts as the release it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    major: u32,
    minor: u32,
    patch: u32,
}

impl Version {
    /// The oldest release that is supported.
    pub(crate) const OLDEST: Version = Version::new(1, 60, 0);

    const fn new(major: u32, minor: u32, patch: u32) -> Version {
        Version {
            major,
            minor,
            patch,
        }
    }

    /// Reads what `rclone version` prints, whose first line is like `rclone v1.60.1-DEV`.
    /// `None` if that line is not there.
    pub(crate) fn parse(output: &str) -> Option<Version> {
        let named = output
            .lines()
            .find_map(|line| line.trim().strip_prefix("rclone v"))?;
        let end = named
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(named.len());
        let mut numbers = named[..end].split('.').map(|number| number.parse().ok());
        let version = Version::new(numbers.next()??, numbers.next()??, numbers.next()??);
        numbers.next().is_none().then_some(version)
    }

    /// Whether a file that goes to a local, SFTP or FTP target is written under a temp name and
    /// renamed when complete. Before, its final name shows what has arrived so far.
    ///
    /// Source: `--inplace` in rclone's `docs/content/docs.md`, "versions of rclone prior to
    /// v1.63.0 behave as if the `--inplace` flag is always supplied".
    pub(crate) fn publishes_by_rename(self) -> bool {
        self >= Version::new(1, 63, 0)
    }

    /// Whether `--partial-suffix` is a flag: the end of these temp names, 16 bytes at most.
    ///
    /// Source: the limit from `fs/config.go`; v1.65.2 is the oldest release seen to have the flag,
    /// and flags come only with minor releases.
    pub(crate) fn has_partial_suffix(self) -> bool {
        self >= Version::new(1, 65, 0)
    }

    /// Whether `--no-update-dir-modtime` is a flag. Before, rclone left the modification times
    /// of directories alone.
    ///
    /// Source: rclone's issue 8317, directories are synced as of v1.66, and 6685, where v1.65.2
    /// does not; v1.65.2 has no such flag, v1.68.1 has.
    pub(crate) fn has_no_update_dir_modtime(self) -> bool {
        self >= Version::new(1, 66, 0)
    }

    /// Whether an entry of `--files-from-raw` that is a directory or cannot be read is an error
    /// of its own. Before, with `--no-traverse`, it stops the run and no file at all is copied.
    ///
    /// Source: `MakeListR` of rclone's `fs/filter/filter.go`; tried with v1.74.3 and v1.74.4.
    pub(crate) fn skips_unreadable_listed_files(self) -> bool {
        self >= Version::new(1, 74, 4)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn the_version_is_read_as_rclone_prints_it() {
        for (output, version) in [
            (
                "rclone v1.60.1-DEV\n- os/version: debian 12.11 (64 bit)\n",
                Some("1.60.1"),
            ),
            ("rclone v1.75.2\n- go/version: go1.26.4\n", Some("1.75.2")),
            ("rclone v1.66.0-beta.7560.f0c774156\n", Some("1.66.0")),
            ("rclone v1.65.0-termux\r\n", Some("1.65.0")),
            (
                "NOTICE: Config file not found\nrclone v1.68.1",
                Some("1.68.1"),
            ),
            ("", None),
            ("rclone vnext\n", None),
            ("rclone v1.60\n", None),
            ("rclone v1.60.1.2\n", None),
            ("rclone v99999999999.0.0\n", None),
            ("rsync  version 3.2.7\n", None),
        ] {
            let read = Version::parse(output).map(|version| version.to_string());
            assert_eq!(read.as_deref(), version, "{output:?}");
        }
    }

    #[test]
    fn versions_are_ordered_by_number() {
        let version = |text: &str| Version::parse(&format!("rclone v{text}")).unwrap();
        assert!(version("1.9.9") < Version::OLDEST);
        assert!(version("1.60.1") > Version::OLDEST);
        assert!(version("1.74.10") > version("1.74.4"));
        assert!(version("2.0.0") > version("1.99.99"));
    }

    #[test]
    fn a_capability_begins_with_its_release() {
        type Has = fn(Version) -> bool;
        for (has, before, first) in [
            (Version::publishes_by_rename as Has, (62, 2), (63, 0)),
            (Version::has_partial_suffix as Has, (64, 2), (65, 0)),
            (Version::has_no_update_dir_modtime as Has, (65, 2), (66, 0)),
            (
                Version::skips_unreadable_listed_files as Has,
                (74, 3),
                (74, 4),
            ),
        ] {
            assert!(!has(Version::new(1, before.0, before.1)), "{before:?}");
            assert!(has(Version::new(1, first.0, first.1)), "{first:?}");
            assert!(has(Version::new(2, 0, 0)), "{first:?}");
        }
    }
}
