//! The JSON output is what `src/cli/output.schema.json` says, and the schema is one.

use std::fs;

use serde_json::{Map, Value, json};

use super::exit_codes::cut_off;
use super::{backed_up, backstop, newest, spoil};
use crate::support::World;
use crate::support::edit::{link, overwrite, remove, write};

// ---- a validator for the keywords that the schema uses, and no others

fn schema() -> Value {
    serde_json::from_str(include_str!("../../../src/cli/output.schema.json")).unwrap()
}

/// Fails with every difference from the schema: of the envelopes that this may be, from the one that is nearest.
#[track_caller]
pub(crate) fn assert_valid(value: &Value) {
    let schema = schema();
    let holds = if value.get("error").is_some() { "error" } else { "report" };
    let all = schema["anyOf"].as_array().unwrap().iter();
    let fit = all.filter(|envelope| {
        let properties = &envelope["properties"];
        let command = Validator(&schema).check(&properties["command"], &value["command"], "");
        properties.get(holds).is_some() && command.is_empty()
    });
    let tries = fit.map(|envelope| Validator(&schema).check(envelope, value, holds));
    let problems = tries.min_by_key(Vec::len).expect("an envelope for the command");
    assert!(problems.is_empty(), "{problems:#?} in\n{value:#}");
    assert!(Validator(&schema).check(&schema, value, "").is_empty(), "valid, and yet not: {value:#}");
}

struct Validator<'a>(&'a Value);

impl Validator<'_> {
    /// What is wrong with `value`, as `place: problem`.
    fn check(&self, schema: &Value, value: &Value, place: &str) -> Vec<String> {
        let schema = schema.as_object().unwrap_or_else(|| panic!("{place}: no schema stands here"));
        let mut out = Vec::new();
        let mut fault = |text: String| out.push(format!("{place}: {text}"));
        for (keyword, operand) in schema {
            match keyword.as_str() {
                "$schema" | "$id" | "$defs" | "title" | "description" => {}
                "type" => {
                    let names = match operand {
                        Value::Array(names) => names.iter().collect(),
                        one => vec![one],
                    };
                    if !names.iter().any(|name| is_a(value, name.as_str().unwrap())) {
                        fault(format!("{value} is not of type {operand}"));
                    }
                }
                "const" if value != operand => fault(format!("{value} is not {operand}")),
                "enum" if !operand.as_array().unwrap().contains(value) => {
                    fault(format!("{value} is not in {operand}"))
                }
                "const" | "enum" => {}
                "minimum" => {
                    if value.as_f64().is_some_and(|v| v < operand.as_f64().unwrap()) {
                        fault(format!("{value} is less than {operand}"));
                    }
                }
                "maximum" => {
                    if value.as_f64().is_some_and(|v| v > operand.as_f64().unwrap()) {
                        fault(format!("{value} is more than {operand}"));
                    }
                }
                "pattern" => {
                    if value.as_str().is_some_and(|text| !matches(operand.as_str().unwrap(), text)) {
                        fault(format!("{value} does not match {operand}"));
                    }
                }
                "$ref" => {
                    let pointer = operand.as_str().unwrap().strip_prefix('#').unwrap();
                    let target =
                        self.0.pointer(pointer).unwrap_or_else(|| panic!("{place}: {operand} is nowhere"));
                    self.check(target, value, place).into_iter().for_each(&mut fault);
                }
                "required" => {
                    for name in operand.as_array().unwrap() {
                        if value.as_object().is_some_and(|v| !v.contains_key(name.as_str().unwrap())) {
                            fault(format!("{name} is missing"));
                        }
                    }
                }
                "properties" => {
                    for (name, schema) in operand.as_object().unwrap() {
                        if let Some(inner) = value.get(name) {
                            self.check(schema, inner, &format!("{place}.{name}"))
                                .into_iter()
                                .for_each(&mut fault);
                        }
                    }
                }
                "additionalProperties" => {
                    let empty = Map::new();
                    let known = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
                    for (name, inner) in value.as_object().unwrap_or(&empty) {
                        match operand {
                            _ if known.contains_key(name) => {}
                            Value::Bool(false) => fault(format!("nobody knows {name:?}")),
                            schema => {
                                self.check(schema, inner, &format!("{place}.{name}"))
                                    .into_iter()
                                    .for_each(&mut fault);
                            }
                        }
                    }
                }
                "items" => {
                    for (i, inner) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(operand, inner, &format!("{place}[{i}]")).into_iter().for_each(&mut fault);
                    }
                }
                "anyOf" | "oneOf" => {
                    let tries: Vec<Vec<String>> =
                        operand.as_array().unwrap().iter().map(|s| self.check(s, value, place)).collect();
                    let good = tries.iter().filter(|t| t.is_empty()).count();
                    if good == 0 || (keyword == "oneOf" && good != 1) {
                        fault(format!("{good} of {} alternatives fit: {tries:?}", tries.len()));
                    }
                }
                unknown => panic!("{place}: the validator does not know {unknown:?}"),
            }
        }
        out
    }

    /// Every object forbids what it does not name, or says what it may be; every `required` name is a property.
    fn closed(&self, schema: &Value, place: &str, open: &mut Vec<String>) {
        match schema {
            Value::Object(map) => {
                if map.get("type").is_some_and(|t| t == "object")
                    || map.get("properties").is_some_and(Value::is_object)
                {
                    match map.get("additionalProperties") {
                        Some(Value::Bool(false) | Value::Object(_)) => {}
                        other => open.push(format!("{place}: additionalProperties is {other:?}")),
                    }
                    for name in map.get("required").and_then(Value::as_array).into_iter().flatten() {
                        if map["properties"].get(name.as_str().unwrap()).is_none() {
                            open.push(format!("{place}: {name} is required and unknown"));
                        }
                    }
                }
                map.iter().for_each(|(name, inner)| self.closed(inner, &format!("{place}/{name}"), open));
            }
            Value::Array(list) => list.iter().for_each(|inner| self.closed(inner, place, open)),
            _ => {}
        }
    }
}

