//! Every operation interrupted, or failed once, at each of its mutating calls: backup, rollback, undo, resume, abort.
//!
//! After a cut, `resume` gives the new tree exactly and `abort` the old one; whatever is listed is whole.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use backstop::fsx::{Fs, Probe};
use backstop::rollback::{RollbackOptions, RollbackPlan};
use backstop::select::ProtectedSet;
use backstop::{Error, ErrorKind};

use crate::support::edit::{chmod, is_root, link, mkdir, remove, write};
use crate::support::probe::{Apart, Cutter, Failer};
use crate::support::temp::remove_tree;
use crate::support::tree::{assert_same, copy_tree};
use crate::support::{Picture, TempDir, World};

/// A workspace and a store that are put back to a saved state again and again, at the same place, so that one plan
/// serves every run.
struct Arena {
    world: World,
    other: Option<TempDir>,
    start: SystemTime,
    portable: bool,
    /// Store and workspace only pretend to be on different file systems.
    apart: bool,
    /// Every how many calls one is cut or failed.
    stride: u64,
    /// From how many states between resume and abort are cut again.
    again: usize,
}

impl Arena {
    fn new(other: Option<TempDir>, temp: TempDir) -> Self {
        let mut world = World::on(temp, "virtual");
        if let Some(other) = &other {
            world.dir = other.path().join("live");
        }
        furnish(&world.root);
        let start = world.clock.peek() + Duration::from_secs(3600);
        Arena { world, other, start, portable: false, apart: false, stride: 1, again: 3 }
    }

    fn fast() -> Self {
        Self::new(None, TempDir::new())
    }

    fn parts(&self, name: &str) -> Vec<(PathBuf, PathBuf)> {
        let mut parts = vec![(self.world.root.clone(), self.world.temp.path().join(format!("saved-{name}")))];
        if let Some(other) = &self.other {
            parts.push((self.world.dir.clone(), other.path().join(format!("saved-{name}"))));
        }
        parts
    }

    fn save(&self, name: &str) {
        for (live, saved) in self.parts(name) {
            remove_tree(&saved);
            if live.exists() {
                copy_tree(&live, &saved);
            }
        }
    }

    fn load(&self, name: &str) {
        for (live, saved) in self.parts(name) {
            remove_tree(&live);
            if saved.exists() {
                copy_tree(&saved, &live);
            }
        }
        self.world.clock.set(self.start);
    }

    fn fs(&self, probe: Arc<dyn Probe>) -> Fs {
        self.wrap(Some(probe))
    }

    /// Without cuts and failures.
    fn real(&self) -> Fs {
        self.wrap(None)
    }

    fn wrap(&self, probe: Option<Arc<dyn Probe>>) -> Fs {
        let fs = match probe {
            inner if self.apart => {
                let dir = self.other.as_ref().unwrap_or(&self.world.temp).path().to_path_buf();
                Fs::probed(Arc::new(Apart { dir, inner }))
            }
            Some(probe) => Fs::probed(probe),
            None => Fs::real(),
        };
        if self.portable { fs.portable() } else { fs }
    }

    fn is_cut_off(&self) -> bool {
        self.world.dir.join("rollback/journal").exists()
    }

    #[track_caller]
    fn assert_idle(&self, when: &str) {
        assert!(!self.is_cut_off(), "{when}: still interrupted");
        assert_eq!(fs::read(self.world.dir.join("state")).unwrap(), b"idle\n", "{when}");
    }

    /// Every restore point that is listed passes.
    #[track_caller]
    fn assert_listed_are_whole(&self, when: &str) {
        if !self.world.dir.join("store.json").exists() {
            return;
        }
        for listed in self.world.listed() {
            let findings = self.world.findings(&listed);
            assert!(findings.is_empty(), "{when}: {} is listed, and {findings:#?}", listed.backup_id());
        }
    }

