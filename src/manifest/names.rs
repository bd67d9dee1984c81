//! Ids, labels and modes: small values with one spelling each.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::clock::{parse_stamp, stamp};

/// The label of the restore points that a rollback makes of the present before it changes anything.
pub const PRE_ROLLBACK: &str = "pre_rollback";

/// A restore point's id: the UTC second of its making, `YYYYMMDD_HHMMSS`. Ids only ever rise within a store.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(String);

/// The text is not a UTC second of the form `YYYYMMDD_HHMMSS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id of the form YYYYMMDD_HHMMSS")]
pub struct InvalidId;

impl Id {
    /// The id of the second that holds `instant`.
    pub fn at(instant: SystemTime) -> Self {
        Id(stamp(instant))
    }

    /// The text, `YYYYMMDD_HHMMSS`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The start of the second that the id names.
    pub fn instant(&self) -> SystemTime {
        parse_stamp(&self.0).unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// The id one second later.
    #[must_use]
    pub fn next(&self) -> Self {
        Id::at(self.instant() + Duration::from_secs(1))
    }
}

impl FromStr for Id {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let instant = parse_stamp(text).ok_or(InvalidId)?;
        // A leap second or a lenient digit must not give a second spelling of the same id.
        if stamp(instant) == text { Ok(Id(text.into())) } else { Err(InvalidId) }
    }
}

/// A restore point's label: `[A-Za-z0-9._-]{1,64}`; any other byte becomes `-`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(String);

impl Label {
    /// A label made of any text: other characters become `-`, the rest is cut at 64. A label never starts with a
    /// dot or a dash, so that no file made of it is hidden or taken for a flag.
    pub fn from_text(text: &str) -> Self {
        let mut label: String = text
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' })
            .take(64)
            .collect();
        if label.is_empty() {
            label.push('-');
        }
        if label.starts_with(['.', '-']) {
            label.replace_range(..1, "_");
        }
        Label(label)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! text_type {
    ($name:ident, $parse:expr) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                $parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

text_type!(Id, str::parse::<Id>);
text_type!(Label, |text: &str| {
    let label = Label::from_text(text);
    if label.0 == text { Ok(label) } else { Err("not a label") }
});

/// Permission bits as the file system has them, `0o7777` at most; four octal digits as text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mode(u32);

impl Mode {
    /// The permission bits of a file's `st_mode`.
    pub fn new(st_mode: u32) -> Self {
        Mode(st_mode & 0o7777)
    }

    /// The bits.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Whether anybody may execute it.
    pub fn is_executable(self) -> bool {
        self.0 & 0o111 != 0
    }

    /// The mode of the copy in a restore point: read-only for its owner, executable where the original is.
    #[must_use]
    pub fn stored(self) -> Mode {
        Mode(if self.is_executable() { 0o500 } else { 0o400 })
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl fmt::Debug for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Mode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match u32::from_str_radix(text, 8) {
            Ok(bits) if text.len() == 4 && bits <= 0o7777 && !text.starts_with('+') => Ok(Mode(bits)),
            _ => Err("not a mode of four octal digits"),
        }
    }
}

impl Serialize for Mode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_parse_strictly_and_count_on() {
        let id: Id = "20261231_235959".parse().unwrap();
        assert_eq!(id.next().as_str(), "20270101_000000");
        for bad in ["20261231_235960", "20261232_000000", "2026-12-31", "", "20261231_235959 "] {
            assert_eq!(bad.parse::<Id>(), Err(InvalidId), "{bad}");
        }
    }

    #[test]
    fn labels_are_made_safe() {
        let label = |t: &str| Label::from_text(t).as_str().to_owned();
        assert_eq!(label("my work/space é"), "my-work-space--");
        assert_eq!((label(""), label("..x"), label("-rf")), ("_".into(), "_.x".into(), "_rf".into()));
        assert_eq!(label(&"x".repeat(80)).len(), 64);
        assert!(serde_json::from_str::<Label>("\"a/b\"").is_err());
    }
}
