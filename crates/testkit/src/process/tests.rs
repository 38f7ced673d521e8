use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{Exit, Program};
use crate::scratch::Scratch;

const LIMIT: Duration = Duration::from_secs(30);

fn shell(script: &str) -> Program {
    Program::start(Command::new("sh").args(["-c", script])).unwrap()
}

fn is_alive(id: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(id).join("stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

#[test]
fn output_and_exit_code_are_kept() {
    let program = shell("echo out; echo err >&2; exit 3");
    assert_eq!(program.exit_code(LIMIT).unwrap(), 3);
    assert_eq!(
        (program.stdout().as_str(), program.stderr().as_str()),
        ("out\n", "err\n")
    );
    assert_eq!(program.exit(), Some(Exit::Code(3)), "it can be asked again");
}

#[test]
fn a_wait_ends_with_the_text_or_with_the_program() {
    let program = shell("echo one; echo two >&2; sleep 60");
    program.wait_for_output("one", LIMIT).unwrap();
    program.wait_for_output("two", LIMIT).unwrap();
    let error = program
        .wait_for_output("three", Duration::from_millis(20))
        .unwrap_err();
    assert!(error.to_string().contains("one"), "{error}");
    program.kill();
    let error = program.wait_for_output("three", LIMIT).unwrap_err();
    assert!(error.to_string().contains("Signal(9)"), "{error}");
    assert_eq!(program.exit_code(LIMIT).unwrap(), 137);
}

#[test]
fn a_frozen_program_does_nothing_until_it_is_resumed() {
    let scratch = Scratch::new("frozen");
    let sign = scratch.join("sign");
    let script = format!(
        "echo ready; while test ! -e {}; do :; done; echo seen",
        sign.display()
    );
    let program = shell(&script);
    program.wait_for_output("ready", LIMIT).unwrap();
    program.stop();
    fs::write(&sign, b"").unwrap();
    assert!(!program.stdout().contains("seen"));
    assert!(program.is_running());
    program.resume();
    program.wait_for_output("seen", LIMIT).unwrap();
    assert_eq!(program.wait(LIMIT).unwrap(), Exit::Code(0));
}

#[test]
fn what_a_program_started_ends_with_its_guard_even_after_it() {
    let program = shell("sleep 60 >/dev/null & echo $!; exit 0");
    program.wait(LIMIT).unwrap();
    let started = program.stdout().trim().to_owned();
    assert!(is_alive(&started));
    drop(program);
    let mut tries = 0..2000;
    while is_alive(&started) && tries.next().is_some() {
        std::thread::sleep(super::POLL);
    }
    assert!(!is_alive(&started));
}

#[test]
fn memory_is_known_while_it_runs() {
    let program = shell("echo ready; sleep 60");
    program.wait_for_output("ready", LIMIT).unwrap();
    let memory = program.memory().unwrap();
    assert!(memory.resident_bytes > 0 && memory.peak_bytes >= memory.resident_bytes);
}
