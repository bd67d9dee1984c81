//! Verified restore points for Cargo workspaces.
//!
//! Before a consolidation (crates and modules merged, moved, rewritten) a developer makes a *restore point* of
//! everything that the workspace is built from; when it goes wrong, a *rollback* brings the workspace back, also
//! where `Cargo.toml`, the xtask or the toolchain is broken, and the next build is right.
//!
//! Most people use the commands, [`cli::main`]. The library is for an xtask that does more:
//!
//! ```
//! # #[cfg(feature = "engine")] fn main() -> backstop::Result<()> {
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
//! let context = Context { clock: &SystemClock, interrupt: &interrupt, observer: &Silent };
//!
//! // cargo metadata says what the workspace is, and so what is protected.
//! let workspace = backstop::workspace::load(&backstop::workspace::LoadOptions {
//!     manifest_path: Some(workspace_root.join("Cargo.toml")),
//!     directory: workspace_root.clone(),
//!     cargo: "cargo".into(),
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
//! # #[cfg(not(feature = "engine"))] fn main() {}
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
#[cfg(feature = "engine")]
mod archive;
#[cfg(feature = "engine")]
pub mod backup;
#[cfg(feature = "build-script")]
pub mod build_script;
#[cfg(feature = "engine")]
pub mod check;
#[cfg(feature = "engine")]
pub mod checkpoint;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "engine")]
pub mod clock;
#[cfg(feature = "engine")]
mod compile;
#[cfg(feature = "engine")]
pub mod diff;
#[cfg(feature = "engine")]
pub mod digest;
#[cfg(feature = "engine")]
pub mod drill;
#[cfg(feature = "engine")]
mod error;
#[cfg(feature = "engine")]
pub mod event;
#[cfg(feature = "engine")]
pub mod explain;
#[cfg(feature = "engine")]
pub mod fsx;
#[cfg(feature = "engine")]
mod glob;
#[cfg(any(feature = "engine", feature = "build-script"))]
mod guard_file;
#[cfg(feature = "install")]
pub mod init;
#[cfg(feature = "engine")]
mod job;
#[cfg(any(feature = "engine", feature = "build-script"))]
mod level;
#[cfg(feature = "engine")]
pub mod live_tree;
#[cfg(feature = "engine")]
pub mod manifest;
#[cfg(feature = "engine")]
mod parallel;
#[cfg(feature = "engine")]
pub mod path;
#[cfg(feature = "engine")]
mod process;
#[cfg(feature = "engine")]
mod quote;
#[cfg(feature = "engine")]
pub mod repair;
#[cfg(feature = "engine")]
pub mod retention;
#[cfg(feature = "engine")]
pub mod rollback;
#[cfg(feature = "engine")]
pub mod select;
#[cfg(feature = "engine")]
pub mod settings;
#[cfg(feature = "engine")]
pub mod store;
#[cfg(feature = "engine")]
mod text;
#[cfg(feature = "engine")]
pub mod validate;
#[cfg(feature = "engine")]
pub mod workspace;

#[cfg(feature = "engine")]
pub use error::{Error, ErrorKind, Result};
