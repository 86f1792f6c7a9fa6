//! Writes the samples to an Arrow IPC file, and at the end what happened as one HTML page.

use crate::chart;
use crate::file::{FileError, SampleFile, make};
use crate::history::History;
use arrow_array::cast::AsArray;
use host_readings::{HOST, SEQUENCE, STATISTICS, from_array};
use plugin_abi::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;
use std::io::Write;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

/// What a descriptor may set. Paths start from the current folder; folders on the way are made.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The Arrow IPC file; one that is there is replaced.
    file: PathBuf,
    /// The HTML page; one that is there is replaced.
    chart: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            file: "host-monitor.arrow".into(),
            chart: "host-monitor.html".into(),
        }
    }
}

/// The node: the file that is being written, and what the chart will show.
pub struct Recorder {
    config: Config,
    file: SampleFile,
    history: History,
    finished: bool,
}

impl Node for Recorder {
    type Config = Config;

    fn kind() -> Kind {
        Kind::new("recorder")
            .about("Writes samples to an Arrow IPC file, and a chart of them at the end")
            .input(
                Port::new("sample")
                    .of("Struct")
                    .about("One or more rows; all with the same columns"),
            )
            .input(
                Port::new("statistics")
                    .of(STATISTICS)
                    .about("What to draw over the samples; may be left out"),
            )
    }

    fn create(config: Config, _: &Context<'_>) -> Result<Self> {
        let file = SampleFile::create(&config.file)?;
        let history = History::default();
        // Written now too, so that a path that cannot be is an error at the start and not after the run.
        write_chart(&config, &history)?;
        Ok(Self {
            config,
            file,
            history,
            finished: false,
        })
    }

    fn on_input(&mut self, input: Input<'_>, _: &Outputs) -> Result<Flow> {
        match input.name() {
            "statistics" => {
                let statistics = from_array(&input.array()?)?;
                self.history.add_statistics(time_of(&input), statistics);
            }
            _ => self.add_sample(&input)?,
        }
        Ok(Flow::Continue)
    }

    fn on_stop(&mut self, _: Stop, _: &Outputs) -> Result<()> {
        self.finish()
    }
}

impl Recorder {
    fn add_sample(&mut self, message: &Message) -> Result<()> {
        let array = message.array()?;
        let Some(sample) = array.as_struct_opt() else {
            return Err(format!("expected a struct, got {}", message.data_type()).into());
        };
        let parameters = message.parameters()?;
        let sequence = match parameters.get(SEQUENCE) {
            Some(Value::Integer(sequence)) => Some(*sequence),
            _ => None,
        };
        if let (None, Some(Value::Text(host))) = (&self.history.host, parameters.get(HOST)) {
            self.history.host = Some(host.clone());
        }
        let (time, host) = (time_of(message), self.history.host.as_deref());
        self.file.add(time, sequence, host, sample)?;
        self.history.add_sample(time, sample);
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.finished = true;
        // Each is written whatever becomes of the other.
        let file = self.file.finish();
        let chart = write_chart(&self.config, &self.history);
        file.and(chart)?;
        log::info!(
            "{} samples in {}, their chart in {}",
            self.history.samples,
            self.config.file.display(),
            self.config.chart.display()
        );
        Ok(())
    }
}

impl Drop for Recorder {
    /// A node that fails is not told to stop; what it has recorded is to be readable all the same.
    fn drop(&mut self) {
        if !self.finished
            && let Err(error) = self.finish()
        {
            log::error!("{error}");
        }
    }
}

/// When a message was sent, in nanoseconds since the epoch.
fn time_of(message: &Message) -> i64 {
    let since = message.timestamp().system_time().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(i64::MAX)
}

fn write_chart(config: &Config, history: &History) -> Result<(), FileError> {
    let page = chart::page(history);
    let written = make(&config.chart)?.write_all(page.as_bytes());
    written.map_err(|error| FileError::Write {
        path: config.chart.clone(),
        source: error.into(),
    })
}

#[cfg(test)]
mod tests;
