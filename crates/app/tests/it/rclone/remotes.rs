//! A place with a tree that remotes can hold whole, servers of two kinds, and an rclone.conf that names them.

use std::fs;

use testkit::compare::{Options, assert_same_by};
use testkit::tree::{Made, Recipe, make};

use super::Serving;
use crate::place::{self, OLDER, Place};

/// What each place holds: a tree in `source`, which remotes can hold whole, and two servers.
pub struct Remotes {
    pub place: Place,
    pub made: Made,
    _s3: Serving,
    _dav: Serving,
}

impl Remotes {
    pub fn new(label: &str) -> Self {
        let place = Place::new(label);
        let recipe = Recipe {
            file_bytes: 1..=5000,
            ..Recipe::plain(4, 40)
        };
        let mut made = make(&place.path("source"), &recipe, 3).unwrap();
        for name in ["\u{65e5}\u{672c}", "with blank", "#+ %20"] {
            place.file(&format!("source/more/{name}"), "some");
            (made.files, made.bytes) = (made.files + 1, made.bytes + 4);
        }
        for empty in place::list(&place.path("source")).into_keys() {
            // Where there are none, remotes have none: there is no better way to know than to try.
            let _ = fs::remove_dir(empty);
        }
        place.directory("s3/bucket");
        let s3 = Serving::start(&place, "s3", "s3", &["--auth-key", "key,secret"]);
        let dav = Serving::start(&place, "webdav", "dav", &[]);
        place.file(
            "rclone.conf",
            &format!(
                "[dav]\ntype = webdav\nvendor = other\nurl = http://127.0.0.1:{}\n
[unused]\ntype = ftp\nhost = example.org\npass = canary\n
[store]\ntype = s3\nprovider = Other\naccess_key_id = key\nsecret_access_key = secret
endpoint = http://127.0.0.1:{}\n",
                dav.port, s3.port
            ),
        );
        Self {
            place,
            made,
            _s3: s3,
            _dav: dav,
        }
    }

    /// A config with these types, and one task.
    pub fn task(&self, types: (&str, &str), task: &str) {
        let config = OLDER
            .replace(
                "source_fs_type: any",
                &format!("source_fs_type: {}", types.0),
            )
            .replace(
                "target_fs_type: any",
                &format!("target_fs_type: {}", types.1),
            );
        let server = "server:\n  ineligible_grace_secs: 0\n  item_attempts: 2\n";
        self.place.file("config.yaml", &format!("{config}{server}"));
        self.place.file("deploy/data_sources.txt", task);
    }

    /// Asserts that what lies in `directory` is what lies in the source.
    #[track_caller]
    pub fn assert_in(&self, directory: &str) {
        let (source, there) = (self.place.path("source"), self.place.path(directory));
        assert_same_by(&source, &there, &Options::data_only());
        let table = self.place.results();
        let row = table.rows().last().unwrap();
        assert_eq!(row.get("success"), Some("true"), "{row:?}");
        assert_eq!(row.get("engine"), Some("rclone"), "{row:?}");
        assert_eq!(
            (row.number("files"), row.number("bytes")),
            (self.made.files, self.made.bytes),
            "{row:?}"
        );
    }

    /// The message of the only task, which failed.
    pub fn failure(&self) -> String {
        let table = self.place.results();
        let row = table.rows().last().unwrap();
        assert_eq!(row.get("success"), Some("false"), "{row:?}");
        self.place.without_directory(row.get("message").unwrap())
    }
}
