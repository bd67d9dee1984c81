//! Small insertions into TOML that somebody else wrote. Nothing but the inserted text changes: comments, order, line
//! ends and spacing stay as they are, since the parser only says where things stand.
//!
//! An edit is proven before it is used: the new text has to parse, and to mean exactly the old document with the one
//! addition. Where that fails (a shape that nobody thought of), there is no edit, and a person gets the lines.

use serde_json::{Map, Value as Json};
use toml_edit::{Document, Item, TableLike, Value};

use crate::order;
use crate::quote::toml_string;

const BOM: char = '\u{feff}';

/// A document and what it is to mean.
pub(super) struct Toml {
    text: String,
    meaning: Json,
}

impl Toml {
    /// Reads a document; the error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Toml, String> {
        let document =
            Document::parse(text.trim_start_matches(BOM)).map_err(|e| e.to_string().trim_end().to_owned())?;
        Ok(Toml { text: text.into(), meaning: meaning_of_table(document.as_table()) })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// What stands at `path`, as JSON.
    pub(super) fn get(&self, path: &[&str]) -> Option<&Json> {
        path.iter().try_fold(&self.meaning, |value, key| value.get(key))
    }

    /// The strings of the array at `path`; none where there is no such array.
    pub(super) fn strings(&self, path: &[&str]) -> Vec<&str> {
        let array = self.get(path).and_then(Json::as_array);
        array.into_iter().flatten().filter_map(Json::as_str).collect()
    }

    /// Adds a string to the array `table.key`, which is made where it is missing. `None` where no edit is safe.
    #[must_use]
    pub(super) fn with_string(&self, table: &str, key: &str, string: &str) -> Option<Toml> {
        let quoted = toml_string(string);
        let body = self.text.trim_start_matches(BOM);
        let document = Document::parse(body).ok()?;
        let Some(item) = document.get(table).and_then(|t| t.get(key)) else {
            return self.with_entry(table, key, &format!("[{quoted}]"), &Json::from(vec![string]));
        };
        let array = item.as_array()?;
        let span = array.span()?;
        let last = array.iter().last().map(Value::span);
        let last = match last {
            Some(span) => Some(span?),
            None => None,
        };
        let insertions = into_array(body, span, last, &quoted, self.line_end())?;
        let mut meaning = self.meaning.clone();
        meaning.get_mut(table)?.get_mut(key)?.as_array_mut()?.push(string.into());
        self.proven(insertions, meaning)
    }

    /// Adds `key = value` to the table `table` of the root, which is made where it is missing. The key must be new.
    #[must_use]
    pub(super) fn with_entry(&self, table: &str, key: &str, value: &str, means: &Json) -> Option<Toml> {
        let body = self.text.trim_start_matches(BOM);
        let document = Document::parse(body).ok()?;
        let eol = self.line_end();
        let insertion = match document.get(table) {
            Some(Item::Table(found)) if found.is_dotted() => {
                let end = line_end_after(body, last_entry(found)?);
                (end, format!("{eol}{table}.{key} = {value}"))
            }
            Some(Item::Table(found)) if !found.is_implicit() => {
                let end = line_end_after(body, last_entry(found).or_else(|| Some(found.span()?.end))?);
                (end, format!("{eol}{key} = {value}"))
            }
            Some(Item::Value(Value::InlineTable(found))) => {
                let close = found.span()?.end.checked_sub(1)?;
                match found.iter().filter_map(|(_, v)| v.span()).map(|s| s.end).max() {
                    Some(end) => (end, format!(", {key} = {value}")),
                    None => (close, format!(" {key} = {value} ")),
                }
            }
            // Missing, or there only as the parent of `[table.child]`.
            None | Some(Item::Table(_)) => {
                return self.with_end(&format!("[{table}]\n{key} = {value}\n"), |meaning| {
                    insert(meaning, table, key, means)
                });
            }
            Some(_) => return None,
        };
        let mut meaning = self.meaning.clone();
        insert(&mut meaning, table, key, means)?;
        self.proven(vec![insertion], meaning)
    }

