//! What one road began, each of the three finishes, takes back or undoes: cut off at many points, then ended by
//! another. `BACKSTOP_TEST_ALL_CUTS` takes every point and every pair of roads.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use backstop::fsx::Fs;
use backstop::rollback::{RollbackOptions, RollbackPlan};

use super::road::{Road, install, python};
use super::row::BACK;
use crate::cli::{Run, program};
use crate::cuts::{furnish, vandalise};
use crate::support::edit::{remove, write};
use crate::support::probe::{Cutter, Recorder};
use crate::support::temp::remove_tree;
use crate::support::tree::{What, assert_same, copy_tree};
use crate::support::{Picture, TempDir, World};

pub(super) const UNDO: &[&str] = &["--undo", "-f"];
const RESUME: &[&str] = &["--resume"];
const ABORT: &[&str] = &["--abort"];

/// Those that resume and take back: the scripts of few flags have a test of their own.
fn roads() -> &'static [Road] {
    static ROADS: OnceLock<Vec<Road>> = OnceLock::new();
    ROADS.get_or_init(|| Road::here().iter().copied().filter(|road| road.has_all_flags()).collect())
}

pub(super) fn all() -> bool {
    std::env::var_os("BACKSTOP_TEST_ALL_CUTS").is_some()
}

/// A workspace that was backed up and vandalised; `old` is what it is now, `new` what a rollback makes of it.
pub(super) struct Scene {
    pub(super) world: World,
    pub(super) old: Picture,
    pub(super) new: Picture,
}

impl Scene {
    pub(super) fn new() -> Self {
        let world = World::on(TempDir::fast(), "virtual");
        furnish(&world.root);
        let new = world.picture();
        world.backup();
        vandalise(&world.root);
        let old = world.picture();
        world.clock.set(world.clock.peek() + Duration::from_secs(3600));
        let scene = Scene { world, old, new };
        scene.save("before");
        scene
    }

    /// One in which a rollback has ended, for an undo to begin: old and new change places.
    fn rolled_back() -> Self {
        let scene = Scene::new();
        scene.world.rollback(&RollbackOptions::default());
        scene.save("before");
        Scene { old: scene.new, new: scene.old, world: scene.world }
    }

    fn saved(&self, name: &str) -> PathBuf {
        self.world.temp.path().join(format!("saved-{name}"))
    }

    pub(super) fn save(&self, name: &str) {
        remove_tree(&self.saved(name));
        // What is put there anew each time need not be copied.
        remove(self.world.dir.join("scripts/backstop"));
        copy_tree(&self.world.root, &self.saved(name));
    }

    pub(super) fn load(&self, name: &str) {
        remove_tree(&self.world.root);
        copy_tree(&self.saved(name), &self.world.root);
        install(&self.world.dir);
    }

    #[track_caller]
    pub(super) fn run(&self, road: Road, args: &[&str], when: &str) -> Run {
        let run = road.start(&self.world.dir).args(args).run();
        assert!(run.code == Some(0), "{when}: {road:?} {args:?}: {run:#?}");
        run
    }

    /// Runs a road, however that ends.
    pub(super) fn run_any(&self, road: Road, args: &[&str]) -> Run {
        road.start(&self.world.dir).args(args).run()
    }

    pub(super) fn is_cut_off(&self) -> bool {
        self.world.dir.join("rollback/journal").exists()
    }

    #[track_caller]
    pub(super) fn assert_ended(&self, tree: &Picture, when: &str) {
        assert_same(&self.world.picture(), tree, when);
        assert!(!self.is_cut_off(), "{when}: still cut off");
        assert_eq!(fs::read(self.world.dir.join("state")).unwrap(), b"idle\n", "{when}");
        for name in fs::read_dir(self.world.dir.join("rollback")).unwrap().flatten().map(|e| e.file_name()) {
            assert!(!name.to_string_lossy().starts_with("stage_"), "{when}: {name:?} was left");
        }
        for listed in self.world.listed() {
            assert_eq!(self.world.findings(&listed), [""; 0], "{when}: {}", listed.backup_id());
        }
    }

