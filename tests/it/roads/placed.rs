//! Rows: where workspace, store and shell stand, what is broken around them, and what was planted there.

use std::fs;

use super::road::Road;
use super::row::{BACK, Row, SHORT, Tree, row};
use crate::cli::{program, spoil};
use crate::support::World;
use crate::support::edit::{self, mkdir, remove, write};

const LIB: &str = "crates/alpha/src/lib.rs";

fn change(world: &World) {
    spoil(&world.root);
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = elsewhere();
    rows.extend(broken());
    rows.extend(planted());
    rows.extend(held());
    rows
}

fn elsewhere() -> Vec<Row> {
    vec![
        row("started outside", change).started(|cli, _| cli.at("/")),
        row("started in the scripts' directory", change).started(|cli, w| cli.at(w.dir.join("scripts"))),
        row("started in a directory that goes", change).with(|_| {}).started(|cli, w| {
            mkdir(w.at("crates/gamma/src"));
            cli.at(w.at("crates/gamma/src"))
        }),
        row("started in a directory that was deleted", change).started(|cli, w| {
            let gone = w.temp.path().join("gone");
            mkdir(&gone);
            let text = "cd \"$G\" && rmdir \"$G\" && exec \"$@\"";
            let command = cli.words();
            program("/bin/sh", "/").args(["-c", text, "sh"]).args(command).env("G", gone)
        }),
        row("the workspace moved along with its store", change).moved("far/away/moved"),
        row("the workspace moved to a path with odd characters", change).moved("my work\n'it' \"$(id)\" *"),
        row("a store elsewhere", change).stored("points"),
        row("a store elsewhere, and its workspace moved away", change)
            .stored("points")
            .moved("moved")
            .refused(3)
            .says("--manifest-path"),
        row("a store elsewhere, its workspace moved away and named", change)
            .stored("points")
            .moved("moved")
            .started(|cli, w| cli.arg("--manifest-path").arg(w.temp.path().join("moved/Cargo.toml"))),
        row("a store on another file system", |w| crate::cuts::vandalise(&w.root))
            .with(|w| crate::cuts::furnish(&w.root))
            .stored_on_another_file_system()
            .may_be_refused_by(&[Road::Bash]),
        row("an undo across file systems, and its undo", |w| crate::cuts::vandalise(&w.root))
            .with(|w| crate::cuts::furnish(&w.root))
            .stored_on_another_file_system()
            .then(&["--undo", "-f"], 0)
            .then(&["--undo", "-f"], 0)
            .without(&[Road::Bash]),
        row("through a link to the workspace", change).started(|cli, w| {
            let link = w.temp.path().join("linked");
            remove(&link);
            crate::support::edit::link(&w.root, &link);
            cli.at(link)
        }),
        row("roots outside are reported and not written", |w| {
            write(w.root.parent().unwrap().join("neighbour/src/lib.rs"), "modified\n");
            write(w.at("crates/inner/src/lib.rs"), "modified\n");
        })
        .fixture("outside")
        .says("outside the workspace")
        .may_be_refused_by(&[Road::Bash]),
        row("only roots outside differ", |w| {
            write(w.root.parent().unwrap().join("neighbour/src/lib.rs"), "modified\n");
            write(w.root.parent().unwrap().join("neighbour/src/added.rs"), "added\n");
        })
        .fixture("outside")
        .says("Nothing to do")
        .may_be_refused_by(&[Road::Bash]),
        row("a root outside is missing", |w| {
            remove(w.root.parent().unwrap().join("neighbour"));
            write(w.at("crates/inner/src/lib.rs"), "modified\n");
        })
        .fixture("outside")
        // rollback.py looks at nothing outside.
        .runs(BACK, 1)
        .says("neighbour")
        .without(&[Road::Python])
        .may_be_refused_by(&[Road::Bash]),
    ]
}

fn broken() -> Vec<Row> {
    vec![
        row("the root manifest does not parse", |w| write(w.at("Cargo.toml"), "[workspace\n<<<<<<<\n")),
        row("the root manifest is a directory", |w| {
            remove(w.at("Cargo.toml"));
            mkdir(w.at("Cargo.toml"));
        }),
        row("a toolchain that is not there, .cargo broken, merge markers in Cargo.lock", |w| {
            write(w.at("rust-toolchain.toml"), "[toolchain]\nchannel = \"nightly-1999-01-01\"\n");
            write(w.at(".cargo/config.toml"), "[build\n");
            write(w.at("Cargo.lock"), "<<<<<<< HEAD\n");
        })
        .with(|w| {
            write(w.at(".cargo/config.toml"), "[alias]\n");
            write(w.at("Cargo.lock"), "version = 4\n");
        }),
        row("all members gone, the root too", |w| {
            remove(w.at("crates"));
            remove(w.at("Cargo.toml"));
        }),
        row("no cargo, no environment at all", change).started(|cli, _| {
            let path = std::env::var_os("PATH").unwrap_or_default();
            cli.with(|c| {
                c.env_clear().env("PATH", path);
            })
        }),
        row("cargo, rustc and rustup that leave a mark", change).started(|cli, w| {
            let dir = w.temp.path().join("traps");
            for name in ["cargo", "rustc", "rustup", "sh.real"] {
                edit::program(dir.join(name), format!("#!/bin/sh\ntouch '{}'\n", w.at("called").display()));
            }
            cli.env("PATH", crate::cli::path_with(&dir))
        }),
        row("another language and a terminal's width", change).started(|cli, _| {
            cli.without("LC_ALL").env("LANG", "de_DE.UTF-8").env("COLUMNS", "20").env("TERM", "dumb")
        }),
        row("odd shell options", change).started(|cli, _| {
            cli.env("POSIXLY_CORRECT", "1").env("SHELLOPTS", "noglob:nounset").env("BASHOPTS", "nullglob")
        }),
    ]
}

