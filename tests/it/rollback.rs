//! Going back: what is written, what is displaced, what is left alone, and what is refused.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use backstop::ErrorKind;
use backstop::event::Silent;
use backstop::fsx::{Fs, Op};
use backstop::live_tree::{Asked, LeftAlone};
use backstop::rollback::{RollbackOptions, Verb, restore_to};
use backstop::store::{Selector, Store, Wait};
use backstop::validate::From;

use crate::support::edit::{chmod, link, mkdir, opened, overwrite, remove, set_mtime, write};
use crate::support::probe::{Cutter, Meanwhile};
use crate::support::tree::assert_same;
use crate::support::{Picture, World};

fn all() -> RollbackOptions {
    RollbackOptions::default()
}

fn only(paths: &[&str]) -> RollbackOptions {
    let only = paths.iter().map(|p| (*p).into()).collect();
    RollbackOptions { asked: Asked { only, ..Asked::default() }, ..all() }
}

fn packages(name: &str) -> RollbackOptions {
    RollbackOptions { asked: Asked { packages: vec![name.into()], ..Asked::default() }, ..all() }
}

fn git(dir: &Path, args: &[&str]) {
    let done = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main"])
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(done.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Some of each change in the members of the fixture `virtual`.
fn edit(world: &World) {
    write(world.at("crates/alpha/src/lib.rs"), "changed\n");
    write(world.at("crates/alpha/src/new.rs"), "new\n");
    remove(world.at("crates/alpha/name.txt"));
    write(world.at("crates/beta/src/main.rs"), "changed too\n");
    write(world.at("crates/beta/notes/deep/new.md"), "new\n");
    write(world.at("rustfmt.toml"), "max_width = 1\n");
}

fn stamp(path: &Path) -> (u64, i64, i64) {
    let meta = path.symlink_metadata().unwrap();
    (meta.ino(), meta.mtime(), meta.mtime_nsec())
}

#[test]
fn a_rollback_is_exact_and_so_are_its_undo_and_the_undo_of_that() {
    let world = World::new("virtual");
    let before = world.picture();
    world.backup();
    edit(&world);
    let edited = world.picture();
    let outcome = world.rollback(&all());
    assert_same(&world.picture(), &before, "rolled back");
    let c = outcome.counts;
    assert_eq!((c.created, c.replaced, c.displaced, c.directories_removed), (1, 3, 2, 2), "{c:?}");
    assert_eq!(outcome.verified, 8);
    for _ in 0..2 {
        world.undo();
        assert_same(&world.picture(), &edited, "undone");
        world.undo();
        assert_same(&world.picture(), &before, "the undo undone");
    }
    for listed in world.listed() {
        assert_eq!(world.findings(&listed), [""; 0], "{}", listed.backup_id());
    }
}

#[test]
fn a_second_rollback_has_nothing_to_do() {
    let world = World::new("virtual");
    world.backup();
    edit(&world);
    world.rollback(&all());
    let plan = world.plan(&all());
    assert!(plan.is_empty() && plan.touch.is_empty() && plan.counts.unchanged > 0, "{plan:?}");
}

#[test]
fn the_present_is_a_restore_point_before_anything_changes_and_latest_passes_over_it() {
    let world = World::new("virtual");
    let id = world.backup().manifest.id;
    edit(&world);
    let edited = world.picture();
    let outcome = world.rollback(&all());
    assert_eq!(world.latest().id, id, "latest is what a person meant");
    let kept = outcome.pre_rollback.unwrap();
    let store = world.store();
    let point = store.catalogue().unwrap().select(&Selector::Prefix(kept.to_string())).unwrap().clone();
    let to = world.temp.path().join("kept");
    restore_to(&store, &point, &to, &all(), &world.context()).unwrap();
    assert_same(&Picture::take(&to, &[]), &edited, "the restore point of the present");
}

#[test]
fn what_was_replaced_or_removed_is_kept_displaced_as_it_was() {
    let world = World::new("virtual");
    world.backup();
    edit(&world);
    let inode = stamp(&world.at("crates/alpha/src/new.rs"));
    let displaced = world.rollback(&all()).displaced.unwrap().join("files");
    assert_eq!(stamp(&displaced.join("crates/alpha/src/new.rs")), inode, "renamed, not copied");
    assert_eq!(fs::read(displaced.join("crates/alpha/src/lib.rs")).unwrap(), b"changed\n");
    assert_eq!(fs::read(displaced.join("crates/beta/notes/deep/new.md")).unwrap(), b"new\n");
}

#[test]
fn keep_new_keeps_what_was_added_and_restores_the_rest() {
    let world = World::new("virtual");
    let mut expected = world.picture();
    world.backup();
    edit(&world);
    let edited = world.picture();
    for path in [
        "crates/alpha/src/new.rs",
        "crates/beta/notes",
        "crates/beta/notes/deep",
        "crates/beta/notes/deep/new.md",
    ] {
        expected.0.insert(path.into(), edited.0[Path::new(path)].clone());
    }
    let options = RollbackOptions { keep_new: true, ..all() };
    let left = world.plan(&options).left_alone;
    assert_eq!(left.len(), 2);
    assert!(left.iter().all(|(_, why)| *why == LeftAlone::KeptNew));
    world.rollback(&options);
    assert_same(&world.picture(), &expected, "kept");
}

#[test]
fn only_touches_the_paths_that_it_names() {
    let world = World::new("virtual");
    let before = world.picture();
    world.backup();
    edit(&world);
    let edited = world.picture();
    for asked in [&["crates/alpha"][..], &["./crates/alpha/"], &["crates/alpha/src", "crates/alpha/name.txt"]]
    {
        world.rollback(&only(asked));
        let found = world.picture();
        assert_same(&found.below("crates/alpha"), &before.below("crates/alpha"), "asked for");
        assert_same(&found.below("crates/beta"), &edited.below("crates/beta"), "not asked for");
        assert_same(&found.below("rustfmt.toml"), &edited.below("rustfmt.toml"), "not asked for");
        world.undo();
        assert_same(&world.picture(), &edited, "undone");
    }
    world.rollback(&only(&["crates/alpha/src/new.rs"]));
    assert!(!world.at("crates/alpha/src/new.rs").exists(), "a path that only the present has");
    for unknown in ["crates/nothing", "../place", "/etc", "crates/alph"] {
        let error = world.plan_with(&world.latest(), &only(&[unknown]), &Fs::real()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{unknown}");
    }
}

#[test]
fn only_makes_the_directories_that_lead_to_what_it_names() {
    let world = World::new("virtual");
    world.backup();
    remove(world.at("crates/alpha"));
    world.rollback(&only(&["crates/alpha/src/util.rs"]));
    let found: Vec<_> =
        world.picture().below("crates/alpha").0.into_keys().map(|p| p.display().to_string()).collect();
    assert_eq!(found, ["crates/alpha", "crates/alpha/src", "crates/alpha/src/util.rs"]);
}

#[test]
fn packages_go_back_by_name() {
    let world = World::new("virtual");
    let before = world.picture();
    world.backup();
    edit(&world);
    let edited = world.picture();
    world.rollback(&packages("beta"));
    let found = world.picture();
    assert_same(&found.below("crates/beta"), &before.below("crates/beta"), "asked for");
    assert_same(&found.below("crates/alpha"), &edited.below("crates/alpha"), "not asked for");
    let unknown = packages("bety");
    let error = world.plan_with(&world.latest(), &unknown, &Fs::real()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(error.help().unwrap().contains("`beta`"), "{:?}", error.help());
}

#[test]
fn each_file_comes_from_a_copy_that_verifies_and_a_damaged_one_is_never_written() {
    let world = World::new("virtual");
    let before = world.picture();
    world.backup();
    let listed = world.latest();
    let layout = world.store().layout().clone();
    edit(&world);
    let edited = world.picture();
    let plan = |from: From| world.plan_with(&listed, &RollbackOptions { from, ..all() }, &Fs::real());

    overwrite(layout.session(&listed.id).join("files/crates/alpha/src/lib.rs"), |bytes| bytes[0] ^= 1);
    let error = plan(From::Session).unwrap_err();
    assert_eq!(
        (error.kind(), error.details()),
        (ErrorKind::Damaged, &["crates/alpha/src/lib.rs".to_owned()][..])
    );
    plan(From::Archive).unwrap();
    world.rollback(&all());
    assert_same(&world.picture(), &before, "one from the archive, the others from the session");
    world.undo();

    let archive = layout.archive(&listed.label, &listed.id);
    let kept = fs::read(&archive).unwrap();
    overwrite(&archive, |bytes| bytes.truncate(20));
    let error = plan(From::Auto).unwrap_err();
    assert_eq!(
        (error.kind(), error.details()),
        (ErrorKind::Damaged, &["crates/alpha/src/lib.rs".to_owned()][..])
    );
    assert_same(&world.picture(), &edited, "nothing was written");

    overwrite(&archive, |bytes| *bytes = kept);
    opened(layout.dir(), || remove(layout.session(&listed.id)));
    let listed = world.listed().into_iter().find(|l| l.id == listed.id).unwrap();
    assert!(!listed.session);
    let plan = world.plan_with(&listed, &all(), &Fs::real()).unwrap();
    world.apply_with(plan, &Fs::real()).unwrap();
    assert_same(&world.picture(), &before, "from the archive alone");
}

#[test]
fn a_file_damaged_between_plan_and_apply_is_not_written() {
    for from in [From::Session, From::Archive] {
        let world = World::new("virtual");
        world.backup();
        edit(&world);
        let edited = world.picture();
        let (listed, layout) = (world.latest(), world.store().layout().clone());
        let plan = world.plan_with(&listed, &RollbackOptions { from, ..all() }, &Fs::real()).unwrap();
        match from {
            From::Archive => {
                overwrite(layout.archive(&listed.label, &listed.id), |bytes| bytes[60..].fill(0))
            }
            _ => overwrite(layout.session(&listed.id).join("files/rustfmt.toml"), |bytes| bytes[0] ^= 1),
        }
        let error = world.apply_with(plan, &Fs::real()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged);
        assert_same(&world.picture(), &edited, "whole");
        assert!(!world.store().is_cut_off());
    }
}

#[test]
fn roots_outside_the_workspace_are_reported_and_written_only_when_asked() {
    let world = World::new("outside");
    let place = world.temp.path().join("place");
    let take = || Picture::take(&place, &[&world.dir]);
    let before = take();
    world.backup();
    let neighbour = place.join("neighbour");
    write(neighbour.join("src/lib.rs"), "changed\n");
    write(neighbour.join("src/new.rs"), "new\n");
    write(world.at("crates/inner/src/lib.rs"), "changed\n");
    let edited = take();
    let plan = world.plan(&all());
    assert_eq!(plan.outside_differences, ["neighbour:src/lib.rs", "neighbour:src/new.rs"]);
    assert!(plan.actions.iter().all(|a| a.root.is_workspace()));
    world.apply_with(plan, &Fs::real()).unwrap();
    assert_same(&take().below("neighbour"), &edited.below("neighbour"), "not asked for");
    assert_same(&take().below("workspace"), &before.below("workspace"), "the workspace");
    world.undo();
    assert_same(&take(), &edited, "undone");

    world.rollback(&RollbackOptions { outside: true, ..all() });
    assert_same(&take(), &before, "asked for");
    world.undo();
    assert_same(&take(), &edited, "undone");

    remove(&neighbour);
    world.rollback(&all());
    let listed = world.latest();
    let error =
        world.plan_with(&listed, &RollbackOptions { outside: true, ..all() }, &Fs::real()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Workspace, "a root that is missing is named, not made");
    mkdir(&neighbour);
    world.rollback(&RollbackOptions { outside: true, ..all() });
    assert_same(&take(), &before, "into an empty directory");
}

#[test]
fn a_package_born_since_is_displaced_with_the_directories_that_it_made() {
    let world = World::new("virtual");
    let before = world.picture();
    world.backup();
    write(world.at("crates/gamma/Cargo.toml"), "[package]\nname = \"gamma\"\n");
    write(world.at("crates/gamma/src/deep/lib.rs"), "");
    write(world.at("tools/new/delta/Cargo.toml"), "[package]\nname = \"delta\"\n");
    let born = world.picture();
    world.rollback(&all());
    assert_same(&world.picture(), &before, "rolled back");
    world.undo();
    assert_same(&world.picture(), &born, "undone");
}

#[test]
fn what_is_outside_the_recorded_scope_is_never_touched() {
    let world = World::new("virtual");
    write(world.at("docs/old.md"), "old\n");
    write(world.at("vendor/thing/Cargo.toml"), "[package]\nname = \"thing\"\n");
    // A second workspace of its own, so that no glob takes it in.
    write(world.at("vendor/thing/src/lib.rs"), "");
    world.backup();
    edit(&world);
    write(world.at("docs/old.md"), "edited\n");
    write(world.at("docs/new.md"), "new\n");
    write(world.at("scratch/new.txt"), "new\n");
    write(world.at("vendor/thing/src/new.rs"), "new\n");
    remove(world.at("vendor/thing/src/lib.rs"));
    let edited = world.picture();
    world.rollback(&all());
    for place in ["docs", "scratch", "vendor"] {
        assert_same(&world.picture().below(place), &edited.below(place), place);
    }
}

#[test]
fn what_git_ignores_or_ignored_then_stays_where_it_is() {
    let world = World::new("virtual");
    git(&world.root, &["init", "-q"]);
    write(world.at(".gitignore"), "*.log\n/crates/alpha/then/\n");
    write(world.at("crates/alpha/a.log"), "then and now\n");
    write(world.at("crates/alpha/then/x"), "then only\n");
    write(world.at("crates/alpha/target/debug/x"), "built\n");
    let before = world.picture();
    world.backup();
    edit(&world);
    write(world.at(".gitignore"), "*.log\n*.tmp\n");
    write(world.at("crates/alpha/a.log"), "longer now\n");
    write(world.at("crates/alpha/b.log"), "new\n");
    write(world.at("crates/alpha/c.tmp"), "ignored by a rule that is taken back\n");
    write(world.at("crates/alpha/then/y"), "new\n");
    write(world.at("crates/alpha/target/debug/y"), "built\n");
    let edited = world.picture();
    let plan = world.plan(&all());
    let why = |path: &str| plan.left_alone.iter().find(|(p, _)| p == path).map(|(_, why)| why.clone());
    assert_eq!(why("crates/alpha/b.log"), Some(LeftAlone::Ignored));
    assert_eq!(why("crates/alpha/c.tmp"), Some(LeftAlone::Ignored));
    assert_eq!(why("crates/alpha/then/y"), Some(LeftAlone::IgnoredThen));
    world.rollback(&all());
    let found = world.picture();
    for path in ["a.log", "b.log", "c.tmp", "then", "target"] {
        let path = format!("crates/alpha/{path}");
        assert_same(&found.below(&path), &edited.below(&path), &path);
    }
    assert_same(&found.below("crates/alpha/src"), &before.below("crates/alpha/src"), "the rest");
    assert_same(&found.below(".gitignore"), &before.below(".gitignore"), "the rest");
}

#[test]
fn where_git_is_gone_nothing_that_was_added_is_moved() {
    let world = World::new("virtual");
    git(&world.root, &["init", "-q"]);
    world.backup();
    edit(&world);
    fs::rename(world.at(".git"), world.temp.path().join("git")).unwrap();
    let plan = world.plan(&all());
    assert!(
        plan.left_alone
            .iter()
            .any(|(p, why)| p == "crates/alpha/src/new.rs" && matches!(why, LeftAlone::Unjudged(_)))
    );
    world.rollback(&all());
    assert!(world.at("crates/alpha/src/new.rs").exists());
    assert!(world.at("crates/alpha/name.txt").exists(), "what is known goes back all the same");
}

#[test]
fn a_directory_stays_where_something_in_it_stays() {
    let world = World::new("virtual");
    git(&world.root, &["init", "-q"]);
    write(world.at(".gitignore"), "*.log\n");
    world.backup();
    write(world.at("crates/alpha/fresh/new.rs"), "new\n");
    write(world.at("crates/alpha/fresh/run.log"), "ignored\n");
    let edited = world.picture();
    world.rollback(&all());
    assert!(!world.at("crates/alpha/fresh/new.rs").exists());
    assert!(world.at("crates/alpha/fresh/run.log").exists());
    world.undo();
    assert_same(&world.picture(), &edited, "undone");
}

#[test]
fn a_directory_in_the_way_of_a_file_that_holds_what_must_stay_refuses_the_whole() {
    let world = World::new("virtual");
    git(&world.root, &["init", "-q"]);
    write(world.at(".gitignore"), "*.log\n");
    world.backup();
    remove(world.at("crates/alpha/name.txt"));
    write(world.at("crates/alpha/name.txt/run.log"), "ignored\n");
    let edited = world.picture();
    let error = world.plan_with(&world.latest(), &all(), &Fs::real()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Workspace);
    assert!(error.details()[0].starts_with("crates/alpha/name.txt/run.log:"), "{:?}", error.details());
    assert_same(&world.picture(), &edited, "whole");
}

/// Plans, lets something happen, applies, and wants a refusal that names `path` and leaves the tree as it was.
#[track_caller]
fn refused(world: &World, path: &str, happen: impl FnOnce()) {
    let plan = world.plan(&all());
    happen();
    let edited = world.picture();
    let error = world.apply_with(plan, &Fs::real()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Changed, "{error}");
    assert!(error.details().iter().any(|d| d.starts_with(path)), "{path}: {:?}", error.details());
    assert_same(&world.picture(), &edited, "whole");
    assert!(!world.store().is_cut_off());
    assert_eq!(fs::read(world.dir.join("state")).unwrap(), b"idle\n");
}

#[test]
fn a_target_that_changed_since_the_plan_is_refused_by_name_and_the_tree_is_whole() {
    let world = World::new("virtual");
    world.backup();
    edit(&world);
    refused(&world, "crates/alpha/src/lib.rs", || {
        write(world.at("crates/alpha/src/lib.rs"), "changed again\n")
    });
    refused(&world, "crates/alpha/src/new.rs", || remove(world.at("crates/alpha/src/new.rs")));
    refused(&world, "crates/alpha/name.txt", || write(world.at("crates/alpha/name.txt"), "appeared\n"));
    refused(&world, "rustfmt.toml", || chmod(world.at("rustfmt.toml"), 0o600));
    refused(&world, "crates/beta/src/main.rs", || {
        remove(world.at("crates/beta/src/main.rs"));
        link("elsewhere", world.at("crates/beta/src/main.rs"));
    });
    refused(&world, "crates/beta/notes", || write(world.at("crates/beta/notes/deep/late.md"), "late\n"));
}

#[test]
fn a_directory_swapped_for_a_link_since_the_plan_is_refused_and_nothing_behind_it_is_touched() {
    let world = World::new("virtual");
    world.backup();
    edit(&world);
    let outside = world.temp.path().join("outside");
    fs::create_dir(&outside).unwrap();
    for name in ["lib.rs", "new.rs", "util.rs"] {
        fs::copy(world.at("crates/alpha/src").join(name), outside.join(name)).unwrap();
    }
    let untouched = Picture::with_times(&outside, &[]);
    refused(&world, "crates/alpha/src/", || {
        remove(world.at("crates/alpha/src"));
        link(&outside, world.at("crates/alpha/src"));
    });
    assert_same(&Picture::with_times(&outside, &[]), &untouched, "behind the link");
}

/// Does something once, right before the first call that `pick` picks.
fn once(
    pick: impl Fn(&Op<'_>) -> bool + Send + Sync + 'static,
    happen: impl Fn() + Send + Sync + 'static,
) -> Fs {
    let done = AtomicBool::new(false);
    Fs::probed(Arc::new(Meanwhile(move |op: &Op<'_>| {
        if pick(op) && !done.swap(true, Ordering::SeqCst) {
            happen();
        }
    })))
}

fn moves_out(op: &Op<'_>) -> bool {
    matches!(op, Op::Rename { to, .. } if to.to_string_lossy().contains("/displaced_"))
}

fn puts_in(op: &Op<'_>) -> bool {
    matches!(op, Op::Rename { from, .. } if from.to_string_lossy().contains("/stage_"))
}

#[test]
fn a_file_that_somebody_saves_behind_the_last_look_is_refused_by_name_and_kept() {
    let world = World::new("virtual");
    world.backup();
    edit(&world);
    let plan = world.plan(&all());
    let path = world.at("crates/alpha/src/lib.rs");
    let saved = path.clone();
    // An editor saves by a rename: another inode.
    let fs = once(moves_out, move || {
        write(saved.with_file_name("swap"), "saved meanwhile\n");
        std::fs::rename(saved.with_file_name("swap"), &saved).unwrap();
    });
    let error = world.apply_with(plan, &fs).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Changed);
    assert!(
        error.details().iter().any(|d| d.starts_with("crates/alpha/src/lib.rs")),
        "{:?}",
        error.details()
    );
    assert!(!world.store().is_cut_off());
    assert_eq!(fs::read(&path).unwrap(), b"saved meanwhile\n");
    assert!(world.at("crates/alpha/src/new.rs").exists() && !world.at("crates/alpha/name.txt").exists());
}

#[test]
fn a_file_that_appears_where_one_is_about_to_be_put_is_not_replaced() {
    for portable in [false, true] {
        let world = World::new("virtual");
        world.backup();
        edit(&world);
        let mut expected = world.picture();
        let plan = world.plan(&all());
        let path = world.at("crates/alpha/name.txt");
        let made = path.clone();
        let fs = once(puts_in, move || write(&made, "appeared\n"));
        let error = world.apply_with(plan, &if portable { fs.portable() } else { fs }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Changed);
        assert!(
            error.details().iter().any(|d| d.starts_with("crates/alpha/name.txt")),
            "{:?}",
            error.details()
        );
        assert_eq!(fs::read(&path).unwrap(), b"appeared\n");
        let found = world.picture();
        expected
            .0
            .insert("crates/alpha/name.txt".into(), found.0[Path::new("crates/alpha/name.txt")].clone());
        assert_same(&found, &expected, "taken back");
    }
}

#[test]
fn a_directory_swapped_for_a_link_behind_the_last_look_leads_nowhere() {
    let world = World::new("virtual");
    world.backup();
    edit(&world);
    let edited = world.picture();
    let plan = world.plan(&all());
    let outside = world.temp.path().join("outside");
    write(outside.join("main.rs"), "not ours\n");
    let untouched = Picture::with_times(&outside, &[]);
    let (src, target) = (world.at("crates/beta/src"), outside.clone());
    let aside = world.temp.path().join("aside");
    let kept = aside.clone();
    let fs = once(moves_out, move || {
        std::fs::rename(&src, &aside).unwrap();
        link(&target, &src);
    });
    let error = world.apply_with(plan, &fs).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Changed | ErrorKind::CutOff), "{error}");
    assert_same(&Picture::with_times(&outside, &[]), &untouched, "behind the link");
    assert_eq!(fs::read(kept.join("main.rs")).unwrap(), b"changed too\n");
    // Once that is set right, the old tree is there again.
    remove(world.at("crates/beta/src"));
    std::fs::rename(&kept, world.at("crates/beta/src")).unwrap();
    world.abort_with(&Fs::real()).unwrap();
    assert_same(&world.picture(), &edited, "taken back");
}

#[test]
fn a_link_in_place_of_a_directory_gives_way_and_what_it_pointed_at_is_untouched() {
    let world = World::new("virtual");
    let before = world.picture();
    world.backup();
    let outside = world.temp.path().join("outside");
    fs::rename(world.at("crates/alpha/src"), &outside).unwrap();
    write(outside.join("more.rs"), "more\n");
    link(&outside, world.at("crates/alpha/src"));
    let untouched = Picture::with_times(&outside, &[]);
    let edited = world.picture();
    world.rollback(&all());
    assert_same(&world.picture(), &before, "rolled back");
    assert_same(&Picture::with_times(&outside, &[]), &untouched, "behind the link");
    world.undo();
    assert_same(&world.picture(), &edited, "undone");
    assert_same(&Picture::with_times(&outside, &[]), &untouched, "behind the link");
}

#[test]
fn unchanged_files_keep_inode_and_time_and_changed_ones_get_the_present() {
    let world = World::new("virtual");
    for path in [
        "crates/alpha/src/lib.rs",
        "crates/alpha/src/util.rs",
        "crates/alpha/README.md",
        "crates/beta/src/main.rs",
        "rustfmt.toml",
    ] {
        set_mtime(world.at(path), 1_500_000_000);
    }
    world.backup();
    write(world.at("crates/alpha/src/util.rs"), "changed\n");
    chmod(world.at("crates/alpha/README.md"), 0o600);
    let main = stamp(&world.at("crates/beta/src/main.rs"));
    let readme = stamp(&world.at("crates/alpha/README.md"));
    let lib = stamp(&world.at("crates/alpha/src/lib.rs"));
    let now = world.clock.peek();
    world.rollback(&all());
    assert_eq!(stamp(&world.at("crates/beta/src/main.rs")), main, "unchanged");
    assert_eq!(
        stamp(&world.at("crates/alpha/src/lib.rs")),
        lib,
        "a changed module needs no touch of the crate root"
    );
    assert_eq!(stamp(&world.at("crates/alpha/README.md")), readme, "only its mode changed");
    assert_eq!(world.at("crates/alpha/README.md").metadata().unwrap().mode() & 0o777, 0o644);
    let changed = world.at("crates/alpha/src/util.rs").metadata().unwrap().modified().unwrap();
    assert!(changed > now && changed <= world.clock.peek(), "the present, whatever the restore point says");
}

#[test]
fn the_crate_roots_are_touched_where_cargo_would_not_see_the_change() {
    let world = World::new("virtual");
    write(world.at("crates/beta/data.txt"), "one\n");
    let roots = ["crates/alpha/src/lib.rs", "crates/beta/src/main.rs"];
    roots.iter().for_each(|path| set_mtime(world.at(path), 1_500_000_000));
    world.backup();
    let touched =
        |world: &World| roots.map(|path| world.at(path).metadata().unwrap().mtime() != 1_500_000_000);
    let reset = || roots.iter().for_each(|path| set_mtime(world.at(path), 1_500_000_000));
    let changes: [(&str, &dyn Fn()); 3] = [
        ("changed", &|| write(world.at("crates/alpha/name.txt"), "changed\n")),
        ("added", &|| write(world.at("crates/alpha/added.txt"), "added\n")),
        ("removed", &|| remove(world.at("crates/alpha/README.md"))),
    ];
    for (what, change) in changes {
        change();
        let root = stamp(&world.at(roots[0])).0;
        world.rollback(&all());
        assert_eq!(touched(&world), [true, true], "{what}: no build says who has read it");
        assert_eq!(stamp(&world.at(roots[0])).0, root, "touched, not replaced");
        reset();
    }
    write(world.at("crates/alpha/src/util.rs"), "changed\n");
    world.rollback(&all());
    assert_eq!(touched(&world), [false, false], "cargo sees a module by itself");
}

#[test]
fn a_restore_elsewhere_is_exact_with_times_and_refuses_what_is_not_empty() {
    let world = World::new("outside");
    link("lib.rs", world.at("crates/inner/src/link.rs"));
    chmod(world.at("crates/inner"), 0o555);
    set_mtime(world.at("crates/inner/src/lib.rs"), 1_400_000_000);
    let place = world.temp.path().join("place");
    let before = Picture::with_times(&world.root, &[&world.dir]);
    world.backup();
    chmod(world.at("crates/inner"), 0o755);
    edit_inner(&world);
    let edited = world.picture();
    let to = world.temp.path().join("new/restored");
    let report = restore_to(&world.store(), &world.latest(), &to, &all(), &world.context()).unwrap();
    assert_same(&Picture::with_times(&to, &[]), &before, "elsewhere");
    assert_eq!((report.symlinks, report.files), (1, before_files(&before)));
    assert_same(&world.picture(), &edited, "nothing else is touched");
    let again = restore_to(&world.store(), &world.latest(), &to, &all(), &world.context()).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Usage);

    let both = world.temp.path().join("both/workspace");
    let options = RollbackOptions { outside: true, ..all() };
    restore_to(&world.store(), &world.latest(), &both, &options, &world.context()).unwrap();
    let neighbour = world.temp.path().join("both/neighbour");
    assert_same(
        &Picture::with_times(&neighbour, &[]),
        &Picture::with_times(&place.join("neighbour"), &[]),
        "outside",
    );

    let part = world.temp.path().join("part");
    restore_to(&world.store(), &world.latest(), &part, &only(&["crates/inner/src"]), &world.context())
        .unwrap();
    let found: Vec<_> = Picture::take(&part, &[]).0.into_keys().map(|p| p.display().to_string()).collect();
    assert_eq!(
        found,
        ["crates", "crates/inner", "crates/inner/src", "crates/inner/src/lib.rs", "crates/inner/src/link.rs"]
    );
}

