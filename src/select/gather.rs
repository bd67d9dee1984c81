//! Everything that lies below one root and may be protected: one walk, and one more for each package that an
//! ignore rule or a target directory hides from it.

use std::path::{Path, PathBuf};

use super::SkipReason;
use super::git::{GitAnswer, Rules};
use super::repository::repository_of;
use super::walk::{Walk, Walked, look};
use crate::order;
use crate::path::{RelPath, show_path};

/// What lies below a root.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) walked: Walked,
    /// Whether git's rules judged it.
    pub(super) git: bool,
    pub(super) notes: Vec<String>,
}

impl Gathered {
    /// Working trees of other repositories, absolute.
    pub(super) fn other_checkouts(&self, root: &Path) -> impl Iterator<Item = PathBuf> {
        let others = self.walked.pruned.iter().filter(|(_, why)| *why == SkipReason::OtherCheckout);
        others.map(|(path, _)| root.join(path)).filter(|dir| repository_of(dir).is_some())
    }
}

/// Walks the root. `packages` are the packages' directories below it, sorted; `None` is the root itself.
pub(super) fn gather(walk: &Walk<'_>, packages: &[Option<RelPath>]) -> Gathered {
    let shown = show_path(walk.root);
    let mut notes = Vec::new();
    let (rules, git) = judge(walk.root, &shown, &mut notes);
    if rules.answer == GitAnswer::NoRepository {
        notes.push(format!("no git repository holds `{shown}`: nothing counts as ignored there"));
    }
    let mut walked = walk.run(None, rules);
    for directory in packages.iter().flatten() {
        let reached = directory.join("Cargo.toml").is_ok_and(|manifest| has(&walked, &manifest));
        if reached {
            continue;
        }
        if let Some((_, why)) = never_above(walk, directory) {
            notes.push(format!("the package in `{directory}` is not protected: it lies in {why}"));
            continue;
        }
        look_again(walk, &mut walked, directory, &mut notes);
    }
    for (path, why) in &walked.unjudged {
        notes.push(format!(
            "git cannot judge `{}` ({why}): nothing counts as ignored there",
            show_path(&walk.root.join(path))
        ));
    }
    Gathered { walked, git, notes }
}

/// Walks a package that an ignore rule or a target directory hides.
pub(crate) fn look_again(walk: &Walk<'_>, walked: &mut Walked, directory: &RelPath, notes: &mut Vec<String>) {
    if let Some(others) = walk.since_above(directory) {
        if !walked.pruned.iter().any(|(path, _)| *path == others) {
            walked.pruned.push((others, SkipReason::OtherCheckout));
        }
        return;
    }
    let full = walk.root.join(directory);
    let tops = std::iter::once(directory.clone()).chain(directory.ancestors());
    walked
        .checkouts
        .extend(tops.filter_map(|dir| Some((dir.clone(), repository_of(&walk.root.join(&dir))?))));
    let (rules, judged) = judge(&full, &show_path(&full), notes);
    let broken = match &rules.answer {
        GitAnswer::Broken(why) => Some((directory.clone(), why.clone())),
        _ => None,
    };
    let more = walk.run(Some(directory), rules);
    merge(walk, walked, directory, more, judged);
    walked.unjudged.extend(broken.filter(|_| walk.against.is_some()));
}

/// Walks a directory that is taken whole.
pub(crate) fn look_whole(walk: &Walk<'_>, walked: &mut Walked, directory: &RelPath) {
    let more = Walk { whole: true, ..*walk }.run(Some(directory), Rules::none());
    merge(walk, walked, directory, more, false);
}

/// Git's rules for a directory with a manifest, and whether they count. They are set aside where git ignores the
/// manifest itself: a rule from above that swallows a package was not made for the package's files.
fn judge(directory: &Path, shown: &str, notes: &mut Vec<String>) -> (Rules, bool) {
    let rules = Rules::ask(directory);
    match &rules.answer {
        GitAnswer::NoRepository => (rules, false),
        GitAnswer::Broken(why) => {
            notes.push(format!("git cannot judge `{shown}` ({why}): nothing counts as ignored there"));
            (rules, false)
        }
        GitAnswer::Working if !rules.ignores(b"Cargo.toml") => (rules, true),
        GitAnswer::Working | GitAnswer::Swallowed => {
            notes.push(format!(
                "git ignores the manifest in `{shown}`: its rules are set aside, nothing counts as ignored there"
            ));
            (rules.set_aside(), false)
        }
    }
}

fn has(walked: &Walked, path: &RelPath) -> bool {
    walked.found.binary_search_by(|found| found.path.cmp(path)).is_ok()
}

/// The store or version control directory that holds `path`.
pub(super) fn never_above(walk: &Walk<'_>, path: &RelPath) -> Option<(RelPath, &'static str)> {
    std::iter::once(path.clone()).chain(path.ancestors()).find_map(|dir| {
        match walk.never(&walk.root.join(&dir), true) {
            Some(SkipReason::Store) => Some((dir, "a store of restore points")),
            Some(SkipReason::VersionControl) => Some((dir, "a version control system's directory")),
            _ => None,
        }
    })
}

fn merge(walk: &Walk<'_>, walked: &mut Walked, directory: &RelPath, more: Walked, judged: bool) {
    walked.found.extend(more.found);
    walked.found.extend(directory.ancestors().filter_map(|dir| look(walk.root, dir)));
    order::sort_by(&mut walked.found, |a, b| a.path.cmp(&b.path).then(b.tracked.cmp(&a.tracked)));
    walked.found.dedup_by(|a, b| a.path == b.path);
    // The second look replaces the first one's verdicts on the package.
    walked.pruned.retain(|(path, _)| !path.is_in(directory));
    walked.pruned.extend(more.pruned);
    order::sort(&mut walked.pruned);
    if !judged {
        walked.ignored.retain(|path| !path.is_in(directory));
    }
    walked.ignored.extend(more.ignored);
    order::sort(&mut walked.ignored);
    walked.ignored.dedup();
    walked.errors.extend(more.errors);
    walked.checkouts.extend(more.checkouts);
    walked.unjudged.extend(more.unjudged);
}
