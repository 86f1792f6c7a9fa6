//! What a plain (unquoted) scalar means: the core schema of YAML 1.2.

use super::Value;

/// The value of an unquoted scalar. Whatever is no null, boolean or number is text.
pub(super) fn resolve_plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => number(text).unwrap_or_else(|| Value::Text(text.to_owned())),
    }
}

fn number(text: &str) -> Option<Value> {
    let first = text.bytes().next()?;
    if !(first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.')) {
        return None;
    }
    integer(text).or_else(|| float(text).map(Value::Float))
}

fn integer(text: &str) -> Option<Value> {
    let radix = |prefix, radix| {
        let digits = text.strip_prefix(prefix)?;
        let plain = !digits.starts_with(['+', '-']);
        plain.then(|| i128::from_str_radix(digits, radix).ok())?
    };
    let value = radix("0x", 16)
        .or_else(|| radix("0o", 8))
        .or_else(|| text.parse::<i128>().ok())?;
    let fits = (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&value);
    // A number that fits no integer type is still a number, as in JSON.
    Some(if fits {
        Value::Int(value)
    } else {
        Value::Float(value as f64)
    })
}

fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    match unsigned {
        ".inf" | ".Inf" | ".INF" => return Some(sign * f64::INFINITY),
        ".nan" | ".NaN" | ".NAN" if unsigned.len() == text.len() => return Some(f64::NAN),
        _ => {}
    }
    // Rust also reads `inf`, `nan` and `infinity`, which are text in YAML.
    let shape = unsigned
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    if !shape || !unsigned.bytes().any(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_schema() {
        let text = |t: &str| Value::Text(t.into());
        let table = [
            ("", Value::Null),
            ("~", Value::Null),
            ("nULL", text("nULL")),
            ("True", Value::Bool(true)),
            ("yes", text("yes")),
            ("on", text("on")),
            ("12", Value::Int(12)),
            ("+12", Value::Int(12)),
            ("-12", Value::Int(-12)),
            ("007", Value::Int(7)),
            ("0x1f", Value::Int(31)),
            ("0o17", Value::Int(15)),
            ("0x-1", text("0x-1")),
            ("18446744073709551615", Value::Int(u64::MAX.into())),
            ("18446744073709551616", Value::Float(18446744073709551616.0)),
            ("1.5", Value::Float(1.5)),
            (".5", Value::Float(0.5)),
            ("1e3", Value::Float(1000.0)),
            ("-.inf", Value::Float(f64::NEG_INFINITY)),
            ("1.2.3", text("1.2.3")),
            ("10.0.0.1", text("10.0.0.1")),
            ("2024-01-01", text("2024-01-01")),
            ("-", text("-")),
            (".", text(".")),
            ("..", text("..")),
            ("./x", text("./x")),
            ("inf", text("inf")),
            ("1_000", text("1_000")),
            ("12:30", text("12:30")),
        ];
        for (plain, expected) in table {
            assert_eq!(resolve_plain(plain), expected, "{plain:?}");
        }
        assert!(matches!(resolve_plain(".nan"), Value::Float(f) if f.is_nan()));
    }
}
