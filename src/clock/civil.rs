//! The proleptic Gregorian calendar in UTC, which is all that ids, log lines and retention need of one. The two
//! conversions are Howard Hinnant's (<https://howardhinnant.github.io/date_algorithms.html>): a year that begins in
//! March has its leap day at its end.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: i64 = 86_400;

/// A day of the calendar and a time of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: i64,
    /// 1 to 12.
    pub(crate) month: i64,
    /// 1 to 31.
    pub(crate) day: i64,
    /// Seconds since midnight.
    pub(crate) time: i64,
    pub(crate) nanos: u32,
}

impl Civil {
    /// The date and time of an instant.
    pub(crate) fn of(instant: SystemTime) -> Self {
        let (seconds, nanos) = seconds_of(instant);
        let (year, month, day) = date(seconds.div_euclid(DAY));
        Civil { year, month, day, time: seconds.rem_euclid(DAY), nanos }
    }

    /// The instant; the earliest that the system knows if it lies before that.
    pub(crate) fn instant(self) -> SystemTime {
        instant(days(self.year, self.month, self.day) * DAY + self.time, self.nanos)
    }

    /// The same day and time so many months before; the month's last day if it has no such day.
    pub(crate) fn months_before(self, months: u32) -> Self {
        let count = self.year * 12 + self.month - 1 - i64::from(months);
        let (year, month) = (count.div_euclid(12), count.rem_euclid(12) + 1);
        Civil { year, month, day: self.day.min(days_in(year, month)), ..self }
    }

    /// The year and the number of the ISO week: a week belongs to the year that its Thursday lies in.
    pub(crate) fn iso_week(self) -> (i64, i64) {
        let day = days(self.year, self.month, self.day);
        // 1970-01-01 was a Thursday.
        let thursday = day + 3 - (day + 3).rem_euclid(7);
        let (year, ..) = date(thursday);
        (year, (thursday - days(year, 1, 1)) / 7 + 1)
    }

    /// The year with four digits, and with a sign if that is not enough.
    pub(crate) fn show_year(self) -> String {
        match self.year {
            0..=9999 => format!("{:04}", self.year),
            _ => format!("{:+05}", self.year),
        }
    }

    pub(crate) fn hour(self) -> i64 {
        self.time / 3600
    }

    pub(crate) fn minute(self) -> i64 {
        self.time / 60 % 60
    }

    pub(crate) fn second(self) -> i64 {
        self.time % 60
    }

    /// The date and time that six numbers name. A second may be 60, as a leap second is written.
    pub(crate) fn checked([year, month, day, hour, minute, second]: [i64; 6], nanos: u32) -> Option<Self> {
        let right = (1..=12).contains(&month)
            && (1..=days_in(year, month)).contains(&day)
            && (0..24).contains(&hour)
            && (0..60).contains(&minute)
            && (0..=60).contains(&second);
        right.then_some(Civil { year, month, day, time: hour * 3600 + minute * 60 + second, nanos })
    }
}

/// Seconds since 1970, negative before, and the nanoseconds upwards from there.
pub(crate) fn seconds_of(instant: SystemTime) -> (i64, u32) {
    let whole = |d: Duration| i64::try_from(d.as_secs()).unwrap_or(i64::MAX);
    match instant.duration_since(UNIX_EPOCH) {
        Ok(since) => (whole(since), since.subsec_nanos()),
        Err(e) => match (whole(e.duration()), e.duration().subsec_nanos()) {
            (seconds, 0) => (-seconds, 0),
            (seconds, nanos) => (-seconds - 1, 1_000_000_000 - nanos),
        },
    }
}

fn instant(seconds: i64, nanos: u32) -> SystemTime {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let base = if seconds < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
    base.and_then(|t| t.checked_add(Duration::from_nanos(nanos.into()))).unwrap_or(UNIX_EPOCH)
}

/// Days since 1970-01-01.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day of a number of days since 1970-01-01.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year + i64::from(month <= 2), month, of_year - (153 * shifted + 2) / 5 + 1)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_day_of_eight_hundred_years_follows_the_day_before() {
        let (mut year, mut month, mut day) = (1600, 1, 1);
        let first = days(year, month, day);
        assert_eq!((first, days(1970, 1, 1)), (-135_140, 0));
        for number in first..first + 2 * 146_097 {
            assert_eq!((date(number), days(year, month, day)), ((year, month, day), number));
            day += 1;
            if day > days_in(year, month) {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
        assert_eq!((year, month, day), (2400, 1, 1));
    }

    #[test]
    fn weeks_run_from_monday_to_sunday_and_a_year_begins_with_its_first_thursday() {
        let week = |year, month, day| Civil { year, month, day, time: 0, nanos: 0 }.iso_week();
        for (date, iso) in [
            ((2026, 12, 27), (2026, 52)),
            ((2026, 12, 28), (2026, 53)),
            ((2027, 1, 3), (2026, 53)),
            ((2027, 1, 4), (2027, 1)),
            ((2024, 12, 30), (2025, 1)),
            ((2005, 1, 1), (2004, 53)),
            ((1969, 12, 31), (1970, 1)),
        ] {
            assert_eq!(week(date.0, date.1, date.2), iso, "{date:?}");
        }
    }

    #[test]
    fn months_before_a_leap_day_and_far_before_any_year() {
        let t = Civil { year: 2024, month: 2, day: 29, time: 5, nanos: 7 };
        assert_eq!(t.months_before(12), Civil { year: 2023, day: 28, ..t });
        assert_eq!(t.months_before(48), Civil { year: 2020, ..t });
        assert_eq!(t.months_before(2), Civil { year: 2023, month: 12, ..t });
        assert!(t.months_before(u32::MAX).instant() < UNIX_EPOCH);
    }

    #[test]
    fn instants_before_1970_count_upwards_from_the_second_before() {
        let t = UNIX_EPOCH - Duration::from_millis(1500);
        assert_eq!(seconds_of(t), (-2, 500_000_000));
        let civil = Civil::of(t);
        assert_eq!((civil.year, civil.hour(), civil.second(), civil.nanos), (1969, 23, 58, 500_000_000));
        assert_eq!(civil.instant(), t);
    }
}