fn edit_inner(world: &World) {
    write(world.at("crates/inner/src/lib.rs"), "changed\n");
    write(world.at("crates/inner/src/new.rs"), "new\n");
}

fn before_files(picture: &Picture) -> u64 {
    picture.0.values().filter(|n| matches!(n.what, crate::support::tree::What::File(_))).count() as u64
}

#[test]
fn a_workspace_that_was_moved_takes_its_store_along() {
    let mut world = World::new("virtual");
    let before = world.picture();
    world.backup();
    edit(&world);
    let edited = world.picture();
    world.rollback(&all());
    world.undo();
    let moved = world.temp.path().join("moved away");
    fs::rename(&world.root, &moved).unwrap();
    world.root = moved;
    world.dir = world.root.join("backup");
    // As the copied executable does it: the store alone is known.
    let store = Store::open(&world.dir, None, &Fs::real()).unwrap();
    assert_eq!(store.root(), world.root);
    world.undo();
    assert_same(&world.picture(), &before, "an undo of what was done elsewhere");
    world.undo();
    assert_same(&world.picture(), &edited, "and its undo");
    world.rollback(&all());
    assert_same(&world.picture(), &before, "a rollback");
    assert_eq!(world.findings(&world.latest()), [""; 0]);
    assert!(world.backup().linked > 0, "what was never touched is still linked");
}

