//! A task runs only where source, target and folder of lists are on the file systems that the config names, and its paths
//! are what they should be. It fails else, with the words that people search for and before anything is created at the
//! target; the other tasks go on.

use std::fs;
use std::path::{Path, PathBuf};

use testkit::mount::{LoopMount, Tmpfs};
use testkit::results::Table;

use crate::place::Place;

const SUCCESS: &str = "Migrated task";

/// An ext4, an xfs and a tmpfs, each with a source of one file.
struct Disks {
    place: Place,
    // Held as long as they are looked at.
    _mounted: (LoopMount, LoopMount, Tmpfs),
}

impl Disks {
    fn new(label: &str) -> Self {
        let place = Place::new(label);
        let disks = Self {
            _mounted: (
                LoopMount::ext4_over(&place.directory("ext4"), 32).unwrap(),
                LoopMount::xfs_over(&place.directory("xfs"), 300).unwrap(),
                Tmpfs::over(&place.directory("tmpfs"), 32).unwrap(),
            ),
            place,
        };
        for name in ["ext4", "xfs", "tmpfs"] {
            disks.place.file(&format!("{name}/source/file"), name);
        }
        disks
    }

    /// Runs these tasks, `DIR` in front of all paths, of which some fail.
    fn run(&self, global: &str, tasks: &[&str]) -> Table {
        let config = format!("global_config:\n  tasks_file: tasks.txt\n{global}");
        self.place.file("config.yaml", &config);
        let lines: String = tasks
            .iter()
            .map(|task| format!("DIR/{}\n", task.replace(' ', " DIR/")))
            .collect();
        self.place.file("tasks.txt", &lines);
        self.place.migrate("config.yaml").assert_code(1);
        self.place.results()
    }

    /// The message of a task, counted from 1.
    fn message(&self, table: &Table, id: usize) -> String {
        let row = table.find("id", &id.to_string()).expect("it has a row");
        let message = row.get("message").expect("it has a message");
        let success = message.starts_with(SUCCESS).to_string();
        assert_eq!(row.get("success"), Some(success.as_str()), "{message}");
        self.place.without_directory(message)
    }

    fn assert_migrated(&self, table: &Table, id: usize, target: &str) {
        let expected = format!("{SUCCESS} {id} successfully");
        assert_eq!(self.message(table, id), expected);
        assert!(self.place.path(target).join("file").exists());
    }
}

fn assert_nothing_at(target: PathBuf) {
    let found = fs::symlink_metadata(&target);
    assert!(found.is_err(), "{} was created", target.display());
}

#[test]
fn nothing_is_created_on_a_file_system_of_another_type() {
    let disks = Disks::new("types");
    let table = disks.run(
        "  source_fs_types: [xfs, tmpfs]\n  target_fs_types: [xfs]\n",
        &[
            "ext4/source xfs/target1",
            "tmpfs/source xfs/target2",
            "xfs/source ext4/target3/below",
            "xfs/source xfs/target4",
            "tmpfs/source tmpfs/target5",
        ],
    );
    for (id, types, target) in [
        (1, "ext4, xfs", "xfs/target1"),
        (3, "xfs, ext4", "ext4/target3"),
        (5, "tmpfs, tmpfs", "tmpfs/target5"),
    ] {
        assert_eq!(
            disks.message(&table, id),
            format!("actual source or target filesystem type not match({types})")
        );
        assert_nothing_at(disks.place.path(target));
    }
    disks.assert_migrated(&table, 2, "xfs/target2");
    disks.assert_migrated(&table, 4, "xfs/target4");
    assert_eq!(table.len(), 5);
}

#[test]
fn a_missing_mount_is_noticed_by_its_type() {
    let disks = Disks::new("missing");
    let point = disks.place.directory("tmpfs/point");
    let mounted = LoopMount::xfs_over(&point, 300).unwrap();
    mounted.detach().unwrap();
    let table = disks.run(
        "  source_fs_type: ext4\n  target_fs_type: xfs\n",
        &["ext4/source tmpfs/point/target"],
    );
    assert_eq!(
        disks.message(&table, 1),
        "actual source or target filesystem type not match(ext4, tmpfs)"
    );
    let beneath = fs::read_dir(&point).unwrap().count();
    assert_eq!(beneath, 0, "the disk beneath was written to");
}

