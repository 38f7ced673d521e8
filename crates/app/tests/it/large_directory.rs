//! A directory that takes long gets its name before it is done: what was copied of it is seen, and stays when the copy is
//! stopped or killed.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use testkit::fuse::{Mounted, SlowFs};
use testkit::process::Signal;
use testkit::tree::{Recipe, make};
use testkit::{Program, assert_same, leftovers};

use crate::place::{MAIN, Place};

const FILES: u64 = 700;
const LONG: Duration = Duration::from_secs(90);

/// Of which each file takes a while to read: by two threads more than a directory stays without a name.
struct Large {
    place: Place,
    source: Mounted,
}

impl Large {
    fn new(label: &str) -> Self {
        let place = Place::new(label);
        let recipe = Recipe {
            file_bytes: 1..=5_000,
            symlinks: 20,
            ..Recipe::plain(0, FILES)
        };
        make(&place.path("lower/large"), &recipe, 8).unwrap();
        // What changed just now would be read at the end.
        std::thread::sleep(Duration::from_secs(3));
        let source = SlowFs::over(&place.path("lower"))
            .data_delay(Duration::from_millis(60))
            .mount(&place.directory("source"))
            .unwrap();
        Self { place, source }
    }

    fn copy(&self, durability: &str) -> Program {
        let mut command = self.place.command(MAIN);
        let options = ["copy", "--transfers", "2", "--durability", durability];
        command.args(options).arg(self.source.path()).arg("target");
        Program::start(&mut command).unwrap()
    }

    /// Those of it that have their names, each of them whole.
    fn arrived(&self) -> u64 {
        let Ok(names) = fs::read_dir(self.place.path("target/large")) else {
            return 0;
        };
        let names = names.map(|entry| entry.unwrap().file_name());
        let final_names = names.filter(|name| !name.as_encoded_bytes().starts_with(b".dm."));
        let (mut whole, both) = (0, ["lower/large", "target/large"]);
        for name in final_names {
            let [source, target]: [PathBuf; 2] = both.map(|at| self.place.path(at).join(&name));
            let is_link = source.is_symlink();
            assert!(
                match is_link {
                    true => fs::read_link(&source).unwrap() == fs::read_link(&target).unwrap(),
                    false => fs::read(&source).unwrap() == fs::read(&target).unwrap(),
                },
                "{name:?}"
            );
            whole += 1;
        }
        whole
    }

    /// Stops a copy when the directory has its name and is not done; what another then finds.
    fn stopped_by(&self, signal: Signal, durability: &str) {
        let copy = self.copy(durability);
        copy.wait_until("a name", LONG, || self.arrived() > 0)
            .unwrap();
        let before = self.arrived();
        copy.signal(signal);
        let code = copy.exit_code(LONG).unwrap();
        assert_ne!(code, 0, "it was stopped");
        if signal == Signal::INT {
            assert!(
                copy.stderr().contains("broken off after "),
                "{}",
                copy.stderr()
            );
        }
        let after = self.arrived();
        assert!(
            (before..FILES).contains(&after),
            "{before} before, {after} after"
        );
        assert!(before > FILES / 8, "{before}");

        let again = self.copy(durability);
        assert_eq!(again.exit_code(LONG).unwrap(), 0, "{}", again.stderr());
        assert!(
            again.stdout().contains(&format!(" {after} unchanged")),
            "{after}: {}",
            again.stdout()
        );
        assert_same(&self.place.path("lower"), &self.place.path("target"));
        assert!(leftovers(&self.place.path("target")).is_empty());
    }
}

#[test]
fn what_was_copied_stays_when_the_copy_is_stopped() {
    Large::new("large-stopped").stopped_by(Signal::INT, "batch");
}

#[test]
fn what_was_copied_stays_when_the_copy_is_killed() {
    Large::new("large-killed").stopped_by(Signal::KILL, "none");
}
