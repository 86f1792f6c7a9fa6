//! The texts of a scene: what is written down of a node, and what is read after a crash.
//!
//! Invariant: what is read is bounded, printable and believed as little as anything from outside. Absent: what a user is
//! told of it.

use super::memory::{Byte, Region, callback_of};
use super::{About, Callback};
use std::path::PathBuf;
use std::sync::atomic::Ordering;

/// A process that may crash: who it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Life {
    /// As in "the daemon of machine `A`"; nothing when it has not come so far.
    pub who: String,
    /// Which of its lives it was, where it has several.
    pub epoch: String,
    /// The folder of the log files.
    pub out: Option<PathBuf>,
}

impl Life {
    pub(super) fn encode(&self) -> String {
        let out = self.out.as_deref().and_then(|out| out.to_str());
        format!(
            "who {}\nepoch {}\nout {}\n",
            self.who,
            self.epoch,
            out.unwrap_or_default()
        )
    }

    fn decode(lines: &[String]) -> Self {
        let of = |key: &str| lines.iter().find_map(|line| line.strip_prefix(key));
        let out = of("out ").filter(|out| !out.is_empty());
        Self {
            who: of("who ").unwrap_or_default().into(),
            epoch: of("epoch ").unwrap_or_default().into(),
            out: out.map(PathBuf::from),
        }
    }
}

/// The message that a callback had got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// How many values it had.
    pub values: u64,
    /// Its metadata, in the form of the plugin ABI.
    pub meta: Vec<u8>,
}

/// What a process has left that has crashed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Crash {
    /// The process.
    pub life: Life,
    /// The signal that it crashed with.
    pub signal: Option<i32>,
    /// Because a stack has overflowed.
    pub overflow: bool,
    /// Somebody has called `exit`.
    pub exit: bool,
    /// The dataflow's UUID, as text.
    pub dataflow: String,
    /// The node whose callback ran on the thread that has crashed.
    pub node: Option<String>,
    /// The callback.
    pub callback: Option<Callback>,
    /// The names of the node's inputs.
    pub inputs: Vec<String>,
    /// What the node's code is.
    pub code: Vec<String>,
    /// The message that the callback had got.
    pub message: Option<Message>,
    /// What it said when it crashed: how, where, and its frames.
    pub report: Vec<String>,
}

impl Crash {
    /// The name of the input that the callback was for.
    pub fn input(&self) -> Option<&str> {
        let index = match self.callback? {
            Callback::Input(input) | Callback::InputClosed(input) => input,
            _ => return None,
        };
        Some(self.inputs.get(index as usize).map_or("?", String::as_str))
    }

    /// In which callback it was; nothing when it was in none.
    pub fn words(&self) -> String {
        let input = self.input().unwrap_or_default();
        self.callback
            .map_or_else(String::new, |callback| words(callback, input))
    }

    /// Why it says that it was ended, such as what a library has found broken.
    pub fn cause(&self) -> Option<&str> {
        let mut lines = self.report.iter();
        lines.find_map(|line| line.strip_prefix(CAUSE))
    }
}

/// How the line begins that says what a library has found broken.
pub const CAUSE: &str = "  because: ";

/// A callback, in words that follow what has happened.
pub fn words(callback: Callback, input: &str) -> String {
    match callback {
        Callback::Create => " while its node was made".into(),
        Callback::Input(_) => format!(" in its callback for input `{input}`"),
        Callback::InputClosed(_) => format!(" in its callback for the end of input `{input}`"),
        Callback::Stop => " in its callback for the stop".into(),
        Callback::Destroy => " while its node was dropped".into(),
    }
}

/// A node, as it is written down.
pub(super) fn encode(about: About<'_>) -> String {
    let mut text = format!("{}\n{}\n", about.node, about.dataflow);
    for line in about.code.lines() {
        text.push_str(&format!("  {line}\n"));
    }
    for input in about.inputs {
        text.push_str(&format!("{input}\n"));
    }
    text
}

/// The node's id, from what is written down of it.
pub(super) fn node(about: &[Byte]) -> &[Byte] {
    let mut bytes = about.iter();
    let end = bytes.position(|byte| byte.load(Ordering::Relaxed) == b'\n');
    about.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// What was written down, line by line; a last one that was cut is left out.
fn lines(bytes: &[u8]) -> Vec<String> {
    let mut lines = bytes.split(|byte| *byte == b'\n').map(plain);
    lines.next_back();
    lines.collect()
}

fn plain(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    text.replace(char::is_control, "?")
}

/// What was written. `guess`: when nothing was of a crash, it was the node that was called, if only one was.
pub(super) fn crash(region: &Region, guess: bool) -> Crash {
    let how = region.how.load(Ordering::Acquire);
    let life = Life::decode(&lines(&region.life.read()));
    if how == 0 {
        let mut busy = region.busy().filter(|_| guess);
        return match (busy.next(), busy.next()) {
            (Some(only), None) => {
                let callback = only.callback.load(Ordering::Acquire);
                Crash::of(life, &only.about.read(), callback)
            }
            _ => Crash::of(life, &[], 0),
        };
    }
    let meta = region.meta.read();
    let message = (!meta.is_empty()).then(|| Message {
        values: region.values.load(Ordering::Relaxed),
        meta,
    });
    let about = region.about.read();
    Crash {
        signal: (how < 3).then(|| region.signal.load(Ordering::Relaxed).cast_signed()),
        overflow: how == 2,
        exit: how == 3,
        message,
        report: lines(&region.report.read()),
        ..Crash::of(life, &about, region.callback.load(Ordering::Relaxed))
    }
}

impl Crash {
    /// Of this node, which may be nobody.
    fn of(life: Life, about: &[u8], callback: u64) -> Self {
        let mut lines = lines(about).into_iter();
        let (node, dataflow) = (lines.next(), lines.next());
        let (code, inputs): (Vec<_>, Vec<_>) = lines.partition(|line| line.starts_with("  "));
        Self {
            life,
            dataflow: dataflow.unwrap_or_default(),
            callback: node.as_ref().and_then(|_| callback_of(callback)),
            node,
            inputs,
            code: code.iter().map(|line| line.trim().to_owned()).collect(),
            ..Self::default()
        }
    }
}