#[test]
fn nothing_to_resume_or_abort_is_no_error() {
    let world = World::new("single");
    world.backup();
    assert!(world.resume_with(&Fs::real()).unwrap().is_none());
    assert!(world.abort_with(&Fs::real()).unwrap().is_none());
    assert_eq!(world.plan_undo().unwrap_err().kind(), ErrorKind::NoRestorePoint);
}

/// A rollback that was killed right behind its commit.
fn cut_off() -> (World, Picture, Picture) {
    let world = World::new("virtual");
    let before = world.picture();
    world.backup();
    edit(&world);
    let edited = world.picture();
    let plan = world.plan(&all());
    for calls in (0..).step_by(3) {
        let fs = Fs::probed(Arc::new(Cutter::after(calls)));
        let _ = world.apply_with(plan.clone(), &fs);
        if world.store().is_cut_off() && world.picture() != edited {
            return (world, before, edited);
        }
        if world.store().is_cut_off() {
            world.abort_with(&Fs::real()).unwrap();
        }
    }
    unreachable!()
}

#[test]
fn while_a_rollback_is_cut_off_every_writing_command_refuses_and_names_both_ways_out() {
    let (world, _, edited) = cut_off();
    let set_of_the_present = World::new("virtual").set();
    let listed = world.latest();
    let errors = [
        world.try_backup(&set_of_the_present, &Fs::real()).unwrap_err(),
        world.plan_with(&listed, &all(), &Fs::real()).unwrap_err(),
        world.plan_undo().unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::CutOff);
        let help = error.help().unwrap();
        assert!(help.contains("--resume") && help.contains("--abort"), "{help}");
    }
    assert_eq!(world.findings(&listed), [""; 0], "reading goes on");
    world.abort_with(&Fs::real()).unwrap().unwrap();
    assert_same(&world.picture(), &edited, "aborted");
}

