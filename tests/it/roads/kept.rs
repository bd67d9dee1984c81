//! The scripts in a store: written by `backup`, held against the program by `validate`, run only where they are its
//! own.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use backstop::digest::Digest;
use backstop::store::{ROLLBACK_PY, ROLLBACK_SH, Wait};
use serde_json::{Value, json};

use super::road::{bash, python, tools_without};
use crate::cli::{backed_up, backstop};
use crate::support::World;
use crate::support::edit::{self, chmod, overwrite, remove, write};
use crate::support::tree::assert_same;

const NAMES: &[&str] = &[ROLLBACK_SH, ROLLBACK_PY];

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/rollback").join(name)
}

fn kept(world: &World, name: &str) -> PathBuf {
    world.dir.join("scripts").join(name)
}

fn info(world: &World) -> Value {
    serde_json::from_slice(&fs::read(world.dir.join("store.json")).unwrap()).unwrap()
}

/// What ROLLBACK_SCRIPTS says, and how `validate` ends.
fn judged(world: &World) -> (i32, Value) {
    let run = backstop(&world.root).args(["validate", "--format", "json"]).run();
    let report = run.json();
    let checks = report["restore_points"][0]["validations"].as_array().unwrap();
    let check = checks.iter().find(|c| c["id"] == "ROLLBACK_SCRIPTS").unwrap().clone();
    (run.code.unwrap(), check)
}

fn findings(world: &World, code: i32) -> String {
    let (found, check) = judged(world);
    assert_eq!(found, code, "{check:#}");
    check["findings"].to_string()
}

/// A text that leaves a mark where somebody runs it.
fn trap(world: &World, name: &str) -> (String, PathBuf) {
    let mark = world.temp.path().join("mark");
    let text = if name == ROLLBACK_PY {
        format!("open({:?}, 'w')\n", mark)
    } else {
        format!("touch '{}'\n", mark.display())
    };
    (text, mark)
}

#[test]
fn a_backup_writes_the_scripts_once_and_records_what_they_are() {
    let world = World::new("virtual");
    let report = backstop(&world.root).args(["backup", "--format", "json"]).ends(0).json();
    assert_eq!(report["scripts_written"], json!(NAMES));
    let stamps = || -> Vec<(u64, u32)> {
        let meta = NAMES.iter().map(|name| kept(&world, name).metadata().unwrap());
        meta.map(|m| (m.ino(), m.mode() & 0o7777)).collect()
    };
    let first = stamps();
    for name in NAMES {
        let text = fs::read(kept(&world, name)).unwrap();
        assert!(text == fs::read(source(name)).unwrap(), "{name}");
        assert_eq!(info(&world)["scripts"][name], json!(Digest::of(&text).to_string()));
    }
    assert!(first.iter().all(|(_, mode)| *mode == 0o500), "{first:?}");
    let report = backstop(&world.root).args(["backup", "--format", "json"]).ends(0).json();
    assert_eq!((report["scripts_written"].clone(), stamps()), (json!([]), first));
    let (code, check) = judged(&world);
    assert_eq!((code, &check["findings"], &check["notes"]), (0, &json!([]), &json!([])));
}

#[test]
fn an_altered_script_is_named_never_run_and_written_anew() {
    for name in NAMES {
        let world = backed_up();
        let (text, mark) = trap(&world, name);
        overwrite(kept(&world, name), |bytes| *bytes = text.into_bytes());
        assert!(findings(&world, 1).contains("is not the file that store.json records"), "{name}");
        assert!(!mark.exists(), "{name} was run");
        backstop(&world.root).arg("backup").ends(0);
        assert_eq!(findings(&world, 0), "[]", "{name}");
        assert!(!mark.exists(), "{name} was run");
    }
}

#[test]
#[ignore = "part of torture: roads"]
fn a_script_that_came_with_a_store_is_never_run_whatever_the_store_says_of_it() {
    for name in NAMES {
        let world = backed_up();
        let (text, mark) = trap(&world, name);
        let digest = Digest::of(text.as_bytes()).to_string();
        overwrite(kept(&world, name), |bytes| *bytes = text.into_bytes());
        let mut info = info(&world);
        info["scripts"][name] = digest.into();
        write(world.dir.join("store.json"), info.to_string());
        let (code, check) = judged(&world);
        assert_eq!(code, 0, "{check:#}");
        assert!(check["notes"].to_string().contains("another version's"), "{check:#}");
        backstop(&world.root).arg("backup").ends(0);
        assert_eq!(findings(&world, 0), "[]");
        assert!(!mark.exists(), "{name} was run");
    }
}

#[test]
#[ignore = "part of torture: roads"]
fn a_missing_script_is_a_finding_and_in_a_store_that_never_had_it_a_note() {
    for name in NAMES {
        let world = backed_up();
        remove(kept(&world, name));
        assert!(findings(&world, 1).contains("cannot be read"), "{name}");
        let mut info = info(&world);
        info["scripts"].as_object_mut().unwrap().remove(*name);
        write(world.dir.join("store.json"), info.to_string());
        let (code, check) = judged(&world);
        assert_eq!(code, 0, "{check:#}");
        assert!(check["notes"].to_string().contains(&format!("{name} is not there yet")), "{check:#}");
        backstop(&world.root).arg("backup").ends(0);
        assert!(kept(&world, name).exists());
        assert_eq!(judged(&world).1["notes"], json!([]));
    }
}

