//! `[…]` in a pattern: single bytes, ranges and named classes, negated by `!` or `^`; never a slash.

use std::fmt::Write;

use super::pattern::PatternProblem;

const NAMES: [&str; 12] = [
    "alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "xdigit",
];

/// Adds the class that begins after a `[` to a regular expression; returns what stands after its `]`.
pub(crate) fn translate<'a>(
    text: &'a str,
    expression: &mut String,
) -> Result<&'a str, PatternProblem> {
    let (is_negated, mut rest) = match text.strip_prefix(['!', '^']) {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    expression.push_str(if is_negated { "[^/" } else { "[" });
    // The last single character, from which a range may go on.
    let mut last = None;
    let mut is_first = true;
    loop {
        if let Some(after) = rest.strip_prefix(']')
            && !is_first
        {
            expression.push_str(if is_negated { "]" } else { "&&[^/]]" });
            return Ok(after);
        }
        is_first = false;
        if let Some((name, after)) = named(rest) {
            if !NAMES.contains(&name) {
                return Err(PatternProblem::UnknownClass);
            }
            let _ = write!(expression, "[:{name}:]");
            (last, rest) = (None, after);
            continue;
        }
        if let (Some(from), Some(after)) = (last, rest.strip_prefix('-'))
            && !after.starts_with(']')
        {
            let (to, after) = single(after)?;
            if to < from {
                return Err(PatternProblem::ReversedRange);
            }
            let _ = write!(expression, "\\x{from:02x}-\\x{to:02x}");
            (last, rest) = (None, after);
            continue;
        }
        let (byte, after) = single(rest)?;
        let _ = write!(expression, "\\x{byte:02x}");
        (last, rest) = (Some(byte), after);
    }
}

/// `[:name:]`; what only begins like it is made of single characters.
fn named(text: &str) -> Option<(&str, &str)> {
    let (name, after) = text.strip_prefix("[:")?.split_once(']')?;
    Some((name.strip_suffix(':')?, after))
}

fn single(text: &str) -> Result<(u8, &str), PatternProblem> {
    let text = text.strip_prefix('\\').unwrap_or(text);
    let first = text.chars().next().ok_or(PatternProblem::UnclosedClass)?;
    let byte = u8::try_from(first).ok().filter(u8::is_ascii);
    let byte = byte.ok_or(PatternProblem::NotAscii)?;
    Ok((byte, &text[1..]))
}
