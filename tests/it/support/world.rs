//! A workspace made of a fixture, its store beside or in it, and the operations on both.

use std::fs;
use std::path::{Path, PathBuf};

use backstop::Result;
use backstop::backup::{self, BackupOptions, BackupOutcome, BackupReport};
use backstop::event::{CargoEnv, Context, Interrupt, Silent};
use backstop::fsx::Fs;
use backstop::manifest::Label;
use backstop::rollback::{self, AbortOutcome, RollbackOptions, RollbackOutcome, RollbackPlan};
use backstop::select::{self, ProtectedSet};
use backstop::store::{Listed, Selector, Store, Wait};
use backstop::validate::{self, InodeCache, ValidationReport};
use backstop::workspace::{self, LoadOptions};

use super::tree::copy_tree;
use super::{Picture, TempDir, TestClock};

/// A workspace and its store.
pub(crate) struct World {
    /// Holds the workspace and what lies beside it.
    pub(crate) temp: TempDir,
    /// The workspace.
    pub(crate) root: PathBuf,
    /// The store.
    pub(crate) dir: PathBuf,
    pub(crate) clock: TestClock,
    pub(crate) interrupt: Interrupt,
    /// What the environment says of cargo.
    pub(crate) cargo: CargoEnv,
}

impl World {
    /// A copy of `tests/fixtures/NAME`, the store in it. A fixture with a directory `workspace` keeps the
    /// workspace there, and other things beside it.
    pub(crate) fn new(fixture: &str) -> Self {
        Self::on(TempDir::new(), fixture)
    }

    pub(crate) fn on(temp: TempDir, fixture: &str) -> Self {
        let base = temp.path().join("place");
        arm(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(fixture), &base);
        let inner = base.join("workspace");
        World::opened(temp, if inner.is_dir() { inner } else { base })
    }

    /// A workspace that is there already, its store in it.
    pub(crate) fn opened(temp: TempDir, root: PathBuf) -> Self {
        let dir = root.join("backup");
        World {
            temp,
            root,
            dir,
            clock: TestClock::new(),
            interrupt: Interrupt::default(),
            cargo: CargoEnv::default(),
        }
    }

    /// A copy of the workspace with the store in it, at the same time; what lies beside it is not copied.
    pub(crate) fn copied(&self) -> Self {
        let temp = TempDir::new();
        let root = temp.path().join("place");
        copy_tree(&self.root, &root);
        let world = World::opened(temp, root);
        world.clock.set(self.clock.peek());
        world
    }

