//! Asking cargo whether a workspace resolves, compiles and passes its tests, and reading its answer: which errors
//! stand where, and how many units it really compiled. What it finds fresh proves nothing.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use crate::check::{Finding, Obstacle};
use crate::error::Result;
use crate::event::Context;
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
/// More errors than anybody reads.
const FINDINGS: usize = 20;

impl Cargo<'_> {
    /// Whether `Cargo.lock` fits the manifests and everything in it is known offline.
    pub(crate) fn resolve(&self, context: &Context<'_>) -> Result<Answer> {
        self.run(["update", "--workspace"], context)
    }

    /// Whether everything that `Cargo.lock` names for this machine is there.
    pub(crate) fn fetch(&self, host: Option<&str>, context: &Context<'_>) -> Result<Answer> {
        let target = host.map(|host| ["--target", host]);
        self.run(["fetch"].into_iter().chain(target.into_iter().flatten()), context)
    }

    /// Compiles what the settings ask for, without linking.
    pub(crate) fn check(&self, build: &BuildSetting, context: &Context<'_>) -> Result<Answer> {
        self.run(check_words(build), context)
    }

    /// Compiles and runs the tests; all of the workspace where the settings name none.
    pub(crate) fn test(&self, build: &BuildSetting, context: &Context<'_>) -> Result<Answer> {
        self.run(test_words(build), context)
    }

    /// What [`Cargo::check`] runs, as a person would type it.
    pub(crate) fn check_command(&self, build: &BuildSetting) -> String {
        shown(&self.args(check_words(build)))
    }

    /// What [`Cargo::test`] runs.
    pub(crate) fn test_command(&self, build: &BuildSetting) -> String {
        shown(&self.args(test_words(build)))
    }

    fn args<'w>(&self, words: impl IntoIterator<Item = &'w str>) -> Vec<OsString> {
        let flags = [("--locked", self.locked), ("--offline", self.offline)];
        let flags = flags.iter().filter(|(_, given)| *given).map(|(flag, _)| *flag);
        words.into_iter().map(OsString::from).chain(flags.map(OsString::from)).collect()
    }

    fn run<'w>(&self, words: impl IntoIterator<Item = &'w str>, context: &Context<'_>) -> Result<Answer> {
        let args = self.args(words);
        let mut env: order::Map<OsString, OsString> = order::Map::new();
        if let Some(target) = self.target {
            // The build directory is set apart from the target directory by some.
            for name in ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "CARGO_BUILD_BUILD_DIR"] {
                env.insert(name.into(), target.into());
            }
            // In a copy there is no store, and nothing that a guard could ask for.
            env.insert("BACKSTOP_GUARD".into(), "off".into());
        }
        env.insert("CARGO_TERM_COLOR".into(), "never".into());
        let job = Job {
            program: self.program,
            args: &args,
            directory: self.directory,
            env: &env,
            without: &OF_THE_OUTER_RUN,
            time_limit: self.time_limit,
        };
        let mut answer = Answer::default();
        let ended = job.run(context.interrupt, context.observer, |line| answer.take(line))?;
        answer.command = shown(&args);
        answer.end(&ended);
        Ok(answer)
    }
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

fn check_words(build: &BuildSetting) -> impl Iterator<Item = &str> {
    ["check", JSON].into_iter().chain(build.check.iter().map(String::as_str))
}

