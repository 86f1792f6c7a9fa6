//! The system's C compiler, for fixtures that are a few lines of C.

use crate::program::run;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Compiles a C file to a shared library with the compiler that `CC` names, else `cc`, or `gcc` on Windows. `args` go
/// behind the source, so that libraries among them are searched for what it needs.
///
/// # Panics
/// When the compiler is missing or refuses; the message has its words.
pub fn cc(source: &Path, library: &Path, args: &[&str]) {
    compile(&["-shared", "-fPIC"], source, library, args);
}

/// As [`cc`], to a program.
///
/// # Panics
/// As [`cc`].
pub fn cc_program(source: &Path, program: &Path, args: &[&str]) {
    compile(&[], source, program, args);
}

fn compile(kind: &[&str], source: &Path, result: &Path, args: &[&str]) {
    let default = if cfg!(windows) { "gcc" } else { "cc" };
    let compiler = std::env::var_os("CC").unwrap_or_else(|| default.into());
    let mut command = Command::new(compiler);
    command
        .args(kind)
        .args(["-Wall", "-Wextra", "-Werror", "-o"]);
    command.arg(result).arg(source).args(args);
    run(&mut command, Duration::from_secs(120)).success();
}
