//! The checkpoints: each of backstop's own passes and fails for its own reason, and those of the workspace's own run.

use std::fs;
use std::process::ExitCode;

use backstop::check::{Check, Verdict};
use backstop::checkpoint::{Checked, Checkpoints, Surroundings, run};
use backstop::cli::App;

use crate::cli::{backstop, executable, program};
use crate::support::World;
use crate::support::edit::{chmod, overwrite, remove, write};

/// A workspace with a restore point that the executable made: its copy is in the store.
fn world(settings: &str) -> World {
    let world = World::new("virtual");
    let cargo = crate::support::cargo();
    let manifest = fs::read_to_string(world.at("Cargo.toml")).unwrap();
    write(world.at("Cargo.toml"), format!("{manifest}{settings}"));
    write(world.at(".gitignore"), "/target\n");
    program("git", &world.root).args(["init", "-q"]).ends(0);
    program(cargo, &world.root).args(["generate-lockfile", "--offline"]).ends(0);
    backstop(&world.root).arg("backup").ends(0);
    world
}

fn checkpoint(world: &World, only: &str) -> Check {
    let (workspace, store, context) = (world.load(), world.store(), world.context());
    let cargo = crate::support::cargo();
    let scratch = world.temp.path().join("scratch");
    let at = Surroundings {
        workspace: &workspace,
        store: &store,
        cargo: &cargo,
        executable: Some(executable()),
        scratch: &scratch,
        context: &context,
    };
    let mut all = Checkpoints::own();
    all.add_settings(&workspace.settings.checkpoints).unwrap();
    let chosen = all.only(&[only.to_owned()]).unwrap();
    let report = run(&chosen, &at).unwrap();
    assert!(report.file.is_some_and(|f| f.exists()) && report.log.exists());
    report.checkpoints.into_iter().next().unwrap()
}

#[track_caller]
fn fails(world: &World, id: &str, text: &str) {
    let report = checkpoint(world, id);
    let found: Vec<String> = report.findings.iter().map(|f| format!("{}: {}", f.place, f.problem)).collect();
    assert!(!report.passed() && found.join("\n").contains(text), "{found:?}");
}

#[track_caller]
fn passes(world: &World, id: &str) -> Check {
    let report = checkpoint(world, id);
    assert!(report.passed(), "{:?}", report);
    report
}

#[test]
fn cp001_asks_the_six_validations() {
    let world = world("");
    assert_eq!(passes(&world, "CP001").checked, 6);
    let session = world.store().layout().session(&world.latest().id);
    overwrite(session.join("files/crates/alpha/src/lib.rs"), |b| b.push(b'x'));
    fails(&world, "CP001", "FILE_INTEGRITY session_");
}

#[test]
fn cp002_goes_each_road_to_its_end_in_a_scratch_copy() {
    let world = world("");
    let before = (world.picture(), fs::read_dir(world.dir.join("rollback")).unwrap().count());
    let checked = passes(&world, "CP002");
    assert!(checked.checked as usize + checked.notes.len() == 3, "{checked:?}");
    assert_eq!(before.0.diff(&world.picture()), "");
    assert_eq!(
        before.1,
        fs::read_dir(world.dir.join("rollback")).unwrap().count(),
        "the real store is left alone"
    );
    let scratch = fs::read_dir(world.temp.path().join("scratch")).unwrap().count();
    assert_eq!(scratch, 0, "the scratch copy is cleared");
    // What is altered is found, and not run.
    let script = world.dir.join("scripts/rollback.py");
    let trap = world.temp.path().join("trap");
    overwrite(&script, |b| *b = format!("open({:?}, 'w')\n", trap.display().to_string()).into_bytes());
    fails(&world, "CP002", "scripts/rollback.py: is not the script of this program");
    assert!(!trap.exists());
    remove(world.dir.join("scripts/backstop"));
    fails(&world, "CP002", "scripts/backstop: cannot be read");
}

#[test]
fn cp002_finds_a_road_that_brings_back_another_tree() {
    let world = world("");
    // Both copies of a file are damaged: no road can bring it back.
    let (store, listed) = (world.store(), world.latest());
    let session = store.layout().session(&listed.id).join("files/Cargo.toml");
    let archive = store.layout().archive(&listed.label, &listed.id);
    overwrite(session, |b| b.push(b'x'));
    overwrite(archive, |b| b.truncate(30));
    let report = checkpoint(&world, "CP002");
    assert!(!report.passed(), "{:?}", report);
}

