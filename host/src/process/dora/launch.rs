//! What a node reads when it starts: `DORA_NODE_CONFIG`, and the answer to a dynamic node.
//!
//! Invariant: one text serves every generation, which is not known before the node speaks; unknown keys are ignored by
//! all of them. Absent: starting the process.

use crate::ids::{DataflowId, NodeId, PortName};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// The variable that holds the configuration.
pub const VARIABLE: &str = "DORA_NODE_CONFIG";

/// Longest value, in bytes: Linux takes 128 KiB for a variable, Windows 32,767 UTF-16 units.
const LONGEST: usize = if cfg!(windows) { 32_000 } else { 128_000 };

/// How a node is configured.
#[derive(Debug, Clone, PartialEq)]
pub struct Launch {
    /// Its dataflow.
    pub dataflow: DataflowId,
    /// Its id.
    pub node: NodeId,
    /// Its inputs.
    pub inputs: Vec<LaunchInput>,
    /// Its outputs.
    pub outputs: Vec<PortName>,
    /// Where it finds the daemon.
    pub address: SocketAddr,
    /// The descriptor in dora's own keys: a 1.x node refuses others.
    pub descriptor: Value,
    /// Whether it was started by somebody else.
    pub dynamic: bool,
    /// How often it has been started before.
    pub restarts: u32,
    /// By output that the node may send past the daemon, if it is of 1.x: the inputs that must hear it.
    pub direct: BTreeMap<PortName, Vec<(NodeId, PortName)>>,
}

/// An input as a node is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchInput {
    /// Its name.
    pub input: PortName,
    /// Its source as in a descriptor: `camera/image`, `dora/timer/millis/200`.
    pub source: String,
    /// Messages that the node itself may queue; the generations' defaults differ.
    pub queue: usize,
}

impl Launch {
    /// The value of [`VARIABLE`]: YAML. Without the descriptor, which few nodes read, where a variable cannot hold it.
    pub fn yaml(&self) -> String {
        let whole = self.written(&self.descriptor);
        match whole.len() > LONGEST {
            true => self.written(&json!({"nodes": []})),
            false => whole,
        }
    }

    fn written(&self, descriptor: &Value) -> String {
        // JSON is YAML, but for the tag that names the way to the daemon.
        let fields = self.fields(descriptor);
        let mut out = String::from("{");
        for (key, value) in &fields {
            out.push_str(&format!(
                "{}: {}, ",
                Value::from(key.as_str()),
                Plain(value)
            ));
        }
        let address = Value::from(self.address.to_string());
        out.push_str(&format!(
            "\"daemon_communication\": !Tcp {{\"socket_addr\": {address}}}}}"
        ));
        out
    }

    fn routing(&self) -> Map<String, Value> {
        let of_output = |output: &PortName| {
            let readers = self.direct.get(output);
            let ackers = readers.into_iter().flatten();
            let ackers: Vec<_> = ackers
                .map(|(node, input)| json!({"node_id": node.as_str(), "input_id": input.as_str()}))
                .collect();
            json!({"daemon_only": readers.is_none(), "required_ackers": ackers})
        };
        let outputs = self.outputs.iter();
        outputs
            .map(|output| (output.to_string(), of_output(output)))
            .collect()
    }

    fn fields(&self, descriptor: &Value) -> Map<String, Value> {
        let inputs = self.inputs.iter().map(|it| {
            let input = json!({"source": it.source, "queue_size": it.queue});
            (it.input.as_str().to_owned(), input)
        });
        let outputs: Vec<_> = self.outputs.iter().map(PortName::as_str).collect();
        // Without any, all outputs go through the daemon in every version.
        let routing = (!self.direct.is_empty()).then(|| self.routing());
        let fields = json!({
            "dataflow_id": self.dataflow.to_string(),
            "node_id": self.node.as_str(),
            "run_config": {"inputs": inputs.collect::<Map<_, _>>(), "outputs": outputs},
            "dataflow_descriptor": descriptor,
            "dynamic": self.dynamic,
            "write_events_to": null,
            "restart_count": self.restarts,
            "output_routing": routing,
        });
        match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        }
    }
}

/// JSON in which a YAML reader finds nothing that it would refuse: it takes the control characters beyond ASCII only
/// escaped.
struct Plain<'a>(&'a Value);

impl std::fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use std::fmt::Write as _;
        for it in self.0.to_string().chars() {
            match it {
                '\u{7F}'..='\u{9F}'
                | '\u{2028}'
                | '\u{2029}'
                | '\u{FEFF}'
                | '\u{FFFE}'
                | '\u{FFFF}' => write!(f, "\\u{:04x}", u32::from(it))?,
                it => f.write_char(it)?,
            }
        }
        Ok(())
    }
}

/// The body of the answer to a dynamic node, JSON in every generation.
pub fn answer(result: &Result<Launch, String>) -> Vec<u8> {
    let result = match result {
        Ok(launch) => {
            let mut fields = launch.fields(&launch.descriptor);
            let address = json!({"Tcp": {"socket_addr": launch.address.to_string()}});
            fields.insert("daemon_communication".to_owned(), address);
            json!({"Ok": fields})
        }
        Err(text) => json!({"Err": text}),
    };
    json!({"NodeConfig": {"result": result}})
        .to_string()
        .into_bytes()
}
