//! Unix: a pair of sockets, and memory that only descriptors name, which travel over the sockets.

use super::{Mapping, PATIENCE, Wait};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{fstat, ftruncate};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, Shutdown, recv, recvmsg, sendmsg, shutdown,
};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::ptr::{NonNull, null_mut};

/// Descriptors that one piece of the stream may bring. A sender of ours sends one at a time.
const MOST_AT_ONCE: usize = 4;
/// Descriptors that may have come before the frames that speak of them.
const MOST_WAITING: usize = 64;

/// One end of a connection. One thread reads and one writes at a time.
#[derive(Debug)]
pub struct Stream(OwnedFd);

impl Stream {
    /// A connection: this end, and one for another process, as its standard input or over a connection that there is
    /// already.
    ///
    /// # Errors
    /// The system's.
    pub fn pair() -> io::Result<(Self, Object)> {
        let (here, there) = UnixStream::pair()?;
        Ok((Self(here.into()), Object(there.into())))
    }

    /// Both ends in this process.
    ///
    /// # Errors
    /// The system's.
    pub fn local_pair() -> io::Result<(Self, Self)> {
        let (here, there) = UnixStream::pair()?;
        Ok((Self(here.into()), Self(there.into())))
    }

    /// The standard input, if `is_ours` says so of the first bytes that wait in it. The process then reads nothing from
    /// its standard input any more. Waits for nothing, and leaves any other input as it is.
    pub fn take_stdin(is_ours: impl FnOnce(&[u8]) -> bool) -> Option<Self> {
        let stdin = rustix::stdio::stdin();
        let mut first = [0; 64];
        // Of a file, a pipe or a terminal this is an error.
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let (length, _) = recv(stdin, &mut first[..], flags).ok()?;
        if !is_ours(first.get(..length)?) {
            return None;
        }
        // What the node starts does not inherit the connection.
        let taken = rustix::io::fcntl_dupfd_cloexec(stdin, 3).ok()?;
        let nothing = File::open("/dev/null").ok()?;
        rustix::stdio::dup2_stdin(&nothing).ok()?;
        Some(Self(taken))
    }

    /// Reads some bytes, and what came with them; none at all when the connection has ended.
    ///
    /// # Errors
    /// `WouldBlock` as `wait` says; the system's.
    pub fn read(&self, room: &mut [u8], handles: &mut Handles, wait: Wait) -> io::Result<usize> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_AT_ONCE))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut flags = cloexec();
        if wait != Wait::Long {
            flags |= RecvFlags::DONTWAIT;
        }
        if wait == Wait::AWhile {
            self.wait_for(PollFlags::IN)?;
        }
        let received = loop {
            let mut rooms = [IoSliceMut::new(room)];
            match recvmsg(&self.0, &mut rooms, &mut control, flags) {
                Err(Errno::INTR) => {}
                // The other process is gone and has left something unread.
                Err(Errno::CONNRESET) => return Ok(0),
                other => break other?,
            }
        };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                for descriptor in descriptors {
                    handles.put(descriptor)?;
                }
            }
        }
        if received.flags.contains(ReturnFlags::CTRUNC) {
            return Err(io::Error::other("too many descriptors at once"));
        }
        Ok(received.bytes)
    }

    /// Writes some bytes, and with the first of them the right to map an object.
    ///
    /// # Errors
    /// `WouldBlock` as `wait` says; the system's.
    pub fn write(&self, bytes: &[u8], object: Option<&Object>, wait: Wait) -> io::Result<usize> {
        loop {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            let descriptors = object.map(|object| [object.0.as_fd()]);
            if let Some(descriptors) = &descriptors {
                control.push(SendAncillaryMessage::ScmRights(descriptors));
            }
            let slices = [IoSlice::new(bytes)];
            match sendmsg(&self.0, &slices, &mut control, send_flags()) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if wait == Wait::Long => self.wait_for(PollFlags::OUT)?,
                Err(Errno::AGAIN) if wait == Wait::AWhile => {
                    self.wait_for(PollFlags::OUT)?;
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                other => return Ok(other?),
            }
        }
    }

    /// Waits until something can be read. Linux wakes who waits in `recvmsg` also whenever the other end has read what was
    /// written to it, which holds that one up by the time that a wake takes; who waits here sleeps on. It is one call more.
    ///
    /// # Errors
    /// The system's.
    pub fn wait_undisturbed(&self) -> io::Result<()> {
        self.poll(PollFlags::IN, None)
    }

    fn wait_for(&self, what: PollFlags) -> io::Result<()> {
        let patience = Timespec {
            tv_sec: 0,
            tv_nsec: PATIENCE.as_nanos() as _,
        };
        self.poll(what, Some(&patience))
    }

    fn poll(&self, what: PollFlags, patience: Option<&Timespec>) -> io::Result<()> {
        match poll(&mut [PollFd::new(&self.0, what)], patience) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends the reading of this end: a thread that waits in [`Stream::read`] returns, at the end of what has come. Writing
    /// goes on.
    pub fn interrupt(&self) {
        // It fails only when the connection has ended already.
        let _ = shutdown(&self.0, Shutdown::Read);
    }

    /// Ends the connection for both ends; what waits in it may be lost.
    pub fn close(&self) {
        // As above.
        let _ = shutdown(&self.0, Shutdown::Both);
    }
}

