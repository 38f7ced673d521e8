//! File systems that faults fall on: small ones that can be filled up, and what each worker sees of the sources.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use testkit::fuse::{self, Armed, Fault, Op};
use testkit::mount::{LoopMount, Tmpfs};
use testkit::random::Random;
use testkit::tool;

/// Enough for all that a run writes there.
const VOLUME_MIB: u64 = 96;
const STATE_MIB: u64 = 32;

/// What programs ask a source for and wait for.
const ASKED: [Op; 10] = [
    Op::Lookup,
    Op::Getattr,
    Op::Readlink,
    Op::Open,
    Op::Read,
    Op::Opendir,
    Op::Readdir,
    Op::Getxattr,
    Op::Listxattr,
    Op::Statfs,
];

/// Lets go of what is mounted for other tests than that below the first directory: it would be held as long as the
/// program lives. Then binds the second at the third, and becomes the program that follows.
const BIND: &str = r#"set -e
mounts=$(cat /proc/self/mountinfo)
while read -r _ _ _ _ point _; do
  case $point in
    "$1"/*) ;;
    */testkit-*) umount --lazy "$point" 2>/dev/null || true ;;
  esac
done <<END
$mounts
END
mount --bind "$2" "$3"
shift 3
exec "$@""#;

#[derive(Debug)]
enum Kind {
    Loop(LoopMount),
    Memory(Tmpfs),
}

/// A small file system.
#[derive(Debug)]
pub struct Small(Kind);

impl Small {
    /// For targets, on a disk or in memory.
    pub fn volume(point: &Path, random: &mut Random) -> Self {
        fs::create_dir(point).expect("a directory can be made");
        let mounted = match random.below(2) {
            0 => LoopMount::ext4_over(point, VOLUME_MIB).map(Kind::Loop),
            _ => Tmpfs::over(point, VOLUME_MIB).map(Kind::Memory),
        };
        Self(mounted.unwrap_or_else(|error| panic!("{error}")))
    }

    /// For the state of a server.
    pub fn state(point: &Path) -> Self {
        fs::create_dir(point).expect("a directory can be made");
        let mounted = Tmpfs::over(point, STATE_MIB);
        Self(Kind::Memory(
            mounted.unwrap_or_else(|error| panic!("{error}")),
        ))
    }

    pub fn path(&self) -> &Path {
        match &self.0 {
            Kind::Loop(mounted) => mounted.path(),
            Kind::Memory(mounted) => mounted.path(),
        }
    }

    /// Takes all room that is left, in steps that get smaller.
    pub fn fill(&self) {
        let ballast = File::create(self.ballast()).expect("a file can be made");
        let (mut end, mut step) = (0, 16 << 20);
        while step >= 4 << 10 {
            match fallocate(&ballast, FallocateFlags::empty(), end, step) {
                Ok(()) => end += step,
                Err(Errno::NOSPC) => step /= 2,
                Err(Errno::INTR) => {}
                Err(error) => panic!("cannot fill {}: {error}", self.path().display()),
            }
        }
        assert!(end > 0, "{} was full before", self.path().display());
    }

    pub fn empty(&self) {
        fs::remove_file(self.ballast()).expect("it is there");
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }
}

/// The sources as one worker sees them: by a mount of its own.
#[derive(Debug)]
pub struct View {
    mounted: fuse::Mounted,
    /// Where it is seen.
    point: PathBuf,
}

/// Requests that hang.
#[derive(Debug)]
pub struct Hang(Vec<Armed>);

impl View {
    pub fn new(mounted: fuse::Mounted, point: &Path) -> Self {
        Self {
            mounted,
            point: point.to_owned(),
        }
    }

    /// `command` as a process that sees this, and nothing of other tests than that whose directory is `own`.
    pub fn seen_by(&self, command: &Command, own: &Path) -> Command {
        let mut seeing = Command::new("unshare");
        seeing
            .args(["--mount", "--propagation", "private", "--"])
            .args(["sh", "-c", BIND, "sh"])
            .args([own, self.mounted.path(), &self.point]);
        tool::started_by(seeing, command)
    }

    /// From now on nothing is answered.
    pub fn hang(&self) -> Hang {
        Hang(ASKED.map(|op| self.mounted.arm(Fault::hang(op))).into())
    }

    /// From now on it is there and answers everything with an error, as where its server has died.
    pub fn disconnect(&self) {
        let done = self.mounted.disconnect();
        done.unwrap_or_else(|error| panic!("{error}"));
    }
}

impl Hang {
    pub fn has_fired(&self) -> bool {
        self.0.iter().any(|armed| armed.fired() > 0)
    }

    /// Answers what hangs and all that comes.
    pub fn end(&self) {
        for armed in &self.0 {
            armed.disarm();
            armed.release();
        }
    }
}
