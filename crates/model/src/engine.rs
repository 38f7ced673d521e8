//! What moves the bytes of a task, why that, and what rclone is run with.

use std::path::PathBuf;

/// What moves the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    Native,
    Rclone,
}

impl Engine {
    pub fn name(self) -> &'static str {
        match self {
            Engine::Native => "native",
            Engine::Rclone => "rclone",
        }
    }
}

/// The engine of a task with the reason for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EngineChoice {
    /// Nothing asks for rclone.
    Default,
    /// `engine: native`.
    NativeAsked,
    /// `engine: rclone`.
    RcloneAsked,
    /// The config has `rclone_flags`.
    RcloneFlags,
    /// Source or target is an rclone remote.
    Remote,
}

impl EngineChoice {
    pub fn engine(self) -> Engine {
        match self {
            EngineChoice::Default | EngineChoice::NativeAsked => Engine::Native,
            EngineChoice::RcloneAsked | EngineChoice::RcloneFlags | EngineChoice::Remote => {
                Engine::Rclone
            }
        }
    }

    /// Why, for the log.
    pub fn reason(self) -> &'static str {
        match self {
            EngineChoice::Default => "source and target are mounted file systems",
            EngineChoice::NativeAsked => "the config says engine: native",
            EngineChoice::RcloneAsked => "the config says engine: rclone",
            EngineChoice::RcloneFlags => "the config has rclone_flags",
            EngineChoice::Remote => "source or target is an rclone remote",
        }
    }
}

/// rclone's `--log-level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum LogLevel {
    Debug,
    #[default]
    Info,
    Notice,
    Error,
}

impl LogLevel {
    pub const ALL: [LogLevel; 4] = [
        LogLevel::Debug,
        LogLevel::Info,
        LogLevel::Notice,
        LogLevel::Error,
    ];

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            LogLevel::Debug => "DEBUG",
            LogLevel::Info => "INFO",
            LogLevel::Notice => "NOTICE",
            LogLevel::Error => "ERROR",
        }
    }
}

/// How rclone is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RcloneOptions {
    /// `--checkers`; none: rclone's own default.
    pub checkers: Option<u32>,
    /// `--transfers`; none: rclone's own default.
    pub transfers: Option<u32>,
    /// Of the logs that are kept.
    pub log_level: LogLevel,
    /// A process without progress for so long is ended and run again.
    pub stall_secs: u64,
    /// At most so many files for one process.
    pub files_per_process: u64,
    /// A folder that all workers share, for lists of files.
    pub list_dir: Option<PathBuf>,
    /// The type of file system that `list_dir` must be on.
    pub list_dir_fs_type: Option<String>,
}
