//! The journal: what a rollback is going to do, written and synced before the first file is staged, and enough to
//! finish it, take it back, or undo it later.
//!
//! NUL-ended fields, so that bash and Python read and write it too; `FORMAT.md` lists them. A sealed head is
//! followed by `committed` once everything is staged and synced: from there on a rollback is finished forwards or
//! taken back file by file.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::live_tree::FileState;
use crate::manifest::{Id, Mode, Root, RootName, RootedPath};
use crate::path::{LinkTarget, RelPath, show_path, show_text};
use crate::store::nul::{FieldReader, Fields};

/// What kind of transaction it is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Purpose {
    /// Back to a restore point.
    Rollback {
        /// The restore point.
        to: Id,
    },
    /// An earlier rollback is undone.
    Undo {
        /// The rollback.
        of: Id,
    },
}

/// Where new content comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// There is none: a directory, a link, a removal, a change of mode.
    None,
    /// The session directory of the restore point.
    Session,
    /// The archive of the restore point.
    Archive,
    /// What the rollback that is undone had displaced.
    Displaced,
}

/// What is done at one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// The root.
    pub root: RootName,
    /// The path below it.
    pub path: RelPath,
    /// What stands there, and has to stand there when it begins.
    pub before: Option<FileState>,
    /// What is to stand there.
    pub after: Option<FileState>,
    /// Where new content comes from.
    pub origin: Origin,
}

/// What an action does, for counts and for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Something appears where nothing was.
    Create,
    /// Something is replaced; the old is displaced.
    Replace,
    /// Only the mode changes.
    ChangeMode,
    /// A file or link is displaced.
    Displace,
    /// A directory appears.
    CreateDirectory,
    /// An empty directory goes.
    RemoveDirectory,
}

impl Verb {
    /// One word for people and logs, in the past tense.
    pub fn past(self) -> &'static str {
        match self {
            Verb::Create | Verb::CreateDirectory => "created",
            Verb::Replace => "replaced",
            Verb::ChangeMode => "mode changed",
            Verb::Displace => "displaced",
            Verb::RemoveDirectory => "removed",
        }
    }
}

impl Action {
    /// What it does.
    pub fn verb(&self) -> Verb {
        match (&self.before, &self.after) {
            (None, Some(FileState::Directory { .. })) => Verb::CreateDirectory,
            (None, _) => Verb::Create,
            (Some(FileState::Directory { .. }), None) => Verb::RemoveDirectory,
            (Some(_), None) => Verb::Displace,
            (Some(a), Some(b)) if a.same_content(b) => Verb::ChangeMode,
            (Some(_), Some(_)) => Verb::Replace,
        }
    }

    /// Where it is done.
    pub(crate) fn place(&self) -> RootedPath {
        RootedPath::new(&self.root, &self.path)
    }

    /// The path as it is shown.
    pub fn shown(&self) -> String {
        crate::manifest::shown(&self.root, &self.path)
    }

    /// Whether new content or a new link is put there.
    pub(crate) fn places(&self) -> bool {
        matches!(self.verb(), Verb::Create | Verb::Replace)
            && self.after.as_ref().is_some_and(|t| !t.is_directory())
    }

    /// Whether something that is no directory is displaced.
    pub(crate) fn displaces(&self) -> bool {
        matches!(self.verb(), Verb::Replace | Verb::Displace)
            && self.before.as_ref().is_some_and(|t| !t.is_directory())
    }
}

/// The intent of a rollback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journal {
    /// Its own id.
    pub id: Id,
    /// What it is for.
    pub purpose: Purpose,
    /// The restore point of the present that was made first; absent where none could be made.
    pub pre_rollback: Option<Id>,
    /// When it began, RFC 3339.
    pub created: String,
    /// The roots that it may touch.
    pub roots: Vec<Root>,
    /// Directories that forbid writing, which it opens for a while, and the mode that they get back.
    pub unlock: Vec<(RootedPath, Mode)>,
    /// Files whose content stays and whose modification time becomes the present, so that Cargo looks again.
    pub touch: Vec<RootedPath>,
    /// What it does, in the order of root and path.
    pub actions: Vec<Action>,
}

const MAGIC: &str = "backstop-journal";
/// How a script's record of what it displaced begins; the rest is encoded as a journal is.
const RECORD_MAGIC: &str = "backstop-displaced";
const VERSION: &str = "1";
/// What is appended when everything is staged.
pub(crate) const COMMITTED: &[u8] = b"committed\0";

