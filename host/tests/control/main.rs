//! The rules of the control plane, one by one: what users see when nothing, or one thing, goes wrong.

mod cluster;
mod crashes;
mod daemons;
mod failures;
mod starts;
mod stops;
mod views;

/// A source on A that a sink on B reads.
const TWO: &str = "
nodes:
  - {id: a, path: x, outputs: [out], deploy: {machine: A}}
  - {id: b, path: x, inputs: {in: a/out}, deploy: {machine: B}}
";

/// One node that says nothing about its place.
const ONE: &str = "nodes: [{id: a, path: x, outputs: [out]}]";
