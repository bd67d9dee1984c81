//! What every run prints for programs stands in one envelope.

use serde::Serialize;

use crate::error::{Error, ErrorKind};

/// The version of the JSON output; rises when a field changes its meaning or goes. A field may be added without that.
///
/// 1: a report's fields beside `output`, `command` and `exit_code`.
/// 2: one envelope: a report's fields are in `report`, `output` is called `version`, and a command line that is wrong is
///    told in JSON too.
const VERSION: u32 = 2;

/// One run: a report, or an error.
#[derive(Serialize)]
pub(in crate::cli) struct Envelope<'a, R> {
    command: Option<&'a str>,
    version: u32,
    exit_code: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<&'a R>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorReport<'a>>,
}

/// Why a command could not be carried out.
#[derive(Serialize)]
pub(in crate::cli) struct ErrorReport<'a> {
    pub(in crate::cli) kind: ErrorKind,
    pub(in crate::cli) message: String,
    pub(in crate::cli) details: Vec<&'a str>,
    pub(in crate::cli) causes: Vec<String>,
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
