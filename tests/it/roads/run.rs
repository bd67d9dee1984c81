//! Runs rows: each road from the same state, then what it left against the row, and against the executable.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use backstop::rollback::{Journal, read_journal};

use super::road::{NOBODY, Road, install};
use super::row::{DROPPED, Row, Tree};
use crate::cli::Run;
use crate::support::edit::is_root;
use crate::support::temp::remove_tree;
use crate::support::tree::{Node, What, copy_tree};
use crate::support::{Picture, TempDir, World};

/// What one road left of one row.
struct Seen {
    runs: Vec<Run>,
    tree: Picture,
    /// Files whose time is that of the run.
    fresh: Vec<PathBuf>,
    displaced: Picture,
    journal: Option<Journal>,
    report: Option<serde_json::Value>,
    complaints: Vec<String>,
    /// It refused where it may.
    refused: bool,
}

/// Runs every row through every road, and fails with everything that is wrong. `BACKSTOP_TEST_ROW` picks rows by a
/// part of their name.
#[track_caller]
pub(super) fn run_rows(rows: Vec<Row>) {
    let wanted = std::env::var("BACKSTOP_TEST_ROW").unwrap_or_default();
    let mut wrong = Vec::new();
    let (mut rows_run, mut runs) = (0, 0);
    for row in rows.iter().filter(|row| row.name.contains(&wanted)) {
        let seen = run_row(row);
        rows_run += 1;
        runs += seen.len();
        let mut complaints = Vec::new();
        for (road, seen) in &seen {
            complaints.extend(seen.complaints.iter().map(|text| format!("{road:?}: {text}")));
        }
        if let Some(((_, first), others)) = seen.split_first() {
            for (road, other) in others.iter().filter(|(_, other)| !other.refused) {
                complaints.extend(
                    compare(first, other, *road, row)
                        .into_iter()
                        .map(|text| format!("{road:?} and the executable: {text}")),
                );
            }
        }
        if !complaints.is_empty() {
            let said: String = seen.iter().map(|(road, seen)| transcript(*road, seen)).collect();
            wrong.push(format!("ROW {}\n- {}\n{said}", row.name, complaints.join("\n- ")));
        }
    }
    eprintln!("{rows_run} rows, {runs} runs");
    assert!(wrong.is_empty(), "{} of {rows_run} rows:\n\n{}", wrong.len(), wrong.join("\n\n"));
}

fn transcript(road: Road, seen: &Seen) -> String {
    seen.runs
        .iter()
        .map(|r| format!("  {road:?} ended {:?}\n--- out\n{}--- err\n{}", r.code, r.out, r.err))
        .collect()
}

/// The workspace and the store as they are before each road begins.
pub(super) struct Ground {
    pub(super) world: World,
    _other: Option<TempDir>,
    /// What is put back, and from where.
    parts: Vec<(PathBuf, PathBuf)>,
    pub(super) good: Picture,
}

impl Ground {
    /// Builds a workspace, and a restore point of it. `None`, said aloud, where the row cannot be tested here.
    pub(super) fn new(row: &Row) -> Option<Self> {
        let (other, temp) = match (row.apart, TempDir::apart()) {
            (false, _) => (None, TempDir::new()),
            (true, Some((other, temp))) => (Some(other), temp),
            (true, None) => {
                eprintln!("skipped: {}: there is only one file system to write to", row.name);
                return None;
            }
        };
        let mut world = World::on(temp, row.fixture);
        let mut live = vec![world.temp.path().join("place")];
        if let Some(store) = row.store {
            world.dir = world.temp.path().join(store);
            live.push(world.dir.clone());
        }
        if let Some(other) = &other {
            world.dir = other.path().join("points");
            live.push(world.dir.clone());
        }
        (row.furnish)(&world);
        if world.listed_or_none() == 0 {
            world.backup();
        }
        let good = world.picture();
        if row.bound {
            own(world.temp.path());
        }
        let good = if row.bound { world.picture() } else { good };
        let saved = |i: usize| world.temp.path().join(format!("saved-{i}"));
        let parts: Vec<_> = live.into_iter().enumerate().map(|(i, live)| (live, saved(i))).collect();
        parts.iter().for_each(|(live, saved)| copy_tree(live, saved));
        Some(Ground { world, _other: other, parts, good })
    }

