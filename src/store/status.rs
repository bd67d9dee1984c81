//! What is known of a restore point besides what it holds: whether it is pinned, what its last validation said, how
//! far its last drill came. A small text file beside the second copy of its manifest, so that the restore point
//! itself never changes; `FORMAT.md` gives its lines. Nothing depends on it but a pin: without the file a restore
//! point is as good as before, and counts as neither validated nor pinned.

use std::time::SystemTime;

use serde::{Serialize, Serializer};

use super::{Listed, Store, StoreLock};
use crate::clock::{parse_rfc3339, rfc3339_seconds};
use crate::digest::Digest;
use crate::error::{IoContext, Result};
use crate::level::DrillLevel;

/// Why a restore point is never pruned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Pin {
    /// When it was pinned; `None` where the file does not say it readably.
    #[serde(serialize_with = "crate::clock::serialize_second")]
    #[cfg_attr(test, schemars(with = "Option<crate::cli::schema::Second>"))]
    pub at: Option<SystemTime>,
    /// What the user said of it.
    pub message: Option<String>,
}

/// What the last validation said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Validated {
    /// When, to the second.
    #[serde(serialize_with = "crate::clock::serialize_second")]
    #[cfg_attr(test, schemars(with = "crate::cli::schema::Second"))]
    pub at: SystemTime,
    /// Whether all six passed.
    pub passed: bool,
}

/// How far the last drill came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Drilled {
    /// When, to the second.
    #[serde(serialize_with = "crate::clock::serialize_second")]
    #[cfg_attr(test, schemars(with = "crate::cli::schema::Second"))]
    pub at: SystemTime,
    /// The highest level that was reached; `None` where it failed at the first.
    pub level: Option<DrillLevel>,
    /// The level that failed, if one above did.
    pub failed: Option<DrillLevel>,
}

/// Whether the workspace compiled while it was what the restore point holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compiled {
    /// When that was tried, to the second.
    pub at: SystemTime,
    /// Whether it compiled.
    pub passed: bool,
}

/// What is known of a restore point besides what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PointStatus {
    /// Set where it is pinned.
    pub pinned: Option<Pin>,
    /// Its last validation.
    pub validated: Option<Validated>,
    /// Its last drill.
    pub drilled: Option<Drilled>,
    /// Whether the workspace itself compiled then; `None` where nobody tried.
    #[serde(rename = "workspace_compiled", serialize_with = "serialize_passed")]
    #[cfg_attr(test, schemars(with = "Option<bool>"))]
    pub compiled: Option<Compiled>,
    /// Lines that a later version wrote; they are kept.
    #[serde(skip)]
    other: Vec<String>,
}

const HEAD: &str = "backstop-status 1";
/// Before the digest of all lines above it. Files of earlier versions have none.
const SEAL: &str = "sha256 ";

fn serialize_passed<S: Serializer>(compiled: &Option<Compiled>, serializer: S) -> Result<S::Ok, S::Error> {
    compiled.map(|compiled| compiled.passed).serialize(serializer)
}

// `level.rs` is compiled for the build's guard as well, which has no dependency.
impl Serialize for DrillLevel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl Drilled {
    /// Whether it climbed as far as it was to.
    pub fn passed(&self) -> bool {
        self.level.is_some() && self.failed.is_none()
    }

    /// What came of it, in a few words.
    pub fn shown(&self) -> String {
        match (self.level, self.failed) {
            (_, Some(failed)) => format!("drill failed: {failed}"),
            (None, None) => "drill failed".into(),
            (Some(level), None) => format!("drill: {level}"),
        }
    }
}

impl PointStatus {
    /// Reads the file's text. A line that says nothing readable is kept as it is; one that begins with `pinned`
    /// pins, whatever follows: damage must not unpin. Where the seal is not that of the lines, no verdict is believed.
    fn parse(text: &str) -> Self {
        let (text, broken) = match text.rfind(&format!("\n{SEAL}")) {
            None => (text, false),
            Some(end) => {
                let (lines, seal) = text.split_at(end + 1);
                (lines, seal.trim_end() != format!("{SEAL}{}", Digest::of(lines.as_bytes())))
            }
        };
        let mut status = PointStatus::default();
        for line in text.lines().filter(|line| !line.is_empty() && *line != HEAD) {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            let (when, rest) = value.split_once(' ').unwrap_or((value, ""));
            let at = parse_rfc3339(when);
            match (key, at, rest) {
                ("pinned", at, message) => {
                    let message = Some(unescape(message)).filter(|m| !m.is_empty());
                    status.pinned = Some(Pin { at, message });
                }
                ("validated", Some(at), "passed" | "failed") => {
                    status.validated = Some(Validated { at, passed: rest == "passed" });
                }
                ("workspace-compiled", Some(at), "passed" | "failed") => {
                    status.compiled = Some(Compiled { at, passed: rest == "passed" });
                }
                ("drilled", Some(at), rest) => match drilled(at, rest) {
                    Some(drilled) => status.drilled = Some(drilled),
                    None => status.other.push(line.to_owned()),
                },
                _ => status.other.push(line.to_owned()),
            }
        }
        if broken { PointStatus { pinned: status.pinned, ..PointStatus::default() } } else { status }
    }

