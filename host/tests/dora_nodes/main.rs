//! Real dora nodes, as they come from PyPI, on the port for nodes: Python of three message formats.
//!
//! Where PyPI cannot be reached, or there is no Python, the tests say so and show nothing.

mod direct;
mod echo;
mod flow;
mod flows;
mod host;
mod life;
mod lives;
mod strangers;

use host::TestHost;
use host_testing::python::{self, Python};
use host_testing::skipped;

/// dora's releases and their message formats.
const RELEASES: [(&str, &str); 3] = [("1.1.0", "1.1.0"), ("0.4.1", "0.7.0"), ("0.3.12", "0.5.0")];

fn each(test: impl Fn(&Python, &str)) {
    for (release, format) in RELEASES {
        match Python::with_dora(release) {
            Ok(python) => test(&python, format),
            Err(reason) => skipped(&format!("no PyPI: dora-rs {release}: {reason}")),
        }
    }
}
