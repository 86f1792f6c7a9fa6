//! Times as people read them. Pure.

use host::ids::DataflowId;
use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// When a dataflow was started, which its id tells by the clock of the machine that started it.
pub fn started(dataflow: DataflowId) -> SystemTime {
    // The first 48 bits of a UUID of version 7 are milliseconds.
    let millis = dataflow.uuid().as_u128() >> 80;
    UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// A time as RFC 3339, in UTC with milliseconds.
pub fn rfc3339(time: SystemTime) -> String {
    let mut text = String::new();
    // Another machine may say anything, also a year of five digits, which this format does not have.
    match write!(text, "{}", humantime::format_rfc3339_millis(time)) {
        Ok(()) => text,
        Err(_) => "9999-12-31T23:59:59.999Z".to_owned(),
    }
}

/// A duration in its two largest units: `0.3 s`, `42 s`, `3 m 5 s`, `2 h 7 m`, `5 d 3 h`.
pub fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} m {} s", seconds % 60),
        3600..86_400 => format!("{hours} h {} m", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// How long ago a moment is; one that is still to come, because clocks differ, is now.
pub fn since(then: SystemTime, now: SystemTime) -> String {
    span(now.duration_since(then).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units_at_most() {
        for (millis, expected) in [
            (0, "0.0 s"),
            (320, "0.3 s"),
            (42_900, "42 s"),
            (185_000, "3 m 5 s"),
            (7_620_000, "2 h 7 m"),
            (442_800_000, "5 d 3 h"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), expected);
        }
    }

    #[test]
    fn an_id_tells_when_the_dataflow_was_started() {
        let before = SystemTime::now();
        let found = started(DataflowId::new());
        let apart = found
            .duration_since(before)
            .unwrap_or_else(|error| error.duration());
        assert!(apart < Duration::from_secs(5), "{apart:?}");
        let id: DataflowId = "019a0000-0000-7000-8000-000000000000".parse().unwrap();
        assert_eq!(rfc3339(started(id)), "2025-10-20T05:03:11.360Z");
        let odd: DataflowId = "ffffffff-ffff-7000-8000-000000000000".parse().unwrap();
        assert_eq!(rfc3339(started(odd)), "9999-12-31T23:59:59.999Z");
    }
}
