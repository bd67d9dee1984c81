//! Which restore points stay, and that what goes comes back whole from the trash, also where it was interrupted.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use backstop::ErrorKind;
use backstop::clock::{parse_rfc3339, rfc3339_seconds};
use backstop::fsx::Fs;
use backstop::manifest::Id;
use backstop::retention::{
    DEFAULT, PruneOutcome, PrunePlan, Rule, Span, apply_prune, empty_trash, plan_prune, restore_from_trash,
};
use backstop::rollback::RollbackOptions;
use backstop::store::{Pin, Selector, Trashed, Wait};

use crate::cli::backstop;
use crate::support::World;
use crate::support::edit::{overwrite, remove, write};
use crate::support::probe::{Cutter, Failer};

fn world() -> World {
    World::new("single")
}

/// One restore point, made `hours` after the last; its content is its own.
fn point(world: &World, hours: u64) -> Id {
    world.clock.set(world.clock.peek() + Duration::from_secs(hours * 3600));
    write(world.at("src/lib.rs"), format!("// {hours} {:?}\n", world.clock.peek()));
    world.backup().manifest.id
}

fn plan(world: &World, rule: &Rule) -> PrunePlan {
    plan_prune(&world.store(), rule, Span::days(7), &world.context()).unwrap_or_else(|e| panic!("{e}"))
}

fn prune_with(world: &World, rule: &Rule, fs: &Fs) -> backstop::Result<PruneOutcome> {
    let store = world.store_with(fs)?;
    let context = world.context();
    let lock = store.lock(Wait::Yes, context.interrupt, context.observer)?;
    let plan = plan_prune(&store, rule, Span::days(7), &context)?;
    apply_prune(&lock, &plan, &context)
}

fn prune(world: &World, rule: &Rule) -> PruneOutcome {
    prune_with(world, rule, &Fs::real())
        .unwrap_or_else(|e| panic!("{e}: {:?}", std::error::Error::source(&e)))
}

fn last(n: u32) -> Rule {
    Rule { last: n, ..Rule::default() }
}

fn ids(world: &World) -> Vec<String> {
    world.listed().iter().map(|l| l.id.to_string()).collect()
}

fn restore(world: &World, id: &str, fs: &Fs) -> backstop::Result<Trashed> {
    let store = world.store_with(fs)?;
    let context = world.context();
    let lock = store.lock(Wait::Yes, context.interrupt, context.observer)?;
    restore_from_trash(&lock, &Selector::Prefix(id.into()), &context)
}

/// Everything that is listed is whole.
#[track_caller]
fn all_whole(world: &World, wher: &str) {
    for listed in world.listed() {
        assert_eq!(world.findings(&listed), Vec::<String>::new(), "{wher}: {}", listed.id);
    }
}

/// 300 restore points over 300 days, made by a scripted clock. `cargo test --test it -- --nocapture three_hundred`
/// shows which stay and why.
#[test]
#[ignore = "part of torture: scale"]
fn three_hundred_restore_points_are_pruned_by_the_default_rule() {
    let world = world();
    world.clock.set(parse_rfc3339("2026-01-28T09:00:00Z").unwrap());
    for _ in 0..300 {
        point(&world, 24);
    }
    let plan = plan(&world, &DEFAULT);
    for kept in plan.points.iter().filter(|p| !p.reasons.is_empty()) {
        eprintln!("{}  {}", rfc3339_seconds(kept.created), kept.reasons.join(", "));
    }
    let staying: Vec<&str> = plan
        .points
        .iter()
        .filter(|p| !p.reasons.is_empty())
        .map(|p| p.listed.id.as_str().split_once('_').unwrap().0)
        .collect();
    // The newest of each of 14 days, of 8 ISO weeks and of 6 months.
    let expected = [
        "20260630", "20260731", "20260831", "20260930", "20261011", "20261018", "20261025", "20261031",
        "20261101", "20261108", "20261111", "20261112", "20261113", "20261114", "20261115", "20261116",
        "20261117", "20261118", "20261119", "20261120", "20261121", "20261122", "20261123", "20261124",
    ];
    assert_eq!(plan.points.len(), 300);
    let newest = plan.points.last().unwrap();
    assert!(
        newest.reasons.contains(&"the newest".to_owned()) && newest.reasons.contains(&"last 1".to_owned())
    );
    assert_eq!(
        staying,
        expected,
        "{:#?}",
        plan.points.iter().filter(|p| !p.reasons.is_empty()).collect::<Vec<_>>()
    );
    let gone = prune(&world, &DEFAULT);
    assert_eq!((gone.pruned.len(), world.listed().len()), (300 - expected.len(), expected.len()));
    all_whole(&world, "after a prune");
    // Nothing more goes, and nothing new gets the id of one that went.
    assert!(prune(&world, &DEFAULT).pruned.is_empty());
}

