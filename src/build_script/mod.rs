//! The guard in a build script: no build from a tree that is half rolled back, and, where it is asked for, no build
//! without a restore point to go back to.
//!
//! ```toml
//! [build-dependencies]
//! backstop = { version = "0.1", default-features = false, features = ["build-script"] }
//! ```
//!
//! ```no_run
//! // build.rs
//! use backstop::build_script::{Guard, Policy};
//!
//! fn main() {
//!     Guard::new().policy(Policy::Warn).restore_point().embed_backup_id().check();
//! }
//! ```
//!
//! # When it judges
//!
//! When the build script runs, and Cargo runs it again only where something that it watches is newer than its last
//! run: a file of the package, the store's `state` (which changes when a rollback begins or ends), `BACKSTOP_GUARD`
//! or `BACKSTOP_STORE`. So an age that was right is not looked at again until then. Two builds in a row run nothing,
//! and neither does a build after a backup; there are two exceptions, each for the package alone that wants it: one
//! that embeds the backup id, and one that shows a warning, which would else be shown after its cause is gone. A
//! build that was refused is judged anew by the next one.
//!
//! # What it watches of the package
//!
//! Any `rerun-if-changed` ends Cargo's own watch over the package, so the guard puts one in its place: over all that
//! no `.gitignore` takes out, without other packages, build output and the store. A directory is watched as a whole
//! where nothing in it has to stay out. A new file is not noticed, until the script runs for another reason, where
//! it comes straight into a directory in which something stays out: the directory of a package that is the workspace
//! root, above all. What only a user's own git settings ignore is watched, as what git tracks is, whatever a
//! `.gitignore` says. A build script that says itself what it reads can do without: [`Guard::watch_package`].
//!
//! # Where it does nothing
//!
//! In a package that Cargo unpacked: from a registry or from git, vendored, or verified by `cargo package` and `cargo
//! publish`. And in an xtask, or what an xtask depends on, for `cargo xtask rollback` has to build whatever happens:
//! there it says so with a warning, under every policy but off.
//!
//! It writes nothing outside `OUT_DIR` and starts no process.

mod cargo;
mod ignore;
mod index;
mod lockfile;
mod place;
mod points;
mod sha256;
mod walk;
mod watch;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

pub use crate::level::{DrillLevel, InvalidLevel};
use cargo::{Inputs, Told, tell};
use points::Point;
use watch::Watch;

/// What becomes of a request that is not met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Nothing is looked at, not even whether a rollback was cut off.
    Off,
    /// A warning, one line; a rollback that was cut off is an error all the same.
    Warn,
    /// An error, one line: the build ends.
    Deny,
}

impl FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Policy::Off),
            "warn" => Ok(Policy::Warn),
            "deny" => Ok(Policy::Deny),
            other => Err(format!("BACKSTOP_GUARD is `{other}`, and has to be one of off, warn, deny")),
        }
    }
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All that was asked for is there.
    Passed,
    /// Something was warned of.
    Warned,
    /// Cargo ends the build when the build script has ended.
    Refused,
    /// The guard does nothing here.
    Inactive,
}

/// What a build is to have. Without a request it refuses one thing: a tree that is half rolled back.
#[derive(Debug, Clone)]
#[must_use = "a guard does nothing before `check`"]
pub struct Guard {
    policy: Policy,
    store: Option<PathBuf>,
    restore_point: bool,
    max_age: Option<Duration>,
    validated: bool,
    drilled: Option<DrillLevel>,
    covers_package: bool,
    embed: bool,
    watch_package: bool,
}

impl Default for Guard {
    fn default() -> Self {
        Guard::new()
    }
}

impl Guard {
    /// A guard that denies, and asks for nothing yet.
    pub fn new() -> Self {
        Guard {
            policy: Policy::Deny,
            store: None,
            restore_point: false,
            max_age: None,
            validated: false,
            drilled: None,
            covers_package: false,
            embed: false,
            watch_package: true,
        }
    }

    /// What becomes of a request that is not met. `BACKSTOP_GUARD=off|warn|deny` in the environment overrides it.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// The store, relative to the workspace root or absolute, where it is not `backup` or what
    /// `[workspace.metadata.backstop]` says on a line `store = "…"`. `BACKSTOP_STORE` overrides it.
    pub fn store(mut self, directory: impl Into<PathBuf>) -> Self {
        self.store = Some(directory.into());
        self
    }

    /// Asks for a restore point. So do the requests below; restore points that rollbacks made do not count.
    pub fn restore_point(mut self) -> Self {
        self.restore_point = true;
        self
    }

