//! Keeps the last samples, and sends what they say of each column on each report.

use crate::window::Window;
use arrow_array::cast::AsArray;
use host_readings::{SEQUENCE, STATISTICS, Statistic, columns, to_array};
use plugin_abi::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;
use std::num::NonZeroU32;
use std::time::UNIX_EPOCH;

/// What a descriptor may set.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How many of the last samples the statistics are about.
    window: NonZeroU32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            window: NonZeroU32::new(50).unwrap_or(NonZeroU32::MIN),
        }
    }
}

/// The node: a window for each column, by its name and in the samples' order.
pub struct Statistics {
    limit: u32,
    windows: Vec<(String, Window)>,
    sequence: Option<Value>,
}

impl Node for Statistics {
    type Config = Config;

    fn kind() -> Kind {
        Kind::new("statistics")
            .about("Reports mean, rate and 95th percentile of the last samples, per column")
            .input(
                Port::new("sample")
                    .of("Struct")
                    .about("Columns of numbers; others are passed over"),
            )
            .input(
                Port::new("report").about("Any message; usually a timer slower than the samples"),
            )
            .output(
                Port::new("statistics")
                    .of(STATISTICS)
                    .about("One row per column of the samples"),
            )
    }

    fn create(config: Config, _: &Context<'_>) -> Result<Self> {
        Ok(Self {
            limit: config.window.get(),
            windows: Vec::new(),
            sequence: None,
        })
    }

    fn on_input(&mut self, input: Input<'_>, outputs: &Outputs) -> Result<Flow> {
        match input.name() {
            "report" => self.report(outputs)?,
            _ => self.take(input.message())?,
        }
        Ok(Flow::Continue)
    }

    fn on_input_closed(&mut self, input: &str, outputs: &Outputs) -> Result<Flow> {
        if input != "sample" {
            return Ok(Flow::Continue);
        }
        // Reports never end: the samples since the last one get one of their own, and that is all.
        self.report(outputs)?;
        Ok(Flow::Done)
    }
}

impl Statistics {
    fn take(&mut self, message: &Message) -> Result<()> {
        let array = message.array()?;
        let Some(sample) = array.as_struct_opt() else {
            return Err(format!("expected a struct, got {}", message.data_type()).into());
        };
        // Only differences count, so a clock before the epoch is as good as one at it.
        let since = message.timestamp().system_time().duration_since(UNIX_EPOCH);
        let time = since.unwrap_or_default();
        let columns = columns(sample);
        let known = self.windows.iter().map(|(name, _)| name.as_str());
        if !known.eq(columns.iter().map(|column| column.name)) {
            self.start_over(columns.iter().map(|column| column.name));
        }
        for ((_, window), column) in self.windows.iter_mut().zip(columns) {
            for value in column.values {
                window.push(time, value);
            }
        }
        self.sequence = message.parameters()?.get(SEQUENCE).cloned();
        Ok(())
    }

