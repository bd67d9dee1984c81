//! What the executable began and was interrupted, it finishes or takes back as a process of its own; what one road did,
//! another undoes. `again` kills the scripts. `BACKSTOP_TEST_ALL_CUTS` takes every point.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use backstop::fsx::Fs;
use backstop::rollback::{RollbackOptions, RollbackPlan};

use super::road::{Road, install, python};
use super::row::BACK;
use crate::cli::{Run, executable, program};
use crate::cuts::{furnish, vandalise};
use crate::support::edit::{copy_program, remove, write};
use crate::support::probe::{Cutter, Recorder};
use crate::support::temp::remove_tree;
use crate::support::tree::{What, assert_same, copy_tree};
use crate::support::{Picture, World};

pub(super) const UNDO: &[&str] = &["--undo", "-f"];
const RESUME: &[&str] = &["--resume"];
const ABORT: &[&str] = &["--abort"];

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
        let world = World::new("virtual");
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
        let program = self.world.temp.path().join("program");
        if !program.exists() {
            copy_program(executable(), &program);
        }
        install(&self.world.dir, &program);
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
        assert!(!self.is_cut_off(), "{when}: still interrupted");
        assert_eq!(fs::read(self.world.dir.join("state")).unwrap(), b"idle\n", "{when}");
        for name in fs::read_dir(self.world.dir.join("rollback")).unwrap().flatten().map(|e| e.file_name()) {
            assert!(!name.to_string_lossy().starts_with("stage_"), "{when}: {name:?} was left");
        }
        for listed in self.world.listed() {
            assert_eq!(self.world.findings(&listed), [""; 0], "{when}: {}", listed.backup_id());
        }
    }

    /// What holds after any cut: both ways out are open, and exact. Says whether it was partly rolled back.
    #[track_caller]
    fn assert_whole(&self, when: &str) -> bool {
        let found = self.world.picture();
        if !self.is_cut_off() {
            if found != self.new {
                assert_same(&found, &self.old, &format!("{when}: neither new nor"));
            }
            // Whoever comes next clears what is left.
            self.run(Road::Executable, ABORT, when);
            self.assert_ended(&found, when);
            return false;
        }
        // None begins another, and each names both ways out.
        for road in Road::here() {
            let run = self.run_any(*road, &["-t", "latest"]);
            assert!(
                run.code == Some(4) && run.err.contains("--resume") && run.err.contains("--abort"),
                "{when}: {run:?}"
            );
        }
        self.save("between");
        for (args, tree, other) in [(RESUME, &self.new, &self.old), (ABORT, &self.old, &self.new)] {
            let when = format!("{when}, then {args:?}");
            self.load("between");
            for _ in 0..2 {
                self.run(Road::Executable, args, &when);
                self.assert_ended(tree, &when);
            }
            if args == RESUME {
                self.run(Road::Executable, UNDO, &when);
                self.assert_ended(other, &format!("{when}, undone"));
            }
        }
        true
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
    for calls in points(scene, plan) {
        let cutter = scene.cut_executable(plan, calls);
        let when = format!("the executable cut after {calls} calls at {}", cutter.at());
        between += u64::from(scene.assert_whole(&when));
    }
    eprintln!("{between} states between");
    assert!(between >= 8, "only {between} states between");
}

#[test]
#[ignore = "part of torture: crossed"]
fn a_rollback_of_the_executable_that_was_cut_off_is_resumed_and_aborted_by_another_process() {
    let scene = Scene::new();
    let plan = scene.world.plan(&RollbackOptions::default());
    cut_executable_everywhere(&scene, &plan);
}

#[test]
#[ignore = "part of torture: crossed"]
fn an_undo_of_the_executable_that_was_cut_off_is_resumed_and_aborted_by_another_process() {
    let scene = Scene::rolled_back();
    let plan = scene.world.plan_undo().unwrap();
    cut_executable_everywhere(&scene, &plan);
    // At the very end links stand where directories were: the way to what was in them is missing, and that is no change.
    let points = points(&scene, &plan);
    scene.cut_executable(&plan, points[points.len() - 3]);
    scene.save("between");
    scene.load("between");
    scene.run(Road::Executable, RESUME, "cut at its end");
    scene.assert_ended(&scene.new, "cut at its end, resumed");
}

/// Each undoes what a script did; what the executable did, only itself.
#[test]
#[ignore = "part of torture: crossed"]
fn what_one_road_did_another_undoes_or_says_who_can() {
    let scene = Scene::new();
    for first in Road::here() {
        for second in Road::here() {
            scene.load("before");
            let when = format!("{first:?}, undone by {second:?}");
            scene.run(*first, BACK, &when);
            scene.assert_ended(&scene.new, &when);
            if *first == Road::Executable && *second != Road::Executable {
                let run = scene.run_any(*second, UNDO);
                assert!(run.code == Some(3) && run.err.contains("scripts/backstop"), "{when}: {run:?}");
                scene.assert_ended(&scene.new, &when);
                continue;
            }
            scene.run(*second, UNDO, &when);
            scene.assert_ended(&scene.old, &when);
            scene.run(*second, UNDO, &when);
            scene.assert_ended(&scene.new, &format!("{when}, and that undone"));
        }
    }
}

/// What was written between the cut and its end is nobody's to lose.
#[test]
#[ignore = "part of torture: crossed"]
fn edits_after_a_cut_are_kept() {
    let scene = Scene::new();
    let plan = scene.world.plan(&RollbackOptions::default());
    let points = points(&scene, &plan);
    let edits = ["alpha/src/lib.rs", "alpha/src/util.rs", "beta/run.sh", "alpha/src/fresh.rs"];
    for calls in [points[1], points[points.len() / 2 + 1]] {
        scene.cut_executable(&plan, calls);
        assert!(scene.is_cut_off());
        for path in edits {
            write(scene.world.at(format!("crates/{path}")), format!("{path} after the cut\n"));
        }
        scene.save("edited");
        for args in [RESUME, ABORT] {
            scene.load("edited");
            let run = scene.run_any(Road::Executable, args);
            let kept = Picture::take(&scene.world.root, &[]);
            let kept: Vec<&What> = kept.0.values().map(|node| &node.what).collect();
            for path in edits {
                let text = What::File(format!("{path} after the cut\n").into_bytes());
                assert!(kept.contains(&&text), "cut after {calls} calls, {args:?}: {path} is lost: {run:?}");
            }
        }
    }
}
