//! The drill: a restore point is restored from its archive alone to a scratch place and climbed level by level, up
//! to "its tests pass". What it proves it has done, and it says what it counted.
//!
//! **Invariants.** The workspace and its target directory are neither read for the proof nor written to: the copy is
//! built in a target directory of the drill's own. Every file is extracted anew with the present as its time, so that
//! cargo takes nothing of it for fresh; a build that compiled nothing fails. Builds run offline and, where the
//! restore point has a `Cargo.lock`, locked.
//!
//! The workspace itself is no part of the proof: links of the copy do not lead there, and a build that reads there all
//! the same, by a path dependency or any other absolute path, fails. A restore point is blamed for a build that fails
//! only if the same build passes with the files that the workspace has beside it.
//!
//! A build runs build scripts and macros of the workspace: whoever runs a drill runs code of that workspace.

mod around;
mod beside;
mod place;
mod seed;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::check::{Check, Finding, Obstacle, timed};
use crate::compile::{Answer, Cargo};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Context, Event, plural};
use crate::manifest::{Id, Manifest, RootName};
use crate::path::{RelPath, resolved, show_path};
use crate::rollback::{Likeness, RollbackOptions, extract};
use crate::select::inputs::read_since;
use crate::settings::BuildSetting;
use crate::store::{DrillLevel, Drilled, Listed, Log, Store, StoreLock};
use crate::validate::{From, verify_sources};
use crate::workspace::read_settings;
use place::Place;
pub use place::outside;
pub(crate) use place::outside_all;

/// How a drill is run.
#[derive(Debug, Clone)]
pub struct DrillOptions {
    /// How far it is to climb.
    pub level: DrillLevel,
    /// A directory outside every workspace, made where it is missing. What later drills can use again stays there.
    pub scratch: PathBuf,
    /// Target directories that compiled dependencies are taken from, the first time.
    pub seeds: Vec<PathBuf>,
    /// The cargo to run.
    pub cargo: OsString,
    /// Cargo's own directory: the configuration in it counts everywhere.
    pub cargo_home: PathBuf,
}

/// What is behind a build of the copy that fails.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "in", content = "lacks", rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum Cause {
    /// The restore point: the same build passes with these files, which the workspace has beside it.
    #[serde(rename = "restore_point")]
    Lacks(Vec<String>),
    /// Something else: the build fails with all those files as well, or there are none.
    #[serde(rename = "elsewhere")]
    NotTheFiles,
    /// Cargo does not even start in the copy.
    Cargo,
    /// The copy is built with files of the workspace itself.
    #[serde(rename = "workspace")]
    Original,
    /// Nobody knows: there are too many files beside the restore point to try.
    Unknown,
}

/// What a drill found.
#[derive(Debug, Clone)]
pub struct DrillReport {
    /// Its backup id.
    pub backup_id: String,
    /// Its id.
    pub id: Id,
    /// How far it was to climb.
    pub wanted: DrillLevel,
    /// The rungs that were tried, the lowest level first; the last one may have failed.
    pub rungs: Vec<Check>,
    /// What is known of the workspace when the restore point was made: whether it compiled.
    pub compiled_then: Option<bool>,
    /// What is behind the build that failed, where one did.
    pub cause: Option<Cause>,
    /// The log.
    pub log: PathBuf,
    /// How long it took.
    pub elapsed: Duration,
}

impl DrillReport {
    /// The highest level that was reached.
    pub fn reached(&self) -> Option<DrillLevel> {
        self.levels().take_while(|(_, rung)| rung.passed()).last().map(|(level, _)| level)
    }

    /// Whether it climbed as far as it was to.
    pub fn passed(&self) -> bool {
        self.reached() == Some(self.wanted)
    }

    /// The first rung that failed.
    pub fn failed(&self) -> Option<(DrillLevel, &Check)> {
        self.levels().find(|(_, rung)| !rung.passed())
    }

    fn levels(&self) -> impl Iterator<Item = (DrillLevel, &Check)> {
        DrillLevel::ALL.into_iter().zip(&self.rungs)
    }
}

