//! The one table from what happened to the exit code.

use crate::ErrorKind;

/// Done.
pub(super) const DONE: u8 = 0;
/// Done, and a check found problems.
pub(super) const FINDINGS: u8 = 1;
/// The command line or the settings are wrong.
pub(super) const USAGE: u8 = 2;
/// Could not be done; nothing was changed.
pub(super) const NOT_DONE: u8 = 3;
/// A rollback was interrupted.
pub(super) const CUT_OFF: u8 = 4;
/// Another run holds the store.
pub(super) const BUSY: u8 = 5;

/// The exit code of a command whose report could not be written: what only looks was not done, and what was changed is.
pub(super) fn unreported(code: u8, changes: bool) -> u8 {
    match code {
        DONE | FINDINGS if !changes => NOT_DONE,
        DONE => FINDINGS,
        other => other,
    }
}

/// The exit code of an error.
pub(super) fn code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Usage | ErrorKind::Settings => USAGE,
        ErrorKind::CutOff => CUT_OFF,
        ErrorKind::Partial => FINDINGS,
        ErrorKind::Busy => BUSY,
        ErrorKind::NoStore
        | ErrorKind::NoRestorePoint
        | ErrorKind::Interrupted
        | ErrorKind::Damaged
        | ErrorKind::UnknownVersion
        | ErrorKind::Changed
        | ErrorKind::Workspace
        | ErrorKind::NotConfirmed
        | ErrorKind::Io => NOT_DONE,
    }
}
