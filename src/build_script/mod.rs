#![doc = include_str!("GUARD.md")]

mod store;
mod watch;

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use crate::level::{DrillLevel, InvalidLevel};
use store::Store;

/// What becomes of a request that is not met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// Nothing is looked at, not even whether a rollback was interrupted.
    Off,
    /// A warning, one line; a rollback that was interrupted is an error all the same.
    Warn,
    /// An error, one line: the build ends.
    #[default]
    Deny,
}

/// What a build is to have. Without a request it refuses one thing: a tree that is partly rolled back.
#[derive(Debug, Clone, Default)]
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
    watch_nothing: bool,
}

impl Guard {
    /// A guard that denies, and asks for nothing yet.
    pub fn new() -> Self {
        Guard::default()
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

    /// Whether the package's files are watched: at first, and with [`Guard::covers_package`]. A build script that says
    /// itself what it reads can do without.
    pub fn watch_package(mut self, watch: bool) -> Self {
        self.watch_nothing = !watch;
        self
    }

    /// Judges, and tells Cargo. Where it refuses, Cargo ends the build once the build script has ended.
    ///
    /// # Panics
    /// Outside a build script, and to refuse a build below `rust-version` 1.77, where Cargo takes no errors.
    pub fn check(&self) {
        let inputs = Inputs::read();
        let (directives, errors) = self.judge(&inputs);
        inputs.tell(&directives, &errors);
    }

    /// The directives for Cargo, and the errors.
    fn judge(&self, inputs: &Inputs) -> (Vec<String>, Vec<String>) {
        if !cfg!(all(unix, not(backstop_no_unix))) || store::is_unpacked(&inputs.package) {
            let empty = self.embed.then(|| "rustc-env=BACKSTOP_BACKUP_ID=".to_owned());
            return (Vec::from_iter(empty), Vec::new());
        }
        let mut out = ["GUARD", "STORE"].map(|n| format!("rerun-if-env-changed=BACKSTOP_{n}")).to_vec();
        let Inputs { named_package, package, out_dir, .. } = inputs;
        let named = inputs.store.as_deref().or(self.store.as_deref());
        let stores = store::candidates([named_package, package, out_dir], named);
        let store = &stores[0];
        let mut files = Vec::new();
        let mut watched = |s: &Store, name: &str, or: &str| files.push((s.dir.join(name), s.dir.join(or)));
        stores.iter().for_each(|store| watched(store, "state", "rollback/journal"));
        if self.embed {
            let point = store.file.point.as_ref().filter(|_| !store.is_anothers);
            out.push(format!("rustc-env=BACKSTOP_BACKUP_ID={}", point.map_or("", |p| &p.backup_id)));
            watched(store, "store.json", "store.json");
        }
        let policy = match self.policy {
            Policy::Off => "off",
            Policy::Warn => "warn",
            Policy::Deny => "deny",
        };
        let others = stores[1..].iter().map(|s| &s.dir).filter(|dir| dir.exists());
        let never: Vec<_> = [&store.dir, out_dir].into_iter().chain(others).cloned().collect();
        // A package beside the workspace is rolled back by the one that holds it.
        let holding = |s: &&Store| s.dir == store.dir || s.holds(package);
        let cut = stores.iter().filter(holding).find(|store| store.is_partly_rolled_back());
        // Where it is not known what the xtask is built from, only the user can want an error.
        let known = cut.unwrap_or(store).unknown.is_none();
        let needed = |store: &Store| store.xtask_needs(package);
        let (unmet, deny) = match (inputs.policy.as_deref().unwrap_or(policy), cut) {
            // Before all else: an error would keep the way back from being built.
            _ if inputs.is_of_the_xtask() || stores.iter().any(needed) => (Vec::new(), false),
            ("off", _) => (Vec::new(), false),
            ("warn" | "deny", Some(store)) => {
                let run = format!("{} rollback", store.executable());
                let text = "a rollback was interrupted and this tree is partly rolled back: finish it with";
                let ways = format!("`{run} --resume`, or take it back with `{run} --abort`");
                (
                    vec![format!("{text} {ways}; if the xtask builds, `cargo xtask rollback` does the same")],
                    known,
                )
            }
            ("warn", None) => (self.unmet(inputs, store, &never), false),
            ("deny", None) => (self.unmet(inputs, store, &never), known),
            (it, _) => {
                (vec![format!("BACKSTOP_GUARD is `{it}`, and has to be one of off, warn, deny")], true)
            }
        };
        let deny = deny || inputs.policy.as_deref() == Some("deny");
        if !deny && !unmet.is_empty() {
            // What a backup, a validation or a drill cures is not to be said after it.
            watched(store, "guard", "guard");
        }
        let never = Some(&never[..]).filter(|_| !self.watch_nothing || self.covers_package);
        out.extend(watch::watch([package, out_dir, &store.root], never, &files));
        if deny {
            return (out, unmet);
        }
        out.extend(unmet.iter().map(|text| format!("warning={text}")));
        (out, Vec::new())
    }

    /// What was asked for and is not so, a line each.
    fn unmet(&self, inputs: &Inputs, store: &Store, never: &[PathBuf]) -> Vec<String> {
        let asks = self.restore_point || self.max_age.is_some() || self.validated || self.drilled.is_some();
        let (point, shown) = match (&store.file.point, &store.unknown) {
            _ if !asks && !self.covers_package => return Vec::new(),
            (Some(point), None) => (point, store.dir.display()),
            (_, why) => return why.iter().cloned().collect(),
        };
        let (id, mut out) = (&point.backup_id, Vec::new());
        let mut say = |what: String, command: &str| out.push(format!("{id} {what}: {}", store.cure(command)));
        if !store.session().is_dir() && !store.dir.join(format!("archives/{id}.tar.gz")).is_file() {
            say(format!("is missing from `{shown}`; make a new one"), "backup");
        }
        let age = inputs.now.saturating_sub(Duration::from_secs(point.made));
        if let Some(most) = self.max_age.filter(|most| age > *most) {
            let (age, most) = (words(age), words(most));
            say(format!("is {age} old, and at most {most} are asked for; make a new one"), "backup");
        }
        match point.validated.filter(|_| self.validated) {
            None if self.validated => say("was never validated; do".into(), "validate"),
            Some((false, _)) => say("failed its last validation; see".into(), "validate"),
            _ => {}
        }
        let reached = point.drilled.and_then(|(level, _)| level);
        if let Some(level) = self.drilled.filter(|level| reached < Some(*level)) {
            let how = match (point.drilled, reached) {
                (None, _) => "was never drilled".to_owned(),
                (_, None) => "failed its last drill".to_owned(),
                (_, Some(reached)) => format!("was drilled to `{reached}` only"),
            };
            say(format!("{how}, and `{level}` is asked for; do"), &format!("validate --drill={level}"));
        }
        let (name, package) = (&inputs.name, &inputs.package);
        match if self.covers_package { store.uncovered(package, never) } else { Ok(Vec::new()) } {
            Err(why) => say(format!("cannot be held against `{name}`: {why}; make a new one"), "backup"),
            Ok(paths) if paths.is_empty() => {}
            Ok(paths) => {
                let (named, rest) = paths.split_at(paths.len().min(3));
                let more = if rest.is_empty() { String::new() } else { format!(", and {} more", rest.len()) };
                let named = named.join(", ");
                say(format!("does not hold `{name}` as it is now: {named}{more}; make a new one"), "backup");
            }
        }
        out
    }
}

fn words(age: Duration) -> String {
    let (n, unit) = match age.as_secs() / 60 {
        minutes @ 0..120 => (minutes, "minute"),
        minutes @ 120..2880 => (minutes / 60, "hour"),
        minutes => (minutes / 1440, "day"),
    };
    format!("{n} {unit}{}", if n == 1 { "" } else { "s" })
}

/// What comes from outside. Paths are without symbolic links, apart from `named_package`.
struct Inputs {
    /// `CARGO_MANIFEST_DIR` as Cargo names it: a member may be a link, and Cargo looks above that.
    named_package: PathBuf,
    package: PathBuf,
    name: String,
    out_dir: PathBuf,
    store: Option<PathBuf>,
    policy: Option<String>,
    rust_version: String,
    now: Duration,
}

impl Inputs {
    #[expect(clippy::disallowed_methods, reason = "the guard takes in environment and clock here alone")]
    fn read() -> Self {
        let given = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let needed = |name: &str| PathBuf::from(given(name).unwrap_or_else(|| panic!("{name} is not set")));
        let text = |name: &str| given(name).map(|value| value.to_string_lossy().into_owned());
        Inputs {
            named_package: needed("CARGO_MANIFEST_DIR"),
            package: store::real(&needed("CARGO_MANIFEST_DIR")),
            name: text("CARGO_PKG_NAME").unwrap_or_default(),
            out_dir: store::real(&needed("OUT_DIR")),
            store: given("BACKSTOP_STORE").map(PathBuf::from),
            policy: text("BACKSTOP_GUARD"),
            rust_version: text("CARGO_PKG_RUST_VERSION").unwrap_or_default(),
            now: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        }
    }

