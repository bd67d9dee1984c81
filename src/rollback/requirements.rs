//! What a manifest asks of the packages that it depends on by a path, and whether they have it.

use std::path::{Path, PathBuf};

use cargo_metadata::semver::{Version, VersionReq};

use crate::path::{clean, show_text};
use crate::toml::Document;

/// A dependency by a path.
#[derive(Debug, Clone)]
pub(super) struct Dependency {
    /// The package's name; `None` for one of a `[patch]` table.
    pub(super) name: Option<String>,
    /// Its directory.
    pub(super) path: PathBuf,
    /// Whether only tests, examples and benches need it.
    pub(super) dev: bool,
    version: Option<String>,
    features: Vec<String>,
}

impl Dependency {
    /// One that a `[patch]` table names.
    pub(super) fn patch(path: PathBuf) -> Self {
        Dependency { name: None, path, dev: false, version: None, features: Vec::new() }
    }

    /// What of it the package `found` does not have. `root` is the manifest of that one's workspace.
    pub(super) fn misfits(&self, found: &Document, root: &Document) -> Vec<String> {
        let name = show_text(self.name.as_deref().unwrap_or_default());
        let version = found.strings(&["package", "version"]).next();
        let version = version.or_else(|| root.strings(&["workspace", "package", "version"]).next());
        let wanted = self.version.as_ref().and_then(|text| VersionReq::parse(text).ok());
        let mut out = Vec::new();
        if let (Some(wanted), Some(version)) = (&wanted, version.and_then(|text| Version::parse(text).ok()))
            && !wanted.matches(&version)
        {
            out.push(format!(
                "needs `{name}` in version `{wanted}`, and the package there is {version}: cargo will say \"failed to select \
                 a version\"; roll back both, or correct a manifest"
            ));
        }
        for feature in self.features.iter().filter(|feature| !has_feature(found, feature)) {
            let feature = show_text(feature);
            out.push(format!(
                "needs the feature `{feature}` of `{name}`: cargo will say that it \"does not have that feature\"; roll back \
                 both, or correct a manifest"
            ));
        }
        out
    }
}

/// Whether a package has a feature: in its table, or by an optional dependency that nobody calls by `dep:`.
fn has_feature(package: &Document, feature: &str) -> bool {
    let named = |text: &str| text.strip_prefix("dep:") == Some(feature);
    let optional = package.scalars.iter().any(|scalar| {
        let [.., table, name, key] = scalar.path.as_slice() else { return false };
        is_dependencies(table) && name == feature && key == "optional" && scalar.text == "true"
    });
    package.has(&["features", feature]) || (optional && !package.strings(&["features", "*", ""]).any(named))
}

pub(super) fn is_dependencies(table: &str) -> bool {
    let table = table.strip_prefix("dev").or(table.strip_prefix("build")).unwrap_or(table);
    matches!(table.trim_start_matches(['-', '_']), "dependencies")
}

/// The dependencies of a manifest in `directory` that have a path. `root` is the manifest of its workspace, in `base`.
pub(super) fn dependencies(
    manifest: &Document,
    root: &Document,
    directory: &Path,
    base: &Path,
) -> Vec<Dependency> {
    let mut out = Vec::new();
    for scalar in &manifest.scalars {
        let [above @ .., name, key] = scalar.path.as_slice() else { continue };
        let of_target = above.len() == 3 && above[0] == "target";
        if !(above.len() == 1 || of_target) || !above.last().is_some_and(|table| is_dependencies(table)) {
            continue;
        }
        let own: Vec<&str> = above.iter().map(String::as_str).collect();
        let (document, base, table) = match key.as_str() {
            "path" if scalar.is_string => (manifest, directory, own.clone()),
            "workspace" if scalar.text == "true" => (root, base, vec!["workspace", "dependencies"]),
            _ => continue,
        };
        let all = |document: &Document, table: &[&str], keys: &[&str]| -> Vec<String> {
            let keys: Vec<&str> = table.iter().chain(&[name.as_str()]).chain(keys).copied().collect();
            document.strings(&keys).map(str::to_owned).collect()
        };
        let at = |key: &str| all(document, &table, &[key]).into_iter().next();
        let Some(path) = at("path") else { continue };
        let mut features = all(document, &table, &["features", ""]);
        features.extend(all(manifest, &own, &["features", ""]));
        features.extend(manifest.strings(&["features", "*", ""]).filter_map(|text| {
            let (of, feature) = text.split_once('/')?;
            (of.trim_end_matches('?') == name).then(|| feature.to_owned())
        }));
        crate::order::sort(&mut features);
        features.dedup();
        out.push(Dependency {
            name: Some(at("package").unwrap_or_else(|| name.clone())),
            path: clean(&base.join(path)),
            dev: own.last().is_some_and(|table| table.starts_with("dev")),
            version: at("version"),
            features,
        });
    }
    out
}
