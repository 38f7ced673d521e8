//! What deploy/ shows can be used as it stands: its flags, variables and config keys exist, its scripts start and stop
//! workers.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use model::{config, tasks_file};
use testkit::tree::Recipe;

use crate::fleet::{self, Fleet, SERVER, Settings, WORKER, assert_exit};

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

fn read(path: &str) -> String {
    let path = deploy().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file, with the name it is told by.
fn files() -> Vec<(String, String)> {
    let folders = fs::read_dir(deploy()).unwrap();
    let mut files = Vec::new();
    for folder in folders.map(|entry| entry.unwrap().path()) {
        let inner = match folder.is_dir() {
            true => fs::read_dir(&folder)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .collect(),
            false => vec![folder],
        };
        for path in inner {
            files.push((
                path.display().to_string(),
                fs::read_to_string(&path).unwrap(),
            ));
        }
    }
    assert!(files.len() > 10, "{files:?}");
    files
}

fn help(program: &str) -> String {
    let output = Command::new(program)
        .arg("--help")
        .env("COLUMNS", "200")
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The programs, by how scripts call them.
fn called(line: &str) -> Option<(usize, &'static str)> {
    [
        ("data-migrate-server", SERVER),
        ("data-migrate-worker", WORKER),
        ("\"$worker\"", WORKER),
    ]
    .into_iter()
    .filter_map(|(name, program)| line.find(name).map(|at| (at, program)))
    .min()
}

/// What a YAML block of the key `name` says, without its indentation.
fn block(text: &str, name: &str) -> String {
    let head = format!("  {name}: |");
    let lines = text.lines().skip_while(|line| *line != head).skip(1);
    lines
        .take_while(|line| line.starts_with("    ") || line.is_empty())
        .map(|line| format!("{}\n", line.get(4..).unwrap_or_default()))
        .collect()
}

#[test]
fn every_flag_of_a_program_is_one_of_its_flags() {
    let mut looked_up = 0;
    for (name, text) in files() {
        for line in text.replace("\\\n", " ").lines() {
            // What explains, explains other programs too.
            if line.trim_start().starts_with('#') {
                continue;
            }
            let Some((at, program)) = called(line) else {
                continue;
            };
            let help = help(program);
            let words = line[at..].split([' ', '"', ',', ']', '=', ';']);
            for flag in words.filter(|word| word.starts_with("--") && word.len() > 2) {
                let is_there = help
                    .split_whitespace()
                    .any(|word| word.trim_end_matches(',').split(['[', '=']).next() == Some(flag));
                assert!(is_there, "{name}: {program} has no {flag}: {line}");
                looked_up += 1;
            }
        }
    }
    assert!(looked_up >= 9, "only {looked_up} flags were found");
}

#[test]
fn every_variable_is_read_by_its_program() {
    let worker = help(WORKER);
    let environment = read("systemd/worker.env");
    let mut names: Vec<&str> = environment
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(line.split_once('=')?.0))
        .collect();
    // Which it reads as rclone does.
    assert_eq!(names.pop(), Some("RCLONE_CONFIG"));
    assert_eq!(names, ["SERVERADDRESS", "CONCURRENCY", "CLIENT_NAME"]);
    for manifest in [
        "kubernetes/worker-daemonset.yaml",
        "kubernetes/worker-deployment.yaml",
    ] {
        let text = read(manifest);
        assert!(text.contains("- name: CLIENT_NAME\n"), "{manifest}");
    }
    names.push("CLIENT_NAME");
    for name in names {
        assert!(
            worker.contains(&format!("[env: {name}=")),
            "no {name} in:\n{worker}"
        );
    }
}

#[test]
fn configs_and_tasks_files_are_read_without_a_warning() {
    let map = read("kubernetes/config.yaml");
    for (text, tasks, keep) in [
        (read("config.yaml"), read("tasks.txt"), None),
        (
            block(&map, "config.yaml"),
            block(&map, "tasks.txt"),
            Some(true),
        ),
    ] {
        let parsed = config::parse(text.as_bytes(), Path::new("config.yaml")).unwrap();
        assert_eq!(parsed.warnings, Vec::<String>::new());
        assert_eq!(parsed.config.server.keep, keep);
        let data_dir = parsed.config.server.data_dir.unwrap();
        assert!(
            data_dir.starts_with("/var/lib/data-migrate"),
            "{data_dir:?}"
        );
        let parsed = tasks_file::parse(tasks.as_bytes(), Path::new("tasks.txt")).unwrap();
        assert_eq!(parsed.warnings, Vec::<String>::new());
        assert_eq!(parsed.tasks.len(), 1);
    }
}

#[test]
fn what_the_config_map_shows_of_s3_is_what_the_server_mounts() {
    let map = block(&read("kubernetes/config.yaml"), "config.yaml");
    let shown = map.lines().map(|line| match line.split_once("# ") {
        // What is a key, not a sentence.
        Some((indent, key)) if !key.ends_with('.') && key.contains(':') => {
            format!("{indent}{key}\n")
        }
        _ => format!("{line}\n"),
    });
    let text: String = shown.collect();
    let parsed = config::parse(text.as_bytes(), Path::new("config.yaml")).unwrap();
    let s3 = parsed.config.report.s3.expect("s3_config is shown");
    let server = read("kubernetes/server.yaml");
    for file in [s3.access_key_file, s3.secret_key_file] {
        let file = file.expect("keys are files");
        let mounted = format!("mountPath: {}\n", file.parent().unwrap().display());
        assert!(server.contains(&mounted), "no {mounted}");
    }
    assert!(server.contains("secretName: data-migrate-s3\n"));
}

#[test]
fn manifests_fit_each_other_and_this_version() {
    let server = read("kubernetes/server.yaml");
    let workers = [
        "kubernetes/worker-daemonset.yaml",
        "kubernetes/worker-deployment.yaml",
    ]
    .map(read);
    let image = concat!("image: data-migrate:", env!("CARGO_PKG_VERSION"), "\n");
    for text in workers.iter().chain([&server]) {
        assert!(text.contains(image), "another image than {image}");
        assert!(!text.contains("privileged: true"));
    }
    for text in &workers {
        assert!(text.contains("\"data-migrate-server:2000\""));
        assert_eq!(text.matches("mountPropagation: HostToContainer").count(), 2);
        // The root file system is read-only, and rclone's lists and logs need a place.
        for path in [
            "value: /etc/rclone/rclone.conf\n",
            "mountPath: /etc/rclone\n",
            "secretName: data-migrate-rclone\n",
            "mountPath: /tmp\n",
        ] {
            assert!(text.contains(path), "no {path}");
        }
    }
    for path in ["path: /healthz", "path: /readyz", "containerPort: 2000"] {
        assert!(server.contains(path), "no {path}");
    }
}

/// A directory of programs that stand for others, first in PATH.
struct Stand {
    path: String,
    directory: PathBuf,
}

impl Stand {
    fn new(fleet: &Fleet) -> Self {
        let directory = fleet.path("programs");
        fs::create_dir(&directory).unwrap();
        let ours = Path::new(WORKER).parent().unwrap().display();
        let path = format!(
            "{}:{ours}:{}",
            directory.display(),
            std::env::var("PATH").unwrap()
        );
        Self { path, directory }
    }

    fn add(&self, name: &str, script: &str) {
        let path = self.directory.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// A fleet whose hosts are directories of this machine.
struct Hosts<'a> {
    fleet: &'a Fleet,
    stand: Stand,
}

impl Hosts<'_> {
    /// Runs the script; exit code and output.
    fn call(&self, arguments: &[&str]) -> (i32, String) {
        let mut command = self.fleet.command("sh", "here");
        let output = command
            .arg(deploy().join("ssh/workers.sh"))
            .args(arguments)
            .env("PATH", &self.stand.path)
            .output()
            .unwrap();
        let mut text = String::from_utf8(output.stdout).unwrap();
        text += &String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), text)
    }
}

