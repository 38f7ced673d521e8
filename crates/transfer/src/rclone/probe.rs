//! The rclone of this machine: where it is, which version, and whether it can be used.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::config_file::{ConfigFile, ConfigFileError};
use super::config_location;
use super::environment::Environment;
use super::pinned::Pinning;
use super::process::Launch;
use super::remote_name::remote_name;
use super::version::Version;

/// `rclone version` takes milliseconds; on a machine that has much else to do, seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A usable rclone.
#[derive(Debug)]
pub struct Rclone {
    program: PathBuf,
    pub(crate) version: Version,
    environment: Environment,
    pub(crate) pinning: Pinning,
    /// This machine's own rclone.conf.
    pub(crate) config_file: Option<PathBuf>,
}

/// Why there is no usable rclone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoRclone {
    #[error("{program} was not found; install rclone, or name it with --rclone.path")]
    NotFound { program: String },
    #[error("{program} does not say its version")]
    NoVersion { program: String },
    #[error("{program} is {found}, expected {oldest} or later")]
    TooOld {
        program: String,
        found: Version,
        oldest: Version,
    },
    #[error(
        "the environment sets {}, which would change what rclone does or may hold a secret: start the worker without it",
        .names.join(", ")
    )]
    Environment { names: Vec<String> },
}

impl Rclone {
    /// Looks for the program, in PATH unless the name has a slash, and asks for its version.
    pub fn find(
        program: &Path,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, NoRclone> {
        let variables: Vec<(OsString, OsString)> = variables.into_iter().collect();
        let config_file = config_location::location(variables.iter().cloned());
        let environment = Environment::from_vars(variables);
        let shown = program.display().to_string();
        let program = in_path(program, &environment).ok_or_else(|| NoRclone::NotFound {
            program: shown.clone(),
        })?;
        if !environment.refused.is_empty() {
            return Err(NoRclone::Environment {
                names: environment.refused,
            });
        }
        let version = ask(&program, &environment)
            .and_then(|output| Version::parse(&output))
            .ok_or_else(|| NoRclone::NoVersion {
                program: shown.clone(),
            })?;
        if version < Version::OLDEST {
            return Err(NoRclone::TooOld {
                program: shown,
                found: version,
                oldest: Version::OLDEST,
            });
        }
        Ok(Self {
            program,
            version,
            pinning: Pinning::probe(&environment),
            environment,
            config_file,
        })
    }

    pub fn version(&self) -> String {
        self.version.to_string()
    }

    /// What users of this version should know.
    pub fn warning(&self) -> Option<String> {
        (!self.version.publishes_by_rename()).then(|| {
            format!(
                "rclone {} writes files of mounted targets under their final names: until it has finished one, it may be \
                 seen half-written; from 1.63 on it does not",
                self.version
            )
        })
    }

    /// The text of a config that holds just these remotes, given as `name:path`, and those that they are made of; with the
    /// backend of each.
    pub fn config_for(&self, locations: &[&str]) -> Result<(String, Vec<String>), ConfigFileError> {
        let names: Vec<&str> = locations.iter().copied().filter_map(remote_name).collect();
        if names.is_empty() {
            return Ok((String::new(), Vec::new()));
        }
        let Some(path) = &self.config_file else {
            return Err(ConfigFileError::NoFile);
        };
        let config = ConfigFile::read(path)?;
        let text = config.sections_of(&names)?;
        let backends = names
            .iter()
            .map(|name| config.backend(name).unwrap_or_default().to_owned());
        Ok((text, backends.collect()))
    }

    pub(crate) fn launch(&self) -> Launch<'_> {
        Launch {
            program: &self.program,
            environment: &self.environment,
        }
    }
}

fn in_path(program: &Path, environment: &Environment) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return program.is_file().then(|| program.to_owned());
    }
    let path = environment.passed.iter().find(|(name, _)| name == "PATH")?;
    std::env::split_paths(&path.1)
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

/// What `rclone version` says; none if it can't be started, fails or does not end.
fn ask(program: &Path, environment: &Environment) -> Option<String> {
    let mut child = Command::new(program)
        .arg("version")
        .env_clear()
        .envs(environment.passed.iter().map(|(k, v)| (k, v)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let until = Instant::now() + ANSWER_WITHIN;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(10)),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    };
    let mut output = String::new();
    child
        .stdout
        .take()?
        .take(64 << 10)
        .read_to_string(&mut output)
        .ok()?;
    status.success().then_some(output)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use super::{NoRclone, Rclone};

    fn find(script: &str, variables: &[(&str, &str)]) -> Result<Rclone, NoRclone> {
        let scratch = tempfile::tempdir().unwrap();
        let program = scratch.path().join("rclone");
        // Written by another process: one that is forked here at that moment would hold it open, and it could
        // not be started.
        let written = Command::new("sh")
            .args([
                "-c",
                "printf '#!/bin/sh\n%s\n' \"$2\" > \"$1\" && chmod 755 \"$1\"",
                "sh",
            ])
            .arg(&program)
            .arg(script)
            .status();
        assert!(written.unwrap().success());
        let path = format!("{}:/usr/bin:/bin", scratch.path().display());
        let variables = [("PATH", path.as_str())]
            .into_iter()
            .chain(variables.iter().copied())
            .map(|(name, value)| (name.into(), value.into()));
        Rclone::find(Path::new("rclone"), variables)
    }

    #[test]
    fn what_can_not_be_used_is_told_with_the_reason() {
        let found = find("echo rclone v1.75.2", &[]).unwrap();
        assert_eq!(
            (found.version().as_str(), found.warning()),
            ("1.75.2", None)
        );
        let old = find("echo rclone v1.60.1-DEV", &[]).unwrap();
        assert!(old.warning().unwrap().contains("1.60.1"));
        for (script, variables, expected) in [
            ("echo rclone v1.53.3", &[][..], "is 1.53.3, expected 1.60"),
            ("echo hello", &[], "does not say its version"),
            ("exit 1", &[], "does not say its version"),
            (
                "echo rclone v1.75.2",
                &[("RCLONE_EXCLUDE", "*.tmp"), ("RCLONE_BUFFER_SIZE", "1M")],
                "sets RCLONE_EXCLUDE, which",
            ),
        ] {
            let error = find(script, variables).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let nowhere = Rclone::find(Path::new("rclone"), []).unwrap_err();
        assert!(nowhere.to_string().contains("--rclone.path"), "{nowhere}");
    }
}
