//! The programs that copy: the one under test and the two that are believed.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use crate::place::{Done, MAIN, PLAIN_USER, Place};

/// Of rsync: some entries or attributes were not copied.
const RSYNC_PARTIAL: i32 = 23;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    Root,
    Plain,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    DataMigrate,
    Rsync,
    Cp,
}

impl Tool {
    /// Copies the contents of one directory into another, with all that the program can keep, and replaces whatever is
    /// in the way. That it succeeds is asserted.
    #[track_caller]
    pub fn copy(self, place: &Place, user: User, source: &Path, target: &Path) -> Done {
        let contents = |directory: &Path, end: &str| {
            let mut path = directory.as_os_str().to_owned();
            path.push(end);
            path
        };
        let arguments: Vec<OsString> = match self {
            Self::DataMigrate => vec![source.into(), target.into()],
            Self::Rsync => vec![contents(source, "/"), contents(target, "/")],
            Self::Cp => vec![contents(source, "/."), target.into()],
        };
        let run = || place.run(self.command(place, user).args(&arguments));
        let mut done = run();
        if self == Self::Rsync && done.code == RSYNC_PARTIAL {
            // It asks a directory that it has just removed for its default ACL. The next time there is none.
            done = run();
        }
        done.assert_code(0)
    }

    fn command(self, place: &Place, user: User) -> Command {
        let (program, flags): (&str, &[&str]) = match self {
            Self::DataMigrate => (
                MAIN,
                &["copy", "--specials", "copy", "--conflicts", "replace"],
            ),
            Self::Rsync => (
                "rsync",
                &[
                    "-aHAXS",
                    "--numeric-ids",
                    // To the nanosecond.
                    "--modify-window=-1",
                    "--force",
                    "--",
                ],
            ),
            // Else it writes through links that it finds in a file's place.
            Self::Cp => ("cp", &["-a", "--remove-destination", "--"]),
        };
        let mut command = match (user, self) {
            (User::Root, _) => place.any_command(program),
            (User::Plain, Self::DataMigrate) => place.command_as_plain_user(program),
            (User::Plain, _) => {
                let mut command = place.any_command("setpriv");
                command
                    .arg(format!("--reuid={PLAIN_USER}"))
                    .arg(format!("--regid={PLAIN_USER}"))
                    .args(["--clear-groups", "--", program]);
                command
            }
        };
        command.args(flags);
        command
    }
}