    /// Nothing stands in the store but what a whole store has.
    #[track_caller]
    fn assert_tidy(&self, when: &str) {
        let dir = &self.world.dir;
        let listed: BTreeSet<String> = self.world.listed().iter().map(|l| l.id.to_string()).collect();
        for (below, suffix) in
            [("metadata", ".json"), ("archives", ".tar.gz"), ("checksums", ".sha256"), ("rollback", ".list")]
        {
            let ids: BTreeSet<String> = names(&dir.join(below))
                .iter()
                .filter_map(|n| Some(n.strip_suffix(suffix)?.rsplit_once("_backup_")?.1.to_owned()))
                .collect();
            assert_eq!(ids, listed, "{when}: {below}");
        }
        for below in ["", "metadata", "archives", "checksums", "rollback", "scripts", "logs", "cache"] {
            for name in names(&dir.join(below)) {
                let left = (name.starts_with('.') && name != ".gitignore") || name.starts_with("stage_");
                assert!(!left, "{when}: {below}/{name} was left behind");
            }
        }
        let beside = names(dir.parent().unwrap());
        assert!(!beside.iter().any(|n| n.contains(".new.")), "{when}: {beside:?}");
    }
}

fn names(dir: &Path) -> Vec<String> {
    fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

/// What the fixture cannot carry: links, modes, empty directories, and for root other owners.
pub(crate) fn furnish(root: &Path) {
    let (alpha, beta) = (root.join("crates/alpha"), root.join("crates/beta"));
    link("src/lib.rs", alpha.join("link"));
    mkdir(alpha.join("empty"));
    write(alpha.join("ro/kept"), "kept\n");
    write(alpha.join("ro/changed"), "before\n");
    chmod(alpha.join("ro"), 0o555);
    write(beta.join("run.sh"), "#!/bin/sh\n");
    chmod(beta.join("run.sh"), 0o755);
    write(beta.join("was_dir/deep/file"), "in a directory\n");
    write(beta.join("was_file"), "a file\n");
    write(beta.join("was_another"), "another file\n");
    write(beta.join("was_linked/file"), "behind\n");
    write(beta.join("to_link"), "a file that becomes a link\n");
    own(&beta);
}

/// One of each change that a rollback has to take back.
pub(crate) fn vandalise(root: &Path) {
    let (alpha, beta) = (root.join("crates/alpha"), root.join("crates/beta"));
    write(alpha.join("src/lib.rs"), "broken");
    remove(alpha.join("src/util.rs"));
    remove(alpha.join("link"));
    link("nowhere", alpha.join("link"));
    remove(alpha.join("empty"));
    chmod(alpha.join("ro"), 0o755);
    write(alpha.join("ro/changed"), "after\n");
    write(alpha.join("ro/added"), "added\n");
    chmod(alpha.join("ro"), 0o555);
    chmod(alpha.join("README.md"), 0o600);
    chmod(alpha.join("src"), 0o700);
    write(alpha.join("fresh/deep/new.rs"), "new\n");
    chmod(alpha.join("fresh/deep"), 0o555);
    remove(beta.join("was_dir"));
    write(beta.join("was_dir"), "now a file\n");
    remove(beta.join("was_file"));
    write(beta.join("was_file/inside"), "now a directory\n");
    fs::rename(beta.join("was_linked"), beta.join("elsewhere")).unwrap();
    link("elsewhere", beta.join("was_linked"));
    remove(beta.join("was_another"));
    mkdir(beta.join("was_another"));
    remove(beta.join("to_link"));
    link("run.sh", beta.join("to_link"));
    write(root.join("crates/gamma/Cargo.toml"), "[package]\nname = \"gamma\"\n");
    write(root.join("crates/gamma/src/lib.rs"), "");
    own(&beta);
}

/// Gives everything below to somebody else, where the process may.
fn own(path: &Path) {
    if !is_root() {
        return;
    }
    let mode = path.symlink_metadata().unwrap();
    std::os::unix::fs::lchown(path, Some(1234), Some(1234)).unwrap();
    if mode.is_dir() {
        fs::read_dir(path).unwrap().for_each(|e| own(&e.unwrap().path()));
    }
}

/// One transaction to cut: from `old` to `new`.
struct Sweep<'a> {
    arena: &'a Arena,
    from: &'static str,
    old: Picture,
    new: Picture,
    plan: RollbackPlan,
}

