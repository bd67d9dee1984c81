//! Which restore points a store has, and finding the one that is meant.

use std::io;
use std::path::Path;

use super::{Store, parse_checksum_list};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, IoContext, Result};
use crate::manifest::{self, Id, Label, MANIFEST_FILE, Manifest, Origin, PRE_ROLLBACK, backup_id};
use crate::order;
use crate::path::{show_path, show_text};

/// One restore point as the store's directories show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub id: Id,
    /// Its label.
    pub label: Label,
    /// Whether its session directory is there.
    pub session: bool,
    /// Whether the manifest's second copy is there.
    pub metadata: bool,
    /// Whether its archive is there.
    pub archive: bool,
    /// How it came about.
    pub origin: Origin,
}

impl Listed {
    /// One of which nothing is known but its name.
    pub(crate) fn named(label: Label, id: Id) -> Self {
        let origin = Origin::of(&label);
        Listed { id, label, session: false, metadata: false, archive: false, origin }
    }

    /// `LABEL_backup_TIMESTAMP`.
    pub fn backup_id(&self) -> String {
        backup_id(&self.label, &self.id)
    }

    /// Whether a rollback made it of the present.
    pub fn is_pre_rollback(&self) -> bool {
        self.label.as_str() == PRE_ROLLBACK
    }

    /// Whether it is one that `latest` may mean: somebody asked for it, and cargo could load the workspace.
    pub fn may_be_latest(&self) -> bool {
        self.origin == Origin::Backup
    }
}

/// Names one restore point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// The newest that somebody asked for, of a workspace that cargo could load.
    Latest,
    /// The one whose id or backup id starts so.
    Prefix(String),
}

impl std::str::FromStr for Selector {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(if text == "latest" { Selector::Latest } else { Selector::Prefix(text.into()) })
    }
}

/// The restore points of a store, oldest first.
#[derive(Debug, Clone)]
pub struct Catalogue(Vec<Listed>);

impl Catalogue {
    fn read(store: &Store) -> Result<Self> {
        let layout = store.layout();
        super::stand::refuse_links(layout)?;
        let pending = store.info()?.pending;
        let mut found: order::Map<Id, Listed> = order::Map::new();
        let named = |dir: &str, suffix: &str| -> Result<Vec<(Label, Id)>> {
            let names = names_in(&layout.dir().join(dir))?;
            Ok(names.iter().filter_map(|n| split_backup_id(n.strip_suffix(suffix)?)).collect())
        };
        let slot = |found: &mut order::Map<Id, Listed>, label: Label, id: Id, set: fn(&mut Listed)| {
            set(found.entry(id.clone()).or_insert(Listed::named(label, id)));
        };
        for (label, id) in named("metadata", ".json")? {
            slot(&mut found, label, id, |l| l.metadata = true);
        }
        for (label, id) in named("archives", ".tar.gz")? {
            slot(&mut found, label, id, |l| l.archive = true);
        }
        for name in names_in(layout.dir())? {
            let Some(id) = name.strip_prefix("session_").and_then(|t| t.parse::<Id>().ok()) else { continue };
            let label = match found.get(&id) {
                Some(listed) => listed.label.clone(),
                None => label_in(&layout.session_manifest(&id)),
            };
            // What a link leads to is not the store's.
            let own = layout.session(&id).symlink_metadata().is_ok_and(|meta| meta.is_dir());
            slot(&mut found, label, id, if own { |l| l.session = true } else { |_| {} });
        }
        // What was pruned is not listed, also while it is on its way to the trash.
        found.retain(|id, _| !layout.is_trashed(id));
        // The one being made, or interrupted, is not listed before its manifest's second copy is written.
        found.retain(|id, listed| listed.metadata || Some(id) != pending.as_ref());
        let with_origin = |listed: Listed| Listed { origin: store.origin(&listed), ..listed };
        Ok(Catalogue(found.into_values().map(with_origin).collect()))
    }

    /// All of them, oldest first.
    pub fn all(&self) -> &[Listed] {
        &self.0
    }

    /// The newest that somebody asked for, of a workspace that cargo could load.
    pub fn latest(&self) -> Option<&Listed> {
        self.0.iter().rev().find(|l| l.may_be_latest())
    }

    /// The newest that was made while cargo could not load the workspace, if it is newer than [`Catalogue::latest`].
    pub fn passed_over(&self) -> Option<&Listed> {
        let newest = self.0.iter().rev().find(|l| !l.is_pre_rollback())?;
        (newest.origin == Origin::BrokenManifest).then_some(newest)
    }

