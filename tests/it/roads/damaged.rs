//! Rows: a store that was damaged, in every part that a rollback reads.

use std::fs;
use std::path::PathBuf;

use super::row::{Row, SHORT, row};
use crate::cli::spoil;
use crate::support::World;
use crate::support::edit::{chmod, opened, overwrite, remove, write};

const LIB: &str = "crates/alpha/src/lib.rs";
const UTIL: &str = "crates/alpha/src/util.rs";

fn session(world: &World) -> PathBuf {
    world.dir.join("session_20261123_054000")
}

fn archive(world: &World) -> PathBuf {
    world.dir.join("archives/it_backup_20261123_054000.tar.gz")
}

fn list(world: &World) -> PathBuf {
    world.dir.join("rollback/it_backup_20261123_054000.list")
}

fn metadata(world: &World) -> PathBuf {
    world.dir.join("metadata/it_backup_20261123_054000.json")
}

/// The session's copy of a file that the workspace needs.
fn stored(world: &World, path: &str) -> PathBuf {
    session(world).join("files").join(path)
}

fn flip(path: PathBuf) {
    overwrite(path, |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x20;
    });
}

fn lose(path: PathBuf) {
    opened(path.parent().unwrap(), || remove(&path));
}

/// Another content, one of another length.
fn need(world: &World) {
    write(world.at(LIB), "broken\n");
    write(world.at(UTIL), "broken\n");
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = copies();
    rows.extend(texts());
    rows.extend(journals());
    rows
}

fn copies() -> Vec<Row> {
    vec![
        row("a file of the session damaged", |w| {
            need(w);
            flip(stored(w, LIB));
        }),
        row("a file of the session interrupted", |w| {
            need(w);
            overwrite(stored(w, LIB), |bytes| bytes.truncate(3));
        }),
        row("a file of the session missing", |w| {
            need(w);
            lose(stored(w, LIB));
        }),
        row("a file of the session that became a link", |w| {
            need(w);
            let path = stored(w, LIB);
            opened(path.parent().unwrap(), || {
                remove(&path);
                crate::support::edit::link("util.rs", &path);
            });
        }),
        row("a damaged file of the session that nobody needs", |w| {
            write(w.at(UTIL), "broken\n");
            flip(stored(w, LIB));
        }),
        row("a damaged file of the session, and only the session allowed", |w| {
            need(w);
            flip(stored(w, LIB));
        })
        .runs(&["-t", "latest", "-f", "--from", "session"], 3)
        .refused(3),
        row("the archive damaged", |w| {
            need(w);
            flip(archive(w));
        }),
        row("the archive damaged, and only the archive allowed", |w| {
            need(w);
            overwrite(archive(w), |bytes| bytes.iter_mut().take(40).for_each(|b| *b ^= 0x55));
        })
        .runs(&["-t", "latest", "-f", "--from", "archive"], 3)
        .refused(3),
        row("the archive interrupted, and only the archive allowed", |w| {
            need(w);
            overwrite(archive(w), |bytes| bytes.truncate(20));
        })
        .runs(&["-t", "latest", "-f", "--from", "archive"], 3)
        .refused(3),
        row("the archive empty", |w| {
            need(w);
            overwrite(archive(w), Vec::clear);
        }),
        row("the archive lost", |w| {
            need(w);
            lose(archive(w));
        }),
        row("the archive lost, and only the archive allowed", |w| {
            need(w);
            lose(archive(w));
        })
        .runs(&["-t", "latest", "-f", "--from", "archive"], 3)
        .refused(3),
        row("the whole session lost", |w| {
            spoil(&w.root);
            lose(session(w));
        }),
        row("the session's files lost", |w| {
            spoil(&w.root);
            lose(session(w).join("files"));
        }),
        row("session and archive lost", |w| {
            need(w);
            lose(session(w));
            lose(archive(w));
        })
        .refused(3),
        row("both copies of one file damaged", |w| {
            need(w);
            flip(stored(w, LIB));
            overwrite(archive(w), |bytes| bytes.iter_mut().take(60).for_each(|b| *b ^= 0x55));
        })
        .refused(3)
        .says(LIB),
        row("both copies of a file damaged that nobody needs", |w| {
            write(w.at("crates/beta/src/main.rs"), "broken\n");
            flip(stored(w, LIB));
        }),
        row("stored modes and times drifted", |w| {
            spoil(&w.root);
            chmod(stored(w, LIB), 0o600);
        }),
    ]
}

