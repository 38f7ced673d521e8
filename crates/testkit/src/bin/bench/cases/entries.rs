//! Ten million entries through a server and two workers: `BENCH_BIG_ENTRIES` (10000000). Only memory counts, which must
//! not grow with what was done.
//!
//! Nearly all files are empty, in directories of some hundred entries, in one another, with source and target on one ext4.
//! The median of the last tenth of each program's time is compared with that of its first after the start, in which its
//! threads get what they keep. That all arrived is judged by the accounts, `find`, and rsync in some of the directories.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::statvfs;
use testkit::results::Table as Results;
use testkit::rsync::try_rsync_differences;
use testkit::tree::{Made, Vast, make_vast};
use testkit::{HardLinks, tool};

use crate::Failure;
use crate::goal::{Bound, Goal, Unit};
use crate::place::Place;
use crate::report::{Section, Table};
use crate::resident::{Watched, to_end};
use crate::service::Service;
use crate::settings::{Settings, number};
use crate::tools::Tool;

/// There is nothing to compare with.
pub(super) const TOOLS: &[Tool] = &[Tool::Service];

const PER_DIRECTORY: u64 = 128;
const LIMIT_MIB: u64 = 512;
const GROWTH: f64 = 1.1;
/// Directories that rsync compares.
const COMPARED: u64 = 100;
/// What an entry of source and target takes of the directory for temporary files, at most.
const ENTRY_BYTES: u64 = 1200;
/// What changed later than that is looked at twice.
const SETTLES: Duration = Duration::from_secs(3);
const TOLD: Duration = Duration::from_secs(5);

pub(super) fn run(settings: &Settings) -> Result<Section, Failure> {
    let vast = Vast {
        entries: number("BENCH_BIG_ENTRIES", 10_000_000)?,
        per_directory: PER_DIRECTORY,
    };
    require_room(vast.entries)?;
    let place = Place::for_entries(vast.entries)?;
    let made = make(&place, &vast)?;
    thread::sleep(SETTLES);
    let ends = (place.source(), place.target());
    fs::create_dir(&ends.1)?;
    let keys = "  durability: none\n";
    let service = Service::prepare(place.beside(), (&ends.0, &ends.1), keys)?;
    let mut watched = [
        Watched::new("server", service.server(&[])?),
        Watched::new("first worker", service.worker()?),
        Watched::new("second worker", service.worker()?),
    ];
    let before = inodes(&place)?;
    let time = to_end(&mut watched, settings.limit, || {
        Ok(format!(
            "{} entries arrived",
            inodes(&place)?.saturating_sub(before)
        ))
    })?;
    accounts(&service, &made)?;
    eprintln!("comparing");
    counted(&place.target(), &made)?;
    compared(&place, &vast)?;
    let seconds = time.as_secs_f64();
    Ok(Section {
        heading: "Ten million entries",
        about: format!(
            "{} entries, of them {} directories, {} symlinks and files that are nearly all empty, on one ext4 in an \
             image among temporary files, through a server and two workers: {seconds:.0} s, {:.0} entries a second. \
             Resident memory, each quarter of a second; of the start half a minute, or a tenth of the time, is in no tenth.",
            vast.entries,
            made.directories,
            made.symlinks,
            vast.entries as f64 / seconds
        ),
        table: Table {
            columns: vec![
                "process",
                "first tenth, MiB",
                "last tenth, MiB",
                "highest, MiB",
                "bound, MiB",
            ],
            rows: watched.iter().map(row).collect(),
        },
        goals: watched.iter().flat_map(goals).collect(),
        is_broken: false,
    })
}

fn row(one: &Watched) -> Vec<String> {
    let mib = |bytes: u64| format!("{:.1}", bytes as f64 / 1_048_576.0);
    let (first, last) = one.tenths().unwrap_or_default();
    vec![
        one.name.to_owned(),
        mib(first),
        mib(last),
        mib(one.peak_bytes),
        LIMIT_MIB.to_string(),
    ]
}

