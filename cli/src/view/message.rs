//! `dora topic echo`: one message as a line.

use super::{data, time};
use crate::terminal::safe;
use plugin_abi::message::Message;
use plugin_abi::meta;
use serde_json::{Map, Value, json};

/// A line for people: time, type, number of elements, data, parameters.
pub fn line(message: &Message) -> String {
    let data = contents(message).unwrap_or_else(|error| format!("({error})").into());
    let mut line = format!(
        "{}  {}[{}]  {}",
        time::rfc3339(message.timestamp().system_time()),
        message.data_type(),
        message.len(),
        data
    );
    for (key, value) in parameters(message) {
        line.push_str(&format!("  {key}={value}"));
    }
    // JSON leaves some characters as they are that a terminal obeys.
    safe(&line).into_owned()
}

/// The same as an object.
pub fn json(message: &Message) -> Value {
    let (data, error) = match contents(message) {
        Ok(data) => (data, Value::Null),
        Err(error) => (Value::Null, error.into()),
    };
    json!({
        "timestamp": time::rfc3339(message.timestamp().system_time()),
        "type": message.data_type(),
        "length": message.len(),
        "data": data,
        "parameters": parameters(message),
        "error": error,
    })
}

fn contents(message: &Message) -> Result<Value, String> {
    let array = message.array().map_err(|error| error.to_string())?;
    Ok(data::json(&array))
}

/// Parameters that cannot be read are none: the data's error says enough.
fn parameters(message: &Message) -> Map<String, Value> {
    let parameters = message.parameters().unwrap_or_default();
    let pairs = parameters.iter();
    pairs
        .map(|(key, value)| (key.to_owned(), parameter(value)))
        .collect()
}

fn parameter(value: &meta::Value) -> Value {
    match value {
        meta::Value::Bool(value) => (*value).into(),
        meta::Value::Integer(value) => (*value).into(),
        meta::Value::Float(value) => (*value).into(),
        meta::Value::Text(value) => value.as_str().into(),
        meta::Value::Integers(values) => values.clone().into(),
        meta::Value::Floats(values) => values.clone().into(),
        meta::Value::Texts(values) => values.clone().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plugin_abi::meta::{Parameters, Timestamp};
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn a_line_has_time_type_data_and_parameters() {
        let stamp = Timestamp::new(
            UNIX_EPOCH + Duration::from_millis(1_500_000_000_250),
            [0; 16],
        );
        let parameters = Parameters::default().with("frame", 7_i64).with("unit", "m");
        let message = Message::from_text(stamp, "hello\u{9b}", &parameters.encode()).unwrap();
        assert_eq!(
            line(&message),
            r#"2017-07-14T02:40:00.250Z  Utf8[1]  ["hello\u{9b}"]  frame=7  unit="m""#
        );
        let expected = r#"{"timestamp":"2017-07-14T02:40:00.250Z","type":"Utf8","length":1,"data":["hello*"],"parameters":{"frame":7,"unit":"m"},"error":null}"#;
        assert_eq!(json(&message).to_string(), expected.replace('*', "\u{9b}"));
    }
}
