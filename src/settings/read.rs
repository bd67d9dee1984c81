//! Reading the tables: every key and value is checked, and what is wrong is named with its place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{CheckpointSetting, KeepSetting, PathPattern, ScopeSetting, Settings, is_checkpoint_id};
use crate::error::{Error, ErrorKind, Result};
use crate::glob;
use crate::level::DrillLevel;
use crate::path::{show_path, show_text};

/// The settings' table of the workspace, as it is named in messages.
pub(crate) const WORKSPACE_TABLE: &str = "workspace.metadata.backstop";
/// The settings' table of a package, as it is named in messages.
pub(crate) const PACKAGE_TABLE: &str = "package.metadata.backstop";

const KEYS: [&str; 11] = [
    "label",
    "store",
    "scope",
    "include",
    "exclude",
    "outside",
    "keep",
    "checkpoint",
    "check",
    "test",
    "drill",
];
const PACKAGE_KEYS: [&str; 2] = ["include", "exclude"];
const KEEP_KEYS: [&str; 8] = ["last", "hourly", "daily", "weekly", "monthly", "yearly", "within", "grace"];
const CHECKPOINT_KEYS: [&str; 6] = ["id", "name", "run", "timeout", "cwd", "env"];

/// Where a table of settings stands, for messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) table: &'a str,
    pub(crate) manifest: &'a Path,
}

impl Source<'_> {
    fn error(self, message: String) -> Error {
        let place = format!("{}: in `[{}]`", show_path(self.manifest), self.table);
        Error::new(ErrorKind::Settings, message).with_details([place])
    }

    /// Every key is checked before any value, so that the first message names the cause.
    fn check_keys(self, map: &Map<String, Value>, known: &[&str]) -> Result<()> {
        let Some(key) = map.keys().find(|key| !known.contains(&key.as_str())) else { return Ok(()) };
        let error = self.error(format!("unknown key `{}` in `[{}]`", show_text(key), self.table));
        let nearest = known
            .iter()
            .map(|name| (strsim::damerau_levenshtein(key, name), *name))
            .min()
            .filter(|(distance, name)| *distance <= 1 + name.len() / 3);
        Err(match nearest {
            Some((_, name)) => error.with_help(format!("did you mean `{name}`?")),
            None => error.with_help(format!("the known keys are `{}`", known.join("`, `"))),
        })
    }

    fn wrong(self, key: &str, expected: &str) -> Error {
        self.error(format!("`{key}` in `[{}]` must be {expected}", self.table))
    }

    fn table<'v>(self, key: &str, value: &'v Value) -> Result<&'v Map<String, Value>> {
        value.as_object().ok_or_else(|| self.wrong(key, "a table"))
    }

    fn text(self, map: &Map<String, Value>, key: &str) -> Result<Option<String>> {
        match map.get(key) {
            None => Ok(None),
            Some(Value::String(text)) if !text.trim().is_empty() && !text.contains('\0') => {
                Ok(Some(text.clone()))
            }
            Some(_) => Err(self.wrong(key, "a string that is not empty")),
        }
    }

    fn texts(self, map: &Map<String, Value>, key: &str) -> Result<Vec<String>> {
        let wrong = || self.wrong(key, "an array of strings");
        let Some(value) = map.get(key) else { return Ok(Vec::new()) };
        let items = value.as_array().ok_or_else(wrong)?;
        items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
    }

    /// Arguments for cargo: what backstop itself has to say is not theirs.
    fn arguments(self, map: &Map<String, Value>, key: &str) -> Result<Vec<String>> {
        const OWN: [&str; 5] = ["--message-format", "--target-dir", "--manifest-path", "--config", "-Z"];
        let words = self.texts(map, key)?;
        let wrong = |word: &&String| {
            word.contains('\0') || word.as_str() == "--" || OWN.iter().any(|flag| word.starts_with(flag))
        };
        match words.iter().find(wrong) {
            None => Ok(words),
            Some(word) => Err(self
                .error(format!("`{key}` in `[{}]` has the argument `{}`", self.table, show_text(word)))
                .with_help("it chooses packages, targets, features or a profile; backstop gives the rest")),
        }
    }

    fn patterns(
        self,
        map: &Map<String, Value>,
        key: &str,
        directory: &Path,
        into: &mut Vec<PathPattern>,
    ) -> Result<()> {
        for glob in self.texts(map, key)? {
            glob::check(&glob).map_err(|why| {
                self.error(format!(
                    "`{key}` in `[{}]` has the pattern `{}`: {why}",
                    self.table,
                    show_text(&glob)
                ))
            })?;
            into.push(PathPattern { directory: directory.into(), glob });
        }
        Ok(())
    }
}

