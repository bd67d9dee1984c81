//! One check: what was looked at, what is wrong with it, and the verdict. Validations, checkpoints, the rungs of a drill
//! and the dry runs of a preflight are all checks.
//!
//! **Invariant.** A verdict follows from what was counted and found; nothing sets it.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::error::Result;
use crate::event::Context;

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Finding {
    /// The file or directory, as it is shown; or what spoke.
    pub place: String,
    /// What is wrong with it.
    pub problem: String,
}

/// What kept a check from going on that is not the fault of what it looks at, or that has a remedy of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Obstacle {
    /// The disk that it writes to is full.
    FullDisk,
    /// `Cargo.lock` does not fit the manifests.
    Lockfile,
    /// Not all dependencies are on this machine.
    Offline,
    /// Something needs a nightly compiler.
    Nightly,
}

/// What a check comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It looked at something and found nothing wrong.
    Passed,
    /// It found something wrong, or looked at nothing.
    Failed,
    /// This machine cannot run it.
    NotTried,
}

impl Verdict {
    /// Its name in logs.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Passed => "passed",
            Verdict::Failed => "failed",
            Verdict::NotTried => "not tried",
        }
    }
}

/// What one check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Check {
    /// Its name in reports: `CP001`, `FILE_INTEGRITY`, `compiles`.
    pub id: String,
    /// Its name for people. Empty where the id says enough.
    pub title: String,
    /// How many things it looked at. None is a failure.
    pub checked: u64,
    /// What it counted, in the plural: `files`.
    pub unit: String,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What is worth knowing and no fault.
    pub notes: Vec<String>,
    /// What to do where something is wrong.
    pub remedy: Option<String>,
    /// What kept it from going on, where that is known.
    pub obstacle: Option<Obstacle>,
    /// The command that was run, where one was.
    pub command: Option<String>,
    /// Why this machine cannot run it, where that is so.
    pub not_tried: Option<String>,
    /// How long it took.
    pub elapsed: Duration,
}

impl Check {
    /// So many things were looked at, and nothing is wrong so far.
    pub fn counted(checked: u64, unit: &str) -> Self {
        Check { checked, unit: unit.into(), ..Check::default() }
    }

    /// Adds what is wrong.
    pub fn find(&mut self, place: impl Into<String>, problem: impl Into<String>) {
        self.findings.push(Finding { place: place.into(), problem: problem.into() });
    }

    /// Adds what to do where something is wrong.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// The verdict. What was found counts first: a check that gave up half-way hides nothing.
    pub fn verdict(&self) -> Verdict {
        match (self.findings.is_empty(), &self.not_tried, self.checked) {
            (false, ..) => Verdict::Failed,
            (true, Some(_), _) => Verdict::NotTried,
            (true, None, 0) => Verdict::Failed,
            (true, None, _) => Verdict::Passed,
        }
    }

    /// Whether it looked at something and found nothing wrong.
    pub fn passed(&self) -> bool {
        self.verdict() == Verdict::Passed
    }

    /// Whether it found something wrong, or looked at nothing.
    pub fn failed(&self) -> bool {
        self.verdict() == Verdict::Failed
    }

    /// Takes over what a part of the same check found.
    pub(crate) fn absorb(&mut self, part: Check) {
        self.checked += part.checked;
        self.findings.extend(part.findings);
        self.notes.extend(part.notes);
    }

    /// What was counted: `1 file`, `3 entries`.
    pub fn amount(&self) -> String {
        let one = match self.unit.as_str() {
            many if self.checked != 1 => many,
            "entries" => "entry",
            "units compiled" => "unit compiled",
            many => many.trim_end_matches('s'),
        };
        format!("{} {one}", self.checked)
    }

    /// The remedy, where there is something to remedy.
    pub(crate) fn needed_remedy(&self) -> Option<&str> {
        self.remedy.as_deref().filter(|_| self.failed())
    }
}

