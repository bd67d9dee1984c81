//! What the guard reads of a store: whether a rollback is under way, the newest restore point, and what it holds of
//! the package.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{ignore, sha256};
use crate::level::DrillLevel;

/// Whether a rollback was begun and has not ended. Its journal says so and nothing else: before that stands in its
/// place nothing was moved, and it goes when all is done. `state` is written beside it, to be watched.
pub(super) fn is_cut_off(store: &Path) -> bool {
    store.join("rollback/journal").exists()
}

/// A restore point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Point {
    /// `LABEL_backup_TS`.
    pub(super) backup_id: String,
    id: String,
}

/// The newest restore point that no rollback made, and that is still there.
pub(super) fn newest(store: &Path) -> Option<Point> {
    let names = fs::read_dir(store.join("metadata")).ok()?.flatten();
    let points = names.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let backup_id = name.strip_suffix(".json")?;
        let (label, id) = backup_id.rsplit_once("_backup_")?;
        instant(id)?;
        let there = store.join(format!("session_{id}")).is_dir()
            || store.join(format!("archives/{backup_id}.tar.gz")).is_file();
        let point = Point { backup_id: backup_id.to_owned(), id: id.to_owned() };
        (label != "pre_rollback" && there).then_some(point)
    });
    points.max_by(|a, b| a.id.cmp(&b.id))
}

/// What the status file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Status {
    /// Whether the last validation passed.
    pub(super) validated: Option<bool>,
    /// How far the last drill came; inner `None` where it failed at the first level.
    pub(super) drilled: Option<Option<DrillLevel>>,
}

impl Point {
    /// When it was made.
    pub(super) fn made(&self) -> SystemTime {
        instant(&self.id).unwrap_or(UNIX_EPOCH)
    }

    pub(super) fn metadata(&self, store: &Path) -> PathBuf {
        store.join("metadata").join(format!("{}.json", self.backup_id))
    }

    pub(super) fn status(&self, store: &Path) -> Status {
        let file = store.join("metadata").join(format!("{}.status", self.backup_id));
        status(&String::from_utf8_lossy(&fs::read(file).unwrap_or_default()))
    }

    /// What of the package is not in the restore point as it is now, one short text a path. An error says why that
    /// cannot be told.
    pub(super) fn uncovered(
        &self,
        store: &Path,
        root: &Path,
        package: &Path,
        files: &[PathBuf],
    ) -> Result<Vec<String>, String> {
        let bytes = fs::read(store.join("rollback").join(format!("{}.conf", self.backup_id)))
            .map_err(|e| format!("its .conf cannot be read ({e})"))?;
        let conf = Conf::parse(&bytes).ok_or("its .conf is damaged or of another version")?;
        // The root that the package lies in: the innermost, for a path dependency may lie in the workspace.
        let (name, base) = conf
            .roots
            .iter()
            .map(|(name, way)| {
                (
                    *name,
                    if name.is_empty() { root.to_path_buf() } else { super::place::clean(&root.join(way)) },
                )
            })
            .filter(|(_, base)| package.starts_with(base))
            .max_by_key(|(_, base)| base.components().count())
            .ok_or("it does not hold this package")?;
        let relative = |path: &Path| path.strip_prefix(&base).ok().map(to_text);
        let directory = relative(package).unwrap_or_default();
        if !conf.packages.contains(&(name, directory.as_str())) {
            return Err("it does not hold this package".to_owned());
        }
        // What lies in a package below this one is that one's.
        let others: Vec<&str> = conf
            .packages
            .iter()
            .chain(&conf.foreign)
            .filter(|(root, other)| *root == name && *other != directory && is_below(other, &directory))
            .map(|(_, other)| *other)
            .collect();
        // A directory with a manifest of its own is no part of the package to Cargo, and not watched.
        let nested =
            conf.entries.iter().filter(|e| e.root == name).filter_map(|e| e.path.strip_suffix("/Cargo.toml"));
        let nested = nested.filter(|dir| *dir != directory && is_below(dir, &directory));
        let others: Vec<&str> = others.into_iter().chain(nested).collect();
        let own = |path: &str| {
            is_below(path, &directory) && !others.iter().any(|other| path == *other || is_below(path, other))
        };
        let session = store.join(format!("session_{}", self.id)).join(match name {
            "" => "files".to_owned(),
            name => format!("outside/{name}"),
        });
        let mut known = BTreeSet::new();
        let mut out = Vec::new();
        for entry in conf.entries.iter().filter(|e| e.root == name && own(e.path)) {
            known.insert(entry.path);
            if let Some(what) = entry.differs(&base.join(entry.path), &session.join(entry.path), self.made())
            {
                out.push(format!("{} {what}", shown(entry.path, &directory)));
            }
        }
        let left_out = |path: &str| {
            conf.ignored.iter().any(|(root, one)| *root == name && (path == *one || is_below(path, one)))
                || conf.excluded.iter().any(|one| one.matches(name, path))
        };
        // What has no name in UTF-8 stands in no field that is read here: it cannot be told whether it is new.
        for path in files.iter().filter(|file| file.to_str().is_some()).filter_map(|file| relative(file)) {
            if own(&path) && !known.contains(path.as_str()) && !left_out(&path) {
                out.push(format!("{} is new", shown(&path, &directory)));
            }
        }
        Ok(out)
    }
}

