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
    Rclone { transfers: u32 },
}

const ALL: [Tool; 6] = [
    Tool::Copy,
    Tool::Service,
    Tool::Cp,
    Tool::Rsync,
    Tool::Rclone { transfers: 16 },
    Tool::Rclone { transfers: 64 },
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
        }
    }

    pub(crate) fn is_service(&self) -> bool {
        *self == Self::Service
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
            Self::Service => return None,
            Self::Cp => command.arg("-a").arg(contents(source, "/.")).arg(target),
            Self::Rsync => command.arg("-a").arg(contents(source, "/")).arg(target),
            Self::Rclone { transfers } => command
                .args(["copy", "--config", "/dev/null"])
                .args(["--transfers", &transfers.to_string()])
                .args(["--checkers", &transfers.to_string()])
                .args([source, target]),
        };
        Some(command)
    }

    pub(crate) fn program(&self) -> PathBuf {
        match self {
            Self::Copy => built("data-migrate"),
            Self::Service => built("data-migrate-server"),
            Self::Cp => "cp".into(),
            Self::Rsync => "rsync".into(),
            Self::Rclone { .. } => rclone(),
        }
    }

    /// The first line of what it says about its version.
    pub(crate) fn version(&self) -> String {
        let argument = if self.is_rclone() {
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
            Self::Rclone { .. } => Options {
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

/// `RCLONE`, else the one that `scripts/setup.sh bench` installs, else the one in `PATH`.
fn rclone() -> PathBuf {
    if let Some(program) = std::env::var_os("RCLONE") {
        return program.into();
    }
    let directory = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let installed = Path::new(&directory).join("tools/rclone/bin/rclone");
    match installed.exists() {
        true => installed,
        false => "rclone".into(),
    }
}
