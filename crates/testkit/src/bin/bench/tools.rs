//! The tools that are measured, and how each is asked to copy one directory's contents into another.

use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::compare::Options;

use crate::Failure;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    Copy,
    Service,
    Cp,
    Rsync,
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

/// Transfers and checkers where rclone gets a list of files.
const PIECE_TRANSFERS: u32 = 16;

const ALL: [Tool; 9] = [
    Tool::Copy,
    Tool::Service,
    Tool::Cp,
    Tool::Rsync,
    Tool::Rclone { transfers: 16 },
    Tool::Rclone { transfers: 64 },
    Tool::RclonePiece,
    Tool::OldConfig { engine: "rclone" },
    Tool::OldConfig { engine: "native" },
];

impl Tool {
    /// By which `BENCH_TOOLS` calls it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Service => "server",
            Self::Cp => "cp",
            Self::Rsync => "rsync",
            Self::Rclone { transfers: 16 } => "rclone16",
            Self::Rclone { .. } => "rclone64",
            Self::RclonePiece => "piece",
            Self::OldConfig { engine: "rclone" } => "old",
            Self::OldConfig { .. } => "old-native",
        }
    }

    /// What the table calls it.
    pub(crate) fn title(&self) -> String {
        match self {
            Self::Copy => "data-migrate copy".into(),
            Self::Service => "data-migrate-server + worker".into(),
            Self::Cp => "cp -a".into(),
            Self::Rsync => "rsync -a".into(),
            Self::Rclone { transfers } => format!("rclone copy --transfers {transfers}"),
            Self::RclonePiece => {
                format!("rclone copy --files-from-raw, by hand, --transfers {PIECE_TRANSFERS}")
            }
            Self::OldConfig { engine } => {
                format!("server + worker, older config, engine {engine}")
            }
        }
    }

    pub(crate) fn is_service(&self) -> bool {
        self.service_config().is_some()
    }

    /// Of those that are server and worker: lines of `global_config`.
    pub(crate) fn service_config(&self) -> Option<String> {
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

    pub(crate) fn is_rclone(&self) -> bool {
        matches!(self, Self::Rclone { .. })
    }

    /// The command that copies; none for server and worker, which are two.
    pub(crate) fn command(&self, source: &Path, target: &Path) -> Option<Command> {
        let contents = |directory: &Path, end: &str| {
            let mut text = directory.as_os_str().to_owned();
            text.push(end);
            text
        };
        let mut command = Command::new(self.program());
        match self {
            Self::Copy => command.arg("copy").args([source, target]),
            Self::Service | Self::OldConfig { .. } => return None,
            Self::Cp => command.arg("-a").arg(contents(source, "/.")).arg(target),
            Self::Rsync => command.arg("-a").arg(contents(source, "/")).arg(target),
            Self::Rclone { transfers } => command
                .args(["copy", "--config", "/dev/null"])
                .args(["--transfers", &transfers.to_string()])
                .args(["--checkers", &transfers.to_string()])
                .args([source, target]),
            Self::RclonePiece => command
                .args(["copy", "--config", "/dev/null", "--log-level", "INFO"])
                .args(["--transfers", &PIECE_TRANSFERS.to_string()])
                .args(["--checkers", &PIECE_TRANSFERS.to_string()])
                .args(["--no-traverse", "--files-from-raw"])
                .arg(list_beside(source))
                .arg("--log-file")
                .arg(source.with_file_name("log"))
                .args([source, target]),
        };
        Some(command)
    }

    pub(crate) fn program(&self) -> PathBuf {
        match self {
            Self::Copy => built("data-migrate"),
            Self::Service | Self::OldConfig { .. } => built("data-migrate-server"),
            Self::Cp => "cp".into(),
            Self::Rsync => "rsync".into(),
            Self::Rclone { .. } | Self::RclonePiece => rclone(),
        }
    }

    /// The first line of what it says about its version.
    pub(crate) fn version(&self) -> String {
        let argument = if self.is_rclone() || *self == Self::RclonePiece {
            "version"
        } else {
            "--version"
        };
        let output = Command::new(self.program()).arg(argument).output();
        let text = output.map(|done| String::from_utf8_lossy(&done.stdout).into_owned());
        let line = text.unwrap_or_default();
        line.lines().next().unwrap_or("unknown").trim().to_owned()
    }

    /// What its copy must have kept: rclone copies neither owners nor modes unless it is told to.
    pub(crate) fn kept(&self) -> Options {
        match self {
            Self::Rclone { .. } | Self::RclonePiece => Options {
                file_times: true,
                ..Options::data_only()
            },
            _ => Options {
                root_attributes: false,
                ..Options::default()
            },
        }
    }
}

/// Those that `BENCH_TOOLS` names, all without it; each must be there.
pub(crate) fn chosen() -> Result<Vec<Tool>, Failure> {
    let names = std::env::var("BENCH_TOOLS").unwrap_or_default();
    let wanted: Vec<&str> = names.split(',').filter(|name| !name.is_empty()).collect();
    let known = ALL.map(|tool| tool.name());
    if let Some(name) = wanted.iter().find(|name| !known.contains(name)) {
        return Err(format!(
            "BENCH_TOOLS: no tool {name}; there are {}",
            known.join(", ")
        )
        .into());
    }
    let tools: Vec<Tool> = ALL
        .into_iter()
        .filter(|tool| wanted.is_empty() || wanted.contains(&tool.name()))
        .collect();
    for tool in &tools {
        let program = tool.program();
        if Command::new(&program).arg("--help").output().is_err() {
            let program = program.display();
            return Err(format!("{program} is not there: `make bench` builds and installs").into());
        }
    }
    Ok(tools)
}

/// A program of this project: built beside this one.
pub(crate) fn built(program: &str) -> PathBuf {
    let here = std::env::current_exe().unwrap_or_default();
    here.with_file_name(program)
}

/// Where the list of all files of a source is: [`write_list`].
fn list_beside(source: &Path) -> PathBuf {
    source.with_file_name("list")
}

/// Writes the list for [`Tool::RclonePiece`].
pub(crate) fn write_list(source: &Path) -> Result<(), Failure> {
    let found = Command::new("find")
        .arg(".")
        .args(["-type", "f", "-printf", "%P\\n"])
        .current_dir(source)
        .output()?;
    Ok(std::fs::write(list_beside(source), found.stdout)?)
}

/// `RCLONE`, else the one that `scripts/setup.sh bench` installs, else the one in `PATH`.
pub(crate) fn rclone() -> PathBuf {
    if let Some(program) = std::env::var_os("RCLONE") {
        return program.into();
    }
    let directory = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let installed = Path::new(&directory).join("tools/rclone/bin/rclone");
    // Absolute: whoever starts it may be elsewhere.
    installed.canonicalize().unwrap_or_else(|_| "rclone".into())
}
