//! Checkpoints: named checks of readiness. Five are backstop's own; the workspace adds others, in its settings or in
//! Rust. All are run, also after one has failed, and each says what it counted.
//!
//! A checkpoint may run code of the workspace: CP004 compiles it, and those of the settings are commands. What is run
//! is told before it runs. Listing, showing, comparing, validating and rolling back run none.

mod command;
mod environment;
mod own;
mod report;
mod roads;
mod surroundings;

use std::sync::Arc;

use serde::Serialize;

use crate::check::{Check, timed};
use crate::clock::rfc3339;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::manifest::Id;
use crate::order;
use crate::path::show_text;
use crate::settings::CheckpointSetting;
use crate::store::{Log, Store};
pub use report::CheckpointsReport;
pub use surroundings::{CheckError, Checked, Surroundings};

type Run = Arc<dyn Fn(&Surroundings<'_>) -> Result<Checked, CheckError> + Send + Sync>;

/// One checkpoint. Cheap to clone.
#[derive(Clone)]
pub struct Checkpoint {
    id: String,
    name: String,
    run: Run,
}

impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.id, self.name)
    }
}

impl Checkpoint {
    /// Its id: `CP` and three digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its name, for people.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The checkpoints of a workspace, in the order in which they run.
///
/// ```
/// use backstop::checkpoint::{Checked, Checkpoints};
///
/// let mut checkpoints = Checkpoints::own();
/// checkpoints.register("CP010", "No file is empty", |at| {
///     let mut checked = Checked::counted(0, "crate roots");
///     for path in at.workspace.packages.iter().flat_map(|p| &p.crate_roots) {
///         checked.checked += 1;
///         if std::fs::metadata(path)?.len() == 0 {
///             checked.find(path.display().to_string(), "is empty");
///         }
///     }
///     Ok(checked)
/// })?;
/// assert_eq!(checkpoints.iter().count(), 6);
/// # Ok::<(), backstop::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Checkpoints(Vec<Checkpoint>);

impl Checkpoints {
    /// None.
    pub fn none() -> Self {
        Checkpoints::default()
    }

    /// Backstop's own five.
    pub fn own() -> Self {
        let mut all = Checkpoints::none();
        for (id, name, run) in own::ALL {
            all.0.push(Checkpoint { id: id.into(), name: name.into(), run: Arc::new(run) });
        }
        all
    }

