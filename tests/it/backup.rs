//! Making restore points: links, changes meanwhile, ids, locks, and what a killed run leaves.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use backstop::ErrorKind;
use backstop::backup::{BackupOptions, BackupOutcome};
use backstop::event::{Event, Interrupt, Observer, Silent};
use backstop::fsx::{Fs, Op};
use backstop::store::{Store, Wait};

use crate::support::World;
use crate::support::edit::{chmod, is_root, link, overwrite, remove, set_mtime, write};
use crate::support::probe::{Cutter, Meanwhile, Recorder};
use crate::support::tree::assert_same;
use crate::support::world::options;

/// Inode and number of links of every file below a directory.
fn inodes(dir: &Path) -> BTreeMap<PathBuf, (u64, u64)> {
    let mut out = BTreeMap::new();
    let mut todo = vec![dir.to_path_buf()];
    while let Some(next) = todo.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            if meta.is_dir() {
                todo.push(path);
            } else if meta.is_file() {
                out.insert(path.strip_prefix(dir).unwrap().into(), (meta.ino(), meta.nlink()));
            }
        }
    }
    out
}

fn files_of(world: &World, id: &backstop::manifest::Id) -> PathBuf {
    world.store().layout().session(id).join("files")
}

#[test]
fn an_unchanged_file_is_a_hard_link_to_the_parents_and_never_to_the_workspaces() {
    let world = World::new("virtual");
    let first = world.backup();
    assert!(first.linked == 0 && first.written == first.manifest.totals.bytes);
    let second = world.backup();
    assert_eq!((second.written, second.linked), (0, second.manifest.totals.files));
    assert_eq!(second.verified, second.linked);
    assert_eq!(second.manifest.parent, Some(first.manifest.id.clone()));
    let (a, b) =
        (inodes(&files_of(&world, &first.manifest.id)), inodes(&files_of(&world, &second.manifest.id)));
    assert_eq!(a, b, "the same inodes");
    assert!(a.values().all(|(_, links)| *links == 2));
    let mut outside = inodes(&world.root);
    outside.retain(|path, _| !path.starts_with("backup"));
    assert_eq!(outside.len(), a.len());
    assert!(outside.values().all(|(_, links)| *links == 1), "no link to a file of the workspace");
}

#[test]
fn writing_through_every_file_of_the_workspace_changes_no_restore_point() {
    let world = World::new("virtual");
    world.backup();
    world.backup();
    for path in inodes(&world.root).into_keys().filter(|p| !p.starts_with("backup")) {
        let mut file = fs::File::options().write(true).open(world.at(path)).unwrap();
        std::io::Write::write_all(&mut file, b"!").unwrap();
    }
    for listed in world.listed() {
        assert_eq!(world.findings(&listed), [""; 0]);
    }
}

#[test]
fn only_what_changed_in_content_time_or_mode_is_copied_anew() {
    let world = World::new("virtual");
    let first = world.backup();
    write(world.at("crates/alpha/name.txt"), "moon!\n");
    chmod(world.at("crates/alpha/README.md"), 0o755);
    set_mtime(world.at("crates/beta/src/main.rs"), 1_500_000_000);
    let second = world.backup();
    assert_eq!(second.linked, second.manifest.totals.files - 3);
    let (a, b) =
        (inodes(&files_of(&world, &first.manifest.id)), inodes(&files_of(&world, &second.manifest.id)));
    let fresh: Vec<_> = b
        .iter()
        .filter(|(path, inode)| a[*path].0 != inode.0)
        .map(|(path, _)| path.to_str().unwrap())
        .collect();
    assert_eq!(fresh, ["crates/alpha/README.md", "crates/alpha/name.txt", "crates/beta/src/main.rs"]);
}

#[test]
fn a_change_that_keeps_size_and_time_is_seen() {
    let world = World::new("single");
    set_mtime(world.at("src/lib.rs"), 1_500_000_000);
    world.backup();
    overwrite(world.at("src/lib.rs"), |bytes| bytes[0] ^= 1);
    let second = world.backup();
    let stored = files_of(&world, &second.manifest.id).join("src/lib.rs");
    assert_eq!(fs::read(stored).unwrap(), fs::read(world.at("src/lib.rs")).unwrap());
    assert_eq!(world.findings(&world.latest()), [""; 0]);
}

#[test]
fn a_damaged_file_of_the_parent_is_not_linked_to() {
    let world = World::new("virtual");
    let first = world.backup();
    overwrite(files_of(&world, &first.manifest.id).join("crates/alpha/src/lib.rs"), |bytes| bytes[3] ^= 4);
    let second = world.backup();
    assert_eq!(second.linked, second.manifest.totals.files - 1);
    assert_eq!(world.findings(&world.latest()), [""; 0]);
    assert_ne!(world.findings(&world.listed()[0]), [""; 0]);
}

