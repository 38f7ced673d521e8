//! Sizes as users write them: `4096`, `10M`, `1 GiB`, `2GB`.
//!
//! As with the core utilities: `K`, `M`, `G`, `T`, `P`, also with `iB`, are powers of 1024; with `B` alone powers
//! of 1000. Upper and lower case mean the same.

use std::str::FromStr;

/// A size in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(u64);

/// A text that is no size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not {}, or too large", Size::EXPECTED)]
pub struct BadSize;

impl Size {
    pub const EXPECTED: &'static str =
        "a whole number of bytes, or with K, M, G, T or P (powers of 1024; KB, MB… of 1000)";

    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = BadSize;

    fn from_str(text: &str) -> Result<Self, BadSize> {
        let text = text.trim();
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| BadSize)?;
        let unit = unit.trim_start().to_ascii_lowercase();
        let (letter, base) = match unit.as_bytes() {
            [] | [b'b'] => return Ok(Self(number)),
            [letter] | [letter, b'i', b'b'] => (*letter, 1024_u64),
            [letter, b'b'] => (*letter, 1000),
            _ => return Err(BadSize),
        };
        let power = b"kmgtp".iter().position(|&known| known == letter);
        let power = power.ok_or(BadSize)? as u32 + 1;
        number.checked_mul(base.pow(power)).map(Self).ok_or(BadSize)
    }
}

#[cfg(test)]
mod tests {
    use super::{BadSize, Size};

    #[test]
    fn sizes_are_read_as_the_core_utilities_read_them() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("7b", 7),
            ("1k", 1024),
            ("10M", 10 << 20),
            (" 1 GiB ", 1 << 30),
            ("2GB", 2_000_000_000),
            ("3kb", 3000),
            ("1T", 1 << 40),
            ("16383p", 16383 << 50),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(text.parse::<Size>().map(Size::bytes), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in [
            "",
            "M",
            "-1",
            "+1",
            "1.5G",
            "1 x",
            "1Ki",
            "1bb",
            "1iB",
            "1 k b",
            "16384P",
            "1e3",
            "0x10",
            "18446744073709551616",
        ] {
            assert_eq!(text.parse::<Size>(), Err(BadSize), "{text}");
        }
    }
}
