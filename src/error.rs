//! Typed errors. The message names the operation and the path, in lower case and without a full stop; the
//! cause stands in [`source`](std::error::Error::source) and is never repeated in the text; the remedy is
//! [`Error::help`]. Findings of a check are data in a report, not errors.

use std::fmt;
use std::io;
use std::path::Path;

use crate::text::show_path;

/// The result of the library's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of failure an [`Error`] is. The command line maps each to an exit code in one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request makes no sense: an ambiguous prefix, a path that names nothing, flags that contradict each other.
    Usage,
    /// The settings in a manifest are wrong.
    Settings,
    /// No store was found, or what stands in its place is none.
    NoStore,
    /// No such restore point.
    NoRestorePoint,
    /// A rollback was interrupted: it has to be resumed or aborted first.
    CutOff,
    /// Another run holds the store.
    Busy,
    /// The user asked to stop, and nothing was changed.
    Interrupted,
    /// A restore point or another file of the store is damaged.
    Damaged,
    /// A file of the store is whole, and of a version that this one does not read.
    UnknownVersion,
    /// A file changed under the operation's hands.
    Changed,
    /// It failed half way: the details name what was done by then.
    Partial,
    /// The workspace could not be read: cargo metadata fails, or a file cannot be opened.
    Workspace,
    /// The answer was no, or there was nobody to ask.
    NotConfirmed,
    /// A call to the operating system failed.
    Io,
}

/// An error of the library: a kind, a message, places, a remedy and a cause.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    details: Vec<String>,
    help: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// A new error without details, help or cause.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), details: Vec::new(), help: None, source: None }
    }

    /// An error of the operating system, met while doing `operation` (a verb) to `path`.
    pub fn io(operation: &str, path: &Path, source: io::Error) -> Self {
        Error::new(ErrorKind::Io, format!("failed to {operation} `{}`", show_path(path))).with_source(source)
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds the remedy: what the user can do next.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds one line for each place that is concerned, as `path: what is wrong`.
    #[must_use]
    pub fn with_details(mut self, details: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(details);
        self
    }

    /// Adds to the message, behind a semicolon.
    #[must_use]
    pub fn and(mut self, text: &str) -> Self {
        self.message.push_str("; ");
        self.message.push_str(text);
        self
    }

    /// Replaces the kind.
    #[must_use]
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.kind = kind;
        self
    }

    /// What sort of failure this is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// One line for each place that is concerned; may be empty.
    pub fn details(&self) -> &[String] {
        &self.details
    }

    /// What the user can do next, where something can be said.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The operating system's error behind this one, where there is one.
    pub fn io_error(&self) -> Option<&io::Error> {
        self.source.as_ref()?.downcast_ref::<io::Error>()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as &(dyn std::error::Error + 'static))
    }
}

/// Something was read back from the disk with other content than was written there. `shown` names it.
pub(crate) fn miswritten(shown: &str) -> Error {
    Error::new(ErrorKind::Io, format!("{shown} was read back with other content than was written"))
        .with_help("the disk or the memory may be failing: check both before you go on")
}

/// Adds operation and path to an [`io::Error`].
pub(crate) trait IoContext<T> {
    /// Turns the error into an [`Error`] that says what was being done to which path.
    fn during(self, operation: &str, path: impl AsRef<Path>) -> Result<T>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn during(self, operation: &str, path: impl AsRef<Path>) -> Result<T> {
        self.map_err(|e| Error::io(operation, path.as_ref(), e))
    }
}
