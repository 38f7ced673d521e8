//! The tasks file: one task a line, `SOURCE TARGET [FILE_LIST] [priority=N]`, in bytes of any kind.
//!
//! Every line becomes exactly one task, or the whole file is refused with the line and what was
//! expected: nothing is skipped and nothing renumbered. No message repeats a column that is
//! refused, for it may hold the keys of an rclone remote.

mod columns;
mod overlap;
mod priority;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::ids::TaskId;
use crate::location::{Location, Task};
use crate::path::Escaped;
use crate::priority::Priority;
use columns::columns;
use overlap::{key, mark_shared_targets};

const FORM: &str = "SOURCE TARGET [FILE_LIST] [priority=N]";

/// A tasks file that can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TasksFileError {
    pub file: PathBuf,
    /// From 1; none where it is the file as a whole.
    pub line: Option<u32>,
    /// What is wrong, and what is expected.
    pub message: String,
}

impl std::error::Error for TasksFileError {}

impl fmt::Display for TasksFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped(self.file.as_os_str().as_bytes()).fmt(f)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// The tasks in the order of their lines, and what their user should know about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// At least one.
    pub tasks: Vec<Task>,
    /// Of those whose lines name one.
    pub priorities: BTreeMap<TaskId, Priority>,
    pub warnings: Vec<String>,
}

/// Reads a tasks file; `file` is its name, which begins each error.
pub fn parse(bytes: &[u8], file: &Path) -> Result<Parsed, TasksFileError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let error = |line, message| TasksFileError {
        file: file.to_owned(),
        line,
        message,
    };
    let mut tasks = Vec::new();
    let mut priorities = BTreeMap::new();
    for (index, line) in bytes.split(|&b| b == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let number = u32::try_from(index + 1).map_err(|_| {
            error(
                None,
                format!("too many lines, expected at most {}", u32::MAX),
            )
        })?;
        let id = TaskId(tasks.len() as u32 + 1);
        let (task, priority) =
            task(line, id, number).map_err(|message| error(Some(number), message))?;
        tasks.push(task);
        priorities.extend(priority.map(|priority| (id, priority)));
    }
    if tasks.is_empty() {
        let message = format!("the file has no tasks, expected a line for each: {FORM}");
        return Err(error(None, message));
    }
    refuse_repeated(&tasks).map_err(|(line, message)| error(Some(line), message))?;
    let warnings = mark_shared_targets(&mut tasks);
    Ok(Parsed {
        tasks,
        priorities,
        warnings,
    })
}

fn task(line: &[u8], id: TaskId, number: u32) -> Result<(Task, Option<Priority>), String> {
    if line.contains(&0) {
        return Err(format!(
            "the line contains a NUL byte, expected text without any (UTF-8, not UTF-16): {FORM}"
        ));
    }
    let columns = columns(line);
    let (paths, priority) = priority::split_off(&columns)?;
    let (source, target, list) = match *paths {
        [source, target] => (source, target, None),
        [source, target, list] => (source, target, Some(list)),
        _ => {
            let n = columns.len();
            let columns = if n == 1 { "column" } else { "columns" };
            return Err(format!(
                "the line has {n} {columns}, expected: {FORM} (a path with blanks in quotes)"
            ));
        }
    };
    let task = Task {
        id,
        line: number,
        source: location(source, "SOURCE")?,
        target: location(target, "TARGET")?,
        list: list.map(list_path).transpose()?,
        target_is_shared: false,
    };
    refuse_nested(&task)?;
    Ok((task, priority))
}

/// A path, or an rclone remote by its configured name.
fn location(written: &[u8], column: &str) -> Result<Location, String> {
    let expected = "an absolute path, or REMOTE:PATH with a remote of rclone's configuration";
    match written.first() {
        None => Err(format!("{column} is empty, expected {expected}")),
        Some(b'/') => Ok(Location::Posix(normalised(written))),
        Some(b'-') => Err(format!(
            "{column} begins with '-' like an option, expected {expected}"
        )),
        Some(_) if is_inline_remote(written) => Err(format!(
            "{column} is a remote with inline options, which can make rclone run commands, \
             expected {expected}"
        )),
        Some(_) if !is_remote(written) => Err(format!(
            "{column} is neither absolute nor a remote, expected {expected}"
        )),
        Some(_) => match std::str::from_utf8(written) {
            Ok(remote) => Ok(Location::Remote(remote.to_owned())),
            Err(_) => Err(format!(
                "{column} is a remote with bytes that are no UTF-8, expected text"
            )),
        },
    }
}

fn list_path(written: &[u8]) -> Result<PathBuf, String> {
    match written.first() {
        Some(b'/') => Ok(normalised(written)),
        _ => Err(
            "FILE_LIST is not absolute, expected the absolute path of a file, or priority=N".into(),
        ),
    }
}

/// `:backend,option=value:path` or `name,option=value:path`.
fn is_inline_remote(written: &[u8]) -> bool {
    let after_name = &written[remote_name(written).len()..];
    after_name.starts_with(b",") || written.starts_with(b":")
}

/// Whether it is `name:path`, without inline options.
pub fn is_remote(written: &[u8]) -> bool {
    let name = remote_name(written);
    !name.is_empty() && written[name.len()..].starts_with(b":")
}

/// The longest beginning that rclone allows as the name of a remote.
fn remote_name(written: &[u8]) -> &[u8] {
    let is_word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    if !written.first().is_some_and(is_word) {
        return &[];
    }
    let end = written
        .iter()
        .position(|b| !is_word(b) && !b".+@ -".contains(b));
    &written[..end.unwrap_or(written.len())]
}

/// Without doubled and trailing slashes and `.` components; nothing is resolved.
fn normalised(absolute: &[u8]) -> PathBuf {
    let mut path = Vec::with_capacity(absolute.len());
    for component in absolute.split(|&b| b == b'/') {
        if !matches!(component, b"" | b".") {
            path.push(b'/');
            path.extend_from_slice(component);
        }
    }
    if path.is_empty() {
        path.push(b'/');
    }
    PathBuf::from(OsStr::from_bytes(&path))
}

/// A copy into itself never ends, and one over its own source loses it.
fn refuse_nested(task: &Task) -> Result<(), String> {
    let (source, target) = (key(&task.source), key(&task.target));
    let relation = match (source.starts_with(&target), target.starts_with(&source)) {
        (true, true) => "the target is the source itself",
        (true, false) => "the source lies inside the target",
        (false, true) => "the target lies inside the source",
        (false, false) => return Ok(()),
    };
    Err(format!(
        "{relation}, expected a source and a target apart from each other"
    ))
}

fn refuse_repeated(tasks: &[Task]) -> Result<(), (u32, String)> {
    let mut lines = HashMap::with_capacity(tasks.len());
    for task in tasks {
        let what = (key(&task.source), key(&task.target), &task.list);
        if let Some(first) = lines.insert(what, task.line) {
            let message = format!("the line repeats line {first}, expected each task once");
            return Err((task.line, message));
        }
    }
    Ok(())
}