impl Drop for Hosts<'_> {
    fn drop(&mut self) {
        self.call(&["stop", "hosts"]);
    }
}

#[test]
fn workers_are_started_shown_and_stopped_by_ssh() {
    let fleet = Fleet::new("ssh", &Settings::default());
    let stand = Stand::new(&fleet);
    let homes = fleet.path("it's home");
    let homes = homes.display().to_string().replace('\'', "'\\''");
    stand.add(
        "ssh",
        &format!(
            "while [ \"$1\" = -o ]; do shift 2; done\nhost=$1; shift\n[ $host != away ] || {{ echo 'no route' >&2; exit 255; }}\n\
             HOME='{homes}'/$host; export HOME; mkdir -p \"$HOME\"; exec sh -c \"$*\"\n"
        ),
    );
    let hosts = Hosts {
        fleet: &fleet,
        stand,
    };
    let list = fleet.path("here").join("hosts");
    fs::create_dir_all(list.parent().unwrap()).unwrap();
    fs::write(
        &list,
        "# the fleet\none\nuser@two  # behind the gate\none\n",
    )
    .unwrap();
    let address = fleet.address();

    let program = fleet.path("it's a \"worker\"").display().to_string();
    let (code, text) = hosts.call(&[
        "start", "-p", &program, "-c", WORKER, "-n", "2", "hosts", &address,
    ]);
    assert!(
        code == 0 && text.contains("one: started, process "),
        "{code} {text}"
    );
    assert!(text.ends_with("start: 2 of 2 hosts\n"), "{text}");
    let (code, text) = hosts.call(&["start", "-p", &program, "hosts", &address]);
    assert!(
        code == 0 && text.contains("user@two: runs already"),
        "{code} {text}"
    );
    let (code, text) = hosts.call(&["status", "hosts"]);
    assert!(
        code == 0 && text.contains("one: runs, process "),
        "{code} {text}"
    );
    let (code, text) = hosts.call(&["stop", "hosts"]);
    assert_eq!(
        (code, text.as_str()),
        (0, "one: stopped\nuser@two: stopped\nstop: 2 of 2 hosts\n")
    );
    let (code, text) = hosts.call(&["status", "hosts"]);
    assert!(
        code == 1 && text.contains("one: does not run"),
        "{code} {text}"
    );

    fs::write(&list, "one\naway\n").unwrap();
    let (code, text) = hosts.call(&["start", "-p", "no-such-program", "hosts", &address]);
    assert!(
        code == 1 && text.contains("one: no program no-such-program"),
        "{code} {text}"
    );
    assert!(text.contains("away: no route"), "{text}");
    for arguments in [
        &["start", "hosts", "no-port"][..],
        &["start", "-n", "many", "hosts", &address],
        &["halt", "hosts"],
        &["status", "no-such-list"],
    ] {
        assert_eq!(hosts.call(arguments).0, 2, "{arguments:?}");
    }
    fs::write(&list, "-oProxyCommand=true\n").unwrap();
    let (code, text) = hosts.call(&["status", "hosts"]);
    assert!(
        code == 2 && text.contains("is no name of a host"),
        "{code} {text}"
    );
}

