//! P4: the power is cut while files are copied. Whatever has its final name afterwards is whole, and what an attempt had
//! come to its end with is all there. The kernel forgets all that is not on the disk: ext4 and xfs do so when they are told.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::Durability;
use testkit::power::{Disk, cut};

use crate::support::judge::number;
use crate::support::{self, Place, walk};

fn some_files() -> Place {
    let place = Place::in_memory("power");
    for n in 0..240_u32 {
        let content = n.to_le_bytes().repeat(1 + n as usize * 37 % 5_000);
        place.write(&format!("d{}/f{n}", n % 8), content);
    }
    place.write("big", vec![7; 3 << 20]);
    place
}

/// Files under their final names, and those of them that are not what their source is.
fn judge(place: &Place, target: &Path) -> (usize, Vec<PathBuf>) {
    let (mut there, mut torn) = (0, Vec::new());
    for path in support::tree(&place.source("")).into_keys() {
        let Ok(content) = fs::read(target.join(&path)) else {
            continue;
        };
        there += 1;
        if fs::read(place.source("").join(&path)).unwrap() != content {
            torn.push(path);
        }
    }
    (there, torn)
}

/// Copies, cuts the power at the `nth` change, and looks what is left.
fn copy_and_cut(
    place: &Place,
    mkfs: &str,
    durability: Durability,
    nth: u64,
) -> (usize, Vec<PathBuf>) {
    let mut disk = Disk::new(mkfs);
    let target = disk.point().join("target");
    fs::create_dir(&target).unwrap();
    fs::create_dir(target.join("d0")).unwrap();
    disk.sync();
    let (changes, point) = (Arc::new(AtomicU64::new(0)), disk.point());
    let counted = Arc::clone(&changes);
    let mut attempt = walk();
    attempt.options.durability = durability;
    attempt.meddle = Box::new(move || {
        if counted.fetch_add(1, Ordering::Relaxed) == nth {
            cut(&point);
        }
    });
    let ended = attempt.run_between(&place.source(""), &target);
    assert!(changes.load(Ordering::Relaxed) > nth, "it was cut");
    assert!(
        !ended.is_ok_and(|ended| ended.outcome.counters.failed == 0),
        "nobody noticed"
    );
    disk.start_again();
    judge(place, &target)
}

#[test]
fn what_has_its_name_when_the_power_is_cut_is_whole() {
    let place = some_files();
    let cuts = number("POWER_CUTS", 5);
    let mut survived = 0;
    for mkfs in ["mkfs.ext4", "mkfs.xfs"] {
        for durability in [Durability::Batch, Durability::File] {
            for n in 0..cuts {
                let nth = 20 + 230 * n / cuts;
                let (there, torn) = copy_and_cut(&place, mkfs, durability, nth);
                assert!(torn.is_empty(), "{mkfs} {durability:?} {nth}: {torn:?}");
                survived += there;
            }
        }
    }
    assert!(survived > 0, "nothing had its name yet");
}

#[test]
fn without_durability_the_same_cut_leaves_torn_files_or_none() {
    let place = some_files();
    let mut disk = Disk::new("mkfs.ext4");
    let target = disk.point().join("target");
    fs::create_dir(&target).unwrap();
    let mut attempt = walk();
    attempt.options.durability = Durability::None;
    let outcome = attempt.run_between(&place.source(""), &target);
    assert_eq!(outcome.unwrap().outcome.counters.failed, 0);
    cut(&disk.point());
    disk.start_again();
    let (there, torn) = judge(&place, &target);
    assert!(there < 241 || !torn.is_empty(), "the cut lost nothing");
}

#[test]
fn what_is_done_is_there_after_a_cut() {
    let place = some_files();
    for mkfs in ["mkfs.ext4", "mkfs.xfs"] {
        for durability in [Durability::Batch, Durability::File] {
            let mut disk = Disk::new(mkfs);
            let target = disk.point().join("target");
            fs::create_dir(&target).unwrap();
            let mut attempt = walk();
            attempt.options.durability = durability;
            let outcome = attempt.run_between(&place.source(""), &target);
            assert_eq!(outcome.unwrap().outcome.counters.failed, 0);
            cut(&disk.point());
            disk.start_again();
            let about = format!("{mkfs} {durability:?}");
            assert_eq!(judge(&place, &target), (241, Vec::new()), "{about}");
        }
    }
}
