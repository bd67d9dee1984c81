//! Damage and where it is: each is found by the validation that it concerns, and the file is named.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use backstop::store::Store;
use backstop::validate::{self, InodeCache, ValidationReport};
use backstop::{ErrorKind, fsx::Fs};

use crate::support::World;
use crate::support::edit::{chmod, link, mkdir, opened, overwrite, remove, set_mtime, write};
use crate::support::temp::remove_tree;
use crate::support::tree::copy_tree;

/// A small restore point, and a copy of the store to come back to.
struct Patient {
    world: World,
    saved: PathBuf,
}

impl Patient {
    fn new() -> Self {
        let world = World::new("single");
        link("lib.rs", world.at("src/link.rs"));
        mkdir(world.at("src/empty"));
        write(world.at("src/nothing.rs"), "");
        world.backup();
        let saved = world.temp.path().join("saved");
        copy_tree(&world.dir, &saved);
        Patient { world, saved }
    }

    /// The store's path of a file, by its path without ids.
    fn path(&self, place: &str) -> PathBuf {
        let id = self.world.latest().id.to_string();
        self.world.dir.join(place.replace("ID", &id))
    }

    fn shown(&self, place: &str) -> String {
        self.path(place).strip_prefix(&self.world.dir).unwrap().display().to_string()
    }

    /// Does the damage, validates, and heals.
    fn examine(&self, damage: impl FnOnce()) -> ValidationReport {
        let listed = self.world.latest();
        damage();
        let report = self.world.validate(&listed);
        remove_tree(&self.world.dir);
        copy_tree(&self.saved, &self.world.dir);
        report
    }
}

/// What is done to a file's bytes.
type Change = fn(&mut Vec<u8>);

/// What every store has, and which validation answers for it.
const PLACES: [(&str, &str); 9] = [
    ("session_ID/files/src/lib.rs", "FILE_INTEGRITY"),
    ("session_ID/files/Cargo.toml", "FILE_INTEGRITY"),
    ("session_ID/backup_manifest.json", "BACKUP_MANIFEST"),
    ("metadata/it_backup_ID.json", "BACKUP_MANIFEST"),
    ("checksums/it_backup_ID.sha256", "CHECKSUMS"),
    ("archives/it_backup_ID.tar.gz", "ARCHIVE_INTEGRITY"),
    ("rollback/it_backup_ID.list", "ROLLBACK_SCRIPTS"),
    ("store.json", "BACKUP_STRUCTURE"),
    ("state", "BACKUP_STRUCTURE"),
];

/// Whether a validation names a file.
fn names(report: &ValidationReport, validation: &str, place: &str) -> bool {
    let check = report.checks.iter().find(|c| c.id == validation).unwrap();
    let named = |found: &str| found == place || found.starts_with(&format!("{place}:"));
    check.findings.iter().any(|f| named(&f.place))
}

#[track_caller]
fn assert_names(report: &ValidationReport, validation: &str, place: &str, damage: &str) {
    let found: Vec<_> = report.checks.iter().map(|c| (c.id.as_str(), &c.findings)).collect();
    assert!(
        names(report, validation, place),
        "{damage} {place}: {} does not name it: {found:#?}",
        validation
    );
    assert!(!report.passed());
}

fn at_end(bytes: &mut [u8]) -> &mut u8 {
    bytes.last_mut().unwrap()
}

#[test]
fn a_whole_restore_point_passes_and_says_how_much_was_looked_at() {
    let patient = Patient::new();
    let report = patient.examine(|| ());
    assert_eq!(crate::support::world::findings(&report), [""; 0]);
    for check in &report.checks {
        assert!(check.checked > 0, "{}", check.id);
    }
    // Cargo.toml, src/lib.rs, src/nothing.rs, maybe Cargo.lock; and the manifest's own line.
    let count = |v: &str| report.checks.iter().find(|c| c.id == v).unwrap().checked;
    assert_eq!(count("CHECKSUMS"), count("FILE_INTEGRITY") + 1);
}