/// Appends to a file of the workspace when its copy is made: the first `times` times.
fn meddling(world: &World, times: u32) -> (Fs, Arc<AtomicU32>) {
    let (path, seen) = (world.at("crates/alpha/name.txt"), Arc::new(AtomicU32::new(0)));
    let count = seen.clone();
    let probe = Meanwhile(move |op: &Op<'_>| {
        if let Op::CreateFile { path: made } = op
            && made.ends_with("crates/alpha/name.txt")
            && count.fetch_add(1, Ordering::SeqCst) < times
        {
            let mut file = fs::File::options().append(true).open(&path).unwrap();
            std::io::Write::write_all(&mut file, b"more\n").unwrap();
        }
    });
    (Fs::probed(Arc::new(probe)), seen)
}

#[test]
fn a_file_that_changes_once_while_it_is_read_is_read_again() {
    let world = World::new("virtual");
    let set = world.set();
    let (fs, seen) = meddling(&world, 1);
    let report = world.try_backup(&set, &fs).unwrap();
    assert_eq!(seen.load(Ordering::SeqCst), 2, "two attempts");
    let stored = std::fs::read(files_of(&world, &report.manifest.id).join("crates/alpha/name.txt")).unwrap();
    assert_eq!(stored, b"world\nmore\n");
    assert_eq!(world.findings(&world.latest()), [""; 0]);
}

#[test]
fn a_file_that_changes_each_time_fails_the_backup_by_name() {
    let world = World::new("virtual");
    let set = world.set();
    let (fs, _) = meddling(&world, u32::MAX);
    let error = world.try_backup(&set, &fs).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Changed);
    assert!(error.details().iter().any(|d| d.starts_with("crates/alpha/name.txt:")), "{:?}", error.details());
    assert!(world.listed().is_empty(), "nothing is listed");
    assert!(!names(&world.dir).iter().any(|n| n.contains("session_")), "nothing is left");
    world.backup();
}

#[test]
fn a_file_that_goes_before_it_is_read_fails_the_backup_by_name() {
    let world = World::new("virtual");
    let set = world.set();
    remove(world.at("crates/alpha/name.txt"));
    remove(world.at("crates/alpha/README.md"));
    link("name.txt", world.at("crates/alpha/README.md"));
    let error = world.try_backup(&set, &Fs::real()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Changed);
    let named = |name: &str| error.details().iter().any(|d| d.starts_with(name));
    assert!(named("crates/alpha/name.txt") && named("crates/alpha/README.md"), "{:?}", error.details());
}

#[test]
fn a_directory_swapped_for_a_link_is_not_read_through() {
    let world = World::new("virtual");
    let set = world.set();
    let elsewhere = world.temp.path().join("elsewhere");
    write(elsewhere.join("lib.rs"), "secret\n");
    write(elsewhere.join("util.rs"), "secret\n");
    remove(world.at("crates/alpha/src"));
    link(&elsewhere, world.at("crates/alpha/src"));
    let error = world.try_backup(&set, &Fs::real()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Changed, "{:?}", error.details());
    assert!(world.listed().is_empty());
}

#[test]
fn what_cannot_be_read_fails_the_backup_with_every_name() {
    if is_root() {
        eprintln!("skipped: permission bits do not bind root");
        return;
    }
    let world = World::new("virtual");
    let set = world.set();
    for path in ["crates/alpha/name.txt", "crates/beta/src/main.rs"] {
        chmod(world.at(path), 0o000);
    }
    let error = world.try_backup(&set, &Fs::real()).unwrap_err();
    assert_eq!((error.kind(), error.details().len()), (ErrorKind::Workspace, 2), "{:?}", error.details());
    assert!(world.listed().is_empty());
}

#[test]
fn ids_rise_when_the_clock_stands_or_goes_back() {
    let world = World::new("single");
    world.clock.stand_still();
    let first = world.backup().manifest.id;
    let second = world.backup().manifest.id;
    world.clock.set(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000));
    let third = world.backup().manifest.id;
    assert_eq!((second.clone(), third.clone()), (first.next(), first.next().next()));
    // Also where the newest was taken away, and where `store.json` forgot.
    let newest = world.latest();
    let layout = world.store().layout().clone();
    remove(layout.session(&third));
    for path in [
        layout.metadata(&newest.label, &third),
        layout.archive(&newest.label, &third),
        layout.checksums(&newest.label, &third),
        layout.list(&newest.label, &third),
    ] {
        remove(path);
    }
    assert_eq!(world.backup().manifest.id, third.next());
    let text = fs::read_to_string(layout.store_file()).unwrap();
    let mut info: serde_json::Value = serde_json::from_str(&text).unwrap();
    info["last_id"] = serde_json::Value::Null;
    write(layout.store_file(), info.to_string());
    assert_eq!(world.backup().manifest.id, third.next().next());
}

