//! `rollback` in all its forms: plan, ask, apply; undo, resume, abort; restore elsewhere.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use crate::cli::args::Point;
use crate::cli::session::{Session, selector, wait};
use crate::cli::term::BOLD;
use crate::cli::{exit, render};
use crate::error::{Error, ErrorKind, Result};
use crate::order;
use crate::rollback::{self, RollbackOptions, RollbackOutcome, RollbackPlan};
use crate::store::{Store, StoreLock};
use crate::validate::From;

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["id", "timestamp", "undo", "resume", "abort"]))]
#[command(group = clap::ArgGroup::new("other").args(["undo", "resume", "abort"]).multiple(false)
    .conflicts_with_all(["only", "package", "keep_new", "from", "to", "outside"]))]
pub(in crate::cli) struct RollbackArgs {
    #[command(flatten)]
    point: Point,
    /// Undo the last rollback; this can itself be undone
    #[arg(long)]
    undo: bool,
    /// Finish an interrupted rollback
    #[arg(long, conflicts_with = "dry_run")]
    resume: bool,
    /// Take back an interrupted rollback
    #[arg(long, conflicts_with = "dry_run")]
    abort: bool,
    /// Skip the confirmation prompt
    #[arg(short, long)]
    force: bool,
    /// Show the plan and stop
    #[arg(long)]
    dry_run: bool,
    /// Roll back only this path; may be repeated
    #[arg(long, value_name = "PATH")]
    only: Vec<OsString>,
    /// Roll back only this package; may be repeated
    #[arg(short, long, value_name = "PKG")]
    package: Vec<String>,
    /// Leave in place what was added since
    #[arg(long)]
    keep_new: bool,
    /// Take files from: auto, session, archive [default: auto]
    #[arg(long, value_enum, value_name = "COPY", default_value_t = Copy::Auto)]
    #[arg(hide_default_value = true, hide_possible_values = true)]
    from: Copy,
    /// Restore into a new directory and touch nothing else
    #[arg(long, value_name = "DIR", conflicts_with_all = ["dry_run", "keep_new"])]
    to: Option<PathBuf>,
    /// Write path dependencies outside the workspace too
    #[arg(long)]
    outside: bool,
    /// Exit with code 5 if another run holds the store
    #[arg(long)]
    no_wait: bool,
    /// Name each change
    #[arg(short, long)]
    pub(super) verbose: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Copy {
    Auto,
    Session,
    Archive,
}

impl Session<'_> {
    pub(super) fn rollback(&self, args: &RollbackArgs) -> Result<u8> {
        let store = self.store()?;
        if args.resume {
            return self.resume(&store, args);
        }
        if args.abort {
            return self.abort(&store, args);
        }
        if let Some(dir) = &args.to {
            return self.restore_to(&store, args, dir);
        }
        if let Some(named) = args.point.named() {
            self.pick(&store.catalogue()?, named)?;
        }
        // Where nobody is asked, nothing may move between the plan and its end; where somebody is, others may work on
        // meanwhile, and the plan is made once more.
        let held = if args.force && !args.dry_run { Some(self.lock(&store, args.no_wait)?) } else { None };
        let plan = self.plan(&store, args)?;
        self.progress.clear();
        if args.dry_run || plan.is_empty() {
            let code = if plan.findings.is_empty() { exit::DONE } else { exit::FINDINGS };
            return Ok(self.tell(code, &render::RollbackPlanned::new(&plan, args.dry_run), |term| {
                render::plan(term, &store, &plan, args.verbose)
                    + &render::plan_end(&plan)
                    + &render::findings(term, &plan.findings)
            }));
        }
        let (lock, plan) = match held {
            Some(lock) => {
                if !self.json() {
                    self.report(&render::plan(&self.term, &store, &plan, args.verbose));
                }
                (lock, plan)
            }
            None => {
                self.confirm(&store, &plan, args.verbose)?;
                let lock = self.lock(&store, args.no_wait)?;
                let now = self.plan(&store, args)?;
                refuse_moved(&plan, &now)?;
                (lock, now)
            }
        };
        let context = self.context();
        let outcome = rollback::apply(&lock, plan.clone(), &context)?;
        self.progress.clear();
        // An undo that had to leave something where it is, is not the whole undo.
        let incomplete = args.undo && !plan.left_alone.is_empty();
        let code = if incomplete { exit::FINDINGS } else { code(&outcome) };
        let undo_command = self.command(&store, "rollback --undo");
        let report = render::RollbackDone::new(Some(&plan), &outcome);
        Ok(self.tell(code, &report, |term| render::outcome(term, &outcome, &undo_command)))
    }

    fn plan(&self, store: &Store, args: &RollbackArgs) -> Result<RollbackPlan> {
        let context = self.context();
        if args.undo {
            return rollback::plan_undo(store, &context);
        }
        let catalogue = store.catalogue()?;
        let listed = catalogue.select(&selector(args.point.or_latest()))?;
        rollback::plan(store, listed, &self.options(args, store), &context)
    }