#[test]
fn a_slurm_job_ends_with_the_exit_code_of_its_run() {
    let mut fleet = Fleet::new("slurm", &Settings::default());
    fleet.add_tree(&Recipe::odd(2, 5), 3);
    let stand = Stand::new(&fleet);
    // Two nodes. It passes signals on, as the real one.
    stand.add(
        "srun",
        "while [ \"${1#--}\" != \"$1\" ]; do shift; done\n\"$@\" & one=$!\n\"$@\" & other=$!\n\
         trap 'kill -TERM $one $other 2>/dev/null' TERM\nwait\nwait\n",
    );
    let job = |fleet: &Fleet| {
        let mut command = fleet.command("bash", "job");
        command
            .arg(deploy().join("slurm/data-migrate.sbatch"))
            .arg(fleet.config_file())
            .env("PORT", fleet.port.to_string())
            .env("SLURM_JOB_ID", "1")
            .env("PATH", &stand.path);
        fleet::start(&mut command)
    };
    assert_exit(&job(&fleet), 0);
    let made = fleet.tasks[0].target.read_dir().unwrap().count();
    assert!(made > 0, "nothing was copied");

    let nowhere = fleet.path("nowhere");
    let target = fleet.path("target");
    fleet.add_task(&nowhere, &target, None);
    assert_exit(&job(&fleet), 1);
    fs::write(fleet.config_file(), "global_config: 7\n").unwrap();
    assert_exit(&job(&fleet), 2);
}
