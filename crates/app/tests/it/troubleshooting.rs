//! docs/troubleshooting.md and docs/results.md quote messages as the programs write them.

use std::path::{Path, PathBuf};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All sources of the programs, each string as it is at run time as far as a reader of text can tell: strings that go on
/// in the next line are joined.
fn sources() -> String {
    let mut all = String::new();
    let mut waiting: Vec<PathBuf> = [
        "app",
        "coordinator",
        "model",
        "storage",
        "transfer",
        "worker",
    ]
    .map(|name| workspace().join("crates").join(name).join("src"))
    .into();
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(path.read_dir().unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|end| end == "rs") {
            all += &std::fs::read_to_string(&path).unwrap();
        }
    }
    let mut joined = String::with_capacity(all.len());
    for (n, part) in all.split("\\\n").enumerate() {
        joined += if n == 0 { part } else { part.trim_start() };
    }
    joined
}

/// The fixed parts of a quoted message: what stands between the marks for what differs.
fn fixed_parts(message: &str) -> Vec<&str> {
    let parts = message.split(['…', '`']).map(str::trim);
    // A few letters are found anywhere.
    parts.filter(|part| part.len() > 5).collect()
}

#[test]
fn each_message_that_is_explained_is_one_of_the_programs() {
    let sources = sources();
    let text = std::fs::read_to_string(workspace().join("docs/troubleshooting.md")).unwrap();
    let (mut quoted, mut unknown) = (0, Vec::new());
    for bold in text.split("**`").skip(1) {
        let (message, _) = bold.split_once("`**").expect("`** ends a message");
        for part in fixed_parts(message) {
            quoted += 1;
            if !sources.contains(part) {
                unknown.push((part, message));
            }
        }
    }
    assert!(
        unknown.is_empty(),
        "no source has these parts of these messages: {unknown:#?}"
    );
    assert!(quoted > 70, "only {quoted} parts of messages were found");
}

#[test]
fn the_messages_of_results_are_those_of_the_programs() {
    let sources = sources();
    let text = std::fs::read_to_string(workspace().join("docs/results.md")).unwrap();
    let (_, messages) = text.split_once("## Messages").unwrap();
    let mut rows = 0;
    for line in messages.lines().filter(|line| line.starts_with("| `")) {
        let message = line.split('`').nth(1).unwrap();
        let words = [
            "PATH",
            "ERROR",
            " N ",
            "N files",
            "1 file",
            "…",
            "(ext4, xfs)",
        ];
        let fixed = words
            .iter()
            .fold(message.to_owned(), |text, word| text.replace(word, "`"));
        for part in fixed_parts(&fixed) {
            assert!(
                sources.contains(part),
                "no source has {part:?} of {message:?}"
            );
        }
        rows += 1;
    }
    assert!(rows >= 8, "only {rows} messages were found");
}
