//! The file `guard`: what the build's guard reads of the store, so that a build script needs no reader of manifests,
//! status files and lockfiles. It says nothing that the store does not say elsewhere, and is written anew whenever
//! that changes. Without it the guard only warns.

use std::path::Path;

use serde::Deserialize;

use super::{Listed, Store, StoreLock, unescape_root};
use crate::clock::parse_rfc3339;
use crate::error::{IoContext, Result};
use crate::guard_file::{FORMAT, GuardFile, HEAD, Held, Point};
use crate::level::DrillLevel;
use crate::manifest::{Package, Place, Root, stored_path};
use crate::path::relative;

/// What is read of a manifest for it.
#[derive(Deserialize)]
struct Facts {
    created: String,
    roots: Vec<Root>,
    packages: Vec<Package>,
    scope: Left,
    #[serde(default)]
    xtask: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Left {
    ignored: Vec<Place>,
    foreign_packages: Vec<Place>,
}

impl Facts {
    /// From whichever copy can be read. This judges nothing: `validate` does.
    fn read(store: &Store, listed: &Listed) -> Option<Self> {
        let layout = store.layout();
        let copies = [layout.metadata(&listed.label, &listed.id), layout.session_manifest(&listed.id)];
        copies.iter().find_map(|path| serde_json::from_slice(&crate::fsx::read_plain(path).ok()?).ok())
    }

    /// The packages whose directory has a text; Cargo has no others.
    fn held(&self) -> Vec<Held> {
        self.packages.iter().filter_map(|package| self.held_package(package)).collect()
    }

    fn held_package(&self, package: &Package) -> Option<Held> {
        let root = self.roots.iter().find(|root| root.name == package.root)?;
        let base = unescape_root(&root.path).ok()?;
        let stored =
            if root.name.is_workspace() { "files".to_owned() } else { format!("outside/{}", root.name) };
        let (directory, files) = match &package.directory {
            Some(path) => (base.join(path.as_path()), stored_path(&root.name, path).as_path().to_path_buf()),
            None => (base, stored.into()),
        };
        let left_out = self.scope.ignored.iter().chain(&self.scope.foreign_packages).filter_map(|place| {
            let path = place.path.as_ref().filter(|_| place.root == package.root)?.as_path();
            let below =
                package.directory.as_ref().map_or(Some(path), |dir| path.strip_prefix(dir.as_path()).ok())?;
            below.to_str().filter(|text| !text.is_empty()).map(str::to_owned)
        });
        Some(Held { directory: text(&directory)?, files: text(&files)?, left_out: left_out.collect() })
    }
}

/// The text of a path, without the `.` that stands for a root itself before more.
fn text(path: &Path) -> Option<String> {
    path.strip_prefix(".")
        .ok()
        .filter(|rest| !rest.as_os_str().is_empty())
        .unwrap_or(path)
        .to_str()
        .map(str::to_owned)
}

impl Store {
    /// What the file is to say. `None` where no restore point says what the xtask is built from, as an older
    /// version's do not: without that the guard must refuse nothing.
    fn guard_file(&self) -> Result<Option<GuardFile>> {
        let catalogue = self.catalogue()?;
        let points = catalogue.all().iter().rev().filter(|listed| listed.may_be_latest());
        let mut facts = points.map(|listed| (listed, Facts::read(self, listed)));
        let newest = facts.next();
        let xtask = newest.iter().find_map(|(_, facts)| facts.as_ref()?.xtask.clone());
        let Some(xtask) = xtask.or_else(|| facts.find_map(|(_, facts)| facts?.xtask)) else {
            return Ok(None);
        };
        let dir = self.layout().dir();
        // Cargo has no workspace whose directory is not text.
        let ways = (text(&relative(dir, self.root())), text(&relative(self.root(), dir)));
        let (Some(root), Some(store)) = ways else { return Ok(None) };
        let point = newest.as_ref().map(|(listed, facts)| {
            let status = self.status(listed);
            let created = facts.as_ref().and_then(|facts| parse_rfc3339(&facts.created));
            Point {
                backup_id: listed.backup_id(),
                made: seconds(created.unwrap_or_else(|| listed.id.instant())),
                validated: status.validated.map(|validated| (validated.passed, seconds(validated.at))),
                drilled: status.drilled.map(|drilled| (drilled.level, seconds(drilled.at))),
            }
        });
        Ok(Some(GuardFile {
            root,
            store,
            point,
            packages: newest.and_then(|(_, facts)| facts).map(|facts| facts.held()).unwrap_or_default(),
            xtask: xtask.iter().filter_map(|way| text(&unescape_root(way).ok()?)).collect(),
        }))
    }
}

impl StoreLock<'_> {
    /// Writes the file anew if what it says has changed. To be called by whatever changes the newest restore point
    /// or its status.
    ///
    /// # Errors
    /// Kind `Io`.
    pub(crate) fn update_guard(&self) -> Result<()> {
        let (store, fs) = (self.store(), self.store().fs());
        let Some(file) = store.guard_file()? else { return Ok(()) };
        let (path, text) = (store.layout().guard(), to_text(&file));
        if crate::fsx::read_plain(&path).is_ok_and(|old| old == text.as_bytes()) {
            return Ok(());
        }
        fs.replace_file(&path, text.as_bytes(), 0o600).during("write", &path)
    }
}

