//! A script of few flags is killed at its calls that change a file. Then the same command gives the new tree exactly,
//! and its undo, by the script and by the executable, the old one; the executable ends, takes back and undoes it too.
//! An executable that was killed is met by a script with `-f`. `BACKSTOP_TEST_ALL_CUTS` takes every call.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use backstop::rollback::RollbackOptions;

use super::crossed::{Scene, UNDO, all, points};
use super::road::Road;
use super::row::{BACK, SHORT};
use crate::cuts::{furnish, vandalise};
use crate::support::edit::{remove, write};
use crate::support::tree::{What, assert_same};
use crate::support::{Picture, World};

/// Those of the scripts of few flags that can be tested here.
fn scripts() -> impl Iterator<Item = Road> {
    Road::here().iter().copied().filter(|road| SHORT.contains(road))
}

/// One in which a script has rolled back, for its undo to begin: old and new change places.
fn rolled_back(by: Road) -> Scene {
    let scene = Scene::new();
    scene.load("before");
    scene.run(by, BACK, "at the start");
    scene.save("before");
    Scene { old: scene.new, new: scene.old, world: scene.world }
}

/// How many rollbacks have ended.
fn ended(world: &World) -> usize {
    let names = fs::read_dir(world.dir.join("rollback")).unwrap().flatten().map(|e| e.file_name());
    names.filter(|name| name.to_string_lossy().ends_with(".journal")).count()
}

/// How many points of a script the quick run takes: bash starts a process for most of what it does.
fn sampled(script: Road, python: u64, bash: u64) -> u64 {
    if script == Road::Bash { bash } else { python }
}

/// The calls to kill at: all in full, else some that are spread over them.
fn spread(total: u64, few: u64) -> impl Iterator<Item = u64> {
    let points = if all() { total } else { few };
    (0..points).map(move |i| if all() { i + 1 } else { (2 * i + 2) * total / (2 * points + 1) })
}

/// The states that kills left, so that each is left by each way once. Two are one where they differ only in what no
/// two runs have alike: ids and times of the runs, and seals.
struct Seen {
    start: SystemTime,
    states: BTreeSet<String>,
}

impl Seen {
    fn new() -> Self {
        Seen { start: SystemTime::now(), states: BTreeSet::new() }
    }

    fn is_new(&mut self, scene: &Scene) -> bool {
        let start = self.start.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64;
        let scripts = scene.world.dir.join("scripts");
        let mut state = Vec::new();
        for (path, mut node) in Picture::with_times(&scene.world.root, &[&scripts]).0 {
            node.mtime = node.mtime.filter(|(seconds, _)| node.what != What::Directory && *seconds < start);
            let text = match &node.what {
                What::File(bytes) => bytes.escape_ascii().to_string(),
                other => format!("{other:?}"),
            };
            state.push(steady(&format!(
                "{} {:o} {:?} {:?} {text}",
                path.display(),
                node.mode,
                node.owner,
                node.mtime
            )));
        }
        state.sort();
        self.states.insert(state.join("\n"))
    }
}

/// A text without ids, times and seals.
fn steady(text: &str) -> String {
    let like = |text: &str, form: &str| {
        text.len() >= form.len()
            && text.bytes().zip(form.bytes()).all(|(byte, form)| match form {
                b'0' => byte.is_ascii_digit(),
                b'x' => byte.is_ascii_hexdigit(),
                other => byte == other,
            })
    };
    let seal = format!(r"end\x00{}", "x".repeat(64));
    let forms = ["00000000_000000", "0000-00-00T00:00:00Z", &seal];
    let (mut out, mut rest) = (String::new(), text);
    while let Some(first) = rest.chars().next() {
        let length = forms.iter().find(|form| like(rest, form)).map(|form| form.len());
        out.push(if length.is_some() { '#' } else { first });
        rest = &rest[length.unwrap_or(first.len_utf8())..];
    }
    out
}

/// Kills a script at points spread over all its calls, and leaves each state by each way.
fn kill_everywhere(scene: &Scene, script: Road, args: &[&str], few: u64) {
    scene.load("before");
    let mut seen = Seen::new();
    let Some((total, _)) = scene.cut(script, args, 0) else {
        return eprintln!("skipped: processes cannot be killed here");
    };
    scene.assert_ended(&scene.new, "not killed");
    let (mut points, mut kills, mut between, mut open) = (0, 0, 0, 0);
    for call in spread(total, few) {
        points += 1;
        scene.load("before");
        let before = ended(&scene.world);
        if !scene.cut(script, args, call).is_some_and(|(_, killed)| killed) {
            continue;
        }
        kills += 1;
        let when = format!("{script:?} {args:?} killed at call {call} of {total}");
        let (found, is_open) = (scene.world.picture(), scene.is_cut_off());
        between += u64::from(found != scene.old && found != scene.new);
        open += u64::from(is_open);
        if !seen.is_new(scene) {
            continue;
        }
        scene.save("between");
        if ended(&scene.world) > before {
            assert_same(&found, &scene.new, &format!("{when}: closed"));
            scene.load("between");
            scene.run(Road::Executable, &["--abort"], &when);
            scene.assert_ended(&scene.new, &when);
        } else {
            leave_by_each_way(scene, script, args, is_open, &when);
        }
    }
    let states = seen.states.len();
    eprintln!(
        "{script:?} {args:?}: {total} calls, {kills} kills, {open} with a journal, {between} between old and new, \
         {states} different states left by each way"
    );
    assert!(
        kills + 2 >= points && (between > 0 || points < 3),
        "{kills} kills of {points}, {between} between"
    );
}