/// What a sweep went through.
#[derive(Debug, Default)]
struct Tally {
    runs: u64,
    cut_off: u64,
    refused: u64,
}

impl<'a> Sweep<'a> {
    /// A rollback of everything that [`vandalise`] does.
    fn rollback(arena: &'a Arena) -> Self {
        let world = &arena.world;
        let new = world.picture();
        world.try_backup(&world.set(), &arena.real()).unwrap();
        vandalise(&world.root);
        let old = world.picture();
        world.clock.set(arena.start);
        arena.save("before");
        let plan = world.plan(&RollbackOptions::default());
        assert!(plan.left_alone.is_empty(), "{:?}", plan.left_alone);
        Sweep { arena, from: "before", old, new, plan }
    }

    /// The undoing of that rollback.
    fn undo(self) -> Self {
        let world = &self.arena.world;
        self.arena.load("before");
        world.apply_with(self.plan, &self.arena.real()).unwrap();
        assert_same(&world.picture(), &self.new, "rolled back");
        self.arena.save("after");
        let plan = world.plan_undo().unwrap();
        Sweep { arena: self.arena, from: "after", old: self.new, new: self.old, plan }
    }

    fn apply(&self, fs: &Fs) -> Result<(), Error> {
        self.arena.load(self.from);
        self.arena.world.apply_with(self.plan.clone(), fs).map(drop)
    }

    #[track_caller]
    fn assert_resumes(&self, mid: &str, when: &str) {
        let (arena, world) = (self.arena, &self.arena.world);
        arena.load(mid);
        let resumed = world.resume_with(&arena.real());
        let outcome = resumed.unwrap_or_else(|e| panic!("{when}: resume: {e}: {:?}", e.details()));
        assert!(outcome.is_some_and(|o| o.mismatches.is_empty()), "{when}");
        assert_same(&world.picture(), &self.new, &format!("{when}: resumed"));
        arena.assert_idle(when);
    }

    #[track_caller]
    fn assert_aborts(&self, mid: &str, when: &str) {
        let (arena, world) = (self.arena, &self.arena.world);
        arena.load(mid);
        let aborted = world.abort_with(&arena.real());
        let outcome = aborted.unwrap_or_else(|e| panic!("{when}: abort: {e}: {:?}", e.details()));
        assert!(outcome.is_some(), "{when}");
        assert_same(&world.picture(), &self.old, &format!("{when}: aborted"));
        arena.assert_idle(when);
    }

    /// Not interrupted: one of the two, and the next command that may write finds nothing to do.
    #[track_caller]
    fn assert_old_or_new(&self, when: &str) {
        let world = &self.arena.world;
        let found = world.picture();
        if found != self.new {
            assert_same(&found, &self.old, &format!("{when}: neither new nor"));
        }
        assert!(world.resume_with(&self.arena.real()).unwrap().is_none(), "{when}");
        self.arena.assert_idle(when);
    }

    /// What holds after any cut, of whatever operation.
    #[track_caller]
    fn assert_both_ways(&self, mid: &str, when: &str) -> bool {
        if !self.arena.is_cut_off() {
            self.assert_old_or_new(when);
            return false;
        }
        self.arena.save(mid);
        self.assert_resumes(mid, when);
        self.assert_aborts(mid, when);
        true
    }

    /// Cuts it at every call, and gives the calls after which it is partly rolled back.
    fn cut_everywhere(&self) -> (Tally, Vec<u64>) {
        let (mut tally, mut between) = (Tally::default(), Vec::new());
        for calls in (0..).step_by(self.arena.stride as usize) {
            let cutter = Arc::new(Cutter::after(calls));
            let result = self.apply(&self.arena.fs(cutter.clone()));
            if cutter.refused() == 0 {
                result.unwrap();
                assert_same(&self.arena.world.picture(), &self.new, "not cut");
                self.arena.assert_idle("not cut");
                self.arena.assert_tidy("not cut");
                break;
            }
            let when = format!("cut after {calls} calls at {}", cutter.at());
            tally.runs += 1;
            tally.refused += cutter.refused();
            let kind = result.err().map(|e| e.kind());
            assert!(!self.arena.is_cut_off() || kind == Some(ErrorKind::CutOff), "{when}: {kind:?}");
            self.arena.assert_listed_are_whole(&when);
            if self.assert_both_ways("mid", &when) {
                tally.cut_off += 1;
                between.push(calls);
            }
        }
        (tally, between)
    }

