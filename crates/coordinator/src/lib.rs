//! The server's side of a migration: it decides who does what, remembers it, and shows it.
//! It never copies.

pub mod store;