    /// The one that is meant.
    ///
    /// # Errors
    /// Kind `NoRestorePoint` if there is none at all; `Usage` if the id names none or several.
    pub fn select(&self, selector: &Selector) -> Result<&Listed> {
        let none = |text: String| Error::new(ErrorKind::NoRestorePoint, text);
        if self.0.is_empty() {
            return Err(none("the store holds no restore point".into()).with_help("make one: `backup`"));
        }
        let prefix = match selector {
            Selector::Latest => {
                return self.latest().ok_or_else(|| {
                    none("the store holds only restore points that `latest` passes over".into())
                        .with_help("name one by its id: see `list`")
                });
            }
            Selector::Prefix(prefix) => prefix,
        };
        let fits =
            |l: &&Listed| l.id.as_str().starts_with(prefix.as_str()) || l.backup_id().starts_with(prefix);
        let matching: Vec<&Listed> = self.0.iter().filter(fits).collect();
        match matching.as_slice() {
            // A variable that a script forgot to set.
            _ if prefix.is_empty() => Err(Error::new(ErrorKind::Usage, "an empty id names no restore point")),
            [one] => Ok(one),
            [] => {
                // The nearest: what begins alike, the newest first.
                let alike = |l: &Listed| {
                    let begins =
                        |name: &str| name.bytes().zip(prefix.bytes()).take_while(|(a, b)| a == b).count();
                    begins(l.id.as_str()).max(begins(&l.backup_id()))
                };
                let mut nearest: Vec<&Listed> = self.0.iter().rev().collect();
                order::sort_by(&mut nearest, |a, b| alike(b).cmp(&alike(a)));
                let nearest: Vec<_> = nearest.iter().take(3).map(|l| l.id.to_string()).collect();
                let text = format!("no restore point `{}`", show_text(prefix));
                Err(Error::new(ErrorKind::Usage, text)
                    .with_help(format!("the nearest are {}; `list` shows all", nearest.join(", "))))
            }
            several => match several.iter().find(|l| l.id.as_str() == prefix || l.backup_id() == *prefix) {
                Some(exact) => Ok(exact),
                None => Err(Error::new(
                    ErrorKind::Usage,
                    format!("`{}` names {} restore points", show_text(prefix), several.len()),
                )
                .with_details(several.iter().map(|l| l.backup_id()))
                .with_help("give more of the id")),
            },
        }
    }
}

impl Store {
    /// The restore points.
    ///
    /// # Errors
    /// Kind `Io` where the store cannot be read.
    pub fn catalogue(&self) -> Result<Catalogue> {
        Catalogue::read(self)
    }

    /// The manifest of a restore point, from whichever copy proves itself: it parses, its root hash is right, and
    /// the checksum list agrees where there is one.
    ///
    /// # Errors
    /// Kind `Damaged` where neither copy is sound.
    pub fn manifest(&self, listed: &Listed) -> Result<Manifest> {
        sound_manifest(self, listed)
    }
}

fn names_in(dir: &Path) -> Result<Vec<String>> {
    match std::fs::read_dir(dir) {
        Ok(entries) => Ok(entries.flatten().filter_map(|e| e.file_name().into_string().ok()).collect()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(Error::io("read directory", dir, e)),
    }
}

fn split_backup_id(text: &str) -> Option<(Label, Id)> {
    let (label, id) = text.rsplit_once("_backup_")?;
    let safe = Label::from_text(label);
    Some((safe, id.parse().ok()?)).filter(|(l, _)| l.as_str() == label)
}

/// The label in a session's manifest whose second copy was lost.
fn label_in(path: &Path) -> Label {
    #[derive(serde::Deserialize)]
    struct Only {
        label: Label,
    }
    let read =
        crate::fsx::read_plain(path).ok().and_then(|bytes| serde_json::from_slice::<Only>(&bytes).ok());
    read.map_or_else(|| Label::from_text("unknown"), |o| o.label)
}

/// See [`Store::manifest`].
fn sound_manifest(store: &Store, listed: &Listed) -> Result<Manifest> {
    let layout = store.layout();
    let expected = crate::fsx::read_plain(layout.checksums(&listed.label, &listed.id))
        .ok()
        .and_then(|bytes| parse_checksum_list(&bytes).ok())
        .and_then(|list| list.get(MANIFEST_FILE.as_bytes()).copied());
    let mut sound: Vec<(Manifest, bool)> = Vec::new();
    let mut faults = Vec::new();
    for path in [layout.session_manifest(&listed.id), layout.metadata(&listed.label, &listed.id)] {
        match read_manifest(&path, listed) {
            Ok((manifest, digest)) => sound.push((manifest, Some(digest) == expected)),
            Err(fault) => faults.push(format!("{}: {fault}", show_path(&path))),
        }
    }
    let damaged = |text: &str, faults: Vec<String>| {
        Error::new(ErrorKind::Damaged, format!("the manifest of {} {text}", listed.backup_id()))
            .with_details(faults)
            .with_help(
                "where its archive is whole, `recover` rebuilds it from there; other restore points: `list`",
            )
    };
    match sound.len() {
        0 => Err(damaged("is damaged in both copies", faults)),
        1 => Ok(sound.remove(0).0),
        _ if sound[0].0 == sound[1].0 || sound[0].1 => Ok(sound.remove(0).0),
        _ if sound[1].1 => Ok(sound.remove(1).0),
        _ => Err(damaged("differs between its two copies, and nothing says which is right", faults)),
    }
}

/// Reads and judges one copy of a manifest. The error is a sentence's end: "does not parse: …".
pub(crate) fn read_manifest(path: &Path, listed: &Listed) -> Result<(Manifest, Digest), String> {
    let bytes = crate::fsx::read_plain(path).during("read", path).map_err(|e| match e.io_error() {
        Some(io) if io.kind() == io::ErrorKind::NotFound => "is missing".to_owned(),
        Some(io) => format!("cannot be read: {io}"),
        None => e.to_string(),
    })?;
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|e| format!("does not parse: {e}"))?;
    match manifest::fault(&manifest, &listed.id) {
        Some(fault) => Err(fault),
        None => Ok((manifest, Digest::of(&bytes))),
    }
}
