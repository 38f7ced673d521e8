//! Lists of sections and of words. An entry that is wrong is told with its own place.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

use super::read::{Keys, Place, Read, Seed};

/// Sections, one after another; empty entries are left out.
pub(crate) struct List<T>(pub(crate) Vec<T>);

/// Words of a closed choice, as a list.
pub(crate) struct Several<T>(pub(crate) Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

struct ListVisitor<T> {
    place: Place,
    expected: &'static str,
    kind: PhantomData<T>,
}

impl<T: Read> ListVisitor<T> {
    fn new(place: Place, expected: &'static str) -> Self {
        let kind = PhantomData;
        Self {
            place,
            expected,
            kind,
        }
    }

    fn wrong<E: de::Error>(&self, found: &str) -> E {
        let name = self.place.shown();
        E::custom(format_args!(
            "{name} is {found}, expected {}",
            self.expected
        ))
    }
}

impl<T: Read> Read for List<T> {
    fn read<'de, D: Deserializer<'de>>(place: Place, from: D) -> Result<Self, D::Error> {
        let visitor = ListVisitor::new(place, "a list, each entry after a '-'");
        from.deserialize_any(visitor).map(Self)
    }

    fn add_keys(to: &mut Vec<Keys>) {
        T::add_keys(to);
    }
}

impl<T: Read> Read for Several<T> {
    fn read<'de, D: Deserializer<'de>>(place: Place, from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ListVisitor::new(place, "a list of words"))
            .map(Self)
    }
}

impl<'de, T: Read> Visitor<'de> for ListVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = list.next_element_seed(Seed::new(self.place))? {
            entries.extend(entry);
        }
        Ok(entries)
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Vec<T>, A::Error> {
        Err(self.wrong("a section"))
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<Vec<T>, E> {
        Err(self.wrong("text"))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Vec<T>, E> {
        Err(self.wrong("true or false"))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Vec<T>, E> {
        Err(self.wrong("a number"))
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Vec<T>, E> {
        Err(self.wrong("a number"))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Vec<T>, E> {
        Err(self.wrong("a number"))
    }
}
