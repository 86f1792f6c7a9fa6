//! A socket between two processes, and nothing else.
//!
//! Invariant: both ends move whole messages, with the system calls that this takes and no others. Absent: our wire.

use super::{PART, Pacing, Seen};
use crate::child::Part;
use crate::clock;
use crate::load::Load;
use crate::outcome::Outcome;
use eyre::WrapErr;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

/// Through a socket pair, one end of which is the other process's standard input; on Windows it is a pipe.
pub fn over_socket(load: Load) -> eyre::Result<Outcome> {
    let mut command = Command::new(std::env::current_exe()?);
    let (bytes, timed) = (load.bytes.to_string(), load.is_timed().to_string());
    command.args([PART, "socket-reader", &bytes, &timed]);
    let (reader, socket) = connected(command.stdout(Stdio::piped()))?;
    outcome(
        socket,
        &Part::of(reader, "the reader of the socket".to_owned())?,
        load,
    )
}

/// Through a connection on loopback.
pub fn over_tcp(load: Load) -> eyre::Result<Outcome> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port().to_string();
    let (bytes, timed) = (load.bytes.to_string(), load.is_timed().to_string());
    let reader = Part::this(&[PART, "tcp-reader", &port, &bytes, &timed])?;
    reader.says("connected")?;
    let (socket, _) = listener.accept()?;
    socket.set_nodelay(true)?;
    outcome(socket, &reader, load)
}

fn outcome(mut socket: impl Write, reader: &Part, load: Load) -> eyre::Result<Outcome> {
    let sent = send(&mut socket, load).wrap_err("the reader is gone")?;
    drop(socket);
    Outcome::read(sent, &reader.rest()?)
}

fn send(socket: &mut impl Write, load: Load) -> std::io::Result<u64> {
    let mut data = vec![1; load.bytes];
    let mut pacing = Pacing::new(load);
    while pacing.more() {
        pacing.now();
        data[..8].copy_from_slice(&pacing.stamp());
        socket.write_all(&data)?;
    }
    Ok(pacing.sent)
}

/// Starts a process whose standard input is the other end.
#[cfg(unix)]
fn connected(command: &mut Command) -> eyre::Result<(Child, impl Write)> {
    use std::os::fd::OwnedFd;
    let (here, there) = std::os::unix::net::UnixStream::pair()?;
    command.stdin(Stdio::from(OwnedFd::from(there)));
    let child = command.spawn()?;
    // The command holds the other end, too.
    command.stdin(Stdio::null());
    Ok((child, here))
}

#[cfg(windows)]
fn connected(command: &mut Command) -> eyre::Result<(Child, impl Write)> {
    use eyre::OptionExt;
    let mut child = command.stdin(Stdio::piped()).spawn()?;
    let pipe = child.stdin.take().ok_or_eyre("it is piped")?;
    Ok((child, pipe))
}

/// The part of the reader: reads until the end, then says what came.
pub fn read_socket(bytes: usize, timed: bool) -> eyre::Result<()> {
    let stdin = std::io::stdin();
    // Without what std buffers.
    #[cfg(unix)]
    let end = std::os::fd::AsFd::as_fd(&stdin).try_clone_to_owned()?;
    #[cfg(windows)]
    let end = std::os::windows::io::AsHandle::as_handle(&stdin).try_clone_to_owned()?;
    print!("{}", read(File::from(end), bytes, timed));
    Ok(())
}

/// The same over TCP.
pub fn read_tcp(port: u16, bytes: usize, timed: bool) -> eyre::Result<()> {
    let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    socket.set_nodelay(true)?;
    println!("connected");
    print!("{}", read(socket, bytes, timed));
    Ok(())
}

fn read(mut socket: impl Read, bytes: usize, timed: bool) -> String {
    let mut room = vec![0; bytes];
    let mut seen = Seen::new(timed);
    while socket.read_exact(&mut room).is_ok() {
        seen.take(clock::now(), &room);
    }
    seen.report()
}
