//! An rclone that lies, fails, is killed or hangs. Nothing is called a success that is not at the target, and what a later
//! process can copy arrives (P2).
//!
//! A script stands in front of the real rclone, and each test asserts that it did what it was to do.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use testkit::rclone::{both, current};
use testkit::tree::{Recipe, make};
use testkit::{assert_same, leftovers};

use crate::place::{self, Done, OLDER, Place};
use crate::rclone::{assert_ends, calls, in_front_of, line_of, listed, lives, migrate};

const FILES: u64 = 40;

/// A tree whose files all have content, and a config that says more.
fn place(label: &str, more: &str) -> Place {
    let place = Place::new(label);
    let recipe = Recipe {
        file_bytes: 1..=2000,
        ..Recipe::plain(4, FILES)
    };
    make(&place.path("source"), &recipe, 11).unwrap();
    place.file("deploy/data_sources.txt", "DIR/source DIR/target\n");
    place.file("config.yaml", &format!("{OLDER}{more}"));
    place
}

fn assert_arrived(place: &Place) {
    assert_same(&place.path("source"), &place.path("target"));
    assert!(leftovers(&place.path("target")).is_empty());
    let table = place.results();
    let row = table.rows().last().unwrap();
    assert_eq!(row.get("success"), Some("true"), "{row:?}");
    assert_eq!(row.number("failures"), 0, "{row:?}");
}

/// Asserts that these files, and no others, are told as failed for `why`, and that all others arrived.
fn assert_failed(place: &Place, names: &[String], why: &str) {
    let table = place.results();
    let row = table.find("id", "1").unwrap();
    assert_eq!(row.get("success"), Some("false"), "{row:?}");
    assert_eq!(row.number("failures"), names.len() as u64, "{row:?}");
    let log = fs::read_to_string(row.get("log file").unwrap()).unwrap();
    for name in names {
        let told = log
            .lines()
            .any(|line| line.contains(&format!(" {name}: ")) && line.contains(why));
        assert!(told, "{name}: {log}");
    }
    assert_eq!(row.number("files"), FILES - names.len() as u64, "{row:?}");
    let failed: BTreeSet<_> = names.iter().collect();
    for path in place::list(&place.path("source")).into_keys() {
        let name = path.strip_prefix(place.path("source")).unwrap();
        let target = place.path("target").join(name);
        if path.is_file() && !failed.contains(&name.to_str().unwrap().to_owned()) {
            assert_eq!(fs::read(&path).unwrap(), fs::read(&target).unwrap());
        }
    }
}

/// Takes three names off the list of each process and says that they are copied.
const SAYS_COPIED: &str = r#"
taken=$(head -n 3 "$call/list")
tail -n +4 "$call/list" >"$list"
real "$@"
for name in $taken; do
  echo "{\"level\":\"info\",\"msg\":\"Copied (new)\",\"object\":\"$name\",\"size\":1}" >&2
done
"#;

#[test]
fn what_is_said_to_be_copied_and_is_not_there_is_a_failure() {
    for (version, program) in both() {
        let place = place(version, "");
        let lying = in_front_of(&place, &program, SAYS_COPIED);
        migrate(&place, &lying).assert_code(1);
        let taken = listed(&place, 1)[..3].to_vec();
        assert_failed(
            &place,
            &taken,
            "rclone said that it is copied, but it is not at the target",
        );
        assert!(
            taken
                .iter()
                .all(|name| !place.path("target").join(name).exists())
        );
        // With an honest one the next run has the rest.
        migrate(&place, &program).assert_code(0);
        assert_arrived(&place);
    }
}

