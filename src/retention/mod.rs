//! Which restore points stay, and what becomes of the others.
//!
//! **Invariants.** A plan is a value: the dry run prints the very one that is applied. Never moved are those that are
//! pinned, the newest, the newest that is whole, and what the last rollback's undo needs. What is pruned goes to the
//! trash of the store, whole, and stays there for a grace time; ids are never given again.
//!
//! Restore points that rollbacks made of the present, and what rollbacks displaced, follow a rule of their own: they
//! serve an undo, and an undo is wanted soon or never. The newest [`ROLLBACKS`] stay, and all of the last
//! [`ROLLBACK_DAYS`] days.

mod rule;

use std::path::Path;
use std::time::SystemTime;

pub use rule::{DEFAULT, Rule, Span};

use crate::clock::parse_rfc3339;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Context, Event};
use crate::manifest::Id;
use crate::order;
use crate::path::show_text;
use crate::rollback::rollbacks;
use crate::store::{Listed, Selector, Store, StoreLock, Trashed};

/// So many rollbacks can be undone, one after the other, whatever their age.
pub const ROLLBACKS: usize = 3;
/// All rollbacks of so many days stay.
pub const ROLLBACK_DAYS: u32 = 28;
/// How many days what was pruned stays in the trash where nothing is said.
pub const GRACE_DAYS: u32 = 7;

/// A restore point, and why it stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedPoint {
    /// Which.
    pub listed: Listed,
    /// When it was made.
    pub created: SystemTime,
    /// Why it stays; nothing where it goes.
    pub reasons: Vec<String>,
}

/// What a rollback left, and why it stays.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PlannedRollback {
    /// The rollback.
    pub id: Id,
    /// Why it stays; nothing where it goes.
    pub reasons: Vec<String>,
}

/// What a prune does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrunePlan {
    /// The rule.
    pub rule: Rule,
    /// Every restore point, oldest first.
    pub points: Vec<PlannedPoint>,
    /// Every rollback that ended, oldest first.
    pub rollbacks: Vec<PlannedRollback>,
    /// What is past its grace time in the trash, and is deleted.
    pub expired: Vec<Trashed>,
    /// Bytes that are freed when the trash is emptied of what goes there now. What restore points share is freed only
    /// with the last of them.
    pub freed: u64,
}

impl PrunePlan {
    /// The restore points that go.
    pub fn leaving(&self) -> impl Iterator<Item = &PlannedPoint> {
        self.points.iter().filter(|p| p.reasons.is_empty())
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.leaving().next().is_none()
            && self.expired.is_empty()
            && self.rollbacks.iter().all(|r| !r.reasons.is_empty())
    }
}

/// Decides what a prune does. Changes nothing.
///
/// # Errors
/// `CutOff` where a rollback was interrupted; `Usage` where the rule keeps nothing; `Io`.
pub fn plan_prune(store: &Store, rule: &Rule, grace: Span, context: &Context<'_>) -> Result<PrunePlan> {
    store.refuse_cut_off()?;
    if rule.is_empty() {
        return Err(Error::new(ErrorKind::Usage, "the rule keeps no restore point at all").with_help(
            "give at least one: --keep-last N, --keep-within 28d, or `keep` in [workspace.metadata.backstop]",
        ));
    }
    let now = context.clock.now();
    let catalogue = store.catalogue()?;
    let mut points: Vec<PlannedPoint> = catalogue
        .all()
        .iter()
        .map(|listed| PlannedPoint {
            listed: listed.clone(),
            created: created(store, listed),
            reasons: Vec::new(),
        })
        .collect();
    let rollbacks = plan_rollbacks(store, now)?;
    by_rule(&mut points, rule);
    of_rollbacks(&mut points, now);
    needed_by_an_undo(store, &rollbacks, &mut points);
    good_ones(store, &mut points);
    for point in &mut points {
        if let Some(pin) = store.status(&point.listed).pinned {
            let why = pin.message.map_or_else(|| "pinned".into(), |m| format!("pinned: {}", show_text(&m)));
            point.reasons.insert(0, why);
        }
    }
    let expired = expired(store, grace, now);
    let freed = freed(store, &points);
    Ok(PrunePlan { rule: rule.clone(), points, rollbacks, expired, freed })
}

/// The exact instant; ids may run ahead of the clock.
fn created(store: &Store, listed: &Listed) -> SystemTime {
    let head = store.head(listed);
    head.and_then(|head| parse_rfc3339(&head.created)).unwrap_or_else(|| listed.id.instant())
}

fn by_rule(points: &mut [PlannedPoint], rule: &Rule) {
    let mut of_people: Vec<&mut PlannedPoint> =
        points.iter_mut().filter(|p| !p.listed.is_pre_rollback()).collect();
    // Where a clock went back, ids tell the order.
    let mut instants: Vec<SystemTime> = of_people.iter().map(|p| p.created).collect();
    for i in 1..instants.len() {
        instants[i] = instants[i].max(instants[i - 1]);
    }
    for (point, reasons) in of_people.iter_mut().zip(rule.reasons(&instants)) {
        point.reasons = reasons;
    }
    if let Some(newest) = of_people.last_mut() {
        newest.reasons.insert(0, "the newest".into());
    }
}

