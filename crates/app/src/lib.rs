//! The three programs: what was typed, then what it means.
//!
//! `flags` holds what several commands share, each file of `commands` one command; `console` and
//! `logging` are what people see, `exit` what scripts see.

// These panic where nobody can read what they write: see `console`.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod commands;
mod console;
mod exit;
mod flags;
mod logging;
mod stop;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use commands::{check, copy, fstype, run, server, status, sweep, upload, worker};

/// Moves whole file systems: with a server and a fleet of workers, in one process, or just by copying
#[derive(Parser)]
#[command(name = "data-migrate", version, max_term_width = 100)]
struct DataMigrate {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Copy(copy::Flags),
    Check(check::Flags),
    Run(run::Flags),
    Server(server::Flags),
    Worker(worker::Flags),
    Status(status::Flags),
    Fstype(fstype::Flags),
    Sweep(sweep::Flags),
    Upload(upload::Flags),
}

/// `data-migrate COMMAND …`
pub fn data_migrate() -> ExitCode {
    exit::of(match DataMigrate::parse().command {
        Command::Copy(flags) => copy::main(flags),
        Command::Check(flags) => check::main(flags),
        Command::Run(flags) => run::main(flags),
        Command::Server(flags) => server::main(flags),
        Command::Worker(flags) => worker::main(flags),
        Command::Status(flags) => status::main(flags),
        Command::Fstype(flags) => fstype::main(flags),
        Command::Sweep(flags) => sweep::main(flags),
        Command::Upload(flags) => upload::main(flags),
    })
}

#[derive(Parser)]
#[command(name = "data-migrate-server", version, max_term_width = 100)]
struct Server {
    #[command(flatten)]
    flags: server::Flags,
}

/// `data-migrate-server …`
pub fn data_migrate_server() -> ExitCode {
    exit::of(server::main(Server::parse().flags))
}

#[derive(Parser)]
#[command(name = "data-migrate-worker", version, max_term_width = 100)]
struct Worker {
    #[command(flatten)]
    flags: worker::Flags,
}

/// `data-migrate-worker …`
pub fn data_migrate_worker() -> ExitCode {
    exit::of(worker::main(Worker::parse().flags))
}
