//! The rules that every store keeps.