impl Journal {
    /// The bytes up to and with the seal.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut f = Fields::new();
        let (kind, target) = match &self.purpose {
            Purpose::Rollback { to } => ("rollback", to),
            Purpose::Undo { of } => ("undo", of),
        };
        f.push(MAGIC).push(VERSION).push(self.id.as_str()).push(kind).push(target.as_str());
        f.push(self.pre_rollback.as_ref().map_or("", Id::as_str)).push(&self.created);
        f.push("roots").push(self.roots.len().to_string());
        for root in &self.roots {
            f.push(&root.name).push(&root.path);
        }
        f.push("unlock").push(self.unlock.len().to_string());
        for (RootedPath { root, path }, mode) in &self.unlock {
            f.push(root).push(path.as_bytes()).push(mode.to_string());
        }
        f.push("touch").push(self.touch.len().to_string());
        for RootedPath { root, path } in &self.touch {
            f.push(root).push(path.as_bytes());
        }
        f.push("actions").push(self.actions.len().to_string());
        for action in &self.actions {
            f.push(&action.root).push(action.path.as_bytes());
            push_state(&mut f, action.before.as_ref());
            push_state(&mut f, action.after.as_ref());
            f.push(match action.origin {
                Origin::None => "",
                Origin::Session => "session",
                Origin::Archive => "archive",
                Origin::Displaced => "displaced",
            });
        }
        f.seal()
    }

    /// Reads a journal, and whether it was committed.
    ///
    /// # Errors
    /// Kind `Damaged`; `UnknownVersion` if it is sealed and another version wrote it. A commit mark that is itself cut
    /// off counts as none; one behind it counts.
    pub(crate) fn read(path: &Path) -> Result<(Journal, bool)> {
        Journal::read_as(MAGIC, path)
    }

    fn read_as(magic: &str, path: &Path) -> Result<(Journal, bool)> {
        let bytes = crate::fsx::read_plain(path).during("read", path)?;
        let damaged = || {
            Error::new(ErrorKind::Damaged, format!("the journal `{}` is damaged", show_path(path))).with_help(
                "the files that it moved are below rollback/displaced_*; the restore points are untouched: see `list`",
            )
        };
        let (mut reader, tail) = FieldReader::sealed(&bytes).ok_or_else(damaged)?;
        let version = reader.text().filter(|found| *found == magic).and_then(|_| reader.text());
        match version {
            Some(VERSION) => {}
            Some(other) => {
                let text = format!(
                    "the journal `{}` has version {}; this version reads {VERSION}",
                    show_path(path),
                    show_text(other)
                );
                return Err(Error::new(ErrorKind::UnknownVersion, text)
                    .with_help("use the executable in the store's scripts/, or a newer backstop"));
            }
            None => return Err(damaged()),
        }
        let journal = decode(reader).ok_or_else(damaged)?;
        Ok((journal, tail.ends_with(COMMITTED)))
    }

    /// Reads the record that a script keeps of its rollback over all runs that were interrupted: in it, `before` is
    /// what stood there before the first of them. `None` if no script made this rollback.
    ///
    /// # Errors
    /// As [`Journal::read`].
    pub(crate) fn read_record(path: &Path) -> Result<Option<Journal>> {
        match path.symlink_metadata() {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            _ => Journal::read_as(RECORD_MAGIC, path).map(|(journal, _)| Some(journal)),
        }
    }
}

fn push_state(f: &mut Fields, state: Option<&FileState>) {
    let (kind, mode, size, content) = match state {
        None => ("none", String::new(), String::new(), Vec::new()),
        Some(FileState::File { attributes, size, sha256 }) => {
            let digest = sha256.map(|d| d.to_string().into_bytes()).unwrap_or_default();
            ("file", attributes.to_string(), size.to_string(), digest)
        }
        Some(FileState::Directory { mode }) => ("directory", mode.to_string(), String::new(), Vec::new()),
        Some(FileState::Symlink { target }) => {
            ("symlink", String::new(), String::new(), target.as_os_str().as_bytes().to_vec())
        }
        Some(FileState::Special) => ("special", String::new(), String::new(), Vec::new()),
    };
    f.push(kind).push(mode).push(size).push(content);
}

fn pop_state(r: &mut FieldReader<'_>) -> Option<Option<FileState>> {
    let (kind, mode, size, content) = (r.text()?, r.text()?, r.text()?, r.next()?);
    Some(match kind {
        "none" => None,
        "file" => Some(FileState::File {
            attributes: mode.parse().ok()?,
            size: size.parse().ok()?,
            sha256: match content {
                b"" => None,
                digest => Some(std::str::from_utf8(digest).ok()?.parse().ok()?),
            },
        }),
        "directory" => Some(FileState::Directory { mode: mode.parse().ok()? }),
        "symlink" => Some(FileState::Symlink {
            target: LinkTarget::new(std::ffi::OsStr::from_bytes(content).to_os_string()),
        }),
        "special" => Some(FileState::Special),
        _ => return None,
    })
}

