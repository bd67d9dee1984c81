//! The list that a rollback script reads of a restore point.

use std::collections::BTreeMap;
use std::fs;

use backstop::digest::Digest;
use backstop::manifest::Manifest;
use backstop::rollback::RollbackOptions;
use backstop::store::Listed;

use crate::cli::backstop;
use crate::golden::unpacked;
use crate::support::edit::{overwrite, remove, write};
use crate::support::{World, target_directory_is_elsewhere};

/// The sections of a list: each has as many records as it says, of as many fields as its name asks for.
fn sections(bytes: &[u8]) -> BTreeMap<String, Vec<Vec<String>>> {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let body = text.strip_suffix('\0').unwrap();
    let (data, digest) = body.rsplit_once("end\0").unwrap();
    assert_eq!(digest, Digest::of(data.as_bytes()).to_string(), "the seal");
    let mut fields = data.strip_suffix('\0').unwrap().split('\0').map(str::to_owned);
    let mut out = BTreeMap::new();
    let mut order = Vec::new();
    while let Some(name) = fields.next() {
        let mut take = |n: usize| (0..n).map(|_| fields.next().unwrap()).collect::<Vec<_>>();
        let width = match name.as_str() {
            "backstop-list" => 0,
            "root" | "origin" | "archive" | "scope" => 0,
            "entries" => 7,
            "excluded" | "included" | "checkouts" => 3,
            "unprotected-directories"
            | "root-entries"
            | "members"
            | "member-exclude"
            | "target-directories" => 1,
            "roots" | "directories" | "ignored" | "foreign-packages" | "packages" => 2,
            other => panic!("an unknown section {other:?} behind {order:?}"),
        };
        let records = match (name.as_str(), width) {
            ("backstop-list", _) => vec![take(5)],
            ("scope", _) => vec![take(2)],
            (_, 0) => vec![take(1)],
            (name, width) => {
                let n: usize = take(1)[0].parse().unwrap();
                let record = |_| {
                    let mut record = take(width);
                    if name == "packages" {
                        let more = take(1)[0].parse().unwrap();
                        record.extend(take(more));
                    }
                    record
                };
                (0..n).map(record).collect()
            }
        };
        order.push(name.clone());
        assert!(out.insert(name, records).is_none(), "a section twice: {order:?}");
    }
    let agreed = "backstop-list root origin archive roots scope entries directories ignored foreign-packages \
                  unprotected-directories root-entries excluded members member-exclude target-directories packages";
    // Older manifests have nothing to say of the last two.
    assert_eq!(order.join(" ").trim_end_matches(" included checkouts"), agreed);
    out
}

fn read(world: &World, listed: &Listed) -> BTreeMap<String, Vec<Vec<String>>> {
    sections(&fs::read(world.store().layout().list(&listed.label, &listed.id)).unwrap())
}

/// What all six validations say of a restore point's list.
fn said(world: &World, listed: &Listed) -> String {
    let report = world.validate(listed);
    let of_list = report.checks.iter().flat_map(|c| &c.findings).filter(|f| f.place.ends_with(".list"));
    of_list.map(|f| f.problem.clone()).collect::<Vec<_>>().join("; ")
}

fn manifest(world: &World, listed: &Listed) -> Manifest {
    world.store().manifest(listed).unwrap()
}

#[test]
fn a_list_holds_all_that_a_script_needs() {
    let world = World::new("single");
    overwrite(world.at("Cargo.toml"), |text| {
        text.extend_from_slice(
            b"\n[workspace]\nmembers = [\"crates/*\"]\nexclude = ['old/*', \"b\\u0061d\"]\n",
        );
    });
    write(
        world.at("crates/one/Cargo.toml"),
        "[package]\nname = \"one\"\nversion = \"0.1.0\"\nedition = \"2021\"\n",
    );
    write(world.at("crates/one/src/lib.rs"), "");
    world.backup();
    let listed = world.latest();
    let (list, manifest) = (read(&world, &listed), manifest(&world, &listed));
    let one = |name: &str| list[name].iter().map(|r| r.join("|")).collect::<Vec<_>>();
    assert_eq!(one("members"), ["crates/*"]);
    assert_eq!(one("member-exclude"), ["old/*", "bad"]);
    if !target_directory_is_elsewhere() {
        assert_eq!(one("target-directories"), ["target"]);
    }
    assert_eq!((one("root"), one("origin")), (vec!["..".to_owned()], vec!["backup".to_owned()]));
    assert_eq!(one("archive"), [format!("{}.tar.gz", listed.backup_id())]);
    assert_eq!(
        list["backstop-list"][0],
        ["2", &listed.backup_id(), listed.id.as_str(), "it", &manifest.root_hash.to_string()]
    );
    assert_eq!(list["entries"].len(), manifest.entries.len());
    let file = list["entries"].iter().find(|e| e[1] == "crates/one/Cargo.toml").unwrap();
    let digest = Digest::of(&fs::read(world.at("crates/one/Cargo.toml")).unwrap()).to_string();
    assert_eq!((file[0].as_str(), file[2].as_str(), &file[5]), ("", "file", &digest));
    assert!(
        one("packages").contains(&"|crates/one|crates/one/src/lib.rs".to_owned()),
        "{:?}",
        one("packages")
    );
}