    /// Puts everything back to the restore point's making.
    pub(super) fn load(&self) {
        for (live, saved) in &self.parts {
            remove_tree(live);
            copy_tree(saved, live);
        }
    }
}

impl World {
    fn listed_or_none(&self) -> usize {
        if self.dir.exists() { self.listed().len() } else { 0 }
    }
}

/// Gives everything to somebody whom permission bits bind, where the process may.
pub(super) fn own(path: &Path) {
    if is_root() {
        std::os::unix::fs::lchown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        let meta = path.symlink_metadata().unwrap();
        if meta.is_dir() {
            fs::read_dir(path).unwrap().for_each(|e| own(&e.unwrap().path()));
        }
    }
}

fn run_row(row: &Row) -> Vec<(Road, Seen)> {
    let Some(ground) = Ground::new(row) else { return Vec::new() };
    let roads = Road::here().iter().filter(|road| {
        let able = !row.bound || !is_root() || road.runs_for(NOBODY);
        if !able {
            eprintln!("skipped: {}: nobody but root can run {road:?}", row.name);
        }
        able && !row.without.contains(road)
    });
    roads
        .map(|road| {
            ground.load();
            (*road, run_road(*road, row, &ground))
        })
        .collect()
}

fn run_road(road: Road, row: &Row, ground: &Ground) -> Seen {
    let world = &ground.world;
    install(&world.dir, crate::cli::executable());
    (row.edit)(world);
    if row.bound {
        own(world.temp.path());
        own(&world.dir);
    }
    let place = |path: &Path| match row.moved {
        Some(to) => world.temp.path().join(to).join(path.strip_prefix(&world.root).unwrap_or(path)),
        None => path.to_path_buf(),
    };
    let (root, dir) = (place(&world.root), place(&world.dir));
    if let Some(to) = row.moved {
        let to = world.temp.path().join(to);
        remove_tree(&to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::rename(&world.root, &to).unwrap();
    }
    let start = Picture::with_times(&root, &[&dir]);
    let git = git_picture(&root);
    let points = points(&dir);
    let begun = SystemTime::now();
    let mut commands = Vec::new();
    let runs: Vec<Run> = row
        .runs
        .iter()
        .map(|(args, _)| {
            let cli = (row.start)(road.start(&dir).at(&root), world).args(*args);
            commands.push(cli.words());
            let bound = row.bound && is_root();
            cli.with(|c| {
                if bound {
                    c.uid(NOBODY).gid(NOBODY);
                }
            })
            .run()
        })
        .collect();
    let now = Picture::with_times(&root, &[&dir]);
    let mut seen = Seen {
        runs,
        tree: timeless(&now),
        fresh: Vec::new(),
        displaced: displaced(&dir),
        journal: None,
        report: None,
        complaints: Vec::new(),
        refused: false,
    };
    let words: Vec<String> = commands
        .iter()
        .flatten()
        .map(|w| w.to_string_lossy().split('=').next().unwrap().to_owned())
        .collect();
    let dropped = !road.has_all_flags() && words.iter().any(|word| DROPPED.contains(&word.as_str()));
    let instead = row.instead.filter(|(roads, _)| roads.contains(&road)).map(|(_, code)| code);
    let instead = if dropped { Some(2) } else { instead };
    let may = row.may_refuse.contains(&road) && seen.runs.iter().all(|run| run.code == Some(3));
    seen.refused = instead.is_some() || may;
    let mut own = row.clone();
    if let Some(code) = instead.or(may.then_some(3)) {
        own = Row { says: Vec::new(), ..own.refused(code) };
    }
    if !road.has_all_flags() {
        own.says.clear();
    }
    let left = if road == Road::Bash { row.left_by_bash } else { &[] };
    own.says.extend(left);
    let row = &own;
    seen.judge_runs(row);
    let expected = mixed(&expected(row.tree, &ground.good, &timeless(&start)), &timeless(&start), left);
    let diff = expected.diff(&seen.tree);
    if !diff.is_empty() {
        seen.complaints.push(format!("the tree differs (expected -> found):\n{diff}"));
    }
    seen.judge_times(&start, &now, begun);
    if git != git_picture(&root) {
        seen.complaints.push("something in .git changed".into());
    }
    let kept = self::points(&dir);
    let lost = points.diff(&Picture(kept.0.into_iter().filter(|(p, _)| points.0.contains_key(p)).collect()));
    if !lost.is_empty() {
        seen.complaints.push(format!("restore points changed:\n{lost}"));
    }
    seen.judge_store(road, row, &dir);
    if world.temp.path().join("escape").symlink_metadata().is_ok() {
        seen.complaints.push("it wrote outside of the workspace".into());
        remove_tree(&world.temp.path().join("escape"));
    }
    if let Some(to) = row.moved {
        remove_tree(&world.temp.path().join(to));
    }
    seen
}

impl Seen {
    fn judge_runs(&mut self, row: &Row) {
        for (run, (args, code)) in self.runs.iter().zip(&row.runs) {
            if run.code != Some(*code) {
                self.complaints.push(format!("{args:?} ended with {:?} and not with {code}", run.code));
            }
            // A terminal would obey what no file name may tell it.
            if run.out.chars().chain(run.err.chars()).any(|c| c.is_control() && c != '\n') {
                self.complaints.push(format!("{args:?} prints control characters"));
            }
        }
        let Some(last) = self.runs.last() else { return };
        let all = unbroken(&format!("{}\n{}", last.out, last.err));
        for text in row.says.iter().filter(|text| !all.contains(*text)) {
            self.complaints.push(format!("it does not say {text:?}"));
        }
    }

    /// What was written has the present as its time, what was not has kept its own.
    fn judge_times(&mut self, start: &Picture, now: &Picture, begun: SystemTime) {
        let seconds =
            |t: SystemTime| t.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs() as i64;
        // The clock of a file system may be a tick behind.
        let (from, to) = (seconds(begun - Duration::from_secs(1)), seconds(SystemTime::now()) + 1);
        for (path, node) in now.0.iter().filter(|(_, n)| matches!(n.what, What::File(_))) {
            let before = start.0.get(path);
            if before.is_some_and(|b| b.what == node.what && b.mtime == node.mtime) {
                continue;
            }
            if node.mtime.is_none_or(|(s, _)| s < from || s > to) {
                self.complaints.push(format!("{} has a time that is not the present", path.display()));
            }
            self.fresh.push(path.clone());
        }
    }

    fn judge_store(&mut self, road: Road, row: &Row, dir: &Path) {
        let rollback = dir.join("rollback");
        let names = |d: &Path| -> Vec<String> {
            let entries = fs::read_dir(d).into_iter().flatten().flatten();
            entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect()
        };
        let state = fs::read_to_string(dir.join("state")).unwrap_or_default();
        let cut_off = names(&rollback).iter().any(|n| n == "journal");
        if cut_off != row.cut_off {
            self.complaints.push(format!("a rollback is interrupted: {cut_off}"));
        }
        if !cut_off && !row.cut_off {
            if state != "idle\n" {
                self.complaints.push(format!("state says {state:?}"));
            }
            for left in names(&rollback).iter().filter(|n| n.starts_with("stage_") || n.starts_with('.')) {
                self.complaints.push(format!("rollback/{left} was left behind"));
            }
        }
        let mut closed: Vec<String> = names(&rollback)
            .iter()
            .filter_map(|n| Some(n.strip_prefix("rollback_")?.strip_suffix(".journal")?.to_owned()))
            .collect();
        closed.sort();
        if row.journal_lost {
            return;
        }
        let Some(id) = closed.last() else { return };
        match read_journal(&rollback.join(format!("rollback_{id}.journal"))) {
            Ok((journal, true)) => self.journal = Some(journal),
            Ok((_, false)) => self.complaints.push("its closed journal was not committed".into()),
            Err(e) => self.complaints.push(e.to_string()),
        }
        if !road.has_all_flags() {
            return;
        }
        match fs::read(rollback.join(format!("rollback_{id}.json"))).map(|b| serde_json::from_slice(&b)) {
            Ok(Ok(report)) => self.report = Some(report),
            other => self.complaints.push(format!("its report: {other:?}")),
        }
        match fs::read_to_string(dir.join(format!("logs/rollback_{id}.log"))) {
            Ok(text) if text.ends_with('\n') && text.lines().all(is_log_line) => {}
            other => self.complaints.push(format!("its log: {other:?}")),
        }
    }
}

/// `2026-11-23T05:40:00.003Z text`, no control characters.
fn is_log_line(line: &str) -> bool {
    let begins = line.split_once(' ').is_some_and(|(instant, _)| {
        instant.ends_with('Z') && instant.as_bytes().get(10) == Some(&b'T') && instant.starts_with("20")
    });
    begins && !line.chars().any(char::is_control)
}

/// What one road did otherwise than the executable.
fn compare(first: &Seen, other: &Seen, road: Road, row: &Row) -> Vec<String> {
    let mut out = Vec::new();
    if !road.has_all_flags() {
        let less = road == Road::Bash && !row.left_by_bash.is_empty();
        return if less { out } else { compare_what_counts(first, other) };
    }
    let mut say = |what: &str, a: String, b: String| {
        if a != b {
            out.push(format!("{what} differ:\n    executable: {a}\n    other:      {b}"));
        }
    };
    let diff = first.tree.diff(&other.tree);
    say("the trees", String::new(), diff);
    say("the displaced", String::new(), first.displaced.diff(&other.displaced));
    say("the files with a new time", format!("{:?}", first.fresh), format!("{:?}", other.fresh));
    say("the journals", intent(first.journal.as_ref()), intent(other.journal.as_ref()));
    let keys = |seen: &Seen| match &seen.report {
        Some(serde_json::Value::Object(report)) => format!("{:?}", report.keys().collect::<Vec<_>>()),
        _ => "none".into(),
    };
    say("the reports' fields", keys(first), keys(other));
    for key in ["format", "purpose", "counts", "verified", "mismatches"] {
        let value = |seen: &Seen| format!("{:?}", seen.report.as_ref().and_then(|r| r.get(key)));
        say(&format!("the reports' {key}"), value(first), value(other));
    }
    if !row.own_words {
        for (a, b) in first.runs.iter().zip(&other.runs) {
            say("the reports' words", words(&a.out), words(&b.out));
            say("the errors' words", error(&a.err), error(&b.err));
        }
    }
    out
}

/// Of a script of few flags: it may touch more crate roots, and writes down directories that it opens for a while.
fn compare_what_counts(first: &Seen, other: &Seen) -> Vec<String> {
    let mut out = Vec::new();
    for (what, diff) in
        [("trees", first.tree.diff(&other.tree)), ("displaced", first.displaced.diff(&other.displaced))]
    {
        if !diff.is_empty() {
            out.push(format!("the {what} differ:\n{diff}"));
        }
    }
    for path in first.fresh.iter().filter(|path| !other.fresh.contains(path)) {
        out.push(format!("{} keeps its old time", path.display()));
    }
    let actions = |seen: &Seen| {
        let actions = seen.journal.iter().flat_map(|j| &j.actions).filter(|a| a.before != a.after);
        let mut actions: Vec<String> = actions.map(|a| format!("\n      {a:?}")).collect();
        actions.sort();
        actions.concat()
    };
    if actions(first) != actions(other) {
        out.push(format!(
            "the actions differ:\n    executable: {}\n    other:      {}",
            actions(first),
            actions(other)
        ));
    }
    out
}

/// What a journal intends, without the names of its own run.
fn intent(journal: Option<&Journal>) -> String {
    let Some(j) = journal else { return "none".into() };
    let actions: String = j.actions.iter().map(|a| format!("\n      {a:?}")).collect();
    mask(&format!("{:?} roots {:?} unlock {:?} touch {:?}{actions}", j.purpose, j.roots, j.unlock, j.touch))
}

/// A report without what differs from run to run, and without what only the executable knows: where git stood, what
/// the restore point's message was, and the restore point of the present.
fn words(out: &str) -> String {
    let lines = out.lines().filter(|line| {
        let line = line.trim_start();
        ![
            "Git  ",
            "git itself",
            "State before: ",
            "note: not in the restore point of the state before: ",
            "Undo this: ",
            "Resume: ",
        ]
        .iter()
        .any(|p| line.starts_with(p))
    });
    let lines = lines.map(|line| match line.split_once(" read back in ") {
        Some((front, _)) => format!("{front} read back"),
        None => line.to_owned(),
    });
    mask(&lines.collect::<Vec<_>>().join("\n"))
}

/// The error itself: without details and help.
fn error(err: &str) -> String {
    let mut lines = err.lines().skip_while(|line| !line.starts_with("error:"));
    let first = lines.next().unwrap_or_default();
    let rest = lines.take_while(|line| line.starts_with("       "));
    mask(&unbroken(&std::iter::once(first).chain(rest).collect::<Vec<_>>().join(" ")))
}

fn unbroken(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Every id becomes `TS`.
fn mask(text: &str) -> String {
    let bytes = text.as_bytes();
    let is_id = |at: usize| {
        bytes.get(at..at + 15).is_some_and(|id| {
            id.iter().enumerate().all(|(i, b)| if i == 8 { *b == b'_' } else { b.is_ascii_digit() })
        })
    };
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        if is_id(at) {
            out.extend_from_slice(b"TS");
            at += 15;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn timeless(picture: &Picture) -> Picture {
    Picture(picture.0.iter().map(|(p, n)| (p.clone(), Node { mtime: None, ..n.clone() })).collect())
}

fn git_picture(root: &Path) -> Picture {
    let dir = root.join(".git");
    if dir.is_dir() { Picture::with_times(&dir, &[]) } else { Picture::default() }
}

/// Everything of the restore points.
fn points(dir: &Path) -> Picture {
    let mut picture = if dir.is_dir() { Picture::take(dir, &[]) } else { Picture::default() };
    picture.0.retain(|path, _| {
        let text = path.to_string_lossy();
        ["session_", "metadata/", "checksums/", "archives/"].iter().any(|p| text.starts_with(p))
            || text.ends_with("_backup_20261123_054000.list")
    });
    picture
}

/// What the rollbacks displaced, the rollbacks numbered.
fn displaced(dir: &Path) -> Picture {
    let rollback = dir.join("rollback");
    if !rollback.is_dir() {
        return Picture::default();
    }
    let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
    let mut out = Picture::default();
    for (path, node) in Picture::take(&rollback, &[]).0 {
        let mut parts = path.components();
        let Some(first) = parts.next().map(|c| c.as_os_str().to_string_lossy().into_owned()) else {
            continue;
        };
        if first.starts_with("displaced_") && !first.ends_with(".list") {
            let next = numbers.len();
            let number = *numbers.entry(first).or_insert(next);
            out.0.insert(PathBuf::from(number.to_string()).join(parts.as_path()), node);
        }
    }
    out
}

/// One tree, but these paths as another has them.
fn mixed(base: &Picture, other: &Picture, paths: &[&str]) -> Picture {
    let inside = |path: &Path| paths.iter().any(|p| path.starts_with(p));
    let mut out: BTreeMap<PathBuf, Node> =
        base.0.iter().filter(|(p, _)| !inside(p)).map(|(p, n)| (p.clone(), n.clone())).collect();
    out.extend(other.0.iter().filter(|(p, _)| inside(p)).map(|(p, n)| (p.clone(), n.clone())));
    // And the directories that lead there.
    for (path, node) in &other.0 {
        if other.0.keys().any(|p| inside(p) && p.starts_with(path)) {
            out.entry(path.clone()).or_insert_with(|| node.clone());
        }
    }
    Picture(out)
}

fn expected(tree: Tree, good: &Picture, start: &Picture) -> Picture {
    match tree {
        Tree::Back => good.clone(),
        Tree::BackBut(paths) => mixed(good, start, paths),
        Tree::Untouched => start.clone(),
        Tree::UntouchedBut(paths) => mixed(start, good, paths),
        Tree::With(files) => {
            let mut out = start.clone();
            for (path, text) in files {
                let node = out.0.get_mut(Path::new(path)).unwrap_or_else(|| panic!("no {path}"));
                node.what = What::File(text.as_bytes().to_vec());
            }
            out
        }
    }
}