/// Reads a table that may hold every key. `directory` is the workspace root.
pub(crate) fn read_all(
    value: &Value,
    source: Source<'_>,
    directory: &Path,
    into: &mut Settings,
) -> Result<()> {
    let map = source.table(source.table, value)?;
    source.check_keys(map, &KEYS)?;
    into.label = source.text(map, "label")?;
    into.store = source.text(map, "store")?.map(PathBuf::from);
    into.scope = match source.text(map, "scope")?.as_deref() {
        None | Some("packages") => ScopeSetting::Packages,
        Some("workspace") => ScopeSetting::Workspace,
        Some(_) => return Err(source.wrong("scope", "\"packages\" or \"workspace\"")),
    };
    source.patterns(map, "include", directory, &mut into.include)?;
    source.patterns(map, "exclude", directory, &mut into.exclude)?;
    into.outside = source.texts(map, "outside")?;
    if into.outside.iter().any(|text| text.trim().is_empty() || text.contains('\0')) {
        return Err(source.wrong("outside", "an array of directories"));
    }
    if map.contains_key("check") {
        into.build.check = source.arguments(map, "check")?;
    }
    if map.contains_key("test") {
        into.build.test = Some(source.arguments(map, "test")?);
    }
    into.drill = match source.text(map, "drill")? {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| {
            let levels = DrillLevel::ALL.map(DrillLevel::name).join("\", \"");
            source.wrong("drill", &format!("one of \"{levels}\""))
        })?),
    };
    into.keep = map.get("keep").map(|value| read_keep(value, source)).transpose()?;
    if let Some(value) = map.get("checkpoint") {
        let list = value.as_array().ok_or_else(|| source.wrong("checkpoint", "an array of tables"))?;
        for item in list {
            let checkpoint = read_checkpoint(item, source)?;
            if into.checkpoints.iter().any(|other| other.id == checkpoint.id) {
                return Err(source.error(format!("checkpoint `{}` is defined twice", checkpoint.id)));
            }
            into.checkpoints.push(checkpoint);
        }
    }
    Ok(())
}

/// Reads a package's table. A package that is no member may be the root of a workspace of its own: the keys of
/// the whole workspace are then known, and mean nothing here.
pub(crate) fn read_package(
    value: &Value,
    source: Source<'_>,
    directory: &Path,
    member: bool,
    into: &mut Settings,
) -> Result<()> {
    let map = source.table(source.table, value)?;
    if member
        && let Some(key) =
            map.keys().find(|k| KEYS.contains(&k.as_str()) && !PACKAGE_KEYS.contains(&k.as_str()))
    {
        return Err(source
            .error(format!("`{key}` has no meaning in `[{}]`", source.table))
            .with_help(format!("move it to `[{WORKSPACE_TABLE}]` in the workspace's Cargo.toml")));
    }
    source.check_keys(map, if member { &PACKAGE_KEYS } else { &KEYS })?;
    source.patterns(map, "include", directory, &mut into.include)?;
    source.patterns(map, "exclude", directory, &mut into.exclude)
}

fn read_keep(value: &Value, outer: Source<'_>) -> Result<KeepSetting> {
    let name = format!("{}.keep", outer.table);
    let source = Source { table: &name, ..outer };
    let map = outer.table("keep", value)?;
    source.check_keys(map, &KEEP_KEYS)?;
    let count = |key: &str| {
        map.get(key)
            .map(|v| v.as_u64().and_then(|n| u32::try_from(n).ok()).ok_or(key))
            .transpose()
            .map_err(|key| source.wrong(key, "a whole number from 0 up"))
    };
    Ok(KeepSetting {
        last: count("last")?,
        hourly: count("hourly")?,
        daily: count("daily")?,
        weekly: count("weekly")?,
        monthly: count("monthly")?,
        yearly: count("yearly")?,
        within: source.text(map, "within")?,
        grace: source.text(map, "grace")?,
    })
}

