//! What is written into a workspace, and what a person is told to write.

use std::path::Path;

use super::{Ci, Dependency};
use crate::quote::toml_string;

/// This project's own configuration: the alias, and the profile with the reasons for it.
pub(super) const CONFIG: &str = include_str!("../../.cargo/config.toml");

/// The alias's value.
pub(super) const ALIAS: &str = "run --profile xtask --package xtask --";

/// The profile's part of [`CONFIG`], with the comment above it.
pub(super) fn profile() -> &'static str {
    CONFIG.split_once("\n\n").map_or(CONFIG, |(_alias, profile)| profile)
}

pub(super) const MAIN: &str = "\
//! `cargo xtask`: verified restore points of this workspace.

use std::process::ExitCode;

/// Runs the command that stands behind `cargo xtask`.
fn main() -> ExitCode {
    backstop::cli::main()
}
";

/// The retention rule, which is the one that `prune` has without any.
pub(super) const KEEP: &str = "\
[workspace.metadata.backstop.keep] # the rest goes to the trash
last = 10
daily = 14
weekly = 8
monthly = 6
within = \"14d\"
";

/// What [`KEEP`] adds to a manifest.
pub(super) fn add_keep(manifest: &mut serde_json::Value) -> Option<()> {
    let mut table = manifest.as_object_mut()?;
    for key in ["workspace", "metadata", "backstop"] {
        table = table.entry(key).or_insert_with(|| serde_json::json!({})).as_object_mut()?;
    }
    let keep = serde_json::json!({ "last": 10, "daily": 14, "weekly": 8, "monthly": 6, "within": "14d" });
    table.insert("keep".into(), keep).is_none().then_some(())
}

/// For an xtask that has a `main` already, whatever that gives back.
pub(super) const MAIN_BY_HAND: &str = "\
fn main() -> std::process::ExitCode {
    if let Some(code) = backstop::cli::run_if_asked() {
        return code;
    }
    // The `main` that was here, renamed.
    std::process::Termination::report(xtask_main())
}
";

/// The keys that the xtask takes from `[workspace.package]`, and its edition where it takes none.
#[derive(Debug, Default)]
pub(super) struct Inherited {
    pub(super) keys: Vec<&'static str>,
    pub(super) edition: Option<String>,
    pub(super) lints: bool,
}

pub(super) fn xtask_manifest(inherited: &Inherited, dependency: &str) -> String {
    let mut out = String::from("[package]\nname = \"xtask\"\nversion = \"0.0.0\"\n");
    if let Some(edition) = &inherited.edition {
        out += &format!("edition = {}\n", toml_string(edition));
    }
    for key in &inherited.keys {
        out += &format!("{key}.workspace = true\n");
    }
    out += &format!("publish = false\n\n[dependencies]\n{dependency}\n");
    if inherited.lints {
        out += "\n[lints]\nworkspace = true\n";
    }
    out
}

/// The dependency's line. A path is what stands between the quotes.
pub(super) fn dependency(dependency: &Dependency) -> String {
    let source = match dependency {
        Dependency::Path(path) => format!("path = {}", toml_string(&path.to_string_lossy())),
        Dependency::Git { url, reference: None } => format!("git = {}", toml_string(url)),
        Dependency::Git { url, reference: Some((key, value)) } => {
            format!("git = {}, {key} = {}", toml_string(url), toml_string(value))
        }
        Dependency::Version(version) => format!("version = {}", toml_string(version)),
    };
    format!("backstop = {{ {source}, features = [\"cli\"] }}")
}

/// The dependency's line where the workspace's own table names it.
pub(super) const DEPENDENCY_OF_WORKSPACE: &str = "backstop = { workspace = true, features = [\"cli\"] }";

/// The file of a CI system, and what is in it. `store` is the store's directory, as seen from the root and below it:
/// artifacts lie there.
pub(super) fn ci(ci: Ci, store: &str) -> (&'static Path, String) {
    let (path, template) = match ci {
        Ci::Github => (".github/workflows/backstop.yml", GITHUB),
        Ci::Gitlab => (".gitlab-ci.yml", GITLAB),
    };
    (Path::new(path), template.replace("@STORE@", store))
}

const GITHUB: &str = r#"# A verified restore point of each push and pull request, as an artifact.
# Its archive is a plain tar, which any tar unpacks.
name: backstop
on: [push, pull_request]
permissions:
  contents: read
jobs:
  restore-point:
    runs-on: ubuntu-latest
    env:
      BACKSTOP_STORE: @STORE@
    steps:
      - uses: actions/checkout@v4
      - run: cargo xtask backup -m "$GITHUB_SHA"
      - run: cargo xtask validate
      - uses: actions/upload-artifact@v4
        with:
          name: restore-point
          path: |
            @STORE@/archives/
            @STORE@/checksums/
            @STORE@/metadata/
          retention-days: 14
"#;

const GITLAB: &str = r#"# A verified restore point of each pipeline, as an artifact.
# Its archive is a plain tar, which any tar unpacks.
backstop:
  image: rust:latest
  variables:
    BACKSTOP_STORE: @STORE@
  script:
    - cargo xtask backup -m "$CI_COMMIT_SHA"
    - cargo xtask validate
  artifacts:
    paths:
      - @STORE@/archives/
      - @STORE@/checksums/
      - @STORE@/metadata/
    expire_in: 2 weeks
"#;

#[cfg(test)]
mod tests {
    use super::super::edit::Toml;
    use super::*;

    #[test]
    fn this_projects_configuration_is_an_alias_and_then_a_profile() {
        let whole = Toml::parse(CONFIG).unwrap();
        assert_eq!(whole.get(&["alias", "xtask"]).and_then(|v| v.as_str()), Some(ALIAS));
        let profile = Toml::parse(profile()).unwrap();
        assert_eq!(profile.get(&["profile", "xtask"]), whole.get(&["profile", "xtask"]));
        assert!(profile.get(&["alias"]).is_none() && profile.get(&["profile", "xtask", "package"]).is_some());
        assert_eq!(whole.get(&["profile"]).and_then(|v| v.as_object()).map(|t| t.len()), Some(1));
    }

    #[test]
    fn a_job_names_the_store_and_its_variable() {
        for which in [Ci::Github, Ci::Gitlab] {
            let (_, text) = ci(which, "points");
            assert!(text.contains("BACKSTOP_STORE: points\n"), "{text}");
            for dir in ["archives", "checksums", "metadata"] {
                assert!(text.contains(&format!(" points/{dir}/\n")), "{text}");
            }
            assert!(!text.contains('@') || which == Ci::Github && text.matches('@').count() == 2, "{text}");
        }
    }

    #[test]
    fn a_dependency_says_where_it_comes_from() {
        let git = |reference| Dependency::Git { url: "https://example.org/b".into(), reference };
        for (from, line) in [
            (Dependency::Version("0.1".into()), r#"version = "0.1""#),
            (Dependency::Path("../b \"x".into()), r#"path = "../b \"x""#),
            (git(None), r#"git = "https://example.org/b""#),
            (git(Some(("tag", "v1".into()))), r#"git = "https://example.org/b", tag = "v1""#),
        ] {
            let made = dependency(&from);
            assert_eq!(made, format!("backstop = {{ {line}, features = [\"cli\"] }}"));
            assert!(Toml::parse(&made).is_ok(), "{made}");
        }
    }
}
