//! Lives of this daemon before this one, as its guard has seen them end: what is told of them.
//!
//! Invariant: the log of a dataflow says which of its nodes has crashed its daemon, and where the report is. Absent: what
//! becomes of the nodes, which the coordinator decides.

use crate::control::{Culprit, Epoch, Fallen};
use crate::guard::{self, Death};
use crate::ids::MachineId;
use crate::local;
use crate::logs::{CrashReport, Level, LogHub, Origin, Record};
use std::time::Duration;
use uuid::Uuid;

/// How long a report may take to be written: the disk may be full, or away.
const WRITTEN: Duration = Duration::from_secs(1);

/// All of them, the latest last. That one is told of in the log: those before it have been.
pub(super) fn lives(machine: &MachineId, hub: &LogHub) -> Vec<Fallen> {
    let deaths = guard::before();
    if let Some(report) = deaths.last().and_then(local::report_of) {
        tell(report, machine, hub);
    }
    deaths.iter().filter_map(fallen).collect()
}

fn tell(report: CrashReport, machine: &MachineId, hub: &LogHub) {
    let report = CrashReport {
        machine: Some(machine.to_string()),
        ..report
    };
    let origin = Origin {
        dataflow: Some(report.dataflow),
        node: Some(report.node.clone()),
        machine: report.machine.clone(),
        ..Origin::default()
    };
    let (dataflow, how) = (report.dataflow, report.how.clone());
    let text = local::pointing(&how, hub.report(report).as_deref());
    hub.submit(Record::new(Level::Error, "dora", text).by(origin));
    hub.dataflow_ended(dataflow);
    // Before anybody looks for it.
    hub.flush(WRITTEN);
}

fn fallen(death: &Death) -> Option<Fallen> {
    let crash = death.crash.as_ref()?;
    let epoch: Uuid = crash.life.epoch.parse().ok()?;
    Some(Fallen {
        epoch: Epoch::from_uuid(epoch),
        how: death.how.clone(),
        culprit: culprit(death),
    })
}

fn culprit(death: &Death) -> Option<Culprit> {
    let crash = death.crash.as_ref()?;
    let report = local::report_of(death)?;
    let out = crash.life.out.as_deref();
    let path = out.map(|out| report.path(out)).filter(|path| path.exists());
    Some(Culprit {
        dataflow: crash.dataflow.parse().ok()?,
        node: crash.node.as_deref()?.parse().ok()?,
        text: local::pointing(&report.how, path.as_deref()),
        last_input: crash.input().map(ToOwned::to_owned),
    })
}
