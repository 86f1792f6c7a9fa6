//! The text of an input's source -> [`Source`]. Whether the node and its output exist is checked
//! later, when all nodes are known.

use std::time::Duration;

use super::{
    problem::{listed, quoted},
    suggest::maybe_meant,
    types::{LogLevel, Source},
};

const TIMER_FORM: &str =
    "a timer is `dora/timer/UNIT/N` with UNIT one of secs, millis, micros, nanos, hz";
const UNITS: [&str; 5] = ["secs", "millis", "micros", "nanos", "hz"];

/// Reads `node/output`, `dora/timer/...` or `dora/logs...`. The error is a whole message.
pub(super) fn parse_source(text: &str) -> Result<Source, String> {
    let Some((first, rest)) = text.split_once('/') else {
        let shown = quoted(text);
        return Err(format!(
            "the source {shown} names no output; write `NODE/OUTPUT`, `dora/timer/millis/100` or `dora/logs`"
        ));
    };
    if first != "dora" {
        let node = first.parse().map_err(|error| format!("{error}"))?;
        let output = rest.parse().map_err(|error| format!("{error}"))?;
        return Ok(Source::Output { node, output });
    }
    let (what, rest) = match rest.split_once('/') {
        Some((what, rest)) => (what, Some(rest)),
        None => (rest, None),
    };
    match what {
        "timer" => timer(text, rest.unwrap_or_default()),
        "logs" => logs(text, rest.unwrap_or_default()),
        _ => Err(format!(
            "{} is nothing that `dora` provides{}; it provides `dora/timer/...` and `dora/logs`",
            quoted(text),
            maybe_meant(what, ["timer", "logs"]),
        )),
    }
}

fn timer(text: &str, rest: &str) -> Result<Source, String> {
    let shown = quoted(text);
    let Some((unit, number)) = rest.split_once('/') else {
        return Err(format!("the timer {shown} is incomplete; {TIMER_FORM}"));
    };
    if !UNITS.contains(&unit) {
        let hint = maybe_meant(unit, UNITS);
        let unit = quoted(unit);
        return Err(format!(
            "the timer {shown} has the unknown unit {unit}{hint}; {TIMER_FORM}"
        ));
    }
    let period = if unit == "hz" {
        frequency(number).ok_or_else(|| {
            format!("the timer {shown} needs a number above 0 behind `hz`, such as 30 or 0.5")
        })?
    } else {
        whole(unit, number).ok_or_else(|| {
            format!("the timer {shown} needs a whole number of at least 1 behind `{unit}`")
        })?
    };
    if period < Duration::from_micros(1) {
        return Err(format!(
            "the timer {shown} would tick more often than once in a microsecond, which is the limit"
        ));
    }
    Ok(Source::Timer { period })
}

fn whole(unit: &str, number: &str) -> Option<Duration> {
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    let number: u64 = digits.then(|| number.parse().ok())??;
    let period = match unit {
        "secs" => Duration::from_secs(number),
        "millis" => Duration::from_millis(number),
        "micros" => Duration::from_micros(number),
        _ => Duration::from_nanos(number),
    };
    (number > 0).then_some(period)
}

fn frequency(number: &str) -> Option<Duration> {
    let hz: f64 = number.parse().ok()?;
    let usable = hz.is_finite() && hz > 0.0;
    usable.then(|| Duration::try_from_secs_f64(1.0 / hz).ok())?
}

fn logs(text: &str, rest: &str) -> Result<Source, String> {
    let (level, node) = match rest.split_once('/') {
        Some((level, node)) => (level, Some(node)),
        None => (rest, None),
    };
    let level = match level {
        "" if node.is_none() => None,
        _ => Some(parse_level(level).map_err(|error| format!("{}: {error}", quoted(text)))?),
    };
    let node = match node {
        Some(node) => Some(node.parse().map_err(|error| format!("{error}"))?),
        None => None,
    };
    Ok(Source::Logs { level, node })
}

/// Reads a log level in any case.
pub(super) fn parse_level(text: &str) -> Result<LogLevel, String> {
    let lower = text.to_ascii_lowercase();
    let found = LogLevel::ALL.into_iter().find(|(name, _)| *name == lower);
    match found {
        Some((_, level)) => Ok(level),
        None => {
            let names = LogLevel::ALL.map(|(name, _)| name);
            Err(format!(
                "unknown log level {}{}; the levels are {}",
                quoted(text),
                maybe_meant(text, names),
                listed(names)
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_that_work() {
        let timer = |period| Source::Timer { period };
        let table = [
            (
                "camera/image",
                Source::Output {
                    node: "camera".parse().unwrap(),
                    output: "image".parse().unwrap(),
                },
            ),
            (
                "op/a/b",
                Source::Output {
                    node: "op".parse().unwrap(),
                    output: "a/b".parse().unwrap(),
                },
            ),
            ("dora/timer/secs/2", timer(Duration::from_secs(2))),
            ("dora/timer/millis/10", timer(Duration::from_millis(10))),
            ("dora/timer/micros/5", timer(Duration::from_micros(5))),
            ("dora/timer/nanos/1000", timer(Duration::from_micros(1))),
            ("dora/timer/hz/0.5", timer(Duration::from_secs(2))),
            ("dora/timer/hz/3000", timer(Duration::from_nanos(333_333))),
            (
                "dora/logs",
                Source::Logs {
                    level: None,
                    node: None,
                },
            ),
            (
                "dora/logs/WARN",
                Source::Logs {
                    level: Some(LogLevel::Warn),
                    node: None,
                },
            ),
            (
                "dora/logs/info/camera",
                Source::Logs {
                    level: Some(LogLevel::Info),
                    node: Some("camera".parse().unwrap()),
                },
            ),
        ];
        for (text, expected) in table {
            assert_eq!(parse_source(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn sources_that_do_not() {
        for text in [
            "",
            "/",
            "a/",
            "/b",
            "a b/c",
            "a//b",
            "camera",
            "dora",
            "dora/",
            "dora/x",
            "dora/timer",
            "dora/timer/secs",
            "dora/timer/secs/",
            "dora/timer/secs/0",
            "dora/timer/secs/-1",
            "dora/timer/secs/1.5",
            "dora/timer/secs/+1",
            "dora/timer/secs/99999999999999999999",
            "dora/timer/days/1",
            "dora/timer/nanos/999",
            "dora/timer/hz/0",
            "dora/timer/hz/nan",
            "dora/timer/hz/inf",
            "dora/timer/hz/-1",
            "dora/timer/hz/1e-30",
            "dora/timer/hz/1e9",
            "dora/timer/millis/100/x",
            "dora/logs/loud",
            "dora/logs//a",
            "dora/logs/info/a/b",
        ] {
            assert!(parse_source(text).is_err(), "{text:?}");
        }
    }
}
