//! Each command: find, run, render.

mod checkpoint;
mod drill;
mod explain;
#[cfg(feature = "install")]
mod init;
#[cfg(feature = "install")]
mod install;
mod look;
mod preflight;
mod prune;
mod recover;
mod rollback;

use std::path::PathBuf;

use signal_hook::consts::SIGXFSZ;

pub(super) use checkpoint::CheckpointArgs;
pub(super) use explain::ExplainArgs;
#[cfg(feature = "install")]
pub(super) use init::InitArgs;
pub(super) use look::{DiffArgs, ListArgs, ShowArgs};
pub(super) use preflight::{PreflightArgs, StatusArgs};
pub(super) use prune::{PinArgs, PruneArgs, UnpinArgs};
pub(super) use recover::RecoverArgs;

use super::args::{Backup, Cli, Command, Validate};
use super::complaint::print_error;
use super::env::Env;
use super::global::Format;
use super::progress::Progress;
use super::session::{Session, selector, wait};
use super::term::{Term, report_failed};
use super::{exit, render};
use crate::backup::{BackupOptions, BackupOutcome, backup, backup_unloaded};
use crate::check::Check;
use crate::checkpoint::Checkpoints;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Interrupt;
use crate::fsx::Fs;
use crate::manifest::Label;
use crate::path::show_path;
use crate::select::{ProtectedSet, select};
use crate::settings::KeepSetting;
use crate::store::{Selector, Standing, Store, StoreLock, Wait, refuse_cleaned, standing};
use crate::validate::{InodeCache, validate};
use crate::workspace::{LoadOptions, Workspace, load};

pub(super) fn dispatch(cli: &Cli, env: &mut Env, registered: &Checkpoints) -> u8 {
    let term = Term::new(cli.global.color, cli.global.quiet, env);
    let verbose = match &cli.command {
        Command::Backup(args) => args.verbose,
        Command::Rollback(args) => args.verbose,
        Command::Validate(_)
        | Command::Checkpoint(_)
        | Command::Recover(_)
        | Command::List(_)
        | Command::Show(_)
        | Command::Diff(_)
        | Command::Preflight(_)
        | Command::Status(_)
        | Command::Prune(_)
        | Command::Pin(_)
        | Command::Unpin(_)
        | Command::Explain(_) => false,
        #[cfg(feature = "install")]
        Command::Init(_) | Command::Completions(_) | Command::Man => false,
    };
    let fs = if env.portable { Fs::real().portable() } else { Fs::real() };
    let session = Session {
        global: &cli.global,
        command: cli.command.name(),
        env,
        term,
        fs,
        interrupt: Interrupt::default(),
        progress: Progress::new(term, verbose),
        registered,
    };
    // A file that may grow no larger is then an error of that write, and no end of the process in the middle.
    if let Err(e) = signal_hook::flag::register(SIGXFSZ, std::sync::Arc::default()) {
        session.context().note(format!("a limit on file sizes will end the program at once: {e}"));
    }
    if let Err(e) = form(cli) {
        return print_error(&term, Format::Human, cli.command.name(), &e);
    }
    let result = match &cli.command {
        Command::Backup(args) => session.backup(args),
        Command::Validate(args) => session.validate(args),
        Command::Checkpoint(args) => session.checkpoint(args),
        Command::Rollback(args) => session.rollback(args),
        Command::Recover(args) => session.recover(args),
        Command::List(args) => session.list(args),
        Command::Show(args) => session.show(args),
        Command::Diff(args) => session.diff(args),
        Command::Prune(args) => session.prune(args),
        Command::Pin(args) => session.pin(args),
        Command::Unpin(args) => session.unpin(args),
        Command::Preflight(args) => session.preflight(args),
        Command::Status(args) => session.status(args),
        Command::Explain(args) => session.explain(args),
        #[cfg(feature = "install")]
        Command::Init(args) => session.init(args),
        #[cfg(feature = "install")]
        Command::Completions(args) => session.completions(args),
        #[cfg(feature = "install")]
        Command::Man => session.man(),
    };
    session.progress.clear();
    let code = match result {
        Ok(code) => code,
        Err(e) => print_error(&term, cli.global.format, cli.command.name(), &e),
    };
    if report_failed() { exit::unreported(code, changes(&cli.command)) } else { code }
}

/// Whether a command may change something.
fn changes(command: &Command) -> bool {
    match command {
        Command::List(_) | Command::Show(_) | Command::Diff(_) | Command::Status(_) | Command::Explain(_) => {
            false
        }
        #[cfg(feature = "install")]
        Command::Completions(_) | Command::Man => false,
        _ => true,
    }
}

/// Test reports and annotations are for checks.
fn form(cli: &Cli) -> Result<()> {
    let checks = matches!(cli.command, Command::Checkpoint(_) | Command::Preflight(_));
    if checks || matches!(cli.global.format, Format::Human | Format::Json) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Usage, format!("`{}` has no such report", cli.command.name()))
        .with_help("--format human or --format json; junit and github are for `checkpoint` and `preflight`"))
}