fn goals(one: &Watched) -> [Goal; 2] {
    let growth = one.tenths().map(|(first, last)| last as f64 / first as f64);
    [
        Goal::new(
            format!("{}: the last tenth against the first", one.name),
            Bound::AtMost(GROWTH),
            Unit::Times,
            growth,
        ),
        Goal::peak(
            format!("{}: the most", one.name),
            LIMIT_MIB,
            Some(one.peak_bytes),
        ),
    ]
}

/// A file system whose image finds no room loses what was written to it.
fn require_room(entries: u64) -> Result<(), Failure> {
    let directory = std::env::temp_dir();
    let found = statvfs(&directory)?;
    let (room, wanted) = (found.f_bavail * found.f_frsize, entries * ENTRY_BYTES);
    if room < wanted {
        let directory = directory.display();
        let [room, wanted] = [room, wanted].map(|bytes| bytes >> 20);
        return Err(format!(
            "{directory} has {room} MiB left of {wanted} (TMPDIR, BENCH_BIG_ENTRIES)"
        )
        .into());
    }
    Ok(())
}

fn make(place: &Place, vast: &Vast) -> Result<Made, Failure> {
    eprintln!("making {} entries", vast.entries);
    let (done, has_ended) = (AtomicU64::new(0), AtomicBool::new(false));
    let begun = Instant::now();
    let made = thread::scope(|scope| {
        let teller = scope.spawn(|| {
            while !has_ended.load(Ordering::Relaxed) {
                thread::park_timeout(TOLD);
                let seconds = begun.elapsed().as_secs();
                eprintln!("{seconds} s: {} made", done.load(Ordering::Relaxed));
            }
        });
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let made = make_vast(&place.source(), vast, 1, threads, &done);
        has_ended.store(true, Ordering::Relaxed);
        teller.thread().unpark();
        made
    })?;
    Ok(made)
}

/// In use.
fn inodes(place: &Place) -> Result<u64, Failure> {
    let found = statvfs(place.data())?;
    Ok(found.f_files - found.f_ffree)
}

/// What the run says of itself.
fn accounts(service: &Service, made: &Made) -> Result<(), Failure> {
    let results = Results::read(&service.results())?;
    let row = results.rows().next().ok_or("there are no results")?;
    let said = (row.get("success"), row.number("files"), row.number("bytes"));
    if said != (Some("true"), made.files, made.bytes) {
        return Err(format!("of {made:?} the results have {row:?}").into());
    }
    let workers = row.get("client id").unwrap_or_default();
    if workers.split(',').count() != 2 {
        return Err(format!("not two workers did it, but {workers}").into());
    }
    let log = service.log_of(1)?;
    let entries = made.entries();
    let counts = format!("listed {entries}, copied {entries} ");
    if !log.contains(&counts) {
        return Err(format!("{counts:?} is not in its log: {log}").into());
    }
    Ok(())
}

/// Of each kind there are as many names below `target` as were made.
fn counted(target: &Path, made: &Made) -> Result<(), Failure> {
    let mut find = Command::new("find");
    find.arg(target).args(["-mindepth", "1", "-printf", "%y"]);
    let found = tool::run(&mut find)?.stdout;
    let count = |kind: u8| found.iter().filter(|one| **one == kind).count() as u64;
    let counted = (count(b'f'), count(b'd'), count(b'l'), found.len() as u64);
    let wanted = (made.files, made.directories, made.symlinks, made.entries());
    match counted == wanted {
        true => Ok(()),
        false => Err(format!(
            "find has {counted:?} files, directories, links and entries of {wanted:?}"
        )
        .into()),
    }
}

/// Some directories, spread over all that have no others in them.
fn compared(place: &Place, vast: &Vast) -> Result<(), Failure> {
    let last = vast.directories();
    let leaves = last - last / 2;
    for number in 0..COMPARED.min(leaves) {
        let path = vast.path(last - number * leaves / COMPARED.min(leaves));
        let [source, target] = [place.source(), place.target()].map(|root| root.join(&path));
        let differences = try_rsync_differences(&source, &target, HardLinks::Compare)?;
        if let Some(first) = differences.first() {
            return Err(format!("{} differs: {first}", target.display()).into());
        }
    }
    Ok(())
}
