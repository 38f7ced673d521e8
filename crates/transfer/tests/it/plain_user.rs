//! What a user without privileges can do all the same.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use transfer::{AttemptWork, Stopped};

use crate::support::{
    self, AS_PLAIN_USER, Place, give_away, inner_place, run_again, set_mode, temp_name, temps,
    tree, walk,
};

fn mode(path: std::path::PathBuf) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn read_only_directories_take_new_entries_and_are_read_only_again() {
    let Some(root) = inner_place() else {
        let place = Place::new("read-only");
        for side in ["source", "target"] {
            fs::create_dir_all(place.root.join(side).join("a/b")).unwrap();
        }
        for file in ["a/file", "a/b/file", "a/new/file"] {
            place.write(file, "x");
        }
        std::os::unix::fs::symlink("file", place.source("a/b/link")).unwrap();
        give_away(&place);
        for directory in [place.source("a"), place.source("a/b")] {
            set_mode(&directory, 0o555);
        }
        for directory in [place.target("a"), place.target("a/b")] {
            set_mode(&directory, 0o555);
        }
        set_mode(&place.source(""), 0o555);
        set_mode(&place.target(""), 0o555);
        run_again(
            "plain_user::read_only_directories_take_new_entries_and_are_read_only_again",
            &place,
            &AS_PLAIN_USER,
        );
        return;
    };
    let (source, target) = (root.join("source"), root.join("target"));
    let finished = walk().run_between(&source, &target).unwrap();
    assert_eq!(finished.outcome.counters.failed, 0, "{finished:?}");
    assert_eq!(tree(&source), tree(&target));
    // The same by a list, for which the directories are only the way.
    set_mode(&source.join("a/b"), 0o755);
    fs::write(source.join("a/b/later"), "x").unwrap();
    set_mode(&source.join("a/b"), 0o555);
    let mut list = walk();
    list.work = AttemptWork::Paths(vec![support::path("a/b/later")]);
    let finished = list.run_between(&source, &target).unwrap();
    assert_eq!(finished.outcome.counters.copied, 1, "{finished:?}");
    let mut attributes = walk();
    attributes.work = AttemptWork::Attributes(finished.deferred_attributes);
    attributes.run_between(&source, &target).unwrap();
    assert_eq!(tree(&source), tree(&target));
    assert_eq!(mode(target.join("a/b")), 0o555);
}

#[test]
fn unfinished_read_only_directories_are_removed() {
    let Some(root) = inner_place() else {
        let place = Place::new("left");
        place.write("file", "x");
        let left = place.target(&temp_name(1, 1, 0));
        fs::create_dir_all(left.join("a/b")).unwrap();
        fs::write(left.join("a/b/file"), "x").unwrap();
        fs::write(left.join("a/file"), "x").unwrap();
        give_away(&place);
        set_mode(&left.join("a/b"), 0o555);
        set_mode(&left.join("a"), 0o555);
        run_again(
            "plain_user::unfinished_read_only_directories_are_removed",
            &place,
            &AS_PLAIN_USER,
        );
        return;
    };
    let (source, target) = (root.join("source"), root.join("target"));
    let mut attempt = walk();
    attempt.epoch = 2;
    attempt.run_between(&source, &target).unwrap();
    assert!(temps(&target).is_empty());
}

#[test]
fn a_cancelled_attempt_takes_read_only_directories_away() {
    let Some(root) = inner_place() else {
        let place = Place::new("cancelled");
        // The large one keeps its directory unpublished when what lies below is done.
        place.write("top/large", vec![0; 80 << 20]);
        place.write("top/below/file", "x");
        give_away(&place);
        set_mode(&place.source("top/below"), 0o555);
        run_again(
            "plain_user::a_cancelled_attempt_takes_read_only_directories_away",
            &place,
            &AS_PLAIN_USER,
        );
        return;
    };
    let (source, target) = (root.join("source"), root.join("target"));
    let mut attempt = walk();
    let cancel = std::sync::Arc::clone(&attempt.cancel);
    let watched = target.clone();
    attempt.meddle = Box::new(move || {
        // The tree changes meanwhile: what can't be read now is read the next time.
        let unpublished = fs::read_dir(&watched).into_iter().flatten().flatten();
        if unpublished
            .into_iter()
            .any(|top| top.path().join("below").exists())
        {
            cancel.cancel();
        }
    });
    let result = attempt.run_between(&source, &target);
    if let Err(stopped) = result {
        assert_eq!(stopped, Stopped::Cancelled);
    }
    assert!(temps(&target).is_empty(), "{:?}", temps(&target));
}
