//! Flags that several commands share. Names, variables and values are those that users of the
//! tool before this one have in their scripts.

use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use model::{Attribute, Choice, Preserve};

/// What is logged, and how.
#[derive(Debug, Clone, Args)]
pub(crate) struct LogFlags {
    /// Log what is done in detail
    #[arg(long, env = "DEBUG", hide_env_values = true, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = boolean, global = true, help_heading = "Logging", value_name = "BOOL", hide_default_value = true)]
    pub(crate) debug: bool,
    /// Log every step
    #[arg(long, env = "TRACE", hide_env_values = true, num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", value_parser = boolean, global = true, help_heading = "Logging", value_name = "BOOL", hide_default_value = true)]
    pub(crate) trace: bool,
    /// How log lines are written
    #[arg(long = "log.format", value_enum, default_value_t = LogFormat::Text, global = true, help_heading = "Logging", value_name = "FORMAT")]
    pub(crate) format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// A value that may be left empty, as manifests do with environment variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Maybe<T>(pub(crate) Option<T>);

/// Parses a value; the empty text is none.
pub(crate) fn maybe<T>(text: &str) -> Result<Maybe<T>, String>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    match text.trim() {
        "" => Ok(Maybe(None)),
        text => text
            .parse()
            .map(Some)
            .map(Maybe)
            .map_err(|e: T::Err| e.to_string()),
    }
}

/// A TCP port; the empty text is none.
pub(crate) fn port(text: &str) -> Result<Maybe<u16>, String> {
    maybe(text).map_err(|_: String| "expected a port from 0 to 65535".to_owned())
}

/// Any whole number; the empty text is none.
pub(crate) fn whole_number(text: &str) -> Result<Maybe<i64>, String> {
    maybe(text).map_err(|_: String| "expected a whole number".to_owned())
}

/// What was given, if it was not empty.
pub(crate) fn given<T>(value: Option<Maybe<T>>) -> Option<T> {
    value.and_then(|maybe| maybe.0)
}

/// As Go reads it, and empty for false.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("expected 1, t, true, 0, f, false or nothing".to_owned()),
    }
}

/// One of the words of a choice.
pub(crate) fn word_of<T: Choice + Send + Sync>() -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(T::WORDS.iter().map(|&(word, _)| word))
        .map(|word| T::from_word(&word).expect("the parser takes only known words"))
}

/// What is kept of an entry, as a list.
pub(crate) fn preserve(list: &str) -> Result<Preserve, String> {
    match list {
        "all" => return Ok(Preserve::ALL),
        "none" => return Ok(Preserve::NOTHING),
        _ => {}
    }
    let attributes: Result<Vec<Attribute>, String> = list
        .split(',')
        .map(|word| {
            let expected = || {
                let expected = Attribute::expected();
                match word.trim() {
                    "all" | "none" => {
                        format!("'{word}' stands alone; a list is of {expected}")
                    }
                    _ => format!("'{word}' is not one of all, none, {expected}"),
                }
            };
            Attribute::from_word(word.trim()).ok_or_else(expected)
        })
        .collect();
    Ok(Preserve::of(attributes?))
}

#[cfg(test)]
mod tests {
    use super::{Maybe, boolean, port};

    #[test]
    fn booleans_are_read_as_go_reads_them() {
        for (text, expected) in [
            ("1", true),
            ("t", true),
            ("True", true),
            ("0", false),
            ("", false),
            ("F", false),
        ] {
            assert_eq!(boolean(text), Ok(expected));
        }
        assert!(boolean("yes").is_err());
    }

    #[test]
    fn an_empty_value_is_none() {
        assert_eq!(port(""), Ok(Maybe(None)));
        assert_eq!(port("7"), Ok(Maybe(Some(7))));
        assert!(port("70000").is_err());
    }
}
