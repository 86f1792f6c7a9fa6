//! Parser events -> tree. Holds a stack of its own, so depth costs no stack of the thread.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::{
    super::problem::quoted, Entry, Fault, MAX_DEPTH, MAX_TEXT_BYTES, MAX_VALUES, Position, Value,
    Yaml, scalar,
};

/// What a finished value weighs against the limits.
#[derive(Debug, Clone, Copy, Default)]
struct Weight {
    values: usize,
    bytes: usize,
    /// Levels of lists and mappings in it; a scalar has none.
    height: usize,
}

/// A list or mapping that is being read.
struct Frame {
    at: Position,
    anchor: usize,
    weight: Weight,
    kind: FrameKind,
}

enum FrameKind {
    List(Vec<Yaml>),
    Map {
        entries: Vec<Entry>,
        key: Option<Key>,
        /// Sources of `<<`, in their order; they yield to the mapping's own keys.
        merges: Vec<Yaml>,
    },
}

struct Key {
    text: String,
    at: Position,
    merge: bool,
}

/// Stops the reading: the syntax is broken or a limit is passed.
type Step = Result<(), Fault>;

#[derive(Default)]
struct Builder {
    stack: Vec<Frame>,
    root: Option<Yaml>,
    documents: usize,
    /// Finished anchored values by the library's anchor number.
    anchors: HashMap<usize, (Yaml, Weight)>,
    /// What all values made so far weigh, copies for anchors included.
    values: usize,
    bytes: usize,
    faults: Vec<Fault>,
}

pub(super) fn build(text: &str) -> (Option<Yaml>, Vec<Fault>) {
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let step = match event {
            Ok((event, span)) => builder.event(event, start_of(span)),
            Err(error) => Err(syntax_fault(&error)),
        };
        if let Err(fault) = step {
            builder.faults.push(fault);
            return (None, builder.faults);
        }
    }
    (builder.root, builder.faults)
}

impl Builder {
    fn event(&mut self, event: Event<'_>, at: Position) -> Step {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => self.document(at),
            Event::Alias(anchor) => self.alias(anchor, at),
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(&text, style, anchor, tag.as_deref(), at)
            }
            Event::SequenceStart(anchor, tag) => {
                self.open(at, anchor, tag.as_deref(), FrameKind::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                let kind = FrameKind::Map {
                    entries: Vec::new(),
                    key: None,
                    merges: Vec::new(),
                };
                self.open(at, anchor, tag.as_deref(), kind)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
        }
    }

    fn document(&mut self, at: Position) -> Step {
        self.documents += 1;
        if self.documents > 1 {
            return fault(
                at,
                "a second document starts here; one file holds one descriptor",
            );
        }
        Ok(())
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        at: Position,
    ) -> Step {
        let plain = style == ScalarStyle::Plain;
        if self.expects_key() && anchor == 0 {
            self.charge(1, text.len(), at)?;
            let merge = plain && text == "<<";
            self.set_key(text.to_owned(), merge, at);
            return Ok(());
        }
        let value = match tag {
            None if plain => scalar::resolve_plain(text),
            None => Value::Text(text.to_owned()),
            Some(tag) => self.tagged(text, tag, at)?,
        };
        let weight = Weight {
            values: 1,
            bytes: text.len(),
            height: 0,
        };
        self.charge(1, text.len(), at)?;
        self.finish(Yaml { at, value }, weight, anchor)
    }

    /// `!!str` forces text; the other core tags must agree with what the scalar is anyway.
    fn tagged(&mut self, text: &str, tag: &Tag, at: Position) -> Result<Value, Fault> {
        let value = scalar::resolve_plain(text);
        let agrees = match tag.suffix.as_str() {
            _ if !tag.is_yaml_core_schema() => return Err(unknown_tag(tag, at)),
            "str" => return Ok(Value::Text(text.to_owned())),
            "null" => value == Value::Null,
            "bool" => matches!(value, Value::Bool(_)),
            "int" => matches!(value, Value::Int(_)),
            "float" => matches!(value, Value::Int(_) | Value::Float(_)),
            _ => return Err(unknown_tag(tag, at)),
        };
        if agrees {
            return Ok(value);
        }
        let shown = quoted(text);
        Err(Fault {
            at,
            text: format!("{shown} is no `!!{}`", tag.suffix),
        })
    }

