//! Logs: one file a run, one line an instant. Enough to say afterwards what happened to which file.

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::Store;
use crate::check::Check;
use crate::clock::{Clock, rfc3339};
use crate::event::{Event, Observer};
use crate::fsx::FileWriter;
use crate::manifest::Id;
use crate::order;
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
        let dir = path.parent().unwrap_or(store.layout().dir());
        let opened = if dir.is_symlink() || store.refuse_as_root().is_err() {
            Err(std::io::Error::other("a link, or another user's"))
        } else {
            store.fs().append(&path)
        };
        let file = match opened {
            Ok(file) => Some(std::io::BufWriter::new(file)),
            Err(e) => {
                let text = format!("no log is written: {}: {e}", crate::path::show_path(&path));
                inner.on(&Event::Note { text });
                None
            }
        };
        rotate(store, what);
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

    /// Adds what a check found.
    pub(crate) fn check(&self, check: &Check) {
        let id = &check.id;
        self.line(&format!("{id} {}: {} {}", check.verdict().name(), check.checked, check.unit));
        for finding in &check.findings {
            self.line(&format!("finding: {id} {}: {}", finding.place, finding.problem));
        }
        for note in &check.notes {
            self.line(&format!("note: {id} {note}"));
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
            Err(e) => self.error(e),
        }
        self.flush();
    }

    fn error(&self, e: &crate::Error) {
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

/// So many runs of each kind keep their log as it was written.
const PLAIN: usize = 30;
/// So many keep one at all: the older of them compressed.
const KEPT: usize = 300;

/// Compresses the logs of older runs, and drops the oldest; reports of checkpoints alike. A log that cannot be
/// compressed stays as it is: nobody fails for it.
fn rotate(store: &Store, what: &str) {
    let logs = store.layout().dir().join("logs");
    rotate_in(store, &logs, what, ".log");
    if what == "checkpoints" {
        rotate_in(store, &store.layout().dir().join("checkpoints"), what, ".json");
    }
}

fn rotate_in(store: &Store, dir: &std::path::Path, what: &str, end: &str) {
    let prefix = format!("{what}_");
    let packed = format!("{end}.gz");
    let id = |name: &str| {
        let rest = name.strip_prefix(&prefix)?;
        rest.strip_suffix(&packed).or_else(|| rest.strip_suffix(end))?.parse::<Id>().ok()
    };
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let names = entries.filter_map(|e| e.file_name().into_string().ok());
    let mut runs: Vec<(Id, String)> = names.filter_map(|name| Some((id(&name)?, name))).collect();
    order::sort(&mut runs);
    for (_, name) in runs.iter().rev().skip(KEPT) {
        let _ = store.fs().remove_file(&dir.join(name));
    }
    for (_, name) in runs.iter().rev().take(KEPT).skip(PLAIN).filter(|(_, name)| name.ends_with(end)) {
        let _ = compress(store, &dir.join(name));
    }
}

/// Puts `NAME.gz` in place of a file. Two runs that do so at once write two parts, and either's is whole.
fn compress(store: &Store, path: &std::path::Path) -> std::io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let part = path.with_file_name(format!(".{name}.{}.new", std::process::id()));
    let whole = path.with_file_name(format!("{name}.gz"));
    let bytes = crate::fsx::read_plain(path)?;
    store.fs().remove_file_if_there(&part)?;
    let file = store.fs().create_file(&part)?;
    let mut writer = flate2::write::GzEncoder::new(file, flate2::Compression::default());
    writer.write_all(&bytes)?;
    writer.finish()?.sync()?;
    store.fs().rename(&part, &whole)?;
    store.fs().remove_file(path)
}

impl Observer for Log<'_> {
    fn on(&self, event: &Event) {
        match event {
            Event::Phase { verb, what, total } => self.line(&format!("phase: {verb} {what} ({total})")),
            Event::File { action, path, detail } => self.line(&format!("file: {action} {path} {detail}")),
            Event::Note { text } => self.line(&format!("note: {text}")),
            Event::Waiting { holder } => self.line(&format!("waiting: {holder}")),
            Event::RestorePoint { id } => self.line(&format!("restore point: {id}")),
            Event::Progress { .. } | Event::Units { .. } => {}
        }
        self.inner.on(event);
    }
}
