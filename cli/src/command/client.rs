//! A connection to the coordinator for the length of a command, and the progress of what takes long.

use crate::args::WhereArgs;
use crate::terminal::say;
use eyre::{Result, WrapErr};
use host::client::{CONNECT_DEADLINE, Client};
use host::control::{Phase, Progress};
use tokio::runtime::{Builder, Runtime};

/// A runtime for a command: one thread is enough, the network has its own.
pub fn runtime() -> Result<Runtime> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.wrap_err("cannot start the runtime")
}

/// Connects, does the work, and ends the connection.
///
/// # Errors
/// There is no coordinator to talk to, or the work's.
pub fn with<T>(coordinator: &WhereArgs, work: impl AsyncFnOnce(&Client) -> Result<T>) -> Result<T> {
    runtime()?.block_on(async {
        let client = Client::connect(&coordinator.address(), CONNECT_DEADLINE).await?;
        let done = work(&client).await;
        client.close().await;
        done
    })
}

/// Says on standard error what is waited for, once for each change.
pub fn tell_progress() -> impl FnMut(&Progress) {
    let mut told = None;
    move |progress| {
        if told.as_ref() != Some(progress) {
            say!("{}", words(progress));
            told = Some(progress.clone());
        }
    }
}

fn words(progress: &Progress) -> String {
    let machines: Vec<String> = progress.machines.iter().map(ToString::to_string).collect();
    let whom = match machines.as_slice() {
        [] => "waiting".to_owned(),
        [one] => format!("waiting for machine {one}"),
        _ => format!("waiting for machines {}", machines.join(", ")),
    };
    let what = match progress.phase {
        Some(Phase::Preparing) => " to check its nodes",
        Some(Phase::Spawning) => " to make its nodes",
        Some(Phase::Starting) => " to start its nodes",
        Some(Phase::Stopping) => " to stop its nodes",
        Some(Phase::Recovering) => " to say what it runs",
        Some(Phase::Running | Phase::Ended) | None => "",
    };
    format!("{whom}{what} ...")
}

#[cfg(test)]
mod tests {
    use super::words;
    use host::control::{Phase, Progress};

    #[test]
    fn the_machines_that_are_waited_for_are_named() {
        let progress = |phase, machines: &[&str]| Progress {
            phase,
            machines: machines.iter().map(|name| name.parse().unwrap()).collect(),
        };
        for (phase, machines, expected) in [
            (
                Some(Phase::Preparing),
                &["B"][..],
                "waiting for machine B to check its nodes ...",
            ),
            (
                Some(Phase::Stopping),
                &["A", "B"],
                "waiting for machines A, B to stop its nodes ...",
            ),
            (None, &["A"], "waiting for machine A ..."),
            (None, &[], "waiting ..."),
        ] {
            assert_eq!(words(&progress(phase, machines)), expected);
        }
    }
}
