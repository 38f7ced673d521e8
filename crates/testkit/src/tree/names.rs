//! Names that break programs: each is a legal name on Linux.

/// One name for each known trap. All fit into one directory.
pub fn odd_names() -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = [
        "line\nbreak",
        "\n",
        "carriage\rreturn",
        "tab\tand\x1b[31mescape",
        " leading space",
        "trailing spaces  ",
        " ",
        "-rf",
        "--delete",
        ":colon",
        "#comment",
        ";semicolon",
        "remote:x",
        "C:\\windows",
        "it's",
        "\"quoted\"",
        "'single'",
        "$HOME",
        "$(touch x)",
        "`touch x`",
        "back\\slash",
        "trailing\\",
        "* ? [a-z] {b,c}",
        "**",
        "[",
        "%s%n",
        "a,b;c|d&e<f>g",
        "~",
        "...",
        "..hidden",
        ".dm.x",
        ".dm.1.2.3.4",
        ".dm.00000000000000AB.00000000000000ab.1.0",
        ".dm.00000000000000ab.marker.old",
        ".partial~",
        "+ rule",
        "- rule",
        "caf\u{e9}",
        "cafe\u{301}",
        "Case",
        "case",
        "\u{202e}gnp.exe",
        "\u{1f600}",
        "NUL",
        "con.txt",
        "name.",
    ]
    .map(|name| name.as_bytes().to_vec())
    .to_vec();
    names.extend([
        b"\xff\xfe".to_vec(),
        b"latin1-\xe9".to_vec(),
        b"cut utf-8 \xe2\x82".to_vec(),
        b"\x01\x02\x7f".to_vec(),
        // With any suffix they are too long.
        vec![b'n'; 255],
        [".dm.".as_bytes(), &[b'x'; 251]].concat(),
        "\u{20ac}".repeat(85).into_bytes(),
    ]);
    names
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    #[test]
    fn they_are_legal_and_differ() {
        let names = super::odd_names();
        for name in &names {
            assert!((1..=255).contains(&name.len()));
            assert!(!name.contains(&b'/') && !name.contains(&0));
            assert!(!crate::leftovers::is_temp_name(name));
        }
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
    }
}
