//! `dora plugin inspect`: what the file says, then what the plugin declares.

use super::schema;
use crate::args::InspectArgs;
use crate::terminal::{self, FAINT, HEADING, safe};
use eyre::eyre;
use host::find::find;
use host::plugin::describe::{DescribeError, Describer};
use host::plugin::info::{ANY_PORT, KindInfo, PluginInfo, PortInfo};
use host::plugin::preflight::{
    self, Details, FileKind, FileReport, Handshake, ImageReport, Isolation, Language, Machine,
    PreflightError,
};
use serde_json::json;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// All that is known of a file.
struct Findings {
    path: PathBuf,
    file: Option<FileReport>,
    plugin: Option<PluginInfo>,
    /// Why it cannot be used here.
    refused: Option<DescribeError>,
    /// It is for another system, and fine there as far as its file tells.
    foreign: bool,
}

pub fn run(args: &InspectArgs) -> eyre::Result<ExitCode> {
    let findings = look(&args.file, Describer::new()?.deadline(args.timeout));
    let mut out = terminal::stdout();
    if args.json {
        writeln!(out, "{:#}", as_json(&findings))?;
    } else {
        print(&mut out, &findings)?;
    }
    out.flush()?;
    match &findings.refused {
        None => Ok(ExitCode::SUCCESS),
        Some(_) if findings.foreign => Ok(ExitCode::SUCCESS),
        Some(_) if args.json => Ok(ExitCode::FAILURE),
        Some(error) => Err(refusal(&findings.path, error)),
    }
}

fn look(named: &Path, describer: Describer) -> Findings {
    let mut findings = Findings {
        path: named.to_owned(),
        file: None,
        plugin: None,
        refused: None,
        foreign: false,
    };
    let read = find(named).and_then(|path| {
        findings.path = path;
        preflight::read_file(&findings.path)
    });
    let report = match read {
        Ok(report) => report,
        Err(error) => {
            findings.refused = Some(error.into());
            return findings;
        }
    };
    match preflight::check(&report, &Machine::this(), Isolation::Shared) {
        Ok(()) => match describer.describe(&findings.path) {
            Ok(info) => findings.plugin = Some(info),
            Err(error) => findings.refused = Some(error),
        },
        // Alone in the helper process it may abort as it likes.
        Err(error @ PreflightError::PanicAbort) => {
            let describer = describer.isolation(Isolation::Own);
            findings.plugin = describer.describe(&findings.path).ok();
            findings.refused = Some(error.into());
        }
        Err(error) => match own_machine(&report) {
            Some(machine) => {
                let there = preflight::check(&report, &machine, Isolation::Shared);
                findings.foreign = there.is_ok();
                findings.refused = Some(there.err().unwrap_or(error).into());
            }
            None => findings.refused = Some(error.into()),
        },
    }
    findings.file = Some(report);
    findings
}

/// The machine that a plugin was built for, if that is not this one.
fn own_machine(report: &FileReport) -> Option<Machine> {
    let (FileKind::Plugin { handshake }, Some(image)) = (&report.kind, &report.image) else {
        return None;
    };
    let target = handshake.details.as_ref().map(|details| &details.target);
    let libc = target.and_then(|target| target.rsplit('-').next());
    (image.platform != Machine::this().platform).then(|| Machine {
        platform: image.platform.clone(),
        libc: libc.unwrap_or_default().to_owned(),
        glibc: None,
    })
}

/// The error with what the plugin wrote before it ended.
fn refusal(path: &Path, error: &DescribeError) -> eyre::Report {
    let mut text = format!("{}: {}", path.display(), error);
    if !error.output().is_empty() {
        text.push_str("\nthe last that it wrote:");
    }
    for line in error.output() {
        text.push_str("\n  ");
        text.push_str(line);
    }
    eyre!("{}", safe(&text))
}

fn as_json(findings: &Findings) -> serde_json::Value {
    let refused = findings.refused.as_ref();
    json!({
        "path": findings.path.display().to_string(),
        "file": findings.file,
        "loads": refused.is_none(),
        "refused": refused.map(ToString::to_string),
        "output": refused.map_or(&[][..], DescribeError::output),
        "plugin": findings.plugin,
    })
}

fn print(out: &mut impl Write, findings: &Findings) -> io::Result<()> {
    let Some(file) = &findings.file else {
        return Ok(());
    };
    let path = findings.path.display().to_string();
    writeln!(out, "{HEADING}{}{HEADING:#}", safe(&path))?;
    table(out, &file_rows(file))?;
    if let (true, Some(image)) = (findings.foreign, &file.image) {
        let os = &image.platform.os;
        let here = Machine::this().platform;
        writeln!(
            out,
            "\nIt was built for {}, this machine is {here}: its node kinds can only be told on {os}.",
            image.platform
        )?;
    }
    for kind in findings.plugin.iter().flat_map(|plugin| &plugin.kinds) {
        print_kind(out, kind)?;
    }
    Ok(())
}

type Rows = Vec<[String; 2]>;