    /// Asks that the newest restore point is not older, judged when the build script runs.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Asks that the newest restore point passed its last `validate`.
    pub fn validated(mut self) -> Self {
        self.validated = true;
        self
    }

    /// Asks that the last drill of the newest restore point came to this level.
    pub fn drilled(mut self, level: DrillLevel) -> Self {
        self.drilled = Some(level);
        self
    }

    /// Asks that the newest restore point holds this package as it is now: no file changed, gone or new. Under
    /// [`Policy::Deny`] that is for CI, where a backup is made just before: every edit needs another one.
    pub fn covers_package(mut self) -> Self {
        self.covers_package = true;
        self
    }

    /// Sets `BACKSTOP_BACKUP_ID` for `env!`: the newest restore point's backup id, empty where there is none.
    pub fn embed_backup_id(mut self) -> Self {
        self.embed = true;
        self
    }

    /// Whether the package's files are watched, as Cargo does where a build script names no file; they are at first.
    /// [`Guard::covers_package`] watches them in any case.
    pub fn watch_package(mut self, watch: bool) -> Self {
        self.watch_package = watch;
        self
    }

    /// Judges, and tells Cargo. Where it refuses, Cargo ends the build once the build script has ended.
    ///
    /// # Panics
    /// Outside a build script. And to refuse a build where the package's `rust-version` is below 1.77: Cargo takes
    /// no errors from its build script then.
    pub fn check(&self) -> Verdict {
        let inputs = Inputs::read();
        let told = self.judge(&inputs);
        tell(&told, inputs.old_syntax);
        told.verdict()
    }

    fn judge(&self, inputs: &Inputs) -> Told {
        let mut told = Told::default();
        if place::is_unpacked(&inputs.package) {
            if self.embed {
                told.backup_id = Some(String::new());
            }
            told.inactive = true;
            return told;
        }
        told.watch_env.extend(["BACKSTOP_GUARD", "BACKSTOP_STORE"]);
        let root =
            place::workspace_root(&inputs.named_package, &inputs.package, &inputs.name, &inputs.out_dir);
        let store = place::store(&root, inputs.store.as_deref(), self.store.as_deref());
        let mut watch = Watch::new(&inputs.named_package, &inputs.package, &root, &inputs.out_dir);
        let never = [store.clone(), inputs.out_dir.clone()];
        let files = if self.watch_package || self.covers_package {
            let walked = walk::walk(&inputs.package, &never);
            walked.watch.iter().for_each(|path| watch.path(path));
            walked.files
        } else {
            Vec::new()
        };
        watch.state(&store, "journal");
        // The package may be a root outside another workspace that builds it, and that one's rollback writes here.
        let builder = lockfile::directory(&inputs.out_dir).filter(|dir| *dir != root);
        let builders = builder.map(|dir| place::store(dir, None, None)).filter(|dir| *dir != store);
        builders.iter().for_each(|store| watch.state(store, "journal-of-the-builder"));
        let newest = points::newest(&store).filter(|_| another(&store, &root).is_none());
        if self.embed {
            told.backup_id = Some(newest.as_ref().map(|p| p.backup_id.clone()).unwrap_or_default());
            watch.file(&store, "store.json");
            newest.iter().for_each(|point| watch.path(&point.metadata(&store)));
        }
        let cut = builders.iter().find(|store| points::is_cut_off(store));
        let cut = Some(&store).filter(|s| points::is_cut_off(s) && another(s, &root).is_none()).or(cut);
        let policy = inputs.policy.clone().unwrap_or(Ok(self.policy));
        if policy == Ok(Policy::Off) {
            told.inactive = true;
        } else if let Some(xtask) = lockfile::xtask_above(&root, &inputs.out_dir, &inputs.name) {
            // Before all else: an error here would keep the way back from being built.
            told.inactive = true;
            told.warnings.push(misplaced(&inputs.name, &xtask.name));
            watch.path(&xtask.lockfile);
        } else if let Err(text) = policy {
            told.errors.push(text);
        } else if let Some(store) = cut {
            told.errors.push(cut_off(store));
        } else {
            let unmet = self.unmet(inputs, &root, &store, newest.as_ref(), &files);
            if policy == Ok(Policy::Deny) {
                told.errors = unmet;
            } else if !unmet.is_empty() {
                // What a backup, a validation or a drill cures is not to be said after it.
                watch.file(&store, "metadata");
                told.warnings = unmet;
            }
        }
        told.watch = watch.finish();
        told
    }

