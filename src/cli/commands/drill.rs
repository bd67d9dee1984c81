//! `validate --drill`: restores to a scratch place and climbs.

use std::path::{Path, PathBuf};

use crate::cli::session::Session;
use crate::drill::{DrillOptions, DrillReport, drill, outside, record, scratch_below};
use crate::error::{ErrorKind, Result};
use crate::store::{DrillLevel, Listed, Store, Wait};

impl Session<'_> {
    /// Where scratch copies are made. Asked before anything else is done: a place in the workspace is an error.
    pub(super) fn scratch(&self, given: Option<&Path>, root: &Path, store: &Path) -> Result<PathBuf> {
        let asked = given.map_or_else(|| scratch_below(&self.env.cache), |dir| self.env.absolute(dir));
        outside(&asked, &[root.to_path_buf()], store)
    }

    /// Drills each of `listed`, and records how far it came.
    pub(super) fn drill(
        &self,
        store: &Store,
        listed: &[Listed],
        level: DrillLevel,
        scratch: &Path,
    ) -> Result<Vec<DrillReport>> {
        let context = self.context();
        let options = DrillOptions {
            level,
            scratch: scratch.to_path_buf(),
            seeds: self.target_directories(store),
            cargo: self.env.cargo.clone(),
            cargo_home: self.env.cargo_env.home.clone().unwrap_or_default(),
        };
        if level >= DrillLevel::Resolves {
            context.note(format!(
                "a drill up to `{level}` runs cargo, and with it build scripts of the restored code"
            ));
        }
        listed
            .iter()
            .map(|listed| {
                let report = drill(store, listed, &options, &context)?;
                let recorded = store
                    .lock(Wait::Yes, &self.interrupt, &self.progress)
                    .and_then(|lock| record(&lock, &report, &context));
                // A store that cannot be written to is drilled all the same.
                if let Err(e) = recorded
                    && e.kind() == ErrorKind::Interrupted
                {
                    return Err(e);
                }
                Ok(report)
            })
            .collect()
    }

    /// Where compiled dependencies may lie: what cargo says, or the usual place where the workspace is broken.
    fn target_directories(&self, store: &Store) -> Vec<PathBuf> {
        let options = crate::workspace::LoadOptions {
            manifest_path: Some(store.root().join("Cargo.toml")),
            directory: store.root().to_path_buf(),
            cargo: self.env.cargo.clone(),
            env: self.env.cargo_env.clone(),
        };
        match crate::workspace::load(&options) {
            Ok(workspace) => workspace.target_directories,
            Err(_) => vec![store.root().join("target")],
        }
    }
}
