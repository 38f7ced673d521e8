//! How rclone is run, as a message and back.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use model::RcloneOptions;
use model::engine::LogLevel;

use crate::convert::{BadMessage, bad};
use crate::proto;

impl From<&RcloneOptions> for proto::RcloneSettings {
    fn from(options: &RcloneOptions) -> Self {
        Self {
            checkers: options.checkers.unwrap_or(0),
            transfers: options.transfers.unwrap_or(0),
            log_level: options.log_level.name().to_owned(),
            stall_secs: u32::try_from(options.stall_secs).unwrap_or(u32::MAX),
            files_per_process: options.files_per_process,
            list_dir: options
                .list_dir
                .as_ref()
                .map_or_else(Vec::new, |dir| dir.as_os_str().as_bytes().to_vec()),
            list_dir_fs_type: options.list_dir_fs_type.clone().unwrap_or_default(),
        }
    }
}

impl TryFrom<proto::RcloneSettings> for RcloneOptions {
    type Error = BadMessage;

    fn try_from(settings: proto::RcloneSettings) -> Result<Self, BadMessage> {
        let given = |n: u32| (n > 0).then_some(n);
        if settings.stall_secs == 0 || settings.files_per_process == 0 {
            return Err(bad("rclone", "a limit is 0"));
        }
        let list_dir = match settings.list_dir.as_slice() {
            [] => None,
            path if path.contains(&0) => return Err(bad("rclone.list_dir", "no path")),
            path => Some(PathBuf::from(OsStr::from_bytes(path))),
        };
        Ok(Self {
            checkers: given(settings.checkers),
            transfers: given(settings.transfers),
            log_level: LogLevel::from_name(&settings.log_level)
                .ok_or_else(|| bad("rclone.log_level", settings.log_level))?,
            stall_secs: settings.stall_secs.into(),
            files_per_process: settings.files_per_process,
            list_dir,
            list_dir_fs_type: Some(settings.list_dir_fs_type).filter(|name| !name.is_empty()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{LogLevel, RcloneOptions, proto};

    #[test]
    fn settings_survive_the_wire() {
        for (n, list_dir) in [(None, None), (Some(128), Some("/shared/dir".into()))] {
            let options = RcloneOptions {
                checkers: n,
                transfers: n,
                log_level: LogLevel::Notice,
                stall_secs: 600,
                files_per_process: 500_000,
                list_dir_fs_type: list_dir.as_ref().map(|_| "gpfs".to_owned()),
                list_dir,
            };
            let settings = proto::RcloneSettings::from(&options);
            assert_eq!(RcloneOptions::try_from(settings), Ok(options));
        }
        assert!(RcloneOptions::try_from(proto::RcloneSettings::default()).is_err());
    }
}
