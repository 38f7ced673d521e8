//! What is found, a line each on standard output, as text or JSON; and the summary.
//!
//! A path stays on its line whatever it holds. In JSON one that is no UTF-8 has its bytes too, in hexadecimal.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};

use anyhow::Context;
use coordinator::report::human;
use model::RelPath;
use serde::Serialize;
use storage::posix::{Kind, Side};
use transfer::check::{Aspect, Counts, Difference, Found};

use crate::console;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Json,
}

pub(super) struct Lines {
    format: Format,
    /// Whether the live line may be where lines are written.
    in_terminal: bool,
    /// Why nothing more can be written.
    failed: Option<io::Error>,
}

/// Lines can't be written any more.
#[derive(Debug)]
pub(super) struct Closed;

impl Lines {
    pub(super) fn new(format: Format) -> Self {
        Self {
            format,
            in_terminal: io::stdout().is_terminal(),
            failed: None,
        }
    }

    pub(super) fn write(&mut self, found: &Found) -> Result<(), Closed> {
        let line = match self.format {
            Format::Text => text(found),
            Format::Json => json(&Object::of(found)),
        };
        self.write_line(&line)
    }

    /// Writes the summary: as the last object, or on standard error.
    pub(super) fn end(mut self, counts: &Counts) -> anyhow::Result<()> {
        match self.format {
            Format::Text => console::line(&summary(counts)),
            Format::Json => {
                let line = json(&Summary {
                    summary: Numbers::of(counts),
                });
                // Why it can't is told below.
                let _ = self.write_line(&line);
            }
        }
        self.into_result()
    }

    pub(super) fn into_result(self) -> anyhow::Result<()> {
        match self.failed {
            Some(error) => Err(error).context("cannot write to standard output"),
            None => Ok(()),
        }
    }

    fn write_line(&mut self, line: &str) -> Result<(), Closed> {
        if self.failed.is_some() {
            return Err(Closed);
        }
        let write = || writeln!(io::stdout(), "{line}");
        let written = match self.in_terminal {
            true => console::above_live(write),
            false => write(),
        };
        written.map_err(|error| {
            self.failed = Some(error);
            Closed
        })
    }
}

fn text(found: &Found) -> String {
    let mut line = match &found.difference {
        Difference::Missing(kind) => format!("+ {}{}", found.path, slash(*kind)),
        Difference::Extra(kind) => format!("- {}{}", found.path, slash(*kind)),
        Difference::Differs(aspects) => {
            format!("* {} ({})", found.path, names(aspects).join(", "))
        }
        Difference::Unseen(unseen) => {
            let side = side_name(unseen.side);
            format!("! {}: {side}: {}", found.path, unseen.error)
        }
    };
    if found.is_unfinished() {
        line.push_str(" (unfinished)");
    }
    line
}

/// No name has one at its end.
fn slash(kind: Kind) -> &'static str {
    match kind {
        Kind::Directory => "/",
        _ => "",
    }
}

fn names(aspects: &[Aspect]) -> Vec<&'static str> {
    aspects.iter().map(|aspect| aspect.name()).collect()
}

fn side_name(side: Side) -> &'static str {
    match side {
        Side::Source => "source",
        Side::Target => "target",
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Directory => "directory",
        Kind::Symlink => "symlink",
        Kind::Fifo => "fifo",
        Kind::Socket => "socket",
        Kind::CharDevice => "char device",
        Kind::BlockDevice => "block device",
        Kind::Unknown => "unknown",
    }
}

fn summary(counts: &Counts) -> String {
    let skipped = match counts.skipped {
        0 => String::new(),
        n => format!(", {} skipped", human::count(n)),
    };
    format!(
        "{} compared: {} missing, {} extra, {} differ{skipped}, {}, {} read",
        human::counted(counts.compared, "entry", "entries"),
        human::count(counts.missing),
        human::count(counts.extra),
        human::count(counts.differing),
        human::counted(counts.unseen, "error", "errors"),
        human::bytes(counts.read_bytes),
    )
}