#[test]
fn what_is_pinned_or_the_newest_that_is_whole_stays_whatever_the_rule_says() {
    let world = world();
    let made: Vec<Id> = (0..6).map(|_| point(&world, 1)).collect();
    let listed = world.listed();
    let store = world.store();
    {
        let context = world.context();
        let lock = store.lock(Wait::Yes, context.interrupt, context.observer).unwrap();
        let pin = Some(Pin { at: Some(world.clock.peek()), message: Some("the release".into()) });
        lock.update_status(&listed[1], |status| status.pinned = pin).unwrap();
    }
    // The two newest are damaged.
    for l in &listed[4..] {
        let layout = store.layout();
        overwrite(layout.metadata(&l.label, &l.id), |b| b.truncate(10));
        overwrite(layout.session_manifest(&l.id), |b| b.truncate(10));
    }
    let plan = plan(&world, &last(1));
    let told: Vec<String> = plan.points.iter().map(|p| p.reasons.join(", ")).collect();
    assert_eq!(told, ["", "pinned: the release", "", "the newest that is whole", "", "the newest, last 1"]);
    prune(&world, &last(1));
    let kept: Vec<String> = [&made[1], &made[3], &made[5]].iter().map(|id| id.to_string()).collect();
    assert_eq!(ids(&world), kept);
    assert!(
        plan_prune(&store, &Rule::default(), Span::days(7), &world.context()).is_err(),
        "a rule that keeps nothing"
    );
}

#[test]
fn what_an_undo_needs_stays_and_what_old_rollbacks_displaced_goes() {
    let world = world();
    let target = point(&world, 1);
    for _ in 0..5 {
        write(world.at("src/lib.rs"), format!("// edited {:?}\n", world.clock.peek()));
        let plan = world.plan_with(&world.listed()[0], &RollbackOptions::default(), &Fs::real()).unwrap();
        world.apply_with(plan, &Fs::real()).unwrap();
        point(&world, 24 * 40);
    }
    let before = fs::read_to_string(world.at("src/lib.rs")).unwrap();
    let plan = plan(&world, &last(1));
    let of = |id: &Id| plan.points.iter().find(|p| p.listed.id == *id).unwrap().reasons.join(", ");
    assert!(of(&target).contains("undoing rollback"), "{}", of(&target));
    let own: Vec<bool> =
        plan.points.iter().filter(|p| p.listed.is_pre_rollback()).map(|p| !p.reasons.is_empty()).collect();
    assert_eq!(own, [false, false, true, true, true]);
    let rollbacks: Vec<bool> = plan.rollbacks.iter().map(|r| !r.reasons.is_empty()).collect();
    assert_eq!(rollbacks, [false, false, true, true, true]);
    let gone = prune(&world, &last(1));
    assert_eq!((gone.rollbacks.len(), world.listed().len()), (2, 1 + 3 + 1));
    all_whole(&world, "after a prune");
    // What an old rollback displaced comes back from the trash too.
    let oldest = &gone.rollbacks[0];
    let displaced = world.store().layout().displaced(oldest);
    assert!(!displaced.exists());
    let words = backstop(&world.root).args(["prune", "--restore", &format!("rollback_{oldest}")]).ends(0);
    assert!(
        words.out.contains(&format!("What it displaced lies in {}", displaced.display())),
        "{}",
        words.out
    );
    assert!(fs::read_to_string(displaced.join("files/src/lib.rs")).unwrap().starts_with("// edited"));
    restore(&world, gone.rollbacks[1].as_str(), &Fs::real()).unwrap();
    assert!(world.store().trash().iter().all(|t| t.label.is_some()));
    world.undo();
    assert_ne!(fs::read_to_string(world.at("src/lib.rs")).unwrap(), before, "the newest rollback was undone");
}

