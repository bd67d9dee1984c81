//! `explain`: why a path is protected or not.

use std::path::PathBuf;

use clap::Args;

use crate::cli::session::Session;
use crate::cli::{exit, render};
use crate::error::Result;
use crate::select::select;

#[derive(Debug, Args)]
pub(in crate::cli) struct ExplainArgs {
    /// Files or directories, which need not exist
    #[arg(value_name = "PATH", required = true)]
    path: Vec<PathBuf>,
}

impl Session<'_> {
    pub(super) fn explain(&self, args: &ExplainArgs) -> Result<u8> {
        let workspace = self.workspace()?;
        let set = select(&workspace, &self.store_of(&workspace))?;
        let paths: Vec<PathBuf> = args.path.iter().map(|path| self.env.absolute(path)).collect();
        let explanations = crate::explain::explain(&workspace, &set, &paths);
        let report = render::ExplainReport { paths: &explanations };
        let shown: Vec<_> = args.path.iter().zip(&explanations).collect();
        Ok(self.tell(exit::DONE, &report, |term| render::explain(term, &workspace.root, &shown)))
    }
}
