//! `preflight`: everything that has to hold before a consolidation, in one command; and `status`: where things stand.

use std::path::PathBuf;

use clap::Args;

use crate::backup::{BackupOptions, BackupOutcome, backup};
use crate::check::Check;
use crate::cli::session::{Session, wait};
use crate::cli::{exit, render};
use crate::diff::diff_live;
use crate::error::{Error, ErrorKind, Result};
use crate::live_tree::Look;
use crate::manifest::{Id, RootedPath, Totals};
use crate::select::{ProtectedSet, select};
use crate::store::{DrillLevel, EXECUTABLE, Listed, SCRIPTS, Selector, Store, Trial, prove_executable};
use crate::validate::{FILE_INTEGRITY, InodeCache, record, validate};

#[derive(Debug, Args)]
pub(in crate::cli) struct PreflightArgs {
    /// What the restore point is for
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    /// How far to drill [default: the settings', or compiles]
    #[arg(long, value_name = "LEVEL")]
    drill: Option<DrillLevel>,
    /// Where scratch copies are made [default: the user's cache]
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// Exit with code 5 if another run holds the store
    #[arg(long)]
    no_wait: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct StatusArgs {
    /// Exit with code 1 on drift, or without a restore point
    #[arg(long)]
    check: bool,
}

/// The restore point that a preflight asks about.
struct BackedUp {
    listed: Listed,
    totals: Totals,
    /// How many files were read back; `None` where it was there already.
    verified: Option<u64>,
    set: ProtectedSet,
}

/// What a JUnit report is called.
const SUITE: &str = "backstop preflight";

impl Session<'_> {
    pub(super) fn preflight(&self, args: &PreflightArgs) -> Result<u8> {
        self.told_to_ci(SUITE, self.all_asked(args))
    }

    fn all_asked(&self, args: &PreflightArgs) -> Result<u8> {
        let started = self.context().clock.now();
        let workspace = self.workspace_or_cut_off()?;
        let checkpoints = self.checkpoints(&workspace)?;
        let scratch = self.scratch(args.scratch.as_deref(), &workspace.root, &self.store_of(&workspace))?;
        self.stop_on_signals();
        let (dir, ..) = self.before_store(&workspace)?;
        let (store, created) = Store::open_or_create(&dir, &workspace.root, &self.fs)?;
        if created {
            self.refuse_store_as_member(&workspace, &store)?;
        }
        store.refuse_cut_off()?;
        let BackedUp { listed, totals, verified, set } = self.backed_up(args, &workspace, &store)?;
        let cache = self
            .env
            .executable
            .as_deref()
            .map(InodeCache::of_program)
            .and_then(Result::ok)
            .unwrap_or_default();
        let context = self.context();
        let validation = validate(&store, &listed, &cache, &context)?;
        let lock = store.lock(wait(args.no_wait), &self.interrupt, &self.progress)?;
        record(&lock, &validation, &context)?;
        drop(lock);
        let level = args.drill.or(workspace.settings.drill).unwrap_or(DrillLevel::Compiles);
        let drills = self.drill(&store, std::slice::from_ref(&listed), level, &scratch)?;
        let mut drill = drills
            .into_iter()
            .next()
            .ok_or_else(|| Error::new(ErrorKind::NoRestorePoint, "there is no restore point to drill"))?;
        let roads = self.roads(&store, &listed.id);
        // Behind the drill: a guard that asks for one lets the workspace compile by now.
        let report = self.run_checkpoints(&workspace, &store, &checkpoints, &[], &scratch)?;
        drill.compiled_then = report.compiled().or(drill.compiled_then);
        // What was not written anew is counted by who read it just now.
        let verified = verified.unwrap_or_else(|| {
            let intact = validation.checks.iter().find(|c| c.id == FILE_INTEGRITY);
            totals.files.saturating_sub(intact.map_or(totals.files, |c| c.findings.len() as u64))
        });
        let view = render::PreflightView {
            store: &store,
            backup_id: listed.backup_id(),
            totals,
            verified,
            set: &set,
            checkpoints: &report,
            validation: &validation,
            drill: &drill,
            roads: &roads,
            elapsed: context.clock.now().duration_since(started).unwrap_or_default(),
        };
        let code = if view.safe() { exit::DONE } else { exit::FINDINGS };
        let groups = render::preflight_groups(&view);
        let told = render::PreflightReport::from(&view);
        Ok(self.tell_checks(code, SUITE, &workspace, &groups, &told, |term| render::preflight(term, &view)))
    }

