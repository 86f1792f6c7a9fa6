//! A node's config: YAML -> JSON value, and where each value of it stands.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value as Json};

use super::{
    fields::Scope,
    problem::quoted,
    types::{Config, ConfigPosition},
    yaml::{Value, Yaml},
};

/// Turns a YAML value into a config. Numbers that JSON cannot hold are reported.
pub(super) fn read(scope: &mut Scope<'_>, yaml: Yaml) -> Config {
    let at = yaml.at;
    let mut reader = Reader {
        scope,
        positions: BTreeMap::new(),
        pointer: String::new(),
    };
    let value = reader.value(yaml);
    Config {
        value,
        at,
        positions: reader.positions,
    }
}

struct Reader<'a, 'b> {
    scope: &'a mut Scope<'b>,
    positions: BTreeMap<String, ConfigPosition>,
    /// Of the value being read.
    pointer: String,
}

impl Reader<'_, '_> {
    /// Recursion ends at the depth that the YAML reader allows.
    fn value(&mut self, yaml: Yaml) -> Json {
        match yaml.value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(value),
            Value::Text(value) => Json::String(value),
            Value::Int(value) => match u64::try_from(value) {
                Ok(value) => Json::from(value),
                Err(_) => Json::from(i64::try_from(value).unwrap_or(i64::MIN)),
            },
            Value::Float(value) => match Number::from_f64(value) {
                Some(number) => Json::Number(number),
                None => {
                    let place = quoted(&format!("config{}", self.pointer.replace('/', ".")));
                    self.scope.error(
                        yaml.at,
                        format!("{place} must be a finite number, found {value}"),
                    );
                    Json::Null
                }
            },
            Value::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for (index, item) in items.into_iter().enumerate() {
                    let at = item.at;
                    list.push(self.below(&index.to_string(), at, item));
                }
                Json::Array(list)
            }
            Value::Map(entries) => {
                let mut map = Map::new();
                for entry in entries {
                    let value = self.below(&escape(&entry.key), entry.key_at, entry.value);
                    map.insert(entry.key, value);
                }
                Json::Object(map)
            }
        }
    }

    fn below(&mut self, part: &str, key: super::Position, yaml: Yaml) -> Json {
        let length = self.pointer.len();
        self.pointer.push('/');
        self.pointer.push_str(part);
        let value = match yaml.value {
            Value::Null => key,
            _ => yaml.at,
        };
        self.positions
            .insert(self.pointer.clone(), ConfigPosition { key, value });
        let json = self.value(yaml);
        self.pointer.truncate(length);
        json
    }
}

/// A key as part of a JSON pointer.
pub(super) fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
