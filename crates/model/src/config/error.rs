//! Why a config can't be used, and where: `FILE:LINE:COL: message, expected …`.
//!
//! No message repeats the text of the file: a secret may stand anywhere in it.
//! Only keys, numbers and the words of closed choices are shown.

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde_saphyr::{Error as YamlError, MessageFormatter, UserMessageFormatter};

use crate::path::Escaped;

/// Where in a file, in lines and columns from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub line: u64,
    pub column: u64,
}

/// A config that can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    pub file: PathBuf,
    /// None where the fault has no place, e.g. an empty file.
    pub position: Option<Position>,
    pub message: String,
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped(self.file.as_os_str().as_bytes()).fmt(f)?;
        if let Some(Position { line, column }) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl ConfigError {
    pub(crate) fn new(file: &Path, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            position: None,
            message: message.into(),
        }
    }

    pub(crate) fn from_yaml(file: &Path, error: &YamlError) -> Self {
        let position = error.location().map(|at| Position {
            line: at.line(),
            column: at.column(),
        });
        let mut cause = error;
        while let YamlError::AliasError { error, .. } | YamlError::WithSnippet { error, .. } = cause
        {
            cause = error;
        }
        let message = match cause {
            YamlError::Message { msg, .. } => msg.clone(),
            YamlError::Unexpected { expected, .. } => {
                let expected = expected.replace("string scalar", "text");
                format!("unexpected value, expected {expected}")
            }
            YamlError::DuplicateMappingKey { key, .. } => {
                let key = key.as_deref().map(shown_key).unwrap_or_default();
                format!("the key '{key}' is given twice, expected each key once")
            }
            YamlError::NonFiniteFloat { .. } => "unexpected number, expected a finite one".into(),
            YamlError::MultipleDocuments { .. } => {
                "a second document begins, expected one ('---' at most once)".into()
            }
            other => format!(
                "{}, expected YAML",
                Escaped(UserMessageFormatter.format_message(other).as_bytes())
            ),
        };
        Self {
            position,
            ..Self::new(file, message)
        }
    }

    pub(crate) fn from_json(file: &Path, error: &serde_json::Error) -> Self {
        let text = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        let message = text.strip_suffix(&place).unwrap_or(&text);
        let message = match error.classify() {
            serde_json::error::Category::Data => message.to_owned(),
            _ => format!("{message}, expected JSON"),
        };
        Self {
            position: (error.line() > 0).then_some(Position {
                line: error.line() as u64,
                column: error.column() as u64,
            }),
            ..Self::new(file, message)
        }
    }
}

/// A key that is fit to be shown: a colon without a blank after it turns a key and its
/// value into one key, and the value may be secret.
pub(crate) fn shown_key(key: &str) -> String {
    let name = key.split([':', '=', ' ']).next().unwrap_or_default();
    let start: String = name.chars().take(60).collect();
    start.escape_debug().to_string()
}