#[test]
fn what_somebody_wrote_after_a_cut_is_kept_by_an_abort() {
    let (world, _, edited) = cut_off();
    let path = ["crates/alpha/src/lib.rs", "crates/alpha/name.txt", "crates/alpha/src/new.rs"]
        .into_iter()
        .find(|path| {
            fs::read(world.at(path)).ok()
                != edited.0.get(Path::new(path)).map(|n| match &n.what {
                    crate::support::tree::What::File(bytes) => bytes.clone(),
                    _ => Vec::new(),
                })
        })
        .unwrap();
    write(world.at(path), "written after the cut\n");
    let result = world.abort_with(&Fs::real());
    let kept = find_text(&world.temp.path().join("place"), b"written after the cut\n");
    assert!(kept, "{path}: it is somewhere");
    match result {
        Ok(_) => assert_same(&world.picture(), &edited, "aborted"),
        Err(e) => {
            assert_eq!(e.kind(), ErrorKind::CutOff);
            remove(world.at(path));
            world.abort_with(&Fs::real()).unwrap().unwrap();
            assert_same(&world.picture(), &edited, "aborted, after it was taken out of the way");
        }
    }
}

fn find_text(dir: &Path, text: &[u8]) -> bool {
    fs::read_dir(dir).unwrap().flatten().any(|entry| {
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        (kind.is_dir() && find_text(&path, text)) || (kind.is_file() && fs::read(&path).unwrap() == text)
    })
}