/// Restores a restore point to a scratch place and climbs.
///
/// # Errors
/// `Interrupted`; `Io` where the scratch place cannot be written; `Usage` where it lies in the workspace. What is
/// wrong with the restore point is in the report.
pub fn drill(
    store: &Store,
    listed: &Listed,
    options: &DrillOptions,
    context: &Context<'_>,
) -> Result<DrillReport> {
    let started = context.clock.now();
    let log = Log::open(store, "validation", &Id::at(started), context.clock, context.observer);
    log.line(&format!("drill of {} up to {}", listed.backup_id(), options.level));
    let inner = context.with(&*log);
    let result = climb(store, listed, options, &inner).map(|(rungs, cause)| DrillReport {
        backup_id: listed.backup_id(),
        id: listed.id.clone(),
        wanted: options.level,
        rungs,
        compiled_then: store.status(listed).compiled.map(|c| c.passed),
        cause,
        log: log.path().clone(),
        elapsed: context.clock.now().duration_since(started).unwrap_or_default(),
    });
    if let Ok(report) = &result {
        report.rungs.iter().for_each(|rung| log.check(rung));
    }
    log.end(&result, |r| r.reached().map_or("nothing was reached".into(), |l| format!("reached {l}")));
    result
}

/// Records how far a drill came in the restore point's status.
///
/// # Errors
/// Kind `Io`. A restore point that is missing by now is no error.
pub fn record(lock: &StoreLock<'_>, report: &DrillReport, context: &Context<'_>) -> Result<()> {
    let catalogue = lock.store().catalogue()?;
    let Some(listed) = catalogue.all().iter().find(|l| l.id == report.id) else { return Ok(()) };
    let drilled = Drilled {
        at: context.clock.now(),
        level: report.reached(),
        failed: report.failed().map(|(level, _)| level),
    };
    lock.update_status(listed, |status| {
        // A shorter climb that went well takes nothing away from a longer one before it.
        let higher = status.drilled.is_some_and(|d| report.passed() && d.level > drilled.level);
        if !higher {
            status.drilled = Some(drilled);
        }
    })
}

fn climb(
    store: &Store,
    listed: &Listed,
    options: &DrillOptions,
    context: &Context<'_>,
) -> Result<(Vec<Check>, Option<Cause>)> {
    let manifest = match store.manifest(listed) {
        Ok(manifest) => manifest,
        Err(e) => return Ok((vec![Check { id: DrillLevel::Bytes.name().into(), ..unreadable(&e) }], None)),
    };
    let place =
        Place::prepare(store, &manifest, &options.scratch, &options.cargo_home, options.level, context)?;
    let mut climb =
        Climb { store, listed, manifest: &manifest, options, place: &place, env: Vec::new(), context };
    let rungs = climb.all();
    // Where the climb ended with an error, that is the one that counts.
    let cleared = place.clear();
    let rungs = rungs?;
    cleared.map(|()| rungs)
}

impl Climb<'_> {
    fn all(&mut self) -> Result<(Vec<Check>, Option<Cause>)> {
        let (options, context) = (self.options, self.context);
        let mut rungs = Vec::new();
        for level in DrillLevel::ALL.into_iter().filter(|level| *level <= options.level) {
            let rung = timed(level.name(), "", context, || {
                context.observer.on(&Event::Phase {
                    verb: "Drilling",
                    what: level.name().to_owned(),
                    total: 0,
                });
                let rung = self.rung(level)?;
                self.refuse_full_disk(&rung)?;
                Ok(rung)
            })?;
            let passed = rung.passed();
            rungs.push(rung);
            if !passed {
                let cause = if level < DrillLevel::Resolves { None } else { Some(self.cause(level)?) };
                return Ok((rungs, cause));
            }
            if level == DrillLevel::Manifest && options.level > level {
                self.env = self.place.surround(self.manifest.git.as_ref())?;
            }
        }
        Ok((rungs, None))
    }

    /// Why the rung failed: it is tried once more with what the workspace has beside the restore point.
    fn cause(&self, level: DrillLevel) -> Result<Cause> {
        if !self.cargo().starts(self.context)? {
            return Ok(Cause::Cargo);
        }
        let known = self.store.status(self.listed).compiled;
        if level >= DrillLevel::Compiles && known.is_some_and(|c| !c.passed) {
            return Ok(Cause::NotTheFiles);
        }
        if !self.read_in_the_original()?.is_empty() {
            return Ok(Cause::Original);
        }
        let Some(added) = beside::add(self.store, self.manifest, self.place, self.context)? else {
            return Ok(Cause::Unknown);
        };
        if added.is_empty() {
            return Ok(Cause::NotTheFiles);
        }
        let again = self.rung(level)?;
        Ok(if again.passed() { Cause::Lacks(added) } else { Cause::NotTheFiles })
    }

    /// A scratch place that is full says nothing of the restore point.
    fn refuse_full_disk(&self, rung: &Check) -> Result<()> {
        if rung.obstacle != Some(Obstacle::FullDisk) {
            return Ok(());
        }
        let said = rung.findings.first().map_or("", |finding| &finding.problem);
        Err(Error::new(ErrorKind::Io, format!("`{}` is full: {said}", show_path(&self.options.scratch)))
            .with_help("make room there, or name another directory with --scratch DIR"))
    }
}

