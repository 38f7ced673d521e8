//! Outside inodes that get names at the target: each looks like an entry of the source, of which there are two names, but
//! for its owner. Whoever finds such a one in the place of a copy finds only that to be set.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{lchown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, linkat, renameat, unlinkat};
use testkit::random::Random;

use super::attackers::swap;
use super::canaries::TWINS;
use super::{Arena, Root};

/// Of files, and of links.
const PAIRS: u64 = 16;

/// In the roots themselves, which nobody moves.
fn names(kind: &str, pair: u64) -> [String; 2] {
    ["", ".too"].map(|end| format!("{kind}{pair}{end}"))
}

impl Arena {
    pub(super) fn make_twins(&self) {
        let outside = self.twins();
        fs::create_dir(&outside).unwrap();
        for pair in 0..PAIRS {
            // Of one size, so that only their content, where that is read, tells them apart.
            make(&outside, pair, b"left alone");
            let [file, link] = ["file", "link"].map(|kind| names(kind, pair));
            let modified = fs::metadata(outside.join(&file[0])).unwrap().modified();
            for root in [self.source(), self.target()] {
                make(&root, pair, b"is a copy!");
                let made = fs::File::open(root.join(&file[0])).unwrap();
                made.set_modified(*modified.as_ref().unwrap()).unwrap();
                for [first, second] in [&file, &link] {
                    lchown(root.join(first), Some(1234), Some(1234)).unwrap();
                    fs::hard_link(root.join(first), root.join(second)).unwrap();
                }
            }
        }
    }

    /// Those outside.
    fn twins(&self) -> PathBuf {
        self.outside(Root::Target).join(TWINS)
    }

    /// An outside inode takes the place of a copy, or of what is becoming one, and perhaps goes again.
    pub(super) fn give_names(&self, target: &OwnedFd, random: &mut Random) -> u64 {
        let kind = *random.pick(&["file", "link"]);
        let names = names(kind, random.below(PAIRS));
        if random.below(4) == 0 {
            return swap(target, &names[0], &names[1]);
        }
        let place = match random.below(2) {
            0 => random.pick(&names).clone(),
            _ => match any_temp(target, random) {
                Some(temp) => temp,
                None => return 0,
            },
        };
        let given = format!("given{}", random.below(4));
        let outside = self.twins().join(&names[0]);
        let is_given = linkat(CWD, &outside, target, &given, AtFlags::empty())
            .and_then(|()| renameat(target, &given, target, &place));
        // A rename to a name of the same inode leaves both.
        let _ = unlinkat(target, &given, AtFlags::empty());
        if random.below(3) == 0 {
            let _ = unlinkat(target, &place, AtFlags::empty());
        }
        u64::from(is_given.is_ok())
    }
}

fn make(directory: &Path, pair: u64, content: &[u8]) {
    fs::write(directory.join(&names("file", pair)[0]), content).unwrap();
    symlink("nowhere", directory.join(&names("link", pair)[0])).unwrap();
}

fn any_temp(directory: &OwnedFd, random: &mut Random) -> Option<String> {
    let entries = Dir::read_from(directory).ok()?.flatten();
    let names = entries.filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned));
    let temps: Vec<String> = names.filter(|name| name.starts_with(".dm.")).collect();
    (!temps.is_empty()).then(|| random.pick(&temps).clone())
}