    /// Adds whole tables (`addition`, with line feeds) behind an empty line at the end; `change` does to the meaning
    /// what that is to do.
    #[must_use]
    pub(super) fn with_end(
        &self,
        addition: &str,
        change: impl FnOnce(&mut Json) -> Option<()>,
    ) -> Option<Toml> {
        let body = self.text.trim_start_matches(BOM);
        let mut meaning = self.meaning.clone();
        change(&mut meaning)?;
        let before = match body {
            "" => "",
            _ if body.ends_with("\n\n") || body.ends_with("\n\r\n") => "",
            _ if body.ends_with('\n') => "\n",
            _ => "\n\n",
        };
        let addition = format!("{before}{addition}").replace('\n', self.line_end());
        self.proven(vec![(body.len(), addition)], meaning)
    }

    /// The line end that the whole text uses.
    fn line_end(&self) -> &'static str {
        let (all, with_return) = (self.text.matches('\n').count(), self.text.matches("\r\n").count());
        if all > 0 && all == with_return { "\r\n" } else { "\n" }
    }

    /// Makes the insertions, if the outcome means what it is to mean.
    fn proven(&self, mut insertions: Vec<(usize, String)>, meaning: Json) -> Option<Toml> {
        let bom = self.text.len() - self.text.trim_start_matches(BOM).len();
        let mut text = self.text.clone();
        // From the back, so that the places stay right; of two at one place the first comes first.
        order::sort_by(&mut insertions, |a, b| a.0.cmp(&b.0));
        for (at, insertion) in insertions.iter().rev() {
            if !text.is_char_boundary(bom + at) {
                return None;
            }
            text.insert_str(bom + at, insertion);
        }
        let new = Toml::parse(&text).ok()?;
        (new.meaning == meaning).then_some(new)
    }
}

fn insert(meaning: &mut Json, table: &str, key: &str, value: &Json) -> Option<()> {
    let table = meaning.as_object_mut()?.entry(table).or_insert_with(|| Json::Object(Map::new()));
    let old = table.as_object_mut()?.insert(key.into(), value.clone());
    old.is_none().then_some(())
}

/// Where the last entry of a table's own ends: what stands below `[table.child]` is not its own.
fn last_entry(table: &dyn TableLike) -> Option<usize> {
    let ends = table.iter().filter_map(|(_, item)| match item {
        Item::Value(value) => value.span().map(|span| span.end),
        Item::Table(inner) if inner.is_dotted() => last_entry(inner),
        _ => None,
    });
    ends.max()
}

/// The end of the line that `from` stands in, before its line end.
fn line_end_after(text: &str, from: usize) -> usize {
    let rest = &text[from..];
    let line = rest.split('\n').next().unwrap_or(rest);
    from + line.trim_end_matches('\r').len()
}

/// What has to be inserted where, so that the array in `span`, whose last value stands in `last`, has one more. The
/// new value gets a line of its own where the others have that, and a comma behind it where they have one.
fn into_array(
    text: &str,
    span: std::ops::Range<usize>,
    last: Option<std::ops::Range<usize>>,
    value: &str,
    eol: &str,
) -> Option<Vec<(usize, String)>> {
    let close = span.end.checked_sub(1)?;
    let line_of = |at: usize| text[..at].rfind('\n').map_or(0, |n| n + 1);
    let indent_of = |at: usize| {
        let line = &text[line_of(at)..at];
        &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
    };
    let Some(last) = last else {
        let lines = text[span.start..close].contains('\n');
        return Some(if lines {
            vec![(line_of(close), format!("{}    {value},{eol}", indent_of(span.start)))]
        } else {
            vec![(span.start + 1, value.into())]
        });
    };
    let gap = &text[last.end..close];
    let comma = comma_in(gap).map(|at| last.end + at);
    // The line that the last value, with its comma, ends in: beyond it may stand a comment.
    let end = line_end_after(text, comma.map_or(last.end, |at| at + 1));
    let own_line = end < close && text[span.start..last.start].contains('\n');
    Some(match (own_line, comma) {
        (true, Some(_)) => vec![(end, format!("{eol}{}{value},", indent_of(last.start)))],
        (true, None) => {
            vec![(last.end, ",".into()), (end, format!("{eol}{}{value}", indent_of(last.start)))]
        }
        (false, Some(at)) => vec![(at + 1, format!(" {value},"))],
        (false, None) => vec![(last.end, format!(", {value}"))],
    })
}