#[test]
fn what_is_in_the_trash_is_not_listed_comes_back_whole_and_goes_when_its_time_is_over() {
    let world = world();
    let made: Vec<Id> = (0..4).map(|_| point(&world, 24)).collect();
    let first = world.listed()[0].clone();
    {
        let (store, context) = (world.store(), world.context());
        let lock = store.lock(Wait::Yes, context.interrupt, context.observer).unwrap();
        lock.update_status(&first, |s| s.pinned = Some(Pin { at: None, message: None })).unwrap();
        lock.update_status(&first, |s| s.pinned = None).unwrap();
    }
    prune(&world, &last(1));
    assert_eq!(ids(&world), [made[3].to_string()]);
    assert_eq!(world.store().trash().len(), 3);
    let link = fs::read_link(world.dir.join("it_files")).unwrap();
    assert_eq!(link.to_string_lossy(), format!("session_{}/files", made[3]));
    assert_eq!(
        restore(&world, made[1].as_str(), &Fs::real()).unwrap().shown(),
        format!("it_backup_{}", made[1])
    );
    assert_eq!(ids(&world), [made[1].to_string(), made[3].to_string()]);
    all_whole(&world, "brought back");
    let e = restore(&world, made[1].as_str(), &Fs::real()).unwrap_err();
    assert!(e.help().unwrap().contains(made[0].as_str()), "{e}: {:?}", e.help());
    // Six days later it is still there; eight days later it is deleted for good.
    world.clock.set(world.clock.peek() + Duration::from_secs(6 * 86_400));
    assert_eq!(prune(&world, &last(9)).deleted, 0);
    world.clock.set(world.clock.peek() + Duration::from_secs(2 * 86_400));
    assert_eq!(prune(&world, &last(9)).deleted, 2);
    assert!(world.store().trash().is_empty());
    all_whole(&world, "after the trash was emptied");
    // Ids only ever rise, also above what only the trash holds.
    prune(&world, &last(1));
    let json = world.dir.join("store.json");
    let text = fs::read_to_string(&json).unwrap();
    write(&json, text.replace("\"last_id\"", "\"was\""));
    world.clock.set(parse_rfc3339("2026-01-01T00:00:00Z").unwrap());
    assert!(point(&world, 0) > made[3]);
}

#[test]
fn files_that_restore_points_share_survive_the_one_in_the_middle() {
    let world = world();
    write(world.at("big.bin"), vec![7; 100_000]);
    let made: Vec<Id> = (0..3).map(|_| point(&world, 1)).collect();
    {
        let (store, context) = (world.store(), world.context());
        let lock = store.lock(Wait::Yes, context.interrupt, context.observer).unwrap();
        lock.update_status(&world.listed()[0], |s| s.pinned = Some(Pin { at: None, message: None })).unwrap();
        let plan = plan(&world, &last(1));
        assert_eq!(plan.leaving().count(), 1);
        assert!(plan.freed < 100_000, "what others share is not freed: {}", plan.freed);
        apply_prune(&lock, &plan, &context).unwrap();
        empty_trash(&lock, &context).unwrap();
    }
    assert_eq!(ids(&world), [made[0].to_string(), made[2].to_string()]);
    all_whole(&world, "without the one in the middle");
}

/// What stands in the store of restore points, listed or in the trash.
fn known(world: &World) -> BTreeSet<String> {
    let trash = world.store().trash();
    ids(world).into_iter().chain(trash.into_iter().map(|t| t.id.to_string())).collect()
}

/// Cuts an operation at every mutating call. After each, everything is listed and whole, or in the trash; the next
/// writer finishes it, and what is in the trash comes back whole.
fn cut_everywhere(name: &str, prepare: impl Fn(&World), operation: impl Fn(&World, &Fs) -> bool) {
    let origin = world();
    for _ in 0..3 {
        point(&origin, 24);
    }
    prepare(&origin);
    let all = known(&origin);
    let mut cuts = 0;
    for calls in 0.. {
        let world = origin.copied();
        let cutter = Arc::new(Cutter::after(calls));
        operation(&world, &Fs::probed(cutter.clone()));
        if cutter.refused() == 0 {
            break;
        }
        cuts += 1;
        let wher = format!("{name} cut at call {calls}: {}", cutter.at());
        all_whole(&world, &wher);
        // A reader sees each once.
        assert!(known(&world).is_subset(&all), "{wher}");
        prune(&world, &last(9));
        all_whole(&world, &wher);
        if name != "empty" {
            assert_eq!(known(&world), all, "{wher}");
        }
        for trashed in world.store().trash() {
            restore(&world, trashed.id.as_str(), &Fs::real()).unwrap_or_else(|e| panic!("{wher}: {e}"));
        }
        all_whole(&world, &wher);
        assert!(world.store().trash().is_empty(), "{wher}");
    }
    assert!(cuts > 5, "{name}: {cuts}");
}

