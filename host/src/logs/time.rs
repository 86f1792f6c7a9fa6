//! Points in time as text: RFC 3339 in UTC, to the microsecond.
//!
//! Invariant: what [`write()`] writes, [`parse`] reads back. Knows no time zones but fixed offsets, and no clock.

use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY_SECONDS: i64 = 86_400;
/// First second of the year 0000 and last of 9999: what RFC 3339 can say.
const FIRST_SECOND: i64 = -62_167_219_200;
const LAST_SECOND: i64 = 253_402_300_799;

/// Digits after the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Digits {
    /// Three.
    Millis,
    /// Six.
    Micros,
}

/// Appends `time` such as `2026-08-01T12:00:00.123456Z`. Times outside the years 0 to 9999 become the nearest inside.
pub(super) fn write(out: &mut String, time: SystemTime, digits: Digits) {
    let (seconds, micros) = since_epoch(time);
    let (year, month, day) = civil(seconds.div_euclid(DAY_SECONDS));
    let of_day = seconds.rem_euclid(DAY_SECONDS);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    // Writing to a string does not fail.
    let _ = write!(
        out,
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}."
    );
    let _ = match digits {
        Digits::Millis => write!(out, "{:03}Z", micros / 1000),
        Digits::Micros => write!(out, "{micros:06}Z"),
    };
}

/// `time` as text, to the microsecond.
pub(super) fn text(time: SystemTime) -> String {
    let mut out = String::with_capacity(27);
    write(&mut out, time, Digits::Micros);
    out
}

/// Seconds since 1970, and microseconds within the second.
fn since_epoch(time: SystemTime) -> (i64, u32) {
    let (seconds, micros) = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => (
            i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
            after.subsec_micros(),
        ),
        Err(error) => {
            // Beyond the range of `i64` every value is held at the first second anyway.
            let before = i64::try_from(error.duration().as_micros()).unwrap_or(i64::MAX);
            let micros = before.saturating_neg();
            let rest = u32::try_from(micros.rem_euclid(1_000_000)).unwrap_or(0);
            (micros.div_euclid(1_000_000), rest)
        }
    };
    (seconds.clamp(FIRST_SECOND, LAST_SECOND), micros)
}

/// Year, month and day of a day counted from 1970-01-01, by Howard Hinnant's `civil_from_days`.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// Days from 1970-01-01 to a date, by Howard Hinnant's `days_from_civil`.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    era * 146_097 + of_era - 719_468
}

/// Reads RFC 3339; digits beyond the nanosecond are left out. `None` when it is something else.
pub(super) fn parse(text: &str) -> Option<SystemTime> {
    let (date, clock) = text.split_at_checked(10)?;
    let clock = clock.strip_prefix(['T', 't', ' '])?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let (clock, rest) = clock.split_at_checked(8)?;
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    let valid = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !valid {
        return None;
    }
    let (nanos, zone) = fraction(rest)?;
    let of_day = hour * 3600 + minute * 60 + second - offset_seconds(zone)?;
    let seconds = days(year, month, day) * DAY_SECONDS + of_day;
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let base = if seconds >= 0 {
        UNIX_EPOCH.checked_add(whole)?
    } else {
        UNIX_EPOCH.checked_sub(whole)?
    };
    base.checked_add(Duration::from_nanos(nanos))
}

fn numbers(text: &str, separator: char, lengths: [usize; 3]) -> Option<[i64; 3]> {
    let mut parts = text.split(separator);
    let mut found = [0; 3];
    for (slot, length) in found.iter_mut().zip(lengths) {
        let part = parts.next()?;
        if part.len() != length || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        *slot = part.parse().ok()?;
    }
    parts.next().is_none().then_some(found)
}

/// Nanoseconds of `.123456Z`, and what follows the digits.
fn fraction(text: &str) -> Option<(u64, &str)> {
    let Some(digits) = text.strip_prefix('.') else {
        return Some((0, text));
    };
    let end = digits.find(|c: char| !c.is_ascii_digit())?;
    let (digits, zone) = digits.split_at(end);
    if digits.is_empty() {
        return None;
    }
    let places = digits.len().min(9);
    let value: u64 = digits.get(..places)?.parse().ok()?;
    let scale = u32::try_from(9 - places).ok()?;
    Some((value * 10_u64.pow(scale), zone))
}

fn offset_seconds(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let (sign, rest) = if let Some(rest) = zone.strip_prefix('+') {
        (1, rest)
    } else {
        (-1, zone.strip_prefix('-')?)
    };
    let [hours, minutes, _] = numbers(&format!("{rest}:00"), ':', [2, 2, 2])?;
    Some(sign * (hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64, micros: u32) -> SystemTime {
        let whole = Duration::from_secs(seconds.unsigned_abs());
        let base = if seconds < 0 {
            UNIX_EPOCH - whole
        } else {
            UNIX_EPOCH + whole
        };
        base + Duration::from_micros(micros.into())
    }

    #[test]
    fn times_are_written_and_read_back() {
        let table = [
            (at(0, 0), "1970-01-01T00:00:00.000000Z"),
            (at(951_782_400, 1), "2000-02-29T00:00:00.000001Z"),
            (at(1_785_585_600, 123_456), "2026-08-01T12:00:00.123456Z"),
            (at(-1, 999_999), "1969-12-31T23:59:59.999999Z"),
            (at(-86_400, 0), "1969-12-31T00:00:00.000000Z"),
            (at(-2_203_891_200, 500_000), "1900-03-01T00:00:00.500000Z"),
            (at(LAST_SECOND, 0), "9999-12-31T23:59:59.000000Z"),
        ];
        for (time, expected) in table {
            assert_eq!(text(time), expected);
            assert_eq!(parse(expected), Some(time), "{expected}");
        }
        assert_eq!(
            text(at(LAST_SECOND + 99, 0)),
            "9999-12-31T23:59:59.000000Z",
            "later years are held at the last"
        );
        let mut short = String::new();
        write(&mut short, at(1_785_585_600, 123_456), Digits::Millis);
        assert_eq!(short, "2026-08-01T12:00:00.123Z");
    }

    #[test]
    fn other_writings_are_read() {
        let noon = at(1_785_585_600, 0);
        for text in [
            "2026-08-01T12:00:00Z",
            "2026-08-01 12:00:00Z",
            "2026-08-01T14:00:00.000000000+02:00",
            "2026-08-01T06:30:00.0-05:30",
        ] {
            assert_eq!(parse(text), Some(noon), "{text}");
        }
        for text in [
            "",
            "now",
            "2026-08-01",
            "2026-08-01T12:00:00",
            "2026-13-01T12:00:00Z",
            "2026-08-01T24:00:00Z",
            "2026-08-01T12:00:00.Z",
            "2026-08-01T12:00:00.5",
            "2026-08-0\u{e9}T12:00:00Z",
            "+026-08-01T12:00:00Z",
            "2026-08-01T12:00:00+2:00",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
