//! `output.schema.json` is made from the reports' types, and held against the file.

use std::borrow::Cow;
use std::path::Path;

use clap::CommandFactory;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::commands::Cli;
use super::render::{
    Backup, CheckpointList, CheckpointReport, DiffReport, Envelope, ExplainReport, InitReport, ListReport,
    PinReport, PreflightReport, PruneEmptied, PruneReport, PruneRestored, Recovery, RollbackAborted,
    RollbackDone, RollbackNothing, RollbackPlanned, RollbackRestored, ShowEntries, ShowReport, StatusReport,
    TextReport, VERSION, ValidateReport, change_words,
};
use crate::check::{Check, CheckReport};
use crate::clock::Mtime;
use crate::digest::Digest;
use crate::manifest::{Id, Label, Mode, RootName};
use crate::path::{LinkTarget, RelPath};
use crate::rollback::Verb;
use crate::store::DrillLevel;

// ---- values that are written as text

/// Stands for a backup id, which the library has as text.
pub(crate) struct BackupId;
/// Stands for an instant with nanoseconds.
pub(crate) struct Instant;
/// Stands for an instant with whole seconds.
pub(crate) struct Second;
/// Stands for what an action of a plan does.
pub(crate) struct ActionWord;
/// Stands for how a path differs.
pub(crate) struct ChangeWord;

macro_rules! text {
    ($($type:ty, $name:literal, $description:literal $(, $keyword:literal: $value:expr)?;)*) => {$(
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "description": $description, "type": "string" $(, $keyword: $value)? })
            }
        }
    )*};
}

text! {
    Id, "Id", "The UTC second of making, YYYYMMDD_HHMMSS; ids of one store only ever rise.",
        "pattern": "^[0-9]{8}_[0-9]{6}$";
    BackupId, "BackupId", "LABEL_backup_TIMESTAMP.",
        "pattern": "^[A-Za-z0-9._-]{1,64}_backup_[0-9]{8}_[0-9]{6}$";
    Label, "Label", "The label of a restore point.", "pattern": "^[A-Za-z0-9._-]{1,64}$";
    Instant, "Instant", "An instant in UTC, RFC 3339 with nanoseconds.",
        "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{9}Z$";
    Second, "Second", "An instant in UTC, RFC 3339 with whole seconds.",
        "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$";
    Mtime, "Mtime", "Seconds since 1970-01-01 UTC, with nine decimals.",
        "pattern": "^-{0,1}[0-9]{1,20}[.][0-9]{9}$";
    Digest, "Digest", "SHA-256, 64 hexadecimal digits.", "pattern": "^[0-9a-f]{64}$";
    Mode, "Mode", "Permission bits, four octal digits.", "pattern": "^[0-7]{4}$";
    RelPath, "RelPath",
        "A path below its root; a backslash is doubled, and other bytes than UTF-8 stand as \\xHH.";
    LinkTarget, "LinkTarget", "What a link points at, escaped as a path is.";
    RootName, "RootName", "A directory that paths count from; empty for the workspace.";
    DrillLevel, "DrillLevel", "How far a drill climbs; each level includes those before it.",
        "enum": DrillLevel::ALL.map(DrillLevel::name);
    ActionWord, "ActionWord", "What is done at a path.", "enum": [
        Verb::Create, Verb::Replace, Verb::ChangeMode, Verb::Displace, Verb::RemoveDirectory
    ].map(Verb::past);
    ChangeWord, "ChangeWord", "How a path differs.", "enum": change_words();
}

impl JsonSchema for Check {
    fn schema_name() -> Cow<'static, str> {
        "Check".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        CheckReport::json_schema(generator)
    }
}

// ---- the whole

