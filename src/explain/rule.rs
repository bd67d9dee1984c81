//! Where a rule stands: in a manifest, or among what git ignores.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::quote::toml_string;

/// One rule, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Rule {
    /// What it says of the path.
    pub text: String,
    /// The file that it stands in; absent where it is one of backstop's own.
    #[serde(serialize_with = "crate::text::serialize_path")]
    pub file: Option<PathBuf>,
    /// The line in that file, counted from 1.
    pub line: Option<usize>,
}

impl Rule {
    pub(super) fn own(text: impl Into<String>) -> Self {
        Rule { text: text.into(), file: None, line: None }
    }

    /// A rule that stands in the first line of a manifest that `holds`, given the table that the line stands in.
    pub(super) fn in_manifest(
        text: impl Into<String>,
        directory: &Path,
        holds: impl Fn(&str, &str) -> bool,
    ) -> Self {
        let file = directory.join("Cargo.toml");
        let bytes = std::fs::read(&file).unwrap_or_default();
        let manifest = String::from_utf8_lossy(&bytes);
        let mut table = "";
        let line = manifest.lines().map(str::trim).position(|line| {
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
                // A line of an array of arrays is none that anybody's settings have.
                table = name.trim_matches(['[', ' ', '\t']);
            }
            holds(table, line)
        });
        Rule { text: text.into(), file: Some(file), line: line.map(|index| index + 1) }
    }
}

/// Whether a table of a manifest is one of backstop's settings, or holds them as a key.
pub(super) fn in_settings(table: &str) -> bool {
    let names = table.replace(['"', ' '], "");
    names.ends_with("metadata.backstop") || names.ends_with(".metadata")
}

/// Whether a line has a string, in one of the ways to write it.
pub(super) fn holds(line: &str, text: &str) -> bool {
    line.contains(&toml_string(text)) || line.contains(&format!("'{text}'"))
}

/// The rule by which git ignores a path, whether or not it exists. `tracked`: also where the index holds it.
pub(super) fn git_rule(full: &Path, tracked: bool) -> Option<Rule> {
    let directory = full.ancestors().skip(1).find(|dir| dir.is_dir())?;
    let below = full.strip_prefix(directory).ok()?;
    let mut args: Vec<&OsStr> = ["check-ignore", "-v", "-z", "--stdin"].map(OsStr::new).to_vec();
    if tracked {
        args.push(OsStr::new("--no-index"));
    }
    let stdin = [below.as_os_str().as_bytes(), b"\0"].concat();
    let answer = crate::process::git(directory, &args, Some(stdin)).ok()?;
    let mut fields = answer.stdout.split(|b| *b == 0);
    let (source, line, pattern) = (fields.next()?, fields.next()?, fields.next()?);
    if pattern.is_empty() || pattern.starts_with(b"!") {
        return None;
    }
    let source = Path::new(OsStr::from_bytes(source));
    // Git names its files relative to the top of the working tree.
    let top = directory.ancestors().find(|dir| dir.join(".git").symlink_metadata().is_ok())?;
    let file = if source.is_absolute() { source.to_path_buf() } else { top.join(source) };
    let line = std::str::from_utf8(line).ok().and_then(|l| l.parse().ok());
    Some(Rule { text: format!("`{}`", crate::path::show_bytes(pattern)), file: Some(file), line })
}
