//! Lines of `exclude` mean what they mean to git: it is asked, about a tree that is really there.
//!
//! But for `a**/b`: to the manual of git these are two stars like any, and so they are here. The program git cuts off
//! the letters before the first star, and takes what is left for a component of its own.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

use model::filter::{EntryKind, Filter, Rules};
use model::{RelPath, SkipReason};
use proptest::prelude::*;
use tempfile::TempDir;

const DIRECTORIES: [&[u8]; 5] = [b"a", b"b", b"ab", "é".as_bytes(), b"x.o"];
const FILES: [&[u8]; 14] = [
    b"c", b"cc", b"b.o", b"*", b"!c", b"#c", b"\xffc", b"[a]", b"]", b"-", b"{a,b}", b"c ", b"C",
    b"\n1",
];
/// Sets of lines that random ones hardly hit.
const CHOSEN: [&[&str]; 23] = [
    &["a/**/b", "!a/b"],
    &["**/b.o"],
    &["a/**"],
    &["**"],
    &["/**"],
    &["a/***/c"],
    &["*/**/*"],
    &["**/"],
    &["[]c]"],
    &["[!]c]"],
    &["[^a-c]"],
    &["[a-]"],
    &["[[:upper:][:digit:]]"],
    &["[[:x]"],
    &["?[!c]"],
    &["a[/]b"],
    &["a[!x]c"],
    &["[+-9]"],
    &["\\c", "\\#c", "\\!c"],
    &["*", "!*/", "!*.o"],
    &["/*", "!/a", "/a/*", "!/a/b"],
    &["c\\ ", "cc  "],
    &["[\\]-a]"],
];

struct Tree {
    place: TempDir,
    /// Files have no slash at their end.
    entries: Vec<(Vec<u8>, EntryKind)>,
}

impl Tree {
    fn create() -> Self {
        let place = tempfile::tempdir().unwrap();
        let mut directories: Vec<Vec<u8>> = vec![Vec::new()];
        for first in DIRECTORIES {
            directories.push(first.to_vec());
            for second in DIRECTORIES {
                directories.push([first, b"/", second].concat());
            }
        }
        let mut entries = Vec::new();
        for directory in directories {
            let path = place.path().join(OsStr::from_bytes(&directory));
            std::fs::create_dir_all(&path).unwrap();
            for file in FILES {
                std::fs::write(path.join(OsStr::from_bytes(file)), "").unwrap();
                let file = match directory.as_slice() {
                    b"" => file.to_vec(),
                    directory => [directory, b"/", file].concat(),
                };
                entries.push((file, EntryKind::NoDirectory));
            }
            if !directory.is_empty() {
                entries.push((directory, EntryKind::Directory));
            }
        }
        let made = git(place.path()).args(["init", "-q"]).status().unwrap();
        assert!(made.success());
        Self { place, entries }
    }

    /// What git leaves out by these lines.
    fn ignored(&self, lines: &[String]) -> BTreeSet<Vec<u8>> {
        let exclude = self.place.path().join(".git/info/exclude");
        std::fs::write(exclude, lines.join("\n")).unwrap();
        let mut asked = git(self.place.path())
            .args(["check-ignore", "--no-index", "-z", "--stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut paths: Vec<u8> = Vec::new();
        for (path, _) in &self.entries {
            paths.extend_from_slice(path);
            paths.push(0);
        }
        let mut stdin = asked.stdin.take().unwrap();
        let writer = std::thread::spawn(move || stdin.write_all(&paths).unwrap());
        let answer = asked.wait_with_output().unwrap();
        writer.join().unwrap();
        assert!(matches!(answer.status.code(), Some(0 | 1)));
        let answers = answer.stdout.split(|&byte| byte == 0);
        answers
            .filter(|path| !path.is_empty())
            .map(<[u8]>::to_vec)
            .collect()
    }

    fn left_out(&self, rules: &Rules) -> BTreeSet<Vec<u8>> {
        let is_left_out = |(path, kind): &&(Vec<u8>, EntryKind)| {
            let path = RelPath::new(path.as_slice()).unwrap();
            let (directory, _) = path.split_last().unwrap();
            rules.skips(rules.above(&directory), &path, *kind) == Some(SkipReason::Excluded)
        };
        let left_out = self.entries.iter().filter(is_left_out);
        left_out.map(|(path, _)| path.clone()).collect()
    }

    fn compare(&self, lines: &[String]) {
        let lines: Vec<&String> = lines.iter().filter(|line| !ends_in_stars(line)).collect();
        let compile = |exclude: Vec<String>| {
            Rules::compile(&Filter {
                exclude,
                ..Filter::default()
            })
        };
        let (good, bad): (Vec<_>, Vec<_>) = lines
            .into_iter()
            .cloned()
            .partition(|line| compile(vec![line.clone()]).is_ok());
        let rules = compile(good.clone()).unwrap();
        assert_eq!(self.left_out(&rules), self.ignored(&good), "{good:?}");
        // A slash after a backslash or within [ ] means something to git, but hardly what was meant.
        let never_matches = |line: &String| {
            line.is_ascii() && !line.contains("\\/") && !(line.contains('[') && line.contains('/'))
        };
        for line in bad.into_iter().filter(never_matches) {
            let ignored = self.ignored(std::slice::from_ref(&line));
            assert!(ignored.is_empty(), "{line:?} was refused");
        }
    }
}

/// Whether a component ends in `**` and is more than that.
fn ends_in_stars(line: &str) -> bool {
    let components = line.trim_start_matches('!').split('/');
    let before = components.map(|component| (component, component.trim_end_matches('*')));
    before
        .into_iter()
        .any(|(component, rest)| !rest.is_empty() && component.len() >= rest.len() + 2)
}

/// Git, whatever it is configured to do.
fn git(place: &Path) -> Command {
    let mut git = Command::new("git");
    git.current_dir(place)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE");
    git
}

#[test]
fn chosen_lines_mean_what_they_mean_to_git() {
    let tree = Tree::create();
    for lines in CHOSEN {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        tree.compare(&lines);
    }
}

/// Lines put together from what has a meaning, and some names.
fn line() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "c", "ab", ".o", "é"]),
        3 => Just("/"),
        3 => prop::sample::select(vec!["*", "**", "?", "**/", "/**"]),
        2 => prop::sample::select(vec!["[ab]", "[!a]", "[^c]", "[a-c]", "[]-]", "[[:alpha:]]", "[\\]]", "[!/]"]),
        1 => prop::sample::select(vec!["\\", "[", "]", "!", "-", " ", "\\ ", "{a,b}", "[:", "{", ".", "#"]),
    ];
    let pieces = prop::collection::vec(piece, 1..6);
    (prop::bool::weighted(0.2), pieces).prop_map(|(takes_back, pieces)| {
        let line = pieces.concat();
        // At the beginning it is a comment to git.
        let line = line.trim_start_matches('#');
        match takes_back {
            true => format!("!{line}"),
            false => line.to_owned(),
        }
    })
}

#[test]
fn random_lines_mean_what_they_mean_to_git() {
    let tree = Tree::create();
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(150)
    };
    proptest!(config, |(lines in prop::collection::vec(line(), 1..4))| {
        tree.compare(&lines);
    });
}
