//! A source or target as rclone is told of it.

use std::ffi::OsString;
use std::path::Path;

use storage::posix::Dir;

/// One end of a copy.
#[derive(Debug, Clone, Copy)]
pub enum End<'a> {
    /// A directory of a mounted file system, held open; rclone gets it by its descriptor, so that it is this
    /// one and no other, whatever its path leads to meanwhile, and only while this process lives.
    Mounted { dir: &'a Dir, path: &'a Path },
    /// In a dry run: a target that is not there.
    Imagined { path: &'a Path },
    /// `name:path`.
    Remote(&'a str),
}

impl End<'_> {
    pub(crate) fn argument(&self) -> OsString {
        match self {
            End::Mounted { dir, .. } => dir.path_by_descriptor().into(),
            End::Imagined { path } => path.into(),
            End::Remote(remote) => remote.into(),
        }
    }

    pub(crate) fn is_by_descriptor(&self) -> bool {
        matches!(self, End::Mounted { .. })
    }

    /// Writes the path that the user knows where rclone wrote the descriptor's.
    pub(crate) fn for_people(&self, text: String) -> String {
        let End::Mounted { dir, path } = self else {
            return text;
        };
        let written = dir.path_by_descriptor();
        let (written, known) = (written.to_string_lossy(), path.to_string_lossy());
        // Not where a longer number begins with this one.
        let mut out = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(at) = rest.find(&*written) {
            let (before, after) = (&rest[..at], &rest[at + written.len()..]);
            out.push_str(before);
            let is_other = after.starts_with(|c: char| c.is_ascii_digit());
            out.push_str(if is_other { &written } else { &known });
            rest = after;
        }
        out.push_str(rest);
        out
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::End;
    use storage::posix::Dir;

    #[test]
    fn people_read_the_path_that_they_know() {
        let dir = Dir::open_root(Path::new("/")).unwrap();
        let end = End::Mounted {
            dir: &dir,
            path: Path::new("/mnt/x"),
        };
        let written = end.argument().into_string().unwrap();
        let text = end.for_people(format!("open {written}/a: {written}: {written}7/b"));
        assert_eq!(text, format!("open /mnt/x/a: /mnt/x: {written}7/b"));
    }
}
