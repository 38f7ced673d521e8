//! How one value is read from YAML and JSON alike.
//!
//! Texts are taken as written: `0123` or `1e5` where YAML means a text does not become a number.
//! A value of the wrong kind is told by its kind; its text is shown only where it is no secret.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

use super::error::shown_key;
use super::read::{Place, Read};

/// A scalar as the parser understood it.
pub(crate) enum Scalar {
    Flag(bool),
    Number(i128),
    Fraction,
    Text(String),
}

/// Something that is written as one scalar.
pub(crate) trait FromScalar: Sized {
    /// Ends an error message: `expected …`.
    fn expected() -> String;
    /// The scalar back when it is not acceptable.
    fn from_scalar(scalar: Scalar) -> Result<Self, Scalar>;
    /// Whether the parser is to be asked for the text as written.
    const IS_TEXT: bool = false;
    /// Whether a refused text may be shown.
    const IS_SHOWN: bool = false;
}

struct ScalarVisitor<T> {
    place: Place,
    kind: PhantomData<T>,
}

impl<T: FromScalar> ScalarVisitor<T> {
    fn take<E: de::Error>(self, scalar: Scalar) -> Result<T, E> {
        T::from_scalar(scalar).map_err(|refused| {
            let found = match refused {
                Scalar::Flag(_) if T::IS_TEXT && !T::IS_SHOWN => "true or false".to_owned(),
                Scalar::Flag(flag) => flag.to_string(),
                Scalar::Number(_) if T::IS_TEXT => "a number".to_owned(),
                Scalar::Number(number) => number.to_string(),
                Scalar::Fraction => "a fraction".to_owned(),
                Scalar::Text(text) if T::IS_SHOWN => format!("'{}'", shown_key(&text)),
                Scalar::Text(_) => "text".to_owned(),
            };
            self.wrong(&found)
        })
    }

    fn wrong<E: de::Error>(&self, found: &str) -> E {
        E::custom(format_args!(
            "{} is {found}, expected {}",
            self.place.shown(),
            T::expected()
        ))
    }
}

impl<'de, T: FromScalar> Visitor<'de> for ScalarVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&T::expected())
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<T, E> {
        self.take(Scalar::Flag(flag))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        self.take(Scalar::Number(number.into()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        self.take(Scalar::Number(number.into()))
    }

    fn visit_i128<E: de::Error>(self, number: i128) -> Result<T, E> {
        self.take(Scalar::Number(number))
    }

    fn visit_u128<E: de::Error>(self, _: u128) -> Result<T, E> {
        self.take(Scalar::Number(i128::MAX))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<T, E> {
        self.take(Scalar::Fraction)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        self.take(Scalar::Text(text.to_owned()))
    }

    fn visit_bytes<E: de::Error>(self, _: &[u8]) -> Result<T, E> {
        Err(self.wrong("binary"))
    }

    fn visit_unit<E: de::Error>(self) -> Result<T, E> {
        Err(self.wrong("empty"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<T, A::Error> {
        Err(self.wrong("a list"))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<T, A::Error> {
        Err(self.wrong("a section"))
    }
}

impl<T: FromScalar> Read for T {
    fn read<'de, D: Deserializer<'de>>(place: Place, from: D) -> Result<T, D::Error> {
        let kind = PhantomData;
        if T::IS_TEXT && !place.is_json {
            from.deserialize_str(ScalarVisitor { place, kind })
        } else {
            from.deserialize_any(ScalarVisitor { place, kind })
        }
    }
}