#[test]
fn a_flipped_bit_anywhere_is_found_where_it_is() {
    let patient = Patient::new();
    for (place, validation) in PLACES.into_iter().filter(|(p, _)| !["store.json", "state"].contains(p)) {
        let (path, shown) = (patient.path(place), patient.shown(place));
        let flips: [(&str, Change); 3] = [
            ("first", |bytes| bytes[0] ^= 1),
            ("middle", |bytes| {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 4;
            }),
            ("last", |bytes| *at_end(bytes) ^= 2),
        ];
        for (which, flip) in flips {
            let report = patient.examine(|| overwrite(&path, flip));
            assert_names(&report, validation, &shown, &format!("a flip of the {which} byte of"));
            if validation != "FILE_INTEGRITY" && validation != "BACKUP_MANIFEST" {
                let others = report.checks.iter().filter(|c| c.id == "FILE_INTEGRITY");
                assert!(
                    others.flat_map(|c| &c.findings).next().is_none(),
                    "{shown}: nothing else is accused"
                );
            }
        }
    }
}

#[test]
fn a_cut_or_lengthened_file_is_found_where_it_is() {
    let patient = Patient::new();
    for (place, validation) in PLACES.into_iter().filter(|(p, _)| !["store.json", "state"].contains(p)) {
        let (path, shown) = (patient.path(place), patient.shown(place));
        let changes: [(&str, Change); 4] = [
            ("the loss of a byte of", |bytes| bytes.truncate(bytes.len() - 1)),
            ("the loss of a half of", |bytes| bytes.truncate(bytes.len() / 2)),
            ("the loss of everything in", Vec::clear),
            ("a byte more in", |bytes| bytes.push(b'\n')),
        ];
        for (damage, change) in changes {
            let report = patient.examine(|| overwrite(&path, change));
            assert_names(&report, validation, &shown, damage);
        }
    }
}

#[test]
fn a_checksum_list_in_another_order_is_not_the_one_that_was_written() {
    let patient = Patient::new();
    let (path, shown) =
        (patient.path("checksums/it_backup_ID.sha256"), patient.shown("checksums/it_backup_ID.sha256"));
    let report = patient.examine(|| {
        overwrite(&path, |bytes| {
            let mut lines: Vec<&[u8]> = bytes.split_inclusive(|b| *b == b'\n').collect();
            lines.swap(0, 1);
            *bytes = lines.concat();
        });
    });
    assert_names(&report, "CHECKSUMS", &shown, "another order in");
}

#[test]
fn a_missing_file_is_found_by_its_own_validation_and_by_the_structure() {
    let patient = Patient::new();
    for (place, validation) in PLACES.into_iter().filter(|(p, _)| *p != "store.json") {
        let (path, shown) = (patient.path(place), patient.shown(place));
        let report = patient.examine(|| opened(path.parent().unwrap(), || remove(&path)));
        assert_names(&report, validation, &shown, "the loss of");
        if !shown.contains("/files/") {
            assert_names(&report, "BACKUP_STRUCTURE", &shown, "the loss of");
        }
    }
    for directory in ["metadata", "checksums", "archives", "scripts", "checkpoints", "cache"] {
        let report = patient.examine(|| remove(patient.path(directory)));
        assert_names(&report, "BACKUP_STRUCTURE", directory, "the loss of");
    }
    let report = patient.examine(|| remove(patient.path("session_ID")));
    assert_names(&report, "BACKUP_STRUCTURE", &patient.shown("session_ID"), "the loss of");
    assert_names(&report, "FILE_INTEGRITY", &patient.shown("session_ID/files/src/lib.rs"), "the loss of");
}

