//! `recover`, and `validate --repair`: making lost and damaged copies again.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::find::{self, DEFAULT_STORE};
use crate::cli::session::{Session, wait};
use crate::cli::{exit, render};
use crate::error::{Error, ErrorKind, Result};
use crate::path::show_path;
use crate::repair::recover;
use crate::repair::{RepairReport, repair};
use crate::store::{Selector, Store, StoreLock};

#[derive(Debug, Args)]
pub(in crate::cli) struct RecoverArgs {
    /// The archive of one restore point [default: all in the store]
    #[arg(value_name = "ARCHIVE")]
    archive: Option<PathBuf>,
    /// Exit with code 5 if another run holds the store
    #[arg(long)]
    no_wait: bool,
}

impl Session<'_> {
    pub(super) fn recover(&self, args: &RecoverArgs) -> Result<u8> {
        let archive = args.archive.as_ref().map(|path| self.env.absolute(path));
        if let Some(path) = archive.as_ref().filter(|path| !path.exists()) {
            return Err(Error::new(ErrorKind::Usage, format!("there is no archive `{}`", show_path(path)))
                .with_help("archives lie in archives/ of a store, named LABEL_backup_TS.tar.gz"));
        }
        let store = match self.store() {
            Err(e) if e.kind() == ErrorKind::NoStore => match find::swept(self.global, self.env) {
                Some((dir, root)) => self.new_store(&dir, &root)?,
                None if archive.is_some() => self.new_store_here()?,
                None => return Err(e),
            },
            other => other?,
        };
        if archive.is_some() {
            self.refuse_found_above(&store)?;
        }
        self.stop_on_signals();
        let lock = store.lock(wait(args.no_wait), &self.interrupt, &self.progress)?;
        let report = recover(&lock, archive.as_deref(), &self.context())?;
        self.keep_roads(&lock);
        let failed = report.points.len() as u64 - report.recovered();
        let code = match (failed, report.recovered()) {
            (0, _) => exit::DONE,
            (_, 0) => exit::NOT_DONE,
            _ => exit::FINDINGS,
        };
        let told = render::Recovery::new(&store, &report);
        Ok(self.tell(code, &told, |term| render::recover(term, &told)))
    }

    /// An archive may be of another workspace: a store that was found by looking upwards is not taken for the one
    /// that it belongs to.
    fn refuse_found_above(&self, store: &Store) -> Result<()> {
        let named = self.global.store.is_some()
            || self.env.store.is_some()
            || self.global.manifest_path.is_some()
            || self.env.copied_into().is_some();
        let here = self.env.directory.as_deref().and_then(|dir| crate::path::canonical(dir).ok());
        let dir = store.layout().dir();
        if named
            || here.is_some_and(|here| dir == here || dir.parent() == Some(&here) || store.root() == here)
        {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Usage,
            format!("the nearest store is `{}`, and may be another workspace's", show_path(dir)),
        )
        .with_help("say into which store: --store DIR, which is made where it does not exist"))
    }

    /// A store where there is none yet: as it is named, or beside the workspace's manifest. Cargo is not asked.
    fn new_store_here(&self) -> Result<Store> {
        let here = self.env.directory.clone().ok_or_else(|| {
            Error::new(ErrorKind::Workspace, "the current directory is missing")
                .with_help("change to the workspace, or name it: --manifest-path DIR/Cargo.toml")
        })?;
        let manifest = self.global.manifest_path.as_deref().map(|path| self.env.absolute(path));
        let root = match &manifest {
            Some(path) if path.is_dir() => path.clone(),
            Some(path) => path.parent().map_or(here, Path::to_path_buf),
            None => here,
        };
        let root = crate::path::canonical(&root)?;
        let dir = self.global.store.as_ref().or(self.env.store.as_ref());
        let dir = dir.map_or_else(|| root.join(DEFAULT_STORE), |dir| self.env.absolute(dir));
        self.new_store(&dir, &root)
    }

    fn new_store(&self, dir: &Path, root: &Path) -> Result<Store> {
        let (store, created) = Store::open_or_create(dir, &crate::path::canonical(root)?, &self.fs)?;
        let what = if created { "made the store" } else { "took up again what a sweep left of the store" };
        self.context().note(format!("{what} `{}`", show_path(store.layout().dir())));
        Ok(store)
    }

    /// The executable and the scripts, where the store had none. A recovery is not failed for them.
    /// One that was interrupted before it is finished by the next.
    fn keep_roads(&self, lock: &StoreLock<'_>) {
        let store = lock.store();
        let Ok(catalogue) = store.catalogue() else { return };
        let Some(whole) = catalogue.all().iter().rev().find(|l| l.session && store.manifest(l).is_ok())
        else {
            return;
        };
        let id = &whole.id;
        let kept = self
            .env
            .executable
            .as_ref()
            .map_or(Ok(false), |running| lock.keep_executable(running, id))
            .and_then(|_| lock.keep_scripts());
        if let Err(e) = kept {
            self.context().note(e.to_string());
        }
    }

    /// Repairs, and gives what was done with the validations that follow.
    pub(super) fn repair(
        &self,
        store: &Store,
        which: Option<&Selector>,
        no_wait: bool,
    ) -> Result<RepairReport> {
        let lock = store.lock(wait(no_wait), &self.interrupt, &self.progress)?;
        repair(&lock, which, self.env.executable.as_deref(), &self.context())
    }
}