    /// A restore point of the present: a new one with the number of files that were read back, or the newest where
    /// nothing changed since.
    fn backed_up(
        &self,
        args: &PreflightArgs,
        workspace: &crate::workspace::Workspace,
        store: &Store,
    ) -> Result<BackedUp> {
        let context = self.context();
        let lock = store.lock(wait(args.no_wait), &self.interrupt, &self.progress)?;
        let set = select(workspace, store.layout().dir())?;
        for note in workspace.notes.iter().chain(&set.notes) {
            context.note(note.clone());
        }
        for input in render::inputs(&set) {
            context.note(input.note());
        }
        if !set.secrets.is_empty() {
            let names: Vec<String> = set.secrets.iter().map(RootedPath::shown).collect();
            context.note(format!(
                "by their names these hold secrets, and the store a copy: {}",
                names.join(", ")
            ));
        }
        let options = BackupOptions {
            label: self.label(None, workspace),
            message: args.message.clone(),
            skip_unchanged: args.message.is_none(),
        };
        let outcome = backup(&lock, &set, &options, &context)?;
        self.keep_scripts(&lock, &outcome);
        self.prune_after_backup(&lock, workspace.settings.keep.as_ref());
        let (id, totals, verified) = match &outcome {
            BackupOutcome::Made(report) => {
                (report.manifest.id.clone(), report.manifest.totals, Some(report.verified))
            }
            BackupOutcome::Unchanged { id, totals, .. } => (id.clone(), *totals, None),
        };
        let catalogue = store.catalogue()?;
        let listed = catalogue.select(&Selector::Prefix(id.to_string()))?.clone();
        Ok(BackedUp { listed, totals, verified, set })
    }

    /// A dry run of a rollback by each road, where it is the program's own text.
    fn roads(&self, store: &Store, id: &Id) -> Vec<Check> {
        let same = |path: &std::path::Path, text: &[u8]| std::fs::read(path).is_ok_and(|found| found == text);
        let running = self.env.executable.as_ref().and_then(|path| std::fs::read(path).ok());
        let executable = store.layout().executable();
        let trial = match running.is_some_and(|text| same(&executable, &text)) {
            true => prove_executable(store, &executable, id),
            false => Trial::Failed("is not the program that runs now".into()),
        };
        let mut roads = vec![road(EXECUTABLE, trial)];
        for script in SCRIPTS {
            let path = script.path(store);
            let trial = match same(&path, script.text) {
                true => script.try_once(store, &path, id),
                false => Trial::Failed("is not the script of this program".into()),
            };
            roads.push(road(script.name, trial));
        }
        roads
    }

    pub(super) fn status(&self, args: &StatusArgs) -> Result<u8> {
        let store = match self.store() {
            // A job asks whether there is a restore point, and there is none.
            Err(e) if args.check && e.kind() == ErrorKind::NoStore => {
                self.progress.clear();
                let nothing = render::StatusReport::default();
                return Ok(self.tell(exit::FINDINGS, &nothing, |term| {
                    render::status_without_store(term, &e, self.called())
                }));
            }
            other => other?,
        };
        self.stop_on_signals();
        let catalogue = store.catalogue()?;
        let person = !args.check && !self.json();
        let newest = catalogue.latest();
        if let (true, Some(newer)) = (person, catalogue.passed_over()) {
            self.context().note(format!(
                "{} is newer, made while cargo could not load the workspace",
                newer.backup_id()
            ));
        }
        let summary = newest.map(|listed| store.summary(listed));
        // A verdict that a job waits for reads every file; a person wants the answer at once.
        let how = if args.check { Look::Whole } else { Look::Glance };
        // A rollback may have gone past the newest; a job asks for that all the same.
        let rolled_back = crate::rollback::last_rollback(&store).filter(|(rollback, to)| {
            person && newest.is_some_and(|newest| *rollback > newest.id && *to != newest.id)
        });
        let compared = match &rolled_back {
            Some((_, to)) => catalogue.all().iter().find(|listed| listed.id == *to),
            None => newest,
        };
        let diff = match compared {
            Some(listed) if !store.is_cut_off() => Some(diff_live(&store, listed, how, &self.context())?),
            _ => None,
        };
        let report = render::StatusReport::new(&store, summary.as_ref(), rolled_back.as_ref(), diff.as_ref());
        let (ways, now) = (self.bring_back(&store), self.context().clock.now());
        let drifted = diff.as_ref().is_none_or(|d| !d.is_empty());
        let code = match args.check {
            true if store.is_cut_off() => exit::CUT_OFF,
            true if drifted => exit::FINDINGS,
            _ => exit::DONE,
        };
        Ok(self.tell(code, &report, |term| render::status(term, &report, &ways, now)))
    }
}

/// What came of a dry run by one of the roads back.
fn road(name: &str, trial: Trial) -> Check {
    let runs = u64::from(!matches!(trial, Trial::Untried(_)));
    let mut check = Check::counted(runs, "dry runs")
        .with_remedy("the next `backup` writes it anew where it is altered; use another tool until then");
    check.id = name.into();
    match trial {
        Trial::Proven => {}
        Trial::Untried(why) => check.not_tried = Some(why),
        Trial::Failed(problem) => check.find(format!("scripts/{name}"), problem),
    }
    check
}