    /// From a state between: each road finishes it and takes it back, or for a sample one does each.
    #[track_caller]
    fn assert_both_ways(&self, state: &str, number: usize, when: &str) {
        let roads = roads();
        for (i, road) in roads.iter().enumerate() {
            if all() || i == number % roads.len() {
                let when = format!("{when}, resumed by {road:?}");
                self.load(state);
                self.run(*road, RESUME, &when);
                self.assert_ended(&self.new, &when);
                self.run(*road, RESUME, &when);
                let other = roads[(i + 1) % roads.len()];
                self.run(other, UNDO, &format!("{when}, then undone"));
                self.assert_ended(&self.old, &format!("{when}, undone by {other:?}"));
            }
            if all() || i == (number + 1) % roads.len() {
                let when = format!("{when}, taken back by {road:?}");
                self.load(state);
                self.run(*road, ABORT, &when);
                self.assert_ended(&self.old, &when);
                self.run(*road, ABORT, &when);
            }
        }
    }

    /// What holds after any cut; says whether it was between two states.
    #[track_caller]
    fn assert_whole(&self, number: usize, when: &str) -> bool {
        if self.is_cut_off() {
            // No road begins another, and each names both ways out.
            for road in roads().iter().filter(|_| all() || number == 0) {
                let run = road.start(&self.world.dir).args(BACK).ends(4);
                assert!(run.err.contains("--resume") && run.err.contains("--abort"), "{when}: {run:?}");
            }
            self.save("between");
            self.assert_both_ways("between", number, when);
            return true;
        }
        let found = self.world.picture();
        if found != self.new {
            assert_same(&found, &self.old, &format!("{when}: neither new nor"));
        }
        // Whoever comes next clears what is left.
        let road = roads()[number % roads().len()];
        self.run(road, ABORT, when);
        self.assert_ended(&found, when);
        false
    }

    /// Cuts what the executable does, in the library, after so many of its calls.
    pub(super) fn cut_executable(&self, plan: &RollbackPlan, calls: u64) -> Arc<Cutter> {
        self.load("before");
        let cutter = Arc::new(Cutter::after(calls));
        let _ = self.world.apply_with(plan.clone(), &Fs::probed(cutter.clone()));
        cutter
    }

    /// Runs a road and kills it before its Nth call that changes a file. Gives how many it saw, and whether it killed;
    /// `None` where that cannot be done here.
    pub(super) fn cut(&self, road: Road, args: &[&str], calls: u64) -> Option<(u64, bool)> {
        let python = python()?;
        let report = self.world.temp.path().join("calls");
        let cutter = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/roads/cutter.py");
        let command = road.start(&self.world.dir).words();
        let run = program(python, "/")
            .arg(cutter)
            .arg(calls.to_string())
            .arg(&report)
            .args(command)
            .args(args)
            .run();
        if run.code == Some(98) {
            return None;
        }
        let killed = run.code == Some(99);
        assert!(killed || run.code == Some(0), "{road:?} {args:?} at {calls}: {run:#?}");
        Some((fs::read_to_string(report).unwrap().parse().unwrap(), killed))
    }

    /// Cuts a road at points spread over all its calls.
    fn cut_road(&self, road: Road, args: &[&str], few: u64) -> Tally {
        let mut tally = Tally::default();
        self.load("before");
        let Some((total, _)) = self.cut(road, args, 0) else {
            eprintln!("skipped: processes cannot be cut off here");
            return tally;
        };
        self.assert_ended(&self.new, "not cut");
        let points = if all() { total } else { few };
        for i in 0..points {
            // The middle of each part: the calls at the very start and end are few and alike.
            let call = if all() { i + 1 } else { (2 * i + 1) * total / (2 * points) + 1 };
            self.load("before");
            let cut = self.cut(road, args, call);
            // One that came to its end first had fewer calls than the one that was counted.
            if cut.is_some_and(|(_, killed)| killed) {
                tally.cuts += 1;
                let when = format!("{road:?} {args:?} cut at call {call} of {total}");
                tally.between += u64::from(self.assert_whole(i as usize, &when));
            }
        }
        eprintln!("{road:?} {args:?}: {total} calls, {tally:?}");
        assert!(tally.cuts + 2 >= points, "{road:?}: only {} of {points} cuts took place", tally.cuts);
        tally
    }
}