#[test]
fn a_rollback_stopped_by_its_user_is_clean_before_the_commit_and_cut_off_after_it() {
    for (before_commit, pattern) in [(true, "stage_"), (false, "displaced_")] {
        let world = World::new("virtual");
        let new = world.picture();
        world.backup();
        edit(&world);
        let edited = world.picture();
        let flag = world.interrupt.flag();
        let stop = flag.clone();
        let probe = Meanwhile(move |op: &Op<'_>| {
            if format!("{op:?}").contains(pattern) {
                stop.store(true, Ordering::SeqCst);
            }
        });
        let plan = world.plan(&all());
        let error = world.apply_with(plan, &Fs::probed(Arc::new(probe))).unwrap_err();
        flag.store(false, Ordering::SeqCst);
        if before_commit {
            assert_eq!(error.kind(), ErrorKind::Interrupted);
            assert_same(&world.picture(), &edited, "whole");
            assert!(!world.store().is_cut_off());
        } else {
            assert_eq!(error.kind(), ErrorKind::CutOff);
            world.resume_with(&Fs::real()).unwrap().unwrap();
            assert_same(&world.picture(), &new, "resumed");
        }
    }
}

#[test]
fn the_intent_is_durable_before_the_first_file_is_staged_and_the_stage_before_the_commit() {
    let world = World::new("virtual");
    world.backup();
    edit(&world);
    let plan = world.plan(&all());
    let recorder = Arc::new(crate::support::probe::Recorder::default());
    world.apply_with(plan, &Fs::probed(recorder.clone())).unwrap();
    let ops = recorder.taken();
    let first = |what: &dyn Fn(&str) -> bool| {
        ops.iter().position(|op| what(op)).unwrap_or_else(|| panic!("{ops:#?}"))
    };
    let synced = |from: usize, to: usize, end: &str| {
        assert!(
            ops[from..to].iter().any(|op| op.starts_with("Sync") && op.ends_with(end)),
            "{end}: {:#?}",
            &ops[from..to]
        );
    };
    let state = first(&|op| op.starts_with("Rename") && op.ends_with("backup/state\" }"));
    let journal = first(&|op| op.starts_with("Rename") && op.ends_with("rollback/journal\" }"));
    let stage = first(&|op| op.starts_with("CreateDir") && op.contains("/stage_"));
    let commit = ops
        .iter()
        .rposition(|op| op.starts_with("Rename") && op.ends_with("rollback/journal\" }"))
        .unwrap_or_default();
    let moved = first(&|op| op.starts_with("Rename") && op.contains("/displaced_"));
    let closed = first(&|op| op.starts_with("Rename") && op.contains("to: ") && op.contains(".journal\""));
    assert!(state < journal && journal < stage && stage < commit && commit < moved && moved < closed);
    synced(state, journal, "/backup\" }");
    synced(journal, stage, "/rollback\" }");
    synced(stage, commit, "/backup\" }");
    synced(commit, moved, "/rollback\" }");
    let last_move = ops.iter().rposition(|op| op.starts_with("Rename") && op.contains("/stage_")).unwrap();
    synced(last_move, closed, "/place\" }");
    synced(last_move, closed, "/backup\" }");
    let end = ops.len();
    synced(closed, end, "/rollback\" }");
}

