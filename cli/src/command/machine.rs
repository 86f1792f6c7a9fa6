//! What this machine is to the others: its name, its folder, and whether others may reach it.

use crate::terminal::say;
use eyre::{Result, bail};
use host::ids::MachineId;
use host::sys::host_name;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// The machine id that was given, else one like the host's name.
pub fn id(given: Option<&MachineId>) -> MachineId {
    match given {
        Some(id) => id.clone(),
        None => named_like(&host_name::get()),
    }
}

fn named_like(host: &str) -> MachineId {
    let legal = |c: char| match c.is_ascii_alphanumeric() || "._-".contains(c) {
        true => c,
        false => '-',
    };
    let text: String = host
        .chars()
        .map(legal)
        .take(host::ids::MAX_NAME_LEN)
        .collect();
    match text.trim_start_matches('.').parse() {
        Ok(id) => id,
        Err(_) => "local"
            .parse()
            .unwrap_or_else(|_| unreachable!("a plain word")),
    }
}

/// The folder that was given, else the user's for states; `None` when there is none.
pub fn state_folder(given: Option<&Path>) -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name);
    match given {
        Some(folder) => Some(folder.to_owned()),
        None => host::coordinator::state_folder(std::env::consts::OS, &variable),
    }
}

/// Lets nobody in from other machines unless the user has said so, and says loudly when so.
///
/// # Errors
/// Other machines would reach the address, and the user has not said that they may.
pub fn guard(option: &str, address: IpAddr, insecure: bool) -> Result<()> {
    if address.to_canonical().is_loopback() {
        return Ok(());
    }
    if !insecure {
        bail!(
            "{option} {address} would let other machines in, without a password and without encryption: whoever reaches \
             it may run programs here; add `--insecure` if you trust the network"
        );
    }
    say!(
        "WARNING: other machines can reach this one at {address}: no password, no encryption (`--insecure`)"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_called_like_its_host() {
        for (host, expected) in [
            ("robot-1.local", "robot-1.local"),
            ("Büro PC", "B-ro-PC"),
            (".x", "x"),
            ("", "local"),
        ] {
            assert_eq!(named_like(host).as_str(), expected, "{host}");
        }
    }

    #[test]
    fn only_loopback_is_open_without_being_asked() {
        let addresses = ["0.0.0.0", "::", "192.168.1.7", "::ffff:10.0.0.1"];
        for address in addresses.map(|text| text.parse().unwrap()) {
            let error = guard("--interface", address, false)
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("--interface") && error.contains("`--insecure`"),
                "{error}"
            );
            assert!(guard("--interface", address, true).is_ok());
        }
        for address in ["127.0.0.1", "::1", "127.1.2.3", "::ffff:127.0.0.1"] {
            assert!(
                guard("--interface", address.parse().unwrap(), false).is_ok(),
                "{address}"
            );
        }
    }
}