#[derive(Debug, Default)]
struct Tally {
    cuts: u64,
    between: u64,
}

/// The calls at which the executable is cut: around the journal's coming, its commit and its end, and between.
pub(super) fn points(scene: &Scene, plan: &RollbackPlan) -> Vec<u64> {
    scene.load("before");
    let recorder = Arc::new(Recorder::default());
    scene.world.apply_with(plan.clone(), &Fs::probed(recorder.clone())).unwrap();
    let calls = recorder.taken();
    let journal = scene.world.dir.join("rollback/journal");
    let journal = format!("{journal:?}");
    let named: Vec<u64> = (0..)
        .zip(&calls)
        .filter(|(_, call)| call.starts_with("Rename") && call.contains(&journal))
        .map(|(i, _)| i)
        .collect();
    let [begun, committed, closed] = named[..] else { panic!("{named:?} of {calls:#?}") };
    if all() {
        return (begun..=closed + 1).collect();
    }
    let between = |from: u64, to: u64, part: u64| from + (to - from) * part / 4;
    let mut out = vec![begun + 1, between(begun, committed, 2), committed - 1, committed, committed + 1];
    out.extend((1..4).map(|part| between(committed, closed, part)));
    out.extend([closed - 1, closed, closed + 1]);
    out
}

fn cut_executable_everywhere(scene: &Scene, plan: &RollbackPlan) {
    let mut between = 0;
    for (i, calls) in points(scene, plan).into_iter().enumerate() {
        let cutter = scene.cut_executable(plan, calls);
        let when = format!("the executable cut after {calls} calls at {}", cutter.at());
        between += u64::from(scene.assert_whole(i, &when));
    }
    eprintln!("{between} states between");
    assert!(between >= 8, "only {between} states between");
}

#[test]
#[ignore = "part of torture: crossed"]
fn a_rollback_of_the_executable_that_was_cut_off_is_ended_by_each_road() {
    let scene = Scene::new();
    let plan = scene.world.plan(&RollbackOptions::default());
    cut_executable_everywhere(&scene, &plan);
}

#[test]
#[ignore = "part of torture: crossed"]
fn an_undo_of_the_executable_that_was_cut_off_is_ended_by_each_road() {
    let scene = Scene::rolled_back();
    let plan = scene.world.plan_undo().unwrap();
    cut_executable_everywhere(&scene, &plan);
    // At the very end links stand where directories were: the way to what was in them is gone, and that is no change.
    let points = points(&scene, &plan);
    scene.cut_executable(&plan, points[points.len() - 3]);
    scene.save("between");
    for road in roads() {
        scene.load("between");
        scene.run(*road, RESUME, "cut at its end");
        scene.assert_ended(&scene.new, &format!("cut at its end, resumed by {road:?}"));
    }
}

#[test]
#[ignore = "part of torture: crossed"]
fn a_rollback_of_a_script_that_was_cut_off_is_ended_by_each_road() {
    for road in roads().iter().filter(|road| **road != Road::Executable) {
        let tally = Scene::new().cut_road(*road, BACK, 12);
        assert!(tally.cuts == 0 || tally.between >= 4, "{road:?}: {tally:?}");
    }
}

#[test]
#[ignore = "part of torture: crossed"]
fn an_undo_of_a_script_that_was_cut_off_is_ended_by_each_road() {
    for road in roads().iter().filter(|road| **road != Road::Executable) {
        let tally = Scene::rolled_back().cut_road(*road, UNDO, 8);
        assert!(tally.cuts == 0 || tally.between >= 2, "{road:?}: {tally:?}");
    }
}

