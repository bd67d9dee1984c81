//! Damage × place × repair: each lost or damaged copy is made again from the one that survives; what has none is
//! named, and nothing is made worse.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backstop::fsx::Fs;
use backstop::manifest::Id;
use backstop::repair::{RecoverReport, recover};
use backstop::repair::{RepairReport, repair};
use backstop::rollback::RollbackOptions;
use backstop::store::{Listed, Selector, Wait};

use crate::cli::{backstop, copied};
use crate::support::edit::{chmod, link, mkdir, opened, overwrite, remove, set_mtime, write};
use crate::support::probe::Cutter;
use crate::support::{Picture, TempDir, World};

/// Three restore points that share most of their files, made by the library.
fn world() -> World {
    let world = World::new("virtual");
    link("src", world.at("crates/beta/link"));
    write(world.at("crates/alpha/big.bin"), (0..400_000u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>());
    for n in 0..3 {
        write(
            world.at("crates/alpha/src/util.rs"),
            format!("// {n}\npub fn greet(x: &str) -> String {{ x.into() }}\n"),
        );
        world.backup();
    }
    world
}

fn mend_with(world: &World, fs: &Fs, which: Option<&Selector>) -> backstop::Result<RepairReport> {
    let store = world.store_with(fs)?;
    let context = world.context();
    let lock = store.lock(Wait::Yes, context.interrupt, context.observer)?;
    repair(&lock, which, None, &context)
}

#[track_caller]
fn mend(world: &World) -> RepairReport {
    mend_with(world, &Fs::real(), None)
        .unwrap_or_else(|e| panic!("{e}: {:?} {:?}", e.details(), std::error::Error::source(&e)))
}

fn told(report: &RepairReport) -> String {
    let all = std::iter::once(&report.store).chain(report.points.iter().map(|p| &p.mended));
    let lines = all.flat_map(|m| {
        let deeds = m.deeds.iter().map(|d| format!("{} {}", d.place, d.what));
        deeds.chain(m.failures.iter().map(|f| format!("NOT {}: {}", f.place, f.problem))).collect::<Vec<_>>()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Every file of the restore points, without logs, lock, what only says when, and what only repeats the rest.
fn points(world: &World) -> BTreeMap<PathBuf, Vec<u8>> {
    let picture = Picture::take(&world.dir, &[&world.dir.join("logs"), &world.dir.join("lock")]);
    let files = picture.0.into_iter().filter_map(|(path, node)| match node.what {
        crate::support::tree::What::File(bytes) => Some((path, bytes)),
        _ => None,
    });
    let beside = ["scripts", "store.json", "guard"];
    files.filter(|(path, _)| !beside.iter().any(|name| path.starts_with(name))).collect()
}

/// The five validations that need no executable, of every restore point.
#[track_caller]
fn all_whole(world: &World, wher: &str) {
    for listed in world.listed() {
        assert_eq!(world.findings(&listed), Vec::<String>::new(), "{wher}");
    }
}

fn middle(world: &World) -> Listed {
    world.listed()[1].clone()
}

type Place = fn(&World, &Listed) -> PathBuf;

const PLACES: [(&str, Place); 8] = [
    ("session manifest", |w, l| w.store().layout().session_manifest(&l.id)),
    ("metadata", |w, l| w.store().layout().metadata(&l.label, &l.id)),
    ("checksums", |w, l| w.store().layout().checksums(&l.label, &l.id)),
    ("archive", |w, l| w.store().layout().archive(&l.label, &l.id)),
    ("its own file", |w, l| w.store().layout().session(&l.id).join("files/crates/alpha/src/util.rs")),
    ("a shared file", |w, l| w.store().layout().session(&l.id).join("files/crates/alpha/big.bin")),
    ("a link", |w, l| w.store().layout().session(&l.id).join("files/crates/beta/link")),
    ("list", |w, l| w.store().layout().list(&l.label, &l.id)),
];

fn place(name: &str) -> Place {
    PLACES.iter().find(|(known, _)| *known == name).unwrap().1
}

type Damage = fn(&Path);
type ByteDamage = fn(&mut Vec<u8>);

const DAMAGES: [(&str, Damage); 6] = [
    ("lost", |p| opened(p.parent().unwrap(), || remove(p))),
    ("cut", |p| {
        if !p.is_symlink() {
            overwrite(p, |b| b.truncate(b.len() / 2))
        }
    }),
    ("flipped", |p| {
        if !p.is_symlink() {
            overwrite(p, |b| {
                let at = b.len() / 2;
                b.iter_mut().skip(at).take(1).for_each(|b| *b ^= 0x10);
            });
        }
    }),
    ("empty", |p| {
        if !p.is_symlink() {
            overwrite(p, Vec::clear)
        }
    }),
    ("a directory", |p| {
        opened(p.parent().unwrap(), || {
            remove(p);
            mkdir(p.join("inside"));
        });
    }),
    ("a link elsewhere", |p| {
        opened(p.parent().unwrap(), || {
            remove(p);
            link("/nowhere/at/all", p);
        });
    }),
];

#[test]
#[ignore = "part of torture: damage"]
fn each_copy_that_is_lost_or_damaged_is_made_again_to_the_byte() {
    let origin = world();
    let before = points(&origin);
    for (place_name, place) in PLACES {
        for (damage_name, damage) in DAMAGES {
            let wher = format!("{place_name} {damage_name}");
            let world = origin.copied();
            let listed = middle(&world);
            damage(&place(&world, &listed));
            let report = mend(&world);
            assert_eq!(report.failures(), 0, "{wher}: {}", told(&report));
            all_whole(&world, &wher);
            let now = points(&world);
            for (path, bytes) in &before {
                assert!(
                    now.get(path) == Some(bytes),
                    "{wher}: {} is not what it was\n{}",
                    path.display(),
                    told(&report)
                );
            }
            let again = mend(&world);
            assert_eq!(again.deeds(), 0, "{wher}: {}", told(&again));
        }
    }
}

/// The same as [`world`], made once and small.
fn small() -> &'static World {
    static WORLD: std::sync::OnceLock<World> = std::sync::OnceLock::new();
    WORLD.get_or_init(|| {
        let world = World::new("virtual");
        link("src", world.at("crates/beta/link"));
        write(world.at("crates/alpha/big.bin"), [7; 5000]);
        for n in 0..3 {
            write(world.at("crates/alpha/src/util.rs"), format!("// {n}\n"));
            world.backup();
        }
        world
    })
}

/// Damage of several places at once, of any of the three restore points: whatever can be made again is, what was
/// right stays, and what cannot is said. `PROPTEST_CASES` raises the number of cases.
fn repaired_after(damages: &[(usize, usize, usize)]) {
    let origin = small();
    let before = points(origin);
    let world = origin.copied();
    let listed = world.listed();
    for (point, place, damage) in damages {
        let path = PLACES[*place].1(&world, &listed[*point]);
        // What an earlier damage put there, or took away with its directory, is not damaged again.
        if path.symlink_metadata().is_ok_and(|m| !m.is_dir() && (m.is_file() || PLACES[*place].0 == "a link"))
        {
            DAMAGES[*damage].1(&path);
        }
    }
    let damaged = points(&world);
    let right = |files: &BTreeMap<PathBuf, Vec<u8>>, path: &Path| files.get(path) == before.get(path);
    let report = mend(&world);
    let after = points(&world);
    for path in before.keys() {
        assert!(
            !right(&damaged, path) || right(&after, path),
            "{} was right and is not\n{}",
            path.display(),
            told(&report)
        );
    }
    let mut mendable = 0;
    for l in &listed {
        let layout = world.store().layout().clone();
        let relative = |path: PathBuf| path.strip_prefix(&world.dir).unwrap().to_path_buf();
        let archive = right(&damaged, &relative(layout.archive(&l.label, &l.id)));
        let session = relative(layout.session(&l.id));
        // Two of the three agree: one copy alone has nothing that vouches for it.
        let vouched = [
            layout.session_manifest(&l.id),
            layout.metadata(&l.label, &l.id),
            layout.checksums(&l.label, &l.id),
        ]
        .into_iter()
        .filter(|path| right(&damaged, &relative(path.clone())))
        .count();
        let files = before.keys().filter(|path| path.starts_with(session.join("files")));
        let whole = vouched >= 2 && files.into_iter().all(|path| right(&damaged, path));
        if archive || whole {
            mendable += 1;
            assert_eq!(world.findings(l), Vec::<String>::new(), "{}: {}", l.id, told(&report));
        }
    }
    if mendable == listed.len() {
        assert_eq!(report.failures(), 0, "{}", told(&report));
        assert!(before.keys().all(|path| right(&after, path)), "{}", told(&report));
    }
    // What it could not repair it says, and again.
    let again = mend(&world);
    assert_eq!(
        (again.deeds(), again.failures()),
        (0, report.failures()),
        "{}\n{}",
        told(&report),
        told(&again)
    );
    let findings: usize = world.listed().iter().map(|l| world.findings(l).len()).sum();
    assert_eq!(report.failures() == 0, findings == 0, "{}", told(&report));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..cases(40) })]
    #[test]
    #[ignore = "part of torture: random"]
    fn whatever_is_damaged_together_is_mended_as_far_as_it_can_be(
        damages in proptest::collection::vec((0..3_usize, 0..PLACES.len(), 0..DAMAGES.len()), 1..9)
    ) {
        repaired_after(&damages);
    }
}

