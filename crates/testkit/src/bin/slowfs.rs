//! Mounts the slow file system by hand, or for a bench.
//!
//! It serves until `umount MOUNTPOINT`, SIGTERM or SIGINT, then prints how many requests of each kind there were;
//! SIGUSR1 prints them meanwhile, SIGUSR2 sets them to 0. A fault given by hand prints at the end how often it fired.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::io::Errno;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use testkit::fuse::{Armed, Fault, Mounted, Op, SlowFs};

const USAGE: &str = "usage: slowfs LOWER MOUNTPOINT [OPTION …]
  --metadata-delay-us N   before each metadata request
  --data-delay-us N       before each read, write, copy and sync
  --cache-ms N            how long names and attributes are cached (1000)
  --threads N             requests that are served at once (32)
  --direct-io             no caching of content
  --without KIND          requests of this kind are not known
  --fail KIND:N:ERRNO     the N-th request of this kind is answered by this error number
  --counts FILE           where counts go, instead of standard output
  --timeline FILE         each 100 ms a line: milliseconds since 1970, requests so far, requests in work";

/// Between two lines of a timeline.
const STEP: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("slowfs: {error}");
            ExitCode::from(2)
        }
    }
}

struct Arguments {
    slow: SlowFs,
    point: PathBuf,
    faults: Vec<(String, Fault)>,
    counts_file: Option<PathBuf>,
    timeline: Option<PathBuf>,
}

fn run() -> Result<(), Box<dyn Error>> {
    let Arguments {
        slow,
        point,
        faults,
        counts_file,
        timeline,
    } = arguments()?;
    // Before the mount, so that no signal leaves it behind.
    let mut signals = Signals::new([SIGUSR1, SIGUSR2, SIGINT, SIGTERM])?;
    let mounted = Arc::new(slow.mount(&point)?);
    let armed: Vec<(String, Armed)> = faults
        .into_iter()
        .map(|(text, fault)| (text, mounted.arm(fault)))
        .collect();
    eprintln!("slowfs: serving at {}", mounted.path().display());
    if let Some(file) = timeline {
        let (mounted, file) = (Arc::clone(&mounted), File::create(file)?);
        thread::spawn(move || write_timeline(&mounted, file));
    }
    let end = signals.handle();
    let watched = Arc::clone(&mounted);
    thread::spawn(move || {
        while !watched.wait_until_unmounted(Duration::from_secs(3600)) {}
        end.close();
    });
    for signal in signals.forever() {
        match signal {
            SIGUSR1 => write_counts(&mounted, &armed, counts_file.as_ref())?,
            SIGUSR2 => mounted.counters().reset(),
            _ => break,
        }
    }
    write_counts(&mounted, &armed, counts_file.as_ref())?;
    if mounted.is_mounted() {
        mounted.detach()?;
    }
    Ok(())
}

/// Until the file takes no more; ends with the process.
fn write_timeline(mounted: &Mounted, mut file: File) -> io::Result<()> {
    loop {
        thread::sleep(STEP);
        let counters = mounted.counters();
        let (all, in_flight) = (counters.total(), counters.in_flight());
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        writeln!(file, "{} {all} {in_flight}", now.as_millis())?;
    }
}

fn write_counts(
    mounted: &Mounted,
    armed: &[(String, Armed)],
    file: Option<&PathBuf>,
) -> Result<(), Box<dyn Error>> {
    let mut text = mounted.counters().to_string();
    for (fault, armed) in armed {
        text += &format!("fired {fault} {}\n", armed.fired());
    }
    match file {
        Some(file) => fs::write(file, text)?,
        None => print!("{text}"),
    }
    Ok(())
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let mut given = std::env::args_os().skip(1);
    let lower = PathBuf::from(given.next().ok_or(USAGE)?);
    let point = PathBuf::from(given.next().ok_or(USAGE)?);
    let mut arguments = Arguments {
        slow: SlowFs::over(&lower),
        point,
        faults: Vec::new(),
        counts_file: None,
        timeline: None,
    };
    while let Some(option) = given.next() {
        let option = option.to_str().ok_or(USAGE)?;
        let slow = arguments.slow.clone();
        if option == "--direct-io" {
            arguments.slow = slow.direct_io();
            continue;
        }
        let value = given.next().ok_or(USAGE)?;
        if option == "--counts" {
            arguments.counts_file = Some(value.into());
            continue;
        }
        if option == "--timeline" {
            arguments.timeline = Some(value.into());
            continue;
        }
        let value = value.to_str().ok_or(USAGE)?;
        arguments.slow = match option {
            "--metadata-delay-us" => slow.metadata_delay(Duration::from_micros(value.parse()?)),
            "--data-delay-us" => slow.data_delay(Duration::from_micros(value.parse()?)),
            "--cache-ms" => {
                let timeout = Duration::from_millis(value.parse()?);
                slow.attribute_timeout(timeout).entry_timeout(timeout)
            }
            "--threads" => slow.threads(value.parse()?),
            "--without" => slow.without(kind(value)?),
            "--fail" => {
                arguments.faults.push((value.to_owned(), fault(value)?));
                slow
            }
            _ => return Err(USAGE.into()),
        };
    }
    Ok(arguments)
}

fn kind(name: &str) -> Result<Op, String> {
    Op::from_name(name).ok_or_else(|| {
        let names: Vec<&str> = Op::ALL.iter().map(|op| op.name()).collect();
        format!("no kind {name:?}; there are {}", names.join(", "))
    })
}

fn fault(text: &str) -> Result<Fault, Box<dyn Error>> {
    let parts: Vec<&str> = text.split(':').collect();
    let [op, number, errno] = parts.as_slice() else {
        return Err(USAGE.into());
    };
    let errno = Errno::from_raw_os_error(errno.parse()?);
    Ok(Fault::errno(kind(op)?, errno).nth(number.parse()?))
}
