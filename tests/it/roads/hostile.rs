//! Rows: manifests and journals that nobody of good will wrote, whole in every digest. Nothing outside is touched.

use std::fs;
use std::path::PathBuf;

use backstop::digest::Digest;
use serde_json::{Value, json};

use super::row::{Row, row};
use crate::cli::spoil;
use crate::support::World;
use crate::support::edit::{chmod, mkdir, write};

const CONTENT: &[u8] = b"planted\n";

pub(super) fn rows() -> Vec<Row> {
    let mut rows = manifests();
    rows.extend(journals());
    rows
}

/// A restore point with one entry more, in both manifests, the list and the scripts' fields.
macro_rules! entry {
    ($title:literal, $path:expr) => {
        row(concat!("an entry that is ", $title), |w| plant(w, &$path(w))).refused(3).in_its_own_words()
    };
}

fn manifests() -> Vec<Row> {
    vec![
        entry!("above the workspace", |_: &World| "../escape".to_owned()),
        entry!("above the workspace by a detour", |_: &World| "crates/../../escape".to_owned()),
        entry!("absolute", |w: &World| w.temp.path().join("escape").to_str().unwrap().to_owned()),
        entry!("a hook of git's", |_: &World| ".git/hooks/post-checkout".to_owned()),
        entry!("a hook of git's in a package", |_: &World| "crates/alpha/.git/hooks/post-checkout"
            .to_owned()),
        entry!("below a file", |_: &World| "crates/alpha/src/lib.rs/below".to_owned()),
        entry!("there twice", |_: &World| "crates/alpha/src/lib.rs".to_owned()),
        entry!("in a directory that is none", |_: &World| "crates/alpha/unknown/file".to_owned()),
        entry!("a dot", |_: &World| "crates/./file".to_owned()),
        entry!("with two slashes", |_: &World| "crates//file".to_owned()),
        entry!("with a slash at its end", |_: &World| "crates/file/".to_owned()),
        entry!("nothing", |_: &World| String::new()),
        entry!("the place of git's directory", |_: &World| ".git".to_owned()),
        entry!("the same on a file system that knows no case", |_: &World| ".Git".to_owned()),
        entry!("the directory above", |_: &World| "..".to_owned()),
    ]
}

fn session(world: &World) -> PathBuf {
    world.dir.join("session_20261123_054000")
}

fn plant(world: &World, path: &str) {
    spoil(&world.root);
    mkdir(world.at(".git/hooks"));
    let digest = Digest::of(CONTENT).to_string();
    let old = session(world).join("backup_manifest.json");
    let mut manifest: Value = serde_json::from_slice(&fs::read(&old).unwrap()).unwrap();
    let entries = manifest["entries"].as_array_mut().unwrap();
    entries.push(json!({ "path": path, "kind": "file", "size": CONTENT.len(), "lines": 1, "sha256": digest,
        "mode": "0644", "mtime": "1795412400.000000000", "reasons": ["member"] }));
    entries.sort_by(|a, b| a["path"].as_str().cmp(&b["path"].as_str()));
    let mut hashed = Vec::new();
    for entry in entries.iter() {
        let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        let size = entry["size"].as_u64().map_or(String::new(), |s| s.to_string());
        let content = text("sha256") + &text("target");
        for field in [String::new(), text("path"), text("kind"), text("mode"), size, content] {
            hashed.extend_from_slice(field.as_bytes());
            hashed.push(0);
        }
    }
    let root_hash = Digest::of(&hashed).to_string();
    manifest["root_hash"] = json!(root_hash);
    for (total, more) in [("files", 1), ("lines", 1), ("bytes", CONTENT.len() as u64)] {
        manifest["totals"][total] = json!(manifest["totals"][total].as_u64().unwrap() + more);
    }
    let bytes = serde_json::to_vec(&manifest).unwrap();
    chmod(session(world), 0o700);
    replace(old, &bytes);
    replace(world.dir.join("metadata/it_backup_20261123_054000.json"), &bytes);
    let list = world.dir.join("checksums/it_backup_20261123_054000.sha256");
    let text = fs::read_to_string(&list).unwrap();
    let rest = text.split_once('\n').unwrap().1;
    replace(list, format!("{}  backup_manifest.json\n{rest}", Digest::of(&bytes)).as_bytes());
    plant_fields(world, path, &digest, &root_hash);
    // What is planted can be read where the session would have it.
    let stored = session(world).join("files").join(path.trim_start_matches('/'));
    let parent = stored.parent().unwrap();
    if !path.is_empty() && (parent.is_dir() || !parent.exists()) {
        chmod(session(world).join("files"), 0o700);
        let _ = fs::create_dir_all(parent);
        chmod(parent, 0o700);
        let _ = fs::write(stored, CONTENT);
    }
}

