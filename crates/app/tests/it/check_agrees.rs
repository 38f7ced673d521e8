//! `data-migrate check` agrees with `data-migrate copy`: what a copy has done is the same, whatever was asked of both, as
//! root and as a plain user, on targets that were empty or damaged. And it agrees with a comparer that shares no code
//! with it on what is damaged. Nothing is written to either tree.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::lchown;
use std::path::PathBuf;
use std::process::Command;

use testkit::Stamps;
use testkit::compare::{Aspect, Options, compare};
use testkit::damage::{Damage, Damages, damage};
use testkit::tree::{Made, Recipe, make};

use crate::place::{MAIN, PLAIN_USER, Place};

/// What a copy and a check of it can be asked alike.
const ASKED: [&[&str]; 14] = [
    &[],
    &["--specials", "copy"],
    &["--preserve", "none"],
    &["--preserve", "none", "--specials", "copy"],
    &["--preserve", "mode"],
    &["--preserve", "owner"],
    &["--preserve", "times"],
    &["--preserve", "atime"],
    &["--preserve", "xattrs"],
    // An ACL holds the bits of the mode too, so that one is not kept without the other.
    &["--preserve", "mode,acls", "--specials", "copy"],
    &["--preserve", "links", "--specials", "copy"],
    &["--preserve", "mode,times,links"],
    &["--no-times"],
    &["--size-only", "--no-times"],
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum User {
    Root,
    Plain,
}

struct Ground {
    place: Place,
    user: User,
    recipe: Recipe,
}

impl Ground {
    /// A tree with some of everything in `source`, and `to` for its copies.
    fn new(user: User) -> (Self, Made) {
        let ground = Self {
            place: Place::new("check-agrees"),
            user,
            recipe: Recipe {
                directories: 12,
                files: 50,
                big_files: 0,
                plain_user: (user == User::Plain).then_some(PLAIN_USER),
                ..Recipe::full()
            },
        };
        let made = make(&ground.place.path("source"), &ground.recipe, 7).unwrap();
        ground.place.directory("to");
        ground.place.directory("outside/directory");
        ground.place.file("outside/file", "content");
        ground.give("to");
        (ground, made)
    }

    fn give(&self, path: &str) {
        if self.user == User::Plain {
            lchown(self.place.path(path), Some(PLAIN_USER), Some(PLAIN_USER)).unwrap();
        }
    }

    fn damaged(&self, to: &str, kinds: &[Damage], seed: u64) {
        make(&self.place.path(to), &self.recipe, 7).unwrap();
        let damages = Damages {
            kinds: kinds.to_vec(),
            seed,
            outside: self.place.path("outside"),
            plain_user: self.recipe.plain_user,
        };
        damage(&self.place.path(to), &damages).unwrap();
        self.give(to);
    }

    fn command(&self, command: &str, to: &str, flags: &[&str]) -> Command {
        let mut program = match self.user {
            User::Root => self.place.command(MAIN),
            User::Plain => self.place.command_as_plain_user(MAIN),
        };
        program.args([command, "source", to]).args(flags);
        program
    }

    /// But for what the copy said it could not keep.
    #[track_caller]
    fn assert_copy_is_the_same(&self, to: &str, asked: &[&str], of_copy: &[&str]) {
        let copy = [asked, of_copy].concat();
        let copied = self
            .place
            .run(&mut self.command("copy", to, &copy))
            .assert_code(0);
        for reads in [&[][..], &["--checksum"]] {
            if !reads.is_empty() && asked.contains(&"--size-only") {
                continue;
            }
            let check = [asked, reads, &["--ignore-extra"]].concat();
            let done = self.place.run(&mut self.command("check", to, &check));
            for line in done.stdout.lines() {
                let (path, _) = line[2..].rsplit_once(" (").unwrap_or_default();
                let loss = format!(" WARN {path}: ");
                let is_told = !path.is_empty() && copied.stderr.contains(&loss);
                assert!(
                    is_told,
                    "{line}: {:?} {check:?}\n{}",
                    self.user, copied.stderr
                );
            }
            let differs = !done.stdout.is_empty();
            done.assert_code(i32::from(differs));
        }
    }
}

#[test]
fn a_copy_is_the_same_whatever_was_asked_of_both() {
    for user in [User::Root, User::Plain] {
        let (ground, made) = Ground::new(user);
        for (number, asked) in ASKED.into_iter().enumerate() {
            let to = format!("to/{number}");
            ground.assert_copy_is_the_same(&to, asked, &[]);
        }
        let source = ground.place.path("source");
        let target = ground.place.path("to/1");
        let stamps = [&source, &target].map(|root| Stamps::take(root).unwrap());
        let flags = ["--checksum", "--specials", "copy"];
        let done = ground
            .place
            .run(&mut ground.command("check", "to/1", &flags));
        let entries = made.entries();
        let expected = format!("{entries} entries compared: 0 missing, 0 extra, ");
        assert!(done.stderr.starts_with(&expected), "{}", done.stderr);
        stamps[0].assert_untouched(&source);
        stamps[1].assert_untouched(&target);
    }
}

#[test]
fn a_copy_onto_a_damaged_target_is_the_same_too() {
    for user in [User::Root, User::Plain] {
        let (ground, _) = Ground::new(user);
        for (seed, asked) in ASKED.into_iter().enumerate() {
            let specials = ["--specials", "copy"];
            // Where they are left out, what the target has in their place stays.
            let asked = match asked.ends_with(&specials) {
                true => asked.to_vec(),
                false => [asked, &specials].concat(),
            };
            let mut kinds = Damage::ALL.to_vec();
            // Two names of one file that should be two are taken apart only where something is written.
            kinds.retain(|kind| *kind != Damage::Joined);
            let to = format!("to/{seed}");
            ground.damaged(&to, &kinds, seed as u64);
            // By size and time alone a copy finds no other bytes.
            let of_copy = ["--conflicts", "replace", "--compare", "checksum"];
            let of_copy = match asked.contains(&"--size-only") {
                true => &of_copy[..2],
                false => &of_copy,
            };
            ground.assert_copy_is_the_same(&to, &asked, of_copy);
        }
    }
}

/// What a comparer finds; of one that shares no code with the program.
fn compared(ground: &Ground, to: &str) -> BTreeSet<(Vec<u8>, &'static str)> {
    let options = Options {
        holes: false,
        ..Options::everything()
    };
    let (source, target) = (ground.place.path("source"), ground.place.path(to));
    let found = compare(&source, &target, &options);
    let named = found.into_iter().map(|one| {
        let name = match one.aspect {
            Aspect::Missing => "missing",
            Aspect::Extra => "extra",
            Aspect::Kind => "kind",
            Aspect::Mode => "mode",
            Aspect::Owner => "owner",
            Aspect::Time => "mtime",
            Aspect::Size => "size",
            Aspect::Content => "content",
            Aspect::LinkTarget => "link target",
            Aspect::Device => "device",
            Aspect::HardLinks => "hard links",
            Aspect::Acl => "acl",
            Aspect::ExtendedAttributes => "xattrs",
            Aspect::Holes | Aspect::Unreadable => panic!("{one}"),
        };
        (one.path.as_os_str().as_bytes().to_vec(), name)
    });
    // Which of several names are to blame is no question of right or wrong.
    named
        .map(|(path, name)| match name {
            "hard links" => (Vec::new(), name),
            _ => (path, name),
        })
        .collect()
}

/// What the check finds, in the same form.
fn checked(ground: &Ground, to: &str) -> BTreeSet<(Vec<u8>, String)> {
    let flags = ["--json", "--checksum", "--specials", "copy"];
    let done = ground.place.run(&mut ground.command("check", to, &flags));
    let mut found = BTreeSet::new();
    for line in done.assert_code(1).stdout.lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        if object.get("summary").is_some() {
            continue;
        }
        let path = path_of(&object);
        match object["difference"].as_str().unwrap() {
            "differs" => {
                for aspect in object["what"].as_array().unwrap() {
                    let aspect = aspect.as_str().unwrap();
                    let path = match aspect {
                        "hard links" => Vec::new(),
                        _ => path.clone(),
                    };
                    assert!(found.insert((path, aspect.to_owned())) || aspect == "hard links");
                }
            }
            kind @ ("missing" | "extra") => _ = found.insert((path, kind.to_owned())),
            other => panic!("{other}: {line}"),
        }
    }
    found
}

