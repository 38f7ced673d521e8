//! What the results file promises.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use super::{NAME, Remark, ResultsFile};
use crate::report::Row;
use crate::store::Millis;

/// Long after any file of these tests was changed.
const LATER: Millis = i64::MAX / 2;
/// Before.
const EARLIER: Millis = 0;

fn row(id: u32) -> Row {
    Row {
        id,
        source_dir: "/a".to_owned(),
        message: format!("Migrated, \"task\" {id} successfully"),
        engine: "native".to_owned(),
        ..Row::default()
    }
}

fn open(dir: &Path) -> (ResultsFile, Vec<Remark>) {
    let never = dir.join("not there");
    ResultsFile::open_in_either(dir, &never).unwrap()
}

fn content(dir: &Path) -> String {
    fs::read_to_string(dir.join(NAME)).unwrap()
}

/// First cells of the rows, as any csv reader finds them.
fn ids(dir: &Path) -> Vec<String> {
    let mut reader = csv::Reader::from_path(dir.join(NAME)).unwrap();
    reader
        .records()
        .map(|record| record.unwrap()[0].to_owned())
        .collect()
}

#[test]
fn rows_are_appended_over_runs_under_one_header() {
    let dir = tempfile::tempdir().unwrap();
    for id in 1..=2 {
        let (mut file, remarks) = open(dir.path());
        assert_eq!(remarks, []);
        file.append(&row(id)).unwrap();
    }
    assert_eq!(ids(dir.path()), ["1", "2"]);
    assert_eq!(content(dir.path()).matches("subtask id").count(), 1);
    let mode = fs::metadata(dir.path().join(NAME)).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o644);
}

#[test]
fn a_file_with_other_columns_is_moved_aside() {
    let dir = tempfile::tempdir().unwrap();
    let old = "id,source dir,target dir\n1,/a,/b\n";
    fs::write(dir.path().join(NAME), old).unwrap();
    let (mut file, remarks) = open(dir.path());
    file.append(&row(1)).unwrap();
    let [Remark::MovedAside { to, .. }] = remarks.as_slice() else {
        panic!("{remarks:?}");
    };
    assert_eq!(fs::read_to_string(to).unwrap(), old);
    let name = to.file_name().unwrap().to_str().unwrap();
    let millis = name.strip_prefix("data_migrate_results.csv.").unwrap();
    assert!(millis.parse::<u64>().is_ok(), "{name}");
    assert_eq!(ids(dir.path()), ["1"]);
}

#[test]
fn a_crash_at_any_byte_of_a_row_neither_glues_nor_loses_rows() {
    let dir = tempfile::tempdir().unwrap();
    let (mut file, _) = open(dir.path());
    file.append(&row(1)).unwrap();
    let whole = content(dir.path()).len();
    file.append(&row(2)).unwrap();
    let full = content(dir.path());
    for end in whole..full.len() {
        fs::write(dir.path().join(NAME), &full[..end]).unwrap();
        let (mut file, remarks) = open(dir.path());
        let is_there = file.contains(&row(2), EARLIER);
        // Whole but for its line end: completed. Less: taken out and kept.
        assert_eq!(is_there, end == full.len() - 1, "cut at {end}");
        let was_torn = end > whole && !is_there;
        assert_eq!(remarks.len(), usize::from(was_torn), "cut at {end}");
        if let [Remark::TornRow { kept_in }] = remarks.as_slice() {
            assert_eq!(fs::read_to_string(kept_in).unwrap(), full[whole..end]);
        }
        if !is_there {
            file.append(&row(2)).unwrap();
        }
        file.append(&row(3)).unwrap();
        assert_eq!(ids(dir.path()), ["1", "2", "3"], "cut at {end}");
    }
}

#[test]
fn zeros_that_a_power_cut_left_are_taken_out() {
    let dir = tempfile::tempdir().unwrap();
    let (mut file, _) = open(dir.path());
    file.append(&row(1)).unwrap();
    let mut raw = OpenOptions::new()
        .append(true)
        .open(dir.path().join(NAME))
        .unwrap();
    raw.write_all(&[0; 300]).unwrap();
    let (mut file, remarks) = open(dir.path());
    assert!(matches!(remarks.as_slice(), [Remark::TornRow { .. }]));
    file.append(&row(2)).unwrap();
    assert_eq!(ids(dir.path()), ["1", "2"]);
}

#[test]
fn a_row_is_found_again_whatever_its_link_but_not_in_an_older_file() {
    let dir = tempfile::tempdir().unwrap();
    let (mut file, _) = open(dir.path());
    let mut linked = row(1);
    linked.log_file = "https://s3/log?signature=1".to_owned();
    assert!(!file.contains(&linked, EARLIER));
    file.append(&linked).unwrap();
    assert!(file.contains(&linked, LATER), "appended by ourselves");

    let (mut file, _) = open(dir.path());
    linked.log_file = "https://s3/log?signature=2".to_owned();
    assert!(file.contains(&linked, EARLIER));
    assert!(!file.contains(&row(2), EARLIER));
    assert!(
        !file.contains(&linked, LATER),
        "an equal row of an earlier run"
    );
    file.forget_found();
    assert!(!file.contains(&linked, EARLIER), "the run is a new one");
}

#[test]
fn links_and_foreign_things_are_never_written_through() {
    let dir = tempfile::tempdir().unwrap();
    let precious = dir.path().join("precious");
    fs::write(&precious, "precious").unwrap();
    let path = dir.path().join(NAME);
    let prepare: [&dyn Fn(); 3] = [
        &|| symlink(&precious, &path).unwrap(),
        &|| symlink(dir.path().join("not there"), &path).unwrap(),
        &|| fs::hard_link(&precious, &path).unwrap(),
    ];
    for prepare in prepare {
        prepare();
        let (mut file, remarks) = open(dir.path());
        assert!(matches!(remarks.as_slice(), [Remark::MovedAside { .. }]));
        file.append(&row(1)).unwrap();
        assert_eq!(ids(dir.path()), ["1"]);
        fs::remove_file(&path).unwrap();
    }
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    assert!(!dir.path().join("not there").exists());
}

#[test]
fn somebody_elses_file_in_a_shared_directory_is_not_written_to() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(NAME);
    drop(open(dir.path()));
    if std::os::unix::fs::chown(&path, Some(12345), None).is_err() {
        return; // Only root can prepare this.
    }
    assert_eq!(open(dir.path()).1, [], "a directory of our own");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    let (_, remarks) = open(dir.path());
    assert!(matches!(
        remarks.as_slice(),
        [Remark::MovedAside {
            why: "belongs to another user",
            ..
        }]
    ));
}

#[test]
fn a_file_that_was_moved_away_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (mut file, _) = open(dir.path());
    file.append(&row(1)).unwrap();
    fs::rename(dir.path().join(NAME), dir.path().join("rotated")).unwrap();
    file.append(&row(2)).unwrap();
    assert_eq!(ids(dir.path()), ["2"]);
    assert!(file.contains(&row(1), LATER));
}

#[test]
fn the_other_directory_is_used_where_the_working_directory_can_not_be() {
    let dir = tempfile::tempdir().unwrap();
    let gone = dir.path().join("gone");
    let (mut file, remarks) = ResultsFile::open_in_either(&gone, dir.path()).unwrap();
    file.append(&row(1)).unwrap();
    assert_eq!(file.path(), dir.path().join(NAME));
    let [remark @ Remark::Elsewhere { .. }] = remarks.as_slice() else {
        panic!("{remarks:?}");
    };
    assert!(
        remark
            .to_string()
            .ends_with("No such file or directory (os error 2)"),
        "{remark}"
    );
}
