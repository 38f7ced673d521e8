//! Reads `/proc/PID/mountinfo`, see proc_pid_mountinfo(5): fields by blanks, in which blank, tab, line break and
//! backslash are written as three octal digits.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use super::MountPoint;

/// Lines that do not have the documented form are passed over.
pub(super) fn parse(text: &[u8]) -> Vec<MountPoint> {
    text.split(|byte| *byte == b'\n')
        .filter_map(parse_line)
        .collect()
}

fn parse_line(line: &[u8]) -> Option<MountPoint> {
    let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let id = std::str::from_utf8(fields.first()?).ok()?.parse().ok()?;
    let path = unescape(fields.get(4)?);
    // A varying number of optional fields ends with a lone `-`.
    let dash = fields.iter().skip(6).position(|field| *field == b"-")? + 6;
    let fs_type = String::from_utf8_lossy(fields.get(dash + 1)?).into_owned();
    Some(MountPoint {
        id,
        path: OsString::from_vec(path).into(),
        fs_type,
    })
}

fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        match octal(after) {
            Some(byte) if first == b'\\' => {
                bytes.push(byte);
                rest = &after[3..];
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    bytes
}

fn octal(digits: &[u8]) -> Option<u8> {
    let three = std::str::from_utf8(digits.get(..3)?).ok()?;
    u8::from_str_radix(three, 8).ok()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn a_line_gives_id_place_and_type() {
        let text = b"36 35 98:0 /mnt1 /mnt\\040two\\134x rw,noatime master:1 shared:2 - ext3 /dev/root rw\nbroken\n";
        let points = super::parse(text);
        assert_eq!(points.len(), 1);
        assert_eq!(points[0].id, 36);
        assert_eq!(points[0].path, Path::new("/mnt two\\x"));
        assert_eq!(points[0].fs_type, "ext3");
    }
}