#[derive(Serialize)]
struct Object<'a> {
    /// As it is where it is UTF-8, else escaped as in a line of text.
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<String>,
    #[serde(flatten)]
    difference: What<'a>,
}

#[derive(Serialize)]
#[serde(tag = "difference", rename_all = "lowercase")]
enum What<'a> {
    Missing {
        kind: &'static str,
    },
    Extra {
        kind: &'static str,
        unfinished: bool,
    },
    Differs {
        what: Vec<&'static str>,
    },
    Error {
        side: &'static str,
        error: &'a str,
    },
}

#[derive(Serialize)]
struct Summary {
    summary: Numbers,
}

#[derive(Serialize)]
struct Numbers {
    compared: u64,
    missing: u64,
    extra: u64,
    differ: u64,
    skipped: u64,
    errors: u64,
    read_bytes: u64,
}

impl<'a> Object<'a> {
    fn of(found: &'a Found) -> Self {
        let (path, path_bytes) = path_of(&found.path);
        Self {
            path,
            path_bytes,
            difference: match &found.difference {
                Difference::Missing(kind) => What::Missing {
                    kind: kind_name(*kind),
                },
                Difference::Extra(kind) => What::Extra {
                    kind: kind_name(*kind),
                    unfinished: found.is_unfinished(),
                },
                Difference::Differs(aspects) => What::Differs {
                    what: names(aspects),
                },
                Difference::Unseen(unseen) => What::Error {
                    side: side_name(unseen.side),
                    error: &unseen.error,
                },
            },
        }
    }
}

impl Numbers {
    fn of(counts: &Counts) -> Self {
        Self {
            compared: counts.compared,
            missing: counts.missing,
            extra: counts.extra,
            differ: counts.differing,
            skipped: counts.skipped,
            errors: counts.unseen,
            read_bytes: counts.read_bytes,
        }
    }
}

fn path_of(path: &RelPath) -> (String, Option<String>) {
    if path.is_root() {
        return (path.to_string(), None);
    }
    match std::str::from_utf8(path.as_bytes()) {
        Ok(text) => (text.to_owned(), None),
        Err(_) => (path.to_string(), Some(hexadecimal(path.as_bytes()))),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn json(object: &impl Serialize) -> String {
    serde_json::to_string(object).expect("texts and numbers can be written as JSON")
}

#[cfg(test)]
mod tests {
    use model::RelPath;
    use storage::posix::{Kind, Side};
    use transfer::check::{Aspect, Difference, Found, Unseen};

    use super::{Object, json, text};

    fn lines(path: &[u8], difference: Difference) -> (String, String) {
        let path = RelPath::new(path).unwrap();
        let found = Found { path, difference };
        (text(&found), json(&Object::of(&found)))
    }

    #[test]
    fn each_is_one_line_of_text_or_json() {
        for (path, difference, as_text, as_json) in [
            (
                &b"a/b"[..],
                Difference::Missing(Kind::Directory),
                "+ a/b/",
                r#"{"path":"a/b","difference":"missing","kind":"directory"}"#,
            ),
            (
                b"a\nb",
                Difference::Extra(Kind::Fifo),
                r"- a\nb",
                r#"{"path":"a\nb","difference":"extra","kind":"fifo","unfinished":false}"#,
            ),
            (
                b"\xff\\",
                Difference::Differs(vec![Aspect::Size, Aspect::LinkTarget]),
                r"* \xff\\ (size, link target)",
                r#"{"path":"\\xff\\\\","path_bytes":"ff5c","difference":"differs","what":["size","link target"]}"#,
            ),
            (
                b"",
                Difference::Unseen(Unseen {
                    side: Side::Target,
                    error: "cannot list: why".into(),
                }),
                "! .: target: cannot list: why",
                r#"{"path":".","difference":"error","side":"target","error":"cannot list: why"}"#,
            ),
        ] {
            let (text, json) = lines(path, difference);
            assert_eq!(text, as_text);
            assert_eq!(json, as_json);
        }
    }
}
