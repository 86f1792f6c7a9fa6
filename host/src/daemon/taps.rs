//! Who looks on at outputs: bounded in number and time, so that a forgotten terminal costs nothing for long.

use super::event::Action;
use super::share::Share;
use crate::control::{RequestId, TapError, TapRequest, declared_outputs};
use crate::ids::{DataflowId, MachineId};
use std::collections::BTreeMap;
use std::time::Duration;

/// Most outputs that are looked at at one time.
pub const MAX_TAPS: usize = 64;

/// Longest time that a tap lasts without being asked for again.
pub const MAX_LEASE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Default)]
pub(super) struct Taps(BTreeMap<RequestId, (DataflowId, Duration)>);

impl Taps {
    /// Begins or prolongs a tap.
    pub fn ask(
        &mut self,
        request: TapRequest,
        share: Option<&Share>,
        machine: &MachineId,
        now: Duration,
        out: &mut Vec<Action>,
    ) -> Result<(), TapError> {
        let until = now + request.lease.min(MAX_LEASE);
        let running = share.filter(|share| !share.is_ended());
        let Some(prepare) = running.and_then(|share| share.prepare.as_ref()) else {
            return Err(TapError::NotRunning {
                dataflow: request.dataflow,
                machine: machine.clone(),
            });
        };
        if let Some((_, end)) = self.0.get_mut(&request.tap) {
            *end = until.max(*end);
            return Ok(());
        }
        let here = prepare.placement.of(&request.node) == Some(machine);
        let node = prepare.descriptor.node(request.node.as_str());
        let Some(node) = node.filter(|_| here) else {
            return Err(TapError::NoNode {
                node: request.node,
                machine: machine.clone(),
            });
        };
        let kind = running.and_then(|share| share.kinds.get(&request.node));
        let known: Vec<String> = declared_outputs(node, kind)
            .into_iter()
            .map(|output| output.name)
            .collect();
        if !known.iter().any(|name| name == request.output.as_str()) {
            return Err(TapError::NoOutput {
                node: request.node,
                output: request.output,
                known,
            });
        }
        if self.0.len() >= MAX_TAPS {
            return Err(TapError::TooMany { limit: MAX_TAPS });
        }
        self.0.insert(request.tap, (request.dataflow, until));
        out.push(Action::Tap(request));
        Ok(())
    }

    /// Ends those whose time is over or whose dataflow is.
    pub fn time(
        &mut self,
        now: Duration,
        is_live: impl Fn(DataflowId) -> bool,
        out: &mut Vec<Action>,
    ) {
        self.0.retain(|tap, (dataflow, until)| {
            let kept = now < *until && is_live(*dataflow);
            if !kept {
                out.push(Action::Untap(*tap));
            }
            kept
        });
    }

    /// When the first is over.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.0.values().map(|(_, until)| *until).min()
    }
}
