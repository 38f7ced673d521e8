//! What an attacker does: entries of one directory change places, at any time.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::Ordering;

use rustix::fs::{CWD, Dir, Mode, OFlags, RenameFlags, openat, renameat_with, symlinkat};
use testkit::random::Random;

use super::{Arena, DIRECTORIES, FILES, Root};

impl Arena {
    /// One change. What is not there, since the one that copies has replaced it, is left alone.
    pub(super) fn attack(&self, root: Root, random: &mut Random) {
        let path = match root {
            Root::Source => self.source(),
            Root::Target => self.target(),
        };
        let Some(top) = open(CWD, &path) else {
            return;
        };
        let name = format!("d{}", random.below(DIRECTORIES));
        let trap = self.outside(root);
        let swapped = match random.below(6) {
            4 | 5 if root == Root::Target => self.give_names(&top, random),
            0 => swap(&top, &name, &format!("{name}.link")),
            1 => self.within(&top, &name, random),
            2 if root == Root::Target => swap_temps(&top, &trap, random),
            _ => match open(&top, name.as_ref()) {
                Some(directory) if root == Root::Target => swap_temps(&directory, &trap, random),
                _ => self.within(&top, &name, random),
            },
        };
        self.swaps.fetch_add(swapped, Ordering::Relaxed);
    }

    /// In a directory, or in the one below it.
    fn within(&self, top: &OwnedFd, name: &str, random: &mut Random) -> u64 {
        let Some(directory) = open(top, name.as_ref()) else {
            return 0;
        };
        if random.below(4) == 0 {
            return swap(&directory, "s", "s.link");
        }
        let below = open(&directory, "s".as_ref()).filter(|_| random.below(2) == 0);
        let directory = below.unwrap_or(directory);
        let file = format!("f{}", random.below(FILES));
        let with = *random.pick(&["link", "link", "pipe", "zero", "other"]);
        match with {
            "link" => swap(&directory, &file, &format!("{file}.link")),
            "other" => swap(&directory, &file, &format!("f{}", random.below(FILES))),
            special => swap(&directory, &file, special),
        }
    }
}

/// What is unfinished at the target becomes a link to a directory or a file outside.
fn swap_temps(directory: &OwnedFd, outside: &Path, random: &mut Random) -> u64 {
    let Ok(entries) = Dir::read_from(directory) else {
        return 0;
    };
    let mut swapped = 0;
    for entry in entries.flatten() {
        let Ok(name) = entry.file_name().to_str() else {
            continue;
        };
        if !name.starts_with(".dm.") {
            continue;
        }
        let trap = format!("trap{}", random.below(4));
        let leads_to = *random.pick(&["", "s", "s/f1"]);
        // It may be there from before.
        let _ = symlinkat(outside.join(leads_to), directory, trap.as_str());
        swapped += swap(directory, name, &trap);
    }
    swapped
}

pub(super) fn swap(directory: &OwnedFd, name: &str, with: &str) -> u64 {
    u64::from(renameat_with(directory, name, directory, with, RenameFlags::EXCHANGE).is_ok())
}

fn open(at: impl std::os::fd::AsFd, path: &Path) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(at, path, flags, Mode::empty()).ok()
}
