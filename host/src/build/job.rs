//! From a descriptor to what has to be run. Pure, except that folders are made absolute.

use crate::descriptor::resolve::{self, Places};
use crate::descriptor::{self, Descriptor, Node, Position, Problem, Problems, Severity, quoted};
use crate::ids::NodeId;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// What has to be run once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The nodes that ask for it, in the descriptor's order; at least one.
    pub nodes: Vec<NodeId>,
    /// Where the first of them stands in the descriptor.
    pub at: Position,
    /// The folder to run it in, absolute.
    pub folder: PathBuf,
    /// What to run, in this order; at least one.
    pub commands: Vec<CommandLine>,
    /// Variables beside those of this process.
    pub env: BTreeMap<String, String>,
}

/// A command, split into words. Displays as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// The program: a name, or a path from the job's folder.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    written: String,
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// What stands between commands of a shell.
const OPERATORS: [&str; 11] = [
    "&&", "||", "|", "&", ";", ">", ">>", "<", "<<", "2>", "2>&1",
];
/// Commands that only a shell has.
const BUILTINS: [&str; 6] = [".", "cd", "export", "set", "source", "unset"];

/// The jobs of a descriptor: nodes with the same commands, folder and environment share one.
///
/// # Errors
/// All commands that cannot be run as they are written, at their nodes.
pub fn plan(descriptor: &Descriptor) -> Result<Vec<Job>, Problems> {
    let mut problems = Problems::new(&descriptor.file);
    let mut jobs: Vec<Job> = Vec::new();
    let places = Places::of_this_process(&[descriptor.folder()]);
    let nodes = descriptor
        .nodes
        .iter()
        .filter(|node| !node.build.is_empty());
    for node in nodes {
        match job(node, &places) {
            Ok(job) => {
                let same = |other: &&mut Job| {
                    (&other.folder, &other.commands, &other.env)
                        == (&job.folder, &job.commands, &job.env)
                };
                match jobs.iter_mut().find(same) {
                    Some(other) => other.nodes.extend(job.nodes),
                    None => jobs.push(job),
                }
            }
            Err(text) => problems.push(Problem {
                severity: Severity::Error,
                at: Some(node.at),
                node: Some(node.id.to_string()),
                text,
            }),
        }
    }
    match problems.is_empty() {
        true => Ok(jobs),
        false => Err(problems),
    }
}

fn job(node: &Node, places: &Places<'_>) -> Result<Job, String> {
    let commands = node.build.iter().map(|line| command(line));
    Ok(Job {
        nodes: vec![node.id.clone()],
        at: node.at,
        folder: resolve::folder_of(node, places).map_err(|error| error.to_string())?,
        commands: commands.collect::<Result<_, _>>()?,
        env: node.env.clone(),
    })
}

fn command(line: &str) -> Result<CommandLine, String> {
    let Some(words) = descriptor::split_args(line) else {
        return Err(format!(
            "`build`: a quote is not closed in {}",
            quoted(line)
        ));
    };
    let without_shell = "commands are run without a shell";
    if let Some(word) = words.iter().find(|word| {
        let written_plain = line.split_whitespace().any(|plain| plain == word.as_str());
        written_plain && (OPERATORS.contains(&word.as_str()) || word.ends_with(';'))
    }) {
        return Err(format!(
            "`build`: {} in {}, but {without_shell}; write one command per line, or `sh -c '...'`",
            quoted(word),
            quoted(line)
        ));
    }
    match words.split_first() {
        Some((program, _)) if BUILTINS.contains(&program.as_str()) => Err(format!(
            "`build`: `{program}` in {} is a command of the shell, but {without_shell}; use `working_dir` or `env`",
            quoted(line)
        )),
        Some((program, args)) if !program.is_empty() => Ok(CommandLine {
            program: program.clone(),
            args: args.to_vec(),
            written: line.to_owned(),
        }),
        _ => Err(format!("`build`: {} names no program", quoted(line))),
    }
}

impl CommandLine {
    /// The file to start: a path starts from `folder`; a name without its extension is looked for on PATH where the
    /// system needs one (`npm` is `npm.cmd` on Windows).
    pub(super) fn file(&self, folder: &Path, path: &[PathBuf], extensions: &[String]) -> PathBuf {
        let program = Path::new(&self.program);
        let is_path = self.program.contains('/') || cfg!(windows) && self.program.contains('\\');
        if is_path {
            let file = folder.join(program);
            return with_extension(&file, extensions).unwrap_or(file);
        }
        let found = path
            .iter()
            .find_map(|folder| with_extension(&folder.join(program), extensions));
        found.unwrap_or_else(|| program.to_owned())
    }
}

/// The first of the files with one of the extensions that exists, unless the path has an extension.
fn with_extension(file: &Path, extensions: &[String]) -> Option<PathBuf> {
    if file.extension().is_some() {
        return None;
    }
    let candidates = extensions.iter().map(|extension| {
        let mut file = file.as_os_str().to_owned();
        file.push(extension);
        PathBuf::from(file)
    });
    candidates.into_iter().find(|file| file.is_file())
}