/// An envelope for each report of each command, and one for errors.
fn envelopes(generator: &mut SchemaGenerator) -> Vec<Value> {
    fn envelope<R: JsonSchema>(generator: &mut SchemaGenerator, command: Value, holds: &str) -> Value {
        let mut schema = Envelope::<R>::json_schema(generator).to_value();
        // What is there is not null, and what is not there is not allowed.
        let held = schema["properties"][holds]["anyOf"][0].take();
        let properties = schema["properties"].as_object_mut().unwrap();
        properties.retain(|name, _| !["report", "error"].contains(&name.as_str()));
        properties.insert(holds.to_owned(), held);
        properties.insert("command".to_owned(), command);
        properties.insert("version".to_owned(), json!({ "const": VERSION }));
        schema["required"].as_array_mut().unwrap().push(holds.into());
        schema
    }
    macro_rules! reports {
        ($($command:literal: $($report:ty),+;)*) => {
            vec![$($(envelope::<$report>(generator, json!({ "const": $command }), "report"),)+)*]
        };
    }
    let mut all = reports! {
        "backup": Backup<'_>;
        "validate": ValidateReport<'_>;
        "checkpoint": CheckpointReport<'_>, CheckpointList<'_>;
        "rollback": RollbackPlanned<'_>, RollbackDone<'_>, RollbackAborted<'_>, RollbackNothing, RollbackRestored<'_>;
        "recover": Recovery<'_>;
        "list": ListReport<'_>;
        "show": ShowReport<'_>, ShowEntries<'_>;
        "diff": DiffReport<'_>;
        "prune": PruneReport<'_>, PruneRestored, PruneEmptied;
        "pin": PinReport<'_>;
        "unpin": PinReport<'_>;
        "preflight": PreflightReport<'_>;
        "status": StatusReport<'_>;
        "explain": ExplainReport<'_>;
        "init": InitReport<'_>;
        "completions": TextReport<'_>;
        "man": TextReport<'_>;
    };
    let commands = Cli::command();
    let names = commands.get_subcommands().map(|command| Value::from(command.get_name()));
    let named: Vec<Value> = names.chain([Value::Null]).collect();
    all.push(envelope::<ListReport<'_>>(generator, json!({ "enum": named }), "error"));
    all
}

/// What schemars does not do: every object is closed, what a field flattens into its object is told with it, and a text is
/// one line without links.
fn tidy(schema: &mut Value) {
    if let Value::Object(map) = schema {
        // Of a property by such a name the value is a schema.
        map.retain(|keyword, value| value.is_object() || !["format", "default"].contains(&keyword.as_str()));
        if let Some(Value::String(text)) = map.get_mut("description") {
            *text = text.replace('\n', " ").replace("crate::", "").replace("[`", "`").replace("`]", "`");
        }
        if map.contains_key("properties")
            && let Some(Value::Array(forms)) = map.remove("oneOf")
        {
            let with = |form| flattened(map.clone(), form);
            let forms: Vec<Value> = forms.into_iter().map(with).collect();
            *map = Map::from_iter([("oneOf".to_owned(), forms.into())]);
        }
        if map.contains_key("properties") {
            map.insert("additionalProperties".to_owned(), false.into());
        }
        map.values_mut().for_each(tidy);
    } else if let Value::Array(list) = schema {
        list.iter_mut().for_each(tidy);
    }
}

/// An object's schema together with one form of what is flattened into it.
fn flattened(mut whole: Map<String, Value>, mut form: Value) -> Value {
    let Value::Object(properties) = form["properties"].take() else { panic!("{form} is no object") };
    whole["properties"].as_object_mut().unwrap().extend(properties);
    let required = form["required"].as_array().cloned().unwrap_or_default();
    whole["required"].as_array_mut().unwrap().extend(required);
    whole.extend(form.get("description").map(|text| ("description".to_owned(), text.clone())));
    whole.into()
}

/// JSON in lines of 120 characters: what fits is in one, and so is a list of words.
fn text(value: &Value, indent: usize, before: usize) -> String {
    let (open, close, parts): (_, _, Vec<(String, &Value)>) = match value {
        Value::Object(map) => ("{", "}", map.iter().map(|(k, v)| (format!("{k:?}: "), v)).collect()),
        Value::Array(list) => ("[", "]", list.iter().map(|v| (String::new(), v)).collect()),
        plain => return plain.to_string(),
    };
    let all = |inner: usize, between: &str| {
        let part = |(k, v): &(String, &Value)| format!("{k}{}", text(v, inner, k.len()));
        parts.iter().map(part).collect::<Vec<_>>().join(between)
    };
    let line = format!("{open} {} {close}", all(0, ", "));
    let words = parts.iter().all(|(name, value)| name.is_empty() && value.is_string());
    if (words || indent + before + line.len() <= 120) && !line.contains('\n') {
        return line;
    }
    let (pad, end) = (" ".repeat(indent + 2), " ".repeat(indent));
    format!("{open}\n{pad}{}\n{end}{close}", all(indent + 2, &format!(",\n{pad}")))
}

#[test]
fn the_schema_is_the_one_of_the_types() {
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let envelopes = envelopes(&mut generator);
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": format!("urn:backstop:output:{VERSION}"),
        "title": "What backstop prints with --format json",
        "description": "One object on standard output for each run. `version` rises when a field changes its meaning or \
            goes; a field may be added without that. Paths are shown with control characters escaped, and below the \
            workspace root unless they begin with `/`; `ROOT:path` lies outside the workspace.",
        "anyOf": envelopes,
        "$defs": generator.take_definitions(true),
    });
    tidy(&mut schema);
    let file = snapbox::Data::read_from(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/output.schema.json"),
        Some(snapbox::data::DataFormat::Text),
    )
    .raw();
    snapbox::Assert::new().action_env("SNAPSHOTS").eq(text(&schema, 0, 0) + "\n", file);
}
