use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;

use rustix::fs::{SeekFrom, copy_file_range, seek};
use rustix::io::Errno;

use super::Stand;
use crate::fuse::{CopyLie, Fault, ReadLie, SeekLie, WriteLie};

const CONTENT: &[u8] = b"0123456789";

fn direct(label: &str) -> Stand {
    let stand = Stand::with(label, |slow| slow.direct_io());
    fs::write(stand.lower("f"), CONTENT).unwrap();
    stand
}

#[test]
fn reads_are_short_empty_or_flipped_at_their_turn() {
    let stand = direct("reads");
    let lies: [(ReadLie, &[u8]); 3] = [
        (ReadLie::Short { bytes: 4 }, b"0123"),
        (ReadLie::Empty, b""),
        (ReadLie::FlipByte { at: 12 }, b"01\xcd3456789"),
    ];
    for (lie, expected) in lies {
        let fault = stand.mounted.arm(Fault::read(lie).nth(2));
        let file = File::open(stand.upper("f")).unwrap();
        let read = || {
            let mut buffer = [0; 10];
            let count = file.read_at(&mut buffer, 0).unwrap();
            buffer[..count].to_vec()
        };
        assert_eq!(read(), CONTENT);
        assert_eq!(read(), expected);
        assert_eq!(read(), CONTENT);
        assert_eq!(fault.fired(), 1);
    }
}

#[test]
fn a_lie_that_changes_nothing_has_not_fired() {
    let stand = direct("nothing");
    let fault = stand.mounted.arm(Fault::read(ReadLie::FlipByte { at: 0 }));
    let file = File::open(stand.upper("f")).unwrap();
    assert_eq!(file.read_at(&mut [0; 10], 10).unwrap(), 0);
    assert_eq!((fault.seen(), fault.fired()), (1, 0));
}

#[test]
fn what_is_stored_is_not_what_was_acknowledged() {
    let lies: [(WriteLie, &[u8]); 3] = [
        (WriteLie::FlipByte { at: 1 }, b"a\x9dc"),
        (WriteLie::Drop, b"\0\0\0"),
        (WriteLie::Truncate, b"a"),
    ];
    for (lie, expected) in lies {
        let stand = Stand::new("writes");
        let fault = stand.mounted.arm(Fault::write(lie).nth(1));
        let file = File::create(stand.upper("f")).unwrap();
        file.write_all_at(b"abc", 0).unwrap();
        file.sync_all().unwrap();
        drop(file);
        assert_eq!(fs::read(stand.lower("f")).unwrap(), expected, "{lie:?}");
        assert_eq!(fault.fired(), 1);
    }
}

#[test]
fn a_dropped_write_leaves_what_was_there() {
    let stand = direct("dropped");
    stand.mounted.arm(Fault::write(WriteLie::Drop));
    let file = File::options().write(true).open(stand.upper("f"));
    file.unwrap().write_all_at(b"xxx", 4).unwrap();
    assert_eq!(fs::read(stand.lower("f")).unwrap(), CONTENT);
}

#[test]
fn a_short_write_is_seen_by_the_writer_and_can_be_gone_on_with() {
    for stand in [Stand::new("cached"), direct("direct")] {
        let fault = stand
            .mounted
            .arm(Fault::write(WriteLie::Short { bytes: 3 }).nth(1));
        let file = File::create(stand.upper("f")).unwrap();
        assert_eq!(file.write_at(CONTENT, 0).unwrap(), 3);
        file.write_all_at(&CONTENT[3..], 3).unwrap();
        assert_eq!(fs::read(stand.lower("f")).unwrap(), CONTENT);
        assert_eq!(fault.fired(), 1);
    }
}

#[test]
fn a_flipped_byte_shows_through_the_cache_too() {
    let stand = Stand::new("cache");
    fs::write(stand.lower("f"), CONTENT).unwrap();
    let fault = stand
        .mounted
        .arm(Fault::read(ReadLie::FlipByte { at: 0 }).nth(1));
    let mut read = Vec::new();
    let mut file = File::open(stand.upper("f")).unwrap();
    file.read_to_end(&mut read).unwrap();
    assert_eq!(read, b"\xcf123456789");
    assert_eq!(fault.fired(), 1);
    // A new open drops the cache.
    assert_eq!(fs::read(stand.upper("f")).unwrap(), CONTENT);
}

#[test]
fn holes_are_claimed_where_there_is_data_and_the_other_way_round() {
    let stand = Stand::new("seeks");
    let file = File::create(stand.upper("f")).unwrap();
    file.write_all_at(&[1; 4096], 1 << 20).unwrap();
    let size = (1 << 20) + 4096;

    let fault = stand.mounted.arm(Fault::seek(SeekLie::AllHole));
    assert_eq!(seek(&file, SeekFrom::Data(0)), Err(Errno::NXIO));
    assert_eq!(seek(&file, SeekFrom::Hole(1 << 20)), Ok(1 << 20));
    assert_eq!(fault.fired(), 2);
    fault.disarm();

    let fault = stand.mounted.arm(Fault::seek(SeekLie::AllData));
    assert_eq!(seek(&file, SeekFrom::Data(0)), Ok(0));
    assert_eq!(seek(&file, SeekFrom::Hole(0)), Ok(size));
    assert_eq!(fault.fired(), 2);
}

#[test]
fn a_copied_range_is_short_empty_or_flipped() {
    let stand = direct("ranges");
    let lies: [(CopyLie, usize, &[u8]); 3] = [
        (CopyLie::Short { bytes: 4 }, 4, b"0123"),
        (CopyLie::Short { bytes: 0 }, 0, b""),
        (CopyLie::FlipByte { at: 2 }, 10, b"01\xcd3456789"),
    ];
    for (lie, acknowledged, stored) in lies {
        let fault = stand.mounted.arm(Fault::copy(lie).nth(1));
        let from = File::open(stand.upper("f")).unwrap();
        let to = File::create(stand.upper("copy")).unwrap();
        let copied = copy_file_range(&from, Some(&mut 0), &to, Some(&mut 0), 10);
        assert_eq!(copied, Ok(acknowledged), "{lie:?}");
        assert_eq!(fs::read(stand.lower("copy")).unwrap(), stored);
        assert_eq!(fault.fired(), 1);
    }
}
