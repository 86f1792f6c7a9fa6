//! A process for one node alone: an executable, or a host process of one plugin.

use super::{OnEnd, Process, ProcessEnd, Spawn};
use crate::descriptor::LogSpec;
use crate::engine::OutsideEnd;
use crate::process::child::{Child, Exit, Hooks, Launch};
use crate::process::lines::Lines;
use crate::process::program::Problem;
use crate::sys::{crash, scene};
use plugin_abi::hosting::NodeFailure;
use plugin_abi::wire::sys::Object;

/// How it is started.
#[derive(Debug, Clone)]
pub struct OwnProcess {
    /// What is started; the connection becomes its standard input.
    pub launch: Launch,
    /// Where its lines go.
    pub logs: LogSpec,
}

impl Spawn for OwnProcess {
    fn spawn(
        &self,
        connection: Object,
        end: &OutsideEnd,
        ended: OnEnd,
    ) -> Result<Box<dyn Process>, NodeFailure> {
        let lines = Lines::new(end.clone(), &self.logs);
        let hooks = Hooks {
            on_line: Box::new(move |stream, line| lines.take(stream, line)),
            on_exit: Box::new(move |exit| ended((&exit).into())),
        };
        let child = connection
            .into_stdin()
            .and_then(|stdin| Child::spawn_with(&self.launch, stdin, hooks));
        match child {
            Ok(child) => Ok(Box::new(child)),
            Err(error) => {
                let problem = Problem::of_start(&self.launch, &error);
                Err(NodeFailure::new(problem.to_string()))
            }
        }
    }
}

impl Process for Child {
    fn kill(&self) {
        Child::kill(self);
    }

    fn end(&self, _why: &str, thread: Option<u32>) {
        if let Some(thread) = thread {
            self.ask_stack(thread);
        }
        Child::kill(self);
    }
}

impl From<&Exit> for ProcessEnd {
    fn from(exit: &Exit) -> Self {
        let mut causes = Vec::new();
        if !exit.success() && !exit.stderr.is_empty() {
            let last = exit.stderr.join("\n");
            causes.push(format!("the last it wrote to stderr:\n{last}"));
        }
        // In a line of its report it says why.
        let mut report = exit
            .stderr
            .iter()
            .skip_while(|line| !line.starts_with(crash::BEGIN));
        let first = report.next();
        let node = first.and_then(|line| line.split_once(crash::CALLED));
        let node = node.and_then(|(_, rest)| rest.split('`').next());
        let cause = match first {
            Some(first) if first.contains(crash::OVERFLOW) => Some("stack overflow"),
            _ => report.find_map(|line| line.strip_prefix(scene::CAUSE)),
        };
        let cause = cause.filter(|_| exit.crash().is_some());
        let cause = cause.map_or_else(String::new, |cause| format!(" ({cause})"));
        Self {
            how: format!("{exit}{cause}"),
            success: exit.success(),
            crashed: exit.crash().is_some(),
            node: node.map(ToOwned::to_owned),
            causes,
        }
    }
}
