//! `backup`: a verified restore point of the workspace as it is.

use std::path::PathBuf;

use clap::Args;

use crate::backup::{BackupOptions, BackupOutcome, backup, backup_unloaded};
use crate::cli::session::{Session, wait};
use crate::cli::{exit, render};
use crate::error::{Error, ErrorKind, Result};
use crate::manifest::Label;
use crate::path::show_path;
use crate::select::{ProtectedSet, select};
use crate::settings::KeepSetting;
use crate::store::{Standing, Store, StoreLock, refuse_cleaned, standing};
use crate::workspace::{LoadOptions, Workspace, load};

#[derive(Debug, Args)]
pub(in crate::cli) struct BackupArgs {
    /// The label [default: the settings' or directory's name]
    #[arg(short, long)]
    label: Option<String>,
    /// What this restore point is for
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    /// Create none if the newest holds the same content
    #[arg(long)]
    skip_unchanged: bool,
    /// Exit with code 5 if another run holds the store
    #[arg(long)]
    no_wait: bool,
    /// Name each file
    #[arg(short, long)]
    pub(super) verbose: bool,
}

impl Session<'_> {
    /// Where the store of a workspace is or will be, and what stands there. Where that is no store yet, the selection
    /// is made first: if it fails, nothing may be left behind.
    pub(super) fn before_store(
        &self,
        workspace: &Workspace,
    ) -> Result<(PathBuf, Standing, Option<ProtectedSet>)> {
        let dir = self.store_of(workspace);
        refuse_cleaned(&dir, &workspace.root, &workspace.target_directories)?;
        let found = standing(&dir);
        let early = if matches!(found, Standing::Store) { None } else { Some(select(workspace, &dir)?) };
        Ok((dir, found, early))
    }

    pub(super) fn backup(&self, args: &BackupArgs) -> Result<u8> {
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
    fn backup_unloaded(&self, args: &BackupArgs, unloaded: Error) -> Result<u8> {
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

    pub(super) fn label(&self, given: Option<&str>, workspace: &Workspace) -> Label {
        let directory = workspace.root.file_name().map(|n| n.to_string_lossy().into_owned());
        // The one label that is not for people.
        let directory =
            directory.map(|n| if n == crate::manifest::PRE_ROLLBACK { format!("_{n}") } else { n });
        let text = given.map(str::to_owned).or_else(|| workspace.settings.label.clone()).or(directory);
        Label::from_text(&text.unwrap_or_else(|| "workspace".into()))
    }

    /// `members = ["*"]` takes any new directory for a member: then every cargo command fails.
    pub(super) fn refuse_store_as_member(&self, workspace: &Workspace, store: &Store) -> Result<()> {
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
    pub(super) fn keep_scripts(
        &self,
        lock: &StoreLock<'_>,
        outcome: &BackupOutcome,
    ) -> (bool, Vec<&'static str>) {
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
}
