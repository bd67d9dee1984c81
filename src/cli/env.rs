//! The environment, read once.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::event::CargoEnv;
use crate::store::{is_executable, is_store};

/// What the program is called if cargo does not start it.
pub(super) const PROGRAM: &str = "backstop";

/// What it is called as a subcommand of cargo.
pub(super) const PLUGIN: &str = "cargo backstop";

/// What people type to start a program of this path.
pub(super) fn called(program: &Path) -> &'static str {
    match program.file_stem().and_then(OsStr::to_str) {
        Some("xtask") => "cargo xtask",
        Some("cargo-backstop") => PLUGIN,
        _ => PROGRAM,
    }
}

/// What the process was given by its surroundings.
#[derive(Debug, Clone)]
pub(crate) struct Env {
    /// The current directory; where it was deleted, what it was called.
    pub(crate) directory: Option<PathBuf>,
    /// The running executable.
    pub(crate) executable: Option<PathBuf>,
    /// `BACKSTOP_STORE`.
    pub(crate) store: Option<PathBuf>,
    /// `CARGO` if there is such a program, or `cargo`.
    pub(crate) cargo: OsString,
    /// What it says of cargo's places.
    pub(crate) cargo_env: CargoEnv,
    /// Where caches belong: `XDG_CACHE_HOME`, or what the system has in its place.
    pub(crate) cache: PathBuf,
    /// `GITHUB_WORKSPACE`: where GitHub checked the repository out.
    pub(crate) repository: Option<PathBuf>,
    /// `NO_COLOR` is set.
    pub(crate) no_color: bool,
    /// `BACKSTOP_PORTABLE` is set: the fallbacks for calls that only Linux has are used, for tests of them.
    pub(crate) portable: bool,
}

/// Whether a variable gives programs or flags of the build.
fn names_inputs(name: &str) -> bool {
    const ENDS: [&str; 6] =
        ["RUSTC", "RUSTDOC", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTFLAGS", "RUSTDOCFLAGS"];
    let name = name.strip_prefix("CARGO_BUILD_").or(name.strip_prefix("CARGO_ENCODED_")).unwrap_or(name);
    let of_target = name.starts_with("CARGO_TARGET_")
        && ["_LINKER", "_RUNNER", "_RUSTFLAGS"].iter().any(|end| name.ends_with(end));
    of_target || ENDS.contains(&name)
}

/// Whether a program of that name or path is there.
fn is_program(base: &Path, program: &OsStr) -> bool {
    match Path::new(program).components().count() {
        1 => crate::process::on_path(Path::new(program)).is_some(),
        _ => {
            let path = base.join(program);
            path.is_file() && is_executable(&path)
        }
    }
}

impl Env {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    pub(super) fn read() -> Env {
        let given = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
        // In a deleted directory the shell still knows its name; what is above it may be there.
        let directory = std::env::current_dir().ok();
        if directory.is_none() {
            // Processes cannot be started from a directory that is missing.
            let _ = std::env::set_current_dir("/");
        }
        let directory = directory.or_else(|| given("PWD").map(PathBuf::from));
        let targets = ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "CARGO_BUILD_BUILD_DIR"];
        let targets = targets.iter().filter_map(|name| given(name));
        let base = directory.clone().unwrap_or_default();
        let home = given("CARGO_HOME").map(|home| base.join(home));
        let home = home.or_else(|| given("HOME").map(|home| PathBuf::from(home).join(".cargo")));
        Env {
            cargo_env: CargoEnv {
                home,
                target_directories: targets.map(|dir| base.join(dir)).collect(),
                inputs: std::env::vars_os()
                    .filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)))
                    .filter(|(name, _)| names_inputs(name))
                    .collect(),
            },
            directory,
            executable: std::env::current_exe().ok(),
            store: given("BACKSTOP_STORE").map(PathBuf::from),
            // One that was set for another toolchain, or in another place, may be gone.
            cargo: given("CARGO").filter(|cargo| is_program(&base, cargo)).unwrap_or_else(|| "cargo".into()),
            cache: given("XDG_CACHE_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute()).unwrap_or_else(
                || {
                    let below = if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" };
                    given("HOME").map_or_else(std::env::temp_dir, |home| PathBuf::from(home).join(below))
                },
            ),
            repository: given("GITHUB_WORKSPACE").map(PathBuf::from),
            no_color: given("NO_COLOR").is_some(),
            portable: given("BACKSTOP_PORTABLE").is_some(),
        }
    }

    /// A path of the command line as an absolute one.
    pub(super) fn absolute(&self, path: &Path) -> PathBuf {
        match &self.directory {
            Some(dir) if path.is_relative() => dir.join(path),
            _ => path.to_path_buf(),
        }
    }

    /// The store whose `scripts/` the executable lies in.
    pub(super) fn copied_into(&self) -> Option<PathBuf> {
        let scripts = self.executable.as_ref()?.parent()?;
        let store = scripts.parent()?;
        (scripts.file_name()? == "scripts" && is_store(store)).then(|| store.to_path_buf())
    }
}
