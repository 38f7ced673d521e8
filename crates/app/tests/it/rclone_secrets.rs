//! What is secret in the worker's rclone.conf is in nothing that anybody else can read, and what no task needs is not even
//! given to rclone (P16).

use std::fs;
use std::path::Path;

use testkit::rclone::both;
use testkit::tree::{Recipe, make};
use testkit::{Program, free_port};

use crate::place::{self, LONG, MAIN, Place, SERVER, WORKER};
use crate::rclone::{self, Serving, calls, in_front_of_each, listed};

/// Of the remote that is used.
const USED: &str = "c4nary-us3d-5b7e";
/// Of one that is not.
const UNUSED: &str = "c4nary-unus3d-91aa";

/// Keeps what others can see of rclone and of the worker that started it, and the config that rclone is given.
const KEEP: &str = r#"
for process in $$ $PPID; do
  for what in cmdline environ; do cp "/proc/$process/$what" "$call/$what.$process"; done
done
args=("$@")
for ((i = 0; i < $#; i++)); do
  [[ ${args[i]} != --config ]] || cp "${args[i + 1]}" "$call/config"
done
real "$@"
"#;

fn holds(path: &Path, secret: &str) -> bool {
    let bytes = fs::read(path).unwrap();
    bytes.windows(secret.len()).any(|w| w == secret.as_bytes())
}

/// All files below that hold the secret; asserts that there was something to search.
fn holders(directory: &Path, secret: &str) -> Vec<String> {
    let files: Vec<_> = place::list(directory)
        .into_keys()
        .filter(|path| path.is_file())
        .collect();
    assert!(!files.is_empty(), "nothing in {}", directory.display());
    files
        .iter()
        .filter(|path| holds(path, secret))
        .map(|path| path.strip_prefix(directory).unwrap().display().to_string())
        .collect()
}

#[test]
fn secrets_of_remotes_are_found_nowhere_else() {
    for (version, program) in both() {
        let place = Place::new(version);
        let recipe = Recipe {
            file_bytes: 1..=2000,
            ..Recipe::plain(3, 20)
        };
        make(&place.path("source"), &recipe, 3).unwrap();
        place.directory("s3/bucket");
        let s3 = Serving::start(&place, "s3", "s3", &["--auth-key", &format!("key,{USED}")]);
        place.file(
            "own/rclone.conf",
            &format!(
                "[store]\ntype = s3\nprovider = Other\naccess_key_id = key\nsecret_access_key = {USED}\n\
                 endpoint = http://127.0.0.1:{}\n
                 [bad]\ntype = s3\nprovider = Other\naccess_key_id = nobody\nsecret_access_key = {USED}\n\
                 endpoint = http://127.0.0.1:{}\n
                 [other]\ntype = s3\nsecret_access_key = {UNUSED}\n",
                s3.port, s3.port
            ),
        );
        place.file(
            "config.yaml",
            "global_config:\n  source_fs_types: any\n  target_fs_types: any\n  tasks_file: tasks\n\
             \x20 rclone_flags: {log_level: DEBUG}\nserver:\n  item_attempts: 1\n",
        );
        // The last one fails, with all that rclone says of it.
        let tasks = "DIR/source store:bucket/a\nstore:bucket/s DIR/target\nDIR/small bad:bucket\n";
        place.file("tasks", tasks);
        place.file("s3/bucket/s/file", "content");
        place.file("small/file", "content");
        let keeping = in_front_of_each(&place, &program, "copy|lsjson", KEEP);

        let port = free_port().to_string();
        let mut server = place.command(SERVER);
        server.args([
            "--config.file",
            "config.yaml",
            "--server.port",
            &port,
            "--trace",
        ]);
        let server = Program::start(&mut server).unwrap();
        server.wait_for_output("serving run ", LONG).unwrap();
        let mut worker = place.command(WORKER);
        worker
            .args(["--server.address", &format!("127.0.0.1:{port}"), "--trace"])
            .arg("--rclone.path")
            .arg(&keeping)
            .env("RCLONE_CONFIG", place.path("own/rclone.conf"))
            .env("TMPDIR", place.directory("tmp"))
            .env("RCLONE_LOW_LEVEL_RETRIES", "1")
            // Credentials of other programs, which nobody asked to hand on.
            .env("AWS_SECRET_ACCESS_KEY", UNUSED);
        let worker = Program::start(&mut worker).unwrap();
        let status = || {
            let mut command = place.command(MAIN);
            let done = command.args(["status", "--server.address", &format!("127.0.0.1:{port}")]);
            String::from_utf8_lossy(&done.output().unwrap().stdout).into_owned()
        };
        let mut shown = String::new();
        worker
            .wait_until("rclone at work", LONG, || calls(&place) > 0)
            .unwrap();
        shown += &status();
        let server = place.end(&server).assert_code(1);
        let worker = place.end(&worker).assert_code(0);

        // It was at work, with what it needs.
        assert_eq!(fs::read(place.path("target/file")).unwrap(), b"content");
        let given = holders(&place.path("calls"), USED);
        assert!(
            given.iter().all(|path| path.ends_with("/config")),
            "{given:?}"
        );
        assert!(!given.is_empty());
        assert!((1..=calls(&place)).any(
            |n| place.path(format!("calls/{n}/list")).exists() && !listed(&place, n).is_empty()
        ));
        assert!(worker.stderr.contains("TRACE") || worker.stderr.contains("DEBUG"));
        // But what nobody needs, only the worker itself was given, by this test.
        for holder in holders(&place.path("calls"), UNUSED) {
            let is_worker_s = holder.contains("/environ.") && {
                let call = holder.split('/').next().unwrap();
                let leader = fs::read_to_string(place.path(format!("calls/{call}/pid"))).unwrap();
                !holder.ends_with(&format!("environ.{}", leader.trim()))
            };
            assert!(is_worker_s, "{version}: {holder}");
        }
        for secret in [USED, UNUSED] {
            for text in [
                &server.stdout,
                &server.stderr,
                &worker.stdout,
                &worker.stderr,
                &shown,
            ] {
                assert!(!text.contains(secret), "{version}: {text}");
            }
            let table = place.path("data_migrate_results.csv");
            assert!(!holds(&table, secret), "{version}");
            let kept = holders(&place.path("data-migrate.d"), secret);
            assert!(kept.is_empty(), "{version}: {kept:?}");
        }
        // Logs of rclone are compressed: unpacked they hold none either.
        let logs: Vec<_> = place::list(&place.path("data-migrate.d"))
            .into_keys()
            .filter(|path| path.extension().is_some_and(|end| end == "gz"))
            .collect();
        assert!(logs.len() >= 2, "{version}: {logs:?}");
        for log in logs {
            let text = rclone::unpacked(&log);
            assert!(
                !text.is_empty() && !text.contains(USED) && !text.contains(UNUSED),
                "{text}"
            );
        }
        assert_eq!(
            fs::read_dir(place.path("tmp")).unwrap().count(),
            0,
            "{version}"
        );
    }
}
