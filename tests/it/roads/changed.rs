//! Rows: what may happen to files, directories and links.

use std::fs;
use std::process::Command;

use super::road::Road;
use super::row::{Row, SHORT, Tree, row};
use crate::support::World;
use crate::support::edit::{chmod, is_root, link, mkdir, opened, remove, set_mtime, write};

const LIB: &str = "crates/alpha/src/lib.rs";

pub(super) fn rows() -> Vec<Row> {
    let mut rows = contents();
    rows.extend(kinds());
    rows.extend(modes());
    rows.extend(builds());
    rows
}

fn contents() -> Vec<Row> {
    vec![
        row("a file modified", |w| write(w.at(LIB), "modified\n")),
        row("a file modified to the same size and time", |w| {
            write(w.at(LIB), fs::read_to_string(w.at(LIB)).unwrap().to_uppercase());
            set_mtime(w.at(LIB), 1_600_000_000);
        })
        .with(|w| set_mtime(w.at(LIB), 1_600_000_000)),
        row("a file emptied, an empty file filled", |w| {
            write(w.at(LIB), "");
            write(w.at("crates/alpha/empty"), "no more\n");
        })
        .with(|w| write(w.at("crates/alpha/empty"), "")),
        row("a file deleted", |w| remove(w.at(LIB))),
        row("a file added", |w| write(w.at("crates/alpha/src/added.rs"), "added\n")),
        row("an empty file added", |w| write(w.at("crates/alpha/src/added.rs"), "")),
        row("a file added at the root", |w| write(w.at("notes.txt"), "added\n")),
        row("directories added", |w| {
            write(w.at("crates/alpha/a/b/c/file"), "added\n");
            mkdir(w.at("crates/alpha/a/empty"));
        })
        .left_by_bash(&["crates/alpha/a/empty"]),
        row("an empty directory deleted, another added", |w| {
            remove(w.at("crates/alpha/hollow"));
            mkdir(w.at("crates/alpha/other"));
        })
        .with(|w| mkdir(w.at("crates/alpha/hollow")))
        .left_by_bash(&["crates/alpha/other"]),
        row("a directory deleted with all in it", |w| remove(w.at("crates/alpha/src"))),
        row("a file renamed", |w| fs::rename(w.at(LIB), w.at("crates/alpha/src/renamed.rs")).unwrap()),
        row("a member renamed", |w| fs::rename(w.at("crates/alpha"), w.at("crates/omega")).unwrap()),
        row("a package born", |w| {
            write(w.at("crates/gamma/Cargo.toml"), "[package]\nname = \"gamma\"\n");
            write(w.at("crates/gamma/src/lib.rs"), "born\n");
        }),
        row("a package born outside of every directory that was there", |w| {
            write(w.at("new/deep/er/Cargo.toml"), "[package]\nname = \"er\"\n");
            write(w.at("new/deep/er/src/lib.rs"), "born\n");
            write(w.at("new/beside"), "no package's\n");
        })
        .leaves(Tree::BackBut(&["new/beside"])),
        row("a directory at the root that is no package stays", |w| {
            write(w.at("assets/logo.svg"), "<svg/>\n")
        })
        .leaves(Tree::Untouched),
        row("nothing happened", |_| {}).says("Nothing to do"),
        row("everything deleted but the store", |w| {
            for entry in fs::read_dir(&w.root).unwrap().flatten().filter(|e| e.path() != w.dir) {
                remove(entry.path());
            }
        }),
        row("a large binary file modified", |w| {
            write(w.at("crates/alpha/large"), vec![7; 3_000_000]);
        })
        .with(|w| {
            let noise = (0..3_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8);
            write(w.at("crates/alpha/large"), noise.collect::<Vec<_>>());
        }),
        row("many files modified, deleted and added", |w| {
            for i in 0..120 {
                let path = w.at(format!("crates/alpha/many/{}/{i}", i % 7));
                match i % 4 {
                    0 => write(path, "modified\n"),
                    1 => remove(path),
                    2 => write(path.with_extension("added"), "added\n"),
                    _ => {}
                }
            }
        })
        .with(|w| {
            for i in 0..120 {
                write(w.at(format!("crates/alpha/many/{}/{i}", i % 7)), format!("content {i}\n"));
            }
        }),
    ]
}