    /// Cuts resume, or abort, at every call, from some of the states between.
    fn cut_again(&self, between: &[u64], abort: bool) -> Tally {
        let (arena, world) = (self.arena, &self.arena.world);
        let mut tally = Tally::default();
        for calls in some_of(between, arena.again) {
            let _ = self.apply(&arena.fs(Arc::new(Cutter::after(calls))));
            arena.save("first");
            for more in 0.. {
                arena.load("first");
                let cutter = Arc::new(Cutter::after(more));
                let fs = arena.fs(cutter.clone());
                let error = if abort { world.abort_with(&fs).err() } else { world.resume_with(&fs).err() };
                if cutter.refused() == 0 {
                    assert!(error.is_none(), "{error:?}");
                    break;
                }
                let what = if abort { "abort" } else { "resume" };
                let when = format!("cut after {calls}, then {what} cut after {more} at {}", cutter.at());
                let kind = error.map(|e| e.kind());
                assert!(!arena.is_cut_off() || kind == Some(ErrorKind::CutOff), "{when}: {kind:?}");
                tally.runs += 1;
                tally.refused += cutter.refused();
                tally.cut_off += u64::from(self.assert_both_ways("second", &when));
            }
        }
        tally
    }

    /// Fails each call once; the process goes on and says how it ended.
    fn fail_everywhere(&self) -> Tally {
        let (arena, world) = (self.arena, &self.arena.world);
        let mut tally = Tally::default();
        for call in (0..).step_by(arena.stride as usize) {
            let errno = [rustix::io::Errno::IO, rustix::io::Errno::NOSPC][(call / arena.stride) as usize % 2];
            let failer = Arc::new(Failer::at(call, errno.raw_os_error()));
            let result = self.apply(&arena.fs(failer.clone()));
            let Some(failed) = failer.failed() else {
                result.unwrap();
                break;
            };
            let when = format!("call {call} failed: {failed}: {result:?}");
            tally.runs += 1;
            arena.assert_listed_are_whole(&when);
            match result {
                Ok(()) => {
                    assert!(!arena.is_cut_off(), "{when}");
                    assert_same(&world.picture(), &self.new, &when);
                }
                Err(e) if arena.is_cut_off() => {
                    assert_eq!(e.kind(), ErrorKind::CutOff, "{when}");
                    tally.cut_off += 1;
                    self.assert_both_ways("mid", &when);
                }
                Err(_) => {
                    assert_same(&world.picture(), &self.old, &when);
                    // A sync that failed may not be tried again, but a whole rollback may.
                    world
                        .apply_with(self.plan.clone(), &arena.real())
                        .unwrap_or_else(|e| panic!("{when}: again: {e}"));
                    assert_same(&world.picture(), &self.new, &format!("{when}: again"));
                    arena.assert_tidy(&when);
                }
            }
        }
        tally
    }
}

/// The first, the last, and a few between; all with `BACKSTOP_TEST_ALL_CUTS`.
fn some_of(calls: &[u64], few: usize) -> BTreeSet<u64> {
    let parts = if std::env::var_os("BACKSTOP_TEST_ALL_CUTS").is_some() { calls.len() } else { few };
    (0..parts).map(|i| calls[i * (calls.len() - 1) / (parts - 1)]).collect()
}

#[track_caller]
fn report(what: &str, tally: &Tally, runs: u64, cut_off: u64) {
    eprintln!("{what}: {tally:?}");
    assert!(tally.runs >= runs && tally.cut_off >= cut_off, "{what}: too few cuts: {tally:?}");
}

