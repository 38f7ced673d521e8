//! Ages as users write them: `90s`, `15m`, `12h`, `30d`, `2w`, and several after one another, `1d12h`.
//!
//! There is no age without a unit, since tools differ in what they take it for, and none in months or years, which
//! are no fixed time.

use std::str::FromStr;

/// An age in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Age(u64);

/// A text that is no age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not {}, or too large", Age::EXPECTED)]
pub struct BadAge;

impl Age {
    pub const EXPECTED: &'static str =
        "whole numbers with their units s, m (minutes), h, d or w, as in 12h or 1d12h";

    pub fn secs(self) -> u64 {
        self.0
    }
}

impl FromStr for Age {
    type Err = BadAge;

    fn from_str(text: &str) -> Result<Self, BadAge> {
        let mut rest = text.trim();
        let mut secs: u64 = 0;
        if rest.is_empty() {
            return Err(BadAge);
        }
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, unit) = rest.split_at(digits);
            let number: u64 = number.parse().map_err(|_| BadAge)?;
            let unit_secs = match unit.trim_start().bytes().next() {
                Some(b's') => 1,
                Some(b'm') => 60,
                Some(b'h') => 60 * 60,
                Some(b'd') => 24 * 60 * 60,
                Some(b'w') => 7 * 24 * 60 * 60,
                _ => return Err(BadAge),
            };
            secs = number
                .checked_mul(unit_secs)
                .and_then(|more| secs.checked_add(more))
                .ok_or(BadAge)?;
            rest = unit.trim_start()[1..].trim_start();
        }
        Ok(Self(secs))
    }
}

#[cfg(test)]
mod tests {
    use super::{Age, BadAge};

    #[test]
    fn ages_are_sums_of_their_parts() {
        for (text, secs) in [
            ("0s", 0),
            ("90s", 90),
            ("15m", 900),
            ("12h", 43_200),
            ("30d", 2_592_000),
            ("2w", 1_209_600),
            ("1d12h", 129_600),
            (" 1h 30 m ", 5_400),
        ] {
            assert_eq!(text.parse::<Age>().map(Age::secs), Ok(secs), "{text}");
        }
    }

    #[test]
    fn what_is_no_age_is_refused() {
        for text in [
            "",
            "0",
            "90",
            "d",
            "1d12",
            "-1d",
            "1.5h",
            "3M",
            "1y",
            "10ms",
            "1 é",
            "99999999999999999999s",
            "18446744073709551615w",
            "18446744073709551615s1s",
        ] {
            assert_eq!(text.parse::<Age>(), Err(BadAge), "{text}");
        }
    }
}
