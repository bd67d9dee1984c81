//! Asking cargo whether a workspace resolves, compiles and passes its tests, and reading its answer: which errors
//! stand where, and how many units it really compiled. What it finds fresh proves nothing.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cargo_metadata::{Metadata, MetadataCommand};
use serde::Deserialize;

use crate::check::{Finding, Obstacle};
use crate::error::Result;
use crate::event::{Context, Event};
use crate::job::{Ended, Job};
use crate::order;
use crate::path::show_text;
use crate::quote::shell_word;
use crate::settings::BuildSetting;

/// How cargo is asked.
#[derive(Debug, Clone)]
pub(crate) struct Cargo<'a> {
    pub(crate) program: &'a OsStr,
    /// The workspace root.
    pub(crate) directory: &'a Path,
    /// A target directory in place of the workspace's own.
    pub(crate) target: Option<&'a Path>,
    /// `Cargo.lock` may not change.
    pub(crate) locked: bool,
    /// Nothing may be downloaded.
    pub(crate) offline: bool,
    pub(crate) time_limit: Option<Duration>,
    /// Variables that it gets beside those of this process.
    pub(crate) env: &'a [(OsString, OsString)],
}

/// What cargo answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    /// Whether it ended with exit code 0.
    pub(crate) ok: bool,
    /// The command, as a person would type it.
    pub(crate) command: String,
    /// Units that were compiled in this run.
    pub(crate) compiled: u64,
    /// Units that were fresh already.
    pub(crate) fresh: u64,
    /// Tests that passed, where tests were run.
    pub(crate) tests_passed: u64,
    /// What is wrong; at least one where it is not ok.
    pub(crate) findings: Vec<Finding>,
    /// What kept it from ending well, where that is known.
    pub(crate) obstacle: Option<Obstacle>,
    /// The manifests of the packages that were compiled or were fresh.
    pub(crate) manifests: order::Set<PathBuf>,
    /// Errors of the compiler that have no place, such as a full disk.
    placeless: Vec<Finding>,
    /// How many tests each run said it has that has given no result yet.
    running: Vec<u64>,
}

/// What a `cargo run` around this process sets for it and is none of the inner cargo's business.
const OF_THE_OUTER_RUN: [&str; 12] = [
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_PATH",
    "CARGO_PKG_NAME",
    "CARGO_PKG_VERSION",
    "CARGO_PKG_AUTHORS",
    "CARGO_PKG_DESCRIPTION",
    "CARGO_PKG_HOMEPAGE",
    "CARGO_PKG_REPOSITORY",
    "CARGO_PKG_LICENSE",
    "CARGO_BIN_NAME",
    "CARGO_CRATE_NAME",
    "OUT_DIR",
];
/// What a git hook, or a git that runs this as an alias, says of the repository around it; a copy has its own.
const OF_A_REPOSITORY: [&str; 8] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
];
/// More errors than anybody reads.
const FINDINGS: usize = 20;
/// How many lines of what cargo says are kept from its beginning, and how many from its end.
const LINES: usize = 4;
/// How many characters of one message are kept, half of them from its end.
const MESSAGE: usize = 1200;

