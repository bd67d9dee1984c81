//! `init`: backstop into a workspace that is there.

use std::path::PathBuf;

use cargo_metadata::semver::VersionReq;
use clap::{ArgGroup, Args, ValueEnum};

use crate::cli::session::Session;
use crate::cli::{exit, render};
use crate::error::{Error, ErrorKind, Result};
use crate::init::{Ci, Dependency, InitOptions, apply, plan};
use crate::workspace::LoadOptions;

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("dependency").args(["path", "git", "requirement"]))]
#[command(group = ArgGroup::new("reference").args(["rev", "tag", "branch"]).requires("git"))]
pub(in crate::cli) struct InitArgs {
    /// Take backstop from this directory
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// Take backstop from this repository
    #[arg(long, value_name = "URL")]
    git: Option<String>,
    /// At this commit of the repository
    #[arg(long, value_name = "REV")]
    rev: Option<String>,
    /// At this tag
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// At this branch
    #[arg(long, value_name = "BRANCH")]
    branch: Option<String>,
    /// Take this version from the registry
    #[arg(long = "version", value_name = "V")]
    requirement: Option<String>,
    /// Write a job file too: github or gitlab; may be repeated
    #[arg(long, value_enum, value_name = "CI", hide_possible_values = true)]
    ci: Vec<CiArg>,
    /// Show each line that would be added and stop
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CiArg {
    Github,
    Gitlab,
}

impl InitArgs {
    fn options(&self) -> Result<InitOptions> {
        let named = |key, value: &Option<String>| value.clone().map(|value| (key, value));
        let reference = named("rev", &self.rev).or(named("tag", &self.tag)).or(named("branch", &self.branch));
        let dependency = match (&self.path, &self.git, &self.requirement) {
            (Some(path), _, _) => Some(Dependency::Path(path.clone())),
            (_, Some(url), _) => Some(Dependency::Git { url: url.clone(), reference }),
            (_, _, Some(version)) => {
                VersionReq::parse(version).map_err(|e| {
                    let shown = crate::path::show_text(version);
                    Error::new(ErrorKind::Usage, format!("`{shown}` is no version requirement"))
                        .with_help("as in a manifest: `--version 1.2`")
                        .with_source(e)
                })?;
                Some(Dependency::Version(version.clone()))
            }
            (None, None, None) => None,
        };
        let mut ci: Vec<Ci> = Vec::new();
        for asked in &self.ci {
            let asked = match asked {
                CiArg::Github => Ci::Github,
                CiArg::Gitlab => Ci::Gitlab,
            };
            if !ci.contains(&asked) {
                ci.push(asked);
            }
        }
        Ok(InitOptions { dependency, ci })
    }
}

impl Session<'_> {
    pub(super) fn init(&self, args: &InitArgs) -> Result<u8> {
        let directory = self.env.directory.clone().ok_or_else(|| {
            Error::new(ErrorKind::Workspace, "the current directory is missing")
                .with_help("change to the workspace, or name it: --manifest-path DIR/Cargo.toml")
        })?;
        let manifest_path = self.global.manifest_path.as_deref().map(|p| self.env.absolute(p));
        let load = LoadOptions {
            manifest_path,
            directory,
            cargo: self.env.cargo.clone(),
            env: self.env.cargo_env.clone(),
        };
        let plan = plan(&args.options()?, &load)?;
        self.stop_on_signals();
        if !args.dry_run {
            apply(&plan, &self.fs, &self.interrupt)?;
        }
        // What is left to a person is what a check found.
        let code = if plan.by_hand.is_empty() { exit::DONE } else { exit::FINDINGS };
        let report = render::InitReport::new(&plan, args.dry_run);
        Ok(self.tell(code, &report, |term| render::init(term, &plan, args.dry_run)))
    }
}