#[test]
fn skip_unchanged_makes_none_for_the_same_content_and_one_for_any_other() {
    let world = World::new("single");
    let skip = BackupOptions { skip_unchanged: true, ..options("it") };
    let made = |world: &World| {
        matches!(world.backup_as(&world.set(), &Fs::real(), &skip).unwrap(), BackupOutcome::Made(_))
    };
    assert!(made(&world), "the first");
    assert!(!made(&world), "the same");
    set_mtime(world.at("src/lib.rs"), 1_500_000_000);
    assert!(!made(&world), "a time alone is no change");
    chmod(world.at("src/lib.rs"), 0o600);
    assert!(made(&world), "a mode is one");
    write(world.at("src/other.rs"), "");
    assert!(made(&world), "a new file");
    remove(world.at("src/other.rs"));
    assert!(made(&world), "a file that went");
    let newest = world.latest();
    remove(world.store().layout().archive(&newest.label, &newest.id));
    assert!(made(&world), "the newest lost its archive");
    assert_eq!(world.listed().len(), 5);
}

#[test]
fn a_store_that_another_run_holds_is_busy_or_waited_for() {
    let world = World::new("single");
    let (one, other) = (world.store(), world.store());
    let never = Interrupt::default();
    let held = one.lock(Wait::Yes, &never, &Silent).unwrap();
    assert_eq!(other.lock(Wait::No, &never, &Silent).unwrap_err().kind(), ErrorKind::Busy);
    struct Told(AtomicU64);
    impl Observer for Told {
        fn on(&self, event: &Event) {
            if matches!(event, Event::Waiting { .. }) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
    let told = Told(AtomicU64::new(0));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| other.lock(Wait::Yes, &never, &told).map(drop));
        while told.0.load(Ordering::SeqCst) == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(!waiting.is_finished());
        drop(held);
        waiting.join().unwrap().unwrap();
    });
    assert_eq!(told.0.load(Ordering::SeqCst), 1, "said once");
    let held = one.lock(Wait::No, &never, &Silent).unwrap();
    let stop = Interrupt::default();
    stop.flag().store(true, Ordering::SeqCst);
    assert_eq!(other.lock(Wait::Yes, &stop, &Silent).unwrap_err().kind(), ErrorKind::Interrupted);
    drop(held);
}

#[test]
fn many_backups_at_once_each_make_one() {
    let world = World::new("single");
    let set = world.set();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| world.try_backup(&set, &Fs::real()).unwrap());
        }
    });
    assert_eq!(world.listed().len(), 6);
    for listed in world.listed() {
        assert_eq!(world.findings(&listed), [""; 0]);
    }
}

#[test]
fn a_store_that_a_killed_run_had_begun_is_made_anew() {
    for calls in 0.. {
        let world = World::new("single");
        let cutter = Arc::new(Cutter::after(calls));
        let made = Store::open_or_create(&world.dir, &world.root, &Fs::probed(cutter.clone()));
        if cutter.refused() == 0 {
            assert!(made.unwrap().1 && calls > 15);
            break;
        }
        let whole = world.dir.join("store.json").exists();
        assert!(whole || !world.dir.exists(), "after {calls}: {:?}", names(&world.dir));
        let (_, created) = Store::open_or_create(&world.dir, &world.root, &Fs::real()).unwrap();
        assert_eq!(created, !whole, "after {calls}");
        world.backup();
    }
}

#[test]
fn a_directory_that_is_no_store_is_refused_and_left_as_it_is() {
    let world = World::new("single");
    write(world.dir.join("holiday.jpg"), "mine");
    let error = world.store_with(&Fs::real()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(error.help().is_some_and(|h| h.contains("store =")), "{:?}", error.help());
    assert_eq!(names(&world.dir), ["holiday.jpg"]);
}

#[test]
#[ignore = "part of torture: scale"]
fn a_large_file_goes_through_the_disk_and_comes_back() {
    let world = World::new("single");
    // Noise does not compress: its part of the archive is larger than what is kept in memory.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .take(1 << 20)
    .flatten()
    .collect();
    write(world.at("noise.bin"), &noise);
    let sparse = fs::File::create(world.at("sparse.bin")).unwrap();
    sparse.set_len(64 << 20).unwrap();
    let recorder = Arc::new(Recorder::default());
    let report = world.try_backup(&world.set(), &Fs::probed(recorder.clone())).unwrap();
    assert!(recorder.taken().iter().any(|op| op.contains(".member_")), "a part went to the disk");
    assert!(report.manifest.archive.unwrap().size < 12 << 20);
    assert_eq!(world.findings(&world.latest()), [""; 0]);
    let before = world.picture();
    remove(world.at("noise.bin"));
    remove(world.at("sparse.bin"));
    world.rollback(&backstop::rollback::RollbackOptions {
        from: backstop::validate::From::Archive,
        ..Default::default()
    });
    assert_same(&world.picture(), &before, "rolled back");
}

#[test]
fn a_backup_that_is_asked_to_stop_leaves_nothing() {
    let world = World::new("virtual");
    let set = world.set();
    world.backup();
    let flag = world.interrupt.flag();
    let probe = Meanwhile(move |op: &Op<'_>| {
        if matches!(op, Op::CreateFile { path } | Op::HardLink { link: path, .. } if path.ends_with("name.txt"))
        {
            flag.store(true, Ordering::SeqCst);
        }
    });
    let error = world.try_backup(&set, &Fs::probed(Arc::new(probe))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted);
    assert_eq!(world.listed().len(), 1);
    world.interrupt.flag().store(false, Ordering::SeqCst);
    assert!(!names(&world.dir).iter().any(|n| n.starts_with(".session")), "nothing is left");
}