/// Cut in the middle of the moves, then again in the middle of ending it.
#[test]
#[ignore = "part of torture: crossed"]
fn a_resume_and_an_abort_of_a_script_that_were_cut_off_are_ended_by_each_road() {
    let scene = Scene::new();
    let plan = scene.world.plan(&RollbackOptions::default());
    let points = points(&scene, &plan);
    scene.cut_executable(&plan, points[points.len() / 2 + 1]);
    assert!(scene.is_cut_off());
    scene.save("first");
    for road in roads().iter().filter(|road| **road != Road::Executable) {
        for args in [RESUME, ABORT] {
            scene.load("first");
            let Some((total, _)) = scene.cut(*road, args, 0) else { continue };
            let points = if all() { total } else { 5 };
            for i in 0..points {
                let call = if all() { i + 1 } else { (2 * i + 1) * total / (2 * points) + 1 };
                scene.load("first");
                scene.cut(*road, args, call);
                let when = format!("cut in its middle, then {road:?} {args:?} cut at call {call} of {total}");
                scene.assert_whole(i as usize, &when);
            }
        }
    }
}

#[test]
#[ignore = "part of torture: crossed"]
fn what_one_road_did_each_road_undoes() {
    let scene = Scene::new();
    for first in roads() {
        for second in roads() {
            scene.load("before");
            let when = format!("{first:?}, undone by {second:?}");
            scene.run(*first, BACK, &when);
            scene.assert_ended(&scene.new, &when);
            scene.run(*second, UNDO, &when);
            scene.assert_ended(&scene.old, &when);
            scene.run(*first, UNDO, &when);
            scene.assert_ended(&scene.new, &when);
        }
    }
}

/// What was written between the cut and its end is nobody's to lose.
#[test]
#[ignore = "part of torture: crossed"]
fn edits_after_a_cut_are_met_alike_by_each_road() {
    let scene = Scene::new();
    let plan = scene.world.plan(&RollbackOptions::default());
    let points = points(&scene, &plan);
    let (uncommitted, midway) = (points[1], points[points.len() / 2 + 1]);
    let edit = || {
        write(scene.world.at("crates/alpha/src/lib.rs"), "edited after the cut\n");
        write(scene.world.at("crates/alpha/src/util.rs"), "edited after the cut\n");
        write(scene.world.at("crates/beta/run.sh"), "edited after the cut\n");
        write(scene.world.at("crates/alpha/src/fresh.rs"), "made after the cut\n");
    };
    for calls in [uncommitted, midway] {
        scene.cut_executable(&plan, calls);
        assert!(scene.is_cut_off());
        edit();
        scene.save("edited");
        for args in [RESUME, ABORT] {
            let mut seen: Vec<(Road, Option<i32>, Picture, Vec<String>)> = Vec::new();
            for road in roads() {
                scene.load("edited");
                let run = road.start(&scene.world.dir).args(args).run();
                let kept = texts(&scene.world.dir.join("rollback"));
                let mut tree = scene.world.picture();
                if scene.is_cut_off() {
                    // Directories get their modes and owners last.
                    for node in tree.0.values_mut().filter(|n| n.what == What::Directory) {
                        (node.mode, node.owner) = (0, (0, 0));
                    }
                }
                seen.push((*road, run.code, tree, kept));
            }
            let (_, code, tree, kept) = &seen[0];
            eprintln!("cut after {calls} calls, edited, {args:?}: {code:?}, {} kept apart", kept.len());
            for (road, other_code, other_tree, other_kept) in &seen[1..] {
                let when = format!("cut after {calls} calls, edited, {args:?} by {road:?}");
                assert_eq!(other_code, code, "{when}");
                assert_same(other_tree, tree, &when);
                assert_eq!(other_kept, kept, "{when}");
            }
        }
    }
}

/// Where below a directory the edits after the cut are kept, without ids.
fn texts(dir: &Path) -> Vec<String> {
    let mut out: Vec<String> = Picture::take(dir, &[])
        .0
        .iter()
        .filter(|(_, node)| matches!(&node.what, What::File(text) if text.ends_with(b"after the cut\n")))
        .filter_map(|(path, _)| {
            Some(path.strip_prefix(path.components().next()?).ok()?.display().to_string())
        })
        .collect();
    out.sort();
    out
}
