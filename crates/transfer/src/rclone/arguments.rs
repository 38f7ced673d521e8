//! The command line of one process. Every argument has a place of its own: nothing that a user wrote is ever
//! taken for an option, since roots begin with `/` or the name of a remote and lists are files of ours.

use std::ffi::OsString;
use std::path::Path;

use model::engine::LogLevel;
use model::{Attribute, Compare, CopyOptions, PartialSuffix, RcloneOptions};

use super::version::Version;

/// Of `rclone copy`.
pub(crate) struct CopyArguments<'a> {
    pub(crate) version: Version,
    pub(crate) source: OsString,
    pub(crate) target: OsString,
    pub(crate) config: &'a Path,
    pub(crate) list: &'a Path,
    pub(crate) options: &'a CopyOptions,
    pub(crate) rclone: &'a RcloneOptions,
    /// What it logs, of which perhaps less is kept.
    pub(crate) log_level: LogLevel,
    pub(crate) suffix: PartialSuffix,
    /// What is listed has to be copied, whatever is there: our own code has compared.
    pub(crate) overwrites_all: bool,
    /// Source or target is given by its descriptor, which looks like a link.
    pub(crate) by_descriptor: bool,
}

impl CopyArguments<'_> {
    pub(crate) fn to_args(&self) -> Vec<OsString> {
        let mut args: Vec<OsString> = vec!["copy".into(), self.source.clone(), self.target.clone()];
        let mut push = |words: &[&str]| args.extend(words.iter().map(OsString::from));
        push(&["--use-json-log", "--log-level", self.log_level.name()]);
        push(&["--stats", "1s", "--stats-log-level", "INFO"]);
        // Names that failed are tried again here, without all the others.
        push(&["--no-traverse", "--retries", "1"]);
        if let Some(n) = self.rclone.checkers {
            push(&["--checkers", &n.to_string()]);
        }
        if let Some(n) = self.rclone.transfers {
            push(&["--transfers", &n.to_string()]);
        }
        if self.by_descriptor {
            push(&["--copy-links"]);
        }
        if self.options.dry_run {
            push(&["--dry-run"]);
        }
        if !self.options.keeps(Attribute::Times) {
            push(&["--local-no-set-modtime"]);
        }
        if self.overwrites_all {
            push(&["--ignore-times"]);
        } else {
            match self.options.compare {
                Compare::Mtime => {}
                Compare::Size => push(&["--size-only"]),
                Compare::Checksum => push(&["--checksum"]),
                Compare::Always => push(&["--ignore-times"]),
            }
            if self.options.update {
                push(&["--update"]);
            }
        }
        if self.version.has_partial_suffix() {
            push(&["--partial-suffix", &self.suffix.to_string()]);
        }
        if !self.version.publishes_by_rename() {
            // A file that was cut off is shorter then, and so found different.
            push(&["--local-no-preallocate"]);
        }
        if self.version.has_no_update_dir_modtime() {
            // They are set here when nothing is written into them any more.
            push(&["--no-update-dir-modtime"]);
        }
        args.extend(["--config".into(), self.config.into()]);
        args.extend(["--files-from-raw".into(), self.list.into()]);
        args
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::CopyArguments;
    use crate::rclone::version::Version;
    use model::engine::LogLevel;
    use model::{
        Attribute, Compare, CopyOptions, Epoch, ItemId, PartialSuffix, Preserve, RcloneOptions,
    };

    fn args(version: &str, options: CopyOptions, overwrites_all: bool) -> String {
        let rclone = RcloneOptions {
            checkers: Some(128),
            transfers: Some(64),
            log_level: LogLevel::Info,
            stall_secs: 600,
            files_per_process: 500_000,
            list_dir: None,
            list_dir_fs_type: None,
        };
        let arguments = CopyArguments {
            version: Version::parse(&format!("rclone v{version}\n")).unwrap(),
            source: "/s".into(),
            target: "r:t".into(),
            config: Path::new("/c"),
            list: Path::new("/l"),
            options: &options,
            rclone: &rclone,
            log_level: LogLevel::Debug,
            suffix: PartialSuffix {
                item: ItemId::from_random(1),
                epoch: Epoch(1),
            },
            overwrites_all,
            by_descriptor: true,
        };
        let args: Vec<String> = arguments
            .to_args()
            .into_iter()
            .map(|arg| arg.into_string().unwrap())
            .collect();
        args.join(" ")
    }

    #[test]
    fn the_flags_are_those_that_the_config_stands_for() {
        let options = CopyOptions {
            compare: Compare::Size,
            preserve: Preserve::ALL.without(Attribute::Times),
            update: true,
            ..CopyOptions::default()
        };
        let newest = args("1.75.2", options.clone(), false);
        assert_eq!(
            newest,
            "copy /s r:t --use-json-log --log-level DEBUG --stats 1s --stats-log-level INFO \
             --no-traverse --retries 1 --checkers 128 --transfers 64 --copy-links \
             --local-no-set-modtime --size-only --update --partial-suffix .dm0000000001001 \
             --no-update-dir-modtime --config /c --files-from-raw /l"
        );
        let oldest = args("1.60.1-DEV", options, true);
        assert!(oldest.contains("--ignore-times") && oldest.contains("--local-no-preallocate"));
        for unknown_to_it in [
            "--size-only",
            "--update ",
            "--partial-suffix",
            "dir-modtime",
        ] {
            assert!(!oldest.contains(unknown_to_it), "{unknown_to_it}");
        }
    }
}