/// So many cases, or what the environment says.
fn cases(few: u32) -> proptest::prelude::ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok());
    let cases = asked.unwrap_or(few);
    eprintln!("{cases} stores damaged in up to eight places and repaired");
    proptest::prelude::ProptestConfig::with_cases(cases)
}

#[test]
fn a_file_that_three_sessions_share_is_mended_for_all_of_them_by_a_new_inode() {
    let world = world();
    let layout = world.store().layout().clone();
    let files: Vec<PathBuf> =
        world.listed().iter().map(|l| layout.session(&l.id).join("files/crates/alpha/big.bin")).collect();
    let inode = |p: &PathBuf| p.metadata().unwrap().ino();
    let old = inode(&files[0]);
    assert!(files.iter().all(|f| inode(f) == old), "they share it");
    overwrite(&files[1], |b| b[7] ^= 1);
    let report = mend_with(&world, &Fs::real(), Some(&Selector::Latest)).unwrap();
    assert!(told(&report).contains("is linked to the new one"), "{}", told(&report));
    all_whole(&world, "shared");
    assert!(files.iter().all(|f| inode(f) == inode(&files[0]) && inode(f) != old), "all have the new one");
}

#[test]
fn what_is_damaged_in_every_copy_is_named_and_nothing_is_made_worse() {
    let world = world();
    let listed = middle(&world);
    let own = place("its own file")(&world, &listed);
    let archive = place("archive")(&world, &listed);
    overwrite(&own, |b| b[0] ^= 1);
    overwrite(&archive, |b| b.truncate(20));
    let before = points(&world);
    let report = mend(&world);
    assert!(report.failures() >= 2, "{}", told(&report));
    assert!(
        told(&report).contains("util.rs: has other content than was backed up, and no other copy"),
        "{}",
        told(&report)
    );
    assert!(!report.passed());
    assert_eq!(before, points(&world));
    // The other two are as good as before.
    for l in [&world.listed()[0], &world.listed()[2]] {
        assert_eq!(world.findings(l), Vec::<String>::new());
    }
}