    /// A path in the workspace.
    pub(crate) fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }

    pub(crate) fn context(&self) -> Context<'_> {
        Context { clock: &self.clock, interrupt: &self.interrupt, observer: &Silent, cargo: &self.cargo }
    }

    pub(crate) fn load(&self) -> workspace::Workspace {
        let cargo = crate::support::cargo();
        let options =
            LoadOptions { manifest_path: None, directory: self.root.clone(), cargo, env: self.cargo.clone() };
        workspace::load(&options).unwrap_or_else(|e| panic!("{e}: {:?}", e.details()))
    }

    /// What cargo and git say is to be protected.
    pub(crate) fn set(&self) -> ProtectedSet {
        select::select(&self.load(), &self.dir).unwrap_or_else(|e| panic!("{e}: {:?}", e.details()))
    }

    pub(crate) fn store(&self) -> Store {
        self.store_with(&Fs::real()).unwrap()
    }

    pub(crate) fn store_with(&self, fs: &Fs) -> Result<Store> {
        Ok(Store::open_or_create(&self.dir, &self.root, fs)?.0)
    }

    pub(crate) fn try_backup(&self, set: &ProtectedSet, fs: &Fs) -> Result<BackupReport> {
        match self.backup_as(set, fs, &options("it"))? {
            BackupOutcome::Made(report) => Ok(*report),
            BackupOutcome::Unchanged { .. } => panic!("nobody asked to skip"),
        }
    }

    pub(crate) fn backup_as(
        &self,
        set: &ProtectedSet,
        fs: &Fs,
        options: &BackupOptions,
    ) -> Result<BackupOutcome> {
        let store = self.store_with(fs)?;
        let context = self.context();
        let lock = store.lock(Wait::Yes, context.interrupt, context.observer)?;
        backup::backup(&lock, set, options, &context)
    }

    /// A restore point of the present.
    #[track_caller]
    pub(crate) fn backup(&self) -> BackupReport {
        let set = self.set();
        self.try_backup(&set, &Fs::real()).unwrap_or_else(|e| panic!("{e}: {:?}", e.details()))
    }

    /// Every listed restore point, oldest first.
    pub(crate) fn listed(&self) -> Vec<Listed> {
        self.store().catalogue().unwrap().all().to_vec()
    }

    pub(crate) fn latest(&self) -> Listed {
        self.store().catalogue().unwrap().select(&Selector::Latest).unwrap().clone()
    }

    pub(crate) fn validate(&self, listed: &Listed) -> ValidationReport {
        validate::validate(&self.store(), listed, &InodeCache::default(), &self.context()).unwrap()
    }

    /// Findings of the five validations that need no copied executable, as `NAME place: problem`.
    pub(crate) fn findings(&self, listed: &Listed) -> Vec<String> {
        findings(&self.validate(listed))
    }

    pub(crate) fn plan_with(
        &self,
        listed: &Listed,
        options: &RollbackOptions,
        fs: &Fs,
    ) -> Result<RollbackPlan> {
        rollback::plan(&self.store_with(fs)?, listed, options, &self.context())
    }

    /// The plan of a rollback to the newest restore point.
    #[track_caller]
    pub(crate) fn plan(&self, options: &RollbackOptions) -> RollbackPlan {
        self.plan_with(&self.latest(), options, &Fs::real())
            .unwrap_or_else(|e| panic!("{e}: {:?}", e.details()))
    }

    pub(crate) fn apply_with(&self, plan: RollbackPlan, fs: &Fs) -> Result<RollbackOutcome> {
        let store = self.store_with(fs)?;
        let context = self.context();
        let lock = store.lock(Wait::Yes, context.interrupt, context.observer)?;
        rollback::apply(&lock, plan, &context)
    }

    /// A rollback to the newest restore point.
    #[track_caller]
    pub(crate) fn rollback(&self, options: &RollbackOptions) -> RollbackOutcome {
        let plan = self.plan(options);
        let outcome = self.apply_with(plan, &Fs::real()).unwrap_or_else(|e| panic!("{e}: {:?}", e.details()));
        assert!(outcome.mismatches.is_empty(), "{:?}", outcome.mismatches);
        outcome
    }

    pub(crate) fn plan_undo(&self) -> Result<RollbackPlan> {
        rollback::plan_undo(&self.store(), &self.context())
    }

    /// Undoes the newest rollback.
    #[track_caller]
    pub(crate) fn undo(&self) -> RollbackOutcome {
        let plan = self.plan_undo().unwrap_or_else(|e| panic!("{e}: {:?}", e.details()));
        self.apply_with(plan, &Fs::real()).unwrap_or_else(|e| panic!("{e}: {:?}", e.details()))
    }

    pub(crate) fn resume_with(&self, fs: &Fs) -> Result<Option<RollbackOutcome>> {
        let store = self.store_with(fs)?;
        let context = self.context();
        let lock = store.lock(Wait::Yes, context.interrupt, context.observer)?;
        rollback::resume(&lock, &context)
    }

    pub(crate) fn abort_with(&self, fs: &Fs) -> Result<Option<AbortOutcome>> {
        let store = self.store_with(fs)?;
        let context = self.context();
        let lock = store.lock(Wait::Yes, context.interrupt, context.observer)?;
        rollback::abort(&lock, &context)
    }

    /// The workspace without the store.
    pub(crate) fn picture(&self) -> Picture {
        Picture::take(&self.root, &[&self.dir])
    }
}

pub(crate) fn options(label: &str) -> BackupOptions {
    BackupOptions { label: Label::from_text(label), message: None, skip_unchanged: false }
}

/// See [`World::findings`].
pub(crate) fn findings(report: &ValidationReport) -> Vec<String> {
    let five = report.checks.iter().filter(|c| c.id != "ROLLBACK_SCRIPTS");
    five.flat_map(|check| {
        let nothing = (check.checked == 0).then(|| format!("{} checked nothing", check.id));
        let found = check.findings.iter().map(|f| format!("{} {}: {}", check.id, f.place, f.problem));
        nothing.into_iter().chain(found).collect::<Vec<_>>()
    })
    .collect()
}

/// Copies a fixture; `Cargo.toml.in` becomes a manifest only there, where no cargo of this project finds it.
fn arm(fixture: &Path, to: &Path) {
    copy_tree(fixture, to);
    fn rename(dir: &Path) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                rename(&path);
            } else if path.file_name().is_some_and(|n| n == "Cargo.toml.in") {
                fs::rename(&path, path.with_file_name("Cargo.toml")).unwrap();
            }
        }
    }
    rename(to);
}

/// Whether this process's environment has cargo build somewhere else than in the workspace: what a test builds is then
/// not where the selection looks for it.
pub(crate) fn target_directory_is_elsewhere() -> bool {
    let is_elsewhere = std::env::var_os("CARGO_TARGET_DIR").is_some();
    if is_elsewhere {
        eprintln!("skipped: CARGO_TARGET_DIR is set");
    }
    is_elsewhere
}
