//! Several runs at once, and runs that are killed.

use std::fs;
use std::time::Duration;

use super::{backed_up, backstop, copied, newest, spoil, wait_until};
use crate::support::World;
use crate::support::edit::write;
use crate::support::tree::assert_same;

#[test]
#[ignore = "part of torture: kills"]
fn backups_at_once_all_succeed_with_ids_of_their_own() {
    for existing in [false, true] {
        let world = World::new("virtual");
        if existing {
            backstop(&world.root).arg("backup").ends(0);
        }
        let running: Vec<_> = (0..4)
            .map(|i| backstop(&world.root).args(["backup", "-l", &format!("run{i}")]).spawn())
            .collect();
        let mut ids: Vec<String> =
            running.into_iter().map(|r| r.end().ended(0).field("Backup ID").to_owned()).collect();
        ids.iter_mut().for_each(|id| *id = id.rsplit_once("_backup_").unwrap().1.to_owned());
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 4, "{ids:?}");
        assert_eq!(world.listed().len(), 4 + usize::from(existing));
        backstop(&world.root).args(["validate", "--all"]).ends(0);
    }
}

#[test]
fn rollbacks_and_backups_at_once_leave_the_restore_point_and_whole_points() {
    let world = backed_up();
    let id = newest(&world);
    let good = world.picture();
    spoil(&world.root);
    let running: Vec<_> =
        (0..3).map(|_| copied(&world.dir).args(["rollback", "-f", "-t", &id]).spawn()).collect();
    let codes: Vec<Option<i32>> = running.into_iter().map(|r| r.end().code).collect();
    // Each plans for itself; the one that comes second finds that things moved, or nothing to do.
    assert!(codes.contains(&Some(0)) && codes.iter().all(|c| matches!(c, Some(0 | 3))), "{codes:?}");
    assert_same(&world.picture(), &good, "after rollbacks at once");
    backstop(&world.root).args(["validate", "--all"]).ends(0);
}

#[test]
fn a_run_that_is_killed_while_it_waits_blocks_nobody() {
    let world = backed_up();
    let lock = fs::File::open(world.dir.join("lock")).unwrap();
    lock.lock().unwrap();
    let log = world.temp.path().join("err");
    let mut waiting =
        backstop(&world.root).arg("backup").spawn_with_errors_in(fs::File::create(&log).unwrap());
    wait_until("it waits", || fs::read_to_string(&log).unwrap().contains("waiting"));
    waiting.child.kill().unwrap();
    assert_eq!(waiting.end().signal, Some(9));
    drop(lock);
    backstop(&world.root).args(["backup", "--no-wait"]).ends(0);
    assert_eq!(world.listed().len(), 2);
}

/// A workspace that takes a while.
fn large() -> World {
    let world = World::new("virtual");
    for i in 0..400u32 {
        let text: Vec<u8> = (0..20_000u32).map(|n| (n.wrapping_mul(i + 7) >> 5) as u8).collect();
        write(world.at(format!("crates/alpha/data/{i}")), text);
    }
    world
}

#[test]
#[ignore = "part of torture: kills"]
fn a_backup_that_is_killed_at_any_time_blocks_nobody_and_lists_only_what_is_whole() {
    let world = large();
    backstop(&world.root).arg("backup").ends(0);
    let mut killed = 0;
    for step in 0..8 {
        write(world.at("crates/alpha/data/0"), format!("{step}"));
        let mut running = backstop(&world.root).arg("backup").spawn();
        std::thread::sleep(Duration::from_millis(15 + 18 * step));
        let _ = running.child.kill();
        killed += usize::from(running.end().signal == Some(9));
        // The lock went with its holder.
        backstop(&world.root).args(["list"]).ends(0);
        backstop(&world.root).args(["validate", "--no-wait"]).ends(0);
        if step % 2 == 1 {
            backstop(&world.root).args(["backup", "--no-wait"]).ends(0);
        }
    }
    assert!(killed > 0, "none was killed in time");
    backstop(&world.root).args(["backup", "--no-wait"]).ends(0);
    backstop(&world.root).args(["validate", "--all"]).ends(0);
    let left: Vec<_> = fs::read_dir(&world.dir)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .filter(|n| n.to_string_lossy().contains("staging"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
#[ignore = "part of torture: kills"]
fn a_rollback_that_is_killed_at_any_time_leaves_old_or_new_or_both_ways_out() {
    let world = large();
    backstop(&world.root).arg("backup").ends(0);
    let id = newest(&world);
    let new = world.picture();
    for i in 0..200 {
        write(world.at(format!("crates/alpha/data/{i}")), "changed");
        write(world.at(format!("crates/alpha/more/{i}")), "added");
    }
    spoil(&world.root);
    let old = world.picture();
    let mut seen = Vec::new();
    for step in 0..10 {
        let mut running = copied(&world.dir).args(["rollback", "-f", "-t", &id]).spawn();
        std::thread::sleep(Duration::from_millis(40 + 25 * step));
        let _ = running.child.kill();
        running.end();
        let cut = backstop(&world.root).args(["list", "--format", "json"]).ends(0).json()["cut_off"] == true;
        if cut {
            copied(&world.dir).args(["rollback", "-f", "-t", &id]).ends(4);
            let way = ["--resume", "--abort"][step as usize % 2];
            copied(&world.dir).args(["rollback", way]).ends(0);
            assert_same(
                &world.picture(),
                if step % 2 == 0 { &new } else { &old },
                &format!("killed at {step}, {way}"),
            );
        }
        let now = world.picture();
        assert!(now == old || now == new, "killed at {step}: neither old nor new:\n{}", old.diff(&now));
        seen.push((cut, now == new));
        if now == new {
            copied(&world.dir).args(["rollback", "--undo", "-f"]).ends(0);
            assert_same(&world.picture(), &old, "after the undo");
        }
    }
    eprintln!("(interrupted, came to the new state): {seen:?}");
    backstop(&world.root).args(["validate", "--all"]).ends(0);
}
