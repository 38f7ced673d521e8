use model::{Counters, Failure, FailureClass, Outcome, RangeWork, RelPath, SkipReason, Work};

use super::item_epoch;
use crate::proto;

#[test]
fn an_outcome_survives_the_wire() {
    let outcome = Outcome {
        counters: Counters {
            listed: 7,
            copied: 3,
            unchanged: 1,
            skipped: 1,
            failed: 1,
            deferred: 1,
            copied_files: 2,
            copied_bytes: 9,
        },
        skipped: [(SkipReason::Special, 1)].into(),
        failures: vec![Failure {
            path: RelPath::new(b"a/\xff\n".to_vec()).unwrap(),
            class: FailureClass::Changed,
            error: "cannot read".into(),
        }],
        unreadable_directories: 1,
        notes: [("hard links copied as separate files".to_owned(), 2)].into(),
    };
    assert_eq!(
        Outcome::try_from(proto::Outcome::from(&outcome)),
        Ok(outcome)
    );
}

#[test]
fn what_no_honest_peer_sends_is_refused() {
    let unbalanced = proto::Outcome {
        listed: 2,
        copied: 1,
        ..Default::default()
    };
    assert_eq!(Outcome::try_from(unbalanced).unwrap_err().field, "outcome");
    for directories in [vec![], vec![b"../x".to_vec()], vec![b"/etc".to_vec()]] {
        let walk = proto::Work {
            kind: Some(proto::work::Kind::Walk(proto::Walk {
                directories,
                shard: None,
                purpose: proto::Purpose::Copy.into(),
            })),
        };
        assert_eq!(Work::try_from(walk).unwrap_err().field, "walk.directories");
    }
    let shard = |directories: &[&str], purpose: proto::Purpose, from| {
        let walk = proto::Walk {
            directories: directories.iter().map(|d| d.as_bytes().to_vec()).collect(),
            shard: Some(proto::Shard { from, to: 7 }),
            purpose: purpose.into(),
        };
        let kind = Some(proto::work::Kind::Walk(walk));
        Work::try_from(proto::Work { kind })
    };
    for walk in [
        shard(&["a"], proto::Purpose::Copy, 8),
        shard(&["a", "b"], proto::Purpose::Copy, 7),
        shard(&["a"], proto::Purpose::Close, 7),
    ] {
        assert_eq!(walk.unwrap_err().field, "walk.shard");
    }
    let shard = shard(&[""], proto::Purpose::Copy, 7).unwrap();
    assert_eq!(Work::try_from(proto::Work::from(&shard)), Ok(shard));
    for paths in [vec![], vec![b"a/../b".to_vec()]] {
        let entries = proto::Work {
            kind: Some(proto::work::Kind::Entries(proto::Entries { paths })),
        };
        assert_eq!(Work::try_from(entries).unwrap_err().field, "entries.paths");
    }
    let range = proto::Range {
        file: b"a/huge".to_vec(),
        offset: 1 << 30,
        length: 5,
        identity: Some(proto::FileIdentity {
            size: (1 << 30) + 5,
            ..Default::default()
        }),
        temp: ".dm.0000000000000001.0000000000000002.1.0".to_owned(),
        temp_inode: 8,
    };
    assert!(RangeWork::try_from(range.clone()).is_ok());
    type Spoil = fn(&mut proto::Range);
    let bad_ranges: [(&str, Spoil); 7] = [
        ("range.length", |range| range.length = 0),
        ("range.length", |range| range.length = 6),
        ("range.length", |range| range.offset = u64::MAX),
        ("range.identity", |range| range.identity = None),
        ("range.file", |range| range.file = b"../huge".to_vec()),
        ("range.file", |range| range.file.clear()),
        ("range.temp", |range| {
            range.temp = "../../etc/passwd".to_owned()
        }),
    ];
    for (field, spoil) in bad_ranges {
        let mut range = range.clone();
        spoil(&mut range);
        assert_eq!(RangeWork::try_from(range).unwrap_err().field, field);
    }
    assert!(item_epoch(u64::MAX, 1).is_err());
    let spec = proto::TaskSpec {
        source: b"relative".to_vec(),
        ..Default::default()
    };
    assert!(spec.source_location().is_err());
    for remote in ["", "no remote", ":local:/etc", "a,b=c:/etc", "-x:y"] {
        let spec = proto::TaskSpec {
            source_remote: remote.to_owned(),
            ..Default::default()
        };
        assert!(spec.source_location().is_err(), "{remote}");
    }
}

#[test]
fn too_many_failures_for_one_message_keep_their_number() {
    let failure = Failure {
        path: RelPath::new("p".repeat(4000)).unwrap(),
        class: FailureClass::GiveUp,
        error: String::new(),
    };
    let outcome = Outcome {
        counters: Counters {
            listed: 10_000,
            failed: 10_000,
            ..Default::default()
        },
        failures: vec![failure; 10_000],
        ..Default::default()
    };
    let back = Outcome::try_from(proto::Outcome::from(&outcome)).unwrap();
    assert_eq!(back.counters.failed, 10_000);
    assert!(back.failures.len() < 1_000);
}
