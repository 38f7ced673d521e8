use std::collections::BTreeSet;
use std::fs;

use super::{Damage, Damages, damage};
use crate::compare::{Aspect, Options, assert_same_by, compare};
use crate::tree::{Recipe, make};
use crate::{Scratch, Stamps};

fn recipe() -> Recipe {
    Recipe {
        directories: 20,
        files: 80,
        big_files: 0,
        ..Recipe::full()
    }
}

/// Two trees with some of everything, `damaged` and `again` damaged alike, and one that was not.
fn damaged(kinds: &[Damage]) -> Scratch {
    let scratch = Scratch::in_memory("damage");
    scratch.directory("outside/directory");
    scratch.file("outside/file", b"content");
    for name in ["whole", "damaged", "again"] {
        make(&scratch.join(name), &recipe(), 9).unwrap();
    }
    let damages = Damages {
        kinds: kinds.to_vec(),
        seed: 1,
        outside: scratch.join("outside"),
        plain_user: None,
    };
    let outside = Stamps::take(&damages.outside).unwrap();
    let count = damage(&scratch.join("damaged"), &damages).unwrap();
    assert!(count > 0, "{kinds:?}");
    assert_eq!(damage(&scratch.join("again"), &damages).unwrap(), count);
    outside.assert_untouched(&damages.outside);
    scratch
}

/// In what the damaged tree differs from the whole one.
fn aspects(scratch: &Scratch) -> BTreeSet<String> {
    let options = Options::everything();
    let found = compare(&scratch.join("whole"), &scratch.join("damaged"), &options);
    // What is changed in a directory changes its time.
    found
        .iter()
        .map(|one| format!("{:?}", one.aspect))
        .collect()
}

#[test]
fn each_damage_shows_as_what_it_is() {
    for kind in Damage::ALL {
        let expected = match kind {
            Damage::Content => Aspect::Content,
            Damage::Size => Aspect::Size,
            Damage::Mode => Aspect::Mode,
            Damage::Owner => Aspect::Owner,
            Damage::Time => Aspect::Time,
            Damage::Attributes => Aspect::ExtendedAttributes,
            Damage::AccessAcl | Damage::DefaultAcl => Aspect::Acl,
            Damage::Kind | Damage::OutsideLink => Aspect::Kind,
            Damage::Missing => Aspect::Missing,
            Damage::Split | Damage::Joined => Aspect::HardLinks,
            Damage::Extra => Aspect::Extra,
        };
        let found = aspects(&damaged(&[kind]));
        assert!(
            found.contains(&format!("{expected:?}")),
            "{kind:?}: {found:?}"
        );
    }
}

#[test]
fn two_trees_that_were_damaged_alike_are_alike_but_for_times() {
    let scratch = damaged(&Damage::ALL);
    let options = Options {
        file_times: false,
        directory_times: false,
        symlink_times: false,
        ..Options::everything()
    };
    assert_same_by(&scratch.join("damaged"), &scratch.join("again"), &options);
}

#[test]
fn what_is_made_in_a_tree_of_a_plain_user_belongs_to_it() {
    use std::os::unix::fs::MetadataExt as _;
    let scratch = Scratch::in_memory("damage");
    let recipe = Recipe {
        plain_user: Some(65_534),
        ..recipe()
    };
    make(&scratch.join("tree"), &recipe, 9).unwrap();
    let damages = Damages {
        kinds: Damage::ALL.to_vec(),
        seed: 1,
        outside: scratch.directory("outside"),
        plain_user: recipe.plain_user,
    };
    damage(&scratch.join("tree"), &damages).unwrap();
    let mut pending = vec![scratch.join("tree")];
    while let Some(path) = pending.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        assert_eq!(
            (metadata.uid(), metadata.gid()),
            (65_534, 65_534),
            "{path:?}"
        );
        if metadata.is_dir() {
            pending.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
    }
}