fn is_a(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        other => panic!("the validator does not know the type {other:?}"),
    }
}

/// `^`, then characters or classes, each with `{n}` or `{n,m}` behind it or not, then `$`.
fn matches(pattern: &str, text: &str) -> bool {
    let body =
        pattern.strip_prefix('^').and_then(|p| p.strip_suffix('$')).unwrap_or_else(|| panic!("{pattern}"));
    let mut atoms: Vec<(String, usize, usize)> = Vec::new();
    let mut rest = body;
    while let Some(first) = rest.chars().next() {
        match first {
            '[' => {
                let end = rest.find(']').unwrap();
                atoms.push((rest[1..end].into(), 1, 1));
                rest = &rest[end + 1..];
            }
            '{' => {
                let end = rest.find('}').unwrap();
                let (low, high) = rest[1..end].split_once(',').unwrap_or((&rest[1..end], &rest[1..end]));
                let last = atoms.last_mut().unwrap();
                (last.1, last.2) = (low.parse().unwrap(), high.parse().unwrap());
                rest = &rest[end + 1..];
            }
            c => {
                assert!(
                    c.is_ascii_alphanumeric() || "-_:".contains(c),
                    "the validator does not know {c:?} in {pattern}"
                );
                atoms.push((c.into(), 1, 1));
                rest = &rest[1..];
            }
        }
    }
    fn go(atoms: &[(String, usize, usize)], text: &str) -> bool {
        let Some(((class, low, high), more)) = atoms.split_first() else { return text.is_empty() };
        let fit = text.chars().take(*high).take_while(|c| in_class(class, *c)).count();
        (*low..=fit)
            .rev()
            .any(|n| go(more, &text[text.char_indices().nth(n).map_or(text.len(), |(i, _)| i)..]))
    }
    go(&atoms, text)
}

fn in_class(class: &str, c: char) -> bool {
    let chars: Vec<char> = class.chars().collect();
    let mut i = 0;
    while i < chars.len() {
        if i + 2 < chars.len() && chars[i + 1] == '-' {
            if (chars[i]..=chars[i + 2]).contains(&c) {
                return true;
            }
            i += 3;
        } else {
            if chars[i] == c {
                return true;
            }
            i += 1;
        }
    }
    false
}