    /// Adds one in Rust.
    ///
    /// # Errors
    /// Kind `Settings` where the id is not `CP` and three digits from `CP006` up, or is taken.
    pub fn register(
        &mut self,
        id: &str,
        name: &str,
        run: impl Fn(&Surroundings<'_>) -> Result<Checked, CheckError> + Send + Sync + 'static,
    ) -> Result<()> {
        let wrong = |text: String| Error::new(ErrorKind::Settings, text);
        if !crate::settings::is_checkpoint_id(id) {
            return Err(wrong(format!("checkpoint `{}` needs another id", show_text(id)))
                .with_help("`CP` and three digits, from `CP006` up"));
        }
        if self.0.iter().any(|other| other.id == id) {
            return Err(wrong(format!("two checkpoints have the id `{id}`"))
                .with_help("give each an id of its own, in the settings and in Rust"));
        }
        self.0.push(Checkpoint { id: id.into(), name: name.into(), run: Arc::new(run) });
        Ok(())
    }

    /// Adds those of the settings.
    ///
    /// # Errors
    /// As [`Checkpoints::register`].
    pub fn add_settings(&mut self, settings: &[CheckpointSetting]) -> Result<()> {
        for setting in settings {
            let command = setting.clone();
            self.register(&setting.id, &setting.name, move |at| Ok(command::run(&command, at)?))?;
        }
        Ok(())
    }

    /// Adds those of another list.
    ///
    /// # Errors
    /// As [`Checkpoints::register`].
    pub fn append(&mut self, others: Checkpoints) -> Result<()> {
        for other in others.0 {
            if self.0.iter().any(|mine| mine.id == other.id) {
                let text = format!("two checkpoints have the id `{}`", other.id);
                return Err(Error::new(ErrorKind::Settings, text)
                    .with_help("give each an id of its own, in the settings and in Rust"));
            }
            self.0.push(other);
        }
        order::sort_by(&mut self.0, |a, b| a.id.cmp(&b.id));
        Ok(())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Checkpoint> {
        self.0.iter()
    }

    /// Those with one of these ids; all where none is given.
    ///
    /// # Errors
    /// Kind `Usage` where there is none with such an id.
    pub fn only(&self, ids: &[String]) -> Result<Vec<&Checkpoint>> {
        if let Some(unknown) = ids.iter().find(|id| !self.0.iter().any(|c| c.id.eq_ignore_ascii_case(id))) {
            let known: Vec<&str> = self.0.iter().map(Checkpoint::id).collect();
            return Err(Error::new(
                ErrorKind::Usage,
                format!("there is no checkpoint `{}`", show_text(unknown)),
            )
            .with_help(format!("there are {}; `checkpoint --list` names them", known.join(", "))));
        }
        let asked = |c: &&Checkpoint| ids.is_empty() || ids.iter().any(|id| c.id.eq_ignore_ascii_case(id));
        Ok(self.0.iter().filter(asked).collect())
    }
}

/// Runs checkpoints, and goes on after a failure. The report is written to `checkpoints/` in the store.
///
/// # Errors
/// `Interrupted`. A checkpoint that cannot look has failed.
pub fn run(checkpoints: &[&Checkpoint], at: &Surroundings<'_>) -> Result<CheckpointsReport> {
    let context = at.context;
    let started = context.clock.now();
    let id = free_id(at.store, Id::at(started));
    let log = Log::open(at.store, "checkpoints", &id, context.clock, context.observer);
    let inner = context.with(&*log);
    let inside = Surroundings { context: &inner, ..*at };
    let mut reports = Vec::new();
    let result = checkpoints.iter().try_for_each(|checkpoint| {
        let report = run_one(checkpoint, &inside)?;
        log.check(&report);
        reports.push(report);
        Ok(())
    });
    log.end(&result, |()| "all were run".into());
    result?;
    let elapsed = context.clock.now().duration_since(started).unwrap_or_default();
    let mut report =
        CheckpointsReport { id, checkpoints: reports, file: None, log: log.path().clone(), elapsed };
    let path = at.store.layout().checkpoints(&report.id);
    match crate::store::write_private(at.store.fs(), &path, to_json(&report, started).as_bytes()) {
        Ok(()) => report.file = Some(path),
        Err(e) => context.note(format!("the report was not written: {e}")),
    }
    own::record(&report, at);
    Ok(report)
}

/// The id itself, or the next that no report and no log has: two runs may begin in one second.
fn free_id(store: &Store, id: Id) -> Id {
    let layout = store.layout();
    let mut id = id;
    while layout.checkpoints(&id).exists() || layout.log("checkpoints", &id).exists() {
        id = id.next();
    }
    id
}

fn run_one(checkpoint: &Checkpoint, at: &Surroundings<'_>) -> Result<Check> {
    let Checkpoint { id, name, run } = checkpoint;
    timed(id, name, at.context, || {
        at.context.observer.on(&Event::Phase { verb: "Checking", what: format!("{id} {name}"), total: 0 });
        run(at).or_else(|e| at.context.interrupt.check().map(|()| could_not_look(&*e)))
    })
}

/// A checkpoint that could not look has failed, and says why.
fn could_not_look(e: &(dyn std::error::Error + Send + Sync + 'static)) -> Check {
    let mut checked = Check::counted(0, "checks");
    let mut problem = show_text(&e.to_string());
    let mut cause = e.source();
    while let Some(e) = cause {
        problem = format!("{problem}: {}", show_text(&e.to_string()));
        cause = e.source();
    }
    checked.find("the checkpoint itself", problem);
    if let Some(e) = e.downcast_ref::<Error>() {
        e.details().iter().for_each(|detail| checked.find(detail.clone(), "see above"));
        checked.remedy = e.help().map(str::to_owned);
    }
    checked
}

/// The report on disk; a checkpoint has the fields that it has in `checkpoint --format json`.
#[derive(Serialize)]
struct OnDisk<'a> {
    format: u32,
    id: &'a Id,
    created: String,
    passed: bool,
    checkpoints: &'a [Check],
    seconds: f64,
}

fn to_json(report: &CheckpointsReport, started: std::time::SystemTime) -> String {
    let on_disk = OnDisk {
        format: crate::manifest::FORMAT,
        id: &report.id,
        created: rfc3339(started),
        passed: report.passed(),
        checkpoints: &report.checkpoints,
        seconds: report.elapsed.as_secs_f64(),
    };
    serde_json::to_string_pretty(&on_disk).unwrap_or_default() + "\n"
}
