//! `dora new`: a crate from a template, and what to do with it.

use crate::args::{NewArgs, NewKind};
use crate::terminal::{self, HEADING, safe};
use host::scaffold::{self, CrateName, PluginAbi};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Where the crate was when this program was compiled. It need not be there any more.
const PLUGIN_ABI: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugin-abi");

pub fn run(args: &NewArgs) -> eyre::Result<ExitCode> {
    let name = CrateName::new(&args.name)?;
    let folder = args.path.clone();
    let folder = folder.unwrap_or_else(|| PathBuf::from(name.as_str()));
    let plugin_abi = match &args.plugin_abi {
        Some(text) => PluginAbi::parse(text)?,
        None => PluginAbi::built_from(Path::new(PLUGIN_ABI)),
    };
    let files = match args.kind {
        NewKind::Plugin => scaffold::plugin(&name, &folder, &plugin_abi)?,
    };
    tell(&name, &folder, &plugin_abi, &files)?;
    Ok(ExitCode::SUCCESS)
}

fn tell(name: &CrateName, folder: &Path, plugin_abi: &PluginAbi, files: &[&str]) -> io::Result<()> {
    let mut out = terminal::stdout();
    let (name, shown) = (name.as_str(), folder.display().to_string());
    let shown = safe(&shown);
    writeln!(
        out,
        "made the plugin {HEADING}{name}{HEADING:#} in {shown}: {}",
        files.join(", ")
    )?;
    match plugin_abi {
        PluginAbi::Folder(path) => {
            let path = path.display().to_string();
            writeln!(out, "it depends on plugin-abi in {}", safe(&path))?;
        }
        PluginAbi::Version(version) => {
            writeln!(
                out,
                "it depends on plugin-abi {version} of a registry; \
                 use --plugin-abi PATH for a folder with its sources"
            )?;
        }
    }
    writeln!(out, "\nnext:")?;
    writeln!(out, "  cd {}", quoted(&shown))?;
    writeln!(out, "  cargo test")?;
    writeln!(out, "  cargo build")?;
    writeln!(out, "  dora plugin check target/debug/{name}")?;
    out.flush()
}

/// A path as a shell takes it.
fn quoted(path: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "/\\:._-~".contains(letter);
    if path.chars().all(plain) {
        path.to_owned()
    } else if cfg!(windows) {
        format!("\"{path}\"")
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
    }
}