#[test]
fn the_validator_refuses_what_is_wrong() {
    let schema = json!({
        "type": "object",
        "properties": {
            "id": { "type": "string", "pattern": "^[0-9]{2}_[a-c.-]{1,3}$" },
            "n": { "type": ["integer", "null"], "minimum": 0, "maximum": 5 },
            "list": { "type": "array", "items": { "enum": ["a", 1] } },
            "one": { "oneOf": [{ "type": "number" }, { "type": "integer" }, { "$ref": "#/properties/yes" }] },
            "any": { "anyOf": [{ "type": "number" }, { "type": "integer" }] },
            "yes": { "const": true },
            "map": { "type": "object", "additionalProperties": { "type": "string" } }
        },
        "required": ["id"],
        "additionalProperties": false
    });
    let good = json!({ "id": "01_a.-", "n": null, "list": ["a", 1], "one": 1.5, "any": 1, "yes": true, "map": { "x": "y" } });
    assert_eq!(Validator(&schema).check(&schema, &good, ""), Vec::<String>::new());
    for (name, wrong, says) in [
        ("id", json!("1_a"), "match"),
        ("id", json!("01_abca"), "match"),
        ("id", json!("01_d"), "match"),
        ("id", json!("01_a\n"), "match"),
        ("id", json!(1), "type"),
        ("n", json!(-1), "less"),
        ("n", json!(6), "more"),
        ("n", json!(1.5), "type"),
        ("list", json!(["a", 2]), "not in"),
        ("list", json!({}), "type"),
        ("one", json!(1), "2 of 3"),
        ("one", json!("x"), "0 of 3"),
        ("any", json!("x"), "0 of 2"),
        ("yes", json!(false), "is not true"),
        ("map", json!({ "x": 1 }), "type"),
        ("other", json!(1), "nobody knows"),
    ] {
        let mut document = good.clone();
        document[name] = wrong;
        let problems = Validator(&schema).check(&schema, &document, "");
        assert!(problems.iter().any(|p| p.contains(says)), "{document}: {problems:?}");
    }
    let problems = Validator(&schema).check(&schema, &json!({}), "");
    assert_eq!(problems, [r#": "id" is missing"#]);
}

#[test]
#[should_panic(expected = "does not know \"maxItems\"")]
fn the_validator_refuses_a_keyword_that_it_does_not_know() {
    let schema = json!({ "properties": { "a": { "maxItems": 1 } } });
    Validator(&schema).check(&schema, &json!({ "a": 1 }), "");
}

#[test]
fn the_schema_is_closed_and_has_a_part_for_each_command() {
    let schema = schema();
    let mut open = Vec::new();
    Validator(&schema).closed(&schema, "", &mut open);
    assert!(open.is_empty(), "{open:#?}");
    let help = backstop("/").arg("--help").ends(0);
    let commands = help.out.lines().skip_while(|l| *l != "Commands:").skip(1).take_while(|l| !l.is_empty());
    let names: Vec<&str> =
        commands.filter_map(|l| l.split_whitespace().next()).filter(|n| *n != "help").collect();
    assert!(names.len() >= 5, "{names:?} in {}", help.out);
    for name in names {
        let reports = schema["anyOf"].as_array().unwrap().iter();
        let reports = reports.filter(|e| e["properties"]["command"]["const"] == name);
        assert!(reports.count() > 0, "no report of {name}");
        let error = json!({ "command": name, "version": 2, "exit_code": 3, "error": {
            "kind": "io", "message": "", "details": [], "causes": [], "help": null
        } });
        assert_valid(&error);
    }
}

#[test]
fn a_document_with_one_field_more_or_less_is_refused() {
    let world = backed_up();
    let schema = schema();
    let good = backstop(&world.root).args(["list", "--format", "json"]).ends(0).envelope();
    let wrong = |change: fn(&mut Value)| {
        let mut document = good.clone();
        change(&mut document);
        !Validator(&schema).check(&schema, &document, "").is_empty()
    };
    assert!(!wrong(|_| {}));
    assert!(wrong(|d| d["more"] = json!(1)));
    assert!(wrong(|d| d["report"]["more"] = json!(1)));
    assert!(wrong(|d| d["report"]["restore_points"][0]["more"] = json!(1)));
    assert!(wrong(|d| drop(d["report"].as_object_mut().unwrap().remove("cut_off"))));
    assert!(wrong(|d| d["report"]["restore_points"][0]["id"] = json!("latest")));
    assert!(wrong(|d| d["report"]["restore_points"][0]["totals"]["bytes"] = json!("10")));
    assert!(wrong(|d| d["command"] = json!("show")));
    assert!(wrong(|d| d["command"] = json!(null)));
    assert!(wrong(|d| d["version"] = json!(1)));
}

// ---- every command and variant

const JSON: [&str; 2] = ["--format", "json"];

#[test]
fn backup_made_linked_and_unchanged_are_as_the_schema_says() {
    let world = World::new("outside");
    write(world.at("notes/todo.txt"), "todo\n");
    write(world.at("crates/inner/target/x"), "x\n");
    link("src/lib.rs", world.at("crates/inner/link"));
    let made =
        backstop(&world.root).args(["backup", "-l", "a b", "-m", "why \u{1b}[31m"]).args(JSON).ends(0).json();
    assert_eq!(made["made"], json!(true));
    assert_eq!((&made["label"], &made["message"]), (&json!("a-b"), &json!("why \u{1b}[31m")));
    assert_eq!(made["verified"], made["totals"]["files"]);
    assert_eq!((&made["linked"], &made["parent"]), (&json!(0), &json!(null)));
    assert_eq!(made["unprotected"], json!([{ "path": "notes", "directory": true, "files": 1 }]));
    assert_eq!(made["skipped"][0]["path"], json!("crates/inner/target"));
    let linked = backstop(&world.root).args(["backup"]).args(JSON).ends(0).json();
    assert_eq!((&linked["linked"], &linked["parent"]), (&linked["totals"]["files"], &made["id"]));
    let unchanged = backstop(&world.root).args(["backup", "--skip-unchanged"]).args(JSON).ends(0).json();
    assert_eq!(unchanged["made"], json!(false));
    assert_eq!((&unchanged["id"], &unchanged["root_hash"]), (&linked["id"], &made["root_hash"]));
}

#[test]
fn validate_good_and_with_findings_are_as_the_schema_says() {
    let world = backed_up();
    let good = backstop(&world.root).args(["validate", "--all"]).args(JSON).ends(0).json();
    assert_eq!(good["restore_points"][0]["passed"], json!(true));
    assert_eq!(good["restore_points"][0]["validations"].as_array().unwrap().len(), 6);
    for check in good["restore_points"][0]["validations"].as_array().unwrap() {
        assert!(check["checked"].as_u64().unwrap() > 0, "{check}");
    }
    let scratch = world.temp.path().join("scratch");
    let drilled = backstop(&world.root).args(["validate", "--drill=manifest", "--scratch"]).args([scratch]);
    let drilled = drilled.args(JSON).ends(0).json();
    assert_eq!(drilled["restore_points"][0]["drill"]["reached"], json!("manifest"));
    let session = world.dir.join(format!("session_{}", newest(&world)));
    overwrite(session.join("files/crates/alpha/src/lib.rs"), |b| b.push(b'x'));
    let bad = backstop(&world.root).arg("validate").args(JSON).ends(1).json();
    assert_eq!(bad["restore_points"][0]["passed"], json!(false));
    let checks = bad["restore_points"][0]["validations"].as_array().unwrap();
    let integrity = checks.iter().find(|c| c["id"] == "FILE_INTEGRITY").unwrap();
    assert!(
        integrity["findings"][0]["place"].as_str().unwrap().contains("crates/alpha/src/lib.rs"),
        "{integrity}"
    );
    assert!(integrity["remedy"].is_string());
    // Without a sound manifest there is no root hash.
    overwrite(session.join("backup_manifest.json"), |b| b.clear());
    let copies = fs::read_dir(world.dir.join("metadata")).unwrap().map(|e| e.unwrap().path());
    overwrite(copies.into_iter().find(|p| p.extension().is_some_and(|e| e == "json")).unwrap(), |b| {
        b.clear()
    });
    let worse = backstop(&world.root).arg("validate").args(JSON).ends(1).json();
    assert_eq!(worse["restore_points"][0]["root_hash"], json!(null));
    let list = backstop(&world.root).arg("list").args(JSON).ends(0).json();
    assert_eq!(list["restore_points"][0]["state"], json!("damaged"));
    assert_eq!(list["restore_points"][0]["totals"], json!(null));
}

#[test]
fn a_dry_run_a_rollback_an_undo_and_nothing_to_do_are_as_the_schema_says() {
    let world = World::new("outside");
    write(world.at("Cargo.lock"), "version = 4\n");
    write(world.at("crates/inner/dir/file"), "x\n");
    link("file", world.at("crates/inner/dir/link"));
    let git = |args: &[&str]| super::program("git", &world.root).args(args).ends(0);
    git(&["init", "-q", "-b", "main"]);
    backstop(&world.root).args(["backup", "-m", "before"]).ends(0);
    let id = newest(&world);
    let rollback = |more: &[&str]| backstop(&world.root).arg("rollback").args(more).args(JSON).ends(0).json();
    let nothing = rollback(&["-t", "latest", "-f"]);
    assert_eq!((&nothing["done"], &nothing["dry_run"]), (&json!(false), &json!(false)));
    // One of each sort of change.
    spoil_inner(&world);
    git(&["-c", "user.name=a", "-c", "user.email=a", "commit", "-q", "--allow-empty", "-m", "x"]);
    let dry = rollback(&["-t", "latest", "--dry-run"]);
    assert_eq!((&dry["done"], &dry["dry_run"]), (&json!(false), &json!(true)));
    let plan = &dry["plan"];
    assert_eq!(
        (&plan["message"], &plan["purpose"]),
        (&json!("before"), &json!({ "kind": "rollback", "to": id }))
    );
    assert_eq!(plan["git_then"]["head"], json!(null));
    assert_eq!(plan["git_now"]["branch"], json!("main"));
    let kinds: Vec<&Value> = plan["actions"].as_array().unwrap().iter().map(|a| &a["action"]).collect();
    for kind in ["created", "replaced", "mode changed", "displaced", "removed"] {
        assert!(kinds.contains(&&json!(kind)), "{kind} is not among {kinds:?}");
    }
    assert_eq!(plan["outside_differences"].as_array().unwrap().len(), 1, "{plan:#}");
    assert!(!plan["left_alone"].as_array().unwrap().is_empty(), "{plan:#}");
    let done = rollback(&["-t", "latest", "-f"]);
    assert_eq!(done["done"], json!(true));
    assert_eq!(done["plan"]["actions"], plan["actions"], "the dry run promised something else");
    assert_eq!(done["verified"], json!(kinds.len()));
    let undone = rollback(&["--undo", "-f"]);
    assert_eq!(undone["purpose"], json!({ "kind": "undo", "of": done["id"] }));
    let outside = rollback(&["-t", "latest", "-f", "--outside"]);
    assert_eq!(outside["plan"]["outside_differences"], json!([]));
}

fn spoil_inner(world: &World) {
    let inner = world.at("crates/inner");
    write(inner.join("src/lib.rs"), "changed\n");
    remove(inner.join("dir"));
    write(inner.join("added/deep.rs"), "added\n");
    link("nowhere", inner.join("added/link"));
    crate::support::edit::chmod(inner.join("Cargo.toml"), 0o600);
    write(world.root.parent().unwrap().join("neighbour/src/lib.rs"), "changed outside\n");
    // Not in the scope of the restore point, so it stays.
    assert!(std::process::Command::new("mkfifo").arg(inner.join("pipe")).status().unwrap().success());
}

#[test]
fn a_restore_elsewhere_is_as_the_schema_says() {
    let world = backed_up();
    let there = world.temp.path().join("there");
    let report = backstop(&world.root)
        .args(["rollback", "-t", "latest", "--to"])
        .arg(&there)
        .args(JSON)
        .ends(0)
        .json();
    assert_eq!(report["restored"]["directory"], json!(there.to_str().unwrap()));
    assert_eq!(report["restored"]["files"], json!(9));
    assert!(
        there.join("crates/beta/src/main.rs").exists()
            || there.join("files/crates/beta/src/main.rs").exists()
    );
}

#[test]
fn resumed_aborted_and_nothing_cut_off_are_as_the_schema_says() {
    let (world, ..) = cut_off();
    let list = backstop(&world.root).arg("list").args(JSON).ends(0).json();
    assert_eq!(list["cut_off"], json!(true));
    let resumed = backstop(&world.root).args(["rollback", "--resume"]).args(JSON).ends(0).json();
    assert_eq!((&resumed["done"], &resumed["plan"]), (&json!(true), &json!(null)));
    for what in ["resume", "abort"] {
        let nothing =
            backstop(&world.root).args(["rollback", &format!("--{what}")]).args(JSON).ends(0).json();
        assert_eq!((&nothing["done"], &nothing["nothing_to"]), (&json!(false), &json!(what)));
    }
    let (world, ..) = cut_off();
    let aborted = backstop(&world.root).args(["rollback", "--abort"]).args(JSON).ends(0).json();
    assert_eq!(aborted["aborted"]["had_begun"], json!(true));
}

#[test]
fn list_and_show_are_as_the_schema_says() {
    let world = World::new("outside");
    write(world.at("crates/inner/back\\slash"), "x\n");
    link("src/lib.rs", world.at("crates/inner/link"));
    let manifest = fs::read_to_string(world.at("Cargo.toml")).unwrap();
    let settings = "[workspace.metadata.backstop]\ninclude = [\"assets/**\"]\nexclude = [\"**/*.tmp\"]\n";
    write(world.at("Cargo.toml"), format!("{manifest}\n{settings}"));
    write(world.at("assets/logo"), "logo\n");
    write(world.at("crates/inner/x.tmp"), "x\n");
    backstop(&world.root).args(["backup", "-m", "why"]).ends(0);
    write(world.at("assets/logo"), "changed\n");
    backstop(&world.root).args(["rollback", "-f", "-t", "latest"]).ends(0);
    let list = backstop(&world.root).arg("list").args(JSON).ends(0).json();
    let points = list["restore_points"].as_array().unwrap();
    assert_eq!(points.iter().map(|p| &p["pre_rollback"]).collect::<Vec<_>>(), [&json!(false), &json!(true)]);
    assert_eq!(points[0]["message"], json!("why"));
    let show = backstop(&world.root).arg("show").args(JSON).ends(0).json();
    assert_eq!(show["manifest"]["id"], points[0]["id"], "`latest` is not what a person meant");
    assert_eq!(show["manifest"]["roots"].as_array().unwrap().len(), 2);
    let present =
        backstop(&world.root).args(["show", points[1]["id"].as_str().unwrap()]).args(JSON).ends(0).json();
    assert_eq!(present["manifest"]["label"], json!("pre_rollback"));
    let entry = backstop(&world.root).args(["show", "latest", "assets/logo", "crates/inner/link"]);
    let entry = entry.args(JSON).ends(0).json();
    assert_eq!(entry["entries"][0]["entry"]["path"], json!("assets/logo"));
    write(world.at("assets/logo"), "changed\n");
    link("elsewhere", world.at("crates/inner/other"));
    let diff = backstop(&world.root).arg("diff").args(JSON).ends(1).json();
    let told: Vec<_> = diff["changes"].as_array().unwrap().iter().map(|c| &c["change"]).collect();
    assert_eq!(told, [&json!("changed"), &json!("added")]);
}

#[test]
fn explain_is_as_the_schema_says() {
    let world = World::new("virtual");
    let paths = ["crates/alpha/src/lib.rs", "docs/nope.md", "/nowhere/x"];
    let told = backstop(&world.root).arg("explain").args(paths).args(JSON).ends(0).json();
    let verdicts: Vec<_> = told["paths"].as_array().unwrap().iter().map(|p| &p["protected"]).collect();
    assert_eq!(verdicts, [&json!(true), &json!(false), &json!(false)]);
    backstop(&world.root).arg("explain").ends(2);
}

#[test]
fn each_sort_of_error_is_as_the_schema_says_and_stands_alone_on_standard_output() {
    let mut seen = Vec::new();
    let mut kind = |run: super::Run| {
        let value = run.envelope();
        assert_eq!(run.err, "", "{value:#}");
        let kind = value["error"]["kind"].as_str().unwrap().to_owned();
        seen.push(kind.clone());
        kind
    };
    let world = World::new("virtual");
    let at = |world: &World, args: &[&str]| backstop(&world.root).args(args).args(JSON);
    assert_eq!(kind(at(&world, &["list"]).ends(3)), "no_store");
    write(world.dir.join("x"), "x");
    assert_eq!(kind(at(&world, &["backup"]).ends(2)), "usage");
    remove(&world.dir);
    let manifest = fs::read_to_string(world.at("Cargo.toml")).unwrap();
    write(world.at("Cargo.toml"), format!("{manifest}\n[workspace.metadata.backstop]\nx = 1\n"));
    assert_eq!(kind(at(&world, &["backup"]).ends(2)), "settings");
    write(world.at("Cargo.toml"), "broken");
    assert_eq!(kind(at(&world, &["backup"]).ends(3)), "workspace");

    let world = backed_up();
    assert_eq!(kind(at(&world, &["show", "1999"]).ends(2)), "usage");
    assert_eq!(kind(at(&world, &["rollback", "--undo", "-f"]).ends(3)), "no_restore_point");
    let lock = fs::File::open(world.dir.join("lock")).unwrap();
    lock.lock().unwrap();
    assert_eq!(kind(at(&world, &["validate", "--no-wait"]).ends(5)), "busy");
    drop(lock);
    spoil(&world.root);
    assert_eq!(kind(at(&world, &["rollback", "-t", "latest"]).ends(3)), "not_confirmed");
    let session = world.dir.join(format!("session_{}", newest(&world)));
    overwrite(session.join("files/crates/alpha/src/lib.rs"), |b| b.push(b'x'));
    assert_eq!(kind(at(&world, &["rollback", "-t", "latest", "-f", "--from", "session"]).ends(3)), "damaged");
    fs::set_permissions(&session, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();

    let (world, ..) = cut_off();
    assert_eq!(kind(at(&world, &["backup"]).ends(4)), "cut_off");
    let (world, ..) = cut_off();
    remove(world.dir.join("lock"));
    fs::create_dir(world.dir.join("lock")).unwrap();
    assert_eq!(kind(at(&world, &["rollback", "--abort"]).ends(3)), "io");
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 10, "{seen:?}");
}

#[test]
fn a_command_line_that_is_wrong_is_told_in_json_wherever_it_asks_for_that() {
    let told = |args: &[&str]| {
        let run = backstop("/").args(args).ends(2);
        let value = run.envelope();
        assert_eq!((run.err.as_str(), &value["error"]["kind"]), ("", &json!("usage")), "{value:#}");
        value
    };
    for (args, command, message) in [
        (
            &["list", "--frobnicate", "--format", "json"][..],
            json!("list"),
            "unexpected argument '--frobnicate'",
        ),
        (&["--format=json", "list", "--frobnicate"], json!("list"), "unexpected argument '--frobnicate'"),
        (
            &["--store", "list", "show", "--format=json", "--last"],
            json!("show"),
            "unexpected argument '--last'",
        ),
        (&["explain", "--format", "json"], json!("explain"), "required arguments were not provided"),
        (&["bakup", "--format", "json"], json!(null), "unrecognized subcommand 'bakup'"),
        (&["--format", "json"], json!(null), "requires a subcommand"),
        (&["list", "--last", "-1", "--format", "json"], json!("list"), "'-1'"),
        (&["list", "--x\u{1b}[31m", "--format", "json"], json!("list"), "\\x1b[31m"),
    ] {
        let value = told(args);
        assert_eq!(value["command"], command, "{args:?}");
        let text = value["error"]["message"].as_str().unwrap();
        assert!(text.contains(message) && !text.starts_with("error"), "{args:?}: {value:#}");
        assert!(value["error"]["help"].as_str().unwrap().contains("--help"), "{value:#}");
    }
    assert_eq!(told(&["explain", "--format", "json"])["error"]["details"], json!(["<PATH>..."]));
    // What stands behind `--` is a name.
    let text = backstop("/").args(["list", "--frobnicate", "--", "--format=json"]).ends(2);
    assert_eq!(text.out, "");
}
