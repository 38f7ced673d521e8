//! How locations name remotes: `name:path`, alone or in the lists of a config file.
//!
//! Written as `fs/fspath/path.go` of rclone reads them; lists as its `SpaceSepList`, which is one
//! record of comma-separated values with blanks for commas.

/// The name in `name:path` or `name,option=value:path`. `None` for a path, and for
/// `:backend:path`, which needs no configured remote.
pub(crate) fn remote_name(location: &str) -> Option<&str> {
    let is_word = |c: char| c.is_alphanumeric() || "_.+@".contains(c);
    let name = &location[..location.find([':', ','])?];
    let is_name = name.starts_with(is_word) && name.chars().all(|c| is_word(c) || " -".contains(c));
    // Without the colon that ends its options, it's the path of a file.
    (is_name && location.contains(':')).then_some(name)
}

/// The values between blanks; one with blanks in it stands in double quotes, and a double quote
/// in that is doubled.
pub(crate) fn split_list(list: &str) -> Vec<String> {
    let mut values = Vec::new();
    let mut rest = list.trim_start();
    while !rest.is_empty() {
        let (value, after) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted),
            None => {
                let end = rest.find(' ').unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        values.push(value);
        rest = after.trim_start();
    }
    values
}

/// What stands before the closing quote, and what follows it.
fn unquote(quoted: &str) -> (String, &str) {
    let mut value = String::new();
    let mut rest = quoted;
    while let Some((before, after)) = rest.split_once('"') {
        value.push_str(before);
        let Some(after_second) = after.strip_prefix('"') else {
            return (value, after);
        };
        value.push('"');
        rest = after_second;
    }
    (value + rest, "")
}

#[cfg(test)]
mod tests {
    use super::{remote_name, split_list};

    #[test]
    fn a_remote_is_what_stands_before_the_colon() {
        for (location, name) in [
            ("s3:bucket/a:b", Some("s3")),
            ("s3:", Some("s3")),
            ("my remote-1:x", Some("my remote-1")),
            ("a.b+c@d:x", Some("a.b+c@d")),
            ("größe:x", Some("größe")),
            ("s3,acl=private:x", Some("s3")),
            ("/a:b", None),
            ("a/b:c", None),
            ("a,b", None),
            ("a", None),
            ("", None),
            (":", None),
            (":local:/x", None),
            (":s3,provider=AWS:x", None),
            ("-x:y", None),
            (" x:y", None),
            ("%(base)s:x", None),
        ] {
            assert_eq!(remote_name(location), name, "{location:?}");
        }
    }

    #[test]
    fn a_list_is_split_at_blanks_outside_quotes() {
        for (list, values) in [
            ("", &[][..]),
            ("a:", &["a:"]),
            ("a:x  b:y:ro ", &["a:x", "b:y:ro"]),
            ("\"a:x y:ro\" b:", &["a:x y:ro", "b:"]),
            ("\"d=a:x y\" e=b:", &["d=a:x y", "e=b:"]),
            ("\"a:\"\"x\"\"\" b:", &["a:\"x\"", "b:"]),
            ("\"a:x", &["a:x"]),
        ] {
            assert_eq!(split_list(list), values, "{list:?}");
        }
    }
}
