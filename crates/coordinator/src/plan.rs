//! What a run is to do: the tasks with their file lists, and the items they begin with.
//!
//! Lists are read once, brought into one form and kept in the data directory under the hash of
//! that form, so that a run works from one list to its end even if the user's is edited meanwhile. Begun
//! again with an edited list, it is another run.

use std::collections::HashMap;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use model::config::Config;
use model::fs_type::AllowedTypes;
use model::{
    Failure, FailureClass, ItemId, Purpose, RelPath, RunId, Task, TaskId, Work, file_list,
};

use crate::data_dir::DataDir;
use crate::report::human;
use crate::store::{NewRun, NewTask};

/// A file list in the form in which it is kept: each path, then NUL; sorted, each once.
#[derive(Debug, Clone)]
pub struct StoredList {
    pub file: PathBuf,
    /// Of the stored form, hexadecimal.
    pub hash: String,
    pub paths: u64,
    /// How many of them may be patterns.
    pub patterns: u64,
    /// Entries that can't be migrated as they are written: failures by name.
    pub refused: Vec<Failure>,
}

#[derive(Debug)]
pub struct Plan {
    pub new_run: NewRun,
    /// Of tasks that have one.
    pub lists: HashMap<TaskId, StoredList>,
    /// Lists that could not be read, with the reasons that fail their tasks.
    pub unread_lists: Vec<String>,
    pub warnings: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error("cannot keep the file list of task {task} in {directory}")]
    Keep {
        task: TaskId,
        directory: PathBuf,
        source: io::Error,
    },
}

/// Plans a run. A task whose list can't be read is planned as failed, with the reason; the others go on.
pub fn plan(
    config: &Config,
    tasks: Vec<Task>,
    data_dir: &DataDir,
    mut draw: impl FnMut() -> u64,
) -> Result<Plan, PlanError> {
    let mut lists = HashMap::new();
    let mut warnings = Vec::new();
    let mut unread_lists = Vec::new();
    let mut new_tasks = Vec::with_capacity(tasks.len());
    for task in tasks {
        let items = match first_works(config, &task, data_dir, &mut warnings)? {
            Ok((works, list)) => {
                if let Some(list) = list {
                    lists.insert(task.id, list);
                }
                Ok(works
                    .into_iter()
                    .map(|work| (ItemId::from_random(draw()), work))
                    .collect())
            }
            Err(message) => {
                if task.list.is_some() {
                    unread_lists.push(message.clone());
                }
                Err(message)
            }
        };
        new_tasks.push(NewTask { task, items });
    }
    let hashed: Vec<(Task, Option<String>)> = new_tasks
        .iter()
        .map(|new| {
            let hash = lists.get(&new.task.id).map(|list| list.hash.clone());
            (new.task.clone(), hash)
        })
        .collect();
    Ok(Plan {
        new_run: NewRun {
            id: RunId::from_random(draw()),
            identity: model::identity::run_identity(config, &hashed),
            tasks: new_tasks,
        },
        lists,
        unread_lists,
        warnings,
    })
}

type Works = (Vec<Work>, Option<StoredList>);

/// The works that a task begins with, or why it can't begin.
fn first_works(
    config: &Config,
    task: &Task,
    data_dir: &DataDir,
    warnings: &mut Vec<String>,
) -> Result<Result<Works, String>, PlanError> {
    let Some(path) = &task.list else {
        let walk = Work::Walk {
            directories: vec![RelPath::ROOT],
            purpose: Purpose::Copy,
        };
        return Ok(Ok((vec![walk], None)));
    };
    if let Err(message) = check_list_file_system(config) {
        return Ok(Err(message));
    }
    let bytes = match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            return Ok(Err(format!(
                "file list path {} is directory",
                path.display()
            )));
        }
        Ok(_) => match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) => {
                return Ok(Err(format!(
                    "cannot read file list {}: {e}",
                    path.display()
                )));
            }
        },
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Ok(Err(format!("file list path {} not exists", path.display())));
        }
        Err(e) => {
            return Ok(Err(format!(
                "cannot read file list {}: {e}",
                path.display()
            )));
        }
    };
    let (list, works) = store_list(
        &bytes,
        task.id,
        data_dir,
        config.global.max_files_per_output,
    )?;
    if list.patterns > 0 {
        let entries = human::counted(list.patterns, "entry", "entries");
        warnings.push(format!(
            "task {}: {entries} of the file list {} with any of *?[{{: what has no such name in the source is taken for a pattern",
            task.id,
            path.display()
        ));
    }
    if list.paths == 0 {
        warnings.push(format!(
            "task {}: the file list {} names nothing",
            task.id,
            path.display()
        ));
    }
    Ok(Ok((works, Some(list))))
}

