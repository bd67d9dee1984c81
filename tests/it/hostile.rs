//! Archives that agree with themselves and mean ill: manifest, root hash, totals and members fit, so that nothing but
//! the guard that each is made for stands between it and the store.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use backstop::ErrorKind;
use backstop::fsx::Fs;
use backstop::manifest::{Entry, Kind, Manifest, Mode, root_hash, totals};
use backstop::path::RelPath;

use crate::cli::{executable, program};
use crate::repair::recovered;
use crate::support::edit::{link, write};
use crate::support::{Picture, World};

type Tarred = (tar::Header, Vec<u8>);

/// What a true archive holds, to be forged.
#[derive(Clone)]
struct Archive {
    manifest: Manifest,
    entries: Vec<Tarred>,
}

impl Archive {
    /// Of a package with two sources and a link.
    fn taken(world: &World) -> Self {
        write(world.at("src/x.rs"), "// x\n");
        link("lib.rs", world.at("src/sym"));
        world.backup();
        let manifest = world.store().manifest(&world.latest()).unwrap();
        let archive = fs::read_dir(world.dir.join("archives")).unwrap().next().unwrap().unwrap().path();
        let plain = flate2::read::MultiGzDecoder::new(fs::File::open(archive).unwrap());
        let mut archive = tar::Archive::new(plain);
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (entry.header().clone(), bytes)
        });
        let mut entries: Vec<Tarred> = entries.collect();
        entries.pop().expect("the manifest is the last");
        Archive { manifest: Manifest { archive: None, ..manifest }, entries }
    }

    /// With what follows from the entries made to fit them.
    fn sealed(mut self) -> Self {
        self.manifest.root_hash = root_hash(&self.manifest.entries);
        self.manifest.totals = totals(&self.manifest.entries, self.manifest.packages.len());
        self
    }

    fn bytes(&self, json: &[u8]) -> Vec<u8> {
        let mut out = gz(&tarred(&self.entries), flate2::Compression::fast());
        out.extend(gz(&manifest_member(json), flate2::Compression::fast()));
        out
    }

    fn entry(&mut self, path: &str) -> &mut Entry {
        self.manifest.entries.iter_mut().find(|e| e.path == RelPath::new(path).unwrap()).unwrap()
    }

    fn header(&mut self, name: &str) -> &mut tar::Header {
        let found = self.entries.iter_mut().find(|(header, _)| *header.path_bytes() == *name.as_bytes());
        &mut found.unwrap().0
    }

    /// Gives an entry another path, in the manifest and the tar, and moves it where that sorts.
    fn renamed(&mut self, from: &str, to: &str) {
        self.entry(from).path = RelPath::new(to).unwrap();
        set_name(self.header(&format!("files/{from}")), &format!("files/{to}"));
        let order = |a: &Entry, b: &Entry| a.cmp_place(&b.root, &b.path);
        self.manifest.entries.sort_by(order);
        let places: Vec<Vec<u8>> =
            self.manifest.entries.iter().map(|e| [b"files/", e.path.as_bytes()].concat()).collect();
        let place = |header: &tar::Header| {
            let name = header.path_bytes().into_owned();
            places.iter().position(|p| *p == *name.strip_suffix(b"/").unwrap_or(&name))
        };
        self.entries.sort_by_key(|(header, _)| place(header));
    }
}

fn set_name(header: &mut tar::Header, name: &str) {
    let field = &mut header.as_gnu_mut().unwrap().name;
    field.fill(0);
    field[..name.len()].copy_from_slice(name.as_bytes());
    header.set_cksum();
}

