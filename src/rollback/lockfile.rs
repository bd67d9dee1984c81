//! What the lockfile asks for, held against vendored sources: a lockfile that goes back without them is one that cargo refuses.

use std::path::{Path, PathBuf};

use super::after::After;
use crate::order;
use crate::path::{relative, show_path, show_text};
use crate::toml::scalars;
use crate::workspace::configuration;

/// A package of a lockfile.
#[derive(Default)]
struct Locked {
    name: String,
    version: String,
    public: bool,
    checksum: Option<String>,
}

/// What a vendored package says of itself, as far as it matters.
#[derive(serde::Deserialize)]
struct Vendored {
    package: Option<String>,
}

/// What the lockfile asks for and the vendored sources do not hold, where there are such: both places, and what is wrong.
pub(super) fn without_sources(after: &After<'_>) -> Option<([PathBuf; 2], String)> {
    let lockfile = after.workspace.join("Cargo.lock");
    let text = |path: &Path| after.manifest(path);
    let files = configuration::files_as(&after.workspace, after.cargo_home.as_deref(), &text);
    let directory = configuration::vendored(&files)?;
    let locked = locked(&after.manifest(&lockfile)?);
    let mut held: order::Set<String> = order::Set::new();
    for name in after.names(&directory) {
        let text = after.manifest(&directory.join(name).join(".cargo-checksum.json"));
        let vendored = text.and_then(|text| serde_json::from_slice::<Vendored>(&text).ok());
        held.extend(vendored.and_then(|vendored| vendored.package));
    }
    let missing =
        |p: &&Locked| p.public && p.checksum.as_ref().is_some_and(|checksum| !held.contains(checksum));
    let missing: Vec<&Locked> = locked.iter().filter(missing).collect();
    let first = missing.first()?;
    let more = match missing.len() - 1 {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    let (name, version) = (show_text(&first.name), show_text(&first.version));
    let shown = show_path(&relative(&after.workspace, &directory));
    let problem = format!(
        "asks for `{name}` {version}{more}, which the vendored sources in `{shown}` do not hold: cargo will refuse the \
         workspace; bring them back as well, or run `cargo vendor` again"
    );
    Some(([lockfile, directory], problem))
}

fn locked(text: &[u8]) -> Vec<Locked> {
    let mut out: Vec<Locked> = Vec::new();
    for scalar in scalars(text).unwrap_or_default() {
        let [table, _, key] = scalar.path.as_slice() else { continue };
        if table != "package" {
            continue;
        }
        if key == "name" {
            out.push(Locked { name: scalar.text, ..Locked::default() });
        } else if let Some(last) = out.last_mut() {
            match key.as_str() {
                "version" => last.version = scalar.text,
                "source" => {
                    last.public = scalar.text.contains("//github.com/rust-lang/crates.io-index")
                        || scalar.text.contains("//index.crates.io/");
                }
                "checksum" => last.checksum = Some(scalar.text),
                _ => {}
            }
        }
    }
    out
}