/// The folder of the lists is on the file system that the config says.
fn check_list_file_system(config: &Config) -> Result<(), String> {
    let (Some(directory), Some(expected)) = (
        &config.global.file_list_dir,
        &config.global.file_list_dir_fs_type,
    ) else {
        return Ok(());
    };
    let (allowed, _) = AllowedTypes::parse(std::slice::from_ref(expected));
    match storage::locality::is_local(directory) {
        Ok((_, fs_type)) if allowed.allows(&fs_type) => Ok(()),
        Ok((_, fs_type)) => Err(format!(
            "file_list_dir {} is on {}, expected {expected}",
            directory.display(),
            fs_type.name()
        )),
        Err(e) => Err(format!(
            "cannot look at file_list_dir {}: {e}",
            directory.display()
        )),
    }
}

fn store_list(
    bytes: &[u8],
    task: TaskId,
    data_dir: &DataDir,
    piece: u64,
) -> Result<(StoredList, Vec<Work>), PlanError> {
    let list = file_list::normalise(bytes);
    let encoded = file_list::encode(&list.paths);
    let hash = blake3::hash(&encoded).to_hex().to_string();
    let directory = data_dir.path().join("lists");
    let keep = |source| PlanError::Keep {
        task,
        directory: directory.clone(),
        source,
    };
    let file = data_dir.directory("lists").map_err(keep)?.join(&hash);
    // The name is the hash of the content: what is there whole is right.
    if std::fs::metadata(&file).map(|m| m.len()).ok() != Some(encoded.len() as u64) {
        write_synced(&file, &encoded).map_err(keep)?;
    }
    let refused = list
        .refused
        .into_iter()
        .map(|refused| Failure {
            path: RelPath::ROOT,
            class: FailureClass::GiveUp,
            error: format!("in the file list, {refused}"),
        })
        .collect();
    let stored = StoredList {
        file,
        hash,
        paths: list.paths.len() as u64,
        patterns: list.patterns,
        refused,
    };
    Ok((stored, pieces(&list.paths, piece)))
}

fn write_synced(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let temp = file.with_extension("new");
    let mut out = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temp)?;
    out.write_all(bytes)?;
    out.sync_all()?;
    std::fs::rename(&temp, file)
}

/// Cuts a stored list into pieces of some `size` paths. What lies below a listed directory stays in that one's
/// piece, so that it is found to be covered and counts once.
fn pieces(paths: &[RelPath], size: u64) -> Vec<Work> {
    let mut works = Vec::new();
    let (mut begin, mut end, mut count) = (0, 0, 0);
    let mut head: Option<&RelPath> = None;
    for path in paths {
        if head.is_none_or(|head| !path.is_within(head)) {
            head = Some(path);
            if count >= size {
                works.push(Work::Paths {
                    offset: begin,
                    length: end - begin,
                });
                (begin, count) = (end, 0);
            }
        }
        count += 1;
        end += path.as_bytes().len() as u64 + 1;
    }
    if end > begin {
        works.push(Work::Paths {
            offset: begin,
            length: end - begin,
        });
    }
    works
}

#[cfg(test)]
mod tests {
    use super::{Work, file_list, pieces};

    #[test]
    fn pieces_cover_the_list_once_and_keep_together_what_overlaps() {
        let list = file_list::normalise(b"a\nbb\nbb/x\nbb/y\nccc\n");
        let encoded = file_list::encode(&list.paths);
        let cut = |size| -> Vec<&[u8]> {
            pieces(&list.paths, size)
                .into_iter()
                .map(|work| match work {
                    Work::Paths { offset, length } => {
                        &encoded[offset as usize..(offset + length) as usize]
                    }
                    other => panic!("{other:?}"),
                })
                .collect()
        };
        assert_eq!(cut(2), [&b"a\0bb\0bb/x\0bb/y\0"[..], b"ccc\0"]);
        assert_eq!(cut(9), [&encoded[..]]);
        assert_eq!(cut(1), [&b"a\0"[..], b"bb\0bb/x\0bb/y\0", b"ccc\0"]);
        assert!(pieces(&[], 5).is_empty());
    }
}
