use model::{Attribute, Compare, CopyOptions, Preserve};
use storage::posix::{Kind, Meta, Owner, Timestamp};

use super::{Aspect, Circumstances, aspects_of_stats, is_to_be_read};

const OWNER: Owner = Owner { uid: 1, gid: 2 };

fn meta() -> Meta {
    let time = Timestamp {
        secs: 1_000_000,
        nanos: 5,
    };
    Meta {
        kind: Kind::File,
        mode: 0o4755,
        owner: OWNER,
        size: 10,
        accessed: time,
        modified: time,
        changed: time,
        ino: 3,
        dev: 4,
        rdev: 0,
        nlink: 1,
        blocks: 8,
        is_locked: false,
    }
}

fn later(secs: i64) -> Timestamp {
    Timestamp {
        secs: 1_000_000 + secs,
        nanos: 0,
    }
}

fn keeping(preserve: Preserve, compare: Compare) -> CopyOptions {
    CopyOptions {
        preserve,
        compare,
        ..CopyOptions::default()
    }
}

fn circumstances(owners_count: bool) -> Circumstances {
    Circumstances {
        owners_count,
        began: later(100),
    }
}

fn as_root(ours: &Meta, theirs: &Meta, options: &CopyOptions) -> Vec<Aspect> {
    aspects_of_stats(ours, theirs, options, &circumstances(true))
}

#[test]
fn each_difference_of_stats_is_named() {
    let all = CopyOptions::default();
    let other = |change: fn(&mut Meta)| {
        let mut theirs = meta();
        change(&mut theirs);
        as_root(&meta(), &theirs, &all)
    };
    assert!(other(|_| {}).is_empty());
    assert!(other(|meta| meta.accessed = later(1)).is_empty());
    assert_eq!(other(|meta| meta.size = 9), [Aspect::Size]);
    assert_eq!(other(|meta| meta.modified = later(1)), [Aspect::Mtime]);
    assert_eq!(other(|meta| meta.mode = 0o755), [Aspect::Mode]);
    assert_eq!(other(|meta| meta.owner.gid = 9), [Aspect::Owner]);
    let many = other(|meta| (meta.size, meta.mode, meta.owner.uid) = (9, 0, 9));
    assert_eq!(many, [Aspect::Size, Aspect::Mode, Aspect::Owner]);
    // Of another kind, nothing else is said.
    let kind = other(|meta| (meta.kind, meta.mode) = (Kind::Fifo, 0));
    assert_eq!(kind, [Aspect::Kind]);
}

#[test]
fn what_counts_depends_on_the_kind() {
    let all = CopyOptions::default();
    let of = |kind| {
        let ours = Meta { kind, ..meta() };
        let theirs = Meta {
            size: 9,
            mode: 0o600,
            rdev: 7,
            ..ours
        };
        as_root(&ours, &theirs, &all)
    };
    assert_eq!(of(Kind::Directory), [Aspect::Mode]);
    assert!(of(Kind::Symlink).is_empty());
    assert_eq!(of(Kind::Fifo), [Aspect::Mode]);
    assert_eq!(of(Kind::CharDevice), [Aspect::Mode, Aspect::Device]);
    assert_eq!(of(Kind::BlockDevice), [Aspect::Mode, Aspect::Device]);
}

#[test]
fn what_is_not_kept_is_not_compared() {
    let theirs = Meta {
        mode: 0,
        owner: Owner { uid: 8, gid: 9 },
        modified: later(5),
        ..meta()
    };
    let differing = |preserve| as_root(&meta(), &theirs, &keeping(preserve, Compare::Mtime));
    assert!(differing(Preserve::NOTHING).is_empty());
    let only = |attribute| differing(Preserve::of([attribute]));
    assert_eq!(only(Attribute::Times), [Aspect::Mtime]);
    assert_eq!(only(Attribute::Mode), [Aspect::Mode]);
    assert_eq!(only(Attribute::Owner), [Aspect::Owner]);
    // A plain user can't keep owners, and gives no setuid to somebody else.
    let plain = Meta {
        mode: 0o755,
        owner: Owner { uid: 8, gid: 9 },
        ..meta()
    };
    let all = CopyOptions::default();
    assert!(aspects_of_stats(&meta(), &plain, &all, &circumstances(false)).is_empty());
}

#[test]
fn without_times_an_older_file_may_have_older_content_unless_it_is_read() {
    let older = Meta {
        modified: later(-5),
        ..meta()
    };
    let differing = |compare| as_root(&meta(), &older, &keeping(Preserve::NOTHING, compare));
    assert_eq!(differing(Compare::Mtime), [Aspect::Mtime]);
    assert!(differing(Compare::Size).is_empty());
    assert!(differing(Compare::Checksum).is_empty());
    // No copy can be as young as this one.
    let in_future = Meta {
        modified: later(200),
        ..meta()
    };
    let options = keeping(Preserve::NOTHING, Compare::Mtime);
    assert!(as_root(&in_future, &meta(), &options).is_empty());
}

#[test]
fn content_is_read_only_where_it_was_asked_for_and_the_sizes_are_the_same() {
    let longer = Meta { size: 11, ..meta() };
    let all = |compare| keeping(Preserve::ALL, compare);
    assert!(is_to_be_read(&meta(), &meta(), &all(Compare::Checksum)));
    assert!(!is_to_be_read(&meta(), &longer, &all(Compare::Checksum)));
    assert!(!is_to_be_read(&meta(), &meta(), &all(Compare::Mtime)));
}