#[test]
fn a_file_that_is_shorter_than_its_source_is_a_failure() {
    let place = place("short", "");
    let lying = in_front_of(
        &place,
        &current(),
        "real \"$@\"
        name=$(head -n 1 \"$call/list\")
        head -c -1 \"DIR/source/$name\" >\"DIR/target/$name\"
        touch -r \"DIR/source/$name\" \"DIR/target/$name\"",
    );
    migrate(&place, &lying).assert_code(1);
    let name = listed(&place, 1).remove(0);
    // A source that is seconds old may have changed meanwhile: the reason depends on how long ago it was made.
    assert_failed(&place, &[name], "FAILED (");
    migrate(&place, &current()).assert_code(0);
    assert_arrived(&place);
}

#[test]
fn a_process_that_does_nothing_and_says_nothing_is_followed_by_another() {
    for (version, program) in both() {
        let place = place(version, "");
        let idle = in_front_of(&place, &program, "((n == 1)) && exit 0; real \"$@\"");
        migrate(&place, &idle).assert_code(0);
        assert_eq!(calls(&place), 2);
        assert_eq!(listed(&place, 1), listed(&place, 2));
        assert_arrived(&place);
    }
}

#[test]
fn where_no_process_does_anything_nothing_is_a_success() {
    let place = place("nothing", "server:\n  item_attempts: 2\n");
    let idle = in_front_of(&place, &current(), "exit 0");
    migrate(&place, &idle).assert_code(1);
    assert_eq!(calls(&place), 2, "so many attempts");
    let table = place.results();
    let row = table.find("id", "1").unwrap();
    assert_eq!(row.get("success"), Some("false"), "{row:?}");
    assert_eq!(row.number("files"), 0, "{row:?}");
    let message = row.get("message").unwrap();
    assert!(message.contains("rclone got nowhere"), "{message}");
}

#[test]
fn what_is_not_said_is_looked_up_and_copied_by_the_next_process() {
    for (version, program) in both() {
        let place = place(version, "");
        // Of three nothing is said: two are not copied and go to the next process. The third is found to be there; but
        // versions that write files in place may have left it in part, so of those it is copied again.
        let silent = in_front_of(
            &place,
            &program,
            "if ((n > 1)); then real \"$@\"; exit; fi
            tail -n +3 \"$call/list\" >\"$list\"
            head -n 3 \"$call/list\" >\"$call/unsaid\"
            real \"$@\" 2> >(grep -vF -f \"$call/unsaid\" >&2)
            status=$?; wait; exit $status",
        );
        migrate(&place, &silent).assert_code(0);
        assert_eq!(calls(&place), 2, "{version}");
        let again = if version == "debian" { 3 } else { 2 };
        assert_eq!(listed(&place, 2), listed(&place, 1)[..again], "{version}");
        assert_arrived(&place);
    }
}

#[test]
fn a_process_that_is_killed_half_way_is_followed_by_another_for_the_rest() {
    for (version, program) in both() {
        let place = place(version, "");
        let killed = in_front_of(
            &place,
            &program,
            "if ((n > 1)); then real \"$@\"; exit; fi
            \"REAL\" \"$@\" --transfers 1 --bwlimit 2k:2k 2>\"$call/log\" &
            until (($(grep -c '\"Copied' \"$call/log\") >= 3)); do sleep 0.01; done
            kill -9 $!; wait $!
            cat \"$call/log\" >&2
            kill -9 $$"
                .replace("REAL", program.to_str().unwrap())
                .as_str(),
        );
        migrate(&place, &killed).assert_code(0);
        assert_eq!(calls(&place), 2, "{version}");
        let (first, second) = (listed(&place, 1), listed(&place, 2));
        assert!(
            (1..=first.len() - 3).contains(&second.len()),
            "half-way: {} after {}",
            second.len(),
            first.len()
        );
        assert_arrived(&place);
    }
}

#[test]
fn a_process_that_hangs_is_ended_with_all_that_it_started() {
    for (version, program) in both() {
        let place = place(version, "  rclone_stall_secs: 6\n");
        let hanging = in_front_of(
            &place,
            &program,
            "if ((n > 1)); then real \"$@\"; exit; fi
            sleep 1000 &
            echo $! >\"$call/child\"
            wait",
        );
        let Done { stderr, .. } = migrate(&place, &hanging).assert_code(0);
        let said = "rclone showed no progress for 6 s and was ended";
        assert!(stderr.contains(said), "{stderr}");
        assert_eq!(calls(&place), 2, "{version}");
        for file in ["pid", "child"] {
            let pid = line_of(&place.path(format!("calls/1/{file}"))).unwrap();
            assert!(!lives(&pid), "{file} {pid} lives on");
        }
        assert_arrived(&place);
    }
}

#[test]
fn what_an_ended_process_had_started_writes_no_more() {
    let place = place("left-behind", "");
    let leaving = in_front_of(
        &place,
        &current(),
        "sleep 1000 2>/dev/null &
        echo $! >\"$call/child\"
        real \"$@\"",
    );
    migrate(&place, &leaving).assert_code(0);
    assert_ends(&line_of(&place.path("calls/1/child")).unwrap());
    assert_arrived(&place);
}

#[test]
fn an_exit_code_alone_makes_no_failure() {
    for (version, program) in both() {
        let place = place(version, "");
        let failing = in_front_of(&place, &program, "real \"$@\"; exit 1");
        migrate(&place, &failing).assert_code(0);
        assert_eq!(calls(&place), 1, "{version}: it ran, and all had been said");
        assert_arrived(&place);
    }
}

#[test]
fn garbage_in_the_log_means_nothing() {
    let place = place("garbage", "");
    let babbling = in_front_of(
        &place,
        &current(),
        r#"
babble() {
  head -c 300000 /dev/urandom >&2
  echo >&2
  head -c 3000000 /dev/zero | tr '\0' x >&2
  printf '\n{\n{"level":3}\n{"object":[]}\n[]\nnull\n{"level":"info","msg":"Copied (new)","object":"no such file"}\n' >&2
  printf '{"level":"error","msg":"oh","object":"../../etc/passwd"}\n{"level":"info","msg":"Copied (new)"}\n' >&2
}
babble
((n == 1)) && exit 0
real "$@"
babble
"#,
    );
    migrate(&place, &babbling).assert_code(0);
    assert_eq!(calls(&place), 2, "the first babbled only");
    assert!(!Path::new(&place.path("target/no such file")).exists());
    assert_arrived(&place);
}