#[test]
fn a_prune_that_is_cut_off_leaves_everything_listed_or_in_the_trash() {
    cut_everywhere("prune", |_| {}, |world, fs| prune_with(world, &last(1), fs).is_ok());
}

#[test]
fn a_restore_from_the_trash_that_is_cut_off_leaves_it_in_the_trash_or_listed() {
    let pruned = |world: &World| drop(prune(world, &last(1)));
    cut_everywhere("restore", pruned, |world, fs| {
        let first = world.store().trash()[0].id.to_string();
        restore(world, &first, fs).is_ok()
    });
}

#[test]
fn an_emptying_that_is_cut_off_leaves_what_is_whole_or_nothing() {
    let pruned = |world: &World| drop(prune(world, &last(1)));
    cut_everywhere("empty", pruned, |world, fs| {
        let Ok(store) = world.store_with(fs) else { return false };
        let context = world.context();
        let Ok(lock) = store.lock(Wait::Yes, context.interrupt, context.observer) else { return false };
        empty_trash(&lock, &context).is_ok()
    });
}

#[test]
fn the_commands_prune_pin_restore_and_empty() {
    let world = World::new("single");
    for _ in 0..3 {
        backstop(&world.root).arg("backup").ends(0);
    }
    let made = ids(&world);
    backstop(&world.root).args(["pin", &made[0], "-m", "before the release"]).ends(0).prints("Pinned ");
    let dry = backstop(&world.root).args(["prune", "--keep-last", "1", "--dry-run"]).ends(0);
    assert!(
        dry.out.contains("pinned: before the release") && dry.out.contains("1 restore point of 3 would go"),
        "{}",
        dry.out
    );
    assert_eq!(ids(&world), made, "a dry run changes nothing");
    backstop(&world.root).args(["prune", "--keep-last", "1"]).ends(0).prints("Pruned: 1 restore point of 3");
    assert_eq!(ids(&world), [made[0].clone(), made[2].clone()]);
    backstop(&world.root).args(["rollback", "-t", &made[1], "--dry-run"]).ends(2);
    backstop(&world.root).args(["prune", "--restore", &made[1]]).ends(0).prints("Brought back");
    backstop(&world.root).args(["validate", "--all"]).ends(0).prints("3/3 restore points passed");
    backstop(&world.root).args(["unpin", &made[0]]).ends(0).prints("Unpinned ");
    backstop(&world.root)
        .args(["prune", "--keep-within", "1h"])
        .ends(0)
        .prints("Nothing to prune: all 3 stay");
    backstop(&world.root).args(["prune", "--keep-last", "1", "--format", "json"]).ends(0).json();
    backstop(&world.root).args(["prune", "--empty-trash"]).ends(3).complains("--force");
    backstop(&world.root)
        .args(["prune", "--empty-trash", "-f"])
        .ends(0)
        .prints("Deleted 2 things in the trash");
    backstop(&world.root).args(["prune", "--restore", &made[1]]).ends(2);
    for wrong in [&["--keep-within", "soon"][..], &["--keep-last", "0"], &["--keep-last", "x"]] {
        backstop(&world.root).arg("prune").args(wrong).ends(2);
    }
    backstop(&world.root).args(["pin", "--format", "json"]).ends(0).json();
    backstop(&world.root).args(["unpin", "--format", "json"]).ends(0).json();
}

#[test]
fn a_backup_prunes_where_the_settings_have_a_rule_and_else_never() {
    let world = World::new("single");
    for _ in 0..3 {
        backstop(&world.root).arg("backup").ends(0);
    }
    assert_eq!(ids(&world).len(), 3);
    let manifest = fs::read_to_string(world.at("Cargo.toml")).unwrap();
    write(
        world.at("Cargo.toml"),
        format!("{manifest}\n[package.metadata.backstop]\nkeep = {{ last = 2 }}\n"),
    );
    backstop(&world.root).arg("backup").ends(0).complains("2 older restore points were moved to the trash");
    assert_eq!(ids(&world).len(), 2);
    // Without flags, `prune` takes the settings' rule.
    backstop(&world.root).args(["prune", "--dry-run"]).ends(0).prints("The rule: last 2");
    write(
        world.at("Cargo.toml"),
        format!("{manifest}\n[package.metadata.backstop]\nkeep = {{ within = \"soon\" }}\n"),
    );
    backstop(&world.root).arg("prune").ends(2).complains("`within` in the settings");
    backstop(&world.root).arg("backup").ends(0).complains("nothing was pruned");
}