fn read_checkpoint(value: &Value, outer: Source<'_>) -> Result<CheckpointSetting> {
    let name = format!("{}.checkpoint", outer.table);
    let source = Source { table: &name, ..outer };
    let map = value.as_object().ok_or_else(|| outer.wrong("checkpoint", "an array of tables"))?;
    source.check_keys(map, &CHECKPOINT_KEYS)?;
    let required = |key: &str| source.text(map, key)?.ok_or_else(|| source.wrong(key, "given"));
    let id = required("id")?;
    if !is_checkpoint_id(&id) {
        return Err(source.wrong("id", "`CP` and three digits, from `CP006` up"));
    }
    let run = source.texts(map, "run")?;
    if run.first().is_none_or(|program| program.is_empty()) || run.iter().any(|word| word.contains('\0')) {
        return Err(source.wrong("run", "an array that starts with the program to run"));
    }
    let timeout = match map.get("timeout") {
        None => None,
        Some(v) => match v.as_u64() {
            Some(seconds) if seconds > 0 => Some(seconds),
            _ => return Err(source.wrong("timeout", "a whole number of seconds above 0")),
        },
    };
    let mut env = BTreeMap::new();
    if let Some(value) = map.get("env") {
        let wrong = || source.wrong("env", "a table of strings");
        for (key, value) in value.as_object().ok_or_else(wrong)? {
            let value = value.as_str().ok_or_else(wrong)?;
            if key.is_empty() || key.contains(['=', '\0']) || value.contains('\0') {
                return Err(source.wrong("env", "a table of variables that the system accepts"));
            }
            env.insert(key.clone(), value.to_owned());
        }
    }
    let cwd = source.text(map, "cwd")?.map(PathBuf::from);
    Ok(CheckpointSetting { id, name: required("name")?, run, timeout, cwd, env })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> Result<Settings> {
        let source = Source { table: WORKSPACE_TABLE, manifest: Path::new("/w/Cargo.toml") };
        let mut settings = Settings::default();
        read_all(&value, source, Path::new("/w"), &mut settings).map(|()| settings)
    }

    #[test]
    fn every_key_is_read() {
        let settings = read(json!({
            "label": "opt", "store": "b", "scope": "workspace", "include": ["a/**"], "exclude": ["*.o"],
            "keep": { "last": 5, "within": "28d" },
            "checkpoint": [{ "id": "CP006", "name": "n", "run": ["x", "y"], "timeout": 3, "cwd": "d",
                "env": { "A": "b" } }],
        }))
        .unwrap();
        assert_eq!(settings.label.as_deref(), Some("opt"));
        assert_eq!(settings.scope, ScopeSetting::Workspace);
        let pattern = |glob: &str| PathPattern { directory: "/w".into(), glob: glob.into() };
        assert_eq!((settings.include, settings.exclude), (vec![pattern("a/**")], vec![pattern("*.o")]));
        let keep = settings.keep.unwrap();
        assert_eq!((keep.last, keep.daily, keep.within.as_deref()), (Some(5), None, Some("28d")));
        let checkpoint = &settings.checkpoints[0];
        assert_eq!((checkpoint.run.len(), checkpoint.timeout), (2, Some(3)));
        assert_eq!(checkpoint.env["A"], "b");
    }

    #[test]
    fn an_unknown_key_names_itself_and_the_nearest_known_one() {
        let error = read(json!({ "inlcude": [] })).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Settings);
        assert_eq!(error.to_string(), "unknown key `inlcude` in `[workspace.metadata.backstop]`");
        assert_eq!(error.help(), Some("did you mean `include`?"));
        let error = read(json!({ "keep": { "dayly": 1 } })).unwrap_err();
        assert_eq!(error.to_string(), "unknown key `dayly` in `[workspace.metadata.backstop.keep]`");
        assert_eq!(error.help(), Some("did you mean `daily`?"));
        let error = read(json!({ "frobnicate": 1 })).unwrap_err();
        assert!(error.help().unwrap().starts_with("the known keys are `label`"));
    }

    #[test]
    fn wrong_types_and_bad_values_are_refused() {
        let checkpoint = |key: &str, value: Value| {
            let mut map = json!({ "id": "CP006", "name": "n", "run": ["x"] });
            map[key] = value;
            json!({ "checkpoint": [map] })
        };
        for (value, part) in [
            (json!("x"), "must be a table"),
            (json!({ "label": 1 }), "`label`"),
            (json!({ "label": "" }), "not empty"),
            (json!({ "scope": "all" }), "\"packages\" or \"workspace\""),
            (json!({ "include": "a" }), "array of strings"),
            (json!({ "include": [1] }), "array of strings"),
            (json!({ "include": ["/etc/**"] }), "absolute"),
            (json!({ "include": ["a/../../b"] }), "`..`"),
            (json!({ "exclude": ["a/{b"] }), "pattern `a/{b`"),
            (json!({ "exclude": ["!a"] }), "`!`"),
            (json!({ "exclude": [""] }), "empty"),
            (json!({ "keep": 3 }), "must be a table"),
            (json!({ "keep": { "last": -1 } }), "whole number"),
            (json!({ "checkpoint": {} }), "array of tables"),
            (checkpoint("run", json!([])), "starts with the program"),
            (checkpoint("run", json!("x")), "array of strings"),
            (checkpoint("id", json!("CP001")), "from `CP006` up"),
            (checkpoint("id", json!("CP+06")), "from `CP006` up"),
            (checkpoint("timeout", json!(0)), "above 0"),
            (checkpoint("env", json!({ "A": 1 })), "table of strings"),
            (json!({ "checkpoint": [{ "id": "CP006", "run": ["x"] }] }), "`name`"),
        ] {
            let error = read(value.clone()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Settings);
            assert!(error.to_string().contains(part), "{value}: {error}");
        }
        let twice = json!({ "id": "CP006", "name": "n", "run": ["x"] });
        assert!(read(json!({ "checkpoint": [twice, twice] })).unwrap_err().to_string().contains("twice"));
    }

    #[test]
    fn a_package_holds_patterns_only() {
        let read = |value: Value, member| {
            let source = Source { table: PACKAGE_TABLE, manifest: Path::new("/w/a/Cargo.toml") };
            let mut settings = Settings::default();
            read_package(&value, source, Path::new("/w/a"), member, &mut settings).map(|()| settings)
        };
        let settings = read(json!({ "include": ["x"] }), true).unwrap();
        assert_eq!(settings.include[0].directory, Path::new("/w/a"));
        let error = read(json!({ "label": "x" }), true).unwrap_err();
        assert!(error.help().unwrap().contains("workspace.metadata.backstop"));
        assert!(read(json!({ "label": "x" }), false).is_ok());
        assert!(read(json!({ "lable": "x" }), false).is_err());
    }
}