    /// Whether this is the xtask, or a build of the profile `xtask`: in `…/xtask/build/…/out`.
    fn is_of_the_xtask(&self) -> bool {
        let profile = self.out_dir.ancestors().skip_while(|dir| !dir.ends_with("build")).nth(1);
        self.name == "xtask" || profile.is_some_and(|dir| dir.ends_with("xtask"))
    }

    /// Tells Cargo directives and errors. Cargo shows the first line of a message, and a name with a line break must
    /// not become a directive. Below Rust 1.77 Cargo knows no errors, and one syntax only.
    #[expect(clippy::print_stdout, reason = "what a build script prints is what Cargo reads")]
    fn tell(&self, directives: &[String], errors: &[String]) {
        let mut numbers = self.rust_version.split('.').map(|n| n.parse().unwrap_or(0));
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        let old = !self.rust_version.is_empty() && version < (1, 77);
        let (prefix, error) = if old { ("cargo:", "warning") } else { ("cargo::", "error") };
        let line = |text: &str| text.replace(char::is_control, "?");
        directives.iter().for_each(|text| println!("{prefix}{}", line(text)));
        errors.iter().for_each(|text| println!("{prefix}{error}={}", line(text)));
        if let Some(first) = errors.first().filter(|_| old) {
            panic!("{}", line(first));
        }
    }
}
