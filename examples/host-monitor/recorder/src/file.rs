//! The samples as an Arrow IPC file: columns `time` and `sequence`, then those of the samples.
//!
//! Invariant: after [`SampleFile::finish`] the file is whole, also without any sample. The last few samples wait in
//! memory for their batch until then. Absent: messages.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, StructArray};
use arrow_array::{TimestampNanosecondArray, types::TimestampNanosecondType};
use arrow_ipc::writer::FileWriter;
use arrow_schema::{ArrowError, DataType, Field, Fields, Metadata, Schema};
use arrow_select::concat::concat;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Samples in a batch of the file: each batch has a head of its own, larger than a sample.
const BATCH: usize = 50;

/// Why samples could not be written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file or its folder cannot be made.
    #[error("cannot make {}: {source}", path.display())]
    Make {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Writing failed.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What failed.
        source: ArrowError,
    },
    /// A file has one set of columns.
    #[error("the samples have other columns now: {now}; {} holds {first}", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// The type of the samples so far.
        first: DataType,
        /// The type of this one.
        now: DataType,
    },
}

/// A file that samples are written to.
pub struct SampleFile {
    path: PathBuf,
    state: State,
}

enum State {
    /// Nothing written: the columns are those of the first sample.
    Open(File),
    Writing(Box<Writing>),
    Finished,
}

struct Writing {
    writer: FileWriter<File>,
    schema: Arc<Schema>,
    of: DataType,
    times: Vec<i64>,
    sequences: Vec<Option<i64>>,
    samples: Vec<StructArray>,
}

impl SampleFile {
    /// Makes the file and its folder, or empties the file that is there.
    ///
    /// # Errors
    /// The system refuses.
    pub fn create(path: &Path) -> Result<Self, FileError> {
        Ok(Self {
            path: path.to_owned(),
            state: State::Open(make(path)?),
        })
    }

    /// Adds a sample, all its rows at one time (nanoseconds since the epoch). The host of the first one becomes
    /// metadata of the file.
    ///
    /// # Errors
    /// Other columns than before, or the system refuses.
    pub fn add(
        &mut self,
        time: i64,
        sequence: Option<i64>,
        host: Option<&str>,
        sample: &StructArray,
    ) -> Result<(), FileError> {
        if let State::Open(_) = self.state {
            self.start(sample.fields(), host)?;
        }
        let State::Writing(writing) = &mut self.state else {
            return Ok(());
        };
        if writing.of != *sample.data_type() {
            return Err(FileError::Changed {
                path: self.path.clone(),
                first: writing.of.clone(),
                now: sample.data_type().clone(),
            });
        }
        for _ in 0..sample.len() {
            writing.times.push(time);
            writing.sequences.push(sequence);
        }
        writing.samples.push(sample.clone());
        if writing.samples.len() >= BATCH {
            let written = writing.flush();
            return written.map_err(|source| self.write_error(source));
        }
        Ok(())
    }

    /// Writes what waits and the file's end. A second call does nothing.
    ///
    /// # Errors
    /// The system refuses.
    pub fn finish(&mut self) -> Result<(), FileError> {
        if let State::Open(_) = self.state {
            self.start(&Fields::empty(), None)?;
        }
        let State::Writing(mut writing) = std::mem::replace(&mut self.state, State::Finished)
        else {
            return Ok(());
        };
        // The end is written also after a batch failed, so that those before it can be read.
        let flushed = writing.flush();
        let finished = writing.writer.finish();
        flushed
            .and(finished)
            .map_err(|source| self.write_error(source))
    }

    fn start(&mut self, columns: &Fields, host: Option<&str>) -> Result<(), FileError> {
        let State::Open(file) = std::mem::replace(&mut self.state, State::Finished) else {
            return Ok(());
        };
        let schema = Arc::new(schema(columns, host));
        let writer =
            FileWriter::try_new(file, &schema).map_err(|source| self.write_error(source))?;
        self.state = State::Writing(Box::new(Writing {
            writer,
            schema,
            of: DataType::Struct(columns.clone()),
            times: Vec::new(),
            sequences: Vec::new(),
            samples: Vec::new(),
        }));
        Ok(())
    }

    fn write_error(&self, source: ArrowError) -> FileError {
        FileError::Write {
            path: self.path.clone(),
            source,
        }
    }
}

impl Writing {
    /// Writes the waiting samples as one batch.
    fn flush(&mut self) -> Result<(), ArrowError> {
        if self.samples.is_empty() {
            return Ok(());
        }
        let samples: Vec<&dyn Array> = self.samples.iter().map(|one| one as &dyn Array).collect();
        let samples = concat(&samples)?;
        self.samples.clear();
        let times: TimestampNanosecondArray = std::mem::take(&mut self.times).into();
        let sequences: Int64Array = std::mem::take(&mut self.sequences).into();
        let mut columns: Vec<ArrayRef> =
            vec![Arc::new(times.with_timezone("UTC")), Arc::new(sequences)];
        // A row that is null as a whole becomes nulls in each column.
        columns.extend(samples.as_struct().flatten().1);
        let batch = RecordBatch::try_new(self.schema.clone(), columns)?;
        self.writer.write(&batch)?;
        self.writer.flush()
    }
}

/// Makes a file and the folder that it is in.
pub fn make(path: &Path) -> Result<File, FileError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let made = std::fs::create_dir_all(folder).and_then(|()| File::create(path));
    made.map_err(|source| FileError::Make {
        path: path.to_owned(),
        source,
    })
}