#[test]
#[ignore = "part of torture: roads"]
fn a_script_that_may_not_be_executed_is_a_finding_and_mended_by_the_next_backup() {
    for name in NAMES {
        let world = backed_up();
        chmod(kept(&world, name), 0o400);
        assert!(findings(&world, 1).contains("may not be executed"), "{name}");
        backstop(&world.root).arg("backup").ends(0);
        assert_eq!(findings(&world, 0), "[]");
    }
}

#[test]
fn a_missing_interpreter_is_no_fault_and_is_named() {
    let world = World::new("virtual");
    let tools = tools_without(world.temp.path(), &["python"]);
    backstop(&world.root).arg("backup").env("PATH", &tools).ends(0);
    assert!(kept(&world, ROLLBACK_PY).exists());
    let run = backstop(&world.root).arg("validate").env("PATH", &tools).ends(0);
    assert!(run.out.contains("there is no python3 on PATH"), "{}", run.out);
}

#[test]
fn where_a_tool_is_missing_the_bash_script_names_the_other_and_that_is_no_fault() {
    let world = World::new("virtual");
    let tools = tools_without(world.temp.path(), &["flock"]);
    backstop(&world.root).arg("backup").env("PATH", &tools).ends(0);
    crate::cli::spoil(&world.root);
    let spoilt = world.picture();
    let script = crate::cli::program("bash", "/").arg(kept(&world, ROLLBACK_SH)).args(["-t", "latest", "-f"]);
    script.env("PATH", &tools).ends(3).complains("flock").complains("scripts/rollback.py");
    assert_same(&world.picture(), &spoilt, "refused");
    let run = backstop(&world.root).arg("validate").env("PATH", &tools).ends(0);
    assert!(run.out.contains("no dry run of rollback.sh"), "{}", run.out);
}

#[test]
fn an_interpreter_that_does_not_work_is_no_fault_of_the_scripts_and_is_named() {
    let world = World::new("virtual");
    let dir = world.temp.path().join("stubs");
    for name in ["python3", "bash"] {
        edit::program(dir.join(name), "#!/bin/sh\necho 'install the developer tools' >&2\nexit 1\n");
    }
    let path = crate::cli::path_with(&dir);
    backstop(&world.root).arg("backup").env("PATH", &path).ends(0);
    for name in NAMES {
        assert!(kept(&world, name).exists(), "{name}");
    }
    let run = backstop(&world.root).arg("validate").env("PATH", &path).ends(0);
    let unbroken = run.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(unbroken.contains("python3 on PATH does not work"), "{}", run.out);
}

#[test]
fn a_script_that_cannot_be_read_does_not_take_the_place_of_the_last_good_one() {
    let world = backed_up();
    let dir = world.temp.path().join("interpreters");
    // Interpreters that can read no text.
    for name in ["python3", "bash"] {
        let text = "#!/bin/sh\ncase \"$*\" in *'exit 8'*|*compile*) echo boom >&2; exit 8;; esac\n";
        edit::program(dir.join(name), text);
    }
    let path = crate::cli::path_with(&dir);
    for name in NAMES {
        overwrite(kept(&world, name), |bytes| *bytes = b"the last good one\n".to_vec());
    }
    let run = backstop(&world.root).arg("backup").env("PATH", &path).ends(0);
    run.complains("cannot be read by");
    for name in NAMES {
        assert_eq!(fs::read(kept(&world, name)).unwrap(), b"the last good one\n", "{name}");
    }
    let left = fs::read_dir(world.dir.join("scripts")).unwrap().flatten();
    assert!(!left.into_iter().any(|e| e.file_name().to_string_lossy().starts_with('.')), "a copy was left");
    backstop(&world.root).arg("backup").ends(0);
    let run = backstop(&world.root).arg("validate").env("PATH", &path).ends(1);
    assert!(run.out.contains("cannot be read by"), "{}", run.out);
    assert_eq!(findings(&world, 0), "[]");
}

