//! Verified restore points for Cargo workspaces.
//!
//! Before a consolidation (crates and modules merged, moved, rewritten) a developer makes a *restore point* of
//! everything that the workspace is built from; when it goes wrong, a *rollback* brings the workspace back, also
//! where `Cargo.toml`, the xtask or the toolchain is broken, and the next build is right.
//!
//! Most people use the commands, [`cli::main`]. The library is for an xtask that does more:
//!
//! ```
//! # #[cfg(all(feature = "engine", unix))] fn main() -> backstop::Result<()> {
//! # let dir = std::env::temp_dir().join(format!("backstop-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(dir.join("src")).unwrap();
//! # std::fs::write(dir.join("Cargo.toml"), "[package]\nname = \"demo\"\n\n[workspace]\n").unwrap();
//! # std::fs::write(dir.join("src/lib.rs"), "// good\n").unwrap();
//! # let workspace_root = dir.clone();
//! use backstop::backup::{BackupOptions, BackupOutcome, backup};
//! use backstop::clock::SystemClock;
//! use backstop::event::{Context, Interrupt, Silent};
//! use backstop::fsx::Fs;
//! use backstop::manifest::Label;
//! use backstop::rollback::{RollbackOptions, apply, plan};
//! use backstop::store::{Selector, Store, Wait};
//!
//! // What the library must know from outside comes in as values.
//! let interrupt = Interrupt::default();
//! let context = Context { clock: &SystemClock, interrupt: &interrupt, observer: &Silent, cargo: &Default::default() };
//!
//! // cargo metadata says what the workspace is, and so what is protected.
//! let workspace = backstop::workspace::load(&backstop::workspace::LoadOptions {
//!     manifest_path: Some(workspace_root.join("Cargo.toml")),
//!     directory: workspace_root.clone(),
//!     cargo: "cargo".into(),
//!     env: Default::default(),
//! })?;
//! let store_dir = workspace.root.join("backup");
//! let set = backstop::select::select(&workspace, &store_dir)?;
//!
//! // The lock is the right to change the store.
//! let (store, _created) = Store::open_or_create(&store_dir, &workspace.root, &Fs::real())?;
//! let lock = store.lock(Wait::Yes, &interrupt, &Silent)?;
//! let options = BackupOptions { label: Label::from_text("demo"), message: None, skip_unchanged: false };
//! let BackupOutcome::Made(report) = backup(&lock, &set, &options, &context)? else { unreachable!() };
//! assert_eq!(report.verified, report.manifest.totals.files);
//!
//! # std::fs::write(workspace_root.join("src/lib.rs"), "// bad\n").unwrap();
//! // Later, and without cargo: a plan is a value, and nothing has changed before it is applied.
//! let catalogue = store.catalogue()?;
//! let plan = plan(&store, catalogue.select(&Selector::Latest)?, &RollbackOptions::default(), &context)?;
//! assert_eq!(plan.counts.replaced, 1);
//! let outcome = apply(&lock, plan, &context)?;
//! assert!(outcome.mismatches.is_empty());
//! # assert_eq!(std::fs::read_to_string(workspace_root.join("src/lib.rs")).unwrap(), "// good\n");
//! # drop(lock); store.remove_new()?; std::fs::remove_dir_all(dir).unwrap();
//! # Ok(())
//! # }
//! # #[cfg(not(all(feature = "engine", unix)))] fn main() {}
//! ```
//!
//! # The map
//!
//! ```text
//! Workspace ─settings→ ProtectedSet ─backup→ session ─validate→ VerifiedSession | ValidationReport
//! VerifiedSession × tree on disk ─plan→ RollbackPlan ─apply(lock, plan)→ RollbackOutcome
//! cli → operations → {select, workspace, settings, store, archive} → fsx → values  nothing points up, no circle
//! ```
//!
//! | module | owns |
//! | --- | --- |
//! | [`path`], [`digest`], [`manifest`], [`clock`] | values that cannot be wrong |
//! | [`fsx`] | every call that changes a file |
//! | [`settings`], [`workspace`], [`select`] | what the settings, cargo and git say, and so what is protected |
//! | [`store`] | the directory of restore points, its lock and [its format](store::format) |
//! | [`live_tree`] | the workspace on disk, held against a manifest |
//! | [`check`] | what a check counted and found, and its verdict |
//! | [`backup`], [`validate`], [`repair`], [`rollback`], [`explain`] | the operations |
//! | `build_script` | the guard in a build script: no build from a tree that is half rolled back |
//! | `init` | how backstop gets into a workspace |
//! | [`cli`] | arguments, environment, printing, exit codes |
//!
//! # Features
//!
//! None by default, so that a build-dependency on backstop pulls in nothing. `engine` is the library, `cli` the
//! commands on top of it, `install` the commands that only an installed executable needs: `init`, `completions`, `man`.
//! `build-script` is the guard alone, and needs none of the others.
//!
//! # Other systems
//!
//! All of this needs Unix. Elsewhere only `build_script` and a [`cli`] whose commands say so (exit code 3) are
//! compiled, so that a workspace with an xtask still builds for everybody. `--cfg backstop_no_unix` compiles that on
//! Unix, for a check of it.

