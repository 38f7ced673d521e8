//! The values that keys take: texts, secrets, flags, numbers in a range, words of a choice.

use std::fmt;
use std::path::PathBuf;

use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

use super::read::{Place, Read, Seed};
use super::scalar::{FromScalar, Scalar};
use crate::choice::Choice;
use crate::filter::{Age, Size};

/// A key or token. What is shown of it, anywhere, is `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for the one who uses it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl FromScalar for Secret {
    const IS_TEXT: bool = true;

    fn expected() -> String {
        "text".into()
    }

    fn from_scalar(scalar: Scalar) -> Result<Self, Scalar> {
        String::from_scalar(scalar).map(Secret)
    }
}

impl FromScalar for String {
    const IS_TEXT: bool = true;

    fn expected() -> String {
        "text".into()
    }

    fn from_scalar(scalar: Scalar) -> Result<Self, Scalar> {
        match scalar {
            Scalar::Text(text) => Ok(text),
            other => Err(other),
        }
    }
}

impl FromScalar for PathBuf {
    const IS_TEXT: bool = true;

    fn expected() -> String {
        "a path".into()
    }

    fn from_scalar(scalar: Scalar) -> Result<Self, Scalar> {
        match scalar {
            Scalar::Text(text) if !text.contains('\0') => Ok(PathBuf::from(text)),
            other => Err(other),
        }
    }
}

impl FromScalar for Size {
    const IS_TEXT: bool = true;

    fn expected() -> String {
        Size::EXPECTED.into()
    }

    fn from_scalar(scalar: Scalar) -> Result<Self, Scalar> {
        match &scalar {
            Scalar::Text(text) => text.parse().map_err(|_| scalar),
            Scalar::Number(number) => number.to_string().parse().map_err(|_| scalar),
            Scalar::Flag(_) | Scalar::Fraction => Err(scalar),
        }
    }
}

impl FromScalar for Age {
    const IS_TEXT: bool = true;

    fn expected() -> String {
        Age::EXPECTED.into()
    }

    fn from_scalar(scalar: Scalar) -> Result<Self, Scalar> {
        match &scalar {
            Scalar::Text(text) => text.parse().map_err(|_| scalar),
            Scalar::Flag(_) | Scalar::Number(_) | Scalar::Fraction => Err(scalar),
        }
    }
}

impl FromScalar for bool {
    fn expected() -> String {
        "true or false".into()
    }

    fn from_scalar(scalar: Scalar) -> Result<Self, Scalar> {
        match scalar {
            Scalar::Flag(flag) => Ok(flag),
            other => Err(other),
        }
    }
}

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy)]
pub(crate) struct Number<const MIN: i64, const MAX: i64>(i64);

impl<const MIN: i64, const MAX: i64> Number<MIN, MAX> {
    pub(crate) fn get(self) -> i64 {
        self.0
    }

    /// The number in a type that holds the whole range, which is the caller's to know.
    pub(crate) fn to<T: TryFrom<i64>>(self) -> T {
        T::try_from(self.0)
            .ok()
            .expect("the declared range fits its type")
    }
}

impl<const MIN: i64, const MAX: i64> FromScalar for Number<MIN, MAX> {
    fn expected() -> String {
        match (MIN, MAX) {
            (i64::MIN, _) => "a whole number".into(),
            _ => format!("a whole number from {MIN} to {MAX}"),
        }
    }

    fn from_scalar(scalar: Scalar) -> Result<Self, Scalar> {
        match scalar {
            Scalar::Number(number) => i64::try_from(number)
                .ok()
                .filter(|number| (MIN..=MAX).contains(number))
                .map(Self)
                .ok_or(Scalar::Number(number)),
            other => Err(other),
        }
    }
}

/// Reads a [`Choice`].
pub(crate) struct OneOf<T>(pub(crate) T);

impl<T: Choice> FromScalar for OneOf<T> {
    const IS_TEXT: bool = true;
    const IS_SHOWN: bool = true;

    fn expected() -> String {
        T::expected()
    }

    fn from_scalar(scalar: Scalar) -> Result<Self, Scalar> {
        let Scalar::Text(text) = &scalar else {
            return Err(scalar);
        };
        T::from_word(text).map(Self).ok_or(scalar)
    }
}

/// Names, written as a list or, when it is only one, as such.
#[derive(Default)]
pub(crate) struct Names(pub(crate) Vec<String>);

struct NamesVisitor(Place);

impl NamesVisitor {
    fn wrong<E: de::Error>(&self, found: &str) -> E {
        E::custom(format_args!(
            "{} is {found}, expected a list of names",
            self.0.name
        ))
    }
}

impl Read for Names {
    fn read<'de, D: Deserializer<'de>>(place: Place, from: D) -> Result<Self, D::Error> {
        from.deserialize_any(NamesVisitor(place))
    }
}

impl<'de> Visitor<'de> for NamesVisitor {
    type Value = Names;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of names")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Names, A::Error> {
        let mut names = Vec::new();
        while let Some(name) = list.next_element_seed(Seed::<String>::new(self.0))? {
            names.extend(name.filter(|name| !name.trim().is_empty()));
        }
        Ok(Names(names))
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Names, E> {
        Ok(Names(match name.trim() {
            "" => Vec::new(),
            name => vec![name.to_owned()],
        }))
    }

    /// A magic number.
    fn visit_u64<E: de::Error>(self, magic: u64) -> Result<Names, E> {
        Ok(Names(vec![format!("{magic:#x}")]))
    }

    fn visit_i64<E: de::Error>(self, magic: i64) -> Result<Names, E> {
        match u64::try_from(magic) {
            Ok(magic) => self.visit_u64(magic),
            Err(_) => Err(self.wrong("a negative number")),
        }
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Names, E> {
        Err(self.wrong("a fraction"))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Names, E> {
        Err(self.wrong("true or false"))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Names, A::Error> {
        Err(self.wrong("a section"))
    }
}