    fn to_text(&self) -> String {
        let mut lines = vec![HEAD.to_owned()];
        if let Some(pin) = &self.pinned {
            let at = pin.at.map_or_else(|| "-".into(), rfc3339_seconds);
            let message = pin.message.as_deref().map(escape).unwrap_or_default();
            lines.push(format!("pinned {at} {message}").trim_end().to_owned());
        }
        let verdict = |passed| if passed { "passed" } else { "failed" };
        if let Some(validated) = self.validated {
            let verdict = verdict(validated.passed);
            lines.push(format!("validated {} {verdict}", rfc3339_seconds(validated.at)));
        }
        if let Some(drilled) = self.drilled {
            let level = drilled.level.map_or("none", DrillLevel::name);
            let failed = drilled.failed.map_or(String::new(), |level| format!(" failed {}", level.name()));
            lines.push(format!("drilled {} {level}{failed}", rfc3339_seconds(drilled.at)));
        }
        if let Some(compiled) = self.compiled {
            let verdict = verdict(compiled.passed);
            lines.push(format!("workspace-compiled {} {verdict}", rfc3339_seconds(compiled.at)));
        }
        lines.extend(self.other.iter().cloned());
        let text = lines.join("\n") + "\n";
        format!("{text}{SEAL}{}\n", Digest::of(text.as_bytes()))
    }
}

/// `LEVEL`, or `LEVEL failed LEVEL`; the first may be `none`.
fn drilled(at: SystemTime, text: &str) -> Option<Drilled> {
    let (level, failed) = match text.split_once(" failed ") {
        Some((level, failed)) => (level, Some(failed.parse().ok()?)),
        None => (text, None),
    };
    let level = if level == "none" { None } else { Some(level.parse().ok()?) };
    Some(Drilled { at, level, failed })
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r")
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some('r')) => out.push('\r'),
            ('\\', Some(other)) => out.push(other),
            (c, _) => out.push(c),
        }
    }
    out
}

impl Store {
    /// What is known of a restore point besides what it holds. Where its file is missing or cannot be read, nothing
    /// is.
    pub fn status(&self, listed: &Listed) -> PointStatus {
        let bytes = crate::fsx::read_plain(self.layout.status(&listed.label, &listed.id)).unwrap_or_default();
        PointStatus::parse(&String::from_utf8_lossy(&bytes))
    }
}

impl StoreLock<'_> {
    /// Changes what is known of a restore point; old or new after a cut.
    ///
    /// # Errors
    /// Kind `Io`.
    pub fn update_status(&self, listed: &Listed, change: impl FnOnce(&mut PointStatus)) -> Result<()> {
        let store = self.store();
        let mut status = store.status(listed);
        let before = status.clone();
        change(&mut status);
        if status == before {
            return Ok(());
        }
        let path = store.layout.status(&listed.label, &listed.id);
        store.fs.replace_file(&path, status.to_text().as_bytes(), 0o600).during("write", &path)?;
        let dir = store.layout.metadata_dir();
        store.fs.sync(&dir).during("sync", &dir)?;
        self.update_guard()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SystemTime {
        parse_rfc3339(text).unwrap()
    }

    #[test]
    fn a_status_that_is_not_what_was_written_keeps_its_pin_and_no_verdict() {
        let validated = Some(Validated { at: at("2026-11-23T05:42:00Z"), passed: false });
        let pinned = Some(Pin { at: None, message: None });
        let text = PointStatus { pinned, validated, ..PointStatus::default() }.to_text();
        assert_eq!(PointStatus::parse(&text).validated, validated);
        let status = PointStatus::parse(&text.replace("failed", "passed"));
        assert!(status.pinned.is_some() && status.validated.is_none(), "{status:?}");
        let unsealed = &text[..text.rfind(SEAL).unwrap()];
        assert_eq!(PointStatus::parse(unsealed).validated, validated, "as earlier versions wrote it");
    }

    #[test]
    fn a_status_survives_with_odd_messages_and_lines_of_later_versions() {
        let status = PointStatus {
            pinned: Some(Pin { at: Some(at("2026-11-23T05:40:00Z")), message: Some("a\\n b\nc\r".into()) }),
            validated: Some(Validated { at: at("2026-11-23T05:41:00Z"), passed: false }),
            drilled: Some(Drilled {
                at: at("2026-11-23T05:42:00Z"),
                level: Some(DrillLevel::Resolves),
                failed: Some(DrillLevel::Compiles),
            }),
            compiled: Some(Compiled { at: at("2026-11-23T05:39:00Z"), passed: true }),
            other: vec!["signed 2030-01-01T00:00:00Z by nobody".into()],
        };
        assert_eq!(PointStatus::parse(&status.to_text()), status);
        assert_eq!(PointStatus::parse(&PointStatus::default().to_text()), PointStatus::default());
    }

    #[test]
    fn damage_does_not_unpin() {
        for text in ["pinned", "pinned 2026-", "x\npinned \u{fffd} why\n", "pinned 2026-11-23T05:40:00Z"] {
            assert!(PointStatus::parse(text).pinned.is_some(), "{text:?}");
        }
        assert_eq!(PointStatus::parse("validated yesterday passed").validated, None);
        assert_eq!(PointStatus::parse("drilled 2026-11-23T05:40:00Z deep").drilled, None);
    }
}
