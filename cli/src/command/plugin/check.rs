//! `dora plugin check`: one line per plugin.

use super::counted;
use crate::args::CheckArgs;
use crate::terminal::{self, BAD, FAINT, GOOD, safe};
use host::find::{find, libraries_in};
use host::plugin::describe::{DescribeError, Describer};
use host::plugin::info::PluginInfo;
use serde_json::json;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Plugins that are loaded at a time: loading is short, and mostly waiting for the disk.
const PARALLEL: NonZeroUsize = NonZeroUsize::new(4).unwrap();

/// What became of one plugin.
enum Verdict {
    Fits(PluginInfo),
    Refused(DescribeError),
    /// There is nothing to check, and why.
    Nothing(String),
}

pub fn run(args: &CheckArgs) -> eyre::Result<ExitCode> {
    let mut printer = Printer {
        out: terminal::stdout(),
        json: args.json.then(Vec::new),
        all_fit: true,
    };
    let describer = Describer::new()?.deadline(args.timeout);
    check(&args.files, &describer, &mut printer)?;
    printer.finish()?;
    Ok(if printer.all_fit {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Checks all that was named, in its order.
fn check(
    named: &[PathBuf],
    describer: &Describer,
    printer: &mut Printer<impl Write>,
) -> io::Result<()> {
    let expanded: Vec<_> = named.iter().flat_map(|path| expand(path)).collect();
    let files: Vec<PathBuf> = expanded
        .iter()
        .filter_map(|file| file.as_ref().ok().cloned())
        .collect();
    let mut rest = expanded.into_iter();
    let mut printed = Ok(());
    describer.describe_many(&files, PARALLEL, &mut |index, result| {
        printed = nothings(&mut rest, printer).and_then(|()| {
            let verdict = result.map_or_else(Verdict::Refused, Verdict::Fits);
            printer.print(
                files.get(index).map_or(Path::new(""), PathBuf::as_path),
                &verdict,
            )
        });
        match printed {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    });
    printed?;
    nothings(&mut rest, printer)
}

/// A file to check, or a path that leads to none and why.
type Expanded = Result<PathBuf, (PathBuf, Verdict)>;

/// Prints what was named and is no file, up to the next file, which is taken.
fn nothings(
    rest: &mut impl Iterator<Item = Expanded>,
    printer: &mut Printer<impl Write>,
) -> io::Result<()> {
    for next in rest {
        match next {
            Ok(_) => return Ok(()),
            Err((path, verdict)) => printer.print(&path, &verdict)?,
        }
    }
    Ok(())
}

/// The files that a path stands for.
fn expand(path: &Path) -> Vec<Expanded> {
    if !path.is_dir() {
        let refused = |error| {
            (
                path.to_owned(),
                Verdict::Refused(DescribeError::Refused(error)),
            )
        };
        return vec![find(path).map_err(refused)];
    }
    let nothing = |why: String| vec![Err((path.to_owned(), Verdict::Nothing(why)))];
    match libraries_in(path) {
        Ok(files) if files.is_empty() => {
            nothing("there are no shared libraries in this folder".into())
        }
        Ok(files) => files.into_iter().map(Ok).collect(),
        Err(error) => nothing(format!("the folder cannot be read: {error}")),
    }
}

struct Printer<W> {
    out: W,
    json: Option<Vec<serde_json::Value>>,
    all_fit: bool,
}

impl<W: Write> Printer<W> {
    fn print(&mut self, path: &Path, verdict: &Verdict) -> io::Result<()> {
        self.all_fit &= matches!(verdict, Verdict::Fits(_));
        if let Some(json) = &mut self.json {
            json.push(as_json(path, verdict));
            return Ok(());
        }
        let shown = path.display().to_string();
        write!(self.out, "{}: ", safe(&shown))?;
        match verdict {
            Verdict::Fits(info) => writeln!(
                self.out,
                "{GOOD}ok{GOOD:#} {FAINT}({} {}, {}){FAINT:#}",
                info.name,
                info.version,
                counted(info.kinds.len(), "node kind")
            ),
            Verdict::Refused(error) => match error.output().last() {
                Some(words) => writeln!(self.out, "{BAD}{error}{BAD:#}; its last words: {words}"),
                None => writeln!(self.out, "{BAD}{}{BAD:#}", safe(&error.to_string())),
            },
            Verdict::Nothing(why) => writeln!(self.out, "{BAD}{why}{BAD:#}"),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        if let Some(json) = &self.json {
            writeln!(self.out, "{:#}", serde_json::Value::from(json.clone()))?;
        }
        self.out.flush()
    }
}

fn as_json(path: &Path, verdict: &Verdict) -> serde_json::Value {
    let path = path.display().to_string();
    match verdict {
        Verdict::Fits(info) => {
            let kinds: Vec<_> = info.kinds.iter().map(|kind| &kind.name).collect();
            json!({"path": path, "ok": true, "name": info.name, "version": info.version, "kinds": kinds})
        }
        Verdict::Refused(error) => {
            json!({"path": path, "ok": false, "error": error.to_string(), "output": error.output()})
        }
        Verdict::Nothing(why) => json!({"path": path, "ok": false, "error": why, "output": []}),
    }
}
