//! How sections and their keys are read from YAML and JSON alike.
//!
//! A section knows its keys: an unknown key, a key given twice and a value of the wrong
//! kind are errors that name the key and what was expected. Null counts as not given.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::error::shown_key;
use super::nearest::nearest;

/// What is being read.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// `section.key`.
    pub(crate) name: &'static str,
    /// JSON tells texts from numbers itself; YAML must be asked for the text.
    pub(crate) is_json: bool,
}

impl Place {
    pub(crate) fn shown(self) -> &'static str {
        match self.name.trim_start_matches('.') {
            "" => "the config",
            name => name,
        }
    }
}

/// A section that is written as such: its name, and its keys.
pub(crate) type Keys = (&'static str, &'static [&'static str]);

/// Something that stands after a key.
pub(crate) trait Read: Sized {
    fn read<'de, D: Deserializer<'de>>(place: Place, from: D) -> Result<Self, D::Error>;

    /// Adds the section that it is, and those in it.
    fn add_keys(_: &mut Vec<Keys>) {}
}

/// Reads the value of one key; null is `None`.
pub(crate) struct Seed<T> {
    pub(crate) place: Place,
    pub(crate) kind: PhantomData<T>,
}

impl<T> Seed<T> {
    pub(crate) fn new(place: Place) -> Self {
        let kind = PhantomData;
        Self { place, kind }
    }
}

impl<'de, T: Read> DeserializeSeed<'de> for Seed<T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Option<T>, D::Error> {
        from.deserialize_option(self)
    }
}

impl<'de, T: Read> Visitor<'de> for Seed<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.place.shown())
    }

    fn visit_none<E>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Option<T>, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Option<T>, D::Error> {
        T::read(self.place, from).map(Some)
    }
}

/// Reads a key of a section, so that the place of an unknown one is known.
struct KeySeed<T>(PhantomData<T>);

impl<'de, T: Section> DeserializeSeed<'de> for KeySeed<T> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<String, D::Error> {
        from.deserialize_str(self)
    }
}

impl<T: Section> Visitor<'_> for KeySeed<T> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<String, E> {
        let is_ignored = T::IGNORED_PREFIX.is_some_and(|prefix| key.starts_with(prefix));
        if is_ignored || T::KEYS.contains(&key) {
            return Ok(key.to_owned());
        }
        let place = match T::NAME {
            "" => "at the top level".to_owned(),
            section => format!("in {section}"),
        };
        let expected = match nearest(key, T::KEYS) {
            Some(meant) => format!("perhaps '{meant}'"),
            None => format!("one of {}", T::KEYS.join(", ")),
        };
        let key = shown_key(key);
        Err(E::custom(format_args!(
            "unknown key '{key}' {place}, expected {expected}"
        )))
    }
}

/// Declares a section: a struct of optional fields, each with the type of its value, and how
/// it is read. After the last key its `check` says what else is wrong.
macro_rules! section {
    ($(#[$doc:meta])* $name:ident in $section:literal $($ignored:literal)? {
        $($key:literal $field:ident: $kind:ty,)*
    }) => {
        $(#[$doc])*
        #[derive(Default)]
        pub(crate) struct $name {
            $(pub(crate) $field: Option<$kind>,)*
        }

        impl $crate::config::read::Read for $name {
            fn read<'de, D: serde::Deserializer<'de>>(
                place: $crate::config::read::Place,
                from: D,
            ) -> Result<Self, D::Error> {
                from.deserialize_any($crate::config::read::SectionVisitor::<Self>::new(place))
            }

            fn add_keys(to: &mut Vec<$crate::config::read::Keys>) {
                use $crate::config::read::Section;
                to.push((Self::NAME, Self::KEYS));
                $(<$kind as $crate::config::read::Read>::add_keys(to);)*
            }
        }

        impl $crate::config::read::Section for $name {
            const NAME: &'static str = $section;
            const KEYS: &'static [&'static str] = &[$($key),*];
            $(const IGNORED_PREFIX: Option<&'static str> = Some($ignored);)?

            fn take<'de, A: serde::de::MapAccess<'de>>(
                &mut self,
                key: &str,
                is_json: bool,
                map: &mut A,
            ) -> Result<(), A::Error> {
                match key {
                    $($key => {
                        let name = concat!($section, ".", $key);
                        let place = $crate::config::read::Place { name, is_json };
                        self.$field = map.next_value_seed($crate::config::read::Seed::new(place))?;
                    })*
                    _ => {
                        map.next_value::<serde::de::IgnoredAny>()?;
                    }
                }
                Ok(())
            }

            fn complaint(&self) -> Option<String> {
                self.check().err()
            }
        }
    };
}

pub(crate) use section;

/// What [`section!`] declares.
pub(crate) trait Section: Default {
    const NAME: &'static str;
    const KEYS: &'static [&'static str];
    /// Keys that begin so are ignored.
    const IGNORED_PREFIX: Option<&'static str> = None;
    /// Reads the value of a key that is known or ignored.
    fn take<'de, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        is_json: bool,
        map: &mut A,
    ) -> Result<(), A::Error>;
    /// What is wrong with the section as a whole.
    fn complaint(&self) -> Option<String>;
}

pub(crate) struct SectionVisitor<T> {
    place: Place,
    kind: PhantomData<T>,
}

impl<T> SectionVisitor<T> {
    pub(crate) fn new(place: Place) -> Self {
        let kind = PhantomData;
        Self { place, kind }
    }

    fn wrong<E: de::Error>(&self, found: &str) -> E {
        let name = self.place.shown();
        E::custom(format_args!("{name} is {found}, expected keys with values"))
    }
}

impl<'de, T: Section> Visitor<'de> for SectionVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("keys with values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut section = T::default();
        let mut seen = std::collections::HashSet::new();
        while let Some(key) = map.next_key_seed(KeySeed::<T>(PhantomData))? {
            section.take(&key, self.place.is_json, &mut map)?;
            let shown = shown_key(&key);
            if !seen.insert(key) {
                return Err(de::Error::custom(format_args!(
                    "the key '{shown}' is given twice, expected each key once"
                )));
            }
        }
        match section.complaint() {
            Some(complaint) => Err(de::Error::custom(complaint)),
            None => Ok(section),
        }
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<T, E> {
        Err(self.wrong("true or false"))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<T, E> {
        Err(self.wrong("a number"))
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<T, E> {
        Err(self.wrong("a number"))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<T, E> {
        Err(self.wrong("a number"))
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<T, E> {
        Err(self.wrong("text"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<T, A::Error> {
        Err(self.wrong("a list"))
    }
}