fn file_rows(file: &FileReport) -> Rows {
    let mut rows = Rows::new();
    let mut row = |name: &str, value: String| rows.push([name.into(), value]);
    match &file.kind {
        FileKind::Plugin { handshake } => handshake_rows(handshake, &mut row),
        FileKind::NodeExecutable { handshake } => {
            row("kind", "a node as an executable".into());
            handshake_rows(handshake, &mut row);
        }
        FileKind::Library => row("kind", "a shared library without a handshake record".into()),
        FileKind::Executable => row("kind", "an executable".into()),
        FileKind::Universal => row("kind", "a universal Mach-O file".into()),
        FileKind::Object { what } => row("kind", what.clone()),
        FileKind::Other { starts } => {
            row("kind", format!("no library; it starts with \"{starts}\""))
        }
    }
    row("size", size_words(file.size));
    if let Some(image) = &file.image {
        image_rows(image, &mut row);
    }
    rows
}

fn handshake_rows(handshake: &Handshake, row: &mut dyn FnMut(&str, String)) {
    if let Some(details) = &handshake.details {
        row("plugin", format!("{} {}", details.name, details.version));
    }
    row("plugin ABI", handshake.abi.to_string());
    row("message format", handshake.message_format.to_string());
    if let Some(details) = &handshake.details {
        details_rows(details, row);
    }
    let build = if handshake.debug { "debug" } else { "release" };
    let panics = if handshake.unwind { "unwind" } else { "abort" };
    row("build", format!("{build}, panics {panics}"));
    if let Some(damage) = &handshake.damage {
        row("damage", damage.clone());
    }
}

fn details_rows(details: &Details, row: &mut dyn FnMut(&str, String)) {
    let known = [
        ("target", &details.target),
        ("SDK", &details.sdk),
        ("compiler", &details.compiler),
        ("abi_stable", &details.abi_stable),
    ];
    let language = match details.language {
        Language::Rust => "Rust",
        Language::C => "C",
    };
    row("language", language.into());
    for (name, value) in known {
        if !value.is_empty() {
            row(name, value.clone());
        }
    }
}

fn image_rows(image: &ImageReport, row: &mut dyn FnMut(&str, String)) {
    let format = json!(image.format);
    let format = format.as_str().unwrap_or_default();
    let platform = &image.platform;
    row(
        "format",
        format!("{format} for {platform}, {} bit", platform.pointer_width),
    );
    let links = &image.links;
    if !links.needed.is_empty() {
        row("needs", links.needed.join(", "));
    }
    if let Some(need) = &links.glibc {
        let symbol = need
            .symbol
            .as_ref()
            .map(|symbol| format!(" (symbol {symbol})"));
        row(
            "needs at least",
            format!("{}{}", need.name, symbol.unwrap_or_default()),
        );
    }
    for (name, folders) in [("rpath", &links.rpath), ("runpath", &links.runpath)] {
        if !folders.is_empty() {
            row(name, folders.join(", "));
        }
    }
}

fn size_words(bytes: u64) -> String {
    const UNITS: [(u64, &str); 2] = [(1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        // For people: the rounding of a float does not matter.
        Some((unit, name)) => format!("{:.1} {name} ({bytes} bytes)", bytes as f64 / *unit as f64),
        None => format!("{bytes} bytes"),
    }
}

fn print_kind(out: &mut impl Write, kind: &KindInfo) -> io::Result<()> {
    writeln!(out, "\nnode kind {HEADING}{}{HEADING:#}", safe(&kind.name))?;
    for line in safe(&kind.description).lines() {
        writeln!(out, "  {line}")?;
    }
    let ports = |ports: &[PortInfo]| ports.iter().map(port_row).collect::<Vec<_>>();
    section(out, "inputs", ports(&kind.inputs))?;
    section(out, "outputs", ports(&kind.outputs))?;
    let config = kind.config_schema.as_ref().map(schema::rows);
    let config = config.unwrap_or_default().into_iter();
    let config = config.map(|row| [row.name, row.what, row.description]);
    section(out, "config", config.collect())
}

fn port_row(port: &PortInfo) -> [String; 3] {
    let name = match port.name.as_str() {
        ANY_PORT => "any other name",
        name => name,
    };
    let data_type = port.data_type.as_deref().unwrap_or("any type");
    [name.into(), data_type.into(), port.description.clone()]
}

fn section(out: &mut impl Write, title: &str, rows: Vec<[String; 3]>) -> io::Result<()> {
    if rows.is_empty() {
        return writeln!(out, "  {FAINT}no {title}{FAINT:#}");
    }
    writeln!(out, "  {title}")?;
    let width = |text: &String| text.chars().count();
    let first = rows.iter().map(|[name, ..]| width(name)).max();
    let second = rows.iter().map(|[_, what, _]| width(what)).max();
    let (first, second) = (first.unwrap_or(0), second.unwrap_or(0));
    for row in &rows {
        let [name, what, description] = row.each_ref().map(|text| safe(text).replace('\n', " "));
        let line = format!("    {name:first$}  {what:second$}  {description}");
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn table(out: &mut impl Write, rows: &Rows) -> io::Result<()> {
    let width = rows.iter().map(|[name, _]| name.len()).max().unwrap_or(0);
    for [name, value] in rows {
        writeln!(out, "  {FAINT}{name:width$}{FAINT:#}  {}", safe(value))?;
    }
    Ok(())
}
