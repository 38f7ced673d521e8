//! `data-migrate check` ends when it is told to, however large a file is; goes as deep as there are directories, with few
//! descriptors; and shares a directory of many entries without losing any.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::time::SystemTime;

use testkit::process::Signal;
use testkit::tree::make_deep;
use testkit::{Program, Scratch};

use crate::place::{LONG, MAIN, Place};

#[test]
fn a_signal_ends_it_in_the_middle_of_a_file() {
    let place = Place::new("check-signal");
    // In memory: on a disk that is behind with its writes, the sync before the target is read takes minutes.
    let scratch = Scratch::in_memory("check-signal");
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        for root in ["source", "target"] {
            // Holes that take minutes to read.
            let file = File::create(scratch.directory(root).join("holes")).unwrap();
            file.set_len(1 << 40).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        }
        let mut command = place.command(MAIN);
        command.args(["check", "--checksum", "--json"]);
        command.args([scratch.join("source"), scratch.join("target")]);
        let program = Program::start(&mut command).unwrap();
        let is_reading = || has_open(program.id(), "holes");
        program.wait_until("the file", LONG, is_reading).unwrap();
        program.signal(signal);
        let done = place.end(&program).assert_code(code);
        assert!(!done.stdout.contains("summary"), "{}", done.stdout);
    }
}

fn has_open(process: u32, name: &str) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{process}/fd")) else {
        return false;
    };
    let mut opened =
        descriptors.filter_map(|descriptor| fs::read_link(descriptor.ok()?.path()).ok());
    opened.any(|path| path.ends_with(name))
}

#[test]
fn ten_thousand_levels_are_compared_with_few_descriptors() {
    const LEVELS: u64 = 10_000;
    // In memory: removing directories one in another takes minutes on some disks.
    let scratch = Scratch::in_memory("check-deep");
    for root in ["source", "target"] {
        make_deep(&scratch.join(root), LEVELS).unwrap();
    }
    for limit in ["64", "1024"] {
        let place = Place::new("check-deep");
        let limited = format!("ulimit -n {limit} && exec \"$0\" \"$@\"");
        let mut command = place.any_command("sh");
        command.args(["-c", &limited, MAIN, "check", "--no-times"]);
        command.args([scratch.join("source"), scratch.join("target")]);
        let done = place.run(&mut command).assert_code(0);
        let expected = "10,001 entries compared: 0 missing, 0 extra, 0 differ";
        assert!(done.stderr.starts_with(expected), "{}", done.stderr);
    }
}

#[test]
fn a_directory_of_many_files_is_shared_among_threads_and_no_name_is_lost() {
    const FILES: usize = 5_000;
    let place = Place::new("check-many");
    for root in ["source", "target"] {
        place.directory(root);
        for number in 0..FILES {
            File::create(place.path(root).join(number.to_string())).unwrap();
        }
    }
    fs::remove_file(place.path("target/77")).unwrap();
    fs::remove_file(place.path("source/4711")).unwrap();
    fs::set_permissions(place.path("target/1234"), Permissions::from_mode(0o640)).unwrap();
    for threads in ["1", "64"] {
        let mut command = place.command(MAIN);
        command.args(["check", "source", "target", "--no-times"]);
        let done = place.run(command.args(["--transfers", threads]));
        let mut lines: Vec<_> = done.stdout.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["* 1234 (mode)", "+ 77", "- 4711"]);
        let expected = "4,998 entries compared: ";
        assert!(done.stderr.starts_with(expected), "{}", done.stderr);
        done.assert_code(1);
    }
}