#[test]
fn an_archive_and_another_file_are_mended_together_where_other_sessions_have_it() {
    let world = world();
    let listed = middle(&world);
    overwrite(place("archive")(&world, &listed), |b| b.truncate(20));
    // Its own inode, so that only the copy of this session is bad.
    let shared = place("a shared file")(&world, &listed);
    opened(shared.parent().unwrap(), || {
        remove(&shared);
        write(&shared, "bad");
    });
    let report = mend(&world);
    assert_eq!(report.failures(), 0, "{}", told(&report));
    all_whole(&world, "from another session");
}

#[test]
fn modes_times_and_the_stores_own_files_are_set_right() {
    let world = world();
    let listed = middle(&world);
    let session = world.store().layout().session(&listed.id);
    let drifted = session.join("files/crates/alpha/src/util.rs");
    chmod(&drifted, 0o644);
    set_mtime(&drifted, 1_000);
    chmod(session.join("files/crates"), 0o755);
    chmod(world.dir.join("archives"), 0o755);
    remove(world.dir.join("store.json"));
    remove(world.dir.join(".gitignore"));
    remove(world.dir.join("checkpoints"));
    remove(world.dir.join("it_files"));
    write(session.parent().unwrap().join("logs/keep.txt"), "not ours");
    let report = mend(&world);
    assert_eq!(report.failures(), 0, "{}", told(&report));
    for text in [
        "util.rs has mode 0400 and its time again",
        "archives has mode 0700",
        "store.json was lost",
        ".gitignore keeps",
        "checkpoints was lost",
        "it_files was made again",
    ] {
        assert!(told(&report).contains(text), "no {text:?} in\n{}", told(&report));
    }
    all_whole(&world, "modes");
    assert_eq!(mend(&world).deeds(), 0);
}