#[test]
fn what_a_rollback_makes_of_the_present_says_so() {
    let world = World::new("single");
    world.backup();
    write(world.at("src/lib.rs"), "// another\n");
    world.rollback(&RollbackOptions::default());
    let present = world.listed().into_iter().find(Listed::is_pre_rollback).unwrap();
    let list = read(&world, &present);
    assert_eq!(list["origin"], [["pre_rollback"]]);
    assert_eq!(list["target-directories"], read(&world, &world.latest())["target-directories"]);
}

#[test]
fn a_restore_point_from_before_there_were_lists_passes_and_gets_its_list_from_the_next_backup() {
    let (temp, store) = unpacked("store-v1.tar.gz");
    let world = World::opened(temp, store.root().to_path_buf());
    let old = world.latest();
    let path = store.layout().list(&old.label, &old.id);
    assert!(!path.exists());
    world.rollback(&RollbackOptions::default());
    assert!(!path.exists(), "a rollback writes nothing of old restore points");
    assert_eq!((world.findings(&old), said(&world, &old)), (vec![], String::new()));
    world.backup();
    let list = read(&world, &old);
    assert_eq!((world.findings(&old), said(&world, &old)), (vec![], String::new()));
    assert_eq!(list["origin"], [["backup"]]);
    // What its manifest does not say stands in the root manifest that it holds.
    let kept = store.layout().session(&old.id).join("files/Cargo.toml");
    let text = fs::read_to_string(&kept).unwrap();
    assert!(!list["members"].is_empty());
    assert!(list["members"].iter().all(|m| text.contains(&format!("\"{}\"", m[0]))), "{text}");
}

#[test]
fn a_list_that_is_lost_cut_old_or_of_another_place_is_found_and_the_next_backup_writes_it_again() {
    let world = World::new("single");
    world.backup();
    let first = world.latest();
    let path = world.store().layout().list(&first.label, &first.id);
    let whole = fs::read(&path).unwrap();
    let text = String::from_utf8(whole.clone()).unwrap();
    let changed = |from: &str, to: &str| {
        assert!(text.contains(from));
        text.replacen(from, to, 1).into_bytes()
    };
    for bytes in [
        None,
        Some(Vec::new()),
        Some(whole[..40].to_vec()),
        Some(changed("backstop-list\x002\0", "backstop-list\x001\0")),
        Some(changed("root\0..\0", "root\0../elsewhere\0")),
    ] {
        match &bytes {
            None => remove(&path),
            Some(bytes) => overwrite(&path, |b| b.clone_from(bytes)),
        }
        assert_ne!(said(&world, &first), "", "{bytes:?} passes");
        world.backup();
        assert_eq!(fs::read(&path).unwrap(), whole, "{bytes:?}");
        assert_eq!(said(&world, &first), "");
    }
}

#[test]
fn a_list_from_before_its_last_fields_passes() {
    let world = World::new("single");
    world.backup();
    let listed = world.latest();
    let path = world.store().layout().list(&listed.label, &listed.id);
    overwrite(&path, without_last_fields);
    assert_eq!(said(&world, &listed), "");
    overwrite(&path, |bytes| {
        let at = bytes.windows(8).position(|w| w == b"packages").unwrap();
        reseal(bytes, at);
    });
    assert_ne!(said(&world, &listed), "", "one that says less passes");
}

/// Makes of a list what an older version wrote.
pub(crate) fn without_last_fields(bytes: &mut Vec<u8>) {
    let at = bytes.windows(10).rposition(|w| w == b"\0included\0").unwrap() + 1;
    reseal(bytes, at);
}

/// Cuts off the fields behind `at`, and seals what is left.
fn reseal(bytes: &mut Vec<u8>, at: usize) {
    bytes.truncate(at);
    let digest = Digest::of(bytes).to_string();
    bytes.extend_from_slice(format!("end\0{digest}\0").as_bytes());
}

#[test]
fn a_list_of_another_version_is_called_that_and_not_damaged() {
    let world = World::new("single");
    world.backup();
    let listed = world.latest();
    let path = world.store().layout().list(&listed.label, &listed.id);
    let said = || said(&world, &listed);
    overwrite(&path, |bytes| *bytes = b"backstop-list\x003\0future\0".to_vec());
    assert!(said().contains("does not say what the manifest says"), "no seal: {}", said());
    overwrite(&path, |bytes| {
        let digest = Digest::of(bytes).to_string();
        bytes.extend_from_slice(format!("end\0{digest}\0").as_bytes());
    });
    assert!(said().contains("has version 3, not 2"), "{}", said());
}

#[test]
fn a_pruned_restore_point_takes_its_list_along_and_brings_it_back() {
    let world = World::new("single");
    world.backup();
    let first = world.latest();
    let path = world.store().layout().list(&first.label, &first.id);
    let whole = fs::read(&path).unwrap();
    write(world.at("src/lib.rs"), "// another\n");
    world.backup();
    backstop(&world.root).args(["prune", "--keep-last", "1", "-f"]).ends(0);
    let pruned = world.dir.join("trash").join(first.id.as_str()).join("rollback");
    assert!(!path.exists() && pruned.join(path.file_name().unwrap()).exists());
    backstop(&world.root).args(["prune", "--restore", first.id.as_str()]).ends(0);
    assert_eq!(fs::read(&path).unwrap(), whole);
}