#[test]
fn a_script_is_tried_by_validate_and_not_again_while_it_and_its_interpreter_are_the_same() {
    let (Some(bash), Some(python)) = (bash(), python()) else { return };
    let world = World::new("virtual");
    let (dir, mark) = (world.temp.path().join("interpreters"), world.temp.path().join("mark"));
    for (name, real) in [("bash", bash), ("python3", python)] {
        let (real, mark) = (real.display(), mark.display());
        edit::program(
            dir.join(name),
            format!(
                "#!/bin/sh\ncase \"$*\" in *--dry-run*) echo {name} >>'{mark}';; esac\nexec '{real}' \"$@\"\n"
            ),
        );
    }
    let path = crate::cli::path_with(&dir);
    let tried = |command: &[&str]| {
        remove(&mark);
        let run = backstop(&world.root).args(command).env("PATH", &path).run();
        assert!(matches!(run.code, Some(0 | 1)), "{run:?}");
        let mut names: Vec<String> =
            fs::read_to_string(&mark).unwrap_or_default().lines().map(str::to_owned).collect();
        names.sort();
        names
    };
    assert_eq!(tried(&["backup"]), [""; 0]);
    assert_eq!(tried(&["validate"]), ["bash", "python3"]);
    assert_eq!(tried(&["validate"]), [""; 0], "the cache says it");
    crate::support::edit::set_mtime(dir.join("bash"), 1_000_000_000);
    assert_eq!(tried(&["validate"]), ["bash"], "another interpreter");
    overwrite(world.dir.join("cache/proof_rollback.py"), |bytes| bytes[0] ^= 1);
    assert_eq!(tried(&["validate"]), ["python3"], "another text");
    remove(world.dir.join("cache/proof_rollback.sh"));
    remove(world.dir.join("cache/proof_rollback.py"));
    assert_eq!(tried(&["preflight", "--drill", "manifest"]), ["bash", "python3"], "once in a run");
}

#[test]
fn a_script_is_started_by_its_own_name_too() {
    let world = backed_up();
    for name in NAMES {
        crate::cli::spoil(&world.root);
        let plan = crate::cli::program(kept(&world, name), "/").args(["-t", "latest", "--dry-run"]).ends(0);
        assert!(plan.out.contains("crates/alpha/name.txt"), "{name}: {}", plan.out);
    }
}

#[test]
fn the_scripts_are_written_by_whoever_holds_the_lock_and_names_are_given() {
    let world = World::new("virtual");
    world.backup();
    let store = world.store();
    let context = world.context();
    let lock = store.lock(Wait::No, context.interrupt, context.observer).unwrap();
    assert_eq!(lock.keep_scripts().unwrap(), NAMES);
    assert_eq!(lock.keep_scripts().unwrap(), [""; 0]);
}

#[test]
fn what_a_script_did_is_known_to_the_next_id() {
    let world = World::new("single");
    let id = world.backup().manifest.id;
    for name in ["rollback_{}.journal", "displaced_{}", "rollback_{}.json"] {
        let before = world.backup().manifest.id;
        let given = before.next().next().next();
        write(world.dir.join("rollback").join(name.replace("{}", given.as_str())), "");
        assert_eq!(world.backup().manifest.id, given.next(), "{name} after {id}");
    }
}

/// Old ones stop at a line that they cannot read, and show it; the others come as far as asking.
#[test]
fn a_python_that_is_too_old_is_told_what_else_there_is() {
    let text = fs::read_to_string(source(ROLLBACK_PY)).unwrap();
    let mut lines = text.lines().skip_while(|line| !line.starts_with("import "));
    assert_eq!(lines.next().map(|line| line.starts_with("import posix, sys")), Some(true));
    let shown = lines.next().unwrap();
    assert!(shown.contains(" = f\"") && shown.contains("scripts/rollback.sh"), "{shown}");
    let Some(python) = python() else { return };
    let world = backed_up();
    crate::cli::spoil(&world.root);
    let (script, spoilt) = (kept(&world, ROLLBACK_PY), world.picture());
    overwrite(&script, |bytes| {
        *bytes = text.replace("sys.version_info < (3, 8)", "sys.version_info < (30, 8)").into_bytes();
    });
    let run = crate::cli::program(python, "/").arg(&script).args(["-t", "latest", "-f"]).ends(3);
    run.complains("Python 3.8").complains("scripts/rollback.sh");
    assert_same(&world.picture(), &spoilt, "refused");
}

#[test]
fn the_python_script_is_read_by_python_3_8() {
    let Some(python) = python() else {
        eprintln!("skipped: there is no Python to read it");
        return;
    };
    let text = "import ast, sys; ast.parse(open(sys.argv[1], 'rb').read(), feature_version=(3, 8))";
    let read = Command::new(python).args(["-I", "-c", text]).arg(source(ROLLBACK_PY)).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
}

#[test]
#[ignore = "part of torture: roads"]
fn shellcheck_has_nothing_to_say_of_the_bash_script() {
    let checked = Command::new("shellcheck").arg(source(ROLLBACK_SH)).output();
    let Ok(checked) = checked else {
        eprintln!("skipped: there is no shellcheck");
        return;
    };
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}

#[test]
fn a_store_beside_the_workspaces_own_gets_its_scripts_too() {
    let world = World::new("single");
    backstop(&world.root).arg("backup").ends(0);
    let other = world.temp.path().join("other");
    let run = backstop(&world.root).arg("--store").arg(&other).arg("backup").ends(0);
    assert!(!run.err.contains("fails at a dry run"), "{}", run.err);
    for name in ["backstop", "rollback.sh", "rollback.py"] {
        assert!(other.join("scripts").join(name).exists(), "{name}: {}", run.err);
    }
}