#[cfg(all(feature = "engine", unix, not(backstop_no_unix)))]
mod archive;
#[cfg(all(feature = "engine", unix, not(backstop_no_unix)))]
pub mod backup;
#[cfg(feature = "build-script")]
pub mod build_script;
#[cfg(all(feature = "engine", unix, not(backstop_no_unix)))]
pub mod check;
#[cfg(all(feature = "engine", unix, not(backstop_no_unix)))]
pub mod checkpoint;
#[cfg(all(feature = "cli", unix, not(backstop_no_unix)))]
pub mod cli;
#[cfg(all(feature = "cli", any(not(unix), backstop_no_unix)))]
#[path = "elsewhere.rs"]
pub mod cli;
#[cfg(all(feature = "engine", unix, not(backstop_no_unix)))]
pub mod clock;
#[cfg(all(feature = "engine", unix, not(backstop_no_unix)))]
mod compile;
#[cfg(all(feature = "engine", unix, not(backstop_no_unix)))]
pub mod diff;
#[cfg(all(feature = "engine", unix, not(backstop_no_unix)))]
pub mod digest;
#[cfg(all(feature = "engine", unix, not(backstop_no_unix)))]
pub mod drill;
#[cfg(all(feature = "engine", unix, not(backstop_no_unix)))]
mod error;
#[cfg(all(feature = "engine", unix, not(backstop_no_unix)))]
pub mod event;
#[cfg(all(feature = "engine", unix, not(backstop_no_unix)))]
pub mod explain;
#[cfg(all(feature = "engine", unix, not(backstop_no_unix)))]
pub mod fsx;
#[cfg(all(feature = "engine", unix, not(backstop_no_unix)))]
mod glob;
#[cfg(any(all(feature = "engine", unix, not(backstop_no_unix)), feature = "build-script"))]
mod guard_file;
#[cfg(all(feature = "install", unix, not(backstop_no_unix)))]
pub mod init;
#[cfg(all(feature = "engine", unix, not(backstop_no_unix)))]
mod job;
#[cfg(any(all(feature = "engine", unix, not(backstop_no_unix)), feature = "build-script"))]
mod level;
#[cfg(all(feature = "engine", unix, not(backstop_no_unix)))]
pub mod live_tree;
#[cfg(all(feature = "engine", unix, not(backstop_no_unix)))]
pub mod manifest;
#[cfg(all(feature = "engine", unix, not(backstop_no_unix)))]
mod order;
#[cfg(all(feature = "engine", unix, not(backstop_no_unix)))]
mod parallel;
#[cfg(all(feature = "engine", unix, not(backstop_no_unix)))]
pub mod path;
#[cfg(all(feature = "engine", unix, not(backstop_no_unix)))]
mod process;
#[cfg(all(feature = "engine", unix, not(backstop_no_unix)))]
mod quote;
#[cfg(all(feature = "engine", unix, not(backstop_no_unix)))]
pub mod repair;
#[cfg(all(feature = "engine", unix, not(backstop_no_unix)))]
pub mod retention;
#[cfg(all(feature = "engine", unix, not(backstop_no_unix)))]
pub mod rollback;
#[cfg(all(feature = "engine", unix, not(backstop_no_unix)))]
pub mod select;
#[cfg(all(feature = "engine", unix, not(backstop_no_unix)))]
pub mod settings;
#[cfg(all(feature = "engine", unix, not(backstop_no_unix)))]
pub mod store;
#[cfg(all(feature = "engine", unix, not(backstop_no_unix)))]
mod text;
#[cfg(all(feature = "engine", unix, not(backstop_no_unix)))]
mod toml;
#[cfg(all(feature = "engine", unix, not(backstop_no_unix)))]
pub mod validate;
#[cfg(all(feature = "engine", unix, not(backstop_no_unix)))]
pub mod workspace;

#[cfg(all(feature = "engine", unix, not(backstop_no_unix)))]
pub use error::{Error, ErrorKind, Result};