#[test]
fn what_does_not_belong_into_a_session_is_set_aside_and_not_deleted() {
    let world = world();
    let listed = middle(&world);
    let session = world.store().layout().session(&listed.id);
    opened(session.join("files"), || write(session.join("files/mine.txt"), "somebody's only copy"));
    let report = mend(&world);
    assert!(told(&report).contains("does not belong there and is now set_aside_"), "{}", told(&report));
    all_whole(&world, "set aside");
    let aside = fs::read_dir(&world.dir).unwrap().map(|e| e.unwrap().path());
    let aside = aside
        .into_iter()
        .find(|p| p.file_name().unwrap().to_string_lossy().starts_with("set_aside_"))
        .unwrap();
    let kept = aside.join(format!("session_{}/files/mine.txt", listed.id));
    assert_eq!(fs::read_to_string(kept).unwrap(), "somebody's only copy");
}

#[test]
#[ignore = "part of torture: cuts"]
fn a_repair_that_is_cut_off_at_any_call_is_finished_by_the_next() {
    let origin = World::new("single");
    for n in 0..2 {
        write(origin.at("src/lib.rs"), format!("// {n}\n"));
        origin.backup();
    }
    let before = points(&origin);
    let listed = origin.listed()[1].clone();
    let layout = origin.store().layout().clone();
    overwrite(layout.session(&listed.id).join("files/src/lib.rs"), |b| b[0] ^= 1);
    overwrite(layout.session(&listed.id).join("files/Cargo.toml"), |b| b[0] ^= 1);
    overwrite(layout.metadata(&listed.label, &listed.id), Vec::clear);
    overwrite(layout.list(&listed.label, &listed.id), Vec::clear);
    overwrite(layout.archive(&origin.listed()[0].label, &origin.listed()[0].id), |b| b.truncate(9));
    let mut cuts = 0;
    for calls in 0.. {
        let world = origin.copied();
        let cutter = Arc::new(Cutter::after(calls));
        let _ = mend_with(&world, &Fs::probed(cutter.clone()), None);
        if cutter.refused() == 0 {
            break;
        }
        cuts += 1;
        let wher = format!("cut at call {calls}: {}", cutter.at());
        let report = mend(&world);
        assert_eq!(report.failures(), 0, "{wher}: {}", told(&report));
        all_whole(&world, &wher);
        let now = points(&world);
        assert!(before.iter().all(|(path, bytes)| now.get(path) == Some(bytes)), "{wher}");
        assert!(!world.dir.join(".repairing").exists(), "{wher}");
    }
    assert!(cuts > 20, "{cuts}");
}

pub(crate) fn recovered(world: &World, archive: Option<&Path>, fs: &Fs) -> backstop::Result<RecoverReport> {
    let store = world.store_with(fs)?;
    let context = world.context();
    let lock = store.lock(Wait::Yes, context.interrupt, context.observer)?;
    recover(&lock, archive, &context)
}

/// Sessions, manifests, checksum lists and fields of every restore point are missing: only archives are left.
fn lose_all_but_archives(world: &World) {
    for listed in world.listed() {
        remove(world.store().layout().session(&listed.id));
    }
    for dir in ["metadata", "checksums"] {
        remove(world.dir.join(dir));
    }
    for entry in fs::read_dir(world.dir.join("rollback")).unwrap() {
        remove(entry.unwrap().path());
    }
}