fn leave_by_each_way(scene: &Scene, script: Road, args: &[&str], is_open: bool, when: &str) {
    for undo in [script, Road::Executable] {
        scene.load("between");
        scene.run(script, args, when);
        scene.assert_ended(&scene.new, &format!("{when}, then the same again"));
        scene.run(undo, UNDO, when);
        scene.assert_ended(&scene.old, &format!("{when}, then the same again, undone by {undo:?}"));
    }
    if !is_open {
        return;
    }
    if args == BACK {
        scene.load("between");
        let found = scene.world.picture();
        let undone = scene.run_any(script, UNDO);
        let as_it_was = found == scene.old && undone.out.contains("Nothing to do");
        assert!(undone.code == Some(0) || as_it_was, "{when}, undone at once: {undone:?}");
        assert_same(&scene.world.picture(), &scene.old, &format!("{when}, undone at once"));
    }
    scene.load("between");
    scene.run(Road::Executable, &["--resume"], when);
    scene.assert_ended(&scene.new, &format!("{when}, resumed by the executable"));
    scene.run(Road::Executable, UNDO, when);
    scene.assert_ended(&scene.old, &format!("{when}, resumed and undone by the executable"));
    scene.load("between");
    scene.run(Road::Executable, &["--abort"], when);
    scene.assert_ended(&scene.old, &format!("{when}, taken back by the executable"));
    scene.run(script, args, when);
    scene.assert_ended(&scene.new, &format!("{when}, taken back, then once more"));
}

#[test]
fn a_script_that_was_killed_goes_on_with_the_same_command_and_is_undone_to_the_byte() {
    for script in scripts() {
        kill_everywhere(&Scene::new(), script, BACK, sampled(script, 3, 1));
    }
}

#[test]
fn an_undo_of_a_script_that_was_killed_goes_on_with_the_same_command() {
    for script in scripts() {
        kill_everywhere(&rolled_back(script), script, UNDO, sampled(script, 2, 1));
    }
}

#[test]
#[ignore = "part of torture: crossed"]
fn a_script_is_killed_at_every_call_and_each_way_out_is_exact() {
    for script in scripts() {
        kill_everywhere(&Scene::new(), script, BACK, 40);
        kill_everywhere(&rolled_back(script), script, UNDO, 25);
    }
}

/// Both keep the same record. Owners they give at different steps.
#[test]
#[ignore = "part of torture: crossed"]
fn a_script_that_was_killed_is_gone_on_with_and_undone_by_the_other() {
    for script in scripts() {
        let scene = Scene::new();
        scene.load("before");
        let Some((total, _)) = scene.cut(script, BACK, 0) else { return };
        let points = if all() { total } else { 8 };
        for call in (1..=points).map(|i| i * total / (points + 1)) {
            scene.load("before");
            scene.cut(script, BACK, call);
            if !scene.is_cut_off() {
                continue;
            }
            for other in scripts().filter(|other| *other != script) {
                for (args, tree) in [(BACK, &scene.new), (UNDO, &scene.old)] {
                    let when = format!("{script:?} killed at {call} of {total}, then {args:?} by {other:?}");
                    scene.run(other, args, &when);
                    assert_same(&ownerless(&scene.world.picture()), &ownerless(tree), &when);
                    assert!(!scene.is_cut_off(), "{when}");
                }
            }
        }
    }
}

