//! A store of each format version, made once and never edited: every later version reads it.

use std::path::Path;

use backstop::fsx::Fs;
use backstop::rollback::RollbackOptions;
use backstop::store::Store;

use crate::support::{Picture, TempDir, World};

/// Unpacks a golden store beside an empty workspace.
pub(crate) fn unpacked(name: &str) -> (TempDir, Store) {
    let temp = TempDir::new();
    let bytes = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)).unwrap();
    let workspace = temp.path().join("place");
    std::fs::create_dir(&workspace).unwrap();
    let tar = flate2::read::MultiGzDecoder::new(&bytes[..]);
    tar::Archive::new(tar).unpack(&workspace).unwrap();
    let store = Store::open(&workspace.join("backup"), None, &Fs::real()).unwrap();
    (temp, store)
}

#[test]
fn a_store_of_version_1_is_read_validated_and_rolled_back_to() {
    let (temp, store) = unpacked("store-v1.tar.gz");
    let world = World::opened(temp, store.root().to_path_buf());
    let listed = world.latest();
    assert_eq!(listed.backup_id(), "golden_backup_20261123_054000");
    assert_eq!(world.findings(&listed), [""; 0]);
    let manifest = store.manifest(&listed).unwrap();
    assert_eq!(
        manifest.root_hash.to_string(),
        "c22ac0e6e2e1f2f0b6c50312b4f4624d97c558ac54b767080a6c04616e773a49",
        "the root hash of the same content must be the same for ever"
    );
    let outcome = world.rollback(&RollbackOptions::default());
    assert_eq!(
        (outcome.counts.created, outcome.mismatches.len()),
        (manifest.totals.files + manifest.totals.symlinks, 0)
    );
    let picture = Picture::take(&world.root, &[&world.dir]);
    let names: Vec<&Path> = picture.0.keys().map(|p| p.as_path()).collect();
    let expected: Vec<&Path> = manifest.entries.iter().map(|e| e.path.as_path()).collect();
    assert_eq!(names, expected);
}

/// Made the golden stores; its output is committed once for each version of the format.
#[test]
#[ignore = "writes a new golden store to target/, for a new version of the format"]
fn a_new_golden_store_is_written() {
    use crate::support::edit::{chmod, link, mkdir, write};
    let world = World::new("demo");
    write(world.at("parser/src/\u{e9} b\n.rs"), "// an odd name\n");
    write(world.at("parser/tool.sh"), "#!/bin/sh\n");
    chmod(world.at("parser/tool.sh"), 0o755);
    write(world.at("parser/empty.txt"), "");
    mkdir(world.at("parser/empty"));
    link("src/lib.rs", world.at("parser/link"));
    let options = backstop::backup::BackupOptions {
        label: backstop::manifest::Label::from_text("golden"),
        message: Some("format version 1".into()),
        skip_unchanged: false,
    };
    world.backup_as(&world.set(), &Fs::real(), &options).unwrap();
    let to = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/store.tar.gz");
    let status = std::process::Command::new("tar")
        .args(["--owner=0", "--group=0", "-czf"])
        .args([to.as_os_str(), "-C".as_ref(), world.root.as_os_str(), "backup".as_ref()])
        .status();
    assert!(status.unwrap().success());
    eprintln!("{}", to.display());
}