#[test]
fn lost_sessions_and_manifests_are_rebuilt_from_archives_alone_to_the_byte() {
    let world = world();
    let before = points(&world);
    lose_all_but_archives(&world);
    // Without `store.json` its directories are what tells a store.
    remove(world.dir.join("store.json"));
    mkdir(world.dir.join("metadata"));
    chmod(world.dir.join("metadata"), 0o700);
    let report = recovered(&world, None, &Fs::real()).unwrap();
    assert_eq!((report.recovered(), report.whole), (3, 0), "{report:?}");
    all_whole(&world, "recovered");
    let now = points(&world);
    for (path, bytes) in &before {
        assert!(now.get(path) == Some(bytes), "{} is not what it was", path.display());
    }
    // Files that they shared are shared again.
    let inodes: Vec<u64> = world
        .listed()
        .iter()
        .map(|l| {
            world.store().layout().session(&l.id).join("files/crates/alpha/big.bin").metadata().unwrap().ino()
        })
        .collect();
    assert!(inodes.windows(2).all(|p| p[0] == p[1]), "{inodes:?}");
    let again = recovered(&world, None, &Fs::real()).unwrap();
    assert_eq!((again.recovered(), again.whole), (0, 3));
    // Ids go on from there.
    let newest = world.latest().id;
    assert!(world.backup().manifest.id > newest);
    write(world.at("crates/alpha/src/lib.rs"), "// wrong\n");
    world.rollback(&RollbackOptions::default());
}

#[test]
fn an_archive_is_recovered_into_an_empty_store_elsewhere() {
    let from = world();
    let listed = middle(&from);
    let archive = from.store().layout().archive(&listed.label, &listed.id);
    let world = World::new("virtual");
    let report = recovered(&world, Some(&archive), &Fs::real()).unwrap();
    assert_eq!(report.recovered(), 1, "{report:?}");
    all_whole(&world, "elsewhere");
    let ids: Vec<Id> = world.listed().into_iter().map(|l| l.id).collect();
    assert_eq!(ids.iter().collect::<Vec<_>>(), [&listed.id]);
    world.rollback(&RollbackOptions::default());
    assert_eq!(
        fs::read_to_string(world.at("crates/alpha/src/util.rs")).unwrap().lines().next(),
        Some("// 1")
    );
    // Once more: it is whole. Another restore point with its id is refused by name.
    assert_eq!(recovered(&world, Some(&archive), &Fs::real()).unwrap().whole, 1);
    let other = World::new("single");
    let id = other.backup().manifest.id;
    let theirs = other.store().layout().archive(&other.listed()[0].label, &id);
    let mine = World::new("virtual");
    mine.backup();
    assert_eq!(mine.listed()[0].id, id, "the same second");
    let e = recovered(&mine, Some(&theirs), &Fs::real()).unwrap_err();
    assert!(e.to_string().contains("another restore point with the id"), "{e}");
    assert_eq!(mine.findings(&mine.listed()[0]), Vec::<String>::new());
}

#[test]
fn a_damaged_archive_gives_nothing_and_says_how_much_it_still_holds() {
    let world = world();
    let listed = middle(&world);
    let archive = world.store().layout().archive(&listed.label, &listed.id);
    let whole = fs::read(&archive).unwrap();
    let elsewhere = world.temp.path().join("copy.tar.gz");
    lose_all_but_archives(&world);
    let cases: [(&str, ByteDamage); 5] = [
        ("cut", |b| b.truncate(b.len() - 100)),
        ("flipped", |b| b[60] ^= 1),
        ("longer", |b| b.extend(b"more")),
        ("empty", Vec::clear),
        ("not an archive", |b| *b = b"hello\n".to_vec()),
    ];
    for (name, damage) in cases {
        let mut bytes = whole.clone();
        damage(&mut bytes);
        write(&elsewhere, &bytes);
        let empty = World::new("virtual");
        let e = recovered(&empty, Some(&elsewhere), &Fs::real()).unwrap_err();
        assert_eq!(e.kind(), backstop::ErrorKind::Damaged, "{name}: {e}");
        assert!(empty.listed().is_empty(), "{name}");
        assert_eq!(fs::read_dir(empty.dir.join("archives")).unwrap().count(), 0, "{name}");
    }
    // In the store: the others are recovered, and this one is named.
    overwrite(&archive, |b| b[60] ^= 1);
    let report = recovered(&world, None, &Fs::real()).unwrap();
    assert_eq!((report.recovered(), report.points.len()), (2, 3), "{report:?}");
    let failed = report.points.iter().find(|p| !p.whole).unwrap();
    assert!(failed.mended.failures.iter().any(|f| f.problem.contains("it still holds")), "{failed:?}");
    assert_eq!(fs::read(&archive).unwrap().len(), whole.len(), "it is left as it is");
}

