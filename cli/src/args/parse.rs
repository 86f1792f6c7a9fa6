//! Values of the command line from their texts. Pure.

use host::descriptor::ProcessPlace;
use host::ids::ShareName;
use std::net::{IpAddr, SocketAddr};

/// `KEY=VALUE`, the key neither empty nor with white space. The value may be anything.
pub fn pair(text: &str) -> Result<(String, String), String> {
    let Some((key, value)) = text.split_once('=') else {
        return Err("write KEY=VALUE".into());
    };
    if key.is_empty() || key.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("the key must not be empty and have no spaces: write KEY=VALUE".into());
    }
    if value.contains('\0') {
        return Err("the value has a null character, which no variable may have".into());
    }
    Ok((key.to_owned(), value.to_owned()))
}

/// An address with or without a port, which is 0 (any) then. IPv6 addresses with a port stand in brackets.
pub fn listen(text: &str) -> Result<SocketAddr, String> {
    let bare = text.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    if let Ok(address) = bare.unwrap_or(text).parse::<IpAddr>() {
        return Ok(SocketAddr::new(address, 0));
    }
    text.parse()
        .map_err(|_| "write the address of one of this machine's networks, such as 192.168.1.7 or 192.168.1.7:5456".into())
}

/// Where plugins run: `daemon`, `own`, or the name of a process.
pub fn process_place(text: &str) -> Result<ProcessPlace, String> {
    Ok(match text {
        "daemon" => ProcessPlace::Daemon,
        "own" => ProcessPlace::Own,
        name => {
            let name = name.parse::<ShareName>();
            ProcessPlace::Shared(name.map_err(|error| error.to_string())?)
        }
    })
}

/// The host of a coordinator unless another is given.
pub const COORDINATOR_HOST: &str = "127.0.0.1";
/// Its port unless another is given.
pub const COORDINATOR_PORT: u16 = 53290;

/// A port to listen on. A variable that is empty counts as not set.
pub fn port(text: &str) -> Result<u16, String> {
    match text {
        "" => Ok(COORDINATOR_PORT),
        text => text.parse().map_err(|_| {
            "write a number up to 65535, here or in the variable DORA_COORDINATOR_PORT".into()
        }),
    }
}

/// A port to connect to.
pub fn coordinator_port(text: &str) -> Result<u16, String> {
    match port(text)? {
        0 => Err("no coordinator is reached at port 0; write the one that it has printed".into()),
        port => Ok(port),
    }
}

/// The host of a coordinator: a name or an address. A variable that is empty counts as not set.
pub fn host(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(COORDINATOR_HOST.into());
    }
    let legal = |c: char| c.is_alphanumeric() || ".-_:[]%".contains(c);
    match text.chars().all(legal) {
        true => Ok(text.to_owned()),
        false => Err("write a host name or an address, the port with `--coordinator-port`".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_have_a_key_and_any_value() {
        assert_eq!(pair("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(pair("a="), Ok(("a".into(), String::new())));
        for wrong in ["a", "=b", "a b=c", ""] {
            assert!(pair(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_may_have_a_port() {
        for (text, expected) in [
            ("192.168.1.7", "192.168.1.7:0"),
            ("192.168.1.7:5456", "192.168.1.7:5456"),
            ("::1", "[::1]:0"),
            ("[::1]", "[::1]:0"),
            ("[::1]:7", "[::1]:7"),
        ] {
            assert_eq!(listen(text), Ok(expected.parse().unwrap()), "{text}");
        }
        for wrong in ["", "eth0", "localhost", "1.2.3.4:port"] {
            assert!(listen(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn hosts_are_names_or_addresses() {
        for good in [
            "localhost",
            "robot-1.local",
            "10.0.0.1",
            "::1",
            "[::1]",
            "fe80::1%eth0",
        ] {
            assert!(host(good).is_ok(), "{good}");
        }
        assert_eq!(host("").unwrap(), COORDINATOR_HOST);
        for wrong in ["a b", "tcp/1.2.3.4", "a\u{1b}"] {
            assert!(host(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ports_are_numbers() {
        assert_eq!(port("0"), Ok(0));
        assert_eq!(port("53291"), Ok(53291));
        assert_eq!(coordinator_port(""), Ok(COORDINATOR_PORT));
        for wrong in ["0", "-1", "65536", "x"] {
            assert!(coordinator_port(wrong).is_err(), "{wrong}");
        }
    }
}