fn texts() -> Vec<Row> {
    vec![
        row("the checksum list lost", |w| {
            spoil(&w.root);
            lose(w.dir.join("checksums/it_backup_20261123_054000.sha256"));
        }),
        row("the session's manifest lost", |w| {
            spoil(&w.root);
            lose(session(w).join("backup_manifest.json"));
        }),
        row("the manifest's second copy lost", |w| {
            spoil(&w.root);
            lose(metadata(w));
        }),
        row("the scripts' list damaged", |w| {
            spoil(&w.root);
            flip(list(w));
        })
        .refused_by(SHORT, 3),
        row("the scripts' list interrupted", |w| {
            spoil(&w.root);
            overwrite(list(w), |bytes| bytes.truncate(400));
        })
        .refused_by(SHORT, 3),
        row("the scripts' list lost", |w| {
            spoil(&w.root);
            lose(list(w));
        })
        .refused_by(SHORT, 3),
        row("store.json lost and the workspace named", |w| {
            spoil(&w.root);
            remove(w.dir.join("store.json"));
        })
        .started(|cli, w| cli.arg("--manifest-path").arg(w.at("Cargo.toml"))),
        row("store.json damaged and the workspace named", |w| {
            spoil(&w.root);
            overwrite(w.dir.join("store.json"), |bytes| bytes.truncate(40));
        })
        .started(|cli, w| cli.arg("--manifest-path").arg(&w.root)),
        row("store.json lost", |w| {
            spoil(&w.root);
            remove(w.dir.join("store.json"));
        })
        .refused(3)
        .without(SHORT)
        .in_its_own_words(),
        row("a store of a newer format", |w| {
            spoil(&w.root);
            overwrite(w.dir.join("store.json"), |bytes| {
                let text = String::from_utf8(bytes.clone()).unwrap();
                *bytes = text.replace("\"backstop_store\": 1", "\"backstop_store\": 99").into_bytes();
            });
        })
        .refused(3)
        .without(SHORT),
    ]
}

fn journals() -> Vec<Row> {
    const DAMAGED: fn(&World) = |w| {
        spoil(&w.root);
        write(w.dir.join("rollback/journal"), b"backstop-journal\x001\x00damaged\x00");
        write(w.dir.join("state"), "rollback 20261123_060000\n");
    };
    vec![
        row("a damaged journal stands in the way of a rollback", DAMAGED).refused(4).cut_off().without(SHORT),
        row("a damaged journal stands in the way of an undo", DAMAGED)
            .runs(&["--undo", "-f"], 4)
            .refused(4)
            .cut_off(),
        row("a damaged journal cannot be resumed", DAMAGED).runs(&["--resume"], 4).refused(4).cut_off(),
        row("a damaged journal cannot be aborted", DAMAGED).runs(&["--abort"], 4).refused(4).cut_off(),
        row("an empty journal", |w| {
            spoil(&w.root);
            write(w.dir.join("rollback/journal"), "");
        })
        .runs(&["--resume"], 4)
        .refused(4)
        .cut_off(),
        row("a mark that a cut left before the journal", |w| {
            spoil(&w.root);
            write(w.dir.join("state"), "rollback 20261123_060000\n");
        }),
        row("a stage that a cut left behind", |w| {
            spoil(&w.root);
            write(w.dir.join("rollback/stage_20261123_060000/0"), "left\n");
            write(w.dir.join("rollback/.journal.new"), "left\n");
        }),
        row("a closed journal damaged", |w| {
            need(w);
            world_rolled_back(w);
            let dir = w.dir.join("rollback");
            let name = fs::read_dir(&dir).unwrap().flatten().map(|e| e.path());
            let journal = name.filter(|p| p.extension().is_some_and(|e| e == "journal")).max().unwrap();
            overwrite(journal, |bytes| bytes[30] ^= 1);
        })
        .runs(&["--undo", "-f"], 3)
        .refused(3)
        .leaves_a_damaged_journal(),
    ]
}

fn world_rolled_back(world: &World) {
    world.rollback(&Default::default());
}