#[test]
fn cp003_holds_the_workspace_against_the_newest_restore_point() {
    let world = world("");
    assert!(passes(&world, "CP003").checked > 5);
    write(world.at("crates/alpha/src/lib.rs"), "// other\n");
    write(world.at("crates/alpha/src/new.rs"), "");
    chmod(world.at("crates/alpha/name.txt"), 0o600);
    remove(world.at("crates/alpha/README.md"));
    for text in [
        "lib.rs: has other content",
        "new.rs: was added",
        "name.txt: has another mode",
        "README.md: is missing",
    ] {
        fails(&world, "CP003", text);
    }
    // What lies outside the scope is none of its business.
    backstop(&world.root).arg("backup").ends(0);
    write(world.at("notes/x.md"), "");
    passes(&world, "CP003");
}

#[test]
fn cp004_compiles_and_where_the_settings_ask_tests() {
    let world = world("");
    let checked = passes(&world, "CP004");
    assert!(checked.command.unwrap().ends_with("check --workspace --all-targets --locked"));
    write(world.at("crates/alpha/tests/t.rs"), "#[test]\nfn sums() { assert_eq!(1, 2); }\n");
    passes(&world, "CP004");
    let manifest = fs::read_to_string(world.at("Cargo.toml")).unwrap();
    write(world.at("Cargo.toml"), manifest + "[workspace.metadata.backstop]\ntest = [\"--workspace\"]\n");
    fails(&world, "CP004", "sums: the test fails");
    write(world.at("crates/alpha/tests/t.rs"), "#[test]\nfn sums() { broken }\n");
    fails(&world, "CP004", "crates/alpha/tests/t.rs:2: cannot find value `broken`");
}

#[test]
fn a_compile_of_what_the_newest_restore_point_holds_is_recorded_with_it() {
    let world = world("");
    let compiled = || world.store().status(&world.latest()).compiled.map(|c| c.passed);
    assert_eq!(compiled(), None);
    backstop(&world.root).args(["checkpoint", "--only", "CP004"]).ends(0);
    assert_eq!(compiled(), None, "nobody asked whether it is the same tree");
    backstop(&world.root).args(["checkpoint", "--only", "CP003", "--only", "CP004"]).ends(0);
    assert_eq!(compiled(), Some(true));
    write(world.at("crates/alpha/src/lib.rs"), "broken\n");
    backstop(&world.root).args(["checkpoint", "--only", "CP003", "--only", "CP004"]).ends(1);
    assert_eq!(compiled(), Some(true), "that was another tree");
    backstop(&world.root).arg("backup").ends(0);
    backstop(&world.root).args(["checkpoint", "--only", "CP003", "--only", "CP004"]).ends(1);
    assert_eq!(compiled(), Some(false));
    let scratch = world.temp.path().join("scratch");
    backstop(&world.root)
        .args(["validate", "--drill", "--scratch"])
        .args([scratch])
        .ends(1)
        .prints("faithful copy of a broken tree");
}

#[test]
fn cp005_names_what_is_not_there() {
    let world = world("");
    let checked = passes(&world, "CP005");
    assert!(checked.checked >= 5, "{checked:?}");
    assert!(checked.notes.iter().any(|n| n.contains("git clean")), "{checked:?}");
    let manifest = world.at("crates/alpha/Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    write(&manifest, text.replace("edition", "rust-version = \"1.999\"\nedition"));
    fails(&world, "CP005", "asks for rustc 1.999");
    write(&manifest, text.replace("0.1.0", "0.2.0"));
    fails(&world, "CP005", "Cargo.lock: ");
    write(&manifest, &text);
    write(world.dir.join(".gitignore"), "nothing\n");
    fails(&world, "CP005", "is not ignored by git");
    remove(world.at("Cargo.lock"));
    fails(&world, "CP005", "Cargo.lock: is missing");
}

const OWN: &str = "[[workspace.metadata.backstop.checkpoint]]\nid = \"CP006\"\nname = \"Greets\"\n\
                   run = [\"sh\", \"-c\", \"echo $WORD; pwd; test $WORD = hello\"]\ncwd = \"crates\"\nenv = { WORD = \"hello\" }\n\
                   [[workspace.metadata.backstop.checkpoint]]\nid = \"CP007\"\nname = \"Sleeps\"\nrun = [\"sleep\", \"60\"]\ntimeout = 1\n\
                   [[workspace.metadata.backstop.checkpoint]]\nid = \"CP008\"\nname = \"Complains\"\n\
                   run = [\"sh\", \"-c\", \"echo because >&2; exit 3\"]\n\
                   [[workspace.metadata.backstop.checkpoint]]\nid = \"CP009\"\nname = \"Is nowhere\"\nrun = [\"./no-such-program\"]\n";

