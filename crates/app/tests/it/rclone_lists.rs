//! What odd file lists ask for, the rclone engine brings, and no more: thirty generated lists against what `find` says
//! is there.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use testkit::compare::{Options, assert_same_by};
use testkit::leftovers;
use testkit::random::Random;
use testkit::rclone::both;

use crate::place::{OLDER, Place};
use crate::rclone::{calls, in_front_of, migrate};

const LISTS: usize = 30;

type Name = Vec<u8>;

/// Files of the source, in directories that come with them.
const FILES: [&[u8]; 34] = [
    b"plain",
    b"#number sign",
    b"; semicolon",
    b"- minus",
    b"+ plus",
    b"!",
    b"--files-from",
    b"in a row",
    b"it's \"quoted\"",
    b"back\\slash",
    b"star*",
    b"[a-z]",
    b"{a,b}",
    b"what?",
    "caf\u{e9}".as_bytes(),
    "cafe\u{301}".as_bytes(),
    "\u{65e5}\u{672c}\u{8a9e}/\u{1f600}".as_bytes(),
    "full\u{ff0f}width".as_bytes(),
    "\u{2424}symbol".as_bytes(),
    "in\u{a0}blank\u{3000}blank".as_bytes(),
    b"line\nbreak",
    b"return\rin the middle",
    b"\xff\xfe no text",
    b" blanks ",
    b"tab\t",
    b"d/a",
    b"d/b.txt",
    b"d/below/c",
    b"d/below/deep/e.txt",
    b"d e/f",
    b"#d/# f",
    b"dd/a.txt",
    b"remote:dd/f",
    b"link.rclonelink",
];

/// Patterns of one component, which are no names here.
const PATTERNS: [&str; 5] = ["d*", "*e", "caf*", "pl?in", "[#-]*"];

struct List {
    bytes: Vec<u8>,
    /// What it asks for, and is there.
    meant: BTreeSet<Name>,
    missing: BTreeSet<Name>,
}

/// All below a directory that some tests of `find` hold for.
fn find(root: &Path, tests: &[&str]) -> BTreeSet<Name> {
    let mut command = Command::new("find");
    command.arg(root).args(["-mindepth", "1"]).args(tests);
    let done = testkit::tool::run(command.args(["-printf", "%P\\0"])).unwrap();
    let names = done.stdout.split(|byte| *byte == 0);
    names
        .filter(|name| !name.is_empty())
        .map(Name::from)
        .collect()
}

fn make_source(place: &Place) {
    for name in FILES {
        let path = place.path("source").join(std::ffi::OsStr::from_bytes(name));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, [name, b" has this"].concat()).unwrap();
    }
    place.directory("source/d/empty");
    place.bytes("source/d/no data", b"");
    symlink("a", place.path("source/d/link")).unwrap();
    symlink("d", place.path("source/link")).unwrap();
}

fn ancestors(name: &[u8]) -> impl Iterator<Item = Name> + '_ {
    let slashes = (0..name.len()).filter(|at| name[*at] == b'/');
    slashes.map(|at| name[..at].to_vec())
}

/// Whether a line of text can hold the name: blanks around it are none of it.
fn is_for_lines(name: &[u8]) -> bool {
    !name.contains(&b'\n') && name.trim_ascii() == name
}

/// As users write it: with slashes around, doubled, or a dot before it.
fn written(name: &[u8], random: &mut Random) -> Name {
    let mut text = Name::from(*random.pick(&["", "", "/", "./", "//"]));
    for byte in name {
        text.push(*byte);
        if *byte == b'/' && random.below(3) == 0 {
            text.extend_from_slice(b"./");
        }
    }
    text.extend_from_slice(random.pick(&["", "", "/", "//", "/."]).as_bytes());
    text
}

