//! Names that break programs: each is a legal name on Linux.

use crate::random::Random;

/// What Linux lets a name have.
pub(super) const LONGEST_NAME_BYTES: usize = 255;

/// A name of any bytes: short, long, or as long as it may be.
pub(super) fn random_name(random: &mut Random, longest_bytes: usize) -> Vec<u8> {
    let longest = longest_bytes as u64;
    let length = match random.below(4) {
        0 => longest,
        1 => random.within(&(1..=longest)),
        _ => random.within(&(1..=12)),
    };
    let mut name = vec![0; length as usize];
    random.fill(&mut name);
    for byte in &mut name {
        if matches!(*byte, 0 | b'/') {
            *byte = b'_';
        }
    }
    // The directory itself and the one above.
    if matches!(name.as_slice(), b"." | b"..") {
        name.push(b'_');
    }
    name
}

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

    use crate::random::Random;

    fn assert_legal(name: &[u8]) {
        assert!((1..=super::LONGEST_NAME_BYTES).contains(&name.len()));
        assert!(!name.contains(&b'/') && !name.contains(&0));
        assert!(!matches!(name, b"." | b".."));
        assert!(!crate::leftovers::is_temp_name(name));
    }

    #[test]
    fn drawn_ones_are_legal_of_any_bytes_and_length() {
        let mut random = Random::new(1);
        let names: Vec<_> = (0..10_000)
            .map(|_| super::random_name(&mut random, 255))
            .collect();
        names.iter().for_each(|name| assert_legal(name));
        let bytes: HashSet<u8> = names.iter().flatten().copied().collect();
        assert_eq!(bytes.len(), 254);
        let lengths: HashSet<usize> = names.iter().map(Vec::len).collect();
        assert!(lengths.contains(&1) && lengths.contains(&255) && lengths.len() > 200);
    }

    #[test]
    fn they_are_legal_and_differ() {
        let names = super::odd_names();
        for name in &names {
            assert_legal(name);
        }
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
    }
}
