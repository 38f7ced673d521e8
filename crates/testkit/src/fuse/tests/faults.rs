use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;

use rustix::io::Errno;

use super::Stand;
use crate::fuse::{Fault, Op};

fn code<T>(result: io::Result<T>) -> Option<i32> {
    result.err().and_then(|error| error.raw_os_error())
}

#[test]
fn any_error_is_answered_at_the_nth_request_of_its_kind() {
    let errors = [
        Errno::IO,
        Errno::NOSPC,
        Errno::DQUOT,
        Errno::NAMETOOLONG,
        Errno::MFILE,
        Errno::ACCESS,
    ];
    let stand = Stand::new("errors");
    for error in errors {
        let fault = stand.mounted.arm(Fault::errno(Op::Mkdir, error).nth(2));
        let name = |number| stand.upper(&format!("{}.{number}", error.raw_os_error()));
        fs::create_dir(name(1)).unwrap();
        assert_eq!(code(fs::create_dir(name(2))), Some(error.raw_os_error()));
        fs::create_dir(name(3)).unwrap();
        assert_eq!((fault.seen(), fault.fired()), (3, 1));
        fault.disarm();
    }
}

#[test]
fn a_stale_handle_must_be_answered_again_for_the_kernel_asks_again() {
    let stand = Stand::new("stale");
    let fault = stand
        .mounted
        .arm(Fault::errno(Op::Mkdir, Errno::STALE).nth(1));
    fs::create_dir(stand.upper("a")).unwrap();
    assert_eq!((fault.seen(), fault.fired()), (2, 1));
    let fault = stand.mounted.arm(Fault::errno(Op::Mkdir, Errno::STALE));
    let stale = Some(Errno::STALE.raw_os_error());
    assert_eq!(code(fs::create_dir(stand.upper("b"))), stale);
    assert_eq!(fault.fired(), 2);
}

#[test]
fn every_kind_of_request_can_fail() {
    let stand = Stand::with("kinds", |slow| {
        let zero = std::time::Duration::ZERO;
        slow.attribute_timeout(zero).entry_timeout(zero).direct_io()
    });
    fs::create_dir(stand.upper("d")).unwrap();
    fs::write(stand.upper("f"), b"content").unwrap();
    std::os::unix::fs::symlink("f", stand.upper("s")).unwrap();
    let tried: [(Op, &dyn Fn() -> bool); 14] = [
        (Op::Lookup, &|| fs::metadata(stand.upper("f")).is_err()),
        (Op::Readlink, &|| fs::read_link(stand.upper("s")).is_err()),
        (Op::Symlink, &|| {
            std::os::unix::fs::symlink("x", stand.upper("t")).is_err()
        }),
        (Op::Create, &|| File::create_new(stand.upper("n")).is_err()),
        (Op::Link, &|| {
            fs::hard_link(stand.upper("f"), stand.upper("l")).is_err()
        }),
        (Op::Rename, &|| {
            fs::rename(stand.upper("f"), stand.upper("l")).is_err()
        }),
        (Op::Unlink, &|| fs::remove_file(stand.upper("f")).is_err()),
        (Op::Rmdir, &|| fs::remove_dir(stand.upper("d")).is_err()),
        (Op::Open, &|| File::open(stand.upper("f")).is_err()),
        (Op::Read, &|| fs::read(stand.upper("f")).is_err()),
        (Op::Opendir, &|| fs::read_dir(stand.upper("d")).is_err()),
        (Op::Readdir, &|| {
            let mut entries = fs::read_dir(stand.upper("d")).unwrap();
            entries.next().is_some_and(|entry| entry.is_err())
        }),
        (Op::Chmod, &|| {
            fs::set_permissions(stand.upper("f"), fs::Permissions::from_mode(0o600)).is_err()
        }),
        (Op::Fsync, &|| {
            let file = File::open(stand.upper("f")).unwrap();
            file.sync_all().is_err()
        }),
    ];
    for (op, fails) in tried {
        let fault = stand.mounted.arm(Fault::errno(op, Errno::IO));
        assert!(fails(), "{op}");
        assert!(fault.fired() > 0, "{op}");
        fault.disarm();
        assert!(!fails(), "{op} without its fault");
        // Made again where that removed it.
        fs::create_dir_all(stand.upper("d")).unwrap();
        fs::write(stand.upper("f"), b"content").unwrap();
        let _ = fs::remove_file(stand.upper("l"));
    }
}

#[test]
fn an_error_at_write_or_sync_reaches_the_writer() {
    let stand = Stand::new("writer");
    for op in [Op::Write, Op::Fsync] {
        let fault = stand.mounted.arm(Fault::errno(op, Errno::NOSPC).nth(1));
        let mut file = File::create(stand.upper("f")).unwrap();
        let done = file.write_all(b"content").and_then(|()| file.sync_all());
        assert_eq!(code(done), Some(Errno::NOSPC.raw_os_error()), "{op}");
        assert_eq!(fault.fired(), 1);
    }
}

#[test]
fn names_restrict_a_fault_also_where_a_request_has_none() {
    let stand = Stand::new("names");
    let fault = stand.mounted.arm(
        Fault::errno(Op::Write, Errno::IO)
            .name_prefix(".dm.")
            .name_suffix(".part"),
    );
    let write = |name: &str| fs::write(stand.upper(name), b"content");
    write("a.part").unwrap();
    write(".dm.a").unwrap();
    assert_eq!(fault.seen(), 0);
    assert!(write(".dm.a.part").is_err());
    assert_eq!(fault.fired(), 1);

    // A file goes by its new name from the rename on.
    let mut file = File::create(stand.upper("plain")).unwrap();
    file.write_all(b"1").unwrap();
    fs::rename(stand.upper("plain"), stand.upper(".dm.b.part")).unwrap();
    assert!(file.write_all(b"2").is_err());
    assert_eq!(fault.fired(), 2);
}

#[test]
fn a_lost_answer_leaves_the_deed_done() {
    let stand = Stand::new("lost");
    fs::write(stand.upper("a"), b"content").unwrap();
    let fault = stand
        .mounted
        .arm(Fault::errno_though_done(Op::Rename, Errno::IO));
    assert!(fs::rename(stand.upper("a"), stand.upper("b")).is_err());
    assert!(stand.lower("b").exists() && !stand.lower("a").exists());
    assert_eq!(fault.fired(), 1);
    assert!(fs::rename(stand.upper("no such"), stand.upper("c")).is_err());
    assert_eq!(fault.fired(), 1);
}

#[test]
fn a_skipped_request_is_acknowledged_and_not_done() {
    let stand = Stand::new("skipped");
    fs::write(stand.upper("a"), b"content").unwrap();
    let fault = stand.mounted.arm(Fault::skip(Op::Unlink));
    fs::remove_file(stand.upper("a")).unwrap();
    assert!(stand.lower("a").exists());
    assert_eq!(fault.fired(), 1);
}
