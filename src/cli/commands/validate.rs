//! `validate`: whether restore points are complete and right, and with `--drill` whether they are enough.

use std::path::PathBuf;

use clap::Args;

use crate::check::Check;
use crate::cli::args::Point;
use crate::cli::session::{Session, selector, wait};
use crate::cli::{exit, render};
use crate::error::{ErrorKind, Result};
use crate::store::{DrillLevel, Selector, Store, Wait};
use crate::validate::{InodeCache, validate};

#[derive(Debug, Args)]
pub(in crate::cli) struct ValidateArgs {
    #[command(flatten)]
    point: Point,
    /// Validate every restore point
    #[arg(long, conflicts_with_all = ["id", "timestamp"])]
    all: bool,
    /// Repair what is damaged from the copy that is whole
    #[arg(long)]
    repair: bool,
    /// Drill as well, up to a level [default: compiles]
    #[arg(long, value_name = "LEVEL", num_args = 0..=1, default_missing_value = "compiles")]
    drill: Option<DrillLevel>,
    /// Where drills work [default: the user's cache]
    #[arg(long, value_name = "DIR", requires = "drill")]
    scratch: Option<PathBuf>,
    /// Exit with code 5 if another run holds the store
    #[arg(long)]
    no_wait: bool,
}

impl Session<'_> {
    pub(super) fn validate(&self, args: &ValidateArgs) -> Result<u8> {
        let store = self.store()?;
        self.stop_on_signals();
        let scratch = match args.drill {
            Some(_) => self.scratch(args.scratch.as_deref(), store.root(), store.layout().dir())?,
            None => PathBuf::new(),
        };
        let repaired = if args.repair {
            let which = selector(args.point.or_latest());
            Some(self.repair(&store, (!args.all).then_some(&which), args.no_wait)?)
        } else {
            None
        };
        let shared = store.lock_shared(wait(args.no_wait), &self.interrupt, &self.progress)?;
        let catalogue = store.catalogue()?;
        let listed = if args.all {
            if catalogue.all().is_empty() {
                catalogue.select(&Selector::Latest)?;
            }
            catalogue.all().to_vec()
        } else {
            vec![self.pick(&catalogue, args.point.or_latest())?.clone()]
        };
        let running = self.env.executable.as_deref().map(InodeCache::of_program);
        let cache = running.and_then(Result::ok).unwrap_or_default();
        let context = self.context();
        let reports = match &repaired {
            // They were asked anew behind the repair.
            Some(repaired) => repaired.points.iter().map(|p| p.validation.clone()).collect(),
            None => listed
                .iter()
                .map(|listed| validate(&store, listed, &cache, &context))
                .collect::<Result<Vec<_>>>()?,
        };
        let kept = if args.all { crate::rollback::check_kept(&store, &context)? } else { None };
        drop(shared);
        self.record(&store, &reports);
        let drills = match args.drill {
            Some(level) => self.drill(&store, &listed, level, &scratch)?,
            None => Vec::new(),
        };
        let passed = repaired.as_ref().is_none_or(crate::repair::RepairReport::passed)
            && reports.iter().all(crate::validate::ValidationReport::passed)
            && kept.as_ref().is_none_or(Check::passed)
            && drills.iter().all(crate::drill::DrillReport::passed);
        let code = if passed { exit::DONE } else { exit::FINDINGS };
        let report = render::ValidateReport::new(&reports, repaired.as_ref(), kept.as_ref(), &drills);
        Ok(self.tell(code, &report, |term| {
            let drills: String = drills.iter().map(|drill| render::drill(term, drill)).collect();
            let repaired = repaired.as_ref().map_or(String::new(), |r| render::repair(term, r));
            repaired + &render::validate(term, &reports, kept.as_ref(), store.is_cut_off()) + &drills
        }))
    }

    /// Keeps what the validations said, for `list` and the build's guard. A store that cannot be written to is
    /// validated all the same.
    fn record(&self, store: &Store, reports: &[crate::validate::ValidationReport]) {
        let context = self.context();
        let recorded = store.lock(Wait::No, &self.interrupt, &self.progress).and_then(|lock| {
            reports.iter().try_for_each(|report| crate::validate::record(&lock, report, &context))
        });
        if let Err(e) = recorded
            && e.kind() == ErrorKind::Busy
        {
            context.note(format!("the outcome is not recorded: {e}"));
        }
    }
}
