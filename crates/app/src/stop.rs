//! SIGTERM and Ctrl-C: the first asks for an orderly end, the second ends at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use transfer::Cancel;

const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;

static RECEIVED: AtomicI32 = AtomicI32::new(0);

/// The signal that asked for the end, if one has.
pub(crate) fn received() -> Option<i32> {
    match RECEIVED.load(Ordering::Relaxed) {
        0 => None,
        signal => Some(signal),
    }
}

/// Listens from now on; the receiver turns true when an end was asked for.
pub(crate) fn listen() -> std::io::Result<watch::Receiver<bool>> {
    let (sender, receiver) = watch::channel(false);
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        let first = either(&mut interrupt, &mut terminate).await;
        RECEIVED.store(first, Ordering::Relaxed);
        tracing::warn!("stopping; a second signal ends at once");
        sender.send_replace(true);
        let second = either(&mut interrupt, &mut terminate).await;
        std::process::exit(128 + second);
    });
    Ok(receiver)
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) -> i32 {
    tokio::select! {
        _ = interrupt.recv() => SIGINT,
        _ = terminate.recv() => SIGTERM,
    }
}

/// Resolves when an end was asked for.
pub(crate) async fn asked(mut receiver: watch::Receiver<bool>) {
    // The sender lives as long as the process.
    let _ = receiver.wait_for(|asked| *asked).await;
}

/// Has the first signal cancel what a command does that needs no runtime otherwise.
pub(crate) fn cancels(cancel: &Arc<Cancel>) -> anyhow::Result<()> {
    let cancel = Arc::clone(cancel);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            match listen() {
                Ok(stop) => {
                    asked(stop).await;
                    cancel.cancel();
                    // Stays to end the process at the second signal.
                    std::future::pending::<()>().await;
                }
                Err(e) => tracing::warn!("cannot listen for signals: {e}"),
            }
        });
    });
    Ok(())
}
