//! Checks as CI systems read them: JUnit's XML and GitHub's annotations. Both are a few lines of a fixed form; what
//! comes from file names and messages is escaped.

use std::fmt::Write;

use crate::validate::Finding;

/// One check.
pub(in crate::cli) struct Case {
    /// What it belongs to: `checkpoints`, `validations`, …
    pub(in crate::cli) group: &'static str,
    pub(in crate::cli) name: String,
    pub(in crate::cli) passed: bool,
    pub(in crate::cli) seconds: f64,
    pub(in crate::cli) findings: Vec<Finding>,
    pub(in crate::cli) remedy: Option<String>,
}

impl Case {
    /// What is wrong, in one line; something is said also where a check looked at nothing.
    fn problem(&self) -> String {
        match self.findings.as_slice() {
            [] => "nothing was checked".into(),
            [one] => format!("{}: {}", one.place, one.problem),
            [first, more @ ..] => format!("{}: {} (and {} more)", first.place, first.problem, more.len()),
        }
    }
}

/// A JUnit report, <https://github.com/testmoapp/junitxml>.
pub(in crate::cli) fn junit(suite: &str, cases: &[Case]) -> String {
    let failures = cases.iter().filter(|case| !case.passed).count();
    let seconds: f64 = cases.iter().map(|case| case.seconds).sum();
    let sums = format!("tests=\"{}\" failures=\"{failures}\" time=\"{seconds:.3}\"", cases.len());
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(out, "<testsuites {sums}>");
    let _ = writeln!(out, "  <testsuite name=\"{}\" {sums}>", xml(suite));
    for case in cases {
        let _ = write!(
            out,
            "    <testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\"",
            xml(case.group),
            xml(&case.name),
            case.seconds
        );
        if case.passed {
            out.push_str("/>\n");
            continue;
        }
        let _ = writeln!(out, ">\n      <failure message=\"{}\">", xml(&case.problem()));
        for finding in &case.findings {
            let _ = writeln!(out, "{}", xml(&format!("{}: {}", finding.place, finding.problem)));
        }
        if let Some(remedy) = &case.remedy {
            let _ = writeln!(out, "{}", xml(&format!("help: {remedy}")));
        }
        out.push_str("      </failure>\n    </testcase>\n");
    }
    out.push_str("  </testsuite>\n</testsuites>\n");
    out
}

/// XML 1.0 forbids most control characters even when they are escaped.
fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// How many annotations of one check are printed: GitHub shows ten of a step.
const ANNOTATIONS: usize = 10;

/// GitHub's workflow commands: one annotation for each finding.
pub(in crate::cli) fn github(cases: &[Case]) -> String {
    let mut out = String::new();
    for case in cases.iter().filter(|case| !case.passed) {
        let title = property(&case.name);
        if case.findings.is_empty() {
            let _ = writeln!(out, "::error title={title}::{}", message(&case.problem()));
        }
        for finding in case.findings.iter().take(ANNOTATIONS) {
            let place = match finding.place.rsplit_once(':') {
                Some((file, line)) if line.parse::<u64>().is_ok() => {
                    format!("file={},line={line},", property(file))
                }
                _ => String::new(),
            };
            let text = format!("{}: {}", finding.place, finding.problem);
            let _ = writeln!(out, "::error {place}title={title}::{}", message(&text));
        }
    }
    out
}

fn message(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cases() -> Vec<Case> {
        let finding = |place: &str, problem: &str| Finding { place: place.into(), problem: problem.into() };
        vec![
            Case {
                group: "checkpoints",
                name: "CP001 Good".into(),
                passed: true,
                seconds: 0.25,
                findings: vec![],
                remedy: None,
            },
            Case {
                group: "checkpoints",
                name: "CP004 A, B: 100%".into(),
                passed: false,
                seconds: 1.0,
                findings: vec![
                    finding("src/a,b.rs:7", "expected `<T>` & \"x\"\n\u{1b}[31m"),
                    finding("cargo", "exit code 101"),
                ],
                remedy: Some("mend it".into()),
            },
        ]
    }

    #[test]
    fn a_junit_report_escapes_what_xml_cannot_hold() {
        let text = junit("backstop", &cases());
        assert!(
            text.contains("<testsuite name=\"backstop\" tests=\"2\" failures=\"1\" time=\"1.250\">"),
            "{text}"
        );
        assert!(text.contains("name=\"CP001 Good\" time=\"0.250\"/>"), "{text}");
        assert!(text.contains("expected `&lt;T&gt;` &amp; &quot;x&quot;&#10;\\u{1b}[31m"), "{text}");
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn githubs_annotations_name_file_and_line_and_escape_what_ends_a_property() {
        let text = github(&cases());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(
            lines[0].starts_with(
                "::error file=src/a%2Cb.rs,line=7,title=CP004 A%2C B%3A 100%25::src/a,b.rs:7: expected"
            ),
            "{text}"
        );
        assert!(lines[0].contains("%0A"));
        assert!(lines[1].starts_with("::error title=CP004"));
        let silent = Case { findings: vec![], ..cases().remove(1) };
        assert!(github(&[silent]).ends_with("::nothing was checked\n"));
    }
}
