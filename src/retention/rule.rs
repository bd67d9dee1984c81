//! Which restore points a rule keeps: a pure value, given the instants alone. The meaning is restic's
//! (<https://restic.readthedocs.io/en/stable/060_forget.html>): a rule keeps the newest of each hour, day, ISO week, month
//! or year that has one, until it has kept so many; what lies within a duration of the newest is kept as well; a
//! restore point goes where no rule keeps it.

use std::time::{Duration, SystemTime};

use crate::clock::Civil;
use crate::error::{Error, ErrorKind, Result};
use crate::path::show_text;
use crate::settings::KeepSetting;

/// Which restore points stay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// The newest.
    pub last: u32,
    /// The newest of each of so many hours.
    pub hourly: u32,
    /// The newest of each of so many days.
    pub daily: u32,
    /// The newest of each of so many ISO weeks.
    pub weekly: u32,
    /// The newest of each of so many months.
    pub monthly: u32,
    /// The newest of each of so many years.
    pub yearly: u32,
    /// All that are not older than the newest by more than this.
    pub within: Option<Span>,
}

/// A length of calendar time: years, months, weeks, days, hours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    months: u32,
    days: u32,
    hours: u32,
}

impl Span {
    /// So many days.
    pub const fn days(days: u32) -> Self {
        Span { months: 0, days, hours: 0 }
    }

    /// The instant that lies this long before another.
    pub fn before(self, instant: SystemTime) -> SystemTime {
        let hours = u64::from(self.days) * 24 + u64::from(self.hours);
        let t = Civil::of(instant).months_before(self.months).instant();
        t.checked_sub(Duration::from_secs(hours * 3600)).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

impl std::str::FromStr for Span {
    type Err = Error;

    /// Reads `12h`, `28d`, `2w`, `6m`, `1y`, and several behind one another: `2y5m7d3h`.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::new(ErrorKind::Usage, format!("`{}` is no length of time", show_text(text)))
                .with_help("such as `12h`, `28d`, `2w`, `6m`, `1y`, or `2y5m7d3h`")
        };
        let mut span = Span::default();
        let mut digits = String::new();
        for c in text.chars() {
            if c.is_ascii_digit() {
                digits.push(c);
                continue;
            }
            let n: u32 = std::mem::take(&mut digits).parse().map_err(|_| wrong())?;
            let (slot, factor) = match c {
                'y' => (&mut span.months, 12),
                'm' => (&mut span.months, 1),
                'w' => (&mut span.days, 7),
                'd' => (&mut span.days, 1),
                'h' => (&mut span.hours, 1),
                _ => return Err(wrong()),
            };
            *slot = n.checked_mul(factor).and_then(|n| slot.checked_add(n)).ok_or_else(wrong)?;
        }
        if !digits.is_empty() || span == Span::default() {
            return Err(wrong());
        }
        Ok(span)
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (n, unit) in
            [(self.months / 12, 'y'), (self.months % 12, 'm'), (self.days, 'd'), (self.hours, 'h')]
        {
            if n > 0 {
                write!(f, "{n}{unit}")?;
            }
        }
        Ok(())
    }
}

/// Where nothing is said: all of the last two weeks of work, ten in any case, and then ever fewer for half a year. A
/// change that went wrong is found within days; what is older serves to see how things were.
pub const DEFAULT: Rule =
    Rule { last: 10, hourly: 0, daily: 14, weekly: 8, monthly: 6, yearly: 0, within: Some(Span::days(14)) };

impl Rule {
    /// The rule of the settings.
    ///
    /// # Errors
    /// Kind `Settings` where a length of time is none.
    pub fn from_setting(setting: &KeepSetting) -> Result<Self> {
        let within = setting.within.as_deref().map(str::parse).transpose().map_err(|e: Error| {
            Error::new(ErrorKind::Settings, format!("`within` in the settings: {e}"))
                .with_help(e.help().unwrap_or_default())
        })?;
        let n = |n: Option<u32>| n.unwrap_or(0);
        Ok(Rule {
            last: n(setting.last),
            hourly: n(setting.hourly),
            daily: n(setting.daily),
            weekly: n(setting.weekly),
            monthly: n(setting.monthly),
            yearly: n(setting.yearly),
            within,
        })
    }

    /// Whether it keeps nothing at all.
    pub fn is_empty(&self) -> bool {
        *self == Rule::default()
    }

    /// Why each is kept; nothing where it goes. `instants` is sorted, the newest last.
    pub fn reasons(&self, instants: &[SystemTime]) -> Vec<Vec<String>> {
        let mut reasons: Vec<Vec<String>> = vec![Vec::new(); instants.len()];
        for (number, index) in (0..instants.len()).rev().take(self.last as usize).enumerate() {
            reasons[index].push(format!("last {}", number + 1));
        }
        type Bucket = fn(Civil) -> String;
        let buckets: [(&str, u32, Bucket); 5] = [
            ("hourly", self.hourly, |t| format!("{} {:02}:00", day(t), t.hour())),
            ("daily", self.daily, day),
            ("weekly", self.weekly, |t| {
                let (year, week) = t.iso_week();
                format!("{year}-W{week:02}")
            }),
            ("monthly", self.monthly, month),
            ("yearly", self.yearly, Civil::show_year),
        ];
        for (name, wanted, bucket) in buckets {
            let (mut left, mut last) = (wanted, None);
            for index in (0..instants.len()).rev() {
                if left == 0 {
                    break;
                }
                let key = bucket(Civil::of(instants[index]));
                if last.as_ref() != Some(&key) {
                    reasons[index].push(format!("{name} {key}"));
                    last = Some(key);
                    left -= 1;
                }
            }
        }
        if let (Some(span), Some(newest)) = (self.within, instants.last()) {
            let from = span.before(*newest);
            for (index, instant) in instants.iter().enumerate() {
                if *instant >= from {
                    reasons[index].push(format!("within {span}"));
                }
            }
        }
        reasons
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let counts = [
            ("last", self.last),
            ("hourly", self.hourly),
            ("daily", self.daily),
            ("weekly", self.weekly),
            ("monthly", self.monthly),
            ("yearly", self.yearly),
        ];
        let mut parts: Vec<String> =
            counts.iter().filter(|(_, n)| *n > 0).map(|(name, n)| format!("{name} {n}")).collect();
        parts.extend(self.within.map(|span| format!("within {span}")));
        f.write_str(&parts.join(", "))
    }
}

