//! How an error is told: one message, its causes where they add something, and nothing else unless asked for.

use crate::terminal::{self, ERROR, FAINT};
use eyre::Report;
use host::descriptor::Problems;
use host::guard::Death;
use host::local;
use std::io::{self, Write};
use std::process::ExitCode;

/// Tells the error on standard error, with a backtrace if `RUST_BACKTRACE` is `full`: many have the variable set to 1 for
/// panics, and where in this program a mistake was found says nothing about it.
pub fn report(error: &Report) -> ExitCode {
    if is_closed_output(error) {
        return ExitCode::SUCCESS;
    }
    let mut stderr = terminal::stderr();
    // Nothing can be told when standard error is closed.
    let _ = write(&mut stderr, error);
    if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value == "full") {
        let _ = writeln!(stderr, "\n{error:?}");
    }
    ExitCode::FAILURE
}

/// Tells that the worker has died, when what it has left is taken away.
pub fn tell_death(death: &Death) {
    host::link::remove_orphaned_memory();
    // As above.
    let _ = writeln!(terminal::stderr(), "{ERROR}error{ERROR:#}: {death}");
    // Else the next worker writes it.
    if death.pause.is_none() {
        report_crash(death);
    }
}

/// Writes what is known of the node that has crashed the worker.
fn report_crash(death: &Death) {
    let out = death.crash.as_ref().and_then(|it| it.life.out.as_deref());
    let (Some(report), Some(out)) = (local::report_of(death), out) else {
        return;
    };
    let mut stderr = terminal::stderr();
    // As above.
    let _ = match report.write(out) {
        Ok(path) => writeln!(stderr, "see {}", path.display()),
        Err(error) => writeln!(stderr, "there is no report of the crash: {error}"),
    };
}

fn write(out: &mut impl Write, error: &Report) -> io::Result<()> {
    if let Some(problems) = error.downcast_ref::<Problems>() {
        return write_problems(out, problems);
    }
    let mut told = error.to_string();
    writeln!(out, "{ERROR}error{ERROR:#}: {told}")?;
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !told.contains(&cause) {
            writeln!(out, "{FAINT}caused by{FAINT:#}: {cause}")?;
            told = cause;
        }
    }
    Ok(())
}

/// The problems of a descriptor, a line each: the places come first, so that editors and people find them.
fn write_problems(out: &mut impl Write, problems: &Problems) -> io::Result<()> {
    writeln!(out, "{problems}")?;
    let count = problems.errors();
    let many = if count == 1 { "" } else { "s" };
    writeln!(
        out,
        "{ERROR}error{ERROR:#}: {count} problem{many} in {}; nothing was started",
        problems.file().display()
    )
}

/// Whether whoever reads standard output has closed it, as `head` does: no error.
fn is_closed_output(error: &Report) -> bool {
    let broken = error.downcast_ref::<io::Error>();
    broken.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use eyre::{WrapErr, eyre};

    fn told(error: &Report) -> String {
        let mut out = Vec::new();
        write(&mut out, error).expect("memory");
        anstream::adapter::strip_bytes(&out)
            .into_vec()
            .try_into()
            .expect("text")
    }

    #[test]
    fn causes_are_told_when_they_add_something() {
        let error = Err::<(), _>(eyre!("disk full"))
            .wrap_err("cannot write: disk full")
            .wrap_err("no plugin made")
            .expect_err("an error");
        assert_eq!(
            told(&error),
            "error: no plugin made\ncaused by: cannot write: disk full\n"
        );
        assert_eq!(told(&eyre!("one line")), "error: one line\n");
    }
}
