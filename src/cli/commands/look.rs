//! `list`, `show` and `diff`: looking at restore points. They ask no cargo and change nothing.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use clap::Args;

use crate::cli::session::Session;
use crate::cli::{exit, render};
use crate::diff::{Diff, diff_live_part, diff_points_part};
use crate::error::{Error, ErrorKind, Result};
use crate::live_tree::{Asked, Look};
use crate::manifest::{Entry, Manifest};
use crate::store::{Catalogue, Listed, Selector, Store};

/// The word for the workspace as it is now.
const LIVE: &str = "live";

#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    /// List only the newest N
    #[arg(short = 'n', long, value_name = "N")]
    last: Option<usize>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ShowArgs {
    /// An id, the start of one, or `latest`
    #[arg(value_name = "TS", default_value = "latest")]
    timestamp: String,
    /// Show only these, with digest, times and reasons
    #[arg(value_name = "PATH")]
    path: Vec<OsString>,
    /// Name each entry and why it is protected
    #[arg(short, long)]
    verbose: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DiffArgs {
    /// From: an id, the start of one, `latest`, or `live`
    #[arg(value_name = "A", default_value = "latest")]
    a: String,
    /// To: the same; `live` is the workspace as it is
    #[arg(value_name = "B", default_value = LIVE)]
    b: String,
    /// Compare only this path; may be repeated
    #[arg(long, value_name = "PATH")]
    only: Vec<OsString>,
    /// Compare only this package; may be repeated
    #[arg(short, long, value_name = "PKG")]
    package: Vec<String>,
    /// Count by package and name no file
    #[arg(long, conflicts_with = "name_only")]
    stat: bool,
    /// Print names and nothing else
    #[arg(long)]
    name_only: bool,
}

impl Session<'_> {
    pub(super) fn list(&self, args: &ListArgs) -> Result<u8> {
        let store = self.store()?;
        let summaries = store.summaries(args.last)?;
        let all = store.catalogue()?.all().len();
        let report = render::ListReport::new(&store, &summaries, all);
        let now = self.context().clock.now();
        Ok(self.tell(exit::DONE, &report, |term| render::list(term, &report, now)))
    }

    pub(super) fn show(&self, args: &ShowArgs) -> Result<u8> {
        let store = self.store()?;
        let catalogue = store.catalogue()?;
        let listed = self.pick(&catalogue, &args.timestamp)?;
        let manifest = store.manifest(listed)?;
        let summary = store.summary(listed);
        let chosen = chosen(&manifest, &args.path)?;
        if args.path.is_empty() {
            let (disk_bytes, status) = (summary.freed, &summary.status);
            let report = render::ShowReport { manifest: &manifest, disk_bytes, status };
            self.tell(exit::DONE, &report, |term| {
                render::show(term, &store, &manifest, &summary, args.verbose)
            });
        } else {
            let report = render::ShowEntries::new(&store, &manifest, &chosen);
            self.tell(exit::DONE, &report, |term| render::show_entries(term, &store, &manifest, &chosen));
        }
        if store.is_cut_off() {
            self.context().note("a rollback was interrupted: `rollback --resume` or `rollback --abort`");
        }
        Ok(exit::DONE)
    }

    pub(super) fn diff(&self, args: &DiffArgs) -> Result<u8> {
        let store = self.store()?;
        self.stop_on_signals();
        let catalogue = store.catalogue()?;
        let (a, b) = (side(&catalogue, &args.a)?, side(&catalogue, &args.b)?);
        let diff = self.compared(&store, a, b, &self.asked(&store, &args.only, &args.package))?;
        let code = if diff.is_empty() { exit::DONE } else { exit::FINDINGS };
        let names = [a, b].map(|side| side.map_or(LIVE.to_owned(), Listed::backup_id));
        let view = render::DiffView { store: &store, diff: &diff, a, b, names };
        self.tell(code, &render::DiffReport::from(&view), |term| match (args.stat, args.name_only) {
            (true, _) => render::diff_stat(term, &view),
            (_, true) => render::diff_names(&view),
            _ => render::diff(term, &view),
        });
        if store.is_cut_off() {
            self.context().note("a rollback was interrupted: `rollback --resume` or `rollback --abort`");
        }
        Ok(code)
    }

    fn compared(&self, store: &Store, a: Option<&Listed>, b: Option<&Listed>, asked: &Asked) -> Result<Diff> {
        let context = self.context();
        match (a, b) {
            (Some(a), None) => diff_live_part(store, a, asked, Look::Whole, &context),
            (None, Some(b)) => Ok(diff_live_part(store, b, asked, Look::Whole, &context)?.reversed()),
            (Some(a), Some(b)) => diff_points_part(store, a, b, asked),
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

/// The indices of the entries that a person asks for: paths below the workspace root, or `ROOT:path`. Names are compared
/// as they are, never as they are shown.
fn chosen(manifest: &Manifest, paths: &[OsString]) -> Result<Vec<usize>> {
    let find = |given: &OsString| {
        let plain = given.as_bytes().strip_prefix(b"./").unwrap_or(given.as_bytes());
        let wanted = plain.strip_suffix(b"/").unwrap_or(plain);
        let is_wanted = |e: &Entry| {
            let root = format!("{}:", e.root);
            let path =
                if e.root.is_workspace() { Some(wanted) } else { wanted.strip_prefix(root.as_bytes()) };
            path == Some(e.path.as_bytes())
        };
        manifest.entries.iter().position(is_wanted).ok_or_else(|| {
            let shown = crate::path::show_path(given.as_ref());
            Error::new(ErrorKind::Usage, format!("{} holds no `{shown}`", manifest.backup_id)).with_help(
                "`show -v` names all that it holds; `explain PATH` says why something is not in it",
            )
        })
    };
    paths.iter().map(find).collect()
}