fn month(t: Civil) -> String {
    format!("{}-{:02}", t.show_year(), t.month)
}

fn day(t: Civil) -> String {
    format!("{}-{:02}", month(t), t.day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::parse_rfc3339;

    fn at(text: &str) -> SystemTime {
        parse_rfc3339(&format!("{text}Z")).unwrap()
    }

    fn kept(rule: &Rule, instants: &[&str]) -> Vec<String> {
        let times: Vec<SystemTime> = instants.iter().map(|t| at(t)).collect();
        let reasons = rule.reasons(&times);
        let shown = instants.iter().zip(reasons).filter(|(_, r)| !r.is_empty());
        shown.map(|(t, r)| format!("{t}: {}", r.join(", "))).collect()
    }

    #[test]
    fn spans_are_read_and_written() {
        for (text, shown) in
            [("28d", "28d"), ("2w", "14d"), ("18m", "1y6m"), ("2y5m7d3h", "2y5m7d3h"), ("12h", "12h")]
        {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), shown);
        }
        for text in ["", "d", "5", "0d", "3x", "-1d", "1.5d", "99999999999d", "4294967295y"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
        // A month before the 31st ends where the month does.
        assert_eq!(
            "1m".parse::<Span>().unwrap().before(at("2026-03-31T10:00:00")),
            at("2026-02-28T10:00:00")
        );
        assert_eq!(
            "1m1d3h".parse::<Span>().unwrap().before(at("2026-03-31T10:00:00")),
            at("2026-02-27T07:00:00")
        );
        let ever = "4294967295m4294967295d4294967295h".parse::<Span>().unwrap();
        assert!(ever.before(at("2026-03-31T10:00:00")) < SystemTime::UNIX_EPOCH);
    }

    #[test]
    fn the_newest_of_each_bucket_stays_until_so_many_are_kept() {
        // The example of restic's documentation: one a week, a Sunday; the rule keeps the newest of each day that has
        // one, whatever lies between.
        let sundays = ["2014-09-07", "2014-09-14", "2014-09-21", "2014-09-28", "2014-10-05", "2014-10-12"];
        let sundays = sundays.map(|d| format!("{d}T10:00:00"));
        let sundays: Vec<&str> = sundays.iter().map(String::as_str).collect();
        let rule = Rule { daily: 4, ..Rule::default() };
        assert_eq!(kept(&rule, &sundays).len(), 4);
        assert_eq!(kept(&rule, &sundays)[0], "2014-09-21T10:00:00: daily 2014-09-21");
        let rule = Rule { monthly: 2, ..Rule::default() };
        assert_eq!(
            kept(&rule, &sundays),
            ["2014-09-28T10:00:00: monthly 2014-09", "2014-10-12T10:00:00: monthly 2014-10"]
        );
        // Several of a day: the newest counts, and the others go.
        let day =
            ["2026-11-23T08:00:00", "2026-11-23T09:59:00", "2026-11-23T09:58:00", "2026-11-24T00:00:00"];
        let rule = Rule { hourly: 3, ..Rule::default() };
        assert_eq!(kept(&rule, &[day[0], day[2], day[1], day[3]]).len(), 3);
    }

    #[test]
    fn weeks_are_iso_weeks_and_years_end_where_the_calendar_does() {
        let rule = Rule { weekly: 9, ..Rule::default() };
        // 2026-12-28 to 2027-01-03 is one week: 2026-W53.
        let days =
            ["2026-12-27T10:00:00", "2026-12-31T10:00:00", "2027-01-03T10:00:00", "2027-01-04T10:00:00"];
        let told = kept(&rule, &days);
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[1].ends_with("2027-01-03T10:00:00: weekly 2026-W53"), "{told:?}");
        let rule = Rule { yearly: 2, ..Rule::default() };
        assert_eq!(kept(&rule, &days).len(), 2);
    }

    #[test]
    fn within_counts_from_the_newest_and_rules_add_up() {
        let days =
            ["2026-01-01T10:00:00", "2026-11-01T10:00:00", "2026-11-22T10:00:00", "2026-11-23T10:00:00"];
        let rule = Rule { within: Some(Span::days(7)), yearly: 1, last: 1, ..Rule::default() };
        assert_eq!(
            kept(&rule, &days),
            ["2026-11-22T10:00:00: within 7d", "2026-11-23T10:00:00: last 1, yearly 2026, within 7d"]
        );
        assert!(Rule::default().is_empty() && !rule.is_empty());
        assert_eq!(rule.to_string(), "last 1, yearly 1, within 7d");
    }
}