    fn open(&mut self, at: Position, anchor: usize, tag: Option<&Tag>, kind: FrameKind) -> Step {
        if self.expects_key() {
            return fault(at, "a list or mapping cannot be a key; a key must be text");
        }
        if let Some(tag) = tag {
            let own = match kind {
                FrameKind::List(_) => "seq",
                FrameKind::Map { .. } => "map",
            };
            if !tag.is_yaml_core_schema() || tag.suffix != own {
                return Err(unknown_tag(tag, at));
            }
        }
        if self.stack.len() >= MAX_DEPTH {
            return Err(too_deep(at));
        }
        self.charge(1, 0, at)?;
        let weight = Weight {
            values: 1,
            bytes: 0,
            height: 1,
        };
        self.stack.push(Frame {
            at,
            anchor,
            weight,
            kind,
        });
        Ok(())
    }

    fn close(&mut self) -> Step {
        // The library pairs its start and end events.
        let Some(frame) = self.stack.pop() else {
            return Ok(());
        };
        let value = match frame.kind {
            FrameKind::List(items) => Value::List(items),
            FrameKind::Map {
                entries, merges, ..
            } => Value::Map(self.unique(entries, merges)),
        };
        let yaml = Yaml {
            at: frame.at,
            value,
        };
        self.finish(yaml, frame.weight, frame.anchor)
    }

    fn alias(&mut self, anchor: usize, at: Position) -> Step {
        let Some((_, weight)) = self.anchors.get(&anchor) else {
            return fault(at, "this alias stands inside its own anchor; remove it");
        };
        let weight = *weight;
        if self.stack.len() + weight.height > MAX_DEPTH {
            return Err(too_deep(at));
        }
        self.charge(weight.values, weight.bytes, at)?;
        let yaml = match self.anchors.get(&anchor) {
            Some((yaml, _)) => yaml.clone(),
            None => return Ok(()),
        };
        self.finish(yaml, weight, 0)
    }

    /// Counts what is about to be made, so that a bomb fails before it is built.
    fn charge(&mut self, values: usize, bytes: usize, at: Position) -> Step {
        self.values = self.values.saturating_add(values);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.values > MAX_VALUES {
            let text = format!(
                "more than {MAX_VALUES} values up to here, aliases expanded; no descriptor needs so many"
            );
            return fault(at, &text);
        }
        if self.bytes > MAX_TEXT_BYTES {
            let mib = MAX_TEXT_BYTES / (1024 * 1024);
            return fault(
                at,
                &format!(
                    "more than {mib} MiB of text up to here, aliases expanded; no descriptor needs so much"
                ),
            );
        }
        Ok(())
    }

