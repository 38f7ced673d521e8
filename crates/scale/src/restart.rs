//! How long a server with many items takes to serve again after it was killed.

use crate::numbers::{Numbers, Wanted};
use crate::process::Server;
use crate::session::{Session, connect};

pub(crate) async fn measure(numbers: &mut Numbers, items: u64) -> anyhow::Result<()> {
    let mut server = Server::start(1)?;
    let mut first = Session::register(connect(&server.address()).await?, 0, 1).await?;
    first.split_root(items).await?;
    let took = server.start_again()?;
    numbers.add(
        &format!("killed with {items} items stored, ready again after"),
        took.as_secs_f64(),
        "s",
        Wanted::AtMost(5.0),
    );
    Ok(())
}
