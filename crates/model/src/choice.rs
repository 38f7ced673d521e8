//! Closed choices: the words by which users, and the programs among themselves, name the values of an enum.

/// An enum that is written as one of some words.
pub trait Choice: Sized + Copy + PartialEq + 'static {
    /// Each value with its word; a value may have several, of which the first is its name.
    const WORDS: &'static [(&'static str, Self)];

    /// The word for it.
    fn word(self) -> &'static str {
        let named = Self::WORDS.iter().find(|(_, value)| *value == self);
        named.map_or("", |(word, _)| word)
    }

    /// Reads a word, in any case.
    fn from_word(word: &str) -> Option<Self> {
        let named = Self::WORDS
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(word));
        named.map(|&(_, value)| value)
    }

    /// `a, b or c`, for messages.
    fn expected() -> String {
        let words: Vec<&str> = Self::WORDS.iter().map(|&(word, _)| word).collect();
        match words.split_last() {
            Some((last, [])) => (*last).to_owned(),
            Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
            None => String::new(),
        }
    }
}
