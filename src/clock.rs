//! Instants, as they are written: UTC, RFC 3339 with nanoseconds; and the seconds that ids are made of.

mod civil;

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) use civil::Civil;

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
    let t = Civil::of(instant);
    format!("{}.{:09}Z", seconds(t), t.nanos)
}

/// RFC 3339 with whole seconds, for log lines and people: `2026-11-23T05:40:00Z`.
pub fn rfc3339_seconds(instant: SystemTime) -> String {
    format!("{}Z", seconds(Civil::of(instant)))
}

/// [`rfc3339_seconds`], for programs.
pub(crate) fn serialize_second<S: Serializer>(
    instant: &(impl Into<Option<SystemTime>> + Copy),
    serializer: S,
) -> Result<S::Ok, S::Error> {
    (*instant).into().map(rfc3339_seconds).serialize(serializer)
}

fn seconds(t: Civil) -> String {
    let (hour, minute, second) = (t.hour(), t.minute(), t.second());
    format!("{}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}", t.show_year(), t.month, t.day)
}

/// The instant that an RFC 3339 text names; `None` where it is none.
pub fn parse_rfc3339(text: &str) -> Option<SystemTime> {
    let (date, rest) = text.split_at_checked(19)?;
    let shape = |i: usize, b: u8| match i {
        4 | 7 => b == b'-',
        10 => matches!(b, b'T' | b't' | b' '),
        13 | 16 => b == b':',
        _ => b.is_ascii_digit(),
    };
    if !date.bytes().enumerate().all(|(i, b)| shape(i, b)) {
        return None;
    }
    let (mut rest, mut nanos) = (rest, 0);
    if let Some(fraction) = rest.strip_prefix('.') {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        let (fraction, after) = fraction.split_at(digits);
        nanos = format!("{fraction:0<9}").get(..9).filter(|_| digits > 0)?.parse().ok()?;
        rest = after;
    }
    let offset = match rest.as_bytes() {
        b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2]
            if [h1, h2, m1, m2].iter().all(|b| b.is_ascii_digit()) =>
        {
            let (hours, minutes) = (number(&rest[1..3])?, number(&rest[4..])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            (hours * 3600 + minutes * 60) * if *sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    let fields = [&date[..4], &date[5..7], &date[8..10], &date[11..13], &date[14..16], &date[17..]];
    let t = parse_fields(fields, nanos)?;
    Some(Civil { time: t.time - offset, ..t }.instant())
}

/// The UTC second as `YYYYMMDD_HHMMSS`.
pub(crate) fn stamp(instant: SystemTime) -> String {
    seconds(Civil::of(instant)).replace(['-', ':'], "").replace('T', "_")
}

/// The instant that a `YYYYMMDD_HHMMSS` names; `None` where it is not one.
pub(crate) fn parse_stamp(text: &str) -> Option<SystemTime> {
    let shape = |i: usize, b: u8| if i == 8 { b == b'_' } else { b.is_ascii_digit() };
    if text.len() != 15 || !text.bytes().enumerate().all(|(i, b)| shape(i, b)) {
        return None;
    }
    let fields = [&text[..4], &text[4..6], &text[6..8], &text[9..11], &text[11..13], &text[13..]];
    parse_fields(fields, 0).map(Civil::instant)
}

fn parse_fields(fields: [&str; 6], nanos: u32) -> Option<Civil> {
    let mut numbers = [0; 6];
    for (slot, field) in numbers.iter_mut().zip(fields) {
        *slot = number(field)?;
    }
    Civil::checked(numbers, nanos)
}

fn number(digits: &str) -> Option<i64> {
    digits.parse().ok()
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
        let (seconds, nanos) = civil::seconds_of(instant);
        Mtime { seconds, nanos }
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
    fn rfc_3339_is_read_with_offsets_and_any_fraction() {
        let t = parse_rfc3339("2026-11-23T05:40:00.123456789Z").unwrap();
        assert_eq!(rfc3339(t), "2026-11-23T05:40:00.123456789Z");
        for same in [
            "2026-11-23t05:40:00.1234567891z",
            "2026-11-23 07:10:00.123456789+01:30",
            "2026-11-22T23:40:00.123456789-06:00",
        ] {
            assert_eq!(parse_rfc3339(same), Some(t), "{same}");
        }
        let short = parse_rfc3339("1969-12-31T23:59:60.5Z").unwrap();
        assert_eq!(rfc3339(short), "1970-01-01T00:00:00.500000000Z");
        for bad in [
            "",
            "2026-11-23",
            "2026-11-23T05:40:00",
            "2026-11-23T05:40:00.Z",
            "2026-11-23T05:40:61Z",
            "2026-11-23T24:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-11-23T05:40:00+24:00",
            "2026-11-23T05:40:00+0100",
            "2026-11-23T05:40:00Z ",
            "+026-11-23T05:40:00Z",
            "2026-11-23T05:40:0é",
        ] {
            assert_eq!(parse_rfc3339(bad), None, "{bad}");
        }
    }

    #[test]
    fn years_of_five_digits_and_before_the_first_have_a_sign() {
        let t = |year| Civil { year, month: 3, day: 4, time: 0, nanos: 0 }.instant();
        assert_eq!(rfc3339_seconds(t(12_345)), "+12345-03-04T00:00:00Z");
        assert_eq!(rfc3339_seconds(t(-7)), "-0007-03-04T00:00:00Z");
        assert_eq!(rfc3339_seconds(t(7)), "0007-03-04T00:00:00Z");
    }

    #[test]
    fn times_before_1970_survive() {
        let t: Mtime = "-2.500000000".parse().unwrap();
        assert_eq!((t.seconds, t.nanos, t.to_string().as_str()), (-2, 500_000_000, "-2.500000000"));
        assert!("1.5".parse::<Mtime>().is_err() && "1.+00000000".parse::<Mtime>().is_err());
    }
}
