//! `checkpoint`: asks whether the workspace is ready for a change.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::check::Check;
use crate::checkpoint::{Checkpoints, CheckpointsReport, Surroundings, run};
use crate::cli::global::Format;
use crate::cli::session::Session;
use crate::cli::term::Term;
use crate::cli::{exit, render};
use crate::error::{Error, ErrorKind, Result};
use crate::store::Store;
use crate::workspace::Workspace;

#[derive(Debug, Args)]
pub(in crate::cli) struct CheckpointArgs {
    /// Run only the one with this id; may be repeated
    #[arg(long, value_name = "ID")]
    only: Vec<String>,
    /// List them and run none
    #[arg(long, conflicts_with = "only")]
    list: bool,
    /// Where scratch copies are made [default: the user's cache]
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

/// What a JUnit report is called.
const SUITE: &str = "backstop checkpoint";
/// What checkpoints belong to in it.
const GROUP: &str = "checkpoints";

impl Session<'_> {
    pub(super) fn checkpoint(&self, args: &CheckpointArgs) -> Result<u8> {
        self.told_to_ci(SUITE, self.checked(args))
    }

    /// A CI system that waits for a report gets one also where nothing could be asked.
    pub(super) fn told_to_ci(&self, suite: &str, done: Result<u8>) -> Result<u8> {
        if let Some(e) = done.as_ref().err().filter(|e| e.kind() != ErrorKind::Usage) {
            let mut check = Check { id: "can be asked".into(), ..Check::default() };
            check.find("backstop", e.to_string());
            check.remedy = e.help().map(str::to_owned);
            let groups = [(GROUP, vec![check])];
            let checkout = render::Checkout { repository: None, root: PathBuf::new() };
            if let Some(text) = render::for_ci(self.global.format, suite, &groups, &checkout, &String::new) {
                self.report(&text);
            }
        }
        done
    }

    fn checked(&self, args: &CheckpointArgs) -> Result<u8> {
        if args.list && !matches!(self.global.format, Format::Human | Format::Json) {
            return Err(Error::new(ErrorKind::Usage, "`checkpoint --list` has no such report")
                .with_help("without --list they are run; --format human or json names them"));
        }
        let (workspace, store) = match self.workspace_or_cut_off() {
            Err(e) if e.kind() == ErrorKind::Workspace => self.unloaded(e)?,
            loaded => (loaded?, None),
        };
        let checkpoints = self.checkpoints(&workspace)?;
        if args.list {
            let list = render::CheckpointList::new(&checkpoints);
            return Ok(self.tell(exit::DONE, &list, |term| list.human(term)));
        }
        let store = match store {
            Some(store) => store,
            None => Store::open(&self.store_of(&workspace), Some(&workspace.root), &self.fs)?,
        };
        // A tree partly rolled back is what nobody asks about.
        store.refuse_cut_off()?;
        let scratch = self.scratch(args.scratch.as_deref(), store.root(), store.layout().dir())?;
        self.stop_on_signals();
        let report = self.run_checkpoints(&workspace, &store, &checkpoints, &args.only, &scratch)?;
        let code = if report.passed() { exit::DONE } else { exit::FINDINGS };
        let groups = [(GROUP, report.checkpoints.clone())];
        let told = render::CheckpointReport::from(&report);
        Ok(self
            .tell_checks(code, SUITE, &workspace, &groups, &told, |term| render::checkpoint(term, &report)))
    }

    /// A workspace that cargo cannot load: the checkpoints go on by what its newest restore point knows, without those
    /// of its settings.
    fn unloaded(&self, e: Error) -> Result<(Workspace, Option<Store>)> {
        let Ok(store) = self.store() else { return Err(e) };
        let catalogue = store.catalogue()?;
        let Some(manifest) = catalogue.latest().and_then(|latest| store.manifest(latest).ok()) else {
            return Err(e);
        };
        self.context().note(format!("{e}; the checkpoints of its settings are not known"));
        let root = store.root().to_path_buf();
        let targets = manifest.target_directories_of(&root).collect();
        Ok((Workspace::unloaded(root, targets), Some(store)))
    }

    /// Reports checks in the form that is asked for.
    pub(super) fn tell_checks<R: Serialize>(
        &self,
        code: u8,
        suite: &str,
        workspace: &Workspace,
        groups: &[render::Group],
        report: &R,
        human: impl Fn(&Term) -> String,
    ) -> u8 {
        let checkout =
            render::Checkout { repository: self.env.repository.clone(), root: workspace.root.clone() };
        match render::for_ci(self.global.format, suite, groups, &checkout, &|| human(&self.term)) {
            None => return self.tell(code, report, human),
            Some(text) => self.report(&text),
        }
        code
    }

    /// Backstop's own, those of the settings, and those that the program registered.
    pub(super) fn checkpoints(&self, workspace: &Workspace) -> Result<Checkpoints> {
        let mut all = Checkpoints::own();
        all.add_settings(&workspace.settings.checkpoints)?;
        all.append(self.registered.clone())?;
        Ok(all)
    }

    pub(super) fn run_checkpoints(
        &self,
        workspace: &Workspace,
        store: &Store,
        checkpoints: &Checkpoints,
        only: &[String],
        scratch: &std::path::Path,
    ) -> Result<CheckpointsReport> {
        let context = self.context();
        let at = Surroundings {
            workspace,
            store,
            cargo: &self.env.cargo,
            executable: self.env.executable.as_deref(),
            scratch,
            context: &context,
        };
        run(&checkpoints.only(only)?, &at)
    }
}
