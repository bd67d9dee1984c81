//! What Cargo tells a build script, and what is told to Cargo: the one place that reads the environment and prints.

use std::path::PathBuf;
use std::time::SystemTime;

use super::{Policy, Verdict};

/// What comes from outside.
#[derive(Debug)]
pub(super) struct Inputs {
    /// `CARGO_MANIFEST_DIR` as Cargo names it.
    pub(super) named_package: PathBuf,
    /// The same without links.
    pub(super) package: PathBuf,
    pub(super) name: String,
    pub(super) out_dir: PathBuf,
    pub(super) store: Option<PathBuf>,
    pub(super) policy: Option<Result<Policy, String>>,
    pub(super) old_syntax: bool,
    pub(super) now: SystemTime,
}

impl Inputs {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the guard takes in environment and clock"
    )]
    pub(super) fn read() -> Self {
        let given = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let needed =
            |name: &str| given(name).unwrap_or_else(|| panic!("{name} is not set: this is no build script"));
        let canonical = |path: PathBuf| super::place::canonical(&path).unwrap_or(path);
        let text = |name: &str| given(name).map(|value| value.to_string_lossy().into_owned());
        let named_package = PathBuf::from(needed("CARGO_MANIFEST_DIR"));
        Inputs {
            package: canonical(named_package.clone()),
            named_package,
            name: text("CARGO_PKG_NAME").unwrap_or_default(),
            out_dir: canonical(needed("OUT_DIR").into()),
            store: given("BACKSTOP_STORE").map(PathBuf::from),
            policy: text("BACKSTOP_GUARD").map(|value| value.parse()),
            old_syntax: text("CARGO_PKG_RUST_VERSION").is_some_and(|version| is_below_1_77(&version)),
            now: SystemTime::now(),
        }
    }
}

fn is_below_1_77(version: &str) -> bool {
    let mut numbers = version.split('.').map(|n| n.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < (1, 77)
}

/// What Cargo is to be told.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) watch: Vec<String>,
    pub(super) watch_env: Vec<&'static str>,
    pub(super) backup_id: Option<String>,
    pub(super) warnings: Vec<String>,
    pub(super) errors: Vec<String>,
    pub(super) inactive: bool,
}

impl Told {
    pub(super) fn verdict(&self) -> Verdict {
        match self {
            Told { errors, .. } if !errors.is_empty() => Verdict::Refused,
            Told { inactive: true, .. } => Verdict::Inactive,
            Told { warnings, .. } if !warnings.is_empty() => Verdict::Warned,
            _ => Verdict::Passed,
        }
    }
}

#[expect(clippy::print_stdout, reason = "what a build script prints is what Cargo reads")]
pub(super) fn tell(told: &Told, old_syntax: bool) {
    let prefix = if old_syntax { "cargo:" } else { "cargo::" };
    // Cargo shows the first line of a message; a name with a line break must not become a directive.
    let one_line =
        |text: &str| text.chars().map(|c| if c.is_control() { '?' } else { c }).collect::<String>();
    told.watch_env.iter().for_each(|name| println!("{prefix}rerun-if-env-changed={name}"));
    told.watch.iter().for_each(|path| println!("{prefix}rerun-if-changed={path}"));
    told.backup_id.iter().for_each(|id| println!("{prefix}rustc-env=BACKSTOP_BACKUP_ID={}", one_line(id)));
    told.warnings.iter().for_each(|text| println!("{prefix}warning={}", one_line(text)));
    let error = if old_syntax { "warning" } else { "error" };
    told.errors.iter().for_each(|text| println!("{prefix}{error}={}", one_line(text)));
    if let Some(first) = told.errors.first().filter(|_| old_syntax) {
        panic!("{}", one_line(first));
    }
}