#[test]
#[ignore = "part of torture: scale"]
fn a_backup_says_where_restore_points_pile_up_and_no_rule_prunes_them() {
    let world = world();
    for _ in 0..48 {
        point(&world, 1);
    }
    world.clock.set(std::time::SystemTime::now());
    let run = backstop(&world.root).arg("backup").ends(0);
    assert!(!run.err.contains("no rule prunes them"), "49: {}", run.err);
    let run = backstop(&world.root).arg("backup").ends(0);
    assert!(
        run.err.replace("\n     ", "").contains("50 restore points, and no rule prunes them"),
        "{}",
        run.err
    );
    write(
        world.at("Cargo.toml"),
        format!(
            "{}\n[package.metadata.backstop]\nkeep = {{ last = 90 }}\n",
            fs::read_to_string(world.at("Cargo.toml")).unwrap()
        ),
    );
    let run = backstop(&world.root).arg("backup").ends(0);
    assert!(!run.err.contains("no rule prunes them"), "{}", run.err);
}

#[test]
fn a_store_between_two_states_is_not_pruned() {
    let (world, _, _) = crate::cli::cut_off();
    backstop(&world.root).args(["prune", "--keep-last", "1"]).ends(4).complains("--resume");
}

#[test]
fn old_logs_are_compressed_and_the_oldest_dropped() {
    let world = World::new("single");
    backstop(&world.root).arg("backup").ends(0);
    let logs = world.dir.join("logs");
    for n in 0..360u32 {
        write(
            logs.join(format!("backup_20250101_{:02}{:02}{:02}.log", n / 60, n % 60, 0)),
            format!("run {n}\n"),
        );
    }
    write(logs.join("notes.txt"), "not a log\n");
    backstop(&world.root).arg("backup").ends(0);
    let names = |end: &str| -> Vec<String> {
        let all = fs::read_dir(&logs).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = all.filter(|n| n.starts_with("backup_") && n.ends_with(end)).collect();
        names.sort();
        names
    };
    assert_eq!((names(".log").len(), names(".log.gz").len()), (30, 270));
    let unpacked = crate::cli::program("gzip", &logs).args(["-dc", "--"]).arg(&names(".log.gz")[0]).ends(0);
    assert!(unpacked.out.starts_with("run "), "{}", unpacked.out);
    assert!(logs.join("notes.txt").exists());
    remove(logs.join("notes.txt"));
}

#[test]
fn names_that_are_almost_the_stores_own_are_nobodys_to_remove() {
    let world = World::new("single");
    world.backup();
    let kept = ["trash/.mine/x", "trash/.new_notes", "rollback/stage_notes/x", ".session_notes.staging/x"];
    kept.iter().for_each(|path| write(world.dir.join(path), "mine\n"));
    remove(world.dir.join("it_files"));
    write(world.dir.join("it_files"), "mine\n");
    write(world.dir.join(".other_files.new"), "mine\n");
    world.backup();
    for path in kept.iter().chain(&["it_files", ".other_files.new"]) {
        assert!(world.dir.join(path).is_file(), "{path}");
    }
}

#[test]
fn a_prune_that_failed_half_way_says_what_it_moved_and_one_that_moved_nothing_fails_as_before() {
    let origin = world();
    (0..3).for_each(|_| drop(point(&origin, 1)));
    let before = ids(&origin);
    let mut halves = 0;
    for call in 0.. {
        let world = origin.copied();
        let failer = Arc::new(Failer::at(call, rustix::io::Errno::IO.raw_os_error()));
        let result = prune_with(&world, &last(1), &Fs::probed(failer.clone()));
        if failer.failed().is_none() {
            result.unwrap();
            break;
        }
        let Err(error) = result else { continue };
        let whole: Vec<&String> = before
            .iter()
            .filter(|id| error.details().iter().any(|line| line.contains(*id) && line.contains("trash")))
            .collect();
        assert_eq!(error.kind() == ErrorKind::Partial, !whole.is_empty(), "{call}: {error:?}");
        assert!(whole.iter().all(|id| !ids(&world).contains(id)), "{call}: {error:?}");
        halves += usize::from(!whole.is_empty());
    }
    assert!(halves > 3, "only {halves} calls failed half way");
}
