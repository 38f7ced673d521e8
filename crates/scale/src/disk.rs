//! How often a second the disk of the store makes an append durable.

use std::fs::File;
use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use testkit::Scratch;

use crate::numbers::{Numbers, Wanted};

const LASTS: Duration = Duration::from_secs(2);
/// A page of the store.
const PAGE: [u8; 4096] = [1; 4096];

pub(crate) fn measure(numbers: &mut Numbers) -> anyhow::Result<()> {
    let scratch = Scratch::new("scale-disk");
    let mut file = File::create(scratch.join("log")).context("cannot create a file")?;
    let begun = Instant::now();
    let mut syncs = 0;
    while begun.elapsed() < LASTS {
        file.write_all(&PAGE).context("cannot write")?;
        file.sync_data().context("cannot sync")?;
        syncs += 1;
    }
    let rate = f64::from(syncs) / begun.elapsed().as_secs_f64();
    numbers.add(
        "the disk: syncs of 4 KiB, one after another",
        rate,
        "/s",
        Wanted::Beside,
    );
    Ok(())
}
