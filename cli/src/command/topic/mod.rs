//! The commands about outputs, one file each, and the choice of an output.

mod echo;
mod hz;

use super::lists;
use crate::args::{TopicCommand, TopicName};
use eyre::{Result, bail};
use host::client::Client;
use host::control::{Target, TopicSummary};
use std::process::ExitCode;

/// Most outputs that a message lists.
const LISTED: usize = 12;

/// Runs the command.
pub fn run(command: &TopicCommand) -> Result<ExitCode> {
    match command {
        TopicCommand::List(args) => lists::topics(args),
        TopicCommand::Echo(args) => echo::run(args),
        TopicCommand::Hz(args) => hz::run(args),
    }
}

/// The output that is meant: the only one of this name among the running dataflows, or in the one that is named.
async fn find(client: &Client, dataflow: Option<&str>, name: &TopicName) -> Result<TopicSummary> {
    let topics = client.topics(dataflow.map(Target::parse)).await?;
    choose(topics, name)
}

fn choose(topics: Vec<TopicSummary>, name: &TopicName) -> Result<TopicSummary> {
    let shown = format!("`{}/{}`", name.node, name.output);
    let is_meant =
        |topic: &TopicSummary| topic.node == name.node && topic.output == name.output.as_str();
    let (mut meant, others): (Vec<_>, Vec<_>) = topics.into_iter().partition(is_meant);
    match (meant.pop(), meant.is_empty()) {
        (Some(topic), true) => Ok(topic),
        (Some(last), false) => {
            meant.push(last);
            let dataflows = meant.iter().map(|topic| {
                topic
                    .name
                    .clone()
                    .unwrap_or_else(|| topic.dataflow.to_string())
            });
            let dataflows = dataflows.collect::<Vec<_>>().join(", ");
            bail!(
                "several dataflows have an output {shown}; choose one with `--dataflow`: {dataflows}"
            )
        }
        (None, _) if others.is_empty() => bail!("no output {shown}: no node that runs has outputs"),
        (None, _) => {
            let mut names: Vec<String> = others
                .iter()
                .map(|topic| format!("`{}/{}`", topic.node, topic.output))
                .collect();
            names.sort();
            names.dedup();
            let more = if names.len() > LISTED { ", ..." } else { "" };
            names.truncate(LISTED);
            bail!("no output {shown}; there are {}{more}", names.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::choose;
    use crate::view::samples;

    #[test]
    fn an_output_is_found_by_its_name_or_the_error_says_what_there_is() {
        let name = |text: &str| text.parse().unwrap();
        let found = choose(samples::topics(), &name("status/status")).unwrap();
        assert_eq!(found.node.as_str(), "status");
        let error = choose(samples::topics(), &name("status/state")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no output `status/state`; there are `random/random`, `status/status`"
        );
        let twice = [samples::topics(), samples::topics()].concat();
        let error = choose(twice, &name("random/random")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "several dataflows have an output `random/random`; choose one with `--dataflow`: camera, camera"
        );
        let error = choose(Vec::new(), &name("a/b")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no output `a/b`: no node that runs has outputs"
        );
    }
}