impl Session<'_> {
    // ---- backup

    /// Where the store of a workspace is or will be, and what stands there. Where that is no store yet, the selection
    /// is made first: if it fails, nothing may be left behind.
    fn before_store(&self, workspace: &Workspace) -> Result<(PathBuf, Standing, Option<ProtectedSet>)> {
        let dir = self.store_of(workspace);
        refuse_cleaned(&dir, &workspace.root, &workspace.target_directories)?;
        let found = standing(&dir);
        let early = if matches!(found, Standing::Store) { None } else { Some(select(workspace, &dir)?) };
        Ok((dir, found, early))
    }

    fn backup(&self, args: &Backup) -> Result<u8> {
        self.note_slow_build();
        let workspace = match self.workspace_or_cut_off() {
            Err(e) if e.kind() == ErrorKind::Workspace => return self.backup_unloaded(args, e),
            loaded => loaded?,
        };
        let (dir, found, early) = self.before_store(&workspace)?;
        self.stop_on_signals();
        let (store, created) = Store::open_or_create(&dir, &workspace.root, &self.fs)?;
        if matches!(found, Standing::Swept) {
            self.context().note("took up again what a sweep left of the store: see `list`");
        }
        if created {
            self.refuse_store_as_member(&workspace, &store)?;
        }
        let context = self.context();
        let lock = store.lock(wait(args.no_wait), &self.interrupt, &self.progress)?;
        let set = match early {
            Some(set) => set,
            None => select(&workspace, store.layout().dir())?,
        };
        for note in workspace.notes.iter().chain(&set.notes) {
            context.note(note.clone());
        }
        let options = BackupOptions {
            label: self.label(args.label.as_deref(), &workspace),
            message: args.message.clone(),
            skip_unchanged: args.skip_unchanged,
        };
        let outcome = backup(&lock, &set, &options, &context)?;
        self.report_backup(&lock, &set, &outcome, workspace.settings.keep.as_ref());
        Ok(exit::DONE)
    }

    /// In the middle of a change a manifest is often broken. Then the newest restore point and git say what to keep.
    fn backup_unloaded(&self, args: &Backup, unloaded: Error) -> Result<u8> {
        // Cargo takes no manifest of another name: that is a slip of the command line, and no broken workspace.
        let slip = self.global.manifest_path.as_deref().is_some_and(|path| !path.ends_with("Cargo.toml"));
        // Without a store there is nothing to go by: what cargo says is the error.
        let (false, Ok(store)) = (slip, self.store()) else { return Err(unloaded) };
        self.stop_on_signals();
        let lock = store.lock(wait(args.no_wait), &self.interrupt, &self.progress)?;
        let label = match &args.label {
            Some(label) => Label::from_text(label),
            None => match store.catalogue()?.latest() {
                Some(latest) => latest.label.clone(),
                None => return Err(unloaded),
            },
        };
        let context = self.context();
        context.note(format!("cargo cannot load the workspace: {unloaded}"));
        unloaded.details().iter().for_each(|detail| context.note(detail.clone()));
        let options =
            BackupOptions { label, message: args.message.clone(), skip_unchanged: args.skip_unchanged };
        let (set, outcome) = backup_unloaded(&lock, &options, &context)
            .map_err(|e| if e.kind() == ErrorKind::NoRestorePoint { unloaded } else { e })?;
        set.notes.iter().for_each(|note| context.note(note.clone()));
        self.report_backup(&lock, &set, &outcome, None);
        Ok(exit::DONE)
    }

    fn report_backup(
        &self,
        lock: &StoreLock<'_>,
        set: &ProtectedSet,
        outcome: &BackupOutcome,
        keep: Option<&KeepSetting>,
    ) {
        let kept = self.keep_scripts(lock, outcome);
        self.prune_after_backup(lock, keep);
        self.progress.clear();
        let store = lock.store();
        let report = render::Backup::new(set, store, outcome, &self.bring_back(store), kept);
        self.tell(exit::DONE, &report, |term| render::backup(term, &report));
    }

    /// The unoptimised profile hashes and compresses many times more slowly.
    fn note_slow_build(&self) {
        let dev =
            self.env.executable.as_ref().and_then(|e| e.parent()?.file_name()).is_some_and(|d| d == "debug");
        if dev && cfg!(debug_assertions) && self.env.copied_into().is_none() {
            self.context().note(
                "built without optimisation, which hashes and compresses slowly: the README's alias names the \
                 profile for it",
            );
        }
    }

    fn label(&self, given: Option<&str>, workspace: &Workspace) -> Label {
        let directory = workspace.root.file_name().map(|n| n.to_string_lossy().into_owned());
        // The one label that is not for people.
        let directory =
            directory.map(|n| if n == crate::manifest::PRE_ROLLBACK { format!("_{n}") } else { n });
        let text = given.map(str::to_owned).or_else(|| workspace.settings.label.clone()).or(directory);
        Label::from_text(&text.unwrap_or_else(|| "workspace".into()))
    }

    /// `members = ["*"]` takes any new directory for a member: then every cargo command fails.
    fn refuse_store_as_member(&self, workspace: &Workspace, store: &Store) -> Result<()> {
        let Some(inside) = store.layout().dir().strip_prefix(&workspace.root).ok().map(PathBuf::from) else {
            return Ok(());
        };
        let manifest_path = Some(workspace.root.join("Cargo.toml"));
        let again = load(&LoadOptions {
            manifest_path,
            directory: workspace.root.clone(),
            cargo: self.env.cargo.clone(),
            env: self.env.cargo_env.clone(),
        });
        let Err(e) = again else { return Ok(()) };
        let name = show_path(&inside);
        let dir = show_path(store.layout().dir());
        store.clone().remove_new()?;
        Err(Error::new(
            ErrorKind::Settings,
            format!("cargo takes the store `{dir}` for a member of the workspace; it was taken away again"),
        )
        .with_details(e.details().iter().cloned())
        .with_help(format!("add `exclude = [\"{name}\"]` to [workspace] in Cargo.toml, or keep the store elsewhere: --store DIR")))
    }

    /// A restore point that was made counts, whatever becomes of the copies in `scripts/`.
    fn keep_scripts(&self, lock: &StoreLock<'_>, outcome: &BackupOutcome) -> (bool, Vec<&'static str>) {
        let BackupOutcome::Made(report) = outcome else { return (false, Vec::new()) };
        let id = &report.manifest.id;
        let tell = |e: Error, what: &str| {
            self.context().note(format!("{e}; the restore point is made, and {what}"));
            if let Some(help) = e.help() {
                self.context().note(help.to_owned());
            }
        };
        let running = self.env.executable.as_ref();
        let copied = running.map(|running| lock.keep_executable(running, id)).unwrap_or(Ok(false));
        let copied = copied.unwrap_or_else(|e| {
            tell(e, "`rollback` needs cargo to run");
            false
        });
        let scripts = lock.keep_scripts().unwrap_or_else(|e| {
            let executable = lock.store().layout().executable().is_file();
            tell(
                e,
                if executable {
                    "the executable brings it back"
                } else {
                    "only `rollback` by cargo brings it back"
                },
            );
            Vec::new()
        });
        (copied, scripts)
    }

    // ---- validate

    fn validate(&self, args: &Validate) -> Result<u8> {
        let store = self.store()?;
        self.stop_on_signals();
        let scratch = match args.drill {
            Some(_) => self.scratch(args.scratch.as_deref(), store.root(), store.layout().dir())?,
            None => PathBuf::new(),
        };
        let repaired = if args.repair {
            let which = selector(&args.timestamp);
            Some(self.repair(&store, (!args.all).then_some(&which), args.no_wait)?)
        } else {
            None
        };
        let shared = store.lock_shared(wait(args.no_wait), &self.interrupt, &self.progress)?;
        let catalogue = store.catalogue()?;
        let listed = if args.all {
            if catalogue.all().is_empty() {
                catalogue.select(&Selector::Latest)?;
            }
            catalogue.all().to_vec()
        } else {
            vec![self.pick(&catalogue, &args.timestamp)?.clone()]
        };
        let running = self.env.executable.as_deref().map(InodeCache::of_program);
        let cache = running.and_then(Result::ok).unwrap_or_default();
        let context = self.context();
        let reports = match &repaired {
            // They were asked anew behind the repair.
            Some(repaired) => repaired.points.iter().map(|p| p.validation.clone()).collect(),
            None => listed
                .iter()
                .map(|listed| validate(&store, listed, &cache, &context))
                .collect::<Result<Vec<_>>>()?,
        };
        let kept = if args.all { crate::rollback::check_kept(&store, &context)? } else { None };
        drop(shared);
        self.record(&store, &reports);
        let drills = match args.drill {
            Some(level) => self.drill(&store, &listed, level, &scratch)?,
            None => Vec::new(),
        };
        let passed = repaired.as_ref().is_none_or(crate::repair::RepairReport::passed)
            && reports.iter().all(crate::validate::ValidationReport::passed)
            && kept.as_ref().is_none_or(Check::passed)
            && drills.iter().all(crate::drill::DrillReport::passed);
        let code = if passed { exit::DONE } else { exit::FINDINGS };
        let report = render::ValidateReport::new(&reports, repaired.as_ref(), kept.as_ref(), &drills);
        Ok(self.tell(code, &report, |term| {
            let drills: String = drills.iter().map(|drill| render::drill(term, drill)).collect();
            let repaired = repaired.as_ref().map_or(String::new(), |r| render::repair(term, r));
            repaired + &render::validate(term, &reports, kept.as_ref(), store.is_cut_off()) + &drills
        }))
    }

    /// Keeps what the validations said, for `list` and the build's guard. A store that cannot be written to is
    /// validated all the same.
    fn record(&self, store: &Store, reports: &[crate::validate::ValidationReport]) {
        let context = self.context();
        let recorded = store.lock(Wait::No, &self.interrupt, &self.progress).and_then(|lock| {
            reports.iter().try_for_each(|report| crate::validate::record(&lock, report, &context))
        });
        if let Err(e) = recorded
            && e.kind() == ErrorKind::Busy
        {
            context.note(format!("the outcome is not recorded: {e}"));
        }
    }
}