impl Cargo<'_> {
    /// Whether `Cargo.lock` fits the manifests and everything in it is known offline.
    pub(crate) fn resolve(&self, context: &Context<'_>) -> Result<Answer> {
        self.run(&["update", "--workspace"], context)
    }

    /// Whether everything that `Cargo.lock` names for this machine is there.
    pub(crate) fn fetch(&self, host: Option<&str>, context: &Context<'_>) -> Result<Answer> {
        match host {
            Some(host) => self.run(&["fetch", "--target", host], context),
            None => self.run(&["fetch"], context),
        }
    }

    /// Whether cargo runs at all in the directory.
    pub(crate) fn starts(&self, context: &Context<'_>) -> Result<bool> {
        Ok(Cargo { locked: false, offline: false, ..self.clone() }.run(&["--version"], context)?.ok)
    }

    /// Compiles what the settings ask for, without linking.
    pub(crate) fn check(&self, build: &BuildSetting, context: &Context<'_>) -> Result<Answer> {
        self.run(&check_words(build), context)
    }

    /// Compiles and runs the tests; all of the workspace where the settings name none.
    pub(crate) fn test(&self, build: &BuildSetting, context: &Context<'_>) -> Result<Answer> {
        self.run(&test_words(build), context)
    }

    /// What [`Cargo::check`] runs, as a person would type it.
    pub(crate) fn check_command(&self, build: &BuildSetting) -> String {
        shown(&self.args(&check_words(build)))
    }

    /// What [`Cargo::test`] runs.
    pub(crate) fn test_command(&self, build: &BuildSetting) -> String {
        shown(&self.args(&test_words(build)))
    }

    /// `cargo metadata` of the directory: in full where that works, else of the members alone.
    ///
    /// # Errors
    /// As [`Job::run`]. What cargo says against it is in the answer.
    pub(crate) fn metadata(&self, context: &Context<'_>) -> Result<Result<Metadata, Answer>> {
        let words = ["metadata", "--format-version", "1", "--no-deps"];
        let mut json = Vec::new();
        let mut answer = self.run_with(&words[..3], context, &mut |_, part| json.extend_from_slice(part))?;
        if !answer.ok {
            json.clear();
            let alone = Cargo { locked: false, ..self.clone() };
            answer = alone.run_with(&words, context, &mut |_, part| json.extend_from_slice(part))?;
        }
        if !answer.ok {
            return Ok(Err(answer));
        }
        let text = String::from_utf8_lossy(&json);
        Ok(MetadataCommand::parse(&*text).map_err(|e| {
            answer.findings.push(Finding { place: "cargo metadata".into(), problem: e.to_string() });
            answer
        }))
    }

    fn args(&self, words: &[&str]) -> Vec<OsString> {
        let flags = [("--locked", self.locked), ("--offline", self.offline)];
        let flags = flags.iter().filter(|(_, given)| *given).map(|(flag, _)| flag);
        words.iter().chain(flags).map(OsString::from).collect()
    }

    fn run(&self, words: &[&str], context: &Context<'_>) -> Result<Answer> {
        self.run_with(words, context, &mut Answer::take)
    }

    /// Runs cargo; `take` gets its standard output.
    fn run_with(
        &self,
        words: &[&str],
        context: &Context<'_>,
        take: &mut dyn FnMut(&mut Answer, &[u8]),
    ) -> Result<Answer> {
        let args = self.args(words);
        let mut env: order::Map<OsString, OsString> = order::gather(self.env.iter().cloned());
        let mut without = OF_THE_OUTER_RUN.to_vec();
        if let Some(target) = self.target {
            // The build directory is set apart from the target directory by some.
            for name in ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "CARGO_BUILD_BUILD_DIR"] {
                env.insert(name.into(), target.into());
            }
            // In a copy there is no store, and nothing that a guard could ask for.
            env.insert("BACKSTOP_GUARD".into(), "off".into());
            without.extend(OF_A_REPOSITORY);
        }
        for (name, value) in [("COLOR", "never"), ("PROGRESS_WHEN", "always"), ("PROGRESS_WIDTH", "120")] {
            env.insert(format!("CARGO_TERM_{name}").into(), value.into());
        }
        let job = Job {
            program: self.program,
            args: &args,
            directory: self.directory,
            env: &env,
            without: &without,
            time_limit: self.time_limit,
            progress: units,
        };
        let mut answer = Answer::default();
        let ended = job.run(context.interrupt, context.observer, |line| take(&mut answer, line))?;
        answer.command = shown(&args);
        answer.end(&ended);
        Ok(answer)
    }
}

/// Cargo's own bar: `Building [====>   ] 123/264: serde, syn`.
fn units(line: &str) -> Option<Event> {
    let (_, rest) = line.trim().strip_prefix("Building [")?.split_once("] ")?;
    let (count, what) = rest.split_once(':').unwrap_or((rest, ""));
    let (done, total) = count.split_once('/')?;
    let what = show_text(what.trim());
    Some(Event::Units { done: done.parse().ok()?, total: total.trim().parse().ok()?, what })
}

const JSON: &str = "--message-format=json";

/// rustc's code for `#![feature]` on a compiler that is no nightly.
const NO_NIGHTLY: &str = "E0554";

/// What cargo, rustc and linkers say in words alone. No other place reads these.
const WORDS: [(&str, Obstacle); 3] = [
    ("No space left on device", Obstacle::FullDisk),
    ("--locked was passed", Obstacle::Lockfile),
    ("--offline", Obstacle::Offline),
];

fn check_words(build: &BuildSetting) -> Vec<&str> {
    ["check", JSON].into_iter().chain(build.check.iter().map(String::as_str)).collect()
}

fn test_words(build: &BuildSetting) -> Vec<&str> {
    let asked = build.test.as_deref();
    let all = asked.is_none().then_some("--workspace");
    let words = asked.unwrap_or_default().iter().map(String::as_str).chain(all);
    ["test", "--no-fail-fast", JSON].into_iter().chain(words).collect()
}

