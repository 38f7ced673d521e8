//! What nobody can read, since its disk is full or its reader has gone away, ends no migration.

use testkit::assert_same;
use testkit::tree::{Recipe, make};

use crate::place::{Done, MAIN, Place};

/// A tree, and a config that has it copied.
fn place() -> Place {
    let place = Place::new("nobody-reads");
    make(&place.path("source"), &Recipe::odd(10, 60), 6).unwrap();
    place.file(
        "tasks.txt",
        &place.with_directory("DIR/source DIR/target\n"),
    );
    place.file(
        "config.yaml",
        "global_config:
  source_fs_types: [any]
  target_fs_types: [any]
  tasks_file: tasks.txt
",
    );
    place
}

fn shell(place: &Place, line: &str) -> Done {
    let mut command = place.any_command("sh");
    place.run(command.args(["-c", &line.replace("MAIN", MAIN)]))
}

#[test]
fn a_migration_goes_on_where_its_log_and_results_can_not_be_written() {
    for output in [">/dev/full 2>/dev/full", ">&- 2>&-"] {
        let place = place();
        let run = format!("MAIN run --config.file config.yaml {output}");
        shell(&place, &run).assert_code(0);
        assert_same(&place.path("source"), &place.path("target"));
        assert_eq!(place.results().rows().count(), 1);
    }
}

#[test]
fn a_migration_goes_on_when_the_readers_of_its_output_have_gone() {
    let place = place();
    let run = "{ sleep 0.5; MAIN run --config.file config.yaml; echo $? >code; } 2>&1 | true";
    shell(&place, run);
    testkit::tool::run(
        place
            .any_command("sh")
            .args(["-c", "until [ -s code ]; do sleep 0.1; done"]),
    )
    .unwrap();
    assert_eq!(std::fs::read_to_string(place.path("code")).unwrap(), "0\n");
    assert_same(&place.path("source"), &place.path("target"));
}

#[test]
fn a_copy_that_can_not_tell_what_it_did_has_done_it() {
    let place = place();
    shell(&place, "MAIN copy source target >/dev/full 2>/dev/full").assert_code(0);
    assert_same(&place.path("source"), &place.path("target"));
    let done = shell(&place, "MAIN copy source target >/dev/full").assert_code(0);
    let expected = "cannot write to standard output: No space left on device";
    assert!(done.stderr.contains(expected), "{}", done.stderr);
}

#[test]
fn an_answer_that_can_not_be_written_is_an_error_and_one_that_nobody_wants_is_none() {
    let place = place();
    let done = shell(&place, "MAIN fstype / >/dev/full").assert_code(3);
    let expected = "error: cannot write to standard output: No space left on device";
    assert!(done.stderr.starts_with(expected), "{}", done.stderr);
    let gone = "{ sleep 0.5; MAIN fstype / 2>said; echo $? >code; } | true; until [ -s code ]; do sleep 0.1; done; exit $(cat code)";
    shell(&place, gone).assert_code(0);
    assert_eq!(std::fs::read_to_string(place.path("said")).unwrap(), "");
}
