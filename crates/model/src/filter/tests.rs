use super::{Above, BadFilter, EntryKind, Filter, Rules, lines_of_file};
use crate::outcome::SkipReason;
use crate::path::RelPath;

fn path(bytes: impl AsRef<[u8]>) -> RelPath {
    RelPath::new(bytes.as_ref()).unwrap()
}

fn lines(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

/// What is said of a path whose kind shows at its end: a slash for a directory.
fn said(rules: &Rules, written: impl AsRef<[u8]>) -> Option<SkipReason> {
    let (bytes, kind) = match written.as_ref().strip_suffix(b"/") {
        Some(bytes) => (bytes, EntryKind::Directory),
        None => (written.as_ref(), EntryKind::NoDirectory),
    };
    let path = path(bytes);
    let (directory, _) = path.split_last().unwrap();
    rules.skips(rules.above(&directory), &path, kind)
}

fn excluding(exclude: &[&str]) -> Rules {
    let exclude = lines(exclude);
    Rules::compile(&Filter {
        exclude,
        ..Filter::default()
    })
    .unwrap()
}

fn including(include: &[&str], exclude: &[&str]) -> Rules {
    let (include, exclude) = (lines(include), lines(exclude));
    Rules::compile(&Filter {
        include,
        exclude,
        ..Filter::default()
    })
    .unwrap()
}

#[test]
fn each_rule_of_exclude_holds() {
    for (rule, exclude, left_out, kept) in [
        (
            "a name at any depth",
            &[".snapshot"][..],
            &[".snapshot/", ".snapshot", "a/b/.snapshot/", ".snapshot/x"][..],
            &["a/", "x.snapshot", ".snapshots/"][..],
        ),
        (
            "a slash at the end: directories alone",
            &["lost+found/"],
            &["lost+found/", "a/lost+found/", "lost+found/x"],
            &["lost+found", "a/lost+found"],
        ),
        (
            "a slash at the beginning: at the root",
            &["/tmp"],
            &["tmp", "tmp/", "tmp/x"],
            &["a/tmp", "a/tmp/"],
        ),
        (
            "a slash in the middle: from the root on",
            &["a/tmp"],
            &["a/tmp", "a/tmp/x"],
            &["tmp", "b/a/tmp", "a/tmp2"],
        ),
        (
            "* within a name",
            &["*.o", "/a/*/c"],
            &["x.o", "b/.o", "a/b/c"],
            &["x.oo", "a/c", "a/b/b/c", "b/a/b/c"],
        ),
        (
            "* crosses no slash",
            &["/a*c"],
            &["ac", "abc", "abc/x"],
            &["a/c", "a/b/c"],
        ),
        (
            "? is one character, and no slash",
            &["a?c"],
            &["abc", "x/a c"],
            &["ac", "a/c", "abbc"],
        ),
        (
            "[ ] is one of several",
            &["[a-cx][!0-9]"],
            &["aa", "x-", "b]"],
            &["a0", "dx", "a", "a/"],
        ),
        (
            "[ ] knows classes and escapes",
            &["[[:digit:]\\]-]"],
            &["0", "]", "-"],
            &["a", "[", ":", "\\"],
        ),
        (
            "** at the beginning: in all directories",
            &["**/a/b"],
            &["a/b", "x/a/b", "x/y/a/b/"],
            &["b", "a/x/b", "xa/b"],
        ),
        (
            "** at the end: all below",
            &["a/**"],
            &["a/b", "a/b/c", "a/.b/"],
            &["a/", "a", "b/a/b"],
        ),
        (
            "** between slashes: any number of directories",
            &["a/**/b"],
            &["a/b", "a/x/b", "a/x/y/b"],
            &["ab", "a/xb", "x/a/b"],
        ),
        (
            "** elsewhere is a *",
            &["/a**b"],
            &["ab", "axb"],
            &["a/b", "a/x/b"],
        ),
        (
            "the last line that matches decides",
            &["*.o", "!keep.o", "/a/keep.o"],
            &["x.o", "a/keep.o"],
            &["keep.o", "b/keep.o"],
        ),
        (
            "a line after a taken back one counts again",
            &["x", "!x", "x"],
            &["x", "a/x"],
            &["y"],
        ),
        (
            "nothing below a directory that is left out can be taken back",
            &["/a/", "!/a/b", "!b"],
            &["a/", "a/b", "a/b/b"],
            &["b", "c/b"],
        ),
        (
            "what is in a directory can be left out and taken back",
            &["/a/*", "!/a/b"],
            &["a/c", "a/d/b"],
            &["a/", "a/b", "a/b/c"],
        ),
        (
            "blanks at the end count only after a backslash",
            &["a ", "b\\ "],
            &["a", "b "],
            &["a ", "b"],
        ),
        (
            "a backslash takes the meaning from what follows",
            &["\\*", "\\!x", "\\#x", "\\[a]"],
            &["*", "!x", "#x", "[a]"],
            &["a", "x"],
        ),
        (
            "# begins no comment",
            &["#recycle"],
            &["#recycle/", "a/#recycle"],
            &["recycle"],
        ),
        (
            "braces and points are characters",
            &["{a,b}", "a.b"],
            &["{a,b}", "a.b"],
            &["a", "b", "axb"],
        ),
        (
            "letters are matched as they are",
            &["A", "é"],
            &["A", "é"],
            &["a", "É"],
        ),
    ] {
        let rules = excluding(exclude);
        for written in left_out {
            assert_eq!(
                said(&rules, written),
                Some(SkipReason::Excluded),
                "{rule}: {written}"
            );
        }
        for written in kept {
            assert_eq!(said(&rules, written), None, "{rule}: {written}");
        }
    }
}

#[test]
fn names_of_any_bytes_are_matched() {
    let rules = excluding(&["*.tmp", "a?b", "c[!x]"]);
    for name in [&b"\xff\n.tmp"[..], b"a\xffb", b"\xe9/a\nb", b"c\x80"] {
        assert_eq!(said(&rules, name), Some(SkipReason::Excluded), "{name:?}");
    }
    assert_eq!(said(&rules, "aéb"), None, "two bytes are no single one");
}

#[test]
fn each_rule_of_include_holds() {
    let rules = including(
        &["*.jpg", "/raw/", "docs/plans"],
        &["thumb.jpg", "/raw/old"],
    );
    for (written, expected) in [
        ("a.jpg", None),
        ("x/y/a.jpg", None),
        ("a.png", Some(SkipReason::NotIncluded)),
        // Directories are walked and made all the same.
        ("x/", None),
        ("x/y/", None),
        ("raw", Some(SkipReason::NotIncluded)),
        ("raw/a.png", None),
        ("raw/x/y/a.png", None),
        ("x/raw/a.png", Some(SkipReason::NotIncluded)),
        ("docs/plans", None),
        ("docs/plans/x/y", None),
        ("docs/x", Some(SkipReason::NotIncluded)),
        // A directory whose name matches.
        ("holiday.jpg/a.png", None),
        // Exclude comes first.
        ("x/thumb.jpg", Some(SkipReason::Excluded)),
        ("raw/old/", Some(SkipReason::Excluded)),
        ("raw/old/a.jpg", Some(SkipReason::Excluded)),
    ] {
        assert_eq!(said(&rules, written), expected, "{written}");
    }
}

#[test]
fn what_a_directory_means_for_what_is_in_it_comes_from_all_above_it() {
    let rules = including(&["/a/b"], &["out"]);
    for (directory, expected) in [
        ("", Above::Kept),
        ("a", Above::Kept),
        ("a/b", Above::Included),
        ("a/b/c/d", Above::Included),
        ("out", Above::LeftOut),
        ("a/b/out/c", Above::LeftOut),
    ] {
        assert_eq!(rules.above(&path(directory)), expected, "{directory}");
    }
    let none = Rules::compile(&Filter::default()).unwrap();
    assert!(!none.has_patterns() && !none.has_limits() && !none.is_one_file_system());
    assert_eq!(none.above(&path("a/b")), Above::Included);
    assert_eq!(said(&none, "a/b"), None);
}

#[test]
fn limits_hold_for_what_is_beyond_them() {
    let rules = Rules::compile(&Filter {
        min_size_bytes: Some(10),
        max_size_bytes: Some(20),
        min_age_secs: Some(60),
        max_age_secs: Some(600),
        ..Filter::default()
    })
    .unwrap();
    let (size, age) = (Some(SkipReason::Size), Some(SkipReason::Age));
    for (bytes, age_secs, expected) in [
        (10, 60, None),
        (20, 600, None),
        (9, 60, size),
        (21, 60, size),
        (15, 59, age),
        (15, 601, age),
        (9, 0, size),
        // Of the future.
        (15, -1000, age),
    ] {
        let now_secs = 1_700_000_000;
        let said = rules.skips_file(Some(bytes), Some(now_secs - age_secs), now_secs);
        assert_eq!(said, expected, "{bytes} {age_secs}");
    }
    assert_eq!(rules.skips_file(Some(15), Some(i64::MIN), i64::MAX), age);
    assert_eq!(rules.skips_file(None, None, 0), None);
    let youngest = Filter {
        max_age_secs: Some(0),
        ..Filter::default()
    };
    let youngest = Rules::compile(&youngest).unwrap();
    assert_eq!(youngest.skips_file(Some(0), Some(i64::MAX), 0), None);
}

#[test]
fn what_can_not_be_meant_is_refused_with_its_fault() {
    for (line, fault) in [
        ("", "is empty"),
        ("  ", "is empty"),
        ("/", "is empty"),
        ("!", "is empty"),
        ("a\0", "has a NUL byte"),
        ("./a", "has an empty, '.' or '..' component"),
        ("a//b", "has an empty, '.' or '..' component"),
        ("a//", "has an empty, '.' or '..' component"),
        ("../a", "has an empty, '.' or '..' component"),
        ("a\\", "ends with a backslash"),
        ("a\\/b", "has a backslash before a slash"),
        ("[a", "has a '[' without its ']'"),
        ("[]", "has a '[' without its ']'"),
        ("[a\\]", "has a '[' without its ']'"),
        ("[[:word:]]", "has an unknown class"),
        ("[z-a]", "has a range that ends before it begins"),
        ("[é]", "has a character beyond ASCII within [ ]"),
    ] {
        let exclude = lines(&["good", line]);
        let error = Rules::compile(&Filter {
            exclude,
            ..Filter::default()
        })
        .unwrap_err();
        let shown = crate::error_chain(&error);
        assert!(
            shown.starts_with("exclude: the pattern '"),
            "{line}: {shown}"
        );
        assert!(shown.contains(fault), "{line}: {shown}");
    }
    let include = lines(&["a", "!b"]);
    let error = Rules::compile(&Filter {
        include,
        ..Filter::default()
    })
    .unwrap_err();
    let shown = crate::error_chain(&error);
    assert!(
        shown.starts_with("include: the pattern '!b' begins with '!'"),
        "{shown}"
    );
    let sizes = Filter {
        min_size_bytes: Some(2),
        max_size_bytes: Some(1),
        ..Filter::default()
    };
    assert_eq!(Rules::compile(&sizes).unwrap_err(), BadFilter::Sizes);
    let ages = Filter {
        min_age_secs: Some(2),
        max_age_secs: Some(1),
        ..Filter::default()
    };
    assert_eq!(Rules::compile(&ages).unwrap_err(), BadFilter::Ages);
}

#[test]
fn a_file_of_patterns_has_comments_and_blank_lines() {
    let text = "\u{feff}# of the old system\r\n\r\n.snapshot\r\n  \n\\#x\n !a \n!b";
    assert_eq!(lines_of_file(text), [".snapshot", "\\#x", " !a ", "!b"]);
}

#[test]
fn thousands_of_patterns_are_no_trouble() {
    let exclude: Vec<String> = (0..4000)
        .map(|n| format!("/project-{n}/**/cache-*/"))
        .collect();
    let rules = Rules::compile(&Filter {
        exclude,
        ..Filter::default()
    })
    .unwrap();
    assert_eq!(
        said(&rules, "project-3999/a/cache-1/x"),
        Some(SkipReason::Excluded)
    );
    assert_eq!(said(&rules, "project-4000/a/cache-1/x"), None);
}