#[test]
fn a_damaged_header_is_found_and_stands_in_the_way_of_nothing_but_finding_the_workspace() {
    let patient = Patient::new();
    let place = patient.shown("store.json");
    for change in [|bytes: &mut Vec<u8>| bytes.clear(), |bytes: &mut Vec<u8>| bytes[0] ^= 1] {
        let report = patient.examine(|| {
            overwrite(patient.path("store.json"), change);
            let error = Store::open(&patient.world.dir, None, &Fs::real()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NoStore);
        });
        assert_names(&report, "BACKUP_STRUCTURE", &place, "a damaged");
    }
}

#[test]
fn what_is_not_in_the_manifest_is_found() {
    let patient = Patient::new();
    let session = patient.path("session_ID");
    for place in ["session_ID/extra", "session_ID/files/src/extra.rs", "session_ID/files/.hidden"] {
        let path = patient.path(place);
        let report = patient.examine(|| opened(path.parent().unwrap(), || write(&path, "extra")));
        assert_names(&report, "FILE_INTEGRITY", &patient.shown(place), "the addition of");
    }
    let report = patient.examine(|| opened(&session, || mkdir(session.join("outside"))));
    assert_names(&report, "FILE_INTEGRITY", &patient.shown("session_ID/outside"), "the addition of");
}

#[test]
fn another_kind_in_its_place_is_found_and_never_followed() {
    let patient = Patient::new();
    let twin = patient.world.temp.path().join("twin.rs");
    fs::copy(patient.world.at("src/lib.rs"), &twin).unwrap();
    let swap = |place: &str, make: &dyn Fn(&Path)| {
        let path = patient.path(place);
        let report = patient.examine(|| {
            opened(path.parent().unwrap(), || {
                remove(&path);
                make(&path);
            })
        });
        assert_names(&report, "FILE_INTEGRITY", &patient.shown(place), "another kind of");
    };
    swap("session_ID/files/src/lib.rs", &|path| link(&twin, path));
    swap("session_ID/files/src/lib.rs", &|path| mkdir(path));
    swap("session_ID/files/src/link.rs", &|path| link("elsewhere.rs", path));
    swap("session_ID/files/src/link.rs", &|path| write(path, "lib.rs"));
    swap("session_ID/files/src/empty", &|path| write(path, ""));
    for place in ["metadata/it_backup_ID.json", "archives/it_backup_ID.tar.gz"] {
        let path = patient.path(place);
        let report = patient.examine(|| {
            let aside = patient.world.temp.path().join("aside");
            remove(&aside);
            fs::copy(&path, &aside).unwrap();
            remove(&path);
            link(aside, &path);
        });
        assert_names(&report, "BACKUP_STRUCTURE", &patient.shown(place), "a link in place of");
    }
}

#[test]
fn wide_modes_are_found_and_drifted_ones_are_noted() {
    let patient = Patient::new();
    for place in [
        "",
        "store.json",
        "state",
        ".gitignore",
        "metadata",
        "session_ID",
        "session_ID/files",
        "session_ID/backup_manifest.json",
        "metadata/it_backup_ID.json",
        "checksums/it_backup_ID.sha256",
        "archives/it_backup_ID.tar.gz",
        "rollback/it_backup_ID.list",
    ] {
        let path = patient.path(place);
        let mode = path.metadata().unwrap().mode() & 0o7777;
        let report = patient.examine(|| chmod(&path, mode | 0o004));
        assert_names(&report, "BACKUP_STRUCTURE", &patient.shown(place), "a wide mode of");
    }
    let path = patient.path("session_ID/files/src/lib.rs");
    let drifts: [&dyn Fn(); 2] = [&|| chmod(&path, 0o444), &|| set_mtime(&path, 1_500_000_000)];
    for drift in drifts {
        let report = patient.examine(drift);
        let check = report.checks.iter().find(|c| c.id == "FILE_INTEGRITY").unwrap();
        assert!(check.findings.is_empty() && check.notes.len() == 1, "{check:?}");
    }
}

