//! What was measured, each beside what is wanted.

use std::fmt;

use anyhow::Context as _;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Wanted {
    AtLeast(f64),
    AtMost(f64),
    /// Nothing; it explains another.
    Beside,
}

#[derive(Debug)]
struct Number {
    what: String,
    value: f64,
    unit: &'static str,
    wanted: Wanted,
}

impl Number {
    fn is_reached(&self) -> bool {
        match self.wanted {
            Wanted::AtLeast(least) => self.value >= least,
            Wanted::AtMost(most) => self.value <= most,
            Wanted::Beside => true,
        }
    }
}

/// In the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    all: Vec<Number>,
}

impl Numbers {
    /// Keeps the number, and shows it at once: the next takes its time.
    pub(crate) fn add(&mut self, what: &str, value: f64, unit: &'static str, wanted: Wanted) {
        let number = Number {
            what: what.to_owned(),
            value,
            unit,
            wanted,
        };
        eprintln!("scale: {}", number.to_string().trim());
        self.all.push(number);
    }

    pub(crate) fn are_reached(&self) -> bool {
        self.all.iter().all(Number::is_reached)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = match self.value {
            value if value >= 100.0 => format!("{value:.0}"),
            value => format!("{value:.2}"),
        };
        let wanted = match (self.wanted, self.is_reached()) {
            (Wanted::Beside, _) => String::new(),
            (Wanted::AtLeast(least), true) => format!("reached (at least {least})"),
            (Wanted::AtLeast(least), false) => format!("NOT REACHED (at least {least})"),
            (Wanted::AtMost(most), true) => format!("reached (at most {most})"),
            (Wanted::AtMost(most), false) => format!("NOT REACHED (at most {most})"),
        };
        write!(f, "{:<58} {value:>10} {:<9} {wanted}", self.what, self.unit)
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for number in &self.all {
            writeln!(f, "{}", number.to_string().trim_end())?;
        }
        Ok(())
    }
}

/// A whole number of the environment.
pub(crate) fn number(variable: &str, default: u64) -> anyhow::Result<u64> {
    match std::env::var(variable) {
        Ok(text) => text
            .parse()
            .with_context(|| format!("{variable}={text} is no whole number")),
        Err(_) => Ok(default),
    }
}

#[cfg(test)]
mod tests {
    use super::{Numbers, Wanted};

    #[test]
    fn one_number_that_is_not_reached_counts() {
        let mut numbers = Numbers::default();
        numbers.add("rate", 3_000.0, "items/s", Wanted::AtLeast(3_000.0));
        numbers.add("syncs", 0.0, "/s", Wanted::Beside);
        assert!(numbers.are_reached());
        numbers.add("p99", 50.1, "ms", Wanted::AtMost(50.0));
        assert!(!numbers.are_reached());
        assert_eq!(numbers.to_string().matches("NOT REACHED").count(), 1);
    }
}
