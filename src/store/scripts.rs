//! The two rollback scripts in `scripts/`, for machines that the executable beside them is not for. Their text is
//! part of the program; a copy in a store is run only where it is that very text.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::{ROLLBACK_PY, ROLLBACK_SH, Store, StoreLock};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::manifest::{Id, Mode};
use crate::path::show_text;

/// One of the scripts.
#[derive(Debug)]
pub(crate) struct Script {
    /// Its name in `scripts/`.
    pub(crate) name: &'static str,
    /// What runs it.
    pub(crate) interpreter: &'static str,
    /// Its text.
    pub(crate) text: &'static [u8],
    /// What the interpreter gets to show that it is one, and new enough.
    works: &'static [&'static str],
    /// What the interpreter gets, before the script's path, to read it without running it.
    syntax: &'static [&'static str],
}

/// The scripts.
pub(crate) static SCRIPTS: &[Script] = &[
    Script {
        name: ROLLBACK_SH,
        interpreter: "bash",
        text: include_bytes!("../rollback/rollback.sh"),
        works: &["--norc", "-c", ":"],
        syntax: &["--norc", "-n"],
    },
    Script {
        name: ROLLBACK_PY,
        interpreter: "python3",
        text: include_bytes!("../rollback/rollback.py"),
        works: &["-ISB", "-c", "import sys; sys.exit(sys.version_info < (3, 8))"],
        syntax: &["-ISB", "-c", "import sys; compile(open(sys.argv[1], 'rb').read(), sys.argv[1], 'exec')"],
    },
];

/// What came of trying a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trial {
    /// It can be read, and a dry run of a rollback went well.
    Proven,
    /// It cannot be tried on this machine: a sentence's end.
    Untried(String),
    /// It does not work: a sentence's end.
    Failed(String),
}

impl Script {
    /// Where it lies in a store.
    pub(crate) fn path(&self, store: &Store) -> PathBuf {
        store.layout().scripts().join(self.name)
    }

    /// The digest of its text.
    pub(crate) fn digest(&self) -> Digest {
        Digest::of(self.text)
    }

    fn other(&self) -> &'static str {
        if self.name == ROLLBACK_SH { ROLLBACK_PY } else { ROLLBACK_SH }
    }

    /// Reads the copy at `path` with its interpreter, and has it plan a rollback to `id`. Who calls this has seen
    /// that the copy has this script's text.
    pub(crate) fn prove(&self, store: &Store, path: &Path, id: &Id) -> Trial {
        let dir = store.layout().dir();
        let run = |args: &[&OsStr]| crate::process::interpreter(self.interpreter, dir, args);
        let words = |words: &'static [&'static str]| words.iter().map(OsStr::new).collect::<Vec<_>>();
        match run(&words(self.works)) {
            Err(_) => return Trial::Untried(format!("there is no {} on PATH", self.interpreter)),
            Ok(answer) if !answer.ok => {
                return Trial::Untried(format!(
                    "the {} on PATH is too old or does not work",
                    self.interpreter
                ));
            }
            Ok(_) => {}
        }
        match run(&[words(self.syntax), vec![path.as_os_str()]].concat()) {
            Ok(answer) if answer.ok => {}
            Ok(answer) => {
                return Trial::Failed(format!(
                    "cannot be read by {}: {}",
                    self.interpreter,
                    first(&answer.stderr)
                ));
            }
            Err(e) => return Trial::Failed(format!("cannot be read: {}", show_text(&e.to_string()))),
        }
        let root = store.root().join("Cargo.toml");
        let mut args: Vec<&OsStr> = vec![path.as_os_str()];
        args.extend(["-t", id.as_str(), "--dry-run", "--quiet", "--store"].map(OsStr::new));
        // Named too, for the workspace may have another store.
        args.extend([dir.as_os_str(), OsStr::new("--manifest-path"), root.as_os_str()]);
        match run(&args) {
            Ok(answer) if answer.ok => Trial::Proven,
            // A script names another road where this machine lacks what it needs.
            Ok(answer) if answer.stderr.contains(self.other()) => Trial::Untried(first(&answer.stderr)),
            Ok(answer) => Trial::Failed(format!("fails at a dry run: {}", first(&answer.stderr))),
            Err(e) => Trial::Failed(format!("does not run: {}", show_text(&e.to_string()))),
        }
    }
}

/// What a process complains of first, without the word `error`.
fn first(stderr: &str) -> String {
    let line = stderr.lines().find(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
    show_text(line.strip_prefix("error: ").unwrap_or(line))
}

impl StoreLock<'_> {
    /// Writes the scripts to `scripts/`, where they are not there already. Each proves itself by a dry run of a
    /// rollback to `id` before it takes the place of the last good one; where its interpreter is missing, nobody can
    /// ask that of it. Gives the names of those that were written.
    ///
    /// # Errors
    /// Kind `Io` where one cannot be written or does not prove itself; the last good one then stays.
    pub fn keep_scripts(&self, id: &Id) -> Result<Vec<&'static str>> {
        let mut written = Vec::new();
        for script in SCRIPTS {
            if self.keep_script(script, id)? {
                written.push(script.name);
            }
        }
        Ok(written)
    }

    fn keep_script(&self, script: &Script, id: &Id) -> Result<bool> {
        let store = self.store();
        let recorded = store.info()?.scripts.get(script.name).copied();
        let path = script.path(store);
        let digest = script.digest();
        if recorded == Some(digest) && std::fs::read(&path).is_ok_and(|found| found == script.text) {
            if !super::is_executable(&path) {
                store.fs().set_mode(&path, Mode::new(0o500)).during("change the mode of", &path)?;
            }
            return Ok(false);
        }
        let prove = |new: &Path| match script.prove(store, new, id) {
            Trial::Failed(problem) => Err(Error::new(ErrorKind::Io, format!("{} {problem}", script.name))),
            Trial::Proven | Trial::Untried(_) => Ok(()),
        };
        self.keep_in_scripts(script.name, script.text, digest, prove)?;
        Ok(true)
    }
}
