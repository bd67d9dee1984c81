//! The library from outside: whole small workspaces on disk, taken through backup, damage, cuts and rollback.
#![allow(clippy::disallowed_methods, reason = "tests make the files, the damage and the races themselves")]
#![allow(clippy::print_stderr, reason = "what cannot be tested here is said aloud")]

mod cli;
mod support;
