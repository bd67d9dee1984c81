//! Random trees, random edits: a rollback gives back what a naive copy of the tree says, an undo what the edits
//! left. `PROPTEST_CASES` raises the number of cases.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backstop::fsx::Fs;
use backstop::rollback::RollbackOptions;
use backstop::validate::From;
use proptest::prelude::*;

use crate::support::edit::{chmod, is_root};
use crate::support::probe::Apart;
use crate::support::temp::remove_tree;
use crate::support::{Picture, TempDir, World};

/// One thing that somebody does. What is impossible where it is tried does nothing.
#[derive(Debug, Clone)]
enum Edit {
    Write(PathBuf, Vec<u8>),
    Append(PathBuf),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
    Chmod(PathBuf, usize),
    Directory(PathBuf),
    Link(PathBuf, PathBuf),
    /// Two things change places.
    Swap(PathBuf, PathBuf),
}

/// Few names, so that edits meet; some that sort around `/`, and some that are odd.
fn path() -> impl Strategy<Value = PathBuf> {
    let name = prop::sample::select(vec!["a", "b", "a-b", "a.rs", "Cargo.toml", "ü\n", " "]);
    prop::collection::vec(name, 1..4)
        .prop_map(|names| Path::new("data").join(names.iter().collect::<PathBuf>()))
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        4 => (path(), prop::collection::vec(any::<u8>(), 0..9)).prop_map(|(p, bytes)| Edit::Write(p, bytes)),
        2 => path().prop_map(Edit::Append),
        3 => path().prop_map(Edit::Remove),
        2 => (path(), path()).prop_map(|(a, b)| Edit::Rename(a, b)),
        2 => (path(), 0..3_usize).prop_map(|(p, mode)| Edit::Chmod(p, mode)),
        2 => path().prop_map(Edit::Directory),
        2 => (path(), path()).prop_map(|(to, at)| Edit::Link(to, at)),
        1 => (path(), path()).prop_map(|(a, b)| Edit::Swap(a, b)),
    ]
}

/// Does it. As root, who may do all; otherwise read-only directories refuse, as they should.
fn perform(root: &Path, edit: &Edit) {
    let at = |path: &PathBuf| root.join(path);
    // Nothing is written through a link that an earlier edit made: it could lead anywhere.
    let safe = |path: &PathBuf| {
        let mut below = root.to_path_buf();
        path.iter().all(|name| {
            below.push(name);
            !below.is_symlink()
        })
    };
    let parent = |path: &PathBuf| {
        let _ = fs::create_dir_all(at(path).parent().unwrap());
    };
    match edit {
        Edit::Write(path, bytes) if safe(path) => {
            parent(path);
            let _ = fs::write(at(path), bytes);
        }
        Edit::Append(path) if safe(path) => {
            if let Ok(mut file) = fs::File::options().append(true).open(at(path)) {
                let _ = std::io::Write::write_all(&mut file, b"more");
            }
        }
        Edit::Remove(path) if safe(path) || at(path).is_symlink() && safe(&path.parent().unwrap().into()) => {
            remove_tree(&at(path));
        }
        Edit::Rename(a, b) if safe(a) && safe(b) => {
            parent(b);
            let _ = fs::rename(at(a), at(b));
        }
        Edit::Chmod(path, mode) if safe(path) => {
            let modes = if at(path).is_dir() { [0o755, 0o555, 0o700] } else { [0o644, 0o444, 0o755] };
            let _ = fs::set_permissions(at(path), fs::Permissions::from_mode(modes[*mode]));
        }
        Edit::Directory(path) if safe(path) => {
            let _ = fs::create_dir_all(at(path));
        }
        Edit::Link(to, path) if safe(path) => {
            parent(path);
            let _ = std::os::unix::fs::symlink(to, at(path));
        }
        Edit::Swap(a, b) if safe(a) && safe(b) => {
            let aside = root.join("data/aside");
            if fs::rename(at(a), &aside).is_ok() {
                let _ = fs::rename(at(b), at(a));
                if fs::rename(&aside, at(b)).is_err() {
                    remove_tree(&aside);
                }
            }
        }
        _ => {}
    }
}

pub(crate) fn cases() -> ProptestConfig {
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let config = if asked { config } else { ProptestConfig { cases: 48, ..config } };
    eprintln!("{} random trees, edited, rolled back and undone", config.cases);
    config
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    #[ignore = "part of torture: random"]
    fn a_rollback_equals_a_naive_copy_and_an_undo_the_edited_one(
        first in prop::collection::vec(edit(), 0..25),
        second in prop::collection::vec(edit(), 1..25),
        from in prop::sample::select(vec![From::Auto, From::Session, From::Archive]),
        (apart, portable) in any::<(bool, bool)>(),
    ) {
        let other = TempDir::new();
        let mut world = World::new("single");
        world.dir = other.path().join("store");
        let real = || {
            let fs = match apart {
                true => Fs::probed(Arc::new(Apart { dir: other.path().into(), inner: None })),
                false => Fs::real(),
            };
            if portable { fs.portable() } else { fs }
        };
        first.iter().for_each(|edit| perform(&world.root, edit));
        let before = world.picture();
        world.try_backup(&world.set(), &real()).unwrap();
        prop_assert_eq!(world.findings(&world.latest()), Vec::<String>::new());
        second.iter().for_each(|edit| perform(&world.root, edit));
        if is_root() {
            // What the whole is in may change as well.
            chmod(world.at("src"), 0o750);
        }
        let edited = world.picture();

        let options = RollbackOptions { from, ..RollbackOptions::default() };
        let plan = world.plan_with(&world.latest(), &options, &real()).unwrap();
        prop_assert_eq!(&plan.left_alone, &[]);
        let outcome = world.apply_with(plan, &real()).unwrap();
        prop_assert_eq!(outcome.mismatches, Vec::<String>::new());
        prop_assert_eq!(before.diff(&world.picture()), "", "rolled back");
        for expected in [&edited, &before] {
            let plan = world.plan_undo().unwrap();
            world.apply_with(plan, &real()).unwrap();
            let found: Picture = world.picture();
            prop_assert_eq!(expected.diff(&found), "", "undone");
        }
        for listed in world.listed() {
            prop_assert_eq!(world.findings(&listed), Vec::<String>::new());
        }
    }
}