/// Killed again in the run that was to go on.
fn kill_twice(thorough: bool) {
    for script in scripts().filter(|script| thorough || *script == Road::Python) {
        let scene = Scene::new();
        scene.load("before");
        let (mut seen, mut kills) = (Seen::new(), 0);
        let Some((total, _)) = scene.cut(script, BACK, 0) else { return };
        let firsts = [total * 2 / 3, total / 2, total / 3];
        for first in &firsts[..if thorough { 3 } else { 1 }] {
            scene.load("before");
            scene.cut(script, BACK, *first);
            scene.save("first");
            let Some((rest, _)) = scene.cut(script, BACK, 0) else { return };
            for call in spread(rest, if thorough { 12 } else { 1 }) {
                scene.load("first");
                let before = ended(&scene.world);
                scene.cut(script, BACK, call);
                kills += 1;
                if ended(&scene.world) == before && seen.is_new(&scene) {
                    scene.save("between");
                    let when = format!("{script:?} killed at {first}, then at {call} of {rest}");
                    leave_by_each_way(&scene, script, BACK, scene.is_cut_off(), &when);
                }
            }
        }
        eprintln!(
            "{script:?}: {kills} second kills, {} different states left by each way",
            seen.states.len()
        );
    }
}

#[test]
fn a_script_that_was_killed_twice_is_still_undone_to_the_byte() {
    kill_twice(false);
}

#[test]
#[ignore = "part of torture: crossed"]
fn a_script_is_killed_at_every_call_of_the_run_that_was_to_go_on() {
    kill_twice(true);
}

/// The content of every file below a directory.
fn contents(dir: &Path) -> BTreeSet<Vec<u8>> {
    let files = Picture::take(dir, &[]).0.into_values();
    files.filter_map(|node| if let What::File(text) = node.what { Some(text) } else { None }).collect()
}

/// Without owners: the executable gives a directory its owner after it made it.
fn ownerless(picture: &Picture) -> Picture {
    let mut out = Picture(picture.0.clone());
    out.0.values_mut().for_each(|node| node.owner = (0, 0));
    out
}

fn meet_a_killed_executable(few: usize) {
    let scene = Scene::new();
    let plan = scene.world.plan(&RollbackOptions::default());
    let points = points(&scene, &plan);
    for script in scripts() {
        eprintln!("the executable killed at up to {} calls, then {script:?}", points.len().min(few));
        for calls in points.iter().step_by(points.len().div_ceil(few).max(1)) {
            scene.cut_executable(&plan, *calls);
            let when = format!("the executable killed after {calls} calls, then {script:?}");
            if scene.is_cut_off() {
                let run = scene.run_any(script, &["-t", "latest"]);
                assert!(run.code == Some(4) && run.err.contains("--resume | --abort"), "{when}: {run:?}");
                assert_eq!(scene.run_any(script, UNDO).code, Some(4), "{when}");
            }
            let found = scene.world.picture();
            scene.run(script, BACK, &when);
            assert_same(&ownerless(&scene.world.picture()), &ownerless(&scene.new), &when);
            assert!(!scene.is_cut_off(), "{when}");
            let kept = contents(&scene.world.root);
            for (path, node) in &scene.old.0 {
                let What::File(text) = &node.what else { continue };
                assert!(kept.contains(text), "{when}: the content of {} is missing", path.display());
            }
            if found != scene.new {
                scene.run(script, UNDO, &when);
                let now = scene.world.picture();
                assert_same(&ownerless(&now), &ownerless(&found), &format!("{when}, undone"));
            }
        }
    }
}

#[test]
fn a_script_with_force_makes_the_restore_point_of_what_an_executable_left_and_keeps_every_byte() {
    meet_a_killed_executable(2);
}

#[test]
#[ignore = "part of torture: crossed"]
fn an_executable_is_killed_at_every_call_then_a_script_goes_back_with_force() {
    meet_a_killed_executable(usize::MAX);
}

#[test]
fn what_was_written_between_the_runs_is_kept_and_the_first_state_is_what_an_undo_gives() {
    for script in scripts() {
        let scene = Scene::new();
        scene.load("before");
        let Some((total, _)) = scene.cut(script, BACK, 0) else { return };
        for call in [total * 3 / 5] {
            scene.load("before");
            scene.cut(script, BACK, call);
            let edited = b"written between the runs\n".to_vec();
            for path in ["crates/alpha/src/lib.rs", "crates/alpha/src/fresh.rs", "crates/beta/run.sh"] {
                write(scene.world.at(path), &edited);
            }
            scene.run(script, BACK, "edited between the runs");
            scene.assert_ended(&scene.new, "edited between the runs");
            assert!(contents(&scene.world.dir.join("rollback")).contains(&edited), "killed at {call}");
        }
    }
}

/// With a restore point before that of [`Scene::new`]: its tree and its id.
fn with_an_older_point() -> (Scene, Picture, String) {
    let world = World::new("virtual");
    furnish(&world.root);
    let older = world.picture();
    let id = world.backup().manifest.id.to_string();
    write(world.at("crates/alpha/src/lib.rs"), "pub fn later() {}\n");
    write(world.at("crates/alpha/src/later.rs"), "// later\n");
    remove(world.at("crates/beta/run.sh"));
    let new = world.picture();
    world.backup();
    vandalise(&world.root);
    let scene = Scene { old: world.picture(), new, world };
    scene.save("before");
    (scene, older, id)
}

