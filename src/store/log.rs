//! Logs: one file a run, one line an instant. Enough to say afterwards what happened to which file.

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::Store;
use crate::clock::{Clock, rfc3339};
use crate::event::{Event, Observer};
use crate::fsx::FileWriter;
use crate::manifest::Id;
use crate::path::show_text;

/// The log of one run; also hands every event on.
pub(crate) struct Log<'a> {
    file: Mutex<Option<std::io::BufWriter<FileWriter>>>,
    path: PathBuf,
    clock: &'a dyn Clock,
    inner: &'a dyn Observer,
}

impl<'a> Log<'a> {
    /// Opens the log of run `id`. A log that cannot be written is no reason to fail: the observer hears of it.
    pub(crate) fn open(
        store: &Store,
        what: &str,
        id: &Id,
        clock: &'a dyn Clock,
        inner: &'a dyn Observer,
    ) -> Arc<Self> {
        let path = store.layout().log(what, id);
        let file = match store.fs().append(&path) {
            Ok(file) => Some(std::io::BufWriter::new(file)),
            Err(e) => {
                let text = format!("no log is written: {}: {e}", crate::path::show_path(&path));
                inner.on(&Event::Note { text });
                None
            }
        };
        Arc::new(Log { file: Mutex::new(file), path, clock, inner })
    }

    /// Where it is written.
    pub(crate) fn path(&self) -> &PathBuf {
        &self.path
    }

    /// Adds a line. Control characters are escaped.
    pub(crate) fn line(&self, text: &str) {
        let Ok(mut file) = self.file.lock() else { return };
        if let Some(writer) = file.as_mut() {
            let line = format!("{} {}\n", rfc3339(self.clock.now()), show_text(text));
            if writer.write_all(line.as_bytes()).is_err() {
                *file = None;
            }
        }
    }

    /// Writes out what is buffered.
    pub(crate) fn flush(&self) {
        if let Ok(mut file) = self.file.lock()
            && let Some(writer) = file.as_mut()
        {
            let _ = writer.flush();
        }
    }

    /// Adds a line for how the run ended, and writes everything out.
    pub(crate) fn end<T>(&self, result: &crate::Result<T>, summary: impl FnOnce(&T) -> String) {
        match result {
            Ok(value) => self.line(&format!("result: {}", summary(value))),
            Err(e) => {
                self.line(&format!("error: {e}"));
                for detail in e.details() {
                    self.line(&format!("error: {detail}"));
                }
                let mut source = std::error::Error::source(e);
                while let Some(cause) = source {
                    self.line(&format!("caused by: {cause}"));
                    source = cause.source();
                }
            }
        }
        self.flush();
    }
}

impl Observer for Log<'_> {
    fn on(&self, event: &Event) {
        match event {
            Event::Phase { verb, what, total } => self.line(&format!("phase: {verb} {what} ({total})")),
            Event::File { action, path, detail } => self.line(&format!("file: {action} {path} {detail}")),
            Event::Note { text } => self.line(&format!("note: {text}")),
            Event::Waiting { holder } => self.line(&format!("waiting: {holder}")),
            Event::RestorePoint { id } => self.line(&format!("restore point: {id}")),
            Event::Progress { .. } => {}
        }
        self.inner.on(event);
    }
}
