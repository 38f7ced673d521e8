//! The tools that are measured: by what names they go, and what their copies keep.

mod command;
mod program;

use testkit::compare::Options;

use command::PIECE_TRANSFERS;
pub(crate) use command::{Content, Job, Latency, write_list};
pub(crate) use program::{beside_bench, built, rclone, require, versions};

/// See `program` for where each is found and `command` for how it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    Copy,
    /// As [`Tool::Copy`], with every file on the disk before it has its name.
    CopyBatch,
    /// As [`Tool::Copy`], looking at the attributes that `rsync -a` looks at.
    CopyPreserve,
    /// Another data-migrate: `BENCH_BEFORE`.
    CopyBefore,
    Service,
    Floor,
    Xcp,
    Cp,
    Rsync,
    /// With hard links, ACLs and extended attributes.
    RsyncAll,
    Fpsync,
    Rclone {
        transfers: u32,
    },
    /// A list of all files, as one piece of work, given to rclone by hand.
    RclonePiece,
    /// Server and worker with a config of the older tool, with rclone's flags.
    OldConfig {
        engine: &'static str,
    },
}

pub(crate) const RCLONE_16: Tool = Tool::Rclone { transfers: 16 };
pub(crate) const RCLONE_64: Tool = Tool::Rclone { transfers: 64 };
pub(crate) const OLD_RCLONE: Tool = Tool::OldConfig { engine: "rclone" };
pub(crate) const OLD_NATIVE: Tool = Tool::OldConfig { engine: "native" };

pub(crate) const ALL: [Tool; 16] = [
    Tool::Copy,
    Tool::CopyBefore,
    Tool::CopyBatch,
    Tool::CopyPreserve,
    Tool::Service,
    Tool::Floor,
    Tool::Xcp,
    Tool::Cp,
    Tool::Rsync,
    Tool::RsyncAll,
    Tool::Fpsync,
    RCLONE_16,
    RCLONE_64,
    Tool::RclonePiece,
    OLD_RCLONE,
    OLD_NATIVE,
];

impl Tool {
    /// By which `BENCH_TOOLS` calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::CopyBatch => "batch",
            Self::CopyPreserve => "preserve",
            Self::CopyBefore => "before",
            Self::Service => "server",
            Self::Floor => "floor",
            Self::Xcp => "xcp",
            Self::Cp => "cp",
            Self::Rsync => "rsync",
            Self::RsyncAll => "rsync-all",
            Self::Fpsync => "fpsync",
            Self::Rclone { transfers: 16 } => "rclone16",
            Self::Rclone { .. } => "rclone64",
            Self::RclonePiece => "piece",
            Self::OldConfig { engine: "rclone" } => "old",
            Self::OldConfig { .. } => "old-native",
        }
    }

    /// What tables call it.
    pub(crate) fn title(self) -> String {
        match self {
            Self::Copy => "data-migrate copy".into(),
            Self::CopyBatch => "data-migrate copy --durability batch".into(),
            Self::CopyPreserve => "data-migrate copy --preserve mode,owner,times".into(),
            Self::CopyBefore => "data-migrate copy, before".into(),
            Self::Service => "data-migrate-server + worker".into(),
            Self::Floor => "floor".into(),
            Self::Xcp => "xcp -ro".into(),
            Self::Cp => "cp -a".into(),
            Self::Rsync => "rsync -a".into(),
            Self::RsyncAll => "rsync -aHAX".into(),
            Self::Fpsync => "fpsync -n 4".into(),
            Self::Rclone { transfers } => format!("rclone copy --transfers {transfers}"),
            Self::RclonePiece => {
                format!("rclone copy --files-from-raw, by hand, --transfers {PIECE_TRANSFERS}")
            }
            Self::OldConfig { engine } => {
                format!("server + worker, older config, engine {engine}")
            }
        }
    }

    pub(crate) fn is_service(self) -> bool {
        self.service_config().is_some()
    }

    /// Of those that are server and worker: lines of `global_config`.
    pub(crate) fn service_config(self) -> Option<String> {
        match self {
            Self::Service => Some("  durability: none\n  transfers: 64\n".to_owned()),
            Self::OldConfig { engine } => Some(format!(
                "  durability: none
  engine: {engine}
  rclone_flags:
    checkers: {PIECE_TRANSFERS}
    transfers: {PIECE_TRANSFERS}
    log_level: INFO
"
            )),
            _ => None,
        }
    }

    pub(crate) fn is_rclone(self) -> bool {
        matches!(self, Self::Rclone { .. })
    }

    /// Whether it is of this project: its failure is a failure of the bench.
    pub(crate) fn is_ours(self) -> bool {
        matches!(
            self,
            Self::Copy | Self::CopyBatch | Self::CopyPreserve | Self::Floor
        ) || self.is_service()
    }

    /// What its copy must have kept: rclone keeps neither owners nor modes unless it is told to; xcp does not set times
    /// of directories, and of fpsync's processes one sets them while another is still putting files there.
    pub(crate) fn kept(self) -> Options {
        let root_apart = Options {
            root_attributes: false,
            ..Options::default()
        };
        match self {
            Self::Rclone { .. } | Self::RclonePiece => Options {
                file_times: true,
                ..Options::data_only()
            },
            Self::Fpsync | Self::Xcp => Options {
                directory_times: false,
                ..root_apart
            },
            _ => root_apart,
        }
    }
}