#[test]
fn the_workspaces_own_commands_pass_by_exit_code_within_their_time() {
    let world = world(OWN);
    assert_eq!(passes(&world, "CP006").command.unwrap(), "sh -c 'echo $WORD; pwd; test $WORD = hello'");
    fails(&world, "CP007", "time limit of 1.00 s reached");
    fails(&world, "CP008", "exit code 3");
    assert_eq!(checkpoint(&world, "CP008").notes, ["because"]);
    fails(&world, "CP009", "failed to run");
    // All are run, also after one has failed; and it is told before what is run.
    backstop(&world.root)
        .args(["checkpoint", "--only", "CP008", "--only", "cp006"])
        .ends(1)
        .prints("CP006  Greets                    passed  1 command")
        .prints("CP008  Complains                 FAILED")
        .prints("1/2 checkpoints passed")
        .complains("CP006 runs `sh -c 'echo");
    backstop(&world.root)
        .args(["checkpoint", "--only", "CP099"])
        .ends(2)
        .complains("there is no checkpoint `CP099`");
    backstop(&world.root).args(["checkpoint", "--list"]).ends(0).prints("CP009  Is nowhere");
}

#[test]
fn reading_and_rolling_back_never_run_a_command_of_the_settings() {
    let world = world("");
    let trap = world.temp.path().join("trap");
    let manifest = fs::read_to_string(world.at("Cargo.toml")).unwrap();
    write(
        world.at("Cargo.toml"),
        format!(
            "{manifest}[[workspace.metadata.backstop.checkpoint]]\nid = \"CP006\"\nname = \"Trap\"\nrun = [\"touch\", \"{}\"]\n",
            trap.display()
        ),
    );
    for args in [
        &["backup"][..],
        &["list"],
        &["show"],
        &["validate"],
        &["explain", "Cargo.toml"],
        &["checkpoint", "--list"],
    ] {
        backstop(&world.root).args(args).ends(0);
    }
    write(world.at("crates/alpha/src/lib.rs"), "");
    backstop(&world.root).args(["rollback", "-t", "latest", "-f"]).ends(0);
    assert!(!trap.exists());
    backstop(&world.root).args(["checkpoint", "--only", "CP006"]).ends(0);
    assert!(trap.exists());
}

#[test]
fn a_checkpoint_in_rust_counts_finds_and_fails_and_its_id_is_its_own() {
    let world = world("");
    let mut all = Checkpoints::none();
    all.register("CP010", "Counts", |at| Ok(Check::counted(at.workspace.packages.len() as u64, "packages")))
        .unwrap();
    all.register("CP011", "Cannot look", |_| Err("the moon is full".into())).unwrap();
    all.register("CP012", "Looks at nothing", |_| Ok(Check::counted(0, "things"))).unwrap();
    all.register("CP013", "Has no tool", |_| {
        Ok(Check { not_tried: Some("there is no such tool".into()), ..Check::default() })
    })
    .unwrap();
    for id in ["CP010", "CP001", "CP5", "X"] {
        assert!(all.register(id, "no", |_| Ok(Check::default())).is_err(), "{id}");
    }
    let (workspace, store, context) = (world.load(), world.store(), world.context());
    let at = Surroundings {
        workspace: &workspace,
        store: &store,
        cargo: "cargo".as_ref(),
        executable: None,
        scratch: world.temp.path(),
        context: &context,
    };
    let report = run(&all.only(&[]).unwrap(), &at).unwrap();
    let verdicts: Vec<Verdict> = report.checkpoints.iter().map(Check::verdict).collect();
    assert_eq!(verdicts, [Verdict::Passed, Verdict::Failed, Verdict::Failed, Verdict::NotTried]);
    assert_eq!(report.checkpoints[1].findings[0].problem, "the moon is full");
    assert!(!report.passed());
    let written: serde_json::Value =
        serde_json::from_slice(&fs::read(report.file.unwrap()).unwrap()).unwrap();
    assert_eq!(written["checkpoints"][0]["checked"], 2);
}