/// The fields that the scripts read, sealed anew.
fn plant_fields(world: &World, path: &str, digest: &str, root_hash: &str) {
    plant_in(world.dir.join("rollback/it_backup_20261123_054000.list"), path, digest, root_hash);
}

fn plant_in(file: PathBuf, path: &str, digest: &str, root_hash: &str) {
    let bytes = fs::read(&file).unwrap();
    let mut fields: Vec<Vec<u8>> = bytes.split(|b| *b == 0).map(<[u8]>::to_vec).collect();
    fields.truncate(fields.len() - 3);
    fields[5] = root_hash.as_bytes().to_vec();
    let at = fields.iter().position(|f| f == b"entries").unwrap();
    let count: usize = std::str::from_utf8(&fields[at + 1]).unwrap().parse().unwrap();
    let mut entries: Vec<Vec<Vec<u8>>> =
        fields[at + 2..at + 2 + 7 * count].chunks(7).map(<[Vec<u8>]>::to_vec).collect();
    let size = CONTENT.len().to_string();
    let new = ["", path, "file", "0644", &size, digest, "1795412400.000000000"];
    entries.push(new.map(|field| field.as_bytes().to_vec()).to_vec());
    entries.sort_by(|a, b| a[1].cmp(&b[1]));
    fields[at + 1] = (count + 1).to_string().into_bytes();
    fields.splice(at + 2..at + 2 + 7 * count, entries.into_iter().flatten());
    replace(file, &sealed(&fields));
}

fn replace(path: PathBuf, bytes: &[u8]) {
    chmod(&path, 0o600);
    fs::write(&path, bytes).unwrap();
    chmod(&path, 0o400);
}

fn sealed(fields: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut out: Vec<u8> = fields.iter().flat_map(|f| f.as_ref().iter().copied().chain([0])).collect();
    let digest = Digest::of(&out).to_string();
    out.extend_from_slice(format!("end\0{digest}\0").as_bytes());
    out
}

/// A committed journal of one creation, and what it would put there.
fn journal(world: &World, id: &str, root: (&str, &str), path: &str) {
    spoil(&world.root);
    mkdir(world.at(".git/hooks"));
    let (size, digest) = (CONTENT.len().to_string(), Digest::of(CONTENT).to_string());
    let created = "2026-11-23T06:00:00Z";
    let mut fields = vec!["backstop-journal", "1", id, "rollback", "20261123_054000", "", created];
    if root.0.is_empty() {
        fields.extend(["roots", "1", "", "."]);
    } else {
        fields.extend(["roots", "2", "", ".", root.0, root.1]);
    }
    fields.extend(["unlock", "0", "touch", "0", "actions", "1", root.0, path]);
    fields.extend(["none", "", "", "", "file", "0644", &size, &digest, "session"]);
    write(world.dir.join("rollback/journal"), [sealed(&fields), b"committed\0".to_vec()].concat());
    write(world.dir.join("rollback/stage_20261123_060000/0"), CONTENT);
    write(world.dir.join("state"), "rollback 20261123_060000\n");
}

macro_rules! journal_of {
    ($title:literal, $id:expr, $root:expr, $path:expr) => {
        [
            row(concat!("a journal with ", $title, " is not resumed"), |w| journal(w, $id, $root, $path))
                .runs(&["--resume"], 4)
                .refused(4)
                .cut_off()
                .in_its_own_words(),
            row(concat!("a journal with ", $title, " is not aborted"), |w| journal(w, $id, $root, $path))
                .runs(&["--abort"], 4)
                .refused(4)
                .cut_off()
                .in_its_own_words(),
        ]
    };
}

fn journals() -> Vec<Row> {
    const ID: &str = "20261123_060000";
    [
        journal_of!("a path that leads out", ID, ("", ""), "../escape"),
        journal_of!("a path into git's directory", ID, ("", ""), ".git/hooks/post-checkout"),
        journal_of!("an id that is a path", "../../escape", ("", ""), "crates/alpha/planted"),
        journal_of!("a root whose name is a path", ID, ("../../escape", "../neighbour"), "planted"),
    ]
    .into_iter()
    .flatten()
    .collect()
}
