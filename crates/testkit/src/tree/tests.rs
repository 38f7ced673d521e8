use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;
use std::process::Command;

use super::{Made, Many, Recipe, make, make_many, odd_names};
use crate::compare::{self, Options};
use crate::{HardLinks, Scratch, rsync_differences, tool};

fn full() -> Recipe {
    Recipe {
        hard_links: 10,
        specials: 4,
        big_files: 1,
        big_file_bytes: (2 << 20) + 1,
        ..Recipe::odd(70, 200)
    }
}

fn count(directory: &Path, made: &mut Made) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        let kind = metadata.file_type();
        if kind.is_dir() {
            made.directories += 1;
            count(&path, made);
        } else if kind.is_symlink() {
            made.symlinks += 1;
        } else if kind.is_fifo() || kind.is_socket() {
            made.specials += 1;
        } else {
            made.files += 1;
            made.bytes += metadata.len();
        }
    }
}

#[test]
fn a_tree_has_the_counts_that_were_promised() {
    for (number, recipe) in [Recipe::plain(3, 20), Recipe::odd(60, 100), full()]
        .iter()
        .enumerate()
    {
        let scratch = Scratch::new("counts");
        let made = make(scratch.path(), recipe, number as u64).unwrap();
        let mut counted = Made::default();
        count(scratch.path(), &mut counted);
        assert_eq!(made, counted);
        let directories = recipe.directories + recipe.empty_directories;
        let files = recipe.files + recipe.sparse_files + recipe.big_files + recipe.hard_links;
        assert_eq!((made.directories, made.files), (directories, files));
        assert_eq!(
            (made.symlinks, made.specials),
            (recipe.symlinks, recipe.specials)
        );
    }
}

#[test]
fn one_seed_gives_one_tree_and_another_another() {
    let scratch = Scratch::new("seeds");
    for (name, seed) in [("a", 1), ("b", 1), ("c", 2)] {
        make(&scratch.join(name), &full(), seed).unwrap();
    }
    let [a, b, c] = ["a", "b", "c"].map(|name| scratch.join(name));
    compare::assert_same_by(&a, &b, &Options::everything());
    assert!(!compare::compare(&a, &c, &Options::data_only()).is_empty());
}

#[test]
fn two_judges_agree_that_cp_copies_the_oddest_tree() {
    let scratch = Scratch::new("judges");
    let (a, b) = (scratch.join("a"), scratch.join("b"));
    make(&a, &full(), 3).unwrap();
    tool::run(Command::new("cp").arg("-a").arg(&a).arg(&b)).unwrap();
    compare::assert_same_by(&a, &b, &Options::everything());
    assert_eq!(rsync_differences(&a, &b, HardLinks::Compare), [""; 0]);
}

#[test]
fn every_odd_name_and_every_odd_attribute_is_in_the_tree() {
    let scratch = Scratch::new("odd");
    let recipe = Recipe::odd(60, 300);
    make(scratch.path(), &recipe, 4).unwrap();
    let mut found = Vec::new();
    let mut pending = vec![scratch.path().to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() {
                pending.push(entry.path());
            }
            found.push((entry.file_name(), metadata));
        }
    }
    for name in odd_names() {
        let text = name.escape_ascii();
        assert!(
            found.iter().any(|(one, _)| one.as_encoded_bytes() == name),
            "{text}"
        );
    }
    let any = |what: &dyn Fn(&fs::Metadata) -> bool| found.iter().any(|(_, one)| what(one));
    assert!(any(&|one| one.mode() & 0o4000 != 0));
    assert!(any(&|one| one.mode() & 0o7777 == 0));
    assert!(any(&|one| one.uid() == u32::MAX - 1));
    assert!(any(&|one| one.mtime() < 0 && one.mtime_nsec() > 0));
    assert!(any(&|one| one.mtime() > i64::from(u32::MAX)));
    assert!(any(&|one| one.len() > one.blocks() * 512));
}

#[test]
fn a_chain_leads_beyond_the_longest_path() {
    let scratch = Scratch::new("chain");
    let recipe = Recipe {
        chain: 20,
        ..Recipe::default()
    };
    for name in ["a", "b"] {
        let made = make(&scratch.join(name), &recipe, 0).unwrap();
        assert_eq!((made.directories, made.files), (20, 1));
    }
    // Times differ, since nothing reaches the chain by its path to set them.
    let options = Options {
        directory_times: false,
        file_times: false,
        ..Options::default()
    };
    assert_eq!(
        compare::compare(&scratch.join("a"), &scratch.join("b"), &options),
        []
    );
}

#[test]
fn many_files_are_the_same_whatever_the_threads() {
    let scratch = Scratch::new("many");
    let many = Many {
        directories: 7,
        files: 100,
        ..Many::default()
    };
    let (a, b) = (scratch.join("a"), scratch.join("b"));
    let made = make_many(&a, &many, 5, 1).unwrap();
    assert_eq!(made, make_many(&b, &many, 5, 4).unwrap());
    let mut counted = Made::default();
    count(&a, &mut counted);
    assert_eq!(made, counted);
    assert_eq!(compare::compare(&a, &b, &Options::data_only()), []);
}