/// What follows the version.
fn decode(mut r: FieldReader<'_>) -> Option<Journal> {
    let r = &mut r;
    let id = r.parse()?;
    let purpose = match (r.text()?, r.parse()?) {
        ("rollback", to) => Purpose::Rollback { to },
        ("undo", of) => Purpose::Undo { of },
        _ => return None,
    };
    let pre_rollback = match r.text()? {
        "" => None,
        text => Some(text.parse().ok()?),
    };
    let created = r.text()?.to_owned();
    let roots = list(r, "roots", |r| {
        let root = Root { name: r.text()?.into(), path: r.text()?.into() };
        // What is displaced of a root goes to a directory of its name.
        root.name.is_safe().then_some(root)
    })?;
    let root_path = |r: &mut FieldReader<'_>| -> Option<RootedPath> {
        let at = RootedPath { root: r.text()?.into(), path: RelPath::from_bytes(r.next()?).ok()? };
        // No plan ever names one, so it was not a rollback that wrote this.
        (!crate::path::runs_programs(&at.path)).then_some(at)
    };
    let unlock = list(r, "unlock", |r| Some((root_path(r)?, r.parse()?)))?;
    let touch = list(r, "touch", root_path)?;
    let actions = list(r, "actions", |r| {
        let RootedPath { root, path } = root_path(r)?;
        let (before, after) = (pop_state(r)?, pop_state(r)?);
        let origin = match r.text()? {
            "" => Origin::None,
            "session" => Origin::Session,
            "archive" => Origin::Archive,
            "displaced" => Origin::Displaced,
            _ => return None,
        };
        Some(Action { root, path, before, after, origin })
    })?;
    r.next().is_none().then_some(Journal {
        id,
        purpose,
        pre_rollback,
        created,
        roots,
        unlock,
        touch,
        actions,
    })
}

fn list<T>(
    r: &mut FieldReader<'_>,
    name: &str,
    mut item: impl FnMut(&mut FieldReader<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    if r.text()? != name {
        return None;
    }
    let count: usize = r.parse()?;
    (0..count).map(|_| item(r)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Journal {
        let path = |p: &[u8]| RelPath::from_bytes(p).unwrap();
        let file = |mode: u32| FileState::File {
            attributes: Mode::new(mode).into(),
            size: 3,
            sha256: Some(crate::digest::Digest::of(b"abc")),
        };
        let action = |p: &[u8], before, after, origin| Action {
            root: RootName::Workspace,
            path: path(p),
            before,
            after,
            origin,
        };
        Journal {
            id: "20261123_054001".parse().unwrap(),
            purpose: Purpose::Rollback { to: "20261123_054000".parse().unwrap() },
            pre_rollback: Some("20261123_053959".parse().unwrap()),
            created: "2026-11-23T05:40:01Z".into(),
            roots: vec![Root { name: RootName::Workspace, path: ".".into() }],
            unlock: vec![(RootedPath { root: RootName::Workspace, path: path(b"ro") }, Mode::new(0o555))],
            touch: vec![RootedPath { root: RootName::Workspace, path: path(b"src/lib.rs") }],
            actions: vec![
                action(b"end\n\xff", None, Some(file(0o644)), Origin::Session),
                action(b"gone", Some(FileState::Special), None, Origin::None),
                action(
                    b"link",
                    Some(file(0o600)),
                    Some(FileState::Symlink { target: LinkTarget::new("a b") }),
                    Origin::None,
                ),
                action(b"m", Some(file(0o600)), Some(file(0o755)), Origin::None),
            ],
        }
    }

    #[test]
    fn a_journal_survives_and_a_torn_commit_mark_is_none() {
        let dir = std::env::temp_dir().join(format!("backstop-journal-{}", std::process::id()));
        let journal = sample();
        let head = journal.encode();
        #[allow(clippy::disallowed_methods, reason = "a test writes its own input")]
        let read = |tail: &[u8]| {
            std::fs::write(&dir, [&head[..], tail].concat()).unwrap();
            let result = Journal::read(&dir);
            std::fs::remove_file(&dir).unwrap();
            result
        };
        assert_eq!(read(b"").unwrap(), (journal.clone(), false));
        assert_eq!(read(b"committe").unwrap(), (journal.clone(), false));
        assert_eq!(read(COMMITTED).unwrap(), (journal.clone(), true));
        assert_eq!(read(b"committcommitted\0").unwrap(), (journal.clone(), true), "a second attempt");
        assert_eq!(
            journal.actions.iter().map(Action::verb).collect::<Vec<_>>(),
            [Verb::Create, Verb::Displace, Verb::Replace, Verb::ChangeMode]
        );
    }
}