    fn start_over<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        let windows: Vec<_> = names
            .map(|name| (name.to_owned(), Window::new(self.limit as usize)))
            .collect();
        if !self.windows.is_empty() {
            log::warn!("the samples have other columns now: their statistics start anew");
        }
        self.windows = windows;
    }

    /// Sends nothing while there is nothing to say.
    fn report(&self, outputs: &Outputs) -> Result<()> {
        if self.windows.is_empty() {
            return Ok(());
        }
        let windows = self.windows.iter();
        let statistics: Vec<Statistic> = windows
            .map(|(name, window)| window.statistic(name))
            .collect();
        let mut parameters = Parameters::new().with("window", self.limit);
        if let Some(sequence) = &self.sequence {
            parameters.set(SEQUENCE, sequence.clone());
        }
        let rows = to_array(&statistics);
        outputs.send_with("statistics", &rows, &parameters)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Statistics;
    use arrow_array::{ArrayRef, Float64Array, StringArray, StructArray, UInt64Array};
    use arrow_schema::DataType;
    use host_readings::{STATISTICS, Statistic, field, from_array};
    use plugin_abi::prelude::*;
    use plugin_abi::testing::Harness;
    use std::sync::Arc;
    use std::time::Duration;

    const TICK: Duration = Duration::from_millis(100);

    fn sample(load: Option<f64>, bytes: u64) -> ArrayRef {
        let fields = vec![
            field("load", DataType::Float64, "%", false),
            field("name", DataType::Utf8, "", false),
            field("bytes", DataType::UInt64, "B", true),
        ];
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Float64Array::from(vec![load])),
            Arc::new(StringArray::from(vec!["passed over"])),
            Arc::new(UInt64Array::from(vec![bytes])),
        ];
        Arc::new(StructArray::new(fields.into(), columns, None))
    }

    fn feed(node: &mut Harness<Statistics>, load: Option<f64>, bytes: u64) {
        node.advance(TICK).expect("time passes");
        let sequence = Parameters::new().with("sequence", bytes as i64);
        let flow = node.input_with("sample", sample(load, bytes), &sequence);
        assert_eq!(flow, Ok(Flow::Continue));
    }

    fn statistics(message: &Message) -> Vec<Statistic> {
        assert_eq!(message.data_type(), STATISTICS);
        from_array(&message.array().expect("an array")).expect("statistics")
    }

    #[test]
    fn samples_only_change_the_state_and_a_report_sends_it() {
        let mut node = Harness::<Statistics>::new(r#"{"window": 3}"#).expect("it starts");
        node.input("report", ()).expect("nothing to say yet");
        for (load, bytes) in [
            (Some(1.0), 1000),
            (Some(2.0), 2000),
            (Some(f64::NAN), 2500),
            (None, 3000),
        ] {
            feed(&mut node, load, bytes);
        }
        assert_eq!(node.take("statistics").len(), 0);
        node.input("report", ()).expect("a report");
        let sent = node.take("statistics");
        assert_eq!(sent.len(), 1);
        let parameters = sent[0].parameters().expect("parameters");
        assert_eq!(parameters.get("window"), Some(&Value::Integer(3)));
        assert_eq!(parameters.get("sequence"), Some(&Value::Integer(3000)));
        let mut actual = statistics(&sent[0]);
        // Time stamps are in fractions of 2^32 of a second.
        for one in &mut actual {
            one.rate = one.rate.map(f64::round);
        }
        let expected = |column: &str, samples, mean, rate, p95| Statistic {
            column: column.into(),
            samples,
            mean: Some(mean),
            rate,
            p95: Some(p95),
        };
        assert_eq!(
            actual,
            [
                expected("load", 1, 2.0, None, 2.0),
                expected("bytes", 3, 2500.0, Some(5000.0), 2950.0),
            ]
        );
    }

    #[test]
    fn reports_at_its_own_rate_and_once_more_at_the_end() {
        let mut node = Harness::<Statistics>::new("{}").expect("it starts");
        node.timer("report", Duration::from_secs(1));
        for at in 0..25 {
            feed(&mut node, Some(1.0), at);
        }
        let reported = node.take("statistics");
        let counts: Vec<_> = reported
            .iter()
            .map(|message| statistics(message)[0].samples)
            .collect();
        assert_eq!(counts, [9, 19]);
        assert_eq!(node.close("report"), Ok(Flow::Continue));
        assert_eq!(node.close("sample"), Ok(Flow::Done));
        assert_eq!(statistics(&node.take("statistics")[0])[0].samples, 25);
    }

    #[test]
    fn other_columns_start_anew() {
        let mut node = Harness::<Statistics>::new("{}").expect("it starts");
        feed(&mut node, Some(1.0), 1);
        let fields = vec![field("heat", DataType::Float64, "°C", false)];
        let columns: Vec<ArrayRef> = vec![Arc::new(Float64Array::from(vec![7.0, 8.0]))];
        let other = StructArray::new(fields.into(), columns, None);
        node.input("sample", &other).expect("taken");
        node.input("report", ()).expect("a report");
        let actual = statistics(&node.take("statistics")[0]);
        let names: Vec<_> = actual.iter().map(|one| (&*one.column, one.mean)).collect();
        assert_eq!(names, [("heat", Some(7.5))]);
    }

    #[test]
    fn fails_on_what_is_no_struct_and_refuses_an_empty_window() {
        let mut node = Harness::<Statistics>::new("{}").expect("it starts");
        let error = node.input("sample", 1_u64).expect_err("a number");
        assert_eq!(error.text, "expected a struct, got UInt64");
        let error = Harness::<Statistics>::new(r#"{"window": 0}"#).expect_err("empty");
        assert!(error.text.contains("nonzero"), "{error}");
    }
}