fn planted() -> Vec<Row> {
    vec![
        row("modules planted beside the script and where it starts", |w| {
            change(w);
            for name in ["json", "os", "hashlib", "tarfile", "gzip", "sys", "argparse", "struct", "fcntl"] {
                let text = format!("open({:?}, 'w')\nraise SystemExit(0)\n", w.at("hacked"));
                write(w.dir.join("scripts").join(name).with_extension("py"), &text);
                write(w.at("crates").join(name).with_extension("py"), &text);
            }
        })
        .leaves(Tree::BackBut(&[
            "crates/json.py",
            "crates/os.py",
            "crates/hashlib.py",
            "crates/tarfile.py",
            "crates/gzip.py",
            "crates/sys.py",
            "crates/argparse.py",
            "crates/struct.py",
            "crates/fcntl.py",
        ]))
        .started(|cli, w| cli.at(w.at("crates"))),
        row("an environment that would load other code", |w| {
            change(w);
            let dir = w.temp.path().join("evil");
            write(dir.join("env"), format!("touch '{}'\n", w.at("hacked").display()));
            for name in ["argparse", "tarfile", "gzip"] {
                write(dir.join(name).with_extension("py"), format!("open({:?}, 'w')\n", w.at("hacked")));
            }
        })
        .started(|cli, w| {
            let dir = w.temp.path().join("evil");
            cli.env("PYTHONPATH", &dir)
                .env("PYTHONSTARTUP", dir.join("gzip.py"))
                .env("PYTHONINSPECT", "1")
                .env("ENV", dir.join("env"))
                .env("CDPATH", "/")
                .env("IFS", "/")
                .env("GREP_OPTIONS", "-v")
                .env("TAR_OPTIONS", "--exclude=*")
                .env("GZIP", "-9")
                .env("TMPDIR", "/nowhere")
        }),
        row("functions in the environment and in a file that bash reads first", change).started(|cli, w| {
            const NAMES: [&str; 10] =
                ["mv", "cat", "rm", "git", "printf", "read", "cd", "sha256sum", "test", "local"];
            let body = format!("() {{ touch '{}'; }}", w.at("hacked").display());
            let first = w.temp.path().join("first");
            write(&first, NAMES.map(|name| format!("{name} {body}\n")).concat());
            NAMES
                .iter()
                .fold(cli.env("BASH_ENV", first), |cli, name| cli.env(&format!("BASH_FUNC_{name}%%"), &body))
        }),
    ]
}

fn held() -> Vec<Row> {
    vec![
        row("another run holds the store", change)
            .runs(&["-t", "latest", "-f", "--no-wait"], 5)
            .refused(5)
            .started(|cli, w| {
                hold(w);
                cli
            })
            .says("another run holds the store"),
        row("another run holds the store, and a resume does not wait", change)
            .runs(&["--resume", "--no-wait"], 5)
            .refused(5)
            .started(|cli, w| {
                hold(w);
                cli
            }),
        row("another run holds the store for a while", |w| {
            write(w.at(LIB), "modified\n");
        })
        .started(|cli, w| {
            let file = fs::File::options().create(true).append(true).open(w.dir.join("lock")).unwrap();
            file.lock().unwrap();
            std::thread::spawn(move || {
                std::thread::sleep(std::time::Duration::from_millis(2000));
                drop(file);
            });
            cli
        })
        .refused_by(SHORT, 5),
        row("a lock file that was left by nobody", change).with(|w| {
            w.backup();
            write(w.dir.join("lock"), "");
        }),
    ]
}

/// Holds the store's lock until the next row.
fn hold(world: &World) {
    use std::sync::Mutex;
    static HELD: Mutex<Option<fs::File>> = Mutex::new(None);
    let file = fs::File::options().create(true).append(true).open(world.dir.join("lock")).unwrap();
    file.lock().unwrap();
    *HELD.lock().unwrap() = Some(file);
}
