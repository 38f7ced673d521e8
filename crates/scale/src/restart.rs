//! How long a server with many items takes to serve again after it was killed: to say so, and to grant one of them.

use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::numbers::{Numbers, Wanted};
use crate::process::Server;
use crate::session::{Session, connect};

pub(crate) async fn measure(numbers: &mut Numbers, items: u64) -> anyhow::Result<()> {
    let mut server = Server::start(1)?;
    let mut first = Session::register(connect(&server.address()).await?, 0, 1).await?;
    first.split_root(items).await?;
    let begun = Instant::now();
    let ready = server.start_again()?;
    let mut next = Session::register(connect(&server.address()).await?, 1, 1).await?;
    let grants = next.lease(1, Duration::from_secs(20)).await?;
    let granted = begun.elapsed();
    ensure!(!grants.is_empty(), "none of the stored items is granted");
    let killed = format!("killed with {items} items stored");
    for (until, took) in [("ready again", ready), ("an item granted again", granted)] {
        numbers.add(
            &format!("{killed}, {until} after"),
            took.as_secs_f64(),
            "s",
            Wanted::AtMost(5.0),
        );
    }
    Ok(())
}
