//! One line of `rclone.conf`, taken as rclone takes it.
//!
//! The format is that of `goconfig` v1.0.0, which rclone uses, read from its `read.go` and tried
//! with rclone 1.60.1 and 1.75.2. A value is one line: there is no continuation, and `#` or `;`
//! begin a comment only at the beginning of a line.

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ConfigLine<'a> {
    /// Blank, or a comment.
    Nothing,
    /// `[name]`.
    Section(&'a str),
    /// `key = value` or `key: value`, without the quotes that both may have.
    Setting { key: &'a str, value: &'a str },
}

impl ConfigLine<'_> {
    /// `None` for a line at which rclone refuses the file.
    pub(crate) fn parse(line: &str) -> Option<ConfigLine<'_>> {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            return Some(ConfigLine::Nothing);
        }
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            let name = name.trim();
            return (!name.is_empty()).then_some(ConfigLine::Section(name));
        }
        let (key, rest) = split_key(line)?;
        let value = unquote_value(rest.trim())?;
        Some(ConfigLine::Setting { key, value })
    }
}

/// The key, and what follows its `=` or `:`.
fn split_key(line: &str) -> Option<(&str, &str)> {
    let Some(quote) = key_quote(line) else {
        let (key, rest) = line.split_once(['=', ':'])?;
        return (!key.is_empty()).then_some((key.trim(), rest));
    };
    let (key, rest) = line[quote.len()..].split_once(quote)?;
    let (_, rest) = rest.split_once(['=', ':'])?;
    Some((key, rest))
}

fn key_quote(line: &str) -> Option<&'static str> {
    if line.len() >= 6 && line.starts_with("\"\"\"") {
        return Some("\"\"\"");
    }
    ["\"", "`"]
        .into_iter()
        .find(|quote| line.starts_with(quote))
}

/// Values know no plain double quotes: these are part of the value.
fn unquote_value(value: &str) -> Option<&str> {
    let quote = if value.len() >= 2 && value.starts_with('`') {
        "`"
    } else if value.len() >= 6 && value.starts_with("\"\"\"") {
        "\"\"\""
    } else {
        return Some(value);
    };
    // What follows the last quote is dropped.
    Some(value[quote.len()..].rsplit_once(quote)?.0)
}

#[cfg(test)]
mod tests {
    use super::ConfigLine::{self, Nothing, Section, Setting};

    #[test]
    fn a_line_is_taken_as_rclone_takes_it() {
        let setting = |key, value| Some(Setting { key, value });
        for (line, taken) in [
            ("", Some(Nothing)),
            ("  # type = s3", Some(Nothing)),
            (";[s3]", Some(Nothing)),
            ("[s3]\r", Some(Section("s3"))),
            (" [ my remote ] ", Some(Section("my remote"))),
            ("type = s3", setting("type", "s3")),
            ("  type=  s3  \r", setting("type", "s3")),
            ("type: s3", setting("type", "s3")),
            (
                "url = http://host:1/?a=b",
                setting("url", "http://host:1/?a=b"),
            ),
            ("pass = a # b ; c", setting("pass", "a # b ; c")),
            ("empty =", setting("empty", "")),
            ("k = \"in quotes\"", setting("k", "\"in quotes\"")),
            ("k = ` spaces `", setting("k", " spaces ")),
            ("k = `a`b` dropped", setting("k", "a`b")),
            ("k = \"\"\"x # y\"\"\"", setting("k", "x # y")),
            ("k = `", setting("k", "`")),
            ("\"a = b\" = c", setting("a = b", "c")),
            ("`a:b`: c", setting("a:b", "c")),
            ("\"\"\"a\"\"\" = c", setting("a", "c")),
            ("[]", None),
            ("[s3] # comment", None),
            ("no value", None),
            ("= value", None),
            ("k = `unclosed", None),
            ("\"k = v", None),
            ("[", None),
        ] {
            assert_eq!(ConfigLine::parse(line), taken, "{line:?}");
        }
    }
}
