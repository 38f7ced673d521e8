//! A config of the newer tool with `ultra_large_scale` and `server_side_listing`: a worker beside the server looks at the
//! sources, those elsewhere copy the pieces, and the lists go through the folder that all share.

use std::fs;
use std::process::Command;

use testkit::rclone::current;
use testkit::tree::Recipe;
use testkit::{assert_same, tool};

use crate::fleet::{Fleet, LONG, Settings, assert_exit, start};

const FILES: u64 = 130;
const FILES_PER_PIECE: u64 = 20;

#[test]
fn a_worker_beside_the_server_lists_and_the_others_copy_the_pieces() {
    let mut fleet = Fleet::new("beside", &Settings::default());
    let shared = fleet.path("shared");
    fs::create_dir(&shared).unwrap();
    fleet.configure(&Settings {
        more_global: vec![
            format!("max_files_per_output: {FILES_PER_PIECE}"),
            format!("file_list_dir: {}", shared.display()),
            "ultra_large_scale: true".to_owned(),
            "server_side_listing: true".to_owned(),
            "feishu_url: \"\"".to_owned(),
            "rclone_flags: {checkers: 8, transfers: 8, log_level: INFO, size_only: true}"
                .to_owned(),
        ],
        ..Settings::default()
    });
    let recipe = Recipe {
        file_bytes: 1..=3_000,
        ..Recipe::plain(10, FILES)
    };
    fleet.add_tree(&recipe, 3);
    let mut command = fleet.server_command();
    let server = start(command.arg("--debug").arg("--rclone.path").arg(current()));
    // Nobody else is there: the lists are there when the lister has done its part.
    let listed = || {
        let found = tool::run(Command::new("find").arg(&shared).args(["-type", "f"]));
        String::from_utf8(found.unwrap().stdout).unwrap()
    };
    server
        .wait_until("lists in the shared folder", LONG, || {
            listed().lines().count() as u64 >= FILES / FILES_PER_PIECE
        })
        .unwrap();
    let workers = ["one", "two"].map(|name| {
        let mut command = fleet.worker_command(name);
        start(command.arg("--debug").arg("--rclone.path").arg(current()))
    });
    assert_exit(&server, 0);
    for worker in &workers {
        assert_exit(worker, 0);
        let log = worker.stderr();
        assert!(!log.contains("purpose: Copy"), "it only copies: {log}");
    }
    let copied = workers.iter().filter(|w| w.stderr().contains("Files("));
    assert!(copied.count() > 0, "the pieces were copied elsewhere");
    assert!(server.stderr().contains("purpose: Copy"), "it listed");
    assert!(!server.stderr().contains("Files("), "it copied nothing");
    let task = &fleet.tasks[0];
    assert_same(&task.source, &task.target);
    assert_eq!(listed(), "", "the lists are gone with the run");
    let table = fleet.results();
    let pieces: Vec<_> = table.rows().skip(1).collect();
    let sum: u64 = pieces.iter().map(|row| row.number("files")).sum();
    // A walk that has enough for a piece hands the rest over, so some pieces are not full.
    assert!(pieces.len() as u64 > FILES / FILES_PER_PIECE);
    assert_eq!(sum, FILES);
    for row in pieces {
        assert!(row.number("split files") <= FILES_PER_PIECE, "{row:?}");
        assert_eq!(row.get("engine"), Some("rclone"));
    }
}