#[test]
fn a_store_that_git_would_take_is_found() {
    let patient = Patient::new();
    let report =
        patient.examine(|| overwrite(patient.path(".gitignore"), |bytes| *bytes = b"nothing\n".to_vec()));
    assert_names(&report, "BACKUP_STRUCTURE", ".gitignore", "a change of");
}

/// Flips bits of a file of the store and asks the six: one of every `stride`, each with `BACKSTOP_TEST_ALL_BITS`.
fn flip_bits(place: &str, validation: &str, stride: usize) {
    let stride = if std::env::var_os("BACKSTOP_TEST_ALL_BITS").is_some() { 1 } else { stride };
    let patient = Patient::new();
    let (path, shown) = (patient.path(place), patient.shown(place));
    let listed = patient.world.latest();
    let store = patient.world.store();
    let whole = fs::read(&path).unwrap();
    chmod(&path, 0o600);
    let mut flips = 0;
    for at in (0..whole.len() * 8).step_by(stride) {
        let (byte, bit) = (at / 8, at % 8);
        let mut bytes = whole.clone();
        bytes[byte] ^= 1 << bit;
        fs::write(&path, &bytes).unwrap();
        let report =
            validate::validate(&store, &listed, &InodeCache::default(), &patient.world.context()).unwrap();
        assert!(names(&report, validation, &shown), "bit {bit} of byte {byte} of {shown}");
        flips += 1;
    }
    eprintln!("{flips} bits of {shown} flipped");
    assert!(flips > 500);
}

#[test]
#[ignore = "part of torture: damage"]
fn each_bit_of_the_sessions_manifest_counts() {
    // No multiple of eight: every bit has its turn.
    flip_bits("session_ID/backup_manifest.json", "BACKUP_MANIFEST", 29);
}

#[test]
#[ignore = "part of torture: damage"]
fn each_bit_of_the_manifests_second_copy_counts() {
    flip_bits("metadata/it_backup_ID.json", "BACKUP_MANIFEST", 29);
}

#[test]
#[ignore = "part of torture: damage"]
fn each_bit_of_the_checksum_list_counts() {
    flip_bits("checksums/it_backup_ID.sha256", "CHECKSUMS", 3);
}

#[test]
fn a_manifest_damaged_in_both_copies_fails_every_validation_that_needs_it() {
    let patient = Patient::new();
    let report = patient.examine(|| {
        overwrite(patient.path("session_ID/backup_manifest.json"), |bytes| bytes[0] = b'!');
        overwrite(patient.path("metadata/it_backup_ID.json"), |bytes| bytes[0] = b'!');
    });
    assert!(report.root_hash.is_none());
    for check in report.checks.iter().filter(|c| c.id != "BACKUP_STRUCTURE") {
        assert!(!check.passed(), "{}", check.id);
    }
}

#[test]
fn a_shared_inode_is_read_once_for_all_restore_points() {
    let world = World::new("virtual");
    world.backup();
    world.backup();
    let cache = InodeCache::default();
    // Both share every inode: damage that the first pass has not seen is not seen by the second one either.
    let (store, listed) = (world.store(), world.listed());
    let first = validate::validate(&store, &listed[0], &cache, &world.context()).unwrap();
    assert_eq!(crate::support::world::findings(&first), [""; 0]);
    let shared = store.layout().session(&listed[1].id).join("files/crates/alpha/name.txt");
    overwrite(&shared, |bytes| bytes[0] ^= 1);
    let second = validate::validate(&store, &listed[1], &cache, &world.context()).unwrap();
    assert_eq!(crate::support::world::findings(&second), [""; 0], "from the cache");
    for listed in &listed {
        let fresh = validate::validate(&store, listed, &InodeCache::default(), &world.context()).unwrap();
        assert!(!crate::support::world::findings(&fresh).is_empty(), "both are damaged");
    }
}
