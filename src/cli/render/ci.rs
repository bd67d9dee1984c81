//! Checks as CI systems read them: JUnit's XML and GitHub's annotations. Both are a few lines of a fixed form; what
//! comes from file names and messages is escaped.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::check::{Check, Verdict};
use crate::cli::global::Format;
use crate::path::show_path;

/// Checks of one kind: `checkpoints`, `validations`, …
pub(in crate::cli) type Group = (&'static str, Vec<Check>);

fn name(check: &Check) -> String {
    format!("{} {}", check.id, check.title).trim_end().to_owned()
}

/// What is wrong, in one line; something is said also where a check looked at nothing.
fn problem(check: &Check) -> String {
    match check.findings.as_slice() {
        [] => "nothing was checked".into(),
        [one] => format!("{}: {}", one.place, one.problem),
        [first, more @ ..] => format!("{}: {} (and {} more)", first.place, first.problem, more.len()),
    }
}

/// What a CI system reads: a JUnit report, or annotations and then what people read. `None` in the forms that every
/// command has.
pub(in crate::cli) fn for_ci(
    format: Format,
    suite: &str,
    groups: &[Group],
    checkout: &Checkout,
    human: &dyn Fn() -> String,
) -> Option<String> {
    match format {
        Format::Human | Format::Json => None,
        Format::Junit => Some(junit(suite, groups)),
        Format::Github => Some(github(groups, checkout) + &harmless(&human())),
    }
}

/// A JUnit report, <https://github.com/testmoapp/junitxml>.
fn junit(suite: &str, groups: &[Group]) -> String {
    let all = || groups.iter().flat_map(|(group, checks)| checks.iter().map(move |check| (group, check)));
    let failures = all().filter(|(_, check)| check.failed()).count();
    let seconds: f64 = all().map(|(_, check)| check.elapsed.as_secs_f64()).sum();
    let sums = format!("tests=\"{}\" failures=\"{failures}\" time=\"{seconds:.3}\"", all().count());
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(out, "<testsuites {sums}>");
    let _ = writeln!(out, "  <testsuite name=\"{}\" {sums}>", xml(suite));
    for (group, check) in all() {
        let _ = write!(
            out,
            "    <testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\"",
            xml(group),
            xml(&name(check)),
            check.elapsed.as_secs_f64()
        );
        match check.verdict() {
            Verdict::Passed => out.push_str("/>\n"),
            Verdict::NotTried => {
                let why = xml(check.not_tried.as_deref().unwrap_or_default());
                let _ = writeln!(out, ">\n      <skipped message=\"{why}\"/>\n    </testcase>");
            }
            Verdict::Failed => failure(&mut out, check),
        }
    }
    out.push_str("  </testsuite>\n</testsuites>\n");
    out
}

fn failure(out: &mut String, check: &Check) {
    let _ = writeln!(out, ">\n      <failure message=\"{}\">", xml(&problem(check)));
    for finding in &check.findings {
        let _ = writeln!(out, "{}", xml(&format!("{}: {}", finding.place, finding.problem)));
    }
    if let Some(remedy) = &check.remedy {
        let _ = writeln!(out, "{}", xml(&format!("help: {remedy}")));
    }
    out.push_str("      </failure>\n    </testcase>\n");
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

/// Where annotations count their files from: the repository's root, and the directory that findings count theirs from.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Checkout {
    pub(in crate::cli) repository: Option<PathBuf>,
    pub(in crate::cli) root: PathBuf,
}

impl Checkout {
    /// The properties that name a place, where a file stands there: `FILE`, or `FILE:LINE`.
    fn properties(&self, place: &str) -> String {
        let file = |name: &str| {
            let path = self.root.join(name);
            let within = self.repository.as_ref().and_then(|repository| path.strip_prefix(repository).ok());
            let shown = within.unwrap_or(Path::new(name));
            path.is_file().then(|| property(&show_path(shown)))
        };
        if let Some(file) = file(place) {
            return format!("file={file},");
        }
        let line = place.rsplit_once(':').filter(|(_, line)| line.parse::<u64>().is_ok());
        line.and_then(|(name, line)| Some(format!("file={},line={line},", file(name)?))).unwrap_or_default()
    }
}

/// GitHub's workflow commands: one annotation for each finding.
fn github(groups: &[Group], checkout: &Checkout) -> String {
    let mut out = String::new();
    for check in groups.iter().flat_map(|(_, checks)| checks).filter(|check| check.failed()) {
        let title = property(&name(check));
        if check.findings.is_empty() {
            let _ = writeln!(out, "::error title={title}::{}", message(&problem(check)));
        }
        for finding in check.findings.iter().take(ANNOTATIONS) {
            let place = checkout.properties(&finding.place);
            let text = format!("{}: {}", finding.place, finding.problem);
            let _ = writeln!(out, "::error {place}title={title}::{}", message(&text));
        }
    }
    out
}

/// A text for people on the way to GitHub: the name of a file must not become a workflow command. The runner takes
/// `::` at the start of a line, spaces before it or not, and `##[` anywhere.
fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let words = line.trim_start();
        let (indent, _) = line.split_at(line.len() - words.len());
        out.push_str(indent);
        if words.starts_with("::") {
            out.push_str("| ");
        }
        out.push_str(&words.replace("##[", "# #["));
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
    use std::time::Duration;

    use super::*;

    fn groups() -> [Group; 1] {
        let mut good = Check::counted(3, "files");
        (good.id, good.title) = ("CP001".into(), "Good".into());
        good.elapsed = Duration::from_millis(250);
        let mut bad = Check::counted(1, "units").with_remedy("fix it");
        (bad.id, bad.title) = ("CP004".into(), "A, B: 100%".into());
        bad.elapsed = Duration::from_secs(1);
        bad.find("src/a,b.rs:7", "expected `<T>` & \"x\"\n\u{1b}[31m");
        bad.find("cargo", "exit code 101");
        let not_tried = Some("there is no \"bash\" on PATH".into());
        let untried = Check { id: "rollback.sh".into(), not_tried, ..Check::default() };
        [("checkpoints", vec![good, bad, untried])]
    }

    #[test]
    fn a_junit_report_escapes_what_xml_cannot_hold() {
        let text = junit("backstop", &groups());
        assert!(
            text.contains("<testsuite name=\"backstop\" tests=\"3\" failures=\"1\" time=\"1.250\">"),
            "{text}"
        );
        assert!(text.contains("name=\"CP001 Good\" time=\"0.250\"/>"), "{text}");
        assert!(text.contains("expected `&lt;T&gt;` &amp; &quot;x&quot;&#10;\\u{1b}[31m"), "{text}");
        assert!(!text.contains('\u{1b}'));
        let skipped = "name=\"rollback.sh\" time=\"0.000\">\n      <skipped message=\"there is no &quot;bash&quot; on PATH\"/>";
        assert!(text.contains(skipped), "{text}");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a place for the test")]
    fn githubs_annotations_name_file_and_line_and_escape_what_ends_a_property() {
        let root = std::env::temp_dir().join(format!("backstop-ci-{}", std::process::id()));
        std::fs::create_dir_all(root.join("sub/src")).unwrap();
        for name in ["a,b.rs", "c%:7"] {
            std::fs::write(root.join("sub/src").join(name), "").unwrap();
        }
        let checkout = Checkout { repository: None, root: root.join("sub") };
        let within = Checkout { repository: Some(root.clone()), root: root.join("sub") };
        assert_eq!(within.properties("src/a,b.rs:7"), "file=sub/src/a%2Cb.rs,line=7,");
        assert_eq!(checkout.properties("src/c%:7"), "file=src/c%25%3A7,", "a name with a colon");
        assert_eq!(checkout.properties("false localhost:8080"), "", "no file is there");
        let text = github(&groups(), &checkout);
        std::fs::remove_dir_all(&root).unwrap();
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
        let silent = Check { id: "CP005".into(), ..Check::default() };
        assert!(github(&[("checkpoints", vec![silent])], &checkout).ends_with("::nothing was checked\n"));
    }

    #[test]
    fn no_name_becomes_a_workflow_command() {
        let text = "table\n       ::stop-commands::x: was added\n::add-mask::y\na::b ##[group]z";
        let safe = "table\n       | ::stop-commands::x: was added\n| ::add-mask::y\na::b # #[group]z";
        assert_eq!(harmless(text), safe);
    }
}