fn kinds() -> Vec<Row> {
    vec![
        row("a file became a directory", |w| {
            remove(w.at(LIB));
            write(w.at(LIB).join("inside/deep"), "in it\n");
        }),
        row("a file became an empty directory", |w| {
            remove(w.at(LIB));
            mkdir(w.at(LIB));
        }),
        row("a directory became a file", |w| {
            remove(w.at("crates/alpha/src"));
            write(w.at("crates/alpha/src"), "a file\n");
        }),
        row("a file became a link", |w| {
            remove(w.at(LIB));
            link("util.rs", w.at(LIB));
        }),
        row("a file became a link to itself", |w| {
            remove(w.at(LIB));
            link("lib.rs", w.at(LIB));
        }),
        row("a link became a file", |w| {
            remove(w.at("crates/alpha/link"));
            write(w.at("crates/alpha/link"), "a file\n");
        })
        .with(|w| link("src/lib.rs", w.at("crates/alpha/link"))),
        row("a link became a directory", |w| {
            remove(w.at("crates/alpha/link"));
            write(w.at("crates/alpha/link/file"), "in a directory\n");
        })
        .with(|w| link("src", w.at("crates/alpha/link"))),
        row("a directory became a link to another", |w| {
            fs::rename(w.at("crates/alpha/src"), w.at("crates/alpha/moved")).unwrap();
            link("moved", w.at("crates/alpha/src"));
        }),
        row("a directory became a link to outside", |w| {
            remove(w.at("crates/alpha/src"));
            mkdir(w.temp.path().join("place/outside"));
            link("../../outside", w.at("crates/alpha/src"));
        })
        .leaves(Tree::BackBut(&["outside"])),
        row("a link in a parent directory", |w| {
            fs::rename(w.at("crates"), w.at("boxes")).unwrap();
            link("boxes", w.at("crates"));
        }),
        row("links deleted, dangling, retargeted and added", |w| {
            remove(w.at("crates/alpha/gone"));
            remove(w.at("crates/alpha/other"));
            link("nowhere", w.at("crates/alpha/other"));
            link("src", w.at("crates/alpha/added"));
            link("nowhere", w.at("crates/alpha/added-dangling"));
        })
        .with(|w| {
            link("nowhere/at all", w.at("crates/alpha/gone"));
            link("src/lib.rs", w.at("crates/alpha/other"));
            link("/etc/hostname", w.at("crates/alpha/absolute"));
            link("src", w.at("crates/alpha/to-directory"));
        }),
        row("a pipe in the way", |w| {
            remove(w.at(LIB));
            pipe(w, LIB);
        })
        .refused_by(SHORT, 3),
        row("a pipe where a directory was", |w| {
            remove(w.at("crates/alpha/src"));
            pipe(w, "crates/alpha/src");
        })
        .refused_by(SHORT, 3),
        row("a pipe added stays", |w| pipe(w, "crates/alpha/pipe"))
            .leaves(Tree::Untouched)
            .says("it is no file"),
        row("a pipe in a directory that was added stays, and so does the directory", |w| {
            write(w.at("crates/alpha/fresh/file"), "added\n");
            pipe(w, "crates/alpha/fresh/pipe");
        })
        .leaves(Tree::UntouchedBut(&["crates/alpha/fresh/file"])),
    ]
}

fn pipe(world: &World, path: &str) {
    assert!(Command::new("mkfifo").arg(world.at(path)).status().unwrap().success());
}

