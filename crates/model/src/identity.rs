//! Which runs are the same run: those with the same tasks, file lists and keys that change results.
//!
//! A server that starts with the config of an unfinished run goes on with it, so the identity
//! must hold all that changes what ends up at the targets, and nothing that is only for tuning.
//! Every field is preceded by its length, so that no two sets of fields read alike.

use std::os::unix::ffi::OsStrExt;

use crate::choice::Choice;
use crate::config::Config;
use crate::engine::Engine;
use crate::filter::Filter;
use crate::fs_type::AllowedTypes;
use crate::location::{Location, Task};
use crate::options::CopyOptions;

/// Raised when what is hashed changes: older unfinished runs are then other runs.
const VERSION: &[u8] = b"data-migrate run identity 2";

struct Fields(blake3::Hasher);

impl Fields {
    fn bytes(&mut self, field: &[u8]) {
        self.0.update(&(field.len() as u64).to_le_bytes());
        self.0.update(field);
    }

    fn flag(&mut self, flag: bool) {
        self.bytes(&[u8::from(flag)]);
    }

    fn count(&mut self, count: usize) {
        self.bytes(&(count as u64).to_le_bytes());
    }

    fn location(&mut self, location: &Location) {
        match location {
            Location::Posix(path) => {
                self.bytes(b"posix");
                self.bytes(path.as_os_str().as_bytes());
            }
            Location::Remote(remote) => {
                self.bytes(b"remote");
                self.bytes(remote.as_bytes());
            }
        }
    }

    fn task(&mut self, task: &Task, list_hash: Option<&str>) {
        self.location(&task.source);
        self.location(&task.target);
        self.flag(task.list.is_some());
        if let Some(list) = &task.list {
            self.bytes(list.as_os_str().as_bytes());
            self.bytes(list_hash.unwrap_or_default().as_bytes());
        }
    }

    fn options(&mut self, options: &CopyOptions) {
        let CopyOptions {
            compare,
            update,
            dry_run,
            preserve,
            metadata,
            specials,
            sparse,
            conflicts,
            verify,
            durability,
            filter,
        } = options;
        for flag in [update, dry_run] {
            self.flag(*flag);
        }
        self.count(preserve.attributes().count());
        for attribute in preserve.attributes() {
            self.bytes(attribute.word().as_bytes());
        }
        for word in [
            compare.word(),
            metadata.word(),
            specials.word(),
            sparse.word(),
            conflicts.word(),
            verify.word(),
            durability.word(),
        ] {
            self.bytes(word.as_bytes());
        }
        self.filter(filter);
    }

    fn filter(&mut self, filter: &Filter) {
        let Filter {
            exclude,
            include,
            min_size_bytes,
            max_size_bytes,
            min_age_secs,
            max_age_secs,
            one_file_system,
        } = filter;
        for lines in [exclude, include] {
            self.count(lines.len());
            for line in lines {
                self.bytes(line.as_bytes());
            }
        }
        for limit in [min_size_bytes, max_size_bytes, min_age_secs, max_age_secs] {
            self.flag(limit.is_some());
            self.bytes(&limit.unwrap_or(0).to_le_bytes());
        }
        self.flag(*one_file_system);
    }

    fn types(&mut self, names: &[String]) {
        let (types, _) = AllowedTypes::parse(names);
        let mut names = types.names().to_vec();
        names.sort_unstable();
        names.dedup();
        self.count(names.len());
        for name in names {
            self.bytes(name.as_bytes());
        }
    }
}

/// The identity of the run of these tasks, each with the hash of its list's content: 64
/// hexadecimal digits.
pub fn run_identity(config: &Config, tasks: &[(Task, Option<String>)]) -> String {
    let global = &config.global;
    let mut fields = Fields(blake3::Hasher::new());
    fields.bytes(VERSION);
    // Where no engine is named, the presence of rclone's flags chooses one.
    fields.bytes(match (global.engine, &global.rclone_flags) {
        (Some(Engine::Native), _) => b"native",
        (Some(Engine::Rclone), _) => b"rclone",
        (None, Some(_)) => b"rclone by its flags",
        (None, None) => b"by location",
    });
    fields.options(&global.copy_options());
    fields.types(&global.source_fs_types);
    fields.types(&global.target_fs_types);
    fields.count(tasks.len());
    for (task, list_hash) in tasks {
        fields.task(task, list_hash.as_deref());
    }
    fields.0.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::run_identity;
    use crate::{config, tasks_file};

    const CONFIG: &str =
        "global_config: {source_fs_types: [xfs, nfs], target_fs_types: [xfs], tasks_file: t}";
    const TASKS: &str = "/a /b\n/c /d /list\n";

    fn identity(config: &str, tasks: &str, list_hash: &str) -> String {
        let config = config::parse(config.as_bytes(), Path::new("c.yaml")).unwrap();
        let tasks = tasks_file::parse(tasks.as_bytes(), Path::new("t")).unwrap();
        let tasks: Vec<_> = tasks
            .tasks
            .into_iter()
            .map(|task| {
                let hash = task.list.is_some().then(|| list_hash.to_owned());
                (task, hash)
            })
            .collect();
        run_identity(&config.config, &tasks)
    }

    #[test]
    fn only_what_changes_results_makes_another_run() {
        let first = identity(CONFIG, TASKS, "h");
        assert_eq!(first.len(), 64);
        let with = |key: &str| CONFIG.replace("tasks_file", &format!("{key}, tasks_file"));
        for (config, tasks, hash) in [
            (with("transfers: 9, concurrency: 8"), TASKS, "h"),
            (with("shard_entries: 1000, item_target_secs: 1"), TASKS, "h"),
            (with("size_only: false, durability: batch"), TASKS, "h"),
            (with("exclude: [], one_file_system: false"), TASKS, "h"),
            (with("feishu_url: 'http://x'"), TASKS, "h"),
            (CONFIG.replace("[xfs, nfs]", "[NFS, xfs]"), TASKS, "h"),
            (format!("{CONFIG}\nserver: {{lease_secs: 60}}"), TASKS, "h"),
            (CONFIG.into(), "# moved\n\n/a/ /b\n/c /d /list", "h"),
            (
                CONFIG.into(),
                "/a /b priority=9\n/c /d /list priority=-9",
                "h",
            ),
        ] {
            assert_eq!(identity(&config, tasks, hash), first, "{config} {tasks}");
        }
        for (config, tasks, hash) in [
            (with("size_only: true"), TASKS, "h"),
            (with("update: true"), TASKS, "h"),
            (with("dryrun: true"), TASKS, "h"),
            (with("local_no_set_modtime: true"), TASKS, "h"),
            (with("durability: file"), TASKS, "h"),
            (with("engine: native"), TASKS, "h"),
            (with("exclude: [x]"), TASKS, "h"),
            (with("include: [x]"), TASKS, "h"),
            (with("min_size: 0"), TASKS, "h"),
            (with("max_age: 1d"), TASKS, "h"),
            (with("one_file_system: true"), TASKS, "h"),
            (with("rclone_flags: {}"), TASKS, "h"),
            (CONFIG.replace("[xfs, nfs]", "[any]"), TASKS, "h"),
            (CONFIG.into(), "/a /b\n/c /d /lisu\n", "h"),
            (CONFIG.into(), "/c /d /list\n/a /b\n", "h"),
            (CONFIG.into(), "/a /b\n/c /d\n", "h"),
            (CONFIG.into(), TASKS, "i"),
        ] {
            assert_ne!(identity(&config, tasks, hash), first, "{config} {tasks}");
        }
    }
}