fn tarred(entries: &[Tarred]) -> Vec<u8> {
    let mut out = Vec::new();
    for (header, bytes) in entries {
        out.extend(header.as_bytes());
        out.extend(bytes);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out
}

fn manifest_member(json: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_size(json.len() as u64);
    header.set_mode(0o400);
    set_name(&mut header, "backup_manifest.json");
    let mut out = tarred(&[(header, json.to_vec())]);
    out.extend([0; 1024]);
    out
}

fn gz(plain: &[u8], level: flate2::Compression) -> Vec<u8> {
    let mut gz = flate2::GzBuilder::new().write(Vec::new(), level);
    gz.write_all(plain).unwrap();
    let mut out = gz.finish().unwrap();
    // As backstop writes it: no name, no time, no extra flags.
    out[8] = 0;
    out
}

/// Recovers into a store of its own; gives the message, and demands that nothing came of it.
#[track_caller]
fn refused(archive: &Path, bytes: &[u8], what: &str) -> String {
    write(archive, bytes);
    let empty = World::new("single");
    let around = Picture::take(empty.temp.path(), &[&empty.dir]);
    let error = match recovered(&empty, Some(archive), &Fs::real()) {
        Err(error) => error,
        Ok(_) => panic!("{what}: it was recovered"),
    };
    assert_eq!(error.kind(), ErrorKind::Damaged, "{what}: {error}");
    assert!(empty.listed().is_empty(), "{what}");
    assert_eq!(around.diff(&Picture::take(empty.temp.path(), &[&empty.dir])), "", "{what}");
    for dir in ["archives", "metadata"] {
        assert_eq!(
            fs::read_dir(empty.dir.join(dir)).unwrap().count(),
            0,
            "{what}: something is left in {dir}"
        );
    }
    error.to_string()
}

#[test]
fn an_archive_that_is_taken_apart_and_put_together_again_is_recovered() {
    let world = World::new("single");
    let archive = Archive::taken(&world).sealed();
    let path = world.temp.path().join("again.tar.gz");
    write(&path, archive.bytes(&archive.manifest.to_json()));
    let empty = World::new("single");
    assert_eq!(recovered(&empty, Some(&path), &Fs::real()).unwrap().recovered(), 1);
}

#[test]
fn archives_of_ill_will_are_refused_for_what_they_are() {
    type Forgery = fn(&mut Archive);
    let world = World::new("single");
    let taken = Archive::taken(&world);
    let evil = world.temp.path().join("evil.tar.gz");
    let forgeries: &[(&str, &str, Forgery)] = &[
        ("a file called .git", "version control", |a| a.renamed("src/x.rs", ".git")),
        ("a directory called .git", "version control", |a| {
            let directory = a.manifest.entries.iter().position(|e| e.kind == Kind::Directory).unwrap();
            let mut git = a.manifest.entries[directory].clone();
            git.path = RelPath::new(".git").unwrap();
            a.manifest.entries.insert(0, git);
            let mut header = a.header("files/src/").clone();
            set_name(&mut header, "files/.git/");
            a.entries.insert(0, (header, Vec::new()));
            a.renamed("src/x.rs", ".git/config");
        }),
        ("a path through a link", "whose directory is none", |a| a.renamed("src/x.rs", "src/sym/x.rs")),
        ("a path through a file", "whose directory is none", |a| a.renamed("src/x.rs", "src/lib.rs/x.rs")),
        ("a path without its directory", "whose directory is none", |a| a.renamed("src/x.rs", "gone/x.rs")),
        ("one path twice", "out of order or twice", |a| a.renamed("src/x.rs", "src/lib.rs")),
        ("entries out of order", "out of order or twice", |a| {
            let last = a.manifest.entries.len() - 1;
            a.manifest.entries.swap(last, last - 1);
            a.entries.swap(last, last - 1);
        }),
        ("an unknown root", "unknown root", |a| a.manifest.entries.last_mut().unwrap().root = "zzz".into()),
        ("a root with a path for a name", "malformed roots", |a| {
            let mut root = a.manifest.roots[0].clone();
            root.name = "../up".into();
            a.manifest.roots.push(root);
        }),
        ("another id", "names another restore point", |a| {
            a.manifest.backup_id = "x_backup_20200101_000000".into()
        }),
        ("a format of the future", "has format 99", |a| a.manifest.format = 99),
        ("a file of other content", "other content", |a| {
            let i = a.entries.iter().position(|(h, _)| *h.path_bytes() == *b"files/src/x.rs").unwrap();
            a.entries[i].1 = b"// y\n".to_vec();
        }),
        ("a digest of other content", "other content", |a| {
            let other = a.entry("src/lib.rs").sha256().unwrap();
            if let Kind::File { sha256, .. } = &mut a.entry("src/x.rs").kind {
                *sha256 = other;
            }
        }),
        ("a size that is not so", "as its manifest says", |a| {
            if let Kind::File { size, .. } = &mut a.entry("src/x.rs").kind {
                *size += 1;
            }
        }),
        ("a terabyte", "bytes and says that it holds", |a| {
            if let Kind::File { size, .. } = &mut a.entry("src/x.rs").kind {
                *size = 1 << 40;
            }
        }),
        ("a file too many", "which its manifest does not have", |a| {
            let mut more = a.entries.last().unwrap().clone();
            set_name(&mut more.0, "files/../../escaped.rs");
            a.entries.push(more);
        }),
        ("a file too few", "does not hold", |a| drop(a.entries.pop())),
        ("another name in the tar", "as its manifest says", |a| {
            set_name(a.header("files/src/x.rs"), "files/../x.rs");
        }),
        ("a link where a file is promised", "as its manifest says", |a| {
            let header = a.header("files/src/x.rs");
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_link_name("/etc/passwd").unwrap();
            header.set_cksum();
        }),
        ("a hard link", "as its manifest says", |a| {
            let header = a.header("files/src/x.rs");
            header.set_entry_type(tar::EntryType::Link);
            header.set_link_name("/etc/passwd").unwrap();
            header.set_cksum();
        }),
        ("another target of the link", "as its manifest says", |a| {
            let header = a.header("files/src/sym");
            header.set_link_name("/etc").unwrap();
            header.set_cksum();
        }),
        ("a mode that nobody recorded", "as its manifest says", |a| {
            let header = a.header("files/src/x.rs");
            header.set_mode(0o4755);
            header.set_cksum();
        }),
        ("a mode that the tar does not have", "as its manifest says", |a| {
            a.entry("src/x.rs").attributes = Mode::new(0o777).into();
        }),
    ];
    for (what, reason, forge) in forgeries {
        let mut archive = taken.clone();
        forge(&mut archive);
        let archive = archive.sealed();
        let text = refused(&evil, &archive.bytes(&archive.manifest.to_json()), what);
        assert!(text.contains(reason), "{what}: {text}");
    }
    // What the types of this version cannot even hold, and sums that do not fit.
    let json = String::from_utf8(taken.manifest.to_json()).unwrap();
    let path = |to: &str| ("\"path\":\"src/x.rs\"", format!("\"path\":\"{to}\""));
    let hash = taken.manifest.root_hash.to_string();
    let id = format!("\"id\":\"{}\"", taken.manifest.id);
    for ((from, to), reason) in [
        (path("../x.rs"), "unsafe path"),
        (path("/etc/x.rs"), "unsafe path"),
        (path("src/../../x.rs"), "unsafe path"),
        (path("src//x.rs"), "unsafe path"),
        (path("./x.rs"), "unsafe path"),
        ((hash.as_str(), "0".repeat(64)), "root hash"),
        ((id.as_str(), "\"id\":\"../../evil\"".into()), "does not parse"),
        (("\"label\":\"", "\"label\":\"../../".into()), "does not parse"),
        (("\"files\":", "\"files\":1".into()), "totals"),
        (("\"entries\":", " \"entries\":".into()), "not as backstop writes it"),
    ] {
        let spaced = |text: &str| text.replace("\":", "\": ");
        let (forged, spaced) = (json.replacen(from, &to, 1), json.replacen(&spaced(from), &spaced(&to), 1));
        let forged = if spaced == json { forged } else { spaced };
        assert_ne!(forged, json, "{from} is not in the manifest");
        let text = refused(&evil, &taken.bytes(forged.as_bytes()), &to);
        assert!(text.contains(reason), "{from} {to}: {text}");
    }
}

#[test]
#[ignore = "part of torture: scale"]
fn a_bomb_is_refused_in_little_memory() {
    let world = World::new("single");
    let taken = Archive::taken(&world);
    let evil = world.temp.path().join("bomb.tar.gz");
    let best = |plain: Vec<u8>| gz(&plain, flate2::Compression::best());
    // Packs 40 to 1 or so: harmless by the look of each block, and a manifest never does.
    let same = "the same on every line ".repeat(12);
    let line = |n: u32| {
        let n = n.wrapping_mul(2_654_435_761);
        format!("{{\"path\":\"src/{n:08x}.rs\",\"note\":\"{same}\"}}\n").into_bytes()
    };
    let lines: Vec<u8> = (0..600_000).flat_map(line).collect();
    let zeros = best(vec![0; 200 << 20]);
    let true_one = taken.bytes(&taken.manifest.to_json());
    let mut long_name = tar::Header::new_gnu();
    long_name.set_entry_type(tar::EntryType::GNULongName);
    long_name.set_size(200 << 20);
    long_name.set_cksum();
    for (what, bytes, reason) in [
        ("zeros alone", zeros.clone(), "holds the manifest"),
        ("a manifest of spaces", best(manifest_member(&vec![b' '; 200 << 20])), "is a bomb"),
        ("a manifest of lines", best(manifest_member(&lines)), "is a bomb"),
        // The tar format's own long names are read whole, before any entry is seen.
        (
            "a name of 200 MiB",
            [best(tarred(&[(long_name, vec![b'n'; 200 << 20])])), true_one.clone()].concat(),
            "it unpacks to more than its manifest says",
        ),
        ("zeros before what is true", [zeros, true_one].concat(), "byte 0"),
    ] {
        write(&evil, &bytes);
        let empty = World::new("single");
        // 128 MiB of addresses for all, its code and its threads' stacks included; macOS knows no such limit.
        let run = program("sh", &empty.root)
            .args(["-c", "ulimit -v 131072 2>/dev/null; exec \"$0\" recover \"$1\""])
            .args([executable(), evil.as_path()])
            .run()
            .ended(3);
        assert!(
            run.err.replace("\n       ", " ").contains(reason),
            "{what} ({} bytes): {}",
            bytes.len(),
            run.err
        );
    }
}

/// An honest archive will do: the new store has the name of an old directory.
#[test]
fn a_restore_point_whose_files_lie_in_the_store_is_refused_by_every_way_back() {
    let world = World::new("single");
    write(world.at("src/kept/scripts/backstop"), "not the executable\n");
    write(world.at("src/kept/notes"), "notes\n");
    let id = world.backup().manifest.id.to_string();
    let archive = world.temp.path().join("old.tar.gz");
    let made = fs::read_dir(world.dir.join("archives")).unwrap().next().unwrap().unwrap().path();
    fs::copy(made, &archive).unwrap();
    for gone in [world.dir.clone(), world.at("src/kept")] {
        crate::support::edit::remove(gone);
    }
    let store = world.at("src/kept");
    let backstop = |args: &[&str]| crate::cli::backstop(&world.root).args(args).arg("--store").arg(&store);
    let archive = archive.to_str().unwrap();
    backstop(&["recover", archive]).ends(0);
    backstop(&["backup"]).ends(0);
    write(world.at("src/lib.rs"), "changed\n");
    let before = world.picture();

    backstop(&["rollback", "-f", "-t", &id]).ends(3).complains("lie in the store");
    for script in ["rollback.sh", "rollback.py"] {
        let script = program(store.join("scripts").join(script), &world.root);
        script.args(["-f", "-t", &id]).ends(3).complains("in the store");
    }
    assert_eq!(before, world.picture(), "nothing was changed");
    // The way that the help names.
    let elsewhere = world.temp.path().join("elsewhere");
    backstop(&["rollback", "-t", &id, "--to", elsewhere.to_str().unwrap()]).ends(0);
    assert_eq!(fs::read_to_string(elsewhere.join("src/kept/notes")).unwrap(), "notes\n");
}
