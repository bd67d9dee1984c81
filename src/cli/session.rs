//! What every command works with: the flags, the environment, the store and the workspace that are meant.

use std::ffi::OsString;
use std::path::PathBuf;

use serde::Serialize;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use super::env::{Env, PROGRAM, called};
use super::find::{self, DEFAULT_STORE};
use super::global::{Format, Global};
use super::progress::Progress;
use super::render;
use super::term::Term;
use crate::checkpoint::Checkpoints;
use crate::clock::SystemClock;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Context, Interrupt};
use crate::fsx::Fs;
use crate::live_tree::Asked;
use crate::path::{RelPath, canonical};
use crate::store::{Catalogue, Listed, Selector, Store, Wait};
use crate::workspace::{LoadOptions, Workspace, load};

/// What every command works with.
pub(super) struct Session<'a> {
    pub(super) global: &'a Global,
    /// Its name.
    pub(super) command: &'static str,
    pub(super) env: &'a Env,
    pub(super) term: Term,
    pub(super) fs: Fs,
    pub(super) interrupt: Interrupt,
    pub(super) progress: Progress,
    /// What the embedding program adds to the checkpoints.
    pub(super) registered: &'a Checkpoints,
    /// All commands, for what is made from their definitions.
    #[cfg(feature = "install")]
    pub(super) definition: fn(&'static str) -> clap::Command,
}

impl Session<'_> {
    pub(super) fn context(&self) -> Context<'_> {
        Context {
            clock: &SystemClock,
            interrupt: &self.interrupt,
            observer: &self.progress,
            cargo: &self.env.cargo_env,
        }
    }

    /// From here on Ctrl-C asks to stop, and the operation stops where that is safe.
    pub(super) fn stop_on_signals(&self) {
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] {
            if let Err(e) = signal_hook::flag::register(signal, self.interrupt.flag()) {
                self.context().note(format!("a signal will end the program at once: {e}"));
            }
        }
    }

    pub(super) fn store(&self) -> Result<Store> {
        find::open(self.global, self.env, &self.fs)
    }

    /// The restore point that is meant. Says if `latest` passes over a newer one.
    ///
    /// # Errors
    /// As [`Catalogue::select`].
    pub(super) fn pick<'c>(&self, catalogue: &'c Catalogue, text: &str) -> Result<&'c Listed> {
        let selector = selector(text);
        if selector == Selector::Latest
            && let Some(newer) = catalogue.passed_over()
        {
            self.context().note(format!(
                "`latest` passes over {}, made while cargo could not load the workspace; name it by its id",
                newer.backup_id()
            ));
        }
        catalogue.select(&selector)
    }

    pub(super) fn report(&self, text: &str) {
        self.progress.clear();
        if !self.global.quiet || self.global.format == Format::Json {
            self.term.report(text);
        }
    }

    /// Prints what came of the command in the form that is asked for, and hands its exit code on.
    pub(super) fn tell<R: Serialize>(&self, code: u8, report: &R, human: impl FnOnce(&Term) -> String) -> u8 {
        let text = if self.json() { render::json(self.command, code, report) } else { human(&self.term) };
        self.report(&text);
        code
    }

    pub(super) fn json(&self) -> bool {
        self.global.format == Format::Json
    }

    /// A rollback that was interrupted may have left a workspace that cargo cannot read: then that is what to repair.
    pub(super) fn workspace_or_cut_off(&self) -> Result<Workspace> {
        self.workspace().map_err(|e| {
            let cut_off = self.store().and_then(|store| store.refuse_cut_off());
            cut_off.err().filter(|cut| cut.kind() == ErrorKind::CutOff).unwrap_or(e)
        })
    }

    pub(super) fn workspace(&self) -> Result<Workspace> {
        let manifest_path = self.global.manifest_path.as_deref().map(|p| self.env.absolute(p));
        let copied =
            self.env.copied_into().filter(|_| manifest_path.is_none() && self.global.store.is_none());
        let directory = match copied {
            Some(store) => Store::open(&store, None, &self.fs)?.root().to_path_buf(),
            None => self.env.directory.clone().ok_or_else(|| {
                Error::new(ErrorKind::Workspace, "the current directory is missing")
                    .with_help("change to the workspace, or name it: --manifest-path DIR/Cargo.toml")
            })?,
        };
        load(&LoadOptions {
            manifest_path,
            directory,
            cargo: self.env.cargo.clone(),
            env: self.env.cargo_env.clone(),
        })
    }

    pub(super) fn store_of(&self, workspace: &Workspace) -> PathBuf {
        if let Some(dir) = self.global.store.as_ref().or(self.env.store.as_ref()) {
            return self.env.absolute(dir);
        }
        if let (Some(dir), None) = (self.env.copied_into(), &self.global.manifest_path) {
            return dir;
        }
        let setting = workspace.settings.store.clone();
        crate::path::clean(&workspace.root.join(setting.unwrap_or_else(|| DEFAULT_STORE.into())))
    }

    /// What `--only` and `-p` name. In a subdirectory of the workspace paths count from there; elsewhere, and in the
    /// store, from the workspace root.
    pub(super) fn asked(&self, store: &Store, only: &[OsString], packages: &[String]) -> Asked {
        let here = self.env.directory.as_ref().map(|dir| canonical(dir).unwrap_or_else(|_| dir.clone()));
        let here = here.filter(|dir| !dir.starts_with(store.layout().dir()));
        let here = here.and_then(|dir| RelPath::strip(store.root(), &dir));
        Asked { only: only.iter().map(PathBuf::from).collect(), packages: packages.to_vec(), here }
    }

    /// What the person called the program.
    pub(super) fn called(&self) -> &'static str {
        self.env.executable.as_deref().map_or(PROGRAM, called)
    }

    /// The commands that bring a state back: the one that was used, and the one that needs no cargo.
    pub(super) fn bring_back(&self, store: &Store) -> render::BringBack {
        let executable = store.layout().executable();
        let shown = match &self.env.directory {
            Some(here) => executable.strip_prefix(here).map_or(executable.clone(), PathBuf::from),
            None => executable.clone(),
        };
        let program = if self.global.store.is_none() { self.called() } else { PROGRAM };
        render::BringBack { program, executable: executable.exists().then_some(shown) }
    }
}

pub(super) fn wait(no_wait: bool) -> Wait {
    if no_wait { Wait::No } else { Wait::Yes }
}

pub(super) fn selector(text: &str) -> Selector {
    match text.parse() {
        Ok(selector) => selector,
        Err(never) => match never {},
    }
}
