//! Puts backstop into a workspace that is there: an xtask, the alias and its profile, on request a CI job.
//!
//! [`plan`] reads and computes, [`apply`] writes what was planned. Nothing that a person wrote is replaced or
//! reordered: manifests and configuration get lines added, proven by reading them again; where that is not safe, or
//! code would have to change, the plan holds the lines for a person to add. All or nothing: where a step fails, or
//! cargo does not take the outcome, what was made is taken back.

mod apply;
mod config;
mod edit;
mod existing;
mod leftovers;
mod plan;
mod planner;
mod texts;

use std::path::PathBuf;

pub use apply::apply;
pub use plan::plan;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct InitOptions {
    /// Where the xtask gets backstop from. May be `None` where the workspace asks for backstop already.
    pub dependency: Option<Dependency>,
    /// The CI systems that get a job.
    pub ci: Vec<Ci>,
}

/// Where a package gets backstop from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dependency {
    /// A directory; relative ones count from [`directory`](crate::workspace::LoadOptions::directory).
    Path(PathBuf),
    /// A repository, and a `rev`, `tag` or `branch` in it.
    Git {
        /// Its address.
        url: String,
        /// The key and its value.
        reference: Option<(&'static str, String)>,
    },
    /// A version requirement.
    Version(String),
}

/// A CI system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ci {
    /// GitHub Actions.
    Github,
    /// GitLab CI.
    Gitlab,
}

/// What [`apply`] would do.
#[derive(Debug)]
pub struct InitPlan {
    /// The workspace's root.
    pub root: PathBuf,
    /// The files to make or to add to, in the order in which that happens.
    pub changes: Vec<Change>,
    /// What a person has to add.
    pub by_hand: Vec<ByHand>,
    /// What is there already, one sentence each.
    pub in_place: Vec<String>,
    /// What a person should know.
    pub notes: Vec<String>,
    /// What has to be true of the outcome.
    expected: Expected,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Below the root.
    pub path: PathBuf,
    /// What is in it; `None` where there is none.
    pub before: Option<String>,
    /// What will be in it.
    pub after: String,
}

/// Lines that a person has to add.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ByHand {
    /// The file, below the root.
    #[serde(serialize_with = "crate::text::serialize_path")]
    pub path: PathBuf,
    /// Where in it, and why.
    pub place: String,
    /// The lines.
    pub lines: String,
}

/// What cargo has to say of the workspace afterwards.
#[derive(Debug)]
struct Expected {
    load: crate::workspace::LoadOptions,
    /// The members, by their manifests.
    members: Vec<PathBuf>,
    /// The xtask's manifest, where it becomes a member.
    xtask: Option<PathBuf>,
}