#[test]
fn a_recovery_that_is_cut_off_at_any_call_is_finished_by_the_next() {
    let origin = World::new("single");
    origin.backup();
    let before = points(&origin);
    lose_all_but_archives(&origin);
    let mut cuts = 0;
    for calls in 0.. {
        let world = origin.copied();
        let cutter = Arc::new(Cutter::after(calls));
        let _ = recovered(&world, None, &Fs::probed(cutter.clone()));
        if cutter.refused() == 0 {
            break;
        }
        cuts += 1;
        let wher = format!("cut at call {calls}: {}", cutter.at());
        recovered(&world, None, &Fs::real()).unwrap_or_else(|e| panic!("{wher}: {e}"));
        all_whole(&world, &wher);
        let now = points(&world);
        assert!(before.iter().all(|(path, bytes)| now.get(path) == Some(bytes)), "{wher}");
    }
    assert!(cuts > 20, "{cuts}");
}

#[test]
fn the_commands_recover_and_repair_say_what_they_did() {
    let world = World::new("single");
    for _ in 0..2 {
        backstop(&world.root).arg("backup").ends(0);
    }
    backstop(&world.root).args(["validate", "--repair", "--all"]).ends(0).prints("Nothing to repair");
    backstop(&world.root).arg("recover").ends(0).prints("Nothing to recover");
    let session = world.store().layout().session(&world.latest().id);
    overwrite(session.join("files/src/lib.rs"), |b| b.push(b'x'));
    overwrite(world.dir.join("scripts/backstop"), |b| b.truncate(100));
    overwrite(world.dir.join("scripts/rollback.py"), |b| b.clear());
    backstop(&world.root).arg("validate").ends(1).prints("validate --repair");
    let json = backstop(&world.root).args(["validate", "--repair", "--format", "json"]).ends(0).json();
    assert!(json["restore_points"][0]["repair"]["repaired"].as_array().unwrap().len() == 2, "{json:#}");
    assert!(json["store_repair"]["repaired"].as_array().unwrap().len() == 2, "{json:#}");
    copied(&world.dir).args(["rollback", "-t", "latest", "--dry-run"]).ends(0);
    lose_all_but_archives(&world);
    backstop(&world.root).args(["rollback", "-t", "latest", "--dry-run"]).ends(3).complains("recover");
    backstop(&world.root).arg("recover").ends(0).prints("2/2 restore points recovered");
    backstop(&world.root).args(["validate", "--all"]).ends(0).prints("2/2 restore points passed");
    lose_all_but_archives(&world);
    backstop(&world.root).args(["recover", "--format", "json"]).ends(0).json();
    // Into a store that does not exist yet, where cargo cannot read the workspace.
    let elsewhere = TempDir::new();
    write(elsewhere.path().join("Cargo.toml"), "<<<<<<<");
    let archive = world.store().layout().archive(&world.latest().label, &world.latest().id);
    backstop(elsewhere.path()).arg("recover").arg(&archive).ends(0).prints("1/1 restore point recovered");
    backstop(elsewhere.path()).args(["rollback", "-t", "latest", "-f"]).ends(0);
    assert_eq!(
        fs::read(elsewhere.path().join("src/lib.rs")).unwrap(),
        fs::read(world.at("src/lib.rs")).unwrap()
    );
    copied(elsewhere.path().join("backup")).args(["list"]).ends(0);
    // One that was found above is not taken for the one that is meant.
    mkdir(elsewhere.path().join("below"));
    let below = || backstop(elsewhere.path().join("below")).arg("recover").arg(&archive);
    below().ends(2).complains("may be another workspace's");
    below().arg("--store").arg(elsewhere.path().join("backup")).ends(0);
    backstop(&world.root).args(["recover", "/nowhere.tar.gz"]).ends(2);
    let (cut, _, _) = crate::cli::cut_off();
    backstop(&cut.root).args(["validate", "--repair"]).ends(4);
    backstop(&cut.root).arg("recover").ends(4);
}