fn schema(columns: &Fields, host: Option<&str>) -> Schema {
    let time = <TimestampNanosecondType as arrow_array::ArrowPrimitiveType>::DATA_TYPE;
    let time = match time {
        DataType::Timestamp(unit, _) => DataType::Timestamp(unit, Some("UTC".into())),
        other => other,
    };
    let mut fields = vec![
        Arc::new(Field::new("time", time, false)),
        Arc::new(Field::new("sequence", DataType::Int64, true)),
    ];
    fields.extend(columns.iter().map(|field| {
        // A whole row may be null in a later sample.
        Arc::new(field.as_ref().clone().with_nullable(true))
    }));
    let metadata: Metadata = host
        .map(|host| (host_readings::HOST, host))
        .into_iter()
        .collect();
    Schema::new_with_metadata(fields, metadata)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::UInt64Array;
    use arrow_array::types::{Int64Type, UInt64Type};
    use arrow_ipc::reader::FileReader;

    fn sample(value: Option<u64>, null: bool) -> StructArray {
        let fields = vec![Field::new("bytes", DataType::UInt64, true)];
        let columns: Vec<ArrayRef> = vec![Arc::new(UInt64Array::from(vec![value]))];
        StructArray::new(fields.into(), columns, null.then(|| vec![false].into()))
    }

    /// What a file holds: time, sequence and the column `bytes` of each row.
    fn read(path: &Path) -> Vec<(i64, Option<i64>, Option<u64>)> {
        let reader = FileReader::try_new(File::open(path).expect("a file"), None).expect("whole");
        let mut rows = Vec::new();
        for batch in reader {
            let batch = batch.expect("a batch");
            let times = batch["time"].as_primitive::<TimestampNanosecondType>();
            let sequences = batch["sequence"].as_primitive::<Int64Type>();
            let bytes = batch["bytes"].as_primitive::<UInt64Type>();
            let columns = times.values().iter().zip(sequences).zip(bytes);
            rows.extend(columns.map(|((time, sequence), bytes)| (*time, sequence, bytes)));
        }
        rows
    }

    #[test]
    fn samples_come_back_from_the_file_whatever_their_number() {
        let folder = tempfile::tempdir().expect("a folder");
        for count in [1, BATCH - 1, BATCH, BATCH + 1, 3 * BATCH] {
            let path = folder.path().join(format!("made/here/{count}.arrow"));
            let mut file = SampleFile::create(&path).expect("a file");
            let mut expected = Vec::new();
            for at in 0..count as i64 {
                let (sequence, value) = ((at % 3 > 0).then_some(at), (at % 5 > 0).then_some(7));
                let null = at % 7 == 0;
                let sample = sample(value, null);
                file.add(at * 1000, sequence, Some("here"), &sample)
                    .expect("written");
                expected.push((at * 1000, sequence, value.filter(|_| !null)));
            }
            file.finish().expect("finished");
            file.finish().expect("a second time does nothing");
            assert_eq!(read(&path), expected, "{count}");
        }
    }

    #[test]
    fn the_file_says_the_host_and_keeps_what_fields_say() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.arrow");
        let field = host_readings::field("bytes", DataType::UInt64, "B", true);
        let columns: Vec<ArrayRef> = vec![Arc::new(UInt64Array::from(vec![1]))];
        let sample = StructArray::new(vec![field.clone()].into(), columns, None);
        let mut file = SampleFile::create(&path).expect("a file");
        file.add(1, None, Some("here"), &sample).expect("written");
        file.finish().expect("finished");
        let reader = FileReader::try_new(File::open(&path).expect("a file"), None).expect("whole");
        let schema = reader.schema();
        assert_eq!(
            schema.metadata().get("host").map(String::as_str),
            Some("here")
        );
        assert_eq!(schema.field(2), &field);
        let time = DataType::Timestamp(arrow_schema::TimeUnit::Nanosecond, Some("UTC".into()));
        assert_eq!(schema.field(0), &Field::new("time", time, false));
    }

    #[test]
    fn a_file_without_samples_is_readable() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.arrow");
        let mut file = SampleFile::create(&path).expect("a file");
        file.finish().expect("finished");
        assert_eq!(read_count(&path), 0);
    }

    fn read_count(path: &Path) -> usize {
        let reader = FileReader::try_new(File::open(path).expect("a file"), None).expect("whole");
        reader.map(|batch| batch.expect("a batch").num_rows()).sum()
    }

    #[test]
    fn other_columns_are_refused_and_leave_the_file_readable() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.arrow");
        let mut file = SampleFile::create(&path).expect("a file");
        file.add(1, None, None, &sample(Some(1), false))
            .expect("written");
        let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![1]))];
        let other = vec![Field::new("bytes", DataType::Int64, true)];
        let other = StructArray::new(other.into(), columns, None);
        let error = file.add(2, None, None, &other).expect_err("another type");
        let text = error.to_string();
        assert!(
            text.starts_with("the samples have other columns now"),
            "{text}"
        );
        assert!(text.contains("a.arrow"), "{text}");
        file.finish().expect("finished");
        assert_eq!(read(&path), [(1, None, Some(1))]);
    }

    #[test]
    fn a_file_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = SampleFile::create(folder.path())
            .err()
            .map(|e| e.to_string());
        let start = format!("cannot make {}: ", folder.path().display());
        assert!(error.is_some_and(|text| text.starts_with(&start)));
    }
}
