//! Lists of patterns. In YAML a pattern that begins with `*`, `!`, `#` or `[` means something else without quotes:
//! where that leaves an empty entry, it is an error, so that no pattern is lost in silence.

use std::fmt;

use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

use super::read::{Place, Read, Seed};
use crate::filter::check_pattern;

/// Patterns, as a list or, when it is only one, as such. Each is well-formed.
#[derive(Default)]
pub(crate) struct Patterns(pub(crate) Vec<String>);

/// One of them.
struct Pattern(String);

struct PatternsVisitor(Place);
struct PatternVisitor(Place);

impl Read for Patterns {
    fn read<'de, D: Deserializer<'de>>(place: Place, from: D) -> Result<Self, D::Error> {
        from.deserialize_any(PatternsVisitor(place))
    }
}

impl Read for Pattern {
    fn read<'de, D: Deserializer<'de>>(place: Place, from: D) -> Result<Self, D::Error> {
        from.deserialize_str(PatternVisitor(place))
    }
}

impl Visitor<'_> for PatternVisitor {
    type Value = Pattern;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a pattern")
    }

    fn visit_str<E: de::Error>(self, pattern: &str) -> Result<Pattern, E> {
        match check_pattern(pattern) {
            Ok(()) => Ok(Pattern(pattern.to_owned())),
            // The text itself may be meant for another key, and secret.
            Err(problem) => Err(E::custom(format_args!(
                "a pattern of {} {problem}",
                self.0.name
            ))),
        }
    }
}

impl PatternsVisitor {
    fn wrong<E: de::Error>(&self, found: &str) -> E {
        let name = self.0.name;
        E::custom(format_args!(
            "{name} is {found}, expected a list of patterns"
        ))
    }
}

impl<'de> Visitor<'de> for PatternsVisitor {
    type Value = Patterns;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of patterns")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Patterns, A::Error> {
        let mut patterns = Vec::new();
        while let Some(entry) = list.next_element_seed(Seed::<Pattern>::new(self.0))? {
            let Some(Pattern(pattern)) = entry else {
                return Err(de::Error::custom(format_args!(
                    "entry {} of {} is empty, expected a pattern: in quotes, where it begins with ! or #",
                    patterns.len() + 1,
                    self.0.name
                )));
            };
            patterns.push(pattern);
        }
        Ok(Patterns(patterns))
    }

    fn visit_str<E: de::Error>(self, pattern: &str) -> Result<Patterns, E> {
        let Pattern(pattern) = PatternVisitor(self.0).visit_str(pattern)?;
        Ok(Patterns(vec![pattern]))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Patterns, E> {
        Err(self.wrong("true or false"))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Patterns, E> {
        Err(self.wrong("a number"))
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Patterns, E> {
        Err(self.wrong("a number"))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Patterns, E> {
        Err(self.wrong("a number"))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Patterns, A::Error> {
        Err(self.wrong("a section"))
    }
}
