//! A part of a restore point, by `--only` and `-p`. A package is more than its old directory: where one of that name stands
//! now goes with it, and what cargo would refuse because of it is refused first.

use super::after::After;
use super::journal::Purpose;
use super::leftovers::findings_of;
use super::options::RollbackOptions;
use super::plan::{RollbackPlan, needed, plan};
use crate::check::Finding;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Context;
use crate::live_tree::{Asked, LiveTree, PathFilter};
use crate::manifest::{Manifest, Place, RootName, RootedPath};
use crate::quote::shell_word;
use crate::store::{Listed, Store};
use crate::validate::verify_sources;

/// What a plan of a part is made from.
pub(super) struct Part<'a> {
    store: &'a Store,
    listed: &'a Listed,
    present: &'a LiveTree,
    options: &'a RollbackOptions,
    outside_differences: &'a [String],
    context: &'a Context<'a>,
    /// The packages that stand in the workspace now.
    live: Vec<(String, Place)>,
}

impl<'a> Part<'a> {
    pub(super) fn new(
        store: &'a Store,
        listed: &'a Listed,
        present: &'a LiveTree,
        options: &'a RollbackOptions,
        outside_differences: &'a [String],
        context: &'a Context<'a>,
    ) -> Self {
        let live = if options.asked.packages.is_empty() { Vec::new() } else { present.packages() };
        Part { store, listed, present, options, outside_differences, context, live }
    }

    /// The plan.
    ///
    /// # Errors
    /// `Usage` where cargo would refuse the workspace because a package goes back alone.
    pub(super) fn plan(&self, manifest: Manifest) -> Result<RollbackPlan> {
        if self.options.asked.packages.is_empty() {
            return self.plan_of(manifest, self.options.asked.clone());
        }
        let plan = self.plan_of(manifest.clone(), self.options.asked.clone())?;
        let mut before = findings_of(&self.as_it_is()?);
        // What stays because it is another's, no other part brings back.
        let is_others = |f: &&Finding| self.present.occupied.iter().any(|at| at.shown() == f.place);
        before.extend(plan.findings.iter().filter(is_others).cloned());
        if new(&plan, &before).next().is_none() {
            return Ok(plan);
        }
        let help = match self.with_more(&manifest, &plan, &before)? {
            Some(asked) => format!("roll back what belongs together: `{}`", self.command(&manifest, &asked)),
            None => {
                format!("roll back the whole workspace: `{}`", self.command(&manifest, &Asked::default()))
            }
        };
        let names: Vec<String> = self
            .options
            .asked
            .packages
            .iter()
            .map(|name| format!("`{}`", crate::path::show_text(name)))
            .collect();
        let text = format!("{} cannot go back alone; nothing was changed", names.join(" and "));
        Err(Error::new(ErrorKind::Usage, text)
            .with_details(
                plan.findings.iter().map(|f| format!("{} {}", f.place, f.problem)).collect::<Vec<_>>(),
            )
            .with_help(help))
    }

    fn plan_of(&self, manifest: Manifest, asked: Asked) -> Result<RollbackPlan> {
        let own = manifest.own_roots();
        let reached = |root: &RootName| self.options.outside || own.contains(root);
        let more = if asked.only.is_empty() { Vec::new() } else { self.members(&manifest)? };
        let added: Vec<_> = self.present.added.keys().chain(&more).collect();
        let selection = PathFilter::new(&asked, self.store.root(), &[&manifest], &added, &self.live, false)?;
        selection.refuse_outside(reached)?;
        let wanted = needed(&manifest, self.present, &selection);
        let from = self.options.from;
        let verified = verify_sources(self.store, self.listed, manifest, &wanted, from, self.context)?;
        let options = RollbackOptions { asked, ..self.options.clone() };
        let outside = self.outside_differences.to_vec();
        plan(self.store, &verified, self.present, &selection, &options, outside, self.context)
    }

    /// The directories that cargo would take for members now, by the restore point's patterns: an empty one is no addition,
    /// and can be asked for all the same.
    fn members(&self, manifest: &Manifest) -> Result<Vec<RootedPath>> {
        let after = self.as_it_is()?;
        let patterns = manifest.members.iter().flat_map(|globs| &globs.members);
        let found = patterns.flat_map(|pattern| after.expand(pattern).0);
        Ok(found
            .filter_map(|directory| after.manifest_at(&directory))
            .filter_map(|at| Some(RootedPath { path: at.path.parent()?, root: at.root }))
            .collect())
    }

    fn as_it_is(&self) -> Result<After<'_>> {
        let roots: Vec<_> = self.present.roots.iter().map(|r| r.root.clone()).collect();
        let purpose = Purpose::Rollback { to: self.listed.id.clone() };
        After::new(self.store, &roots, &purpose, &[], self.context)
    }

    /// What else has to be asked for so that cargo takes the workspace: manifests, and packages that are missing.
    fn with_more(
        &self,
        manifest: &Manifest,
        first: &RollbackPlan,
        before: &[Finding],
    ) -> Result<Option<Asked>> {
        let mut asked = self.options.asked.clone();
        let mut concerned = concerned_by(first, before);
        let mut seen: Vec<RootedPath> = Vec::new();
        loop {
            let mut more = false;
            for at in concerned {
                let Some(entry) = manifest.find(&at.root, &at.path) else { continue };
                if seen.contains(&at) || !self.present.differs(entry) {
                    continue;
                }
                let directory = at.path.parent();
                let mut packages = manifest.packages.iter();
                let package = packages.find(|p| p.root == at.root && p.directory == directory);
                let is_gone = !self.present.known.contains_key(&at);
                match package {
                    Some(package) if asked.packages.contains(&package.name) => continue,
                    Some(package) if is_gone => asked.packages.push(package.name.clone()),
                    _ => asked.only.push(self.named(&at)),
                }
                seen.push(at);
                more = true;
            }
            if !more {
                return Ok(None);
            }
            let plan = self.plan_of(manifest.clone(), asked.clone())?;
            if new(&plan, before).next().is_none() {
                return Ok(Some(asked));
            }
            concerned = concerned_by(&plan, before);
        }
    }

    /// A path as `--only` takes it: from a subdirectory of the workspace only an absolute one counts from its root.
    fn named(&self, at: &RootedPath) -> std::path::PathBuf {
        match self.options.asked.here {
            Some(_) if at.root.is_workspace() => self.store.root().join(&at.path),
            _ => at.shown().into(),
        }
    }

    fn command(&self, manifest: &Manifest, asked: &Asked) -> String {
        let mut words = format!("rollback -t {}", manifest.id);
        asked.packages.iter().for_each(|name| words += &format!(" -p {}", shell_word(name.as_ref())));
        asked.only.iter().for_each(|path| words += &format!(" --only {}", shell_word(path.as_os_str())));
        if self.options.outside {
            words += " --outside";
        }
        words
    }
}

/// What cargo would refuse because of the plan, with the manifests that it is about: the rest it refuses as it is.
fn new<'p>(
    plan: &'p RollbackPlan,
    before: &[Finding],
) -> impl Iterator<Item = (&'p Finding, &'p Vec<RootedPath>)> {
    let known = |f: &Finding| before.iter().any(|b| b.place == f.place && f.problem.starts_with(&b.problem));
    plan.findings.iter().zip(&plan.concerned).filter(move |(finding, _)| !known(finding))
}

fn concerned_by(plan: &RollbackPlan, before: &[Finding]) -> Vec<RootedPath> {
    new(plan, before).flat_map(|(_, manifests)| manifests).cloned().collect()
}
