//! Foreign programs that tests call. One that is missing is an error which names the Debian package that has it.

use std::fmt;
use std::io;
use std::process::{Command, Output};

/// Why a foreign program did not do what was asked.
#[derive(Debug)]
pub enum ToolError {
    Missing {
        program: String,
        package: &'static str,
    },
    CannotStart {
        program: String,
        source: io::Error,
    },
    Failed {
        command: String,
        status: String,
        stderr: String,
    },
}

impl fmt::Display for ToolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { program, package } => write!(
                f,
                "{program} is not installed: it is in the package {package} (scripts/setup.sh installs it)"
            ),
            Self::CannotStart { program, .. } => write!(f, "cannot start {program}"),
            Self::Failed {
                command,
                status,
                stderr,
            } => write!(f, "{command} failed ({status}): {stderr}"),
        }
    }
}

impl std::error::Error for ToolError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::CannotStart { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// `command`, with its directory and environment, as the last arguments of another that starts it.
pub fn started_by(mut starter: Command, command: &Command) -> Command {
    starter.arg(command.get_program()).args(command.get_args());
    if let Some(directory) = command.get_current_dir() {
        starter.current_dir(directory);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => starter.env(name, value),
            None => starter.env_remove(name),
        };
    }
    starter
}

/// The Debian package that has `program`.
pub fn package_of(program: &str) -> &'static str {
    match program {
        "mkfs.ext4" | "debugfs" => "e2fsprogs",
        "mkfs.xfs" | "xfs_io" => "xfsprogs",
        "openssl" => "openssl",
        "curl" => "curl",
        "mount" | "umount" | "losetup" => "mount",
        "fusermount3" => "fuse3",
        "rsync" => "rsync",
        "getfacl" | "setfacl" => "acl",
        "gzip" => "gzip",
        "setpriv" | "unshare" | "nsenter" => "util-linux",
        "ip" => "iproute2",
        "strace" => "strace",
        "cp" | "sync" => "coreutils",
        _ => "of the same name",
    }
}

/// Runs `command` to its end and hands back what it wrote, whatever its exit status.
pub fn output(command: &mut Command) -> Result<Output, ToolError> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.output().map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => ToolError::Missing {
            package: package_of(&program),
            program,
        },
        _ => ToolError::CannotStart { program, source },
    })
}

/// Runs `command` to its end; an exit status other than 0 is an error.
pub fn run(command: &mut Command) -> Result<Output, ToolError> {
    let done = output(command)?;
    if done.status.success() {
        return Ok(done);
    }
    Err(ToolError::Failed {
        command: format!("{command:?}"),
        status: done.status.to_string(),
        stderr: String::from_utf8_lossy(&done.stderr).trim().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    #[test]
    fn a_missing_program_names_its_package() {
        let error = super::ToolError::Missing {
            program: "mkfs.xfs".into(),
            package: super::package_of("mkfs.xfs"),
        };
        assert!(error.to_string().contains("package xfsprogs"));
        let error = super::run(&mut Command::new("no-such-program-here")).unwrap_err();
        assert!(error.to_string().contains("is not installed"), "{error}");
    }

    #[test]
    fn a_failure_says_what_was_run_and_what_it_wrote() {
        let error = super::run(Command::new("ls").arg("/no/such/place")).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("/no/such/place") && text.contains("exit status"),
            "{text}"
        );
    }
}