fn list(place: &Place, all: &[Name], number: usize) -> List {
    let mut random = Random::part(2026, number as u64);
    let has_lines = !number.is_multiple_of(3);
    let names: Vec<&Name> = all
        .iter()
        .filter(|name| !has_lines || is_for_lines(name))
        .collect();
    let mut list = List {
        bytes: Vec::new(),
        meant: BTreeSet::new(),
        missing: BTreeSet::new(),
    };
    let mut entries: Vec<Name> = Vec::new();
    for n in 0..5 + random.below(20) {
        let name = random.pick(&names).to_vec();
        let entry = match random.below(10) {
            0 => {
                let missing = [&name[..], format!(".gone{n}").as_bytes()].concat();
                list.missing.insert(missing.clone());
                missing
            }
            1 => {
                let pattern = *random.pick(&PATTERNS);
                let tests = ["-maxdepth", "1", "-name", pattern];
                list.meant.extend(find(&place.path("source"), &tests));
                pattern.into()
            }
            2 if !entries.is_empty() => random.pick(&entries).clone(),
            _ => {
                list.meant.insert(name.clone());
                written(&name, &mut random)
            }
        };
        entries.push(entry);
    }
    // What is listed below a directory that is listed too goes with it, there or not.
    let List { meant, missing, .. } = &mut list;
    missing.retain(|name| !ancestors(name).any(|up| meant.contains(&up)));
    let ends = ["\n", "\r\n", "  \n\n", "\t\r\n \r\n"];
    for entry in entries {
        let (before, after) = match has_lines {
            true => (*random.pick(&["", " ", "\t"]), *random.pick(&ends)),
            false => ("", "\0"),
        };
        list.bytes.extend_from_slice(before.as_bytes());
        list.bytes.extend_from_slice(&entry);
        list.bytes.extend_from_slice(after.as_bytes());
    }
    list
}

/// What must be at the target, of all that is at the source; and what may be: the way to what is missing.
fn expected(list: &List, all: &[Name]) -> (BTreeSet<Name>, BTreeSet<Name>) {
    let is_meant = |name: &Name| {
        list.meant.contains(name) || ancestors(name).any(|up| list.meant.contains(&up))
    };
    let mut must: BTreeSet<Name> = all.iter().filter(|name| is_meant(name)).cloned().collect();
    must.extend(list.meant.iter().flat_map(|name| ancestors(name)));
    let may = list
        .missing
        .iter()
        .flat_map(|name| ancestors(name))
        .collect();
    (must, may)
}

#[test]
fn odd_lists_bring_what_they_name_and_no_more() {
    for (version, program) in both() {
        let place = Place::new(version);
        make_source(&place);
        let all = Vec::from_iter(find(&place.path("source"), &[]));
        let lists: Vec<List> = (0..LISTS).map(|n| list(&place, &all, n)).collect();
        assert!(lists.iter().any(|list| !list.missing.is_empty()));
        let mut tasks = String::new();
        for (n, list) in lists.iter().enumerate() {
            place.bytes(&format!("list{n}"), &list.bytes);
            tasks += &format!("DIR/source DIR/target/{n} DIR/list{n}\n");
        }
        place.file("deploy/data_sources.txt", &tasks);
        place.file("config.yaml", &format!("{OLDER}  durability: none\n"));
        let counting = in_front_of(&place, &program, "real \"$@\"");
        migrate(&place, &counting).assert_code(1);
        assert!(calls(&place) >= LISTS / 2, "rclone was at work");
        let table = place.results();
        let subset = Options {
            extra_entries_allowed: true,
            root_attributes: false,
            ..Options::default()
        };
        for (n, list) in lists.iter().enumerate() {
            let shown = String::from_utf8_lossy(&list.bytes);
            let row = table.find("id", &(n + 1).to_string()).unwrap();
            let log = fs::read_to_string(row.get("log file").unwrap()).unwrap();
            assert_eq!(
                row.number("failures"),
                list.missing.len() as u64,
                "{version}, list {n}: {shown:?}\n{log}"
            );
            let target = place.path(format!("target/{n}"));
            let (must, may) = expected(list, &all);
            let found = find(&target, &[]);
            let show = |names: Vec<&Name>| -> Vec<String> {
                let names = names.into_iter();
                names.map(|name| name.escape_ascii().to_string()).collect()
            };
            let lost = show(must.difference(&found).collect());
            assert!(
                lost.is_empty(),
                "{version}, list {n}: {lost:?} of {shown:?}\n{log}"
            );
            let more = found.difference(&must).filter(|name| !may.contains(*name));
            let more = show(more.collect());
            assert!(
                more.is_empty(),
                "{version}, list {n}: {more:?} with {shown:?}"
            );
            assert_same_by(&target, &place.path("source"), &subset);
            assert!(leftovers(&target).is_empty());
        }
    }
}