    /// Takes the store's lock. From here on Ctrl-C asks to stop.
    fn lock<'s>(&self, store: &'s Store, no_wait: bool) -> Result<StoreLock<'s>> {
        self.stop_on_signals();
        store.lock(wait(no_wait), &self.interrupt, &self.progress)
    }

    fn options(&self, args: &RollbackArgs, store: &Store) -> RollbackOptions {
        RollbackOptions {
            asked: self.asked(store, &args.only, &args.package),
            keep_new: args.keep_new,
            from: match args.from {
                Copy::Auto => From::Auto,
                Copy::Session => From::Session,
                Copy::Archive => From::Archive,
            },
            outside: args.outside,
        }
    }

    /// A command that works whatever state the workspace is in: the copied executable's, where there is one.
    fn command(&self, store: &Store, what: &str) -> String {
        let ways = self.bring_back(store);
        ways.without_cargo(what).unwrap_or_else(|| ways.command(what))
    }

    /// Shows the plan and asks. Ctrl-C at the question ends with exit code 3: nothing was changed.
    fn confirm(&self, store: &Store, plan: &RollbackPlan, verbose: bool) -> Result<()> {
        let unasked = |text: &str| Err(Error::new(ErrorKind::NotConfirmed, text));
        let shown =
            || render::plan(&self.term, store, plan, verbose) + &render::findings(&self.term, &plan.findings);
        if self.json() || !std::io::stdin().is_terminal() {
            if !self.json() {
                self.report(&shown());
            }
            return unasked("stdin is not a terminal; nothing was changed").map_err(|e| {
                e.with_help("pass --force (-f) to roll back without confirmation; --dry-run shows the plan")
            });
        }
        self.term.report(&shown());
        let armed = Arc::new(AtomicBool::new(true));
        let armed_for_all = [SIGINT, SIGTERM, SIGHUP, SIGQUIT].iter().try_for_each(|signal| {
            signal_hook::flag::register_conditional_shutdown(*signal, exit::NOT_DONE.into(), armed.clone())
                .map(drop)
        });
        if let Err(e) = armed_for_all {
            self.context().note(format!("Ctrl-C will end with another exit code: {e}"));
        }
        self.term.put(&self.term.err(BOLD, "Do this? [y/N] "));
        let mut answer = String::new();
        let read = std::io::stdin().read_line(&mut answer).context("reading the answer");
        armed.store(false, Ordering::Relaxed);
        match read {
            Ok(_) if ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) => Ok(()),
            Ok(_) => unasked("not confirmed; nothing was changed"),
            Err(e) => unasked("not confirmed; nothing was changed").map_err(|error| error.with_source(e)),
        }
    }

    fn resume(&self, store: &Store, args: &RollbackArgs) -> Result<u8> {
        let lock = self.lock(store, args.no_wait)?;
        let outcome = rollback::resume(&lock, &self.context())?;
        self.progress.clear();
        let Some(outcome) = outcome else { return Ok(self.nothing_to("resume")) };
        let undo = self.command(store, "rollback --undo");
        let report = render::RollbackDone::new(None, &outcome);
        Ok(self.tell(code(&outcome), &report, |term| render::outcome(term, &outcome, &undo)))
    }

    fn nothing_to(&self, asked: &'static str) -> u8 {
        let report = render::RollbackNothing::new(asked);
        self.tell(exit::DONE, &report, |term| report.human(term))
    }

    fn abort(&self, store: &Store, args: &RollbackArgs) -> Result<u8> {
        let lock = self.lock(store, args.no_wait)?;
        let outcome = rollback::abort(&lock, &self.context())?;
        self.progress.clear();
        let Some(outcome) = outcome else { return Ok(self.nothing_to("abort")) };
        let code = if outcome.findings.is_empty() { exit::DONE } else { exit::FINDINGS };
        Ok(self.tell(code, &render::RollbackAborted::new(&outcome), |term| render::abort(term, &outcome)))
    }

    fn restore_to(&self, store: &Store, args: &RollbackArgs, dir: &std::path::Path) -> Result<u8> {
        self.stop_on_signals();
        let _shared = store.lock_shared(wait(args.no_wait), &self.interrupt, &self.progress)?;
        let catalogue = store.catalogue()?;
        let listed = self.pick(&catalogue, args.point.or_latest())?;
        let dir = crate::path::clean(&self.env.absolute(dir));
        let report = rollback::restore_to(store, listed, &dir, &self.options(args, store), &self.context())?;
        self.progress.clear();
        let code = if report.naming.is_empty() { exit::DONE } else { exit::FINDINGS };
        Ok(self.tell(code, &render::RollbackRestored::from(&report), |term| render::restore(term, &report)))
    }
}

fn code(outcome: &RollbackOutcome) -> u8 {
    if outcome.mismatches.is_empty() && outcome.findings.is_empty() { exit::DONE } else { exit::FINDINGS }
}

/// What is done is what was shown.
fn refuse_moved(shown: &RollbackPlan, now: &RollbackPlan) -> Result<()> {
    let differs = |a: &RollbackPlan, b: &RollbackPlan| -> Vec<String> {
        a.actions.iter().filter(|x| !b.actions.contains(x)).map(rollback::Action::shown).collect()
    };
    let mut moved = differs(shown, now);
    moved.extend(differs(now, shown));
    order::sort(&mut moved);
    moved.dedup();
    if moved.is_empty() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Changed, "the workspace changed after the plan was shown; nothing was done")
        .with_details(moved)
        .with_help("look at the new plan: run it again"))
}
