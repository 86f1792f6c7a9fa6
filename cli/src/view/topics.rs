//! `dora topic list`.

use crate::table::Table;
use host::control::{TopicReader, TopicSummary};
use serde_json::{Value, json};

/// A row per output.
pub fn table(topics: &[TopicSummary]) -> String {
    let mut table = Table::new(["topic", "machine", "type", "readers", "dataflow"]);
    for topic in topics {
        let reader = |reader: &TopicReader| match reader.machine == topic.machine {
            true => format!("{}/{}", reader.node, reader.input),
            false => format!("{}/{} ({})", reader.node, reader.input, reader.machine),
        };
        let readers: Vec<String> = topic.readers.iter().map(reader).collect();
        table.push([
            format!("{}/{}", topic.node, topic.output),
            topic.machine.to_string(),
            topic.data_type.clone().unwrap_or_default(),
            readers.join(", "),
            topic
                .name
                .clone()
                .unwrap_or_else(|| topic.dataflow.to_string()),
        ]);
    }
    table.text("")
}

/// An object per output.
pub fn json(topics: &[TopicSummary]) -> Value {
    let reader = |reader: &TopicReader| {
        json!({
            "node": reader.node,
            "input": reader.input,
            "machine": reader.machine,
        })
    };
    let object = |topic: &TopicSummary| {
        let readers: Vec<Value> = topic.readers.iter().map(reader).collect();
        json!({
            "dataflow": topic.dataflow,
            "name": topic.name,
            "node": topic.node,
            "output": topic.output,
            "machine": topic.machine,
            "type": topic.data_type,
            "readers": readers,
        })
    };
    topics.iter().map(object).collect()
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn a_row_says_who_reads_and_where() {
        let expected = "\
topic          machine  type    readers                        dataflow
random/random  A        UInt64  status/random, sink/noise (B)  camera
status/status  A                                               019a0000-0000-7000-8000-000000000001
";
        assert_eq!(table(&samples::topics()), expected);
        let value = json(&samples::topics());
        assert_eq!(value.pointer("/0/readers/1/machine").unwrap(), "B");
        assert_eq!(value.pointer("/1/type").unwrap(), &Value::Null);
    }
}