/// Those that rollbacks made of the present.
fn of_rollbacks(points: &mut [PlannedPoint], now: SystemTime) {
    let from = Span::days(ROLLBACK_DAYS).before(now);
    let own = points.iter_mut().rev().filter(|p| p.listed.is_pre_rollback());
    for (number, point) in own.enumerate() {
        if number < ROLLBACKS {
            point.reasons.push(format!("rollback {} of the last {ROLLBACKS}", number + 1));
        }
        if point.created >= from {
            point.reasons.push(format!("within {ROLLBACK_DAYS}d, as all of rollbacks"));
        }
    }
}

fn plan_rollbacks(store: &Store, now: SystemTime) -> Result<Vec<PlannedRollback>> {
    let from = Span::days(ROLLBACK_DAYS).before(now);
    let ids = rollbacks(store)?;
    let count = ids.len();
    Ok(ids
        .into_iter()
        .enumerate()
        .map(|(index, id)| {
            let mut reasons = Vec::new();
            if count - index <= ROLLBACKS {
                reasons.push(format!("rollback {} of the last {ROLLBACKS}", count - index));
            }
            if id.instant() >= from {
                reasons.push(format!("within {ROLLBACK_DAYS}d, as all of rollbacks"));
            }
            PlannedRollback { id, reasons }
        })
        .collect())
}

/// An undo reads the restore points by whose scope its rollback went. As long as the rollback stays, so do they.
fn needed_by_an_undo(store: &Store, rollbacks: &[PlannedRollback], points: &mut [PlannedPoint]) {
    let mut needed: order::Map<Id, Id> = order::Map::new();
    for rollback in rollbacks.iter().rev().take(ROLLBACKS) {
        for id in crate::rollback::restore_points_of(store, &rollback.id) {
            needed.entry(id).or_insert_with(|| rollback.id.clone());
        }
    }
    for point in points {
        if let Some(rollback) = needed.get(&point.listed.id) {
            point.reasons.push(format!("undoing rollback {rollback} needs it"));
        }
    }
}

/// The newest that is whole stays, also where newer ones are damaged.
fn good_ones(store: &Store, points: &mut [PlannedPoint]) {
    let whole = |point: &PlannedPoint| {
        let l = &point.listed;
        let failed = store.status(l).validated.is_some_and(|v| !v.passed);
        l.may_be_latest() && l.session && l.archive && l.metadata && !failed && store.manifest(l).is_ok()
    };
    let newest = points.iter().rposition(|point| !point.listed.is_pre_rollback());
    let good = points.iter().rposition(whole);
    if let Some(index) = good.filter(|_| good != newest) {
        points[index].reasons.insert(0, "the newest that is whole".into());
    }
}

fn expired(store: &Store, grace: Span, now: SystemTime) -> Vec<Trashed> {
    let from = grace.before(now);
    // What does not say when it was pruned is not taken for old.
    store.trash().into_iter().filter(|t| t.pruned.is_some_and(|at| at < from)).collect()
}

/// Bytes of the files that only restore points that leave have names for.
fn freed(store: &Store, points: &[PlannedPoint]) -> u64 {
    let mut names: order::Map<(u64, u64), (u64, u64, u64)> = order::Map::new();
    let layout = store.layout();
    for point in points.iter().filter(|p| p.reasons.is_empty()) {
        let l = &point.listed;
        count_names(&layout.session(&l.id), &mut names);
        count_names(&layout.archive(&l.label, &l.id), &mut names);
    }
    names.values().filter(|(links, found, _)| found >= links).map(|(_, _, bytes)| bytes).sum()
}

fn count_names(path: &Path, names: &mut order::Map<(u64, u64), (u64, u64, u64)>) {
    use std::os::unix::fs::MetadataExt;
    let Ok(meta) = path.symlink_metadata() else { return };
    if meta.is_dir() {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        return entries.for_each(|entry| count_names(&entry.path(), names));
    }
    let one = names.entry((meta.dev(), meta.ino())).or_insert((meta.nlink(), 0, meta.blocks() * 512));
    one.1 += 1;
}

/// What a prune did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PruneOutcome {
    /// The backup ids of what went to the trash.
    pub pruned: Vec<String>,
    /// The rollbacks whose displaced files went there.
    pub rollbacks: Vec<Id>,
    /// How many things were deleted from the trash.
    pub deleted: u64,
}

/// Carries out a plan, which is made under the same lock.
///
/// # Errors
/// `Interrupted` or `Io` where nothing was moved by then; `Partial`, with what was moved, otherwise.
pub fn apply_prune(lock: &StoreLock<'_>, plan: &PrunePlan, context: &Context<'_>) -> Result<PruneOutcome> {
    lock.store().refuse_cut_off()?;
    lock.mend(context.observer)?;
    let now = context.clock.now();
    let leaving: Vec<&PlannedPoint> = plan.leaving().collect();
    let what = crate::event::plural(leaving.len() as u64, "restore point", "restore points");
    context.observer.on(&Event::Phase { verb: "Pruning", what, total: leaving.len() as u64 });
    let mut outcome = PruneOutcome::default();
    let result = carry_out(lock, plan, &leaving, now, context, &mut outcome);
    let done = outcome.pruned.iter().map(|id| format!("{id}: moved to the trash"));
    let done = done.chain(outcome.rollbacks.iter().map(|id| format!("rollback_{id}: moved to the trash")));
    let deleted = (outcome.deleted > 0).then(|| format!("{} deleted from the trash", outcome.deleted));
    result.map_err(|e| stopped(e, done.chain(deleted).collect()))?;
    Ok(outcome)
}

