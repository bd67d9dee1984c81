//! `list`, `show` and `diff`: looking at restore points. They ask no cargo and change nothing.

use clap::Args;

use super::{Session, selector};
use crate::cli::{exit, render};
use crate::diff::{Diff, diff_live, diff_points};
use crate::error::{Error, ErrorKind, Result};
use crate::live_tree::Look;
use crate::manifest::{Kind, Manifest};
use crate::store::{Catalogue, Listed, Selector, Store};

/// The word for the workspace as it is now.
const LIVE: &str = "live";

#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    /// Only the newest N
    #[arg(short = 'n', long, value_name = "N")]
    last: Option<usize>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ShowArgs {
    /// An id, the start of one, or `latest`
    #[arg(value_name = "TS", default_value = "latest")]
    timestamp: String,
    /// Only these, with digest, times and reasons
    #[arg(value_name = "PATH")]
    path: Vec<String>,
    /// Names each entry and why it is protected
    #[arg(short, long)]
    verbose: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DiffArgs {
    /// An id, the start of one, `latest`, or `live`
    #[arg(value_name = "A", default_value = "latest")]
    a: String,
    /// The same; `live` is the workspace as it is
    #[arg(value_name = "B", default_value = LIVE)]
    b: String,
    /// Only this path, from the root on; may be repeated
    #[arg(long, value_name = "PATH")]
    only: Vec<String>,
    /// Only this package; may be repeated
    #[arg(short, long, value_name = "PKG")]
    package: Vec<String>,
    /// Counts by package, and names no file
    #[arg(long, conflicts_with = "name_only")]
    stat: bool,
    /// Names and nothing else
    #[arg(long)]
    name_only: bool,
}

impl Session<'_> {
    pub(super) fn list(&self, args: &ListArgs) -> Result<u8> {
        let store = self.store()?;
        let summaries = store.summaries(args.last)?;
        let all = store.catalogue()?.all().len();
        let text = if self.json() {
            render::list_json(&store, &summaries)
        } else {
            let now = self.context().clock.now();
            render::list(&self.term, &store, &summaries, all, now)
        };
        self.report(&text);
        Ok(exit::DONE)
    }

    pub(super) fn show(&self, args: &ShowArgs) -> Result<u8> {
        let store = self.store()?;
        let catalogue = store.catalogue()?;
        let listed = catalogue.select(&selector(&args.timestamp))?;
        let manifest = store.manifest(listed)?;
        let summary = store.summary(listed);
        let chosen = chosen(&manifest, &args.path)?;
        let text = match (self.json(), args.path.is_empty()) {
            (true, true) => render::show_json(&manifest, &summary),
            (true, false) => render::show_entries_json(&store, &manifest, &chosen),
            (false, true) => render::show(&self.term, &store, &manifest, &summary, args.verbose),
            (false, false) => render::show_entries(&self.term, &store, &manifest, &chosen),
        };
        self.report(&text);
        if store.is_cut_off() {
            self.context().note("a rollback was cut off: `rollback --resume` or `rollback --abort`");
        }
        Ok(exit::DONE)
    }

    pub(super) fn diff(&self, args: &DiffArgs) -> Result<u8> {
        let store = self.store()?;
        self.stop_on_signals();
        let catalogue = store.catalogue()?;
        let (a, b) = (side(&catalogue, &args.a)?, side(&catalogue, &args.b)?);
        let mut diff = self.compared(&store, a, b)?;
        let sides = a.iter().chain(b.iter()).map(|l| store.manifest(l)).collect::<Result<Vec<_>>>();
        restrict(&mut diff, &sides?, &args.only, &args.package)?;
        let code = if diff.is_empty() { exit::DONE } else { exit::FINDINGS };
        let names = [a, b].map(|side| side.map_or(LIVE.to_owned(), Listed::backup_id));
        let view = render::DiffView { store: &store, diff: &diff, a, b, names };
        let text = match (self.json(), args.stat, args.name_only) {
            (true, ..) => render::diff_json(&view, code),
            (_, true, _) => render::diff_stat(&self.term, &view),
            (_, _, true) => render::diff_names(&view),
            _ => render::diff(&self.term, &view),
        };
        self.report(&text);
        if store.is_cut_off() {
            self.context().note("a rollback was cut off: `rollback --resume` or `rollback --abort`");
        }
        Ok(code)
    }

    fn compared(&self, store: &Store, a: Option<&Listed>, b: Option<&Listed>) -> Result<Diff> {
        let context = self.context();
        match (a, b) {
            (Some(a), None) => diff_live(store, a, Look::Whole, &context),
            (None, Some(b)) => Ok(diff_live(store, b, Look::Whole, &context)?.reversed()),
            (Some(a), Some(b)) => diff_points(store, a, b),
            (None, None) => Err(Error::new(ErrorKind::Usage, "both sides are the workspace as it is now")
                .with_help("name a restore point on one side: `list` shows them")),
        }
    }
}