#[cfg(target_vendor = "apple")]
fn cloexec() -> RecvFlags {
    RecvFlags::empty()
}

#[cfg(not(target_vendor = "apple"))]
fn cloexec() -> RecvFlags {
    RecvFlags::CMSG_CLOEXEC
}

/// Rust's programs ignore the signal that macOS cannot leave out here.
#[cfg(target_vendor = "apple")]
fn send_flags() -> SendFlags {
    SendFlags::DONTWAIT
}

#[cfg(not(target_vendor = "apple"))]
fn send_flags() -> SendFlags {
    SendFlags::DONTWAIT | SendFlags::NOSIGNAL
}

/// Objects that have come over a connection and that no frame has spoken of yet.
#[derive(Debug, Default)]
pub struct Handles(VecDeque<OwnedFd>);

impl Handles {
    fn put(&mut self, descriptor: OwnedFd) -> io::Result<()> {
        if self.0.len() >= MOST_WAITING {
            return Err(io::Error::other("more descriptors than frames name"));
        }
        #[cfg(target_vendor = "apple")]
        rustix::io::fcntl_setfd(&descriptor, rustix::io::FdFlags::CLOEXEC)?;
        self.0.push_back(descriptor);
        Ok(())
    }

    /// The connection that came as the next object; `name` is not needed here.
    ///
    /// # Errors
    /// None has come.
    pub fn stream(&mut self, _name: u128) -> io::Result<Stream> {
        let descriptor = self.0.pop_front();
        let descriptor =
            descriptor.ok_or_else(|| io::Error::other("no descriptor came with it"))?;
        Ok(Stream(descriptor))
    }

    /// Maps the next object, which can be given to others then; `name` is not needed here.
    ///
    /// # Errors
    /// None has come, it is shorter than `len`, or it could become shorter, or the system's.
    pub fn map(
        &mut self,
        _name: u128,
        len: usize,
        writable: bool,
    ) -> io::Result<(Object, Mapping)> {
        let Some(descriptor) = self.0.pop_front() else {
            return Err(io::Error::other("no descriptor came with it"));
        };
        let size = fstat(&descriptor)?.st_size;
        if u64::try_from(size).map_or(true, |size| size < len as u64) {
            return Err(io::Error::other(format!("it has {size} bytes, not {len}")));
        }
        keeps_its_size(descriptor.as_fd())?;
        let mapping = map(descriptor.as_fd(), len, writable)?;
        Ok((Object(descriptor), mapping))
    }
}

/// Memory to be mapped by several processes, or a connection for another one. It is there as long as somebody has it open
/// or mapped.
#[derive(Debug)]
pub struct Object(pub(super) OwnedFd);