/// A check as programs see it.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct CheckReport<'a> {
    /// Its name: `CP001`, `FILE_INTEGRITY`, `compiles`, `rollback.sh`.
    id: &'a str,
    /// Its name for people; empty if the id says enough.
    name: &'a str,
    /// Whether it looked at something and found nothing wrong.
    passed: bool,
    /// False if this machine cannot run it, and it found nothing wrong.
    tried: bool,
    /// How many things it looked at; none is a failure.
    checked: u64,
    /// What it counted, in the plural: `files`.
    unit: &'a str,
    /// The command that was run, if one was.
    command: Option<&'a str>,
    /// What is wrong.
    findings: &'a [Finding],
    /// What is worth knowing and no fault.
    notes: Vec<&'a str>,
    /// What to do; null if it passed.
    remedy: Option<&'a str>,
    /// How long it took.
    seconds: f64,
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let report = CheckReport {
            id: &self.id,
            name: &self.title,
            passed: self.passed(),
            tried: self.verdict() != Verdict::NotTried,
            checked: self.checked,
            unit: &self.unit,
            command: self.command.as_deref(),
            findings: &self.findings,
            notes: self.notes.iter().chain(&self.not_tried).map(String::as_str).collect(),
            remedy: self.needed_remedy(),
            seconds: self.elapsed.as_secs_f64(),
        };
        report.serialize(serializer)
    }
}

/// Runs one check under its name, and takes the time.
pub(crate) fn timed(
    id: &str,
    title: &str,
    context: &Context<'_>,
    run: impl FnOnce() -> Result<Check>,
) -> Result<Check> {
    context.interrupt.check()?;
    let begun = context.clock.now();
    let check = run()?;
    let elapsed = context.clock.now().duration_since(begun).unwrap_or_default();
    Ok(Check { id: id.into(), title: title.into(), elapsed, ..check })
}

/// Whether none failed and at least one passed.
pub fn all_passed(checks: &[Check]) -> bool {
    passed_count(checks) > 0 && !checks.iter().any(Check::failed)
}

/// How many passed.
pub fn passed_count(checks: &[Check]) -> usize {
    checks.iter().filter(|c| c.passed()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(checked: u64, wrong: bool, not_tried: bool) -> Check {
        let mut check = Check::counted(checked, "files").with_remedy("fix it");
        if wrong {
            check.find("a", "is missing");
        }
        check.not_tried = not_tried.then(|| "there is no bash on PATH".to_owned());
        check
    }

    #[test]
    fn a_check_that_looked_at_nothing_has_failed() {
        assert_eq!(check(0, false, false).verdict(), Verdict::Failed);
        assert_eq!(Check::default().verdict(), Verdict::Failed);
        assert_eq!(check(1, false, false).verdict(), Verdict::Passed);
        assert_eq!(check(1, true, false).verdict(), Verdict::Failed);
    }

    #[test]
    fn what_this_machine_cannot_run_has_not_failed_and_hides_no_finding() {
        for checked in [0, 2] {
            assert_eq!(check(checked, false, true).verdict(), Verdict::NotTried);
            assert_eq!(check(checked, true, true).verdict(), Verdict::Failed);
        }
    }

    #[test]
    fn a_list_passes_where_one_passed_and_none_failed() {
        let [good, bad, untried] = [check(1, false, false), check(0, false, false), check(0, false, true)];
        assert!(all_passed(&[good.clone(), untried.clone()]));
        assert!(!all_passed(&[good, bad]));
        assert!(!all_passed(&[untried]), "nothing was proven");
        assert!(!all_passed(&[]));
    }

    #[test]
    fn a_remedy_is_given_only_for_what_failed() {
        assert_eq!(check(0, false, false).needed_remedy(), Some("fix it"));
        assert_eq!(check(1, false, false).needed_remedy(), None);
        assert_eq!(check(0, false, true).needed_remedy(), None);
    }

    #[test]
    fn programs_are_told_the_verdict_with_what_it_follows_from() {
        let told =
            |checked, wrong, not_tried| serde_json::to_value(check(checked, wrong, not_tried)).unwrap();
        for (told, passed, tried, remedy) in [
            (told(1, false, false), true, true, None),
            (told(0, false, false), false, true, Some("fix it")),
            (told(1, true, true), false, true, Some("fix it")),
            (told(0, false, true), false, false, None),
        ] {
            assert_eq!((&told["passed"], &told["tried"]), (&passed.into(), &tried.into()), "{told}");
            assert_eq!(told["remedy"].as_str(), remedy, "{told}");
        }
        assert_eq!(told(0, false, true)["notes"][0], "there is no bash on PATH");
        assert_eq!(told(1, true, false)["findings"][0]["problem"], "is missing");
    }

    #[test]
    fn one_of_a_kind_is_counted_in_the_singular() {
        for (n, unit, text) in
            [(1, "entries", "1 entry"), (1, "units compiled", "1 unit compiled"), (2, "files", "2 files")]
        {
            assert_eq!(Check::counted(n, unit).amount(), text);
        }
    }
}
