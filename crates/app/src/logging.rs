//! Log lines: on standard error, as text or JSON. Ours at the level asked for, libraries' from warnings on.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::console::Log;
use crate::flags::{LogFlags, LogFormat};

const OURS: [&str; 6] = [
    "app",
    "coordinator",
    "worker",
    "transfer",
    "storage",
    "wire",
];

/// Call once, first.
pub(crate) fn begin(flags: &LogFlags) {
    let level = match (flags.trace, flags.debug) {
        (true, _) => "trace",
        (_, true) => "debug",
        _ => "info",
    };
    let others = if flags.trace { "debug" } else { "warn" };
    // What the S3 library logs of its requests has keys and signatures in it.
    let others = format!("{others},aws=off");
    let filter = OURS
        .iter()
        .fold(others, |filter, name| format!("{filter},{name}={level}"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(|| Log)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(flags.debug || flags.trace);
    match flags.format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}