impl Object {
    /// An object of zeros, and its memory for writing. A reader can map it for reading only, where the system knows how
    /// to see to it, unless it is made `writable` by others.
    ///
    /// # Errors
    /// The system's.
    pub fn new(len: usize, writable: bool) -> io::Result<(Self, Mapping)> {
        let object = anonymous()?;
        ftruncate(&object, len as u64)?;
        let mapping = map(object.as_fd(), len, true)?;
        seal(object.as_fd(), writable)?;
        Ok((Self(object), mapping))
    }

    /// A connection as a child's standard input.
    ///
    /// # Errors
    /// None here.
    pub fn into_stdin(self) -> io::Result<Stdio> {
        Ok(Stdio::from(self.0))
    }

    /// Whether only who has made it can write it, as far as the system knows how to see to that.
    pub fn is_for_reading(&self) -> bool {
        is_for_reading(self.0.as_fd())
    }

    /// What a frame calls it by: nothing, as its descriptor travels instead.
    pub fn name(&self) -> u128 {
        0
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn anonymous() -> io::Result<OwnedFd> {
    use rustix::fs::{MemfdFlags, memfd_create};
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    Ok(memfd_create("dora-message", flags)?)
}

/// A name for the moment between making and removing it.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn anonymous() -> io::Result<OwnedFd> {
    use rustix::fs::Mode;
    use rustix::shm::{OFlags, open, unlink};
    use std::hash::{BuildHasher, RandomState};
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR;
    for _ in 0..16 {
        // Such names may have 31 characters.
        let name = format!(
            "/dora-{:016x}",
            RandomState::new().hash_one(std::process::id())
        );
        match open(&*name, flags, Mode::RUSR | Mode::WUSR) {
            Ok(object) => {
                unlink(&*name)?;
                return Ok(object);
            }
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::Error::other("no free name for shared memory"))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn seal(object: BorrowedFd<'_>, writable: bool) -> io::Result<()> {
    use rustix::fs::{SealFlags, fcntl_add_seals};
    let size = SealFlags::SHRINK | SealFlags::GROW;
    // Kernels before 5.1 do not know this one.
    if !writable && fcntl_add_seals(object, SealFlags::FUTURE_WRITE).is_err() {
        return Ok(fcntl_add_seals(object, size)?);
    }
    Ok(fcntl_add_seals(object, size | SealFlags::SEAL)?)
}

/// Elsewhere such an object gets its length once.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn seal(_: BorrowedFd<'_>, _: bool) -> io::Result<()> {
    Ok(())
}

/// Reading behind the end of what was cut off would end this process.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn keeps_its_size(object: BorrowedFd<'_>) -> io::Result<()> {
    use rustix::fs::{SealFlags, fcntl_get_seals};
    if fcntl_get_seals(object)?.contains(SealFlags::SHRINK) {
        return Ok(());
    }
    Err(io::Error::other("it could be cut off while it is read"))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn keeps_its_size(_: BorrowedFd<'_>) -> io::Result<()> {
    Ok(())
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn is_for_reading(object: BorrowedFd<'_>) -> bool {
    use rustix::fs::{SealFlags, fcntl_get_seals};
    fcntl_get_seals(object).is_ok_and(|seals| seals.contains(SealFlags::FUTURE_WRITE))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn is_for_reading(_: BorrowedFd<'_>) -> bool {
    true
}

fn map(object: BorrowedFd<'_>, len: usize, writable: bool) -> io::Result<Mapping> {
    let protection = match writable {
        true => ProtFlags::READ | ProtFlags::WRITE,
        false => ProtFlags::READ,
    };
    // SAFETY: a new mapping at a place that the system chooses.
    let start = unsafe { mmap(null_mut(), len, protection, MapFlags::SHARED, object, 0) }?;
    match NonNull::new(start.cast()) {
        Some(start) => Ok(Mapping { start, len }),
        None => Err(io::Error::other("mapped at address 0")),
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped with this length, and nobody reads it any more.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
impl From<OwnedFd> for Object {
    fn from(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }
}
