//! Where a coordinator is: a host and a port, and what of the network can be asked without an open session.

use std::fmt;
use std::io;
use std::net::{
    IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket,
};
use std::time::{Duration, Instant};

/// A host, by name or address, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The name or address, without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl Address {
    /// An address; an IPv6 address may stand in brackets.
    pub fn new(host: &str, port: u16) -> Self {
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        Self {
            host: bare.unwrap_or(host).to_owned(),
            port,
        }
    }

    /// The addresses that the name stands for. Asks the system's resolver, which may take seconds.
    ///
    /// # Errors
    /// The resolver knows none.
    pub fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let found: Vec<_> = (self.host.as_str(), self.port).to_socket_addrs()?.collect();
        match found.is_empty() {
            true => Err(io::Error::new(io::ErrorKind::NotFound, "it has no address")),
            false => Ok(found),
        }
    }

    /// Whether anybody takes connections there: the error of the last address otherwise. Blocks until the deadline.
    pub(super) fn knock(&self, deadline: Instant) -> io::Result<()> {
        let mut last = io::Error::from(io::ErrorKind::TimedOut);
        for address in self.resolve()? {
            let left = deadline.saturating_duration_since(Instant::now());
            match TcpStream::connect_timeout(&address, left.max(Duration::from_millis(50))) {
                Ok(_) => return Ok(()),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self {
            host: address.ip().to_string(),
            port: address.port(),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whoever typed it may have typed anything.
        let host = self.host.escape_debug();
        match self.host.contains(':') {
            true => write!(f, "[{host}]:{}", self.port),
            false => write!(f, "{host}:{}", self.port),
        }
    }
}

/// The address of this machine that packets to another have: the one that the other can answer to. Sends nothing.
///
/// # Errors
/// The name is unknown, or there is no way there.
pub fn local_address_towards(there: &Address) -> io::Result<IpAddr> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in there.resolve()? {
        let any: IpAddr = match address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        // "Connecting" a datagram socket only makes the system choose a route.
        let chosen = UdpSocket::bind((any, 0)).and_then(|socket| {
            socket.connect(address)?;
            socket.local_addr()
        });
        match chosen {
            Ok(local) => return Ok(local.ip()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Whether a port can be listened on. Asked first, because on Windows the engine would share a port that is taken.
pub(super) fn is_free(address: SocketAddr) -> io::Result<()> {
    TcpListener::bind(address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_as_they_are_typed() {
        for (host, shown) in [
            ("127.0.0.1", "127.0.0.1:53290"),
            ("robot.local", "robot.local:53290"),
            ("::1", "[::1]:53290"),
            ("[::1]", "[::1]:53290"),
            ("a\u{1b}[31m", "a\\u{1b}[31m:53290"),
        ] {
            assert_eq!(Address::new(host, 53290).to_string(), shown);
        }
    }

    #[test]
    fn this_machine_is_reached_from_itself() {
        let there = Address::new("127.0.0.1", 9);
        let here = local_address_towards(&there).unwrap();
        assert_eq!(here, Ipv4Addr::LOCALHOST);
    }

    #[test]
    fn a_knock_tells_a_listener_from_nobody() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let there = Address::from(listener.local_addr().unwrap());
        let soon = || Instant::now() + Duration::from_secs(5);
        assert!(there.knock(soon()).is_ok());
        assert!(is_free(listener.local_addr().unwrap()).is_err());
        drop(listener);
        assert_eq!(
            there.knock(soon()).unwrap_err().kind(),
            io::ErrorKind::ConnectionRefused
        );
    }
}
