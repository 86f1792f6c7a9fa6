//! The other side: a socket that becomes a process's standard input, and nothing else.
//!
//! Invariant: both ends move whole messages, with the system calls that this takes and no others. On Windows the socket is
//! a pipe. Absent: our wire.

use crate::rounds::{Load, Outcome};
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The part of the reader.
pub const READER: &str = "bare-reader";

/// Nanoseconds since 1970: see the plugin.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_nanos() as u64
}

/// Sends to a reader.
pub fn run(load: Load) -> Outcome {
    let this = std::env::current_exe().expect("this program has a file");
    let mut command = Command::new(this);
    let timed = (!load.pace.is_zero()).to_string();
    command.args([READER, &load.bytes.to_string(), &timed]);
    let (mut reader, mut socket) = connected(command.stdout(Stdio::piped()));
    send(&mut socket, load);
    drop(socket);
    let mut report = String::new();
    let mut stdout = reader.stdout.take().expect("it is piped");
    stdout.read_to_string(&mut report).expect("a report");
    reader.wait().expect("it has ended");
    Outcome::read(report.lines()).unwrap_or_else(|| panic!("no report: {report}"))
}

fn send(socket: &mut impl Write, load: Load) {
    let mut data = vec![1; load.bytes];
    let mut next = Instant::now();
    for _ in 0..load.count {
        next += load.pace;
        if !load.pace.is_zero() {
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        data[..8].copy_from_slice(&now().to_ne_bytes());
        socket.write_all(&data).expect("a reader");
    }
}

/// Starts a process whose standard input is the other end.
#[cfg(unix)]
fn connected(command: &mut Command) -> (Child, impl Write) {
    use std::os::fd::OwnedFd;
    let (here, there) = std::os::unix::net::UnixStream::pair().expect("a pair");
    command.stdin(Stdio::from(OwnedFd::from(there)));
    let child = command.spawn().expect("a process");
    // The command holds the other end, too.
    command.stdin(Stdio::null());
    (child, here)
}

#[cfg(windows)]
fn connected(command: &mut Command) -> (Child, impl Write) {
    let mut child = command.stdin(Stdio::piped()).spawn().expect("a process");
    let pipe = child.stdin.take().expect("it is piped");
    (child, pipe)
}

/// The standard input, without what std buffers.
fn stdin() -> File {
    let stdin = std::io::stdin();
    #[cfg(unix)]
    let end = std::os::fd::AsFd::as_fd(&stdin).try_clone_to_owned();
    #[cfg(windows)]
    let end = std::os::windows::io::AsHandle::as_handle(&stdin).try_clone_to_owned();
    File::from(end.expect("an end"))
}

/// The part of the reader: reads until the end, then says what came.
pub fn be_reader(bytes: &str, timed: &str) {
    let mut room = vec![0; bytes.parse().expect("a number")];
    let timed = timed == "true";
    let mut socket = stdin();
    let (mut received, mut times) = (0_u64, Vec::with_capacity(100_000));
    let mut first = None;
    while socket.read_exact(&mut room).is_ok() {
        received += 1;
        if timed {
            let sent = room.first_chunk().copied().map_or(0, u64::from_ne_bytes);
            times.push(now().saturating_sub(sent));
        } else if first.is_none() {
            first = Some(Instant::now());
        }
    }
    let took = first.map_or(Duration::ZERO, |first| first.elapsed());
    println!("{received}\n{}", took.as_nanos());
    for time in times {
        println!("{time}");
    }
}
