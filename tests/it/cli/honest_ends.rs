//! How a run ends says what was done: also where the report cannot be written, a limit is met, or it failed half way.

use std::fs;

use super::{backed_up, backstop, newest};
use crate::support::World;
use crate::support::edit::{copy_program, overwrite, program, remove, write};

#[test]
fn a_report_that_cannot_be_written_is_a_failure_and_one_that_nobody_reads_is_none() {
    if !std::path::Path::new("/dev/full").exists() {
        eprintln!("skipped: there is no /dev/full");
        return;
    }
    let world = backed_up();
    let in_full = |args: &[&str]| {
        let script = "\"$@\" >/dev/full";
        super::program("sh", &world.root).args(["-c", script, "sh"]).arg(super::executable()).args(args)
    };
    for args in [&["list"][..], &["show"], &["diff"], &["status"], &["list", "--format", "json"], &["man"]] {
        in_full(args).ends(3).complains("failed to write to standard output");
    }
    in_full(&["--help"]).ends(3);
    let before = world.listed().len();
    in_full(&["backup"]).ends(1).complains("failed to write to standard output");
    assert_eq!(world.listed().len(), before + 1, "what was done stays done");
    in_full(&["list", "-q"]).ends(0);
    let read_by_nobody = "trap '' PIPE; { \"$1\" list; echo \"code $?\" >&2; } | true";
    let run =
        super::program("bash", &world.root).args(["-c", read_by_nobody, "bash"]).arg(super::executable());
    run.ends(0).complains("code 0");
}

#[test]
fn a_limit_on_file_sizes_is_an_error_of_that_write() {
    let world = World::new("virtual");
    write(world.at("crates/alpha/big.bin"), vec![7; 300_000]);
    let script = "ulimit -f 64; exec \"$1\" backup";
    let run = super::program("bash", &world.root).args(["-c", script, "bash"]).arg(super::executable());
    run.ends(3).complains("too large").complains("crates/alpha/big.bin: 293.0 KiB").complains("exclude");
    let points = fs::read_dir(&world.dir).into_iter().flatten().flatten();
    let sessions = points.filter(|e| e.file_name().to_string_lossy().starts_with("session_"));
    assert_eq!(sessions.count(), 0, "nothing is left that was not finished");
}

#[test]
fn a_recovery_that_was_cut_off_at_its_last_step_is_finished_by_the_next() {
    let world = backed_up();
    remove(world.dir.join("scripts/backstop"));
    remove(world.dir.join("scripts/rollback.sh"));
    let link = world.dir.join(format!("{}_files", world.latest().label));
    remove(&link);
    backstop(&world.root).arg("recover").ends(0);
    assert!(link.is_symlink(), "the link for people");
    super::copied(&world.dir).args(["show", &newest(&world)]).ends(0);
    backstop(&world.root).args(["validate"]).ends(0);
}

#[test]
fn what_is_not_seen_is_escaped_in_every_form_and_survives_in_json() {
    let world = backed_up();
    let unseen = "a\u{e0041}\u{200b}\u{2028}\u{feff}b";
    backstop(&world.root).args(["backup", "-m", unseen]).ends(0);
    for args in [&["list"][..], &["show"], &["list", "--format", "json"], &["show", "--format", "json"]] {
        let run = backstop(&world.root).args(args).ends(0);
        assert!(run.out.chars().all(|c| !unseen[1..unseen.len() - 1].contains(c)), "{args:?}: {:?}", run.out);
    }
    let listed = backstop(&world.root).args(["list", "--format", "json"]).ends(0).json();
    let message = &listed["restore_points"].as_array().unwrap().last().unwrap()["message"];
    assert_eq!(message, unseen);
}

#[test]
fn what_git_would_trace_does_not_reach_it() {
    let world = backed_up();
    let trace = world.temp.path().join("trace");
    let mut run = backstop(&world.root).arg("backup");
    for name in ["GIT_TRACE", "GIT_TRACE_SETUP", "GIT_TRACE2", "GIT_TRACE2_EVENT", "GIT_TRACE2_PERF"] {
        run = run.env(name, &trace);
    }
    let config = world.temp.path().join("config");
    write(&config, format!("[trace2]\nnormalTarget = {0}\neventTarget = {0}\n", trace.display()));
    run.env("GIT_CONFIG_GLOBAL", config).ends(0);
    assert!(!trace.exists(), "{}", fs::read_to_string(&trace).unwrap_or_default());
}