/// Goes on to another restore point after a kill, and is killed again on the way there: while the first run is undone, or in
/// the second one. The executable ends or takes back whichever of them is open.
fn change_ones_mind(points: fn(Road) -> (u64, u64)) {
    let (scene, older, id) = with_an_older_point();
    let other = ["-t", &id, "-f"];
    for script in scripts() {
        scene.load("before");
        let (mut seen, mut kills) = (Seen::new(), 0);
        let Some((total, _)) = scene.cut(script, BACK, 0) else { return };
        let (firsts, seconds) = points(script);
        for first in (1..=firsts).map(|i| i * total / (firsts + 1)) {
            scene.load("before");
            let before = ended(&scene.world);
            scene.cut(script, BACK, first);
            let when = format!("{script:?} killed at {first} of {total}, then another restore point");
            let is_open = ended(&scene.world) == before;
            scene.save("first");
            let Some((rest, _)) = scene.cut(script, &other, 0) else { return };
            scene.assert_ended(&older, &when);
            scene.run(script, UNDO, &when);
            scene.assert_ended(if is_open { &scene.old } else { &scene.new }, &format!("{when}, undone"));
            for second in spread(rest, seconds).filter(|_| is_open) {
                scene.load("first");
                scene.cut(script, &other, second);
                kills += 1;
                if (scene.is_cut_off() || scene.world.picture() != older) && seen.is_new(&scene) {
                    scene.save("between");
                    let when = format!("{when}, killed at {second} of {rest}");
                    leave_a_changed_mind(&scene, script, &other, &older, &when);
                }
            }
        }
        eprintln!(
            "{script:?}: {kills} second kills, {} different states left by each way",
            seen.states.len()
        );
    }
}

fn leave_a_changed_mind(scene: &Scene, script: Road, other: &[&str], older: &Picture, when: &str) {
    for (args, tree) in [(other, older), (BACK, &scene.new)] {
        scene.load("between");
        scene.run(script, args, when);
        scene.assert_ended(tree, &format!("{when}, then {args:?}"));
        scene.run(script, UNDO, when);
        scene.assert_ended(&scene.old, &format!("{when}, then {args:?}, undone"));
    }
    for args in ["--resume", "--abort"] {
        scene.load("between");
        let when = format!("{when}, then {args} by the executable");
        let (was_open, found) = (scene.is_cut_off(), scene.world.picture());
        scene.run(Road::Executable, &[args], &when);
        let now = scene.world.picture();
        let trees: &[&Picture] = match (was_open, args) {
            (false, _) => &[&found],
            (true, "--abort") => &[&scene.old],
            (true, _) => &[&scene.new, older, &scene.old],
        };
        let tree = trees.iter().find(|tree| now == ***tree).unwrap_or(&trees[0]);
        assert_same(&now, tree, &when);
        // What another run staged, the next one clears.
        scene.run(script, other, &when);
        scene.assert_ended(older, &when);
    }
}

#[test]
fn a_script_that_was_killed_goes_on_to_another_restore_point_and_is_undone_to_the_byte() {
    change_ones_mind(|script| (1, sampled(script, 1, 1)));
}

#[test]
#[ignore = "part of torture: crossed"]
fn a_script_is_killed_at_every_call_on_its_way_to_another_restore_point() {
    change_ones_mind(|_| (3, 20));
}

#[test]
fn neither_a_damaged_journal_nor_a_damaged_record_stops_a_script_with_force() {
    for script in scripts() {
        let scene = Scene::new();
        scene.load("before");
        let Some((total, _)) = scene.cut(script, BACK, 0) else { return };
        let damage = [(true, true), (true, false), (false, true)];
        for (journal, record) in &damage[..sampled(script, 3, if all() { 3 } else { 1 }) as usize] {
            scene.load("before");
            scene.cut(script, BACK, total * 2 / 3);
            let dir = scene.world.dir.join("rollback");
            for entry in fs::read_dir(&dir).unwrap().flatten().map(|e| e.path()) {
                let name = entry.file_name().unwrap().to_string_lossy().into_owned();
                let is_record = name.starts_with("displaced_") && name.ends_with(".list");
                if (*journal && name == "journal") || (*record && is_record) {
                    crate::support::edit::overwrite(&entry, |bytes| bytes[20] ^= 1);
                }
            }
            let when = format!("{script:?}, journal damaged: {journal}, record damaged: {record}");
            scene.run(script, BACK, &when);
            if *record {
                // Nobody knows any more that a directory which has not yet been given its owner was made by a script.
                assert_same(&ownerless(&scene.world.picture()), &ownerless(&scene.new), &when);
            } else {
                scene.assert_ended(&scene.new, &when);
            }
        }
    }
}