fn path_of(object: &serde_json::Value) -> Vec<u8> {
    if let Some(bytes) = object.get("path_bytes") {
        let digits = bytes.as_str().unwrap().as_bytes();
        let pairs = digits
            .chunks(2)
            .map(|pair| std::str::from_utf8(pair).unwrap());
        return pairs
            .map(|pair| u8::from_str_radix(pair, 16).unwrap())
            .collect();
    }
    match object["path"].as_str().unwrap() {
        "." => Vec::new(),
        path => path.as_bytes().to_vec(),
    }
}

#[test]
fn all_damages_are_found_and_nothing_else() {
    for user in [User::Root, User::Plain] {
        let (ground, _) = Ground::new(user);
        let mut cases: Vec<Vec<Damage>> = Damage::ALL.map(|kind| vec![kind]).into();
        cases.push(Damage::ALL.to_vec());
        if user == User::Plain {
            cases.retain(|kinds| kinds != &[Damage::Owner]);
        }
        for (seed, kinds) in cases.iter().enumerate() {
            let to = format!("to/{seed}");
            ground.damaged(&to, kinds, seed as u64);
            let roots: [PathBuf; 3] =
                ["source", &to, "outside"].map(|root| ground.place.path(root));
            let stamps = roots.each_ref().map(|root| Stamps::take(root).unwrap());
            let found = checked(&ground, &to);
            let found: BTreeSet<_> = found
                .iter()
                .map(|(path, what)| (path.clone(), &**what))
                .collect();
            let expected = compared(&ground, &to);
            assert!(!expected.is_empty(), "{kinds:?}");
            let missed: Vec<_> = expected.difference(&found).map(shown).collect();
            let invented: Vec<_> = found.difference(&expected).map(shown).collect();
            assert!(
                missed.is_empty() && invented.is_empty(),
                "{user:?} {kinds:?}: missed {missed:#?}, invented {invented:#?}"
            );
            for (root, stamps) in roots.iter().zip(stamps) {
                stamps.assert_untouched(root);
            }
            fs::remove_dir_all(ground.place.path(&to)).unwrap();
        }
    }
}

fn shown((path, what): &(Vec<u8>, &str)) -> String {
    format!("{what}: {}", path.escape_ascii())
}