#[test]
fn a_program_that_embeds_backstop_adds_a_checkpoint_of_its_own() {
    let world = world("");
    let manifest = world.at("Cargo.toml").display().to_string();
    let scratch = world.temp.path().join("scratch").display().to_string();
    let ends = |found: u64| {
        let app = App::new().checkpoint("CP010", "Counts", move |at| {
            // By the name that programs know from before.
            let mut checked = Checked::counted(at.workspace.packages.len() as u64, "packages");
            (0..found).for_each(|_| checked.find("src", "is wrong"));
            Ok(checked.with_remedy("set it right"))
        });
        let args =
            ["backstop", "checkpoint", "--only", "CP010", "-q", "--manifest-path", &manifest, "--scratch"];
        let code = app.run(args.into_iter().chain([scratch.as_str()]).map(Into::into));
        let newest = fs::read_dir(world.dir.join("checkpoints")).unwrap().map(|e| e.unwrap().path()).max();
        let report: serde_json::Value = serde_json::from_slice(&fs::read(newest.unwrap()).unwrap()).unwrap();
        (code == ExitCode::SUCCESS, report["checkpoints"][0].clone())
    };
    let (well, report) = ends(0);
    assert!(well && report["passed"] == true && report["remedy"].is_null(), "{report}");
    assert_eq!(
        (&report["id"], &report["name"], &report["unit"]),
        (&"CP010".into(), &"Counts".into(), &"packages".into())
    );
    let (well, report) = ends(1);
    assert!(!well && report["passed"] == false && report["remedy"] == "set it right", "{report}");
    assert_eq!(report["findings"][0]["place"], "src");
}

#[test]
fn the_reports_for_ci_are_printed_for_checkpoints_alone() {
    let world = world(OWN);
    let report = |format: &str| {
        backstop(&world.root).args(["checkpoint", "--only", "CP008", "--only", "CP003", "--format", format])
    };
    report("junit")
        .ends(1)
        .prints("<testcase classname=\"checkpoints\" name=\"CP008 Complains\"")
        .prints("failures=\"1\"");
    report("github")
        .ends(1)
        .prints("::error title=CP008 Complains::sh -c 'echo because >&2; exit 3': exit code 3");
    let json = report("json").ends(1).json();
    assert_eq!(json["checkpoints"][1]["passed"], false);
    backstop(&world.root).args(["checkpoint", "--list", "--format", "json"]).ends(0).json();
    let wrong = backstop(&world.root).args(["checkpoint", "--list", "--format", "junit"]).ends(2);
    assert!(wrong.out.is_empty(), "{}", wrong.out);
    backstop(&world.root).args(["list", "--format", "junit"]).ends(2).complains("`list` has no such report");
}

#[test]
fn two_runs_in_one_second_have_a_report_each() {
    let world = world("");
    for _ in 0..3 {
        backstop(&world.root).args(["checkpoint", "--only", "CP001"]).ends(0);
    }
    assert_eq!(fs::read_dir(world.dir.join("checkpoints")).unwrap().count(), 3);
}

#[test]
fn cp004_leaves_no_lockfile_that_was_not_there() {
    let world = world("");
    remove(world.at("Cargo.lock"));
    fs::remove_dir_all(world.at("target")).unwrap_or_default();
    let run = backstop(&world.root).args(["checkpoint", "--only", "CP004", "--only", "CP005"]).ends(1);
    assert!(run.out.contains("CP004  System functionality      passed"), "{}", run.out);
    assert!(run.out.contains("Cargo.lock: is missing"), "{}", run.out);
    assert!(run.err.contains("CP004 runs `cargo check --workspace --all-targets`"), "{}", run.err);
    assert!(!world.at("Cargo.lock").exists());
}

#[test]
fn scratch_copies_lie_outside_and_leave_nothing() {
    let world = world("");
    let inside = [world.at("scratch"), world.dir.join("scratch"), world.at("crates/../scratch")];
    for scratch in &inside {
        for command in
            [&["checkpoint", "--only", "CP002"][..], &["validate", "--drill=bytes"], &["preflight"]]
        {
            let run = backstop(&world.root).args(command).arg("--scratch").arg(scratch).ends(2);
            assert!(run.err.contains("the scratch directory"), "{}", run.err);
            assert!(!scratch.exists(), "{command:?} made {}", scratch.display());
        }
    }
    // What a kill left is swept by the next run, and what a live process has is not.
    let scratch = world.temp.path().join("elsewhere");
    let store_id = world.store().info().unwrap().store_id;
    let (dead, alive) = (4_194_303, std::process::id());
    for pid in [dead, alive] {
        write(scratch.join(format!("roads-{store_id}-{pid}/workspace/x")), "");
    }
    backstop(&world.root).args(["checkpoint", "--only", "CP002", "--scratch"]).arg(&scratch).ends(0);
    let left: Vec<_> = fs::read_dir(&scratch).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, [format!("roads-{store_id}-{alive}").as_str()]);
}