    /// What was asked for and is not so, a line each.
    fn unmet(
        &self,
        inputs: &Inputs,
        root: &Path,
        store: &Path,
        newest: Option<&Point>,
        files: &[PathBuf],
    ) -> Vec<String> {
        let asks = self.restore_point
            || self.max_age.is_some()
            || self.validated
            || self.drilled.is_some()
            || self.covers_package;
        if !asks {
            return Vec::new();
        }
        if let Some(other) = another(store, root) {
            return vec![format!(
                "the store `{}` is that of the workspace `{}`; name this one's: BACKSTOP_STORE=DIR",
                store.display(),
                other.display()
            )];
        }
        if let Some(format) = place::format(store).filter(|format| *format > 1) {
            return vec![format!(
                "the store `{}` has format {format}, and this guard reads 1; take the newer backstop",
                store.display()
            )];
        }
        let Some(point) = newest else {
            return vec![format!(
                "there is no restore point in `{}`; make one: cargo xtask backup",
                store.display()
            )];
        };
        let mut out = Vec::new();
        let id = &point.backup_id;
        let age = inputs.now.duration_since(point.made()).unwrap_or_default();
        if let Some(most) = self.max_age.filter(|most| age > *most) {
            let (age, most) = (words(age), words(most));
            out.push(format!(
                "{id} is {age} old, and at most {most} are asked for; make a new one: cargo xtask backup"
            ));
        }
        let status = point.status(store);
        match status.validated {
            _ if !self.validated => {}
            Some(true) => {}
            Some(false) => out.push(format!("{id} failed its last validation; see: cargo xtask validate")),
            None => out.push(format!("{id} was never validated; do: cargo xtask validate")),
        }
        if let Some(level) = self.drilled
            && status.drilled.flatten() < Some(level)
        {
            let reached = match status.drilled {
                None => "was never drilled".to_owned(),
                Some(None) => "failed its last drill".to_owned(),
                Some(Some(reached)) => format!("was drilled to `{reached}` only"),
            };
            out.push(format!(
                "{id} {reached}, and `{level}` is asked for; do: cargo xtask validate --drill={level}"
            ));
        }
        if self.covers_package {
            match point.uncovered(store, root, &inputs.package, files) {
                Ok(paths) if paths.is_empty() => {}
                Ok(paths) => out.push(uncovered(id, &inputs.name, &paths)),
                Err(why) => out.push(format!(
                    "{id} cannot be held against `{}`: {why}; make a new one: cargo xtask backup",
                    inputs.name
                )),
            }
        }
        out
    }
}

/// The workspace that the store serves, where that is another one. One that is gone was moved.
fn another(store: &Path, root: &Path) -> Option<PathBuf> {
    place::workspace_of(store).filter(|other| other != root)
}

fn uncovered(id: &str, package: &str, paths: &[String]) -> String {
    let mut text = format!("{id} does not hold `{package}` as it is now: ");
    text.push_str(&paths.iter().take(3).cloned().collect::<Vec<_>>().join(", "));
    if paths.len() > 3 {
        let _ = write!(text, ", and {} more", paths.len() - 3);
    }
    text + "; make a new one: cargo xtask backup"
}

/// What a person does about a tree between two states, in words that work from any directory.
fn cut_off(store: &Path) -> String {
    let executable = store.join("scripts/backstop");
    let (run, how) = match executable.is_file() {
        true => (quoted(&executable), ""),
        // A store that was made by the library alone, or lost it.
        false => (format!("backstop --store {}", quoted(store)), " (its scripts/backstop is gone)"),
    };
    format!(
        "a rollback was cut off and this tree is between two states{how}: finish it with \
         `{run} rollback --resume`, or take it back with `{run} rollback --abort`"
    )
}

fn misplaced(package: &str, xtask: &str) -> String {
    let whose =
        if package == xtask { "is the xtask".to_owned() } else { format!("is what `{xtask}` depends on") };
    format!(
        "backstop's guard refuses to work in `{package}`, which {whose}: `cargo xtask rollback` has to build whatever \
         happens; take the guard out of its build script"
    )
}

/// A path for a shell.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    if text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+,:@%".contains(c)) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn words(age: Duration) -> String {
    let seconds = age.as_secs();
    let (n, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7200 => (seconds / 60, "minute"),
        7200..172_800 => (seconds / 3600, "hour"),
        _ => (seconds / 86400, "day"),
    };
    format!("{n} {unit}{}", if n == 1 { "" } else { "s" })
}
