//! A host process of one node: an executable whose node is in a plugin.

use super::{HostedError, loader, report_crashes};
use crate::plugin::preflight::Isolation;
use crate::process::native::RECORD;
use plugin_abi::hosting::{KindTable, LibraryTable, NodeFailure};
use plugin_abi::wire::channel::{Channel, Side};
use plugin_abi::wire::frame::{Create, FromNode, Line, is_greeting};
use plugin_abi::wire::memory::Pool;
use plugin_abi::wire::node::serve;
use plugin_abi::wire::sys::Stream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// Runs the node that the daemon asks for, to its end. Says whether it was a good one.
///
/// # Errors
/// See [`HostedError`].
pub fn run() -> Result<bool, HostedError> {
    report_crashes();
    let stream = Stream::take_stdin(is_greeting).ok_or(HostedError::NoDaemon)?;
    let (channel, incoming) = Channel::new(stream, Side::Node, Pool::default());
    let loader = loader(Isolation::Own, move |_, line| {
        // Without a daemon nobody reads it.
        let _ = channel.send(&FromNode::Log(Line::from(line)));
    });
    let mut find = |create: &Create| -> Result<(KindTable, &'static LibraryTable), NodeFailure> {
        let file = Path::new(&create.plugin);
        let loaded = loader.load(file);
        let plugin = loaded.map_err(|error| {
            let text = format!("`{}`: {error}", file.display());
            NodeFailure::new(text)
        })?;
        let kind = plugin.kind(&create.kind).ok_or_else(|| {
            let text = format!("`{}` has no node kind `{}`", file.display(), create.kind);
            NodeFailure::new(text)
        })?;
        Ok((kind, plugin.library()))
    };
    let level = Arc::new(AtomicU32::new(3));
    Ok(serve(&RECORD, incoming, level, &mut find)?)
}