#[test]
fn numbers_old_names_and_any_are_accepted_for_a_type() {
    for types in [
        "  source_fs_types: [0xEF53]\n  target_fs_types: [unknown (0x58465342)]\n",
        "  source_fs_type: EXT4\n  target_fs_types: [yrfs_ec, gpfs, xfs]\n",
        "  source_fs_types: [any]\n  target_fs_types: [any]\n",
    ] {
        let disks = Disks::new("names");
        // The second one fails, so that the run's end is the same as elsewhere here.
        let table = disks.run(types, &["ext4/source xfs/target", "ext4/nowhere xfs/t"]);
        disks.assert_migrated(&table, 1, "xfs/target");
    }
}

#[test]
fn paths_that_are_not_what_they_should_be_fail_their_task_alone() {
    let disks = Disks::new("paths");
    disks.place.directory("ext4/directory");
    disks.place.file("ext4/list", "file\n");
    let table = disks.run(
        "  source_fs_types: [ext4]\n  target_fs_types: [xfs]\n",
        &[
            "ext4/nowhere xfs/target1",
            "ext4/source/file xfs/target2",
            "ext4/source xfs/source/file",
            "ext4/source xfs/target4 ext4/nowhere",
            "ext4/source xfs/target5 ext4/directory",
            "ext4/source xfs/target6",
            "ext4/source xfs/target7 ext4/list",
        ],
    );
    for (id, expected) in [
        (
            1,
            "path does not exist: stat DIR/ext4/nowhere: no such file or directory",
        ),
        (2, "source dir DIR/ext4/source/file is not directory"),
        (3, "target dir DIR/xfs/source/file is not directory"),
        (4, "file list path DIR/ext4/nowhere not exists"),
        (5, "file list path DIR/ext4/directory is directory"),
        (
            7,
            "Migrated task 7 with include file DIR/ext4/list successfully",
        ),
    ] {
        assert_eq!(disks.message(&table, id), expected);
    }
    disks.assert_migrated(&table, 6, "xfs/target6");
    for id in [1, 2, 4, 5] {
        assert_nothing_at(disks.place.path(format!("xfs/target{id}")));
    }
    assert_eq!(
        fs::read(disks.place.path("xfs/source/file")).unwrap(),
        b"xfs"
    );
}

#[test]
fn tasks_with_a_list_need_the_folder_of_lists_on_its_file_system() {
    let disks = Disks::new("lists");
    disks.place.file("ext4/list", "file\n");
    let config =
        "  source_fs_types: [ext4]\n  target_fs_types: [xfs]\n  file_list_dir_fs_type: xfs\n";
    let folder = disks.place.path("ext4");
    let table = disks.run(
        &format!("{config}  file_list_dir: {}\n", folder.display()),
        &[
            "ext4/source xfs/target1 ext4/list",
            "ext4/source xfs/target2",
        ],
    );
    assert_eq!(
        disks.message(&table, 1),
        "file_list_dir DIR/ext4 is on ext4, expected xfs"
    );
    assert_nothing_at(disks.place.path("xfs/target1"));
    disks.assert_migrated(&table, 2, "xfs/target2");
}

#[test]
fn a_link_to_a_directory_of_another_type_does_not_deceive() {
    let disks = Disks::new("links");
    let link = |to: &Path, at: &str| {
        std::os::unix::fs::symlink(to, disks.place.path(at)).unwrap();
    };
    link(&disks.place.path("ext4"), "xfs/to ext4");
    link(&disks.place.path("nowhere"), "xfs/dangling");
    let table = disks.run(
        "  source_fs_types: [any]\n  target_fs_types: [xfs]\n",
        &[
            "tmpfs/source xfs/dangling/target1",
            "tmpfs/source xfs/target2",
        ],
    );
    let message = disks.message(&table, 1);
    assert!(
        message.contains("is a symbolic link to something that does not exist"),
        "{message}"
    );
    assert_nothing_at(disks.place.path("nowhere"));
    disks.assert_migrated(&table, 2, "xfs/target2");

    disks.place.file(
        "tasks.txt",
        "DIR/tmpfs/source \"DIR/xfs/to ext4/target3\"\n",
    );
    disks.place.migrate("config.yaml").assert_code(1);
    let table = disks.place.results();
    let rows: Vec<_> = table.rows().collect();
    assert_eq!(
        rows[2].get("message"),
        Some("actual source or target filesystem type not match(tmpfs, ext4)")
    );
    assert_nothing_at(disks.place.path("ext4/target3"));
}