/// Where a comma stands between values and comments.
fn comma_in(gap: &str) -> Option<usize> {
    let mut comment = false;
    gap.char_indices().find_map(|(at, c)| {
        comment = (comment || c == '#') && c != '\n';
        (c == ',' && !comment).then_some(at)
    })
}

fn meaning_of_table(table: &dyn TableLike) -> Json {
    Json::Object(table.iter().map(|(key, item)| (key.to_owned(), meaning_of_item(item))).collect())
}

fn meaning_of_item(item: &Item) -> Json {
    match item {
        Item::None => Json::Null,
        Item::Value(value) => meaning_of_value(value),
        Item::Table(table) => meaning_of_table(table),
        Item::ArrayOfTables(tables) => tables.iter().map(|t| meaning_of_table(t)).collect(),
    }
}

fn meaning_of_value(value: &Value) -> Json {
    match value {
        Value::String(s) => Json::from(s.value().as_str()),
        Value::Integer(i) => Json::from(*i.value()),
        Value::Float(f) => Json::from(*f.value()),
        Value::Boolean(b) => Json::from(*b.value()),
        Value::Datetime(d) => Json::from(d.value().to_string()),
        Value::Array(array) => array.iter().map(meaning_of_value).collect(),
        Value::InlineTable(table) => meaning_of_table(table),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn member(before: &str) -> String {
        let toml = Toml::parse(before).unwrap();
        toml.with_string("workspace", "members", "xtask").expect("an edit").text().to_owned()
    }

    #[test]
    fn a_member_is_added_in_the_style_of_the_list() {
        for (before, after) in [
            ("[workspace]\nmembers = []\n", "[workspace]\nmembers = [\"xtask\"]\n"),
            ("[workspace]\nmembers = [\"a\"]\n", "[workspace]\nmembers = [\"a\", \"xtask\"]\n"),
            ("[workspace]\nmembers = [\"a\",]\n", "[workspace]\nmembers = [\"a\", \"xtask\",]\n"),
            ("[workspace]\nmembers = [ 'a' ]\n", "[workspace]\nmembers = [ 'a', \"xtask\" ]\n"),
            (
                "[workspace]\nmembers = [\n  \"a\",\n]\nx = 1\n",
                "[workspace]\nmembers = [\n  \"a\",\n  \"xtask\",\n]\nx = 1\n",
            ),
            (
                "[workspace]\nmembers = [\n  \"a\"\n]\n",
                "[workspace]\nmembers = [\n  \"a\",\n  \"xtask\"\n]\n",
            ),
            (
                "[workspace]\nmembers = [\n\t\"a\", # one, two\n\t# \"c\",\n]\n",
                "[workspace]\nmembers = [\n\t\"a\", # one, two\n\t\"xtask\",\n\t# \"c\",\n]\n",
            ),
            (
                "[workspace]\nmembers = [\n  \"a\" # one, two\n]\n",
                "[workspace]\nmembers = [\n  \"a\", # one, two\n  \"xtask\"\n]\n",
            ),
            (
                "[workspace]\nmembers = [\n  \"a\"\n  , # odd\n]\n",
                "[workspace]\nmembers = [\n  \"a\"\n  , # odd\n  \"xtask\",\n]\n",
            ),
            (
                "[workspace]\nmembers = [\n  # none yet\n]\n",
                "[workspace]\nmembers = [\n  # none yet\n    \"xtask\",\n]\n",
            ),
            (
                "[workspace]\nmembers = [\"a\",\n           \"b\"]\n",
                "[workspace]\nmembers = [\"a\",\n           \"b\", \"xtask\"]\n",
            ),
            ("[workspace]\nmembers = [\"a]#\"] # ]\n", "[workspace]\nmembers = [\"a]#\", \"xtask\"] # ]\n"),
            ("workspace = { members = [] }\n", "workspace = { members = [\"xtask\"] }\n"),
            ("workspace.members = [\"a\"]\n", "workspace.members = [\"a\", \"xtask\"]\n"),
        ] {
            assert_eq!(member(before), after, "{before}");
            assert_eq!(member(&before.replace('\n', "\r\n")), after.replace('\n', "\r\n"), "{before}");
            assert_eq!(member(&format!("\u{feff}{before}")), format!("\u{feff}{after}"), "{before}");
        }
    }

    #[test]
    fn a_list_that_is_missing_is_made_where_its_table_is() {
        for (before, after) in [
            ("", "[workspace]\nmembers = [\"xtask\"]\n"),
            ("[package]\nname = \"a\"\n", "[package]\nname = \"a\"\n\n[workspace]\nmembers = [\"xtask\"]\n"),
            ("[package]\nname = \"a\"", "[package]\nname = \"a\"\n\n[workspace]\nmembers = [\"xtask\"]\n"),
            ("[workspace]", "[workspace]\nmembers = [\"xtask\"]"),
            (
                "[workspace] # here\n\n[package]\nname = \"a\"\n",
                "[workspace] # here\nmembers = [\"xtask\"]\n\n[package]\nname = \"a\"\n",
            ),
            (
                "[workspace]\nresolver = \"2\" # two\n\n[workspace.lints]\nx = 1\n",
                "[workspace]\nresolver = \"2\" # two\nmembers = [\"xtask\"]\n\n[workspace.lints]\nx = 1\n",
            ),
            (
                "[workspace.lints]\nx = 1\n",
                "[workspace.lints]\nx = 1\n\n[workspace]\nmembers = [\"xtask\"]\n",
            ),
            (
                "workspace.resolver = \"2\"\n[package]\n",
                "workspace.resolver = \"2\"\nworkspace.members = [\"xtask\"]\n[package]\n",
            ),
            (
                "workspace = { resolver = \"2\" }\n",
                "workspace = { resolver = \"2\", members = [\"xtask\"] }\n",
            ),
            ("workspace = {}\n", "workspace = { members = [\"xtask\"] }\n"),
            (
                "[workspace]\npackage.edition = \"2021\"\n",
                "[workspace]\npackage.edition = \"2021\"\nmembers = [\"xtask\"]\n",
            ),
        ] {
            assert_eq!(member(before), after, "{before}");
        }
    }

    #[test]
    fn there_is_no_edit_where_the_shape_is_not_understood() {
        for before in ["[workspace]\nmembers = 1\n", "workspace = 1\n", "[[workspace]]\n"] {
            let toml = Toml::parse(before).unwrap();
            assert!(toml.with_string("workspace", "members", "xtask").is_none(), "{before}");
        }
        let toml = Toml::parse("[alias]\nxtask = \"x\"\n").unwrap();
        assert!(
            toml.with_entry("alias", "xtask", "\"y\"", &Json::from("y")).is_none(),
            "a key is given twice"
        );
        let twice = toml.with_end("[alias]\nb = 1\n", |m| insert(m, "alias", "b", &Json::from(1)));
        assert!(twice.is_none(), "a table is defined twice");
        let wrong = toml.with_end("[other]\nb = 1\n", |m| insert(m, "alias", "b", &Json::from(1)));
        assert!(wrong.is_none(), "the text means something else");
        assert!(Toml::parse("[a\n").is_err());
    }

    #[test]
    fn strings_are_quoted_as_toml_reads_them() {
        for text in ["plain", "a\"b\\c", "tab\t line\n bell\u{7} del\u{7f} é \u{2028}"] {
            let toml = Toml::parse(&format!("a = {}\n", toml_string(text))).unwrap();
            assert_eq!(toml.get(&["a"]), Some(&Json::from(text)));
        }
    }
}