fn seconds(at: std::time::SystemTime) -> u64 {
    at.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The file's text; [`GuardFile::parse`] reads it.
fn to_text(file: &GuardFile) -> String {
    let mut lines = vec![format!("{HEAD}{FORMAT}")];
    let mut line =
        |words: &[&str]| lines.push(words.iter().map(|word| escape(word)).collect::<Vec<_>>().join(" "));
    line(&["root", &file.root]);
    line(&["store", &file.store]);
    if let Some(point) = &file.point {
        line(&["point", &point.backup_id, &point.made.to_string()]);
        if let Some((passed, at)) = point.validated {
            line(&["validated", if passed { "passed" } else { "failed" }, &at.to_string()]);
        }
        if let Some((level, at)) = point.drilled {
            line(&["drilled", level.map_or("none", DrillLevel::name), &at.to_string()]);
        }
    }
    for package in &file.packages {
        line(&["package", &package.directory, &package.files]);
        package.left_out.iter().for_each(|path| line(&["left-out", path]));
    }
    file.xtask.iter().for_each(|directory| line(&["xtask", directory]));
    lines.join("\n") + "\nend\n"
}

fn escape(word: &str) -> String {
    let plain = |c: char| !(c.is_ascii_whitespace() || c.is_ascii_control() || c == '\\');
    word.chars().map(|c| if plain(c) { c.to_string() } else { format!("\\x{:02x}", u32::from(c)) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard_file::Unreadable;

    #[test]
    fn what_is_written_is_read_whatever_the_names_and_a_torn_file_is_not() {
        let odd = "a b\\x20\n\u{7f}ü/c\t";
        let held = Held { directory: odd.into(), files: format!("files/{odd}"), left_out: vec![odd.into()] };
        let point = Point {
            backup_id: "demo_backup_20261123_054000".into(),
            made: 1_795_412_400,
            validated: Some((false, 1)),
            drilled: Some((Some(DrillLevel::Compiles), 2)),
        };
        let whole = GuardFile {
            root: "..".into(),
            store: odd.into(),
            point: Some(point.clone()),
            packages: vec![held, Held { directory: ".".into(), files: "files".into(), left_out: vec![] }],
            xtask: vec!["xtask".into(), odd.into()],
        };
        let text = to_text(&whole);
        assert_eq!(GuardFile::parse(&text), Ok(whole.clone()));
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
            assert_eq!(GuardFile::parse(&text[..end]), Err(Unreadable::Damaged), "{end}");
        }
        let later = text.replace("xtask ", "later words\nxtask ");
        assert_eq!(GuardFile::parse(&later), Ok(whole.clone()), "lines of a later version are passed over");
        let failed = Point { validated: None, drilled: Some((None, 3)), ..point };
        for point in [None, Some(failed)] {
            let file = GuardFile { point, ..whole.clone() };
            assert_eq!(GuardFile::parse(&to_text(&file)), Ok(file));
        }
        let other = text.replace("backstop-guard 1", "backstop-guard 2");
        assert_eq!(GuardFile::parse(&other), Err(Unreadable::Later));
    }
}