    /// Puts a finished value where it belongs: an anchor, a key, its parent, or the root.
    fn finish(&mut self, yaml: Yaml, weight: Weight, anchor: usize) -> Step {
        if anchor != 0 {
            self.charge(weight.values, weight.bytes, yaml.at)?;
            self.anchors.insert(anchor, (yaml.clone(), weight));
        }
        if self.expects_key() {
            return self.key_from(yaml);
        }
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(yaml);
            return Ok(());
        };
        frame.weight.values += weight.values;
        frame.weight.bytes += weight.bytes;
        frame.weight.height = frame.weight.height.max(weight.height + 1);
        match &mut frame.kind {
            FrameKind::List(items) => items.push(yaml),
            FrameKind::Map {
                entries,
                key,
                merges,
            } => match key.take() {
                Some(key) if key.merge => merges.push(yaml),
                Some(key) => entries.push(Entry {
                    key: key.text,
                    key_at: key.at,
                    value: yaml,
                }),
                None => {}
            },
        }
        Ok(())
    }

    /// Whether the next value is a key of the innermost mapping.
    fn expects_key(&self) -> bool {
        matches!(
            self.stack.last(),
            Some(Frame {
                kind: FrameKind::Map { key: None, .. },
                ..
            })
        )
    }

    /// An aliased or anchored key.
    fn key_from(&mut self, yaml: Yaml) -> Step {
        match yaml.value {
            Value::Text(text) => {
                self.set_key(text, false, yaml.at);
                Ok(())
            }
            _ => fault(yaml.at, "a key must be text"),
        }
    }

    fn set_key(&mut self, text: String, merge: bool, at: Position) {
        let Some(frame) = self.stack.last_mut() else {
            return;
        };
        frame.weight.values += 1;
        frame.weight.bytes += text.len();
        if let FrameKind::Map { key, .. } = &mut frame.kind {
            *key = Some(Key { text, at, merge });
        }
    }

    /// The mapping's keys, each once: its own first, then what `<<` adds, the earliest source first.
    fn unique(&mut self, entries: Vec<Entry>, merges: Vec<Yaml>) -> Vec<Entry> {
        let mut lines: HashMap<String, u32> = HashMap::with_capacity(entries.len());
        let mut unique = Vec::with_capacity(entries.len());
        for entry in entries {
            match lines.get(&entry.key) {
                Some(line) => self.faults.push(Fault {
                    at: entry.key_at,
                    text: format!(
                        "the key {} stands here a second time (first in line {line}); remove one",
                        quoted(&entry.key)
                    ),
                }),
                None => {
                    lines.insert(entry.key.clone(), entry.key_at.line);
                    unique.push(entry);
                }
            }
        }
        let mut known: HashSet<String> = lines.into_keys().collect();
        for source in merges {
            for entry in self.merged(source) {
                if known.insert(entry.key.clone()) {
                    unique.push(entry);
                }
            }
        }
        unique
    }

    /// All entries that one value of `<<` brings.
    fn merged(&mut self, source: Yaml) -> Vec<Entry> {
        let sources = match source.value {
            Value::Map(entries) => return entries,
            Value::List(items) => items,
            _ => vec![source],
        };
        let mut all = Vec::new();
        for item in sources {
            match item.value {
                Value::Map(entries) => all.extend(entries),
                _ => self.faults.push(Fault {
                    at: item.at,
                    text: format!(
                        "`<<` merges a mapping or a list of mappings, found {}",
                        item.in_words()
                    ),
                }),
            }
        }
        all
    }
}

fn start_of(span: Span) -> Position {
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Position {
        line: small(span.start.line()),
        column: small(span.start.col()).saturating_add(1),
    }
}

fn fault(at: Position, text: &str) -> Step {
    Err(Fault {
        at,
        text: text.to_owned(),
    })
}

fn too_deep(at: Position) -> Fault {
    Fault {
        at,
        text: format!("nested deeper than {MAX_DEPTH} levels, which no descriptor needs"),
    }
}

fn unknown_tag(tag: &Tag, at: Position) -> Fault {
    let tag = match tag.is_yaml_core_schema() {
        true => format!("!!{}", tag.suffix),
        false => tag.to_string(),
    };
    let text = format!("the tag {} is not supported here; remove it", quoted(&tag));
    Fault { at, text }
}

/// The library's words, with what usually causes them.
fn syntax_fault(error: &ScanError) -> Fault {
    let info = error.info();
    let hint = match info {
        _ if info.contains("unprintable") => "; is this a text file?",
        _ if info.contains("tab ") || info.contains("tabs ") || info.ends_with("tab") => {
            "; indent with spaces"
        }
        _ if info.contains("mapping values are not allowed") => {
            "; quote the text if it contains `: `, or check the indentation"
        }
        _ if info.contains("did not find expected key") => {
            "; check the indentation, all keys of a mapping start in one column"
        }
        _ if info.contains("'-' indicator") => {
            "; check the indentation, all items of a list start in one column"
        }
        _ if info.contains("unknown anchor") => "; define it with `&name` before this line",
        _ if info.contains("unexpected character: `@'") || info.contains("'%'") => {
            "; put the text in quotes"
        }
        _ => "",
    };
    Fault {
        at: start_of(Span::empty(*error.marker())),
        text: format!("not valid YAML: {info}{hint}"),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
