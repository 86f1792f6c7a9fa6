//! A node's config against the JSON schema of its kind. Every complaint points at the value in the
//! descriptor. Fetches nothing: a schema that refers to a URL is a broken schema.

use jsonschema::{ValidationError, error::ValidationErrorKind};
use serde_json::{Map, Value};

use super::super::{
    config::escape,
    fields::Scope,
    problem::{clean, listed, quoted},
    suggest::maybe_meant,
    types::Node,
};
use crate::plugin::info::KindInfo;

/// Reports what the schema of `kind` finds wrong with the config of `node`. A config that is left
/// out counts as an empty mapping.
pub(super) fn check(scope: &mut Scope<'_>, node: &Node, kind: &KindInfo) {
    let Some(schema) = &kind.config_schema else {
        return;
    };
    let validator = match jsonschema::validator_for(schema) {
        Ok(validator) => validator,
        Err(error) => {
            let text = format!(
                "the config schema of node kind {} is broken: {}; report it to the plugin's author",
                quoted(&kind.name),
                clean(&error.to_string())
            );
            scope.error(node.at, text);
            return;
        }
    };
    let empty = Value::Object(Map::new());
    let value = node.config.as_ref().map_or(&empty, |config| &config.value);
    let mut check = Check {
        scope,
        node,
        schema,
    };
    for error in validator.iter_errors(value) {
        check.report(&error);
    }
    check.unknown_keys(value);
}

struct Check<'a, 'b> {
    scope: &'a mut Scope<'b>,
    node: &'a Node,
    schema: &'a Value,
}

impl Check<'_, '_> {
    fn report(&mut self, error: &ValidationError<'_>) {
        let pointer = error.instance_path().as_str();
        let name = quoted(&dotted(pointer));
        let text = match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected }
            | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
                let known = self.known_keys(error.schema_path().as_str());
                for key in unexpected {
                    self.unknown_key(pointer, key, &known, true);
                }
                return;
            }
            ValidationErrorKind::Required { property } => {
                let key = property.as_str().unwrap_or_default();
                let key = quoted(&dotted(&format!("{pointer}/{}", escape(key))));
                format!("{key} is missing")
            }
            ValidationErrorKind::Type { kind } => {
                let wanted = types_in_words(kind);
                format!(
                    "{name} must be {wanted}, found {}",
                    in_words(error.instance())
                )
            }
            ValidationErrorKind::Enum { options } => {
                let options = options.as_array().into_iter().flatten();
                let options: Vec<String> = options.map(option_in_words).collect();
                let hint = match error.instance().as_str() {
                    Some(text) => maybe_meant(text, options.iter().map(String::as_str)),
                    None => String::new(),
                };
                format!(
                    "{name} must be one of {}{hint}, found {}",
                    listed(options.iter().map(String::as_str)),
                    in_words(error.instance())
                )
            }
            ValidationErrorKind::Minimum { limit } => out_of_range(&name, "at least", limit, error),
            ValidationErrorKind::Maximum { limit } => out_of_range(&name, "at most", limit, error),
            ValidationErrorKind::ExclusiveMinimum { limit } => {
                out_of_range(&name, "above", limit, error)
            }
            ValidationErrorKind::ExclusiveMaximum { limit } => {
                out_of_range(&name, "below", limit, error)
            }
            _ => format!(
                "{name}: {}, found {}",
                clean(&error.masked_with("the value").to_string()),
                in_words(error.instance())
            ),
        };
        let at = match &self.node.config {
            Some(config) => config.position(pointer),
            None => self.node.at,
        };
        self.scope.error(at, text);
    }

    /// Keys at the top of the config that the schema does not describe and does not refuse either.
    fn unknown_keys(&mut self, value: &Value) {
        let described = [
            "patternProperties",
            "additionalProperties",
            "$ref",
            "anyOf",
            "oneOf",
            "allOf",
        ];
        let open = described.iter().any(|key| self.schema.get(key).is_some());
        let properties = self.schema.get("properties").and_then(Value::as_object);
        let (Some(properties), Some(config), false) = (properties, value.as_object(), open) else {
            return;
        };
        let known: Vec<String> = properties.keys().cloned().collect();
        for key in config.keys().filter(|key| !properties.contains_key(*key)) {
            self.unknown_key("", key, &known, false);
        }
    }

    fn unknown_key(&mut self, pointer: &str, key: &str, known: &[String], refused: bool) {
        let pointer = format!("{pointer}/{}", escape(key));
        let known = known.iter().map(String::as_str);
        let has = match known.len() {
            0 => String::new(),
            _ => format!("; it knows: {}", listed(known.clone())),
        };
        let text = format!(
            "the node kind does not know {}{}{has}",
            quoted(&dotted(&pointer)),
            maybe_meant(key, known)
        );
        let at = match &self.node.config {
            Some(config) => config.key_position(&pointer),
            None => self.node.at,
        };
        match refused {
            true => self.scope.error(at, text),
            false => self.scope.warn(at, text),
        }
    }

    /// The keys beside the schema's keyword that refused a key.
    fn known_keys(&self, keyword: &str) -> Vec<String> {
        let parent = keyword.rsplit_once('/').map_or("", |(parent, _)| parent);
        let properties = self.schema.pointer(&format!("{parent}/properties"));
        let properties = properties.and_then(Value::as_object);
        properties
            .into_iter()
            .flat_map(|keys| keys.keys().cloned())
            .collect()
    }
}

fn out_of_range(name: &str, how: &str, limit: &Value, error: &ValidationError<'_>) -> String {
    format!(
        "{name} must be {how} {limit}, found {}",
        in_words(error.instance())
    )
}

/// `/gains/0` -> `config.gains.0`.
fn dotted(pointer: &str) -> String {
    let parts = pointer.split('/').skip(1);
    parts.fold("config".to_owned(), |name, part| {
        format!("{name}.{}", part.replace("~1", "/").replace("~0", "~"))
    })
}

fn types_in_words(kind: &jsonschema::error::TypeKind) -> String {
    let word = |name: &str| match name {
        "array" => "a list",
        "boolean" => "`true` or `false`",
        "integer" => "a whole number",
        "null" => "nothing",
        "number" => "a number",
        "object" => "a mapping",
        _ => "text",
    };
    match kind {
        jsonschema::error::TypeKind::Single(one) => word(&one.to_string()).to_owned(),
        jsonschema::error::TypeKind::Multiple(many) => {
            let words: Vec<&str> = many.iter().map(|one| word(&one.to_string())).collect();
            words.join(" or ")
        }
    }
}

fn in_words(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::Bool(value) => format!("`{value}`"),
        Value::Number(value) => format!("the number {value}"),
        Value::String(value) => format!("the text {}", super::super::problem::quoted_text(value)),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "a mapping".into(),
    }
}

fn option_in_words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
