//! What a plugin declares about itself: its node kinds, their ports and their config.
//! Plain data, as printed by `dora plugin inspect` and checked against descriptors.
//! Knows no library, no file and no running instance.

use serde::{Deserialize, Serialize};

/// A port of this name in a declaration means: any further port name is accepted.
pub const ANY_PORT: &str = "*";

/// All that one plugin declares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PluginInfo {
    /// Name of the plugin, as in its handshake record.
    pub name: String,
    /// Version of the plugin itself (not of the ABI), such as `0.7.0`.
    pub version: String,
    /// The node kinds it exports, in its own order; names are unique.
    pub kinds: Vec<KindInfo>,
}

/// One node kind of a plugin. The default one declares nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KindInfo {
    /// The name that `kind:` selects.
    pub name: String,
    /// One or more sentences for people; may be empty.
    pub description: String,
    /// Inputs that the node reads.
    pub inputs: Vec<PortInfo>,
    /// Outputs that the node can send.
    pub outputs: Vec<PortInfo>,
    /// JSON schema of `config:`; `None` when the node declares none.
    pub config_schema: Option<serde_json::Value>,
}

/// One input or output of a node kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortInfo {
    /// Port name, or [`ANY_PORT`].
    pub name: String,
    /// What the port carries, for people; may be empty.
    pub description: String,
    /// Arrow type as text, such as `UInt64`; `None` when any type goes.
    pub data_type: Option<String>,
}

impl PluginInfo {
    /// The kind of this name, if the plugin exports it.
    pub fn kind(&self, name: &str) -> Option<&KindInfo> {
        self.kinds.iter().find(|kind| kind.name == name)
    }
}

impl KindInfo {
    /// The declaration that covers the input `name`: its own, else that of [`ANY_PORT`].
    pub fn input(&self, name: &str) -> Option<&PortInfo> {
        find(&self.inputs, name)
    }

    /// The declaration that covers the output `name`: its own, else that of [`ANY_PORT`].
    pub fn output(&self, name: &str) -> Option<&PortInfo> {
        find(&self.outputs, name)
    }
}

fn find<'a>(ports: &'a [PortInfo], name: &str) -> Option<&'a PortInfo> {
    let named = |wanted: &str| ports.iter().find(|port| port.name == wanted);
    named(name).or_else(|| named(ANY_PORT))
}
