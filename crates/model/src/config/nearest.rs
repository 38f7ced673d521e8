//! The known word that a user most likely meant.

/// The nearest of `known`; `None` when nothing is near enough to be worth naming.
pub(crate) fn nearest<'a>(written: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = |word: &str| -> String {
        word.chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_lowercase())
            .collect()
    };
    let meant = plain(&written.chars().take(100).collect::<String>());
    known
        .iter()
        .map(|&word| (strsim::damerau_levenshtein(&meant, &plain(word)), word))
        .filter(|&(distance, word)| distance * 3 <= word.len().max(3))
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_typo_finds_its_word() {
        let known = ["tasks_file", "transfers", "skipSSLverify"];
        for (written, expected) in [
            ("task_file", Some("tasks_file")),
            ("tasksFile", Some("tasks_file")),
            ("trasnfers", Some("transfers")),
            ("skip_ssl_verify", Some("skipSSLverify")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(written, &known), expected, "{written}");
        }
    }
}