#[test]
fn one_rollback_at_a_time() {
    let world = World::new("single");
    world.backup();
    let store = world.store();
    let _held = store.lock(Wait::No, &world.interrupt, &Silent).unwrap();
    assert_eq!(world.store().lock(Wait::No, &world.interrupt, &Silent).unwrap_err().kind(), ErrorKind::Busy);
}

#[test]
fn the_plan_says_what_it_does_to_each_path() {
    let world = World::new("virtual");
    world.backup();
    edit(&world);
    chmod(world.at("crates/alpha/README.md"), 0o600);
    let plan = world.plan(&all());
    let verbs: Vec<_> = plan.actions.iter().map(|a| (a.shown(), a.verb())).collect();
    let expected = [
        ("crates/alpha/README.md", Verb::ChangeMode),
        ("crates/alpha/name.txt", Verb::Create),
        ("crates/alpha/src/lib.rs", Verb::Replace),
        ("crates/alpha/src/new.rs", Verb::Displace),
        ("crates/beta/notes", Verb::RemoveDirectory),
        ("crates/beta/notes/deep", Verb::RemoveDirectory),
        ("crates/beta/notes/deep/new.md", Verb::Displace),
        ("crates/beta/src/main.rs", Verb::Replace),
        ("rustfmt.toml", Verb::Replace),
    ];
    assert_eq!(verbs, expected.map(|(path, verb)| (path.to_owned(), verb)));
    assert!(SystemTime::UNIX_EPOCH < world.clock.peek());
}

