//! `prune`, `pin` and `unpin`: which restore points stay.

use std::io::IsTerminal;

use clap::Args;

use crate::cli::session::{Session, selector, wait};
use crate::cli::{exit, render};
use crate::error::{Error, ErrorKind, Result};
use crate::retention::{
    DEFAULT, PrunePlan, Rule, Span, apply_prune, empty_trash, grace, plan_prune, restore_from_trash,
};
use crate::settings::KeepSetting;
use crate::store::{Pin, Store, StoreLock};

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("rule").multiple(true)
    .args(["keep_last", "keep_hourly", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly", "keep_within"])
    .conflicts_with_all(["restore", "empty_trash"]))]
pub(in crate::cli) struct PruneArgs {
    /// Keep the newest N; flags replace the settings' rule
    #[arg(long, value_name = "N")]
    keep_last: Option<u32>,
    /// Keep the newest of each of N hours
    #[arg(long, value_name = "N")]
    keep_hourly: Option<u32>,
    /// Keep the newest of each of N days
    #[arg(long, value_name = "N")]
    keep_daily: Option<u32>,
    /// Keep the newest of each of N weeks
    #[arg(long, value_name = "N")]
    keep_weekly: Option<u32>,
    /// Keep the newest of each of N months
    #[arg(long, value_name = "N")]
    keep_monthly: Option<u32>,
    /// Keep the newest of each of N years
    #[arg(long, value_name = "N")]
    keep_yearly: Option<u32>,
    /// Keep all so close to the newest: 28d, 2y5m7d3h
    #[arg(long, value_name = "TIME")]
    keep_within: Option<String>,
    /// Show what stays and why, and stop
    #[arg(long, conflicts_with_all = ["restore", "empty_trash"])]
    dry_run: bool,
    /// Restore one from the trash
    #[arg(long, value_name = "TS", conflicts_with = "empty_trash")]
    restore: Option<String>,
    /// Delete what is in the trash now
    #[arg(long)]
    empty_trash: bool,
    /// Skip the confirmation prompt of --empty-trash
    #[arg(short, long)]
    force: bool,
    /// Exit with code 5 if another run holds the store
    #[arg(long)]
    no_wait: bool,
}

/// From so many restore points on, a backup says that nothing prunes them.
const MANY: usize = 50;

#[derive(Debug, Args)]
pub(in crate::cli) struct PinArgs {
    /// An id, the start of one, or `latest`
    #[arg(value_name = "TS", default_value = "latest")]
    timestamp: String,
    /// Why it is kept
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct UnpinArgs {
    /// An id, the start of one, or `latest`
    #[arg(value_name = "TS", default_value = "latest")]
    timestamp: String,
}

impl PruneArgs {
    /// The rule of the flags, where one is given.
    fn rule(&self) -> Result<Option<Rule>> {
        let n = |n: Option<u32>| n.unwrap_or(0);
        let counts = [
            self.keep_last,
            self.keep_hourly,
            self.keep_daily,
            self.keep_weekly,
            self.keep_monthly,
            self.keep_yearly,
        ];
        if counts.iter().all(Option::is_none) && self.keep_within.is_none() {
            return Ok(None);
        }
        Ok(Some(Rule {
            last: n(self.keep_last),
            hourly: n(self.keep_hourly),
            daily: n(self.keep_daily),
            weekly: n(self.keep_weekly),
            monthly: n(self.keep_monthly),
            yearly: n(self.keep_yearly),
            within: self.keep_within.as_deref().map(str::parse).transpose()?,
        }))
    }
}

impl Session<'_> {
    pub(super) fn prune(&self, args: &PruneArgs) -> Result<u8> {
        let store = self.store()?;
        self.stop_on_signals();
        if args.empty_trash {
            return self.empty_trash(&store, args);
        }
        let context = self.context();
        if let Some(id) = &args.restore {
            let lock = self.lock_store(&store, args.no_wait)?;
            let restored = restore_from_trash(&lock, &selector(id), &context)?;
            let report = render::PruneRestored { restored: restored.shown() };
            return Ok(self.tell(exit::DONE, &report, |term| render::restored(term, &store, &restored)));
        }
        let (rule, grace) = self.rule(args.rule()?)?;
        if args.dry_run {
            let plan = plan_prune(&store, &rule, grace, &context)?;
            return Ok(self.planned(&store, &plan, None));
        }
        let lock = self.lock_store(&store, args.no_wait)?;
        let plan = plan_prune(&store, &rule, grace, &context)?;
        let outcome = apply_prune(&lock, &plan, &context)?;
        Ok(self.planned(&store, &plan, Some(&outcome)))
    }

    fn planned(
        &self,
        store: &Store,
        plan: &PrunePlan,
        outcome: Option<&crate::retention::PruneOutcome>,
    ) -> u8 {
        let report = render::PruneReport::new(store, plan, outcome);
        let now = self.context().clock.now();
        self.tell(exit::DONE, &report, |term| render::prune(term, &report, now))
    }