fn test_words(build: &BuildSetting) -> impl Iterator<Item = &str> {
    let asked = build.test.as_deref();
    let all = asked.is_none().then_some("--workspace");
    let words = asked.unwrap_or_default().iter().map(String::as_str).chain(all);
    ["test", "--no-fail-fast", JSON].into_iter().chain(words)
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
    Artifact { fresh: bool },
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
                Ok(Message::Artifact { fresh }) => {
                    *if fresh { &mut self.fresh } else { &mut self.compiled } += 1
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
        let finding = Finding { place: show_text(&place), problem: show_text(&diagnostic.message) };
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
            let lines = ended.stderr[from.unwrap_or(0)..].iter().map(|l| show_text(l.trim()));
            let mut problem = String::new();
            for line in lines.filter(|l| !l.is_empty()).take(6) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(ok: bool, stderr: &[&str]) -> Ended {
        Ended { ok, how: "exit code 101".into(), stderr: stderr.iter().map(|l| (*l).to_owned()).collect() }
    }

    #[test]
    fn errors_are_found_with_their_places_and_fresh_units_are_told_from_compiled_ones() {
        let mut answer = Answer::default();
        for line in [
            r#"{"reason":"compiler-artifact","package_id":"x","fresh":true}"#,
            r#"{"reason":"compiler-artifact","package_id":"x","fresh":false}"#,
            r#"{"reason":"compiler-message","message":{"level":"warning","message":"unused","spans":[]}}"#,
            r#"{"reason":"compiler-message","message":{"level":"error","message":"mismatched types","spans":[
                {"file_name":"a.rs","line_start":1,"is_primary":false},
                {"file_name":"src/b.rs","line_start":7,"is_primary":true}]}}"#,
            r#"{"reason":"compiler-message","message":{"level":"error","message":"aborting due to 1 previous error","spans":[]}}"#,
            r#"{"reason":"build-finished","success":false}"#,
        ] {
            answer.take(line.replace('\n', "").as_bytes());
        }
        answer.end(&ended(false, &["error: could not compile"]));
        assert_eq!((answer.compiled, answer.fresh), (1, 1));
        let found = Finding { place: "src/b.rs:7".into(), problem: "mismatched types".into() };
        assert_eq!(answer.findings, [found]);
    }

    #[test]
    fn what_cargo_itself_says_is_found_where_no_compiler_spoke() {
        let mut answer = Answer::default();
        answer.end(&ended(false, &["    Updating x", "error: no matching package", "", "Caused by: y"]));
        assert_eq!(answer.findings[0].problem, "no matching package; Caused by: y");
        let mut silent = Answer::default();
        silent.end(&ended(false, &[]));
        assert_eq!(silent.findings[0].problem, "exit code 101");
    }

    #[test]
    fn an_error_without_a_place_is_found_where_there_is_no_other() {
        let full = r#"{"reason":"compiler-message","message":{"level":"error","message":"failed to write x: No space left on device (os error 28)","spans":[]}}"#;
        let mut answer = Answer::default();
        answer.take(full.as_bytes());
        answer.end(&ended(false, &["error: could not compile"]));
        assert_eq!(answer.findings[0].place, "rustc");
        assert!(answer.findings[0].problem.ends_with("(os error 28)"));
        assert_eq!(answer.obstacle, Some(Obstacle::FullDisk));
    }

    #[test]
    fn what_has_a_remedy_of_its_own_is_told_by_its_kind() {
        let nightly = r#"{"reason":"compiler-message","message":{"level":"error","message":"no","code":{"code":"E0554"},"spans":[]}}"#;
        let obstacle = |ok: bool, line: &str, stderr: &str| {
            let mut answer = Answer::default();
            answer.take(line.as_bytes());
            answer.end(&ended(ok, &[stderr]));
            answer.obstacle
        };
        assert_eq!(obstacle(false, nightly, ""), Some(Obstacle::Nightly));
        assert_eq!(obstacle(true, nightly, ""), None);
        let locked = "error: cannot update the lock file x because --locked was passed to prevent this";
        assert_eq!(obstacle(false, "", locked), Some(Obstacle::Lockfile));
        let offline = "error: if you want cargo to reach out, remove the --offline flag";
        assert_eq!(obstacle(false, "", offline), Some(Obstacle::Offline));
        assert_eq!(obstacle(false, "", "error: no matching package"), None);
    }

    #[test]
    fn tests_are_counted_and_those_that_fail_are_named() {
        let mut answer = Answer::default();
        for line in [
            "test a::b ... ok",
            "running 2 tests",
            // What a test prints, and an inner cargo of its own.
            "test result: ok. 5000 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out",
            "test a::c ... FAILED",
            "test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "running 4 tests",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 9 filtered out; finished in 0.00s",
        ] {
            answer.take(line.as_bytes());
        }
        answer.end(&ended(false, &[]));
        assert_eq!(answer.tests_passed, 4);
        assert_eq!(answer.findings[0].place, "a::c");
    }
}