/// A process killed at the first of its calls that `at` tells.
struct KilledAt<F> {
    at: F,
    dead: AtomicBool,
}

impl<F: Fn(&Op<'_>) -> bool + Send + Sync> backstop::fsx::Probe for KilledAt<F> {
    fn before(&self, op: &Op<'_>) -> backstop::fsx::Verdict {
        if (self.at)(op) {
            self.dead.store(true, Ordering::SeqCst);
        }
        match self.dead.load(Ordering::SeqCst) {
            true => backstop::fsx::Verdict::Fail(std::io::Error::other("killed")),
            false => backstop::fsx::Verdict::Proceed,
        }
    }
}

#[test]
fn an_abort_touches_the_crate_roots_too() {
    let world = World::new("virtual");
    let root = world.at("crates/alpha/src/lib.rs");
    set_mtime(&root, 1_500_000_000);
    world.backup();
    write(world.at("crates/alpha/name.txt"), "changed\n");
    // The data file is in place and seen by a build; the process dies before anything is touched.
    let workspace = world.root.clone();
    let at = move |op: &Op<'_>| matches!(op, Op::SetMtime { path, .. } if path.starts_with(&workspace) && !path.starts_with(workspace.join("backup")));
    let killed = KilledAt { at, dead: AtomicBool::new(false) };
    let error = world.apply_with(world.plan(&all()), &Fs::probed(Arc::new(killed))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CutOff);
    assert_eq!(stamp(&root).1, 1_500_000_000, "not touched yet");
    world.abort_with(&Fs::real()).unwrap().unwrap();
    assert_eq!(fs::read_to_string(world.at("crates/alpha/name.txt")).unwrap(), "changed\n");
    assert!(stamp(&root).1 > 1_500_000_000, "a build that saw the data file would not look again");
}

