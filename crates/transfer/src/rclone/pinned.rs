//! Mounted ends as a process of rclone reaches them: just the directories that are held, whatever their paths lead to
//! meanwhile.
//!
//! Where this user may make mounts, each process has a mount namespace of its own, in which the directories are
//! bound to places in its private directory: it sees no mount and no unmount of others, and no path costs more than any
//! other. Elsewhere it gets the descriptors of this process, by way of `/proc`, which makes every opening dearer.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use storage::posix::Dir;

use super::ends::End;
use super::environment::Environment;
use super::private::PrivateDir;

/// Binds the directories and looks whether they are the right ones, in triples of path, place and identity; then
/// becomes the program.
const BIND: &str = r#"
while [ "$1" != -- ]; do
  mount --rbind -- "$1" "$2" || exit 125
  if [ "$(stat -c %d:%i -- "$2")" != "$3" ]; then
    echo "$1 is no longer the directory that it was" >&2
    exit 125
  fi
  shift 3
done
shift
exec "$@""#;

const UNSHARE: [&str; 4] = ["--mount", "--propagation", "private", "--"];

/// How processes reach mounted directories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pinning {
    Namespace,
    Descriptor,
}

impl Pinning {
    /// What this user may do on this machine.
    pub(crate) fn probe(environment: &Environment) -> Self {
        let tried = Command::new("unshare")
            .args(UNSHARE)
            .args(["sh", "-c", "mount --rbind / /proc && stat -c %d:%i /proc"])
            .env_clear()
            .envs(environment.passed.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        match tried.is_ok_and(|status| status.success()) {
            true => Pinning::Namespace,
            false => Pinning::Descriptor,
        }
    }
}

/// One end, pinned for the processes of one piece.
#[derive(Debug)]
pub(crate) struct Pinned {
    /// As rclone is told of it.
    pub(crate) argument: OsString,
    /// How people know it, if it is mounted.
    known: Option<PathBuf>,
    /// Path, place and identity.
    bound: Option<(PathBuf, PathBuf, String)>,
    pub(crate) is_by_descriptor: bool,
}

impl Pinned {
    /// `place` is the name of an empty directory that is made for it.
    pub(crate) fn new(
        end: End<'_>,
        pinning: Pinning,
        private: &PrivateDir,
        place: &str,
    ) -> std::io::Result<Self> {
        let plain = |argument: OsString| Self {
            argument,
            known: None,
            bound: None,
            is_by_descriptor: false,
        };
        Ok(match (end, pinning) {
            (End::Remote(remote), _) => plain(remote.into()),
            (End::Imagined { path }, _) => plain(path.into()),
            (End::Mounted { dir, path }, Pinning::Descriptor) => Self {
                known: Some(path.to_owned()),
                is_by_descriptor: true,
                ..plain(dir.path_by_descriptor().into())
            },
            (End::Mounted { dir, path }, Pinning::Namespace) => {
                let place = private.directory(place)?;
                Self {
                    known: Some(path.to_owned()),
                    bound: Some((path.to_owned(), place.clone(), identity(dir)?)),
                    ..plain(place.into())
                }
            }
        })
    }

    /// Writes the path that the user knows where rclone wrote its own.
    pub(crate) fn for_people(&self, text: String) -> String {
        let Some(known) = &self.known else {
            return text;
        };
        let (written, known) = (self.argument.to_string_lossy(), known.to_string_lossy());
        let mut out = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(at) = rest.find(&*written) {
            let (before, after) = (&rest[..at], &rest[at + written.len()..]);
            out.push_str(before);
            // Not where a longer number begins with this one.
            let is_other = after.starts_with(|c: char| c.is_ascii_digit());
            out.push_str(if is_other { &written } else { &known });
            rest = after;
        }
        out.push_str(rest);
        out
    }
}

/// Program and arguments that run `program` with these ends bound, where they are to be.
pub(crate) fn in_namespace(
    program: &Path,
    args: Vec<OsString>,
    ends: [&Pinned; 2],
) -> (PathBuf, Vec<OsString>) {
    let bound: Vec<_> = ends.iter().filter_map(|end| end.bound.as_ref()).collect();
    if bound.is_empty() {
        return (program.to_owned(), args);
    }
    let mut all: Vec<OsString> = UNSHARE.iter().map(OsString::from).collect();
    all.extend(["sh", "-c", BIND, "sh"].map(OsString::from));
    for (path, place, identity) in bound {
        all.extend([path.into(), place.into(), identity.into()]);
    }
    all.push("--".into());
    all.push(program.into());
    all.extend(args);
    ("unshare".into(), all)
}

fn identity(dir: &Dir) -> std::io::Result<String> {
    let meta = dir.meta().map_err(|error| error.source)?;
    Ok(format!("{}:{}", meta.dev, meta.ino))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{End, Pinned, Pinning, PrivateDir, in_namespace};
    use storage::posix::Dir;

    fn mounted(directory: &Path, pinning: Pinning) -> (Dir, PrivateDir, Pinned) {
        let dir = Dir::open_root(directory).unwrap();
        let private = PrivateDir::create().unwrap();
        let end = End::Mounted {
            dir: &dir,
            path: directory,
        };
        let pinned = Pinned::new(end, pinning, &private, "source").unwrap();
        (dir, private, pinned)
    }

    #[test]
    fn a_process_sees_the_directory_that_is_held_and_no_other() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().join("d");
        for pinning in [Pinning::Namespace, Pinning::Descriptor] {
            std::fs::create_dir(&directory).unwrap();
            std::fs::write(directory.join("inside"), "").unwrap();
            let (_dir, private, pinned) = mounted(&directory, pinning);
            let once = Pinned {
                bound: None,
                ..Pinned::new(End::Remote("x:"), pinning, &private, "x").unwrap()
            };
            let list = |pinned: &Pinned| {
                let args = vec!["-H".into(), pinned.argument.clone()];
                let (program, args) = in_namespace(Path::new("ls"), args, [pinned, &once]);
                std::process::Command::new(program)
                    .args(args)
                    .output()
                    .unwrap()
            };
            assert_eq!(list(&pinned).stdout, b"inside\n", "{pinning:?}");
            std::fs::rename(&directory, scratch.path().join("moved")).unwrap();
            std::fs::create_dir(&directory).unwrap();
            std::fs::write(directory.join("other"), "").unwrap();
            let seen = list(&pinned);
            let said = String::from_utf8_lossy(&seen.stderr).into_owned();
            match pinning {
                Pinning::Namespace => {
                    assert_eq!(seen.status.code(), Some(125));
                    assert!(said.contains("no longer the directory"), "{said}");
                }
                Pinning::Descriptor => assert_eq!(seen.stdout, b"inside\n", "{said}"),
            }
            std::fs::remove_dir_all(&directory).unwrap();
            std::fs::remove_dir_all(scratch.path().join("moved")).unwrap();
        }
    }

    #[test]
    fn people_read_the_path_that_they_know() {
        let directory = PathBuf::from("/");
        let (_dir, _private, mut pinned) = mounted(&directory, Pinning::Descriptor);
        pinned.known = Some("/mnt/x".into());
        let written = pinned.argument.clone().into_string().unwrap();
        let text = pinned.for_people(format!("open {written}/a: {written}: {written}7/b"));
        assert_eq!(text, format!("open /mnt/x/a: /mnt/x: {written}7/b"));
    }
}