fn to_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn shown<'a>(path: &'a str, directory: &str) -> &'a str {
    path.strip_prefix(directory).map_or(path, |rest| rest.trim_start_matches('/'))
}

fn is_below(path: &str, directory: &str) -> bool {
    directory.is_empty() || path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

/// The instant of an id, `YYYYMMDD_HHMMSS` in UTC.
fn instant(id: &str) -> Option<SystemTime> {
    let (date, time) = id.split_once('_').filter(|(d, t)| d.len() == 8 && t.len() == 6)?;
    if !id.bytes().all(|b| b.is_ascii_digit() || b == b'_') {
        return None;
    }
    let number = |text: &str| text.parse::<u64>().ok();
    let (year, month, day) = (number(&date[..4])?, number(&date[4..6])?, number(&date[6..])?);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days since 1970 in years that begin in March, so that a leap day is a year's last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = y * 365 + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    let seconds = number(&time[..2])? * 3600 + number(&time[2..4])? * 60 + number(&time[4..])?;
    Some(UNIX_EPOCH + Duration::from_secs(days * 86400 + seconds))
}

fn status(text: &str) -> Status {
    let mut status = Status::default();
    for line in text.lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["validated", _, verdict] => status.validated = Some(verdict == "passed"),
            ["drilled", _, level] => status.drilled = Some(level.parse().ok()),
            _ => {}
        }
    }
    status
}

/// What is used of a `.conf`.
#[derive(Debug, Default)]
struct Conf<'a> {
    roots: Vec<(&'a str, &'a str)>,
    entries: Vec<Entry<'a>>,
    ignored: Vec<(&'a str, &'a str)>,
    foreign: Vec<(&'a str, &'a str)>,
    excluded: Vec<Excluded<'a>>,
    packages: Vec<(&'a str, &'a str)>,
}

#[derive(Debug)]
struct Excluded<'a> {
    root: &'a str,
    base: &'a str,
    glob: &'a str,
}

impl Excluded<'_> {
    /// A pattern that matches a directory stands for all that is in it.
    fn matches(&self, root: &str, path: &str) -> bool {
        if self.root != root || !is_below(path, self.base) {
            return false;
        }
        let rest = shown(path, self.base);
        let ends = rest.match_indices('/').map(|(i, _)| i).chain([rest.len()]);
        ends.into_iter().any(|end| ignore::matches(self.glob.trim_end_matches('/'), &rest[..end]))
    }
}

#[derive(Debug)]
struct Entry<'a> {
    root: &'a str,
    path: &'a str,
    kind: &'a str,
    mode: &'a str,
    size: &'a str,
    content: &'a str,
    mtime: &'a str,
}

impl Entry<'_> {
    /// Size and times tell that nobody wrote to it since the restore point was `made`. Else the bytes are compared with
    /// those that it keeps; where it keeps none, as where only the archive is left, with the digest.
    fn differs(&self, now: &Path, stored: &Path, made: SystemTime) -> Option<&'static str> {
        let Ok(meta) = now.symlink_metadata() else { return Some("is gone") };
        match self.kind {
            "file" if meta.is_file() => {
                if meta.len().to_string() != self.size {
                    return Some("changed");
                }
                if mode(&meta).is_some_and(|mode| mode != self.mode) {
                    return Some("has another mode");
                }
                let same = (mtime(&meta).is_some_and(|mtime| mtime == self.mtime) && is_older(&meta, made))
                    || fs::read(now).is_ok_and(|now| {
                        fs::read(stored).is_ok_and(|kept| kept == now) || sha256::hex(&now) == self.content
                    });
                (!same).then_some("changed")
            }
            "symlink" if meta.is_symlink() => {
                (fs::read_link(now).is_ok_and(|to| to_text(&to) != self.content)).then_some("changed")
            }
            "directory" if meta.is_dir() => None,
            _ => Some("is another kind of file"),
        }
    }
}