/// An error of something that was done in part: exit codes say so.
fn stopped(error: Error, done: Vec<String>) -> Error {
    if done.is_empty() {
        return error;
    }
    error.with_kind(ErrorKind::Partial).and("by then this was done").with_details(done)
}

fn carry_out(
    lock: &StoreLock<'_>,
    plan: &PrunePlan,
    leaving: &[&PlannedPoint],
    now: SystemTime,
    context: &Context<'_>,
    outcome: &mut PruneOutcome,
) -> Result<()> {
    // First what frees room.
    for trashed in &plan.expired {
        context.interrupt.check()?;
        lock.delete_trashed(trashed)?;
        outcome.deleted += 1;
    }
    for (done, point) in leaving.iter().enumerate() {
        context.interrupt.check()?;
        lock.trash_point(&point.listed, now)?;
        outcome.pruned.push(point.listed.backup_id());
        context.observer.on(&Event::Progress { done: done as u64 + 1 });
    }
    for rollback in plan.rollbacks.iter().filter(|r| r.reasons.is_empty()) {
        context.interrupt.check()?;
        lock.trash_rollback(&rollback.id, now)?;
        outcome.rollbacks.push(rollback.id.clone());
    }
    lock.update_guard()
}

/// Brings a restore point back from the trash, or what a rollback left, and says which. An id means a restore point;
/// it means a rollback where none fits, or behind `rollback_`.
///
/// # Errors
/// `Usage` if the trash holds none that is meant, or several.
pub fn restore_from_trash(
    lock: &StoreLock<'_>,
    selector: &Selector,
    context: &Context<'_>,
) -> Result<Trashed> {
    lock.mend(context.observer)?;
    let trash = lock.store().trash();
    let (points, rollbacks): (Vec<&Trashed>, Vec<&Trashed>) = trash.iter().partition(|t| t.label.is_some());
    let fits = |t: &&&Trashed| match selector {
        Selector::Latest => Some(&t.id) == points.last().map(|t| &t.id),
        Selector::Prefix(text) => {
            !text.is_empty()
                && (t.id.as_str().starts_with(text.as_str()) || t.shown().starts_with(text.as_str()))
        }
    };
    let mut found: Vec<&Trashed> = points.iter().filter(fits).copied().collect();
    if found.is_empty() {
        found = rollbacks.iter().filter(fits).copied().collect();
    }
    match found.as_slice() {
        [one] => {
            lock.untrash(one)?;
            lock.update_guard()?;
            Ok((*one).clone())
        }
        [] => {
            Err(Error::new(ErrorKind::Usage, "the trash holds no such restore point").with_help(match trash
                .is_empty()
            {
                true => "it is empty".to_owned(),
                false => {
                    format!("it holds {}", trash.iter().map(Trashed::shown).collect::<Vec<_>>().join(", "))
                }
            }))
        }
        several => Err(Error::new(
            ErrorKind::Usage,
            format!("{} things in the trash are meant by that", several.len()),
        )
        .with_details(several.iter().map(|t| t.shown()))
        .with_help("give more of the id")),
    }
}

/// Deletes everything in the trash for good; gives how many things.
///
/// # Errors
/// `Interrupted` or `Io` where nothing was deleted by then; `Partial`, with what was deleted, otherwise.
pub fn empty_trash(lock: &StoreLock<'_>, context: &Context<'_>) -> Result<u64> {
    lock.mend(context.observer)?;
    let trash = lock.store().trash();
    for (done, trashed) in trash.iter().enumerate() {
        let deleted = context.interrupt.check().and_then(|()| lock.delete_trashed(trashed));
        let names = || trash[..done].iter().map(|t| format!("{}: deleted", t.shown())).collect();
        deleted.map_err(|e| stopped(e, names()))?;
    }
    Ok(trash.len() as u64)
}

/// How long what is pruned stays in the trash.
///
/// # Errors
/// Kind `Settings` where the setting is no length of time.
pub fn grace(setting: Option<&str>) -> Result<Span> {
    match setting {
        None => Ok(Span::days(GRACE_DAYS)),
        Some(text) => text.parse().map_err(|e: Error| {
            Error::new(ErrorKind::Settings, format!("`grace` in the settings: {e}"))
                .with_help(e.help().unwrap_or_default())
        }),
    }
}

/// The backup ids that a plan keeps, for tests and for those who want to know.
pub fn staying(plan: &PrunePlan) -> std::collections::BTreeSet<String> {
    plan.points.iter().filter(|p| !p.reasons.is_empty()).map(|p| p.listed.backup_id()).collect()
}