fn modes() -> Vec<Row> {
    vec![
        row("a mode changed", |w| chmod(w.at(LIB), 0o600)),
        row("an executable bit lost and one gained", |w| {
            chmod(w.at("crates/alpha/run.sh"), 0o644);
            chmod(w.at(LIB), 0o755);
        })
        .with(|w| {
            write(w.at("crates/alpha/run.sh"), "#!/bin/sh\n");
            chmod(w.at("crates/alpha/run.sh"), 0o755);
        }),
        row("a content and a mode changed", |w| {
            write(w.at(LIB), "modified\n");
            chmod(w.at(LIB), 0o700);
        }),
        row("directories' modes changed", |w| {
            chmod(w.at("crates/alpha/src"), 0o700);
            chmod(w.at("crates/alpha"), 0o777);
        }),
        row("odd modes come back", |w| {
            chmod(w.at("crates/alpha/odd"), 0o644);
            remove(w.at("crates/alpha/none"));
            write(w.at("crates/alpha/group"), "modified\n");
        })
        .with(|w| {
            for (name, mode) in [("odd", 0o4711), ("none", 0o400), ("group", 0o664)] {
                write(w.at("crates/alpha").join(name), "odd\n");
                chmod(w.at("crates/alpha").join(name), mode);
            }
        }),
        row("read-only files are replaced", |w| {
            chmod(w.at("crates/alpha/kept"), 0o644);
            write(w.at("crates/alpha/kept"), "modified\n");
            chmod(w.at("crates/alpha/kept"), 0o444);
            chmod(w.at(LIB), 0o444);
        })
        .with(|w| {
            write(w.at("crates/alpha/kept"), "kept\n");
            chmod(w.at("crates/alpha/kept"), 0o444);
        }),
        row("read-only directories are opened and closed again", |w| {
            opened(w.at("crates/alpha/locked"), || {
                write(w.at("crates/alpha/locked/changed"), "after\n");
                write(w.at("crates/alpha/locked/added"), "added\n");
                remove(w.at("crates/alpha/locked/gone"));
            });
            opened(w.at("crates/alpha/locked/inner"), || {
                write(w.at("crates/alpha/locked/inner/file"), "after\n")
            });
        })
        .with(|w| {
            for name in ["changed", "gone", "inner/file"] {
                write(w.at("crates/alpha/locked").join(name), "before\n");
            }
            chmod(w.at("crates/alpha/locked/inner"), 0o500);
            chmod(w.at("crates/alpha/locked"), 0o555);
        }),
        row("a read-only directory that was added goes", |w| {
            write(w.at("crates/alpha/fresh/deep/file"), "added\n");
            chmod(w.at("crates/alpha/fresh/deep"), 0o555);
            chmod(w.at("crates/alpha/fresh"), 0o555);
        }),
        row("a read-only directory deleted", |w| remove(w.at("crates/alpha/locked"))).with(|w| {
            write(w.at("crates/alpha/locked/file"), "before\n");
            chmod(w.at("crates/alpha/locked"), 0o555);
        }),
        row("somebody whom permissions bind, and read-only files and directories", |w| {
            opened(w.at("crates/alpha/locked"), || {
                write(w.at("crates/alpha/locked/added"), "added\n");
                remove(w.at("crates/alpha/locked/file"));
            });
            chmod(w.at(LIB), 0);
            chmod(w.at("crates/beta"), 0o555);
        })
        .with(|w| {
            write(w.at("crates/alpha/locked/file"), "before\n");
            chmod(w.at("crates/alpha/locked"), 0o555);
        })
        .bound_by_permissions()
        .may_be_refused_by(&[Road::Bash]),
        row("somebody whom permissions bind, and a file that he may not read", |w| {
            write(w.at(LIB), "modified\n");
            chmod(w.at(LIB), 0);
            write(w.at("crates/alpha/secret"), "added\n");
            chmod(w.at("crates/alpha/secret"), 0);
        })
        .bound_by_permissions(),
        row("somebody whom permissions bind, and a directory that he may not enter", |w| {
            write(w.at(LIB), "modified\n");
            chmod(w.at("crates/alpha/src"), 0);
        })
        .bound_by_permissions()
        .refused(3),
        row("what belongs to somebody else stays his", |w| {
            own(w);
            write(w.at(LIB), "modified\n");
            remove(w.at("crates/alpha/name.txt"));
        })
        .with(own),
    ]
}

fn own(world: &World) {
    for path in ["crates/alpha", "crates/alpha/src", LIB, "crates/alpha/name.txt"] {
        if is_root() {
            std::os::unix::fs::lchown(world.at(path), Some(1234), Some(1234)).unwrap();
        }
    }
}

/// What the next build is to see.
fn builds() -> Vec<Row> {
    vec![
        row("a file that is no source touches the package's roots", |w| {
            write(w.at("crates/alpha/name.txt"), "modified\n");
        }),
        row("a build script's input touches the build script", |w| {
            write(w.at("crates/beta/input.txt"), "modified\n");
        })
        .with(|w| {
            write(w.at("crates/beta/build.rs"), "fn main() {}\n");
            write(w.at("crates/beta/input.txt"), "input\n");
            set_mtime(w.at("crates/beta/build.rs"), 1_600_000_000);
            set_mtime(w.at("crates/beta/src/main.rs"), 1_600_000_000);
        }),
        row("what is equal keeps its old time, older or newer", |w| {
            set_mtime(w.at(LIB), 1_500_000_000);
            set_mtime(w.at("crates/alpha/src/util.rs"), 1_700_000_000);
            write(w.at("crates/beta/src/main.rs"), "modified\n");
        })
        .with(|w| set_mtime(w.at(LIB), 1_600_000_000)),
    ]
}