#[test]
fn a_restore_point_is_synced_before_its_rename_and_before_it_is_listed() {
    let world = World::new("virtual");
    let set = world.set();
    world.store();
    let recorder = Arc::new(Recorder::default());
    world.try_backup(&set, &Fs::probed(recorder.clone())).unwrap();
    let ops = recorder.taken();
    let last = |what: &dyn Fn(&String) -> bool| ops.iter().rposition(what).unwrap();
    let rename = last(&|op| op.starts_with("Rename") && op.contains(".staging"));
    let metadata = last(&|op| op.starts_with("Rename") && op.contains("/metadata/"));
    let barrier = |range: std::ops::Range<usize>| {
        ops[range].iter().any(|op| op.starts_with("Sync") && op.ends_with("backup\" }"))
    };
    // What the build's guard reads is told of a restore point once that is listed, and is no part of one.
    let content = last(&|op| {
        op.starts_with("Write")
            && !op.contains("/.guard.new")
            && !op.contains("/metadata/")
            && !op.contains("/logs/")
            && !op.contains("store.json")
    });
    let mode = ops[..rename].iter().rposition(|op| op.starts_with("SetMode")).unwrap();
    assert!(content < rename && rename < metadata, "the last content is {}", ops[content]);
    assert!(barrier(content.max(mode)..rename), "all content is synced before the rename");
    assert!(barrier(rename..metadata), "the rename is synced before it is listed");
    assert!(ops[metadata..].iter().any(|op| op.starts_with("Sync") && op.contains("metadata")));
}

fn names(dir: &Path) -> Vec<String> {
    fs::read_dir(dir)
        .into_iter()
        .flatten()
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn a_damaged_part_of_the_last_archive_is_not_taken_over() {
    let world = World::new("virtual");
    let first = world.backup().manifest;
    let archive = world.dir.join("archives").join(&first.archive.as_ref().unwrap().name);
    overwrite(&archive, |bytes| {
        let in_first_member = bytes.len() / 8;
        bytes[in_first_member] ^= 0x55;
    });
    world.backup();
    assert_eq!(world.findings(&world.latest()), [""; 0]);
}

#[test]
fn a_changed_mode_is_in_the_next_archive_although_the_stored_copy_is_linked() {
    let world = World::new("virtual");
    world.backup();
    let path = world.at("crates/alpha/README.md");
    chmod(&path, 0o600);
    let report = world.backup();
    assert_eq!(report.linked, report.manifest.totals.files, "the stored mode is the same");
    assert_eq!(world.findings(&world.latest()), [""; 0]);
}

#[test]
fn the_first_backup_removes_only_what_a_killed_run_left_of_its_own() {
    let world = World::new("single");
    let beside = |name: &str| world.at(format!(".backup.new.{name}"));
    for mine in
        ["notes/todo.txt", "7.7/archives/photo.jpg", "8.8/.gitignore", "9.9/store.json", "10.10/novel"]
    {
        write(beside(mine), "mine\n");
    }
    fs::create_dir(beside("empty")).unwrap();
    // An attempt that a kill ended: as far as it came.
    fs::create_dir_all(beside("3.0/archives")).unwrap();
    write(beside("3.0/..gitignore.new"), "*");
    // The place of this run's own first attempts is taken.
    let pid = std::process::id();
    (0..100).for_each(|n| write(beside(&format!("{pid}.{n}/letter")), "mine\n"));
    let before = world.picture();

    world.store();
    let mut left = before.clone();
    left.0.retain(|path, _| !path.starts_with(".backup.new.3.0"));
    assert_ne!(left, before);
    let mut after = world.picture();
    after.0.retain(|path, _| !path.starts_with("backup"));
    assert_same(&left, &after, "what lies beside the new store");
}
