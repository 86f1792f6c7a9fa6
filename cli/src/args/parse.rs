//! Values of the command line from their texts. Pure.

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

/// The host of a coordinator: a name or an address.
pub fn host(text: &str) -> Result<String, String> {
    let legal = |c: char| c.is_alphanumeric() || ".-_:[]%".contains(c);
    match !text.is_empty() && text.chars().all(legal) {
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
        for wrong in ["", "a b", "tcp/1.2.3.4", "a\u{1b}"] {
            assert!(host(wrong).is_err(), "{wrong}");
        }
    }
}
