//! Where the programs are, whether they are there, and of what versions they are.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Tool;
use crate::Failure;

impl Tool {
    pub(super) fn program(self) -> PathBuf {
        match self {
            Self::Copy | Self::CopyBatch | Self::CopyPreserve => built("data-migrate"),
            Self::CopyBefore => std::env::var_os("BENCH_BEFORE").unwrap_or_default().into(),
            Self::Service | Self::OldConfig { .. } => built("data-migrate-server"),
            Self::Floor => beside_bench("floor"),
            Self::Xcp => xcp(),
            Self::Cp => "cp".into(),
            Self::Rsync | Self::RsyncAll => "rsync".into(),
            Self::Fpsync => "fpsync".into(),
            Self::Rclone { .. } | Self::RclonePiece => rclone(),
        }
    }

    /// Whether it was asked for: there is none before, unless one is named.
    pub(crate) fn is_wanted(self) -> bool {
        self != Self::CopyBefore || std::env::var_os("BENCH_BEFORE").is_some()
    }

    /// The first line of what it says about its version; none of programs that have no versions.
    fn version(self) -> Option<String> {
        let argument = match self {
            Self::Floor | Self::CopyBefore => return None,
            Self::Fpsync => "-h",
            Self::Rclone { .. } | Self::RclonePiece => "version",
            _ => "--version",
        };
        let output = Command::new(self.program()).arg(argument).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text.lines().find(|line| !line.trim().is_empty())?;
        Some(line.trim().to_owned())
    }
}

/// Each program once.
pub(crate) fn versions(tools: &[Tool]) -> Vec<String> {
    let mut all = Vec::new();
    for version in tools.iter().filter_map(|tool| tool.version()) {
        if !all.contains(&version) {
            all.push(version);
        }
    }
    all
}

/// An error for the first that cannot be started.
pub(crate) fn require(tools: &[Tool]) -> Result<(), Failure> {
    for tool in tools {
        let program = tool.program();
        if Command::new(&program).arg("--help").output().is_err() {
            let program = program.display();
            return Err(format!("{program} is not there: `make bench` builds and installs").into());
        }
    }
    Ok(())
}

/// A program that is measured: in `BENCH_PROGRAMS`, else beside this one.
pub(crate) fn built(program: &str) -> PathBuf {
    match std::env::var_os("BENCH_PROGRAMS") {
        Some(directory) => Path::new(&directory).join(program),
        None => beside_bench(program),
    }
}

/// A program of the bench itself.
pub(crate) fn beside_bench(program: &str) -> PathBuf {
    let here = std::env::current_exe().unwrap_or_default();
    here.with_file_name(program)
}

/// `RCLONE`, else the one that `scripts/setup.sh bench` installs, else the one in `PATH`.
pub(crate) fn rclone() -> PathBuf {
    installed("RCLONE", "rclone")
}

/// `XCP`, else the one that `scripts/setup.sh bench` installs, else the one in `PATH`.
pub(crate) fn xcp() -> PathBuf {
    installed("XCP", "xcp")
}

fn installed(variable: &str, name: &str) -> PathBuf {
    if let Some(program) = std::env::var_os(variable) {
        return program.into();
    }
    let directory = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let program = Path::new(&directory).join(format!("tools/{name}/bin/{name}"));
    // Absolute: whoever starts it may be elsewhere.
    program.canonicalize().unwrap_or_else(|_| name.into())
}
