//! How an error is told.

use super::global::Format;
use super::term::{CYAN, RED, Term, sentences};
use super::{exit, render};
use crate::error::Error;

/// Prints an error: what failed, where, why, and what to do next.
pub(super) fn print_error(term: &Term, format: Format, command: &str, error: &Error) -> u8 {
    let code = exit::code(error.kind());
    if format == Format::Json {
        term.report(&render::error_json(Some(command), code, error.into()));
        return code;
    }
    const SHOWN: usize = 40;
    term.say(&format!("{} {}", term.err(RED, "error:"), sentences(7, &error.to_string())));
    for detail in error.details().iter().take(SHOWN) {
        term.say(&format!("  {detail}"));
    }
    if error.details().len() > SHOWN {
        term.say(&format!("  … and {} more", error.details().len() - SHOWN));
    }
    let mut cause = std::error::Error::source(error);
    while let Some(e) = cause {
        term.say(&format!("  caused by: {}", crate::path::show_text(&e.to_string())));
        cause = e.source();
    }
    if let Some(help) = error.help() {
        term.say(&format!("{} {}", term.err(CYAN, "help:"), sentences(6, help)));
    }
    code
}