    fn lock_store<'s>(&self, store: &'s Store, no_wait: bool) -> Result<StoreLock<'s>> {
        store.lock(wait(no_wait), &self.interrupt, &self.progress)
    }

    /// The rule that the flags give, or else the settings', or else backstop's own; and the grace time. The settings
    /// stand in the manifests: where cargo cannot read them, that is said.
    fn rule(&self, flags: Option<Rule>) -> Result<(Rule, Span)> {
        let keep = match self.workspace() {
            Ok(workspace) => workspace.settings.keep,
            Err(e) if e.kind() == ErrorKind::Settings => return Err(e),
            Err(e) => {
                self.context().note(format!("the settings could not be read, and count for nothing: {e}"));
                None
            }
        };
        settled(flags, keep.as_ref())
    }

    /// At the end of a backup, where the settings have a rule. What goes wrong with it is no fault of the backup.
    pub(super) fn prune_after_backup(&self, lock: &StoreLock<'_>, keep: Option<&KeepSetting>) {
        let context = self.context();
        let Some(keep) = keep else {
            let all = lock.store().catalogue().map_or(0, |c| c.all().len());
            if all >= MANY {
                context.note(format!(
                    "{all} restore points, and no rule prunes them: `prune --dry-run` shows what would go; with \
                     `keep` in the settings each backup prunes"
                ));
            }
            return;
        };
        let pruned = settled(None, Some(keep))
            .and_then(|(rule, grace)| plan_prune(lock.store(), &rule, grace, &context))
            .and_then(|plan| apply_prune(lock, &plan, &context));
        match pruned {
            Ok(outcome) if outcome.pruned.is_empty() => {}
            Ok(outcome) => {
                let what = crate::event::plural(
                    outcome.pruned.len() as u64,
                    "older restore point was moved",
                    "older restore points were moved",
                );
                context.note(format!(
                    "{what} to the trash, as `keep` says; `prune --restore TS` brings one back"
                ));
            }
            Err(e) => context.note(format!("nothing was pruned: {e}")),
        }
    }

    fn empty_trash(&self, store: &Store, args: &PruneArgs) -> Result<u8> {
        let held = store.trash();
        if !held.is_empty() && !args.force {
            if !std::io::stdin().is_terminal() {
                return Err(Error::new(
                    ErrorKind::NotConfirmed,
                    "stdin is not a terminal; nothing was deleted",
                )
                .with_help("where that is meant, add --force (-f)"));
            }
            let what = crate::event::plural(held.len() as u64, "thing in the trash", "things in the trash");
            self.term.put(&format!("Delete {what} for good? [y/N] "));
            let mut answer = String::new();
            let _ = std::io::stdin().read_line(&mut answer);
            if !matches!(answer.trim(), "y" | "Y" | "yes") {
                return Err(Error::new(ErrorKind::NotConfirmed, "not confirmed; nothing was changed"));
            }
        }
        let lock = self.lock_store(store, args.no_wait)?;
        let report = render::PruneEmptied { emptied: empty_trash(&lock, &self.context())? };
        Ok(self.tell(exit::DONE, &report, |term| report.human(term)))
    }

    pub(super) fn pin(&self, args: &PinArgs) -> Result<u8> {
        let at = Some(self.context().clock.now());
        self.set_pin(&args.timestamp, Some(Pin { at, message: args.message.clone() }))
    }

    pub(super) fn unpin(&self, args: &UnpinArgs) -> Result<u8> {
        self.set_pin(&args.timestamp, None)
    }

    fn set_pin(&self, timestamp: &str, pin: Option<Pin>) -> Result<u8> {
        let store = self.store()?;
        self.stop_on_signals();
        let lock = self.lock_store(&store, false)?;
        let catalogue = store.catalogue()?;
        let listed = self.pick(&catalogue, timestamp)?;
        let was_pinned = store.status(listed).pinned.is_some();
        lock.update_status(listed, |status| status.pinned.clone_from(&pin))?;
        let report = render::PinReport {
            backup_id: listed.backup_id(),
            pinned: pin.is_some(),
            was_pinned,
            message: pin.as_ref().and_then(|pin| pin.message.as_deref()),
            at: pin.as_ref().and_then(|pin| pin.at),
        };
        Ok(self.tell(exit::DONE, &report, |term| report.human(term)))
    }
}

fn settled(flags: Option<Rule>, keep: Option<&KeepSetting>) -> Result<(Rule, Span)> {
    let grace = grace(keep.and_then(|k| k.grace.as_deref()))?;
    let setting = keep.map(Rule::from_setting).transpose()?;
    // A setting of the grace time alone is no rule.
    let setting = setting.filter(|rule| !rule.is_empty() || keep.is_some_and(|k| k.grace.is_none()));
    Ok((flags.or(setting).unwrap_or(DEFAULT), grace))
}
