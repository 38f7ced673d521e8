//! What must hold after a copy, whoever made it: the target is as its source, says the comparer and says rsync; it is
//! as another program leaves the same state; nothing else was touched; and a second copy touches nothing at all.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use testkit::compare::{Options, assert_same_by};
use testkit::damage::Damage;
use testkit::tree::Made;
use testkit::{HardLinks, Scratch, Stamps, leftovers, rsync_differences};

use super::{Before, Case, Tool, User};
use crate::place::{Done, Place};

/// What `data-migrate copy` says of its entries in its last line.
#[derive(Debug, PartialEq, Eq)]
struct Summary {
    listed: u64,
    copied: u64,
    unchanged: u64,
    skipped: u64,
    failed: u64,
}

/// The directories of one case.
struct Ground {
    place: Place,
    scratch: Scratch,
    source: PathBuf,
    outside: PathBuf,
    user: User,
}

/// Copies the case's tree by `subject` on the file system at `mounted`, and asserts all of it.
#[track_caller]
pub fn examine(case: &Case, subject: Tool, user: User, mounted: &Path) {
    let ground = Ground::new(mounted, user);
    let made = case.make_source(&ground.source).expect("it can be made");
    let target = ground.before(case, "target");
    let untouched = [&ground.source, &ground.outside].map(|root| (root, stamps(root)));
    let before = stamps(&target);

    let done = subject.copy(&ground.place, user, &ground.source, &target);
    if subject == Tool::DataMigrate {
        assert_first(&Summary::of(&done), &made, case);
    }
    if matches!(case.before, Before::Identical) {
        before.assert_untouched(&target);
    }
    assert_arrived(case, &ground.source, &target);
    for oracle in oracles(case, user).filter(|oracle| *oracle != subject) {
        let theirs = ground.before(case, "theirs");
        oracle.copy(&ground.place, user, &ground.source, &theirs);
        let options = Options {
            // It makes holes of zeros that the source has on its disk.
            holes: oracle != Tool::Rsync,
            acls: oracle != Tool::Rsync || !has_sticky_acls(case),
            ..Options::everything()
        };
        assert_same_by(&theirs, &target, &options);
        fs::remove_dir_all(&theirs).expect("it can be removed");
    }

    let before = stamps(&target);
    let again = subject.copy(&ground.place, user, &ground.source, &target);
    if subject == Tool::DataMigrate {
        assert_eq!(Summary::of(&again), Summary::unchanged(&made));
    }
    before.assert_untouched(&target);
    for (root, stamps) in &untouched {
        stamps.assert_untouched(root);
    }
}

/// Who can copy onto this state.
fn oracles(case: &Case, user: User) -> impl Iterator<Item = Tool> {
    // It does not replace directories by others, takes nothing away from those that are there, and as a plain user can't
    // replace files in a directory that forbids it.
    let is_new = matches!(case.before, Before::Empty) || user == User::Root;
    let cp = (!case.is_damaged() && is_new).then_some(Tool::Cp);
    // Names that should not be of one file stay so where only attributes differ (see its manual, --hard-links).
    let rsync = (user == User::Root && !case.has(Damage::Joined)).then_some(Tool::Rsync);
    cp.into_iter().chain(rsync)
}

/// Whether ACLs may be on sticky directories: rsync (3.2.7) takes the owning group's rights there from another entry, if
/// one before it names the same users and groups with the same rights.
pub fn has_sticky_acls(case: &Case) -> bool {
    case.recipe.acls && case.recipe.odd_attributes
}

#[track_caller]
fn assert_arrived(case: &Case, source: &Path, target: &Path) {
    let has_extra = case.has(Damage::Extra);
    let options = Options {
        extra_entries_allowed: has_extra,
        ..Options::everything()
    };
    assert_same_by(source, target, &options);
    let mut rows = rsync_differences(source, target, HardLinks::Compare);
    rows.retain(|row| !(has_extra && row.starts_with("*deleting ")));
    assert!(rows.is_empty(), "rsync would do: {rows:#?}");
    assert!(leftovers(target).is_empty());
}

#[track_caller]
fn assert_first(summary: &Summary, made: &Made, case: &Case) {
    let all = made.entries();
    let copied = match case.before {
        Before::Empty => all,
        Before::Identical => 0,
        Before::Damaged { .. } => summary.copied,
    };
    let expected = Summary {
        copied,
        unchanged: all - copied.min(all),
        ..Summary::unchanged(made)
    };
    assert_eq!(*summary, expected);
}

fn stamps(root: &Path) -> Stamps {
    Stamps::take(root).expect("it can be looked at")
}

impl Ground {
    fn new(mounted: &Path, user: User) -> Self {
        let place = Place::new("differential");
        let scratch = Scratch::within(mounted, "case").expect("it can be made");
        if user == User::Plain {
            fs::set_permissions(scratch.path(), Permissions::from_mode(0o777)).expect("it is ours");
        }
        scratch.directory("outside/directory");
        scratch.file("outside/file", b"not to be touched");
        Self {
            place,
            source: scratch.join("source"),
            outside: scratch.join("outside"),
            scratch,
            user,
        }
    }

    fn before(&self, case: &Case, name: &str) -> PathBuf {
        let target = self.scratch.join(name);
        case.make_before(&target, &self.outside)
            .unwrap_or_else(|error| panic!("{}: {error}", target.display()));
        if let (User::Plain, Some(user)) = (self.user, case.recipe.plain_user) {
            std::os::unix::fs::lchown(&target, Some(user), Some(user)).expect("it is there");
        }
        target
    }
}

impl Summary {
    #[track_caller]
    fn of(done: &Done) -> Self {
        let number = |name: &str| {
            let parts = done.stdout.split([':', ',', '(', ')', '\n']);
            let mut numbers = parts.filter_map(|part| part.trim().strip_suffix(name));
            let first = numbers.next().and_then(|part| part.split(' ').next());
            first
                .and_then(|number| number.parse().ok())
                .unwrap_or_else(|| panic!("{name}: {}", done.stdout))
        };
        Self {
            listed: number("listed"),
            copied: number("copied"),
            unchanged: number("unchanged"),
            skipped: number("skipped"),
            failed: number("failed"),
        }
    }

    fn unchanged(made: &Made) -> Self {
        Self {
            listed: made.entries(),
            copied: 0,
            unchanged: made.entries(),
            skipped: 0,
            failed: 0,
        }
    }
}