#[test]
fn another_build_of_the_program_is_no_fault_of_the_store() {
    let world = backed_up();
    let other = world.temp.path().join("backstop");
    copy_program(super::executable(), &other);
    let append = ["-c", "chmod u+w \"$1\" && printf x >>\"$1\"", "sh"];
    assert!(std::process::Command::new("sh").args(append).arg(&other).status().unwrap().success());
    let run = super::program(&other, &world.root).args(["checkpoint", "--only", "CP002"]).ends(0);
    run.prints("scripts/backstop was not tried: it is another build's");
    super::program(&other, &world.root).arg("validate").ends(0);
    // One that store.json does not record is a fault.
    overwrite(world.dir.join("scripts/backstop"), |bytes| bytes.push(0));
    super::program(&other, &world.root).args(["checkpoint", "--only", "CP002"]).ends(1);
}

#[test]
fn what_stands_in_todays_workspace_is_no_fault_of_a_restore_point() {
    let world = backed_up();
    let bin = world.temp.path().join("bin");
    for (code, ends) in [(3, 0), (2, 1)] {
        let dry_run = "case \"$*\" in *--dry-run*) echo 'error: crates is in the way' >&2; exit";
        program(bin.join("bash"), format!("#!/bin/sh\n{dry_run} {code};; esac\n"));
        let run = backstop(&world.root).arg("validate").env("PATH", super::path_with(&bin)).ends(ends);
        run.prints("crates is in the way");
    }
}

#[test]
fn status_says_where_a_rollback_left_the_workspace_and_offers_no_way_to_what_was_just_left() {
    let world = backed_up();
    let old = newest(&world);
    write(world.at("crates/alpha/src/lib.rs"), "// new\n");
    backstop(&world.root).arg("backup").ends(0);
    backstop(&world.root).args(["rollback", "-t", &old, "-f"]).ends(0);
    let run = backstop(&world.root).arg("status").ends(0);
    let run = run.prints(&format!("rolled back to {old}")).prints("no change").prints("rollback --undo");
    assert!(!run.out.contains("latest"), "{}", run.out);
    let plan = backstop(&world.root).args(["rollback", "--undo", "--dry-run"]).ends(0);
    plan.prints("nothing that it changed was edited since");
    write(world.at("crates/alpha/src/lib.rs"), "// after\n");
    let run = backstop(&world.root).arg("status").ends(0).prints("1 path differs").prints("rollback --undo");
    assert!(!run.out.contains("latest"), "{}", run.out);
    let plan = backstop(&world.root).args(["rollback", "--undo", "--dry-run"]).ends(0);
    let said = plan.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("edited since and displaced by the undo: crates/alpha/src/lib.rs"), "{said}");
    backstop(&world.root).args(["rollback", "--undo", "-f"]).ends(0);
    let run = backstop(&world.root).arg("status").ends(0).prints("no change");
    assert!(!run.out.contains("rolled back"), "{}", run.out);
}

#[test]
fn what_failed_or_is_lost_is_said_by_list_and_status() {
    let world = backed_up();
    let listed = world.latest();
    let status = world.store().layout().status(&listed.label, &listed.id);
    write(
        &status,
        "backstop-status 1\ndrilled 2026-11-23T05:42:00Z resolves failed compiles\nworkspace-compiled 2026-11-23T05:42:00Z failed\n",
    );
    for args in [&["list"][..], &["status"]] {
        backstop(&world.root).args(args).ends(0).prints("drill failed: compiles").prints("did not compile");
    }
    remove(world.store().layout().archive(&listed.label, &listed.id));
    backstop(&world.root).arg("status").ends(0).prints("its archive is lost").prints("validate --repair");
    backstop(&world.root).args(["validate", "--repair"]).ends(0);
    let run = backstop(&world.root).arg("status").ends(0);
    assert!(!run.out.contains("lost"), "{}", run.out);
}

#[test]
fn what_is_kept_of_a_rollback_is_read_by_a_validation_of_all() {
    let world = backed_up();
    write(world.at("crates/alpha/src/lib.rs"), "// new\n");
    backstop(&world.root).args(["rollback", "-t", "latest", "-f"]).ends(0);
    backstop(&world.root).args(["validate", "--all"]).ends(0).prints("Earlier rollbacks");
    let kept = fs::read_dir(world.dir.join("rollback")).unwrap().flatten().map(|e| e.path());
    let kept = kept.filter(|path| path.is_dir()).max().unwrap().join("files/crates/alpha/src/lib.rs");
    write(&kept, "// bad\n");
    backstop(&world.root).args(["validate", "--all"]).ends(1).prints("was changed after it was displaced");
    write(&kept, "// new\n");
    backstop(&world.root).args(["validate", "--all", "--format", "json"]).ends(0).json();
    write(world.dir.join("rollback/journal"), "torn");
    backstop(&world.root).args(["validate", "--all"]).ends(1).prints("is damaged");
}
