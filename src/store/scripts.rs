//! The two rollback scripts in `scripts/`, for machines that the executable beside them is not for. Their text is
//! part of the program; a copy in a store is run only where it is that very text.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{ROLLBACK_PY, ROLLBACK_SH, Store, StoreLock};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::manifest::{Id, Mode};
use crate::path::{path_to_text, show_text};
use crate::process::UNABLE;

/// One of the scripts.
#[derive(Debug)]
pub(crate) struct Script {
    /// Its name in `scripts/`.
    pub(crate) name: &'static str,
    /// What runs it.
    pub(crate) interpreter: &'static str,
    /// Its text.
    pub(crate) text: &'static [u8],
    /// What the interpreter gets, before the script's path, to read it without running it: in one start, as some
    /// that are called `python3` are slow scripts themselves. It ends with [`UNABLE`] if it is too old, with
    /// [`UNREADABLE`] if the script is not right.
    read: &'static [&'static str],
}

/// The scripts.
pub(crate) static SCRIPTS: &[Script] = &[
    Script {
        name: ROLLBACK_SH,
        interpreter: "bash",
        text: include_bytes!("../rollback/rollback.sh"),
        read: &[
            "--norc",
            "-c",
            "((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 404)) || exit 7; \"$BASH\" --norc -n -- \"$0\" || exit 8",
        ],
    },
    Script {
        name: ROLLBACK_PY,
        interpreter: "python3",
        text: include_bytes!("../rollback/rollback.py"),
        read: &[
            "-ISB",
            "-c",
            "import sys\nif sys.version_info < (3, 8): sys.exit(7)\ntext = open(sys.argv[1], 'rb').read()\n\
             try: compile(text, sys.argv[1], 'exec')\nexcept Exception as e: sys.exit(sys.stderr.write(str(e)) and 8)",
        ],
    },
];

/// The exit code of a script that could not do it, and changed nothing.
const NOT_DONE: i32 = 3;

/// The exit code of an interpreter that found a script not to be right.
const UNREADABLE: i32 = 8;

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

    fn run(&self, store: &Store, args: &[&OsStr]) -> Result<crate::process::Answer> {
        crate::process::interpreter(self.interpreter, store.layout().dir(), args)
    }

    /// Reads the copy at `path` with its interpreter, without running it.
    pub(crate) fn read(&self, store: &Store, path: &Path) -> Trial {
        let name = self.interpreter;
        let read = self.read.iter().map(OsStr::new).chain([path.as_os_str()]);
        match self.run(store, &read.collect::<Vec<_>>()) {
            Ok(answer) if answer.ok => Trial::Proven,
            Ok(answer) if answer.code == Some(UNREADABLE) => {
                Trial::Failed(format!("cannot be read by {name}: {}", first(&answer.stderr)))
            }
            Ok(answer) if answer.code == Some(UNABLE) => {
                Trial::Untried(format!("the {name} on PATH is too old"))
            }
            Ok(_) => Trial::Untried(format!("the {name} on PATH does not work")),
            Err(_) => Trial::Untried(format!("there is no {name} on PATH")),
        }
    }

    /// [`Script::prove`], unless the same text did so before with the same interpreter: the store's cache says that.
    /// Who calls this has seen that the copy at `path` has this script's text.
    pub(crate) fn try_once(&self, store: &Store, path: &Path, id: &Id) -> Trial {
        let proof = self.proof();
        let file = store.layout().dir().join("cache").join(format!("proof_{}", self.name));
        if let Some(proof) = &proof
            && crate::fsx::read_plain(&file).is_ok_and(|found| found == proof.as_bytes())
        {
            return Trial::Proven;
        }
        let trial = self.prove(store, path, id);
        if let (Trial::Proven, Some(proof)) = (&trial, proof) {
            // A cache that cannot be written costs time only.
            let _ = store.fs().replace_file(&file, proof.as_bytes(), 0o600);
        }
        trial
    }

    /// What was proven once need not be again: the script's digest, its interpreter, and the interpreter's time.
    fn proof(&self) -> Option<String> {
        let found = crate::process::on_path(self.interpreter)?;
        let meta = found.metadata().ok()?;
        let (time, nanos, size) = (meta.mtime(), meta.mtime_nsec(), meta.len());
        Some(format!("{} {time}.{nanos:09} {size} {}\n", self.digest(), path_to_text(&found)))
    }

    /// Reads the copy at `path` with its interpreter, and has it plan a rollback to `id`.
    fn prove(&self, store: &Store, path: &Path, id: &Id) -> Trial {
        match self.read(store, path) {
            Trial::Proven => {}
            other => return other,
        }
        // It lies in the store, and so it is this store's and no other's that it reads.
        let mut args: Vec<&OsStr> = vec![path.as_os_str()];
        args.extend(["-t", id.as_str(), "--dry-run"].map(OsStr::new));
        match self.run(store, &args) {
            Ok(answer) if answer.ok => Trial::Proven,
            Ok(answer) if answer.code == Some(UNABLE) => Trial::Untried(first(&answer.stderr)),
            // It works, and says what keeps it from doing so today: in the workspace, or in files that are judged
            // elsewhere.
            Ok(answer) if answer.code == Some(NOT_DONE) => Trial::Untried(first(&answer.stderr)),
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
    /// Writes the scripts to `scripts/` if they are not there already. The interpreter of each has to read it before
    /// it takes the place of the last good one, if this machine has that interpreter; a dry run is for who validates.
    /// Gives the names of those that were written.
    ///
    /// # Errors
    /// Kind `Io` if one cannot be written or read; the last good one then stays.
    pub fn keep_scripts(&self) -> Result<Vec<&'static str>> {
        let mut written = Vec::new();
        for script in SCRIPTS {
            if self.keep_script(script)? {
                written.push(script.name);
            }
        }
        Ok(written)
    }

    fn keep_script(&self, script: &Script) -> Result<bool> {
        let store = self.store();
        let recorded = store.info()?.scripts.get(script.name).copied();
        let path = script.path(store);
        let digest = script.digest();
        if recorded == Some(digest) && crate::fsx::read_plain(&path).is_ok_and(|found| found == script.text) {
            if !super::is_executable(&path) {
                store.fs().set_mode(&path, Mode::new(0o500)).during("change the mode of", &path)?;
            }
            return Ok(false);
        }
        let prove = |new: &Path| match script.read(store, new) {
            Trial::Failed(problem) => Err(Error::new(ErrorKind::Io, format!("{} {problem}", script.name))),
            Trial::Proven | Trial::Untried(_) => Ok(()),
        };
        self.keep_in_scripts(script.name, script.text, digest, prove)?;
        Ok(true)
    }
}