/// `None` is the workspace as it is now.
fn side<'c>(catalogue: &'c Catalogue, text: &str) -> Result<Option<&'c Listed>> {
    if text == LIVE {
        return Ok(None);
    }
    catalogue
        .select(&match text.parse::<Selector>() {
            Ok(selector) => selector,
            Err(never) => match never {},
        })
        .map(Some)
}

/// Takes a part of what was compared. A name that nobody knows must not make the rest look the same.
fn restrict(diff: &mut Diff, manifests: &[Manifest], only: &[String], packages: &[String]) -> Result<()> {
    if only.is_empty() && packages.is_empty() {
        return Ok(());
    }
    let clean = |path: &str| path.trim_start_matches("./").trim_end_matches('/').to_owned();
    let below = |shown: &str, path: &str| {
        matches!(path, "" | ".")
            || shown == path
            || shown.strip_prefix(path).is_some_and(|rest| rest.starts_with('/') || path.ends_with(':'))
    };
    let entries = || manifests.iter().flat_map(|m| &m.entries);
    for path in only {
        // A variable that a script forgot to set.
        if path.is_empty() {
            return Err(Error::new(ErrorKind::Usage, "an empty --only names no path")
                .with_help("give a path below the workspace root; `.` is all of it"));
        }
        let path = clean(path);
        let known = entries().any(|e| below(&e.shown(), &path))
            || diff.changes.iter().any(|c| below(&c.shown(), &path));
        if !known {
            let text = crate::path::show_text(&path);
            return Err(Error::new(
                ErrorKind::Usage,
                format!("--only {text}: neither side holds such a path"),
            )
            .with_help("paths count from the workspace root; `show -v` names all that is held"));
        }
    }
    for name in packages {
        if !manifests.iter().flat_map(|m| &m.packages).any(|p| p.name == *name) {
            let text = crate::path::show_text(name);
            return Err(Error::new(ErrorKind::Usage, format!("neither side has a package `{text}`"))
                .with_help("`show` lists the packages"));
        }
    }
    let only: Vec<String> = only.iter().map(|path| clean(path)).collect();
    // As a rollback takes a package: its directory with all that is in it.
    let directories: Vec<String> = manifests
        .iter()
        .flat_map(|m| &m.packages)
        .filter(|p| packages.contains(&p.name))
        .map(|p| match (&p.directory, p.root.as_str()) {
            (Some(directory), root) => crate::manifest::shown(root, directory),
            (None, "") => String::new(),
            (None, root) => format!("{root}:"),
        })
        .collect();
    let outside = |shown: &str| {
        let roots = manifests.iter().flat_map(|m| &m.roots).filter(|r| !r.name.is_empty());
        roots.map(|r| format!("{}:", r.name)).any(|root| shown.starts_with(&root))
    };
    let in_directory = |shown: &str, dir: &String| below(shown, dir) && (!dir.is_empty() || !outside(shown));
    let asked = |shown: &str| {
        (only.is_empty() || only.iter().any(|path| below(shown, path)))
            && (packages.is_empty() || directories.iter().any(|dir| in_directory(shown, dir)))
    };
    let gone: Vec<String> = diff.missing_roots.iter().map(|root| format!("{root}:")).collect();
    diff.retain(|root, path| asked(&crate::manifest::shown(root, path)));
    diff.left_alone.retain(|(shown, _)| asked(shown));
    diff.missing_roots.retain(|root| asked(&format!("{root}:")));
    let changed: std::collections::BTreeSet<String> = diff.changes.iter().map(|c| c.shown()).collect();
    let apart: std::collections::BTreeSet<&String> = diff.left_alone.iter().map(|(shown, _)| shown).collect();
    let same = manifests.first().map_or(0, |m| {
        let files = m.entries.iter().filter(|e| e.kind != Kind::Directory).map(crate::manifest::Entry::shown);
        let there = files.filter(|shown| asked(shown) && !gone.iter().any(|root| shown.starts_with(root)));
        there.filter(|shown| !changed.contains(shown) && !apart.contains(shown)).count() as u64
    });
    diff.unchanged = same;
    Ok(())
}

/// The indices of the entries that a person asks for.
fn chosen(manifest: &crate::manifest::Manifest, paths: &[String]) -> Result<Vec<usize>> {
    let find = |path: &String| {
        let wanted = path.trim_start_matches("./").trim_end_matches('/');
        manifest.entries.iter().position(|e| e.shown() == wanted || e.path.to_string() == wanted).ok_or_else(
            || {
                let shown = crate::path::show_text(path);
                Error::new(ErrorKind::Usage, format!("{} holds no `{shown}`", manifest.backup_id)).with_help(
                    "`show -v` names all that it holds; `explain PATH` says why something is not in it",
                )
            },
        )
    };
    paths.iter().map(find).collect()
}
