//! What an operation tells while it runs. The library never prints: a caller that wants to see gives an
//! [`Observer`].

use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::manifest::Id;

/// One thing that happened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A step began; `total` is in the unit of [`Event::Progress`], 0 where it is not known.
    Phase {
        /// What is being done, as one verb: `Copying`, `Verifying`.
        verb: &'static str,
        /// What it is done to.
        what: String,
        /// How much there is to do.
        total: u64,
    },
    /// The current step got on: how much of its `total` is done, counted from its start.
    Progress {
        /// How much is done.
        done: u64,
    },
    /// A build got on, by its own count.
    Units {
        /// How many units are done.
        done: u64,
        /// How many there are.
        total: u64,
        /// What is being built.
        what: String,
    },
    /// Something was done to one file.
    File {
        /// What was done: `copied`, `linked`, `replaced`, `displaced`, …
        action: &'static str,
        /// The path as it is shown.
        path: String,
        /// More, for the log: size, digest.
        detail: String,
    },
    /// Something worth knowing that is no error.
    Note {
        /// One sentence.
        text: String,
    },
    /// The operation waits for another run.
    Waiting {
        /// For whom: `another run that holds the store`.
        holder: String,
    },
    /// A restore point became complete.
    RestorePoint {
        /// Its id.
        id: Id,
    },
}

/// `1 file`, `2 files`.
pub(crate) fn plural(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// Receives events, from several threads at once.
pub trait Observer: Send + Sync {
    /// Called for each event; should return soon.
    fn on(&self, event: &Event);
}

/// An observer that looks at nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn on(&self, _event: &Event) {}
}

/// How many bytes of the current step are done, counted from several threads at once, and told as they are read.
pub(crate) struct Meter<'a> {
    observer: &'a dyn Observer,
    done: AtomicU64,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(observer: &'a dyn Observer) -> Self {
        Meter { observer, done: AtomicU64::new(0) }
    }

    /// So many more are done.
    pub(crate) fn add(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.observer.on(&Event::Progress { done });
    }

    /// So many have to be done again.
    pub(crate) fn back(&self, bytes: u64) {
        self.done.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// A reader whose bytes count as they are read.
    pub(crate) fn over<R: Read>(&self, from: R) -> impl Read {
        Metered { meter: self, from }
    }
}

struct Metered<'m, R> {
    meter: &'m Meter<'m>,
    from: R,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let n = self.from.read(out)?;
        self.meter.add(n as u64);
        Ok(n)
    }
}

/// Whether the user asked to stop. Operations look at it where stopping is safe.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(std::sync::Arc<std::sync::atomic::AtomicBool>);

impl Interrupt {
    /// The flag, for a signal handler to set.
    pub fn flag(&self) -> std::sync::Arc<std::sync::atomic::AtomicBool> {
        self.0.clone()
    }

    /// Whether somebody asked to stop.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// An error of kind [`Interrupted`](crate::ErrorKind::Interrupted) where somebody asked to stop.
    ///
    /// # Errors
    /// Just that one.
    pub fn check(&self) -> crate::Result<()> {
        if self.is_set() {
            return Err(crate::Error::new(
                crate::ErrorKind::Interrupted,
                "stopped on request; nothing was changed",
            ));
        }
        Ok(())
    }
}

/// What comes into an operation from outside: the time, the wish to stop, who watches, and where the user builds.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The present.
    pub clock: &'a dyn crate::clock::Clock,
    /// Whether the user asked to stop.
    pub interrupt: &'a Interrupt,
    /// Who hears what happens.
    pub observer: &'a dyn Observer,
    /// What the environment says of cargo.
    pub cargo: &'a CargoEnv,
}

/// What the environment says of cargo: no restore point may know it.
#[derive(Debug, Clone, Default)]
pub struct CargoEnv {
    /// `CARGO_HOME`, or what stands for it: its configuration counts everywhere.
    pub home: Option<PathBuf>,
    /// Where cargo is told to build, absolute.
    pub target_directories: Vec<PathBuf>,
    /// Programs and flags of the build, as variables give them: each by its variable's name.
    pub inputs: Vec<(String, String)>,
}

impl Context<'_> {
    /// The same with another observer.
    pub(crate) fn with<'b>(&'b self, observer: &'b dyn Observer) -> Context<'b> {
        Context { observer, ..*self }
    }

    /// Tells the observer a sentence.
    pub(crate) fn note(&self, text: impl Into<String>) {
        self.observer.on(&Event::Note { text: text.into() });
    }
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Context")
    }
}