#[test]
fn what_was_moved_out_is_closed_against_edits_of_everything_below_the_workspace() {
    let world = World::new("virtual");
    world.backup();
    edit(&world);
    let outcome = world.rollback(&all());
    let displaced = outcome.displaced.unwrap();
    for dir in [&displaced, &displaced.join("files/crates/alpha/src")] {
        assert_eq!(dir.metadata().unwrap().mode() & 0o777, 0o500, "{}", dir.display());
    }
    world.undo();
}

/// A sealed journal of a version that nobody has written yet.
fn later_journal() -> Vec<u8> {
    let mut bytes = b"backstop-journal\x002\0something new\0".to_vec();
    let seal = backstop::digest::Digest::of(&bytes).to_string();
    bytes.extend_from_slice(format!("end\0{seal}\0").as_bytes());
    bytes
}

#[test]
fn a_journal_of_a_later_version_is_called_that_and_not_damage() {
    let world = World::new("virtual");
    world.backup();
    let says = |error: backstop::Error, kind: ErrorKind| {
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains("has version 2; this version reads 1"), "{error}");
        assert!(error.help().unwrap().contains("a newer backstop"), "{error:?}");
    };
    let closed = world.dir.join("rollback/rollback_20260101_000000.journal");
    write(&closed, later_journal());
    says(world.plan_undo().unwrap_err(), ErrorKind::UnknownVersion);
    remove(closed);
    let open = world.dir.join("rollback/journal");
    write(&open, later_journal());
    says(world.resume_with(&Fs::real()).unwrap_err(), ErrorKind::CutOff);
    says(world.abort_with(&Fs::real()).unwrap_err(), ErrorKind::CutOff);
    // A torn one is damage.
    let torn = later_journal();
    write(&open, &torn[..torn.len() - 2]);
    let error = world.resume_with(&Fs::real()).unwrap_err();
    assert!(error.to_string().contains("is damaged"), "{error}");
}
