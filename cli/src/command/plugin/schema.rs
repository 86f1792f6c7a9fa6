//! A config's JSON schema in words, one row per property.
//!
//! Invariant: ends for every schema, also one that refers to itself. What it cannot say in words it calls `any`; the
//! whole schema is in the JSON output. Absent: checking a config.

use serde_json::Value;

/// One property.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name, with dots before nested ones: `gains.left`.
    pub name: String,
    /// Type and default: `integer, default 100`.
    pub what: String,
    /// For people; may be empty.
    pub description: String,
}

/// Properties deeper than this are not told one by one.
const DEEPEST: usize = 4;

/// The properties of the schema's root, in its order; empty when it has none.
pub fn rows(schema: &Value) -> Vec<Row> {
    let mut rows = Vec::new();
    properties(schema, schema, "", 0, &mut rows);
    rows
}

fn properties(root: &Value, schema: &Value, before: &str, depth: usize, rows: &mut Vec<Row>) {
    let schema = resolve(root, schema);
    let Some(properties) = schema["properties"].as_object() else {
        return;
    };
    let required = |name: &str| {
        let names = schema["required"].as_array();
        names.is_some_and(|names| names.iter().any(|required| required == name))
    };
    for (name, property) in properties {
        let mut what = vec![type_words(root, property, 0)];
        what.extend(bounds(resolve(root, property)));
        let default = property.get("default").filter(|value| !value.is_null());
        match default {
            Some(default) => what.push(format!("default {default}")),
            None if required(name) => what.push("required".into()),
            None => {}
        }
        let name = format!("{before}{name}");
        let description = property["description"].as_str();
        let description = description.or_else(|| resolve(root, property)["description"].as_str());
        rows.push(Row {
            what: what.join(", "),
            description: description.unwrap_or_default().to_owned(),
            name: name.clone(),
        });
        if depth < DEEPEST {
            self::properties(root, property, &format!("{name}."), depth + 1, rows);
        }
    }
}

/// The schema that `$ref` leads to, or itself.
fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let mut schema = schema;
    // A chain of references that is longer goes in circles.
    for _ in 0..8 {
        let target = schema["$ref"]
            .as_str()
            .and_then(|text| text.strip_prefix('#'));
        match target.and_then(|pointer| root.pointer(pointer)) {
            Some(found) => schema = found,
            None => break,
        }
    }
    schema
}

fn type_words(root: &Value, schema: &Value, depth: usize) -> String {
    let schema = resolve(root, schema);
    if depth > DEEPEST {
        return "any".into();
    }
    let words = |schema: &Value| type_words(root, schema, depth + 1);
    if let Some(value) = schema.get("const") {
        return value.to_string();
    }
    if let Some(values) = schema["enum"].as_array() {
        return alternatives(values.iter().map(Value::to_string));
    }
    for key in ["oneOf", "anyOf"] {
        if let Some(options) = schema[key].as_array() {
            return alternatives(options.iter().map(words));
        }
    }
    match &schema["type"] {
        Value::String(name) => one_type(name, schema, &words),
        Value::Array(names) => {
            let names = names.iter().filter_map(Value::as_str);
            alternatives(names.map(|name| one_type(name, schema, &words)))
        }
        _ => "any".into(),
    }
}

fn one_type(name: &str, schema: &Value, words: &dyn Fn(&Value) -> String) -> String {
    let inner = |key: &str| schema.get(key).filter(|value| value.is_object());
    match name {
        "array" => match inner("items") {
            Some(items) => format!("list of {}", words(items)),
            None => "list".into(),
        },
        "object" => match inner("additionalProperties") {
            Some(values) => format!("mapping to {}", words(values)),
            None => "mapping".into(),
        },
        name => name.to_owned(),
    }
}

/// `a`, `a or b`, `a, b or c`; each once.
fn alternatives(words: impl Iterator<Item = String>) -> String {
    let mut all: Vec<String> = Vec::new();
    for word in words {
        if !all.contains(&word) {
            all.push(word);
        }
    }
    match all.split_last() {
        None => "any".into(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
    }
}

/// What the values are confined to, in words.
fn bounds(schema: &Value) -> Vec<String> {
    let words = [
        ("minimum", "at least"),
        ("exclusiveMinimum", "more than"),
        ("maximum", "at most"),
        ("exclusiveMaximum", "less than"),
        ("minLength", "characters at least"),
        ("maxLength", "characters at most"),
        ("minItems", "items at least"),
        ("maxItems", "items at most"),
        ("pattern", "matching"),
    ];
    let told = words.iter().filter_map(|(key, words)| {
        let bound = schema.get(*key)?;
        let bound = bound
            .as_str()
            .map_or_else(|| bound.to_string(), str::to_owned);
        Some(format!("{words} {bound}"))
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(property: Value) -> String {
        let schema = json!({
            "properties": {"p": property},
            "required": ["p"],
            "$defs": {
                "Mode": {"oneOf": [{"const": "fast", "type": "string"}, {"const": "exact", "type": "string"}]},
                "Tree": {"type": "object", "properties": {"child": {"$ref": "#/$defs/Tree"}}},
                "Loop": {"$ref": "#/$defs/Loop"},
            },
        });
        rows(&schema).swap_remove(0).what
    }

    #[test]
    fn types_in_words() {
        for (property, expected) in [
            (
                json!({"type": "integer", "minimum": 0, "default": 100}),
                "integer, at least 0, default 100",
            ),
            (
                json!({"type": ["integer", "null"]}),
                "integer or null, required",
            ),
            (
                json!({"type": "string", "default": ""}),
                "string, default \"\"",
            ),
            (
                json!({"type": "array", "items": {"type": "number"}, "maxItems": 3}),
                "list of number, items at most 3, required",
            ),
            (
                json!({"type": "object", "additionalProperties": {"type": "boolean"}}),
                "mapping to boolean, required",
            ),
            (
                json!({"enum": ["a", "b", "c"]}),
                "\"a\", \"b\" or \"c\", required",
            ),
            (
                json!({"$ref": "#/$defs/Mode", "default": "fast"}),
                "\"fast\" or \"exact\", default \"fast\"",
            ),
            (
                json!({"anyOf": [{"$ref": "#/$defs/Mode"}, {"type": "null"}]}),
                "\"fast\" or \"exact\" or null, required",
            ),
            (
                json!({"type": "string", "pattern": "^a"}),
                "string, matching ^a, required",
            ),
            (json!({"$ref": "#/$defs/Loop"}), "any, required"),
            (json!({"$ref": "elsewhere.json"}), "any, required"),
            (json!(true), "any, required"),
        ] {
            assert_eq!(told(property.clone()), expected, "{property}");
        }
    }

    #[test]
    fn nested_properties_follow_with_dots_and_a_schema_may_refer_to_itself() {
        let schema = json!({
            "properties": {"tree": {"$ref": "#/$defs/Tree", "description": "All of it"}},
            "$defs": {"Tree": {"type": "object", "properties": {"child": {"$ref": "#/$defs/Tree"}}}},
        });
        let rows = rows(&schema);
        assert_eq!(rows.len(), DEEPEST + 1);
        assert_eq!(
            (rows[0].name.as_str(), rows[0].what.as_str()),
            ("tree", "mapping")
        );
        assert_eq!(rows[0].description, "All of it");
        assert_eq!(rows[1].name, "tree.child");
    }

    #[test]
    fn anything_else_has_no_rows() {
        for schema in [json!(null), json!(true), json!({"type": "null"}), json!([])] {
            assert_eq!(rows(&schema), []);
        }
    }
}