fn unreadable(e: &Error) -> Check {
    let mut rung = Check::counted(0, "files");
    e.details().iter().for_each(|detail| rung.find(detail.clone(), "is damaged"));
    if rung.findings.is_empty() {
        rung.find("the restore point", e.to_string());
    }
    rung
}

struct Climb<'a> {
    store: &'a Store,
    listed: &'a Listed,
    manifest: &'a Manifest,
    options: &'a DrillOptions,
    place: &'a Place,
    /// What cargo gets beside the variables of this process.
    env: Vec<(OsString, OsString)>,
    context: &'a Context<'a>,
}

impl Climb<'_> {
    fn rung(&self, level: DrillLevel) -> Result<Check> {
        match level {
            DrillLevel::Bytes => self.bytes(),
            DrillLevel::Manifest => self.extracted(),
            DrillLevel::Resolves => self.resolves(),
            DrillLevel::Compiles => self.compiles(),
            DrillLevel::Tests => self.tests(),
        }
    }

    /// Every file, from the archive alone.
    fn bytes(&self) -> Result<Check> {
        let all: Vec<usize> = (0..self.manifest.entries.len()).collect();
        let verified =
            verify_sources(self.store, self.listed, self.manifest.clone(), &all, From::Archive, self.context);
        match verified {
            Ok(_) => Ok(Check::counted(self.manifest.totals.files, "files")),
            Err(e) if e.kind() == ErrorKind::Damaged => Ok(unreadable(&e)),
            Err(e) => Err(e),
        }
    }

    /// The copy is what the manifest says: no more, no less.
    fn extracted(&self) -> Result<Check> {
        let options = RollbackOptions { from: From::Archive, outside: true, ..RollbackOptions::default() };
        let done =
            extract(self.store, self.listed, self.place.workspace(), &options, Likeness::Built, self.context);
        let turned = match done {
            Ok(report) => report.turned,
            Err(e) if e.kind() == ErrorKind::Damaged => return Ok(unreadable(&e)),
            Err(e) => return Err(e),
        };
        let mut out = Check::counted(self.manifest.entries.len() as u64, "entries");
        out.findings = self.place.compare(self.manifest, &turned)?;
        for (at, target) in turned {
            out.notes.push(format!(
                "{}: the link leads to `{}` in the copy: into the workspace itself, it would prove nothing",
                at.shown(),
                show_path(&target)
            ));
        }
        Ok(out)
    }

    fn cargo(&self) -> Cargo<'_> {
        let locked = RelPath::new("Cargo.lock")
            .is_ok_and(|path| self.manifest.find(&RootName::Workspace, &path).is_some());
        Cargo {
            program: &self.options.cargo,
            directory: self.place.workspace(),
            target: Some(self.place.target()),
            locked,
            offline: true,
            time_limit: None,
            env: &self.env,
        }
    }

    /// What the settings that were backed up ask for.
    fn build(&self) -> Result<BuildSetting> {
        match self.cargo().metadata(self.context)? {
            Ok(metadata) => Ok(read_settings(&metadata, self.place.workspace())?.build),
            // Just now it worked.
            Err(answer) => {
                let said = answer.findings.into_iter().map(|finding| finding.problem);
                Err(Error::new(ErrorKind::Workspace, "cargo metadata fails in the copy").with_details(said))
            }
        }
    }

    fn resolves(&self) -> Result<Check> {
        // What stands in the way of either, cargo says here first.
        let answer = self.cargo().resolve(self.context)?;
        let metadata = if answer.ok { self.cargo().metadata(self.context)? } else { Err(answer.clone()) };
        let mut out = match metadata {
            Ok(metadata) => {
                let local = metadata.packages.iter().filter(|package| package.source.is_none());
                let manifests: Vec<PathBuf> =
                    local.map(|package| package.manifest_path.clone().into()).collect();
                let mut out = answered(manifests.len() as u64, "packages", answer);
                out.findings.extend(self.originals(manifests.iter()));
                out
            }
            Err(answer) => answered(0, "packages", answer),
        };
        if !self.cargo().locked {
            out.notes.push("it has no Cargo.lock: versions were chosen anew".into());
        }
        Ok(out)
    }

    fn compiles(&self) -> Result<Check> {
        let mut notes = Vec::new();
        let local = self.place.local_crates(self.manifest);
        let seeded =
            seed::seed(self.store.fs(), &self.options.seeds, self.place.target(), &local, self.context);
        match seeded {
            Ok(0) => {}
            Ok(n) => {
                let what = plural(n, "compiled dependency", "compiled dependencies");
                notes.push(format!("{what} taken from the workspace's target directory"));
            }
            Err(e) => notes.push(format!("nothing was taken from the workspace's target directory: {e}")),
        }
        let answer = self.cargo().check(&self.build()?, self.context)?;
        let compiled = answer.compiled;
        let mut out = self.built(compiled, "units compiled", answer)?;
        out.notes.extend(notes);
        Ok(out)
    }

    fn tests(&self) -> Result<Check> {
        let answer = self.cargo().test(&self.build()?, self.context)?;
        let passed = answer.tests_passed;
        self.built(passed, "tests", answer)
    }

    /// A build that passes proves nothing if it read the workspace itself.
    fn built(&self, checked: u64, unit: &str, answer: Answer) -> Result<Check> {
        let mut findings = self.originals(answer.manifests.iter());
        findings.extend(self.read_in_the_original()?);
        let mut out = answered(checked, unit, answer);
        out.findings.extend(findings);
        Ok(out)
    }

    /// What rustc and build scripts say that they read in the workspace itself.
    fn read_in_the_original(&self) -> Result<Vec<Finding>> {
        let read = read_since(self.place.target(), self.place.workspace(), self.place.begun());
        Ok(self.originals(read.keys()))
    }

    /// The `paths` that lie in the workspace itself, in whatever way they are named.
    fn originals<'p>(&self, paths: impl Iterator<Item = &'p PathBuf>) -> Vec<Finding> {
        // What was built there for others is taken on purpose.
        let built = |real: &Path| self.options.seeds.iter().any(|dir| real.starts_with(dir));
        let read_there = |path: &&PathBuf| {
            let real = resolved(path);
            self.place.is_original(&real) && !built(&real)
        };
        let found = paths.filter(read_there).map(|path| Finding {
            place: show_path(path),
            problem: "the copy is built with this file of the workspace itself: an absolute path leads there"
                .to_owned(),
        });
        found.collect()
    }
}

fn answered(checked: u64, unit: &str, answer: Answer) -> Check {
    let mut out = Check::counted(checked, unit);
    out.command = Some(answer.command);
    out.findings = answer.findings;
    out.obstacle = answer.obstacle;
    if answer.ok && checked == 0 {
        out.find("cargo", format!("ended well with 0 {unit}, which proves nothing"));
    }
    out
}

/// The default place for drills below a cache directory: `backstop/drill`.
pub fn scratch_below(cache: &Path) -> PathBuf {
    cache.join("backstop").join("drill")
}
