use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicU64;

use rustix::fs::{FileType, llistxattr};

use super::{Made, Many, Recipe, Vast, make, make_many, make_vast, odd_names};
use crate::compare::{self, Options};
use crate::mount::{LoopMount, Tmpfs};
use crate::{HardLinks, Scratch, rsync_differences, tool};

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
        } else if kind.is_file() {
            made.files += 1;
            made.bytes += metadata.len();
        } else {
            made.specials += 1;
        }
    }
}

#[test]
fn a_tree_has_the_counts_that_were_promised() {
    for (number, recipe) in [Recipe::plain(3, 20), Recipe::odd(60, 100), Recipe::full()]
        .iter()
        .enumerate()
    {
        let scratch = Scratch::new("counts");
        let made = make(scratch.path(), recipe, number as u64).unwrap();
        let mut counted = Made::default();
        count(scratch.path(), &mut counted);
        assert_eq!(made, counted);
        let directories = recipe.directories + recipe.empty_directories;
        let holey = recipe.sparse_files + recipe.preallocated_files;
        let files = recipe.files + holey + recipe.big_files + recipe.hard_links;
        assert_eq!((made.directories, made.files), (directories, files));
        let symlinks = recipe.symlinks + recipe.symlink_hard_links;
        let specials = recipe.specials + recipe.devices + recipe.special_hard_links;
        assert_eq!((made.symlinks, made.specials), (symlinks, specials));
    }
}

#[test]
fn one_seed_gives_one_tree_and_another_another() {
    let scratch = Scratch::new("seeds");
    for (name, seed) in [("a", 1), ("b", 1), ("c", 2)] {
        make(&scratch.join(name), &Recipe::full(), seed).unwrap();
    }
    let [a, b, c] = ["a", "b", "c"].map(|name| scratch.join(name));
    compare::assert_same_by(&a, &b, &Options::everything());
    assert!(!compare::compare(&a, &c, &Options::data_only()).is_empty());
}

#[test]
fn two_judges_agree_that_cp_copies_the_oddest_tree() {
    let scratch = Scratch::new("judges");
    let (a, b) = (scratch.join("a"), scratch.join("b"));
    make(&a, &Recipe::full(), 3).unwrap();
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

/// How often each of these is met in a tree: names of attributes, kinds, and names that lead to one entry.
#[test]
fn a_vast_tree_has_its_entries_whatever_the_threads() {
    for (entries, per_directory) in [(5_003, 40), (100, 128), (1, 1)] {
        let scratch = Scratch::new("vast");
        let vast = Vast {
            entries,
            per_directory,
        };
        let [a, b] = [("a", 1), ("b", 4)].map(|(name, threads)| {
            let done = AtomicU64::new(0);
            let made = make_vast(&scratch.join(name), &vast, 7, threads, &done).unwrap();
            assert_eq!(done.into_inner(), entries);
            made
        });
        let mut counted = Made::default();
        count(&scratch.join("a"), &mut counted);
        assert_eq!((a, b), (counted, counted));
        assert_eq!(a.entries(), entries);
        assert_eq!(a.directories, vast.directories());
        let [a, b] = ["a", "b"].map(|name| scratch.join(name));
        assert_eq!(compare::compare(&a, &b, &Options::data_only()), []);
        for number in vast.directories() / 2 + 1..=vast.directories() {
            let mut inside = Made::default();
            count(&scratch.join("a").join(vast.path(number)), &mut inside);
            assert_eq!(inside.directories, 0);
        }
    }
}

fn inventory(root: &Path) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    let mut count = |what: String| *found.entry(what).or_default() += 1;
    let mut pending = vec![root.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let kind = FileType::from_raw_mode(metadata.mode());
            if kind == FileType::Directory {
                pending.push(path.clone());
            } else if metadata.nlink() > 1 {
                count(format!("{kind:?} of several names"));
            }
            count(format!("{kind:?}"));
            let mut names = vec![0; 1 << 16];
            let length = llistxattr(&path, &mut names).unwrap();
            for name in names[..length].split(|byte| *byte == 0) {
                let shown: String = name.escape_ascii().to_string();
                count(format!("{kind:?} {}", &shown[..shown.len().min(24)]));
            }
        }
    }
    found
}

#[test]
fn a_full_tree_has_some_of_everything() {
    let scratch = Scratch::new("full");
    make(scratch.path(), &Recipe::full(), 6).unwrap();
    let found = inventory(scratch.path());
    for wanted in [
        "CharacterDevice",
        "BlockDevice",
        "Fifo",
        "Socket",
        "RegularFile of several names",
        "Symlink of several names",
        "Fifo of several names",
        "RegularFile user.every byte",
        "RegularFile user.empty",
        "RegularFile user.many.15",
        "RegularFile user.\\xff\\n/ nnnnnnnnnnn",
        "RegularFile user.long",
        "RegularFile security.capability",
        "RegularFile system.posix_acl_access",
        "Directory user.long",
        "Directory trusted.testkit",
        "Directory security.testkit",
        "Directory system.posix_acl_access",
        "Directory system.posix_acl_default",
        "Symlink trusted.testkit",
        "Symlink security.testkit",
        "Fifo trusted.testkit",
    ] {
        assert!(found.contains_key(wanted), "{wanted}: {found:#?}");
    }
}

#[test]
fn xfs_holds_the_longest_values_and_tmpfs_the_most_distant_times() {
    let xfs = LoopMount::xfs(300).unwrap();
    let tmpfs = Tmpfs::new(300).unwrap();
    let longest = Recipe {
        longest_value_bytes: 64 << 10,
        ..Recipe::full()
    };
    let distant = Recipe {
        distant_times: true,
        ..Recipe::full()
    };
    for (root, recipe) in [(xfs.path(), longest), (tmpfs.path(), distant)] {
        let (a, b) = (root.join("a"), root.join("b"));
        make(&a, &recipe, 7).unwrap();
        tool::run(Command::new("cp").arg("-a").arg(&a).arg(&b)).unwrap();
        compare::assert_same_by(&a, &b, &Options::everything());
        assert_eq!(rsync_differences(&a, &b, HardLinks::Compare), [""; 0]);
    }
    let mut earliest = 0;
    let mut pending = vec![tmpfs.path().to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let metadata = entry.as_ref().unwrap().metadata().unwrap();
            earliest = earliest.min(metadata.mtime());
            if metadata.is_dir() {
                pending.push(entry.unwrap().path());
            }
        }
    }
    assert_eq!(earliest, -5_000_000_000);
}

#[test]
fn a_plain_user_owns_and_can_read_all_that_is_made_for_it() {
    let scratch = Scratch::new("plain-user");
    let (a, b) = (scratch.join("a"), scratch.join("b"));
    let recipe = Recipe {
        plain_user: Some(65_534),
        ..Recipe::full()
    };
    let made = make(&a, &recipe, 8).unwrap();
    assert_eq!(made.specials, recipe.specials + recipe.special_hard_links);
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let mut cp = Command::new("setpriv");
    cp.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
    tool::run(cp.args(["cp", "-a"]).arg(&a).arg(&b)).unwrap();
    compare::assert_same_by(&a, &b, &Options::everything());
    let found = inventory(&a);
    assert!(found.contains_key("RegularFile user.long"));
    assert!(found.contains_key("Directory system.posix_acl_default"));
    assert!(
        !found
            .keys()
            .any(|what| what.contains("trusted") || what.contains("security"))
    );
}