/// A store is put together beside its place.
fn without_building(mut picture: Picture) -> Picture {
    picture.0.retain(|path, _| !path.to_string_lossy().starts_with(".backup.new."));
    picture
}

/// Cuts a backup at every call, or every few.
fn cut_backup(arena: &Arena, set: &ProtectedSet, from: &str, step: usize) -> Tally {
    let world = &arena.world;
    let mut tally = Tally::default();
    for calls in (0..).step_by(step) {
        arena.load(from);
        let before = without_building(world.picture());
        let cutter = Arc::new(Cutter::after(calls));
        let result = world.try_backup(set, &arena.fs(cutter.clone()));
        if cutter.refused() == 0 {
            result.unwrap();
            arena.assert_tidy("not cut");
            break;
        }
        let when = format!("cut after {calls} calls at {}", cutter.at());
        tally.runs += 1;
        tally.refused += cutter.refused();
        assert_same(&without_building(world.picture()), &before, &when);
        arena.assert_listed_are_whole(&when);
        let next = world.try_backup(set, &arena.real()).unwrap_or_else(|e| panic!("{when}: then: {e}"));
        assert_eq!(next.verified, next.manifest.totals.files, "{when}");
        arena.assert_listed_are_whole(&format!("{when}, then a whole one"));
        arena.assert_tidy(&when);
    }
    tally
}

fn cut_first_backup(step: usize, runs: u64) {
    let arena = Arena::fast();
    let set = arena.world.set();
    arena.save("bare");
    report("first backup", &cut_backup(&arena, &set, "bare", step), runs, 0);
}

#[test]
fn a_first_backup_cut_off_here_and_there_lists_nothing_half_and_the_next_one_sweeps() {
    cut_first_backup(5, 20);
}

#[test]
#[ignore = "part of torture: cuts"]
fn a_first_backup_cut_off_anywhere_lists_nothing_half_and_the_next_one_sweeps() {
    cut_first_backup(1, 100);
}

#[test]
#[ignore = "part of torture: cuts"]
fn a_second_backup_cut_off_anywhere_lists_nothing_half_and_the_next_one_sweeps() {
    let arena = Arena::fast();
    arena.world.backup();
    vandalise(&arena.world.root);
    // Born, but no member that cargo could read.
    remove(arena.world.at("crates/gamma"));
    let set = arena.world.set();
    arena.save("edited");
    let tally = cut_backup(&arena, &set, "edited", 1);
    report("second backup", &tally, 100, 0);
}

#[test]
#[ignore = "part of torture: cuts"]
fn a_backup_with_one_failed_call_is_whole_or_not_listed() {
    let arena = Arena::fast();
    let world = &arena.world;
    world.backup();
    write(world.at("crates/alpha/src/lib.rs"), "other\n");
    let set = world.set();
    arena.save("edited");
    let mut runs = 0;
    for call in 0.. {
        arena.load("edited");
        let failer = Arc::new(Failer::at(call, rustix::io::Errno::NOSPC.raw_os_error()));
        let result = world.try_backup(&set, &arena.fs(failer.clone()));
        let Some(failed) = failer.failed() else { break };
        let when = format!("call {call} failed: {failed}: {:?}", result.as_ref().err());
        runs += 1;
        arena.assert_listed_are_whole(&when);
        let listed = if result.is_ok() { 2 } else { 1 };
        assert_eq!(world.listed().len(), listed, "{when}");
        world.try_backup(&set, &arena.real()).unwrap_or_else(|e| panic!("{when}: then: {e}"));
        assert_eq!(world.listed().len(), listed + 1, "{when}");
        arena.assert_tidy(&when);
    }
    eprintln!("backup with one failed call: {runs}");
    assert!(runs >= 75);
}

#[test]
#[ignore = "part of torture: cuts"]
fn a_rollback_cut_off_anywhere_is_resumed_to_new_and_aborted_to_old() {
    let arena = Arena::fast();
    let sweep = Sweep::rollback(&arena);
    let (tally, between) = sweep.cut_everywhere();
    report("rollback", &tally, 200, 80);
    report("resume", &sweep.cut_again(&between, false), 60, 40);
    report("abort", &sweep.cut_again(&between, true), 60, 40);
}

