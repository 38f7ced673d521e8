//! Patterns in a list of paths, matched against the source: `*`, `?`, `[…]` and `{…}` within
//! one component each. What is literally there is never taken for a pattern, and a pattern
//! that matches nothing stays as it is, to be reported as missing.

use globset::{GlobBuilder, GlobMatcher};
use model::file_list::is_pattern;
use model::{FailureClass, RelPath};
use storage::posix::{Dir, Error, Listed};

use crate::engine::{Engine, describe};
use crate::ledger::{Tally, Verdict};
use crate::threads::Scratch;
use crate::watch;

/// Replaces patterns by what they match; the tally has those that can't be matched.
pub(crate) fn expand(
    engine: &Engine,
    paths: Vec<RelPath>,
    scratch: &mut Scratch,
) -> (Vec<RelPath>, Tally) {
    let mut expanded = Vec::with_capacity(paths.len());
    let mut tally = Tally::default();
    for path in paths {
        if !is_pattern(&path) {
            expanded.push(path);
            continue;
        }
        let root = &engine.attempt.source;
        match matches(root, &path, scratch) {
            Ok(found) if found.is_empty() => expanded.push(path),
            Ok(found) => expanded.extend(found),
            Err(error) => {
                tally.counters.listed += 1;
                let class = FailureClass::Unreadable;
                let error = describe(&error);
                tally.count(Verdict::Failed { class, error }, || path);
            }
        }
    }
    (expanded, tally)
}

fn matches(root: &Dir, path: &RelPath, scratch: &mut Scratch) -> Result<Vec<RelPath>, Error> {
    let mut found = vec![RelPath::ROOT];
    for component in path.components() {
        let mut next = Vec::new();
        for directory in found {
            watch::got_on();
            let Some(dir) = root.find_below(directory.components())? else {
                continue;
            };
            if dir.stat(component).is_ok() {
                next.push(directory.join(component));
            } else if let Some(matcher) = matcher(component) {
                while dir.list_chunk(&mut scratch.listing, |name, _| {
                    if matcher.is_match(as_path(name.to_bytes())) {
                        next.push(directory.join(name.to_bytes()));
                    }
                })? == Listed::Chunk
                {
                    watch::got_on();
                }
            }
        }
        found = next;
    }
    Ok(found)
}

/// `None` for what is no well-formed pattern: then it is only a name.
fn matcher(component: &[u8]) -> Option<GlobMatcher> {
    let text = std::str::from_utf8(component).ok()?;
    let glob = GlobBuilder::new(text)
        .literal_separator(true)
        .build()
        .ok()?;
    Some(glob.compile_matcher())
}

fn as_path(name: &[u8]) -> &std::path::Path {
    use std::os::unix::ffi::OsStrExt;
    std::path::Path::new(std::ffi::OsStr::from_bytes(name))
}