#[cfg(unix)]
fn mode(meta: &fs::Metadata) -> Option<String> {
    Some(format!("{:04o}", std::os::unix::fs::MetadataExt::mode(meta) & 0o7777))
}

#[cfg(unix)]
fn mtime(meta: &fs::Metadata) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    Some(format!("{}.{:09}", meta.mtime(), meta.mtime_nsec()))
}

/// Whether the inode last changed before the restore point was made: that time nobody can set. Its own time is in
/// whole seconds, and clocks have a grain.
#[cfg(unix)]
fn is_older(meta: &fs::Metadata, made: SystemTime) -> bool {
    let changed = u64::try_from(std::os::unix::fs::MetadataExt::ctime(meta)).unwrap_or(u64::MAX);
    made.duration_since(UNIX_EPOCH).is_ok_and(|made| changed.saturating_add(2) < made.as_secs())
}

#[cfg(not(unix))]
fn is_older(_: &fs::Metadata, _: SystemTime) -> bool {
    false
}

#[cfg(not(unix))]
fn mode(_: &fs::Metadata) -> Option<String> {
    None
}

#[cfg(not(unix))]
fn mtime(_: &fs::Metadata) -> Option<String> {
    None
}

impl<'a> Conf<'a> {
    /// `None` where it is cut off or of another version. A path that is not UTF-8 is left out: what stands there
    /// counts as new. The seal is not recomputed: what a flipped bit hides here, `validate` finds.
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut fields = bytes.split(|b| *b == 0).map(|field| std::str::from_utf8(field).unwrap_or("\0"));
        let mut next = || fields.next();
        (next()? == "backstop-conf" && next()? == "1").then_some(())?;
        for _ in 0..4 {
            next()?;
        }
        let mut conf = Conf::default();
        let list = |name: &str, next: &mut dyn FnMut() -> Option<&'a str>| -> Option<usize> {
            (next()? == name).then_some(())?;
            next()?.parse().ok()
        };
        for _ in 0..list("roots", &mut next)? {
            conf.roots.push((next()?, next()?));
        }
        for _ in 0..list("entries", &mut next)? {
            let (root, path, kind, mode) = (next()?, next()?, next()?, next()?);
            conf.entries.push(Entry {
                root,
                path,
                kind,
                mode,
                size: next()?,
                content: next()?,
                mtime: next()?,
            });
        }
        (next()? == "scope").then_some(())?;
        next()?;
        next()?;
        for _ in 0..list("directories", &mut next)? {
            next()?;
            next()?;
        }
        for _ in 0..list("ignored", &mut next)? {
            conf.ignored.push((next()?, next()?));
        }
        for _ in 0..list("foreign-packages", &mut next)? {
            conf.foreign.push((next()?, next()?));
        }
        for name in ["unprotected-directories", "root-entries"] {
            for _ in 0..list(name, &mut next)? {
                next()?;
            }
        }
        for _ in 0..list("excluded", &mut next)? {
            conf.excluded.push(Excluded { root: next()?, base: next()?, glob: next()? });
        }
        for _ in 0..list("packages", &mut next)? {
            conf.packages.push((next()?, next()?));
            for _ in 0..next()?.parse::<usize>().ok()? {
                next()?;
            }
        }
        (next()? == "end").then_some(conf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_an_instant() {
        let seconds = |id: &str| instant(id).map(|t| t.duration_since(UNIX_EPOCH).unwrap().as_secs());
        assert_eq!(seconds("19700101_000000"), Some(0));
        assert_eq!(seconds("20240229_235959"), Some(1_709_251_199));
        assert_eq!(seconds("20261123_054000"), Some(1_795_412_400));
        for bad in ["20261123", "2026112a_054000", "20261323_054000", "20261123_0540", ""] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_status_is_read_line_by_line() {
        let text = "backstop-status 1\npinned - x\nvalidated 2026-11-23T05:40:00Z passed\n\
            drilled 2026-11-23T05:40:00Z compiles\nlater 1\n";
        assert_eq!(status(text), Status { validated: Some(true), drilled: Some(Some(DrillLevel::Compiles)) });
        assert_eq!(status("drilled - none").drilled, Some(None));
        assert_eq!(status(""), Status::default());
    }
}
