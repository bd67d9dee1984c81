//! Instants, as they are written: UTC, RFC 3339 with nanoseconds; and the seconds that ids are made of.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, NaiveDateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where the present comes from. Tests and scripts give their own.
pub trait Clock: Send + Sync {
    /// The present.
    fn now(&self) -> SystemTime;
}

/// The operating system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that the lint points to")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// RFC 3339 with nanoseconds: `2026-11-23T05:40:00.123456789Z`.
pub fn rfc3339(instant: SystemTime) -> String {
    DateTime::<Utc>::from(instant).to_rfc3339_opts(SecondsFormat::Nanos, true)
}

/// RFC 3339 with whole seconds, for log lines and people: `2026-11-23T05:40:00Z`.
pub fn rfc3339_seconds(instant: SystemTime) -> String {
    DateTime::<Utc>::from(instant).to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The instant that an RFC 3339 text names; `None` where it is none.
pub fn parse_rfc3339(text: &str) -> Option<SystemTime> {
    DateTime::parse_from_rfc3339(text).ok().map(SystemTime::from)
}

/// The UTC second as `YYYYMMDD_HHMMSS`.
pub(crate) fn stamp(instant: SystemTime) -> String {
    DateTime::<Utc>::from(instant).format("%Y%m%d_%H%M%S").to_string()
}

/// The instant that a `YYYYMMDD_HHMMSS` names; `None` where it is not one.
pub(crate) fn parse_stamp(text: &str) -> Option<SystemTime> {
    if text.len() != 15 {
        return None;
    }
    NaiveDateTime::parse_from_str(text, "%Y%m%d_%H%M%S").ok().map(|t| t.and_utc().into())
}

/// A file's modification time: seconds since 1970 and nanoseconds, `SECONDS.NNNNNNNNN` as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mtime {
    /// Seconds since 1970; negative before.
    pub seconds: i64,
    /// Nanoseconds, 0 to 999,999,999, counted upwards from `seconds`.
    pub nanos: u32,
}

impl Mtime {
    /// The same instant in another type.
    pub fn from_system(instant: SystemTime) -> Self {
        let t = DateTime::<Utc>::from(instant);
        Mtime { seconds: t.timestamp(), nanos: t.timestamp_subsec_nanos() }
    }
}

impl std::fmt::Display for Mtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:09}", self.seconds, self.nanos)
    }
}

impl std::str::FromStr for Mtime {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (seconds, nanos) = text.split_once('.').ok_or("no point in a modification time")?;
        if nanos.len() != 9 || !nanos.bytes().all(|b| b.is_ascii_digit()) {
            return Err("a modification time needs nine digits behind the point");
        }
        let seconds = seconds.parse().map_err(|_| "a modification time needs whole seconds")?;
        Ok(Mtime { seconds, nanos: nanos.parse().map_err(|_| "nanoseconds are no number")? })
    }
}

impl Serialize for Mtime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mtime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A length of time for people: `0.42 s`, `12 s`, `3 min 5 s`, `2 h`, `5 d`.
pub fn show_duration(duration: Duration) -> String {
    let s = duration.as_secs();
    match s {
        0..=9 => format!("{:.2} s", duration.as_secs_f64()),
        10..=119 => format!("{s} s"),
        120..=7199 => format!("{} min {} s", s / 60, s % 60),
        7200..=172_799 => format!("{} h {} min", s / 3600, s / 60 % 60),
        _ => format!("{} d", s / 86_400),
    }
}

/// How long ago something was, in one unit: `12 s ago`, `5 min ago`, `3 h ago`, `9 d ago`.
pub fn show_age(age: Duration) -> String {
    let s = age.as_secs();
    match s {
        0..=119 => format!("{s} s ago"),
        120..=7199 => format!("{} min ago", s / 60),
        7200..=172_799 => format!("{} h ago", s / 3600),
        _ => format!("{} d ago", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_round_and_refuse() {
        let t = parse_stamp("20261123_054000").unwrap();
        assert_eq!((stamp(t), rfc3339_seconds(t)), ("20261123_054000".into(), "2026-11-23T05:40:00Z".into()));
        for bad in
            ["2026112_0540000", "20261323_054000", "20261123-054000", "20261123_05400", "+0261123_054000"]
        {
            assert_eq!(parse_stamp(bad), None, "{bad}");
        }
    }

    #[test]
    fn times_before_1970_survive() {
        let t: Mtime = "-2.500000000".parse().unwrap();
        assert_eq!((t.seconds, t.nanos, t.to_string().as_str()), (-2, 500_000_000, "-2.500000000"));
        assert!("1.5".parse::<Mtime>().is_err() && "1.+00000000".parse::<Mtime>().is_err());
    }
}