/// What a person types, whichever cargo it is.
fn shown(args: &[OsString]) -> String {
    let words = args.iter().filter(|arg| *arg != JSON).map(|arg| shell_word(arg));
    std::iter::once("cargo".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

#[derive(Deserialize)]
#[serde(tag = "reason")]
enum Message {
    #[serde(rename = "compiler-artifact")]
    Artifact {
        fresh: bool,
        #[serde(default)]
        manifest_path: PathBuf,
    },
    #[serde(rename = "compiler-message")]
    Diagnosed { message: Diagnostic },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Diagnostic {
    level: String,
    message: String,
    code: Option<Code>,
    #[serde(default)]
    spans: Vec<Span>,
    /// Notes: what a linker said, what a macro panicked with.
    #[serde(default)]
    children: Vec<Diagnostic>,
}

#[derive(Deserialize)]
struct Code {
    code: String,
}

#[derive(Deserialize)]
struct Span {
    file_name: String,
    line_start: u64,
    is_primary: bool,
}

impl Answer {
    fn take(&mut self, line: &[u8]) {
        if line.starts_with(b"{\"reason\"") {
            match serde_json::from_slice(line) {
                Ok(Message::Artifact { fresh, manifest_path }) => {
                    *if fresh { &mut self.fresh } else { &mut self.compiled } += 1;
                    self.manifests.insert(manifest_path);
                }
                Ok(Message::Diagnosed { message }) if message.level == "error" => self.error(&message),
                Ok(_) | Err(_) => {}
            }
        } else if let Ok(text) = std::str::from_utf8(line) {
            self.test_line(text);
        }
    }

    fn error(&mut self, diagnostic: &Diagnostic) {
        // The last of them only counts the others.
        if diagnostic.message.starts_with("aborting due to") {
            return;
        }
        if diagnostic.code.as_ref().is_some_and(|c| c.code == NO_NIGHTLY) {
            self.obstacle = Some(Obstacle::Nightly);
        }
        let span = diagnostic.spans.iter().find(|s| s.is_primary).or(diagnostic.spans.first());
        let (place, findings) = match span {
            Some(span) => (format!("{}:{}", span.file_name, span.line_start), &mut self.findings),
            None => ("rustc".to_owned(), &mut self.placeless),
        };
        let mut problem = both_ends(&diagnostic.message);
        // Without a place, what is wrong stands in its notes.
        let notes = diagnostic.children.iter().filter(|_| span.is_none());
        for note in notes.filter(|note| !note.message.trim().is_empty()) {
            problem = format!("{problem}; {}", both_ends(note.message.trim()));
        }
        let finding = Finding { place: show_text(&place), problem: show_text(&problem) };
        // A library and its tests are compiled apart, and say the same.
        if findings.len() < FINDINGS && !findings.contains(&finding) {
            findings.push(finding);
        }
    }

    /// What libtest prints. What the tests themselves print stands between: a result counts only where it fits what
    /// was said at the beginning.
    fn test_line(&mut self, text: &str) {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words.as_slice() {
            ["running", n, "test" | "tests"] => self.running.extend(n.parse::<u64>().ok()),
            [
                "test",
                "result:",
                _,
                passed,
                "passed;",
                failed,
                "failed;",
                ignored,
                "ignored;",
                measured,
                "measured;",
                ..,
            ] => {
                let counts = [passed, failed, ignored, measured].map(|n| n.parse::<u64>().unwrap_or(0));
                let all: u64 = counts.iter().sum();
                if let Some(at) = self.running.iter().rposition(|n| *n == all) {
                    self.tests_passed += counts[0];
                    self.running.truncate(at);
                }
            }
            ["test", name @ .., "...", "FAILED"] if self.findings.len() < FINDINGS => {
                let place = show_text(&name.join(" "));
                self.findings.push(Finding { place, problem: "the test fails".into() });
            }
            _ => {}
        }
    }

    fn end(&mut self, ended: &Ended) {
        self.ok = ended.ok;
        if ended.ok {
            self.findings.clear();
            self.obstacle = None;
            return;
        }
        if self.findings.is_empty() {
            self.findings = std::mem::take(&mut self.placeless);
        }
        if self.findings.is_empty() {
            let from = ended.stderr.iter().position(|l| l.starts_with("error"));
            let lines = ended.stderr[from.unwrap_or(0)..].iter().map(|l| show_text(&both_ends(l.trim())));
            let mut lines: Vec<String> = lines.filter(|l| !l.is_empty() && !is_of_a_backtrace(l)).collect();
            if lines.len() > 2 * LINES {
                lines.splice(LINES..lines.len() - LINES, ["…".to_owned()]);
            }
            let mut problem = String::new();
            for line in lines {
                let between = if problem.is_empty() || problem.ends_with(':') { "" } else { ";" };
                problem = format!("{problem}{between} {line}");
            }
            let said = problem.trim_start().trim_start_matches("error: ");
            let problem = if said.is_empty() { ended.how.clone() } else { said.to_owned() };
            self.findings.push(Finding { place: "cargo".into(), problem });
        }
        let is_said = |words: &str| self.findings.iter().any(|f| f.problem.contains(words));
        let said = WORDS.iter().find(|(words, _)| is_said(words));
        self.obstacle = said.map(|(_, obstacle)| *obstacle).or(self.obstacle);
    }
}

/// Whether a line is one of a backtrace's, which would hide what was said before it: `4: core::ops::call`, `at a.rs:7`.
fn is_of_a_backtrace(line: &str) -> bool {
    let numbered = line.split_once(": ").is_some_and(|(n, _)| n.bytes().all(|b| b.is_ascii_digit()));
    numbered
        || line.starts_with("at ")
        || line == "stack backtrace:"
        || line.contains("`RUST_BACKTRACE=full`")
}

/// A message that is short enough to be read: of a long one its beginning and its end, where the cause stands.
fn both_ends(text: &str) -> String {
    let length = text.chars().count();
    if length <= MESSAGE {
        return text.to_owned();
    }
    let (head, tail) = (text.chars().take(MESSAGE / 2), text.chars().skip(length - MESSAGE / 2));
    head.chain(" … ".chars()).chain(tail).collect()
}

#[cfg(test)]
mod tests;