#[test]
#[ignore = "part of torture: cuts"]
fn an_undo_cut_off_anywhere_is_resumed_to_new_and_aborted_to_old() {
    let arena = Arena::fast();
    let sweep = Sweep::rollback(&arena).undo();
    let (tally, between) = sweep.cut_everywhere();
    report("undo", &tally, 200, 80);
    report("resume of an undo", &sweep.cut_again(&between, false), 60, 40);
    report("abort of an undo", &sweep.cut_again(&between, true), 60, 40);
}

#[test]
#[ignore = "part of torture: cuts"]
fn a_rollback_with_one_failed_call_is_done_or_taken_back_or_says_that_it_is_cut_off() {
    let arena = Arena::fast();
    let sweep = Sweep::rollback(&arena);
    report("rollback with one failed call", &sweep.fail_everywhere(), 200, 1);
}

#[test]
#[ignore = "part of torture: cuts"]
fn an_undo_with_one_failed_call_is_done_or_taken_back_or_says_that_it_is_cut_off() {
    let arena = Arena::fast();
    let sweep = Sweep::rollback(&arena).undo();
    report("undo with one failed call", &sweep.fail_everywhere(), 200, 1);
}

#[test]
#[ignore = "part of torture: cuts"]
fn a_rollback_across_file_systems_is_cut_and_failed_like_any_other() {
    let mut arena = Arena::new(Some(TempDir::new()), TempDir::new());
    (arena.apart, arena.again) = (true, 2);
    let sweep = Sweep::rollback(&arena);
    let (tally, between) = sweep.cut_everywhere();
    report("rollback across file systems", &tally, 250, 120);
    report("resume across file systems", &sweep.cut_again(&between, false), 60, 40);
    report("abort across file systems", &sweep.cut_again(&between, true), 60, 40);
    report("one failed call across file systems", &sweep.fail_everywhere(), 250, 1);
}

#[test]
#[ignore = "part of torture: cuts"]
fn an_undo_across_file_systems_is_cut_like_any_other() {
    let mut arena = Arena::new(Some(TempDir::new()), TempDir::new());
    arena.apart = true;
    let undo = Sweep::rollback(&arena).undo();
    report("undo across file systems", &undo.cut_everywhere().0, 250, 120);
}

#[test]
fn a_rollback_across_two_real_file_systems_is_cut_here_and_there() {
    let Some((workspace, store)) = TempDir::apart() else {
        eprintln!("skipped: there is only one file system to write to");
        return;
    };
    let mut arena = Arena::new(Some(store), workspace);
    arena.stride = 29;
    let sweep = Sweep::rollback(&arena);
    let (tally, _) = sweep.cut_everywhere();
    report("rollback across two real file systems", &tally, 10, 5);
    sweep.undo();
}

#[test]
#[ignore = "part of torture: cuts"]
fn the_portable_calls_are_cut_and_failed_like_the_others() {
    let mut arena = Arena::fast();
    (arena.portable, arena.again, arena.stride) = (true, 2, 3);
    let sweep = Sweep::rollback(&arena);
    let (tally, between) = sweep.cut_everywhere();
    report("portable rollback", &tally, 60, 25);
    report("portable resume", &sweep.cut_again(&between, false), 60, 40);
    report("portable abort", &sweep.cut_again(&between, true), 60, 40);
    report("portable with one failed call", &sweep.fail_everywhere(), 60, 0);
}

/// The quick run's share of the cuts.
#[test]
fn a_rollback_and_its_undo_cut_off_here_and_there_are_resumed_to_new_and_aborted_to_old() {
    let mut arena = Arena::fast();
    arena.stride = 13;
    let sweep = Sweep::rollback(&arena);
    report("rollback, some cuts", &sweep.cut_everywhere().0, 15, 6);
    report("rollback, some failed calls", &sweep.fail_everywhere(), 15, 0);
    report("undo, some cuts", &sweep.undo().cut_everywhere().0, 15, 6);
}
