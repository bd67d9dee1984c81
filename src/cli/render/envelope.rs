//! What every run prints for programs stands in one envelope.

use serde::Serialize;

use crate::error::{Error, ErrorKind};

/// The version of the JSON output; rises when a field changes its meaning or goes. A field may be added without that.
///
/// 1: a report's fields beside `output`, `command` and `exit_code`.
/// 2: one envelope: a report's fields are in `report`, `output` is called `version`, and a command line that is wrong is
///    told in JSON too. A check has the same fields everywhere: validations and the rungs of a drill had their names in
///    `validation` and `level`, the roads of a preflight a form of their own. What stands at a path is `symlink` or `special`
///    in `diff` as well.
pub(in crate::cli) const VERSION: u32 = 2;

/// One run: a report, or an error.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct Envelope<'a, R> {
    /// The command; null if the command line names none.
    command: Option<&'a str>,
    /// The version of this form.
    version: u32,
    /// 0: done; 1: done, and a check found problems; 2: the command line or the settings are wrong; 3: could not be done,
    /// nothing was changed; 4: a rollback was interrupted; 5: another run holds the store.
    #[cfg_attr(test, schemars(range(max = 5)))]
    exit_code: u8,
    /// What the command did or found.
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<&'a R>,
    /// Why it could not be carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorReport<'a>>,
}

/// Why a command could not be carried out.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::cli) struct ErrorReport<'a> {
    /// What sort of failure it is.
    pub(in crate::cli) kind: ErrorKind,
    /// What failed, for people.
    pub(in crate::cli) message: String,
    /// One line for each place.
    pub(in crate::cli) details: Vec<&'a str>,
    /// What caused it, the nearest first.
    pub(in crate::cli) causes: Vec<String>,
    /// What to do next.
    pub(in crate::cli) help: Option<&'a str>,
}

impl<'a> From<&'a Error> for ErrorReport<'a> {
    fn from(error: &'a Error) -> Self {
        let first = std::error::Error::source(error);
        ErrorReport {
            kind: error.kind(),
            message: error.to_string(),
            details: error.details().iter().map(String::as_str).collect(),
            causes: std::iter::successors(first, |e| e.source()).map(ToString::to_string).collect(),
            help: error.help(),
        }
    }
}

/// A report as JSON.
pub(in crate::cli) fn json<R: Serialize>(command: &str, exit_code: u8, report: &R) -> String {
    text(&Envelope { command: Some(command), version: VERSION, exit_code, report: Some(report), error: None })
}

/// An error as JSON.
pub(in crate::cli) fn error_json(command: Option<&str>, exit_code: u8, error: ErrorReport<'_>) -> String {
    text(&Envelope { command, version: VERSION, exit_code, report: None::<&()>, error: Some(error) })
}

fn text<R: Serialize>(envelope: &Envelope<'_, R>) -> String {
    // Writing to memory cannot fail, and no map of a report has keys that are not strings.
    plain(&serde_json::to_string_pretty(envelope).unwrap_or_default())
}

/// JSON leaves DEL, C1 and what reorders text as they are; a terminal may take them for orders.
fn plain(json: &str) -> String {
    let mut out = String::with_capacity(json.len() + 1);
    for c in json.chars().chain(['\n']) {
        if c == '\u{7f}' || crate::text::is_deceptive(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_character_of_a_report_orders_a_terminal_about_and_programs_read_it_all_the_same() {
        let deceptive = "\u{1b}[31m\u{7f}\u{9b}\u{202e}\u{200b}\u{e0041}漢";
        let text = super::json("list", 1, &deceptive);
        let harmful = |c: char| (c.is_control() && c != '\n') || crate::text::is_deceptive(c);
        assert!(!text.contains(harmful) && text.contains('漢'), "{text}");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["report"], deceptive);
        assert_eq!((&value["command"], &value["exit_code"]), (&"list".into(), &1.into()));
        assert!(value.get("error").is_none(), "{text}");
    }
}
