//! Who listens on a TCP port of this computer, for people who want it.
//!
//! Absent: who it is when the system does not tell, as of other users' processes on Linux and of all on macOS.

use std::fmt;
use std::net::SocketAddr;

/// A process that listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Its number.
    pub id: u32,
    /// The name of its program; `None` when only the number is told.
    pub program: Option<String>,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.program {
            None => write!(f, "process {}", self.id),
            Some(program) => {
                let program = program.chars().take(60).flat_map(char::escape_debug);
                write!(f, "`{}` (process {})", program.collect::<String>(), self.id)
            }
        }
    }
}

/// Who keeps others from listening at this address.
pub fn at(address: SocketAddr) -> Option<Owner> {
    system::at(address)
}

#[cfg(target_os = "linux")]
mod system {
    use super::Owner;
    use std::fs;
    use std::net::{IpAddr, SocketAddr};

    /// The state of a socket that listens, in the kernel's tables.
    const LISTENS: &str = "0A";

    pub fn at(address: SocketAddr) -> Option<Owner> {
        let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(fs::read_to_string);
        let socket = tables
            .iter()
            .flatten()
            .find_map(|table| table.lines().find_map(|line| socket(line, address)))?;
        let link = format!("socket:[{socket}]");
        let processes = fs::read_dir("/proc").ok()?.flatten();
        let mut ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let id = ids.find(|id| has(*id, &link))?;
        let program = fs::read_to_string(format!("/proc/{id}/comm")).ok();
        Some(Owner {
            id,
            program: program.map(|name| name.trim_end().to_owned()),
        })
    }

    /// The inode of the socket in this row of a table, if it is in the way.
    pub fn socket(line: &str, address: SocketAddr) -> Option<&str> {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let (ip, port) = words.get(1)?.split_once(':')?;
        let same_port = u16::from_str_radix(port, 16) == Ok(address.port());
        let everywhere = address.ip().is_unspecified() || ip.bytes().all(|digit| digit == b'0');
        let in_the_way = everywhere || ip == written(address.ip());
        let listens = words.get(3) == Some(&LISTENS);
        (same_port && in_the_way && listens).then(|| words.get(9).copied())?
    }

    /// An address as the tables have it: words of 32 bits, each in the machine's order.
    fn written(ip: IpAddr) -> String {
        let bytes = match ip {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        let words = bytes
            .chunks_exact(4)
            .filter_map(|word| word.try_into().ok());
        words
            .map(|word| format!("{:08X}", u32::from_ne_bytes(word)))
            .collect()
    }

    fn has(id: u32, link: &str) -> bool {
        let Ok(files) = fs::read_dir(format!("/proc/{id}/fd")) else {
            return false;
        };
        let mut links = files.flatten().map(|file| fs::read_link(file.path()));
        links.any(|to| to.is_ok_and(|to| to.as_os_str() == link))
    }
}

#[cfg(windows)]
mod system {
    use super::Owner;
    use std::ffi::OsString;
    use std::net::{IpAddr, Ipv4Addr, SocketAddr};
    use std::os::windows::ffi::OsStringExt;
    use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
    use std::path::PathBuf;
    use windows_sys::Win32::Foundation::NO_ERROR;
    use windows_sys::Win32::NetworkManagement::IpHelper::{
        GetExtendedTcpTable, MIB_TCPROW_OWNER_PID, TCP_TABLE_OWNER_PID_LISTENER,
    };
    use windows_sys::Win32::Networking::WinSock::AF_INET;
    use windows_sys::Win32::System::Threading::{
        OpenProcess, PROCESS_QUERY_LIMITED_INFORMATION, QueryFullProcessImageNameW,
    };

    /// The table may have grown between two calls, so often.
    const ATTEMPTS: usize = 4;

    pub fn at(address: SocketAddr) -> Option<Owner> {
        let in_the_way = |row: &&MIB_TCPROW_OWNER_PID| {
            // Both are in the network's order; of the port only the lower half counts.
            let port = u16::from_be((row.dwLocalPort & 0xFFFF) as u16);
            let ip = IpAddr::from(Ipv4Addr::from(row.dwLocalAddr.to_ne_bytes()));
            let everywhere = address.ip().is_unspecified() || ip.is_unspecified();
            port == address.port() && (everywhere || ip == address.ip())
        };
        let table = listeners()?;
        let id = rows(&table).iter().find(in_the_way)?.dwOwningPid;
        // It has ended, or the system does not tell.
        if id == 0 {
            return None;
        }
        Some(Owner {
            id,
            program: program(id),
        })
    }

    /// The system's table of those that listen on IPv4: their number, then as many rows. All of it are words of 32 bits.
    fn listeners() -> Option<Vec<u32>> {
        let mut table: Vec<u32> = Vec::new();
        for _ in 0..ATTEMPTS {
            let mut size = u32::try_from(size_of_val(table.as_slice())).ok()?;
            // SAFETY: the table is borrowed for the call, with its own size in bytes; it is aligned as its rows are.
            let answer = unsafe {
                GetExtendedTcpTable(
                    table.as_mut_ptr().cast(),
                    &raw mut size,
                    0,
                    AF_INET.into(),
                    TCP_TABLE_OWNER_PID_LISTENER,
                    0,
                )
            };
            if answer == NO_ERROR && !table.is_empty() {
                return Some(table);
            }
            table = vec![0; size.div_ceil(4).max(1) as usize];
        }
        None
    }

    fn rows(table: &[u32]) -> &[MIB_TCPROW_OWNER_PID] {
        let Some((count, rows)) = table.split_first() else {
            return &[];
        };
        let space = size_of_val(rows) / size_of::<MIB_TCPROW_OWNER_PID>();
        let count = space.min(*count as usize);
        // SAFETY: a row is six words of 32 bits, for which any value is right, and so many of them lie within `rows`.
        unsafe { std::slice::from_raw_parts(rows.as_ptr().cast(), count) }
    }

    fn program(id: u32) -> Option<String> {
        // SAFETY: takes any number.
        let process = unsafe { OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, 0, id) };
        if process.is_null() {
            return None;
        }
        // SAFETY: a new handle that nobody else owns.
        let process = unsafe { OwnedHandle::from_raw_handle(process) };
        let mut name = [0; 1024];
        let mut length = name.len() as u32;
        // SAFETY: a valid handle; the text is borrowed for the call, with its own length.
        let told = unsafe {
            QueryFullProcessImageNameW(
                process.as_raw_handle(),
                0,
                name.as_mut_ptr(),
                &raw mut length,
            )
        };
        if told == 0 {
            return None;
        }
        let path = PathBuf::from(OsString::from_wide(name.get(..length as usize)?));
        Some(path.file_name()?.to_string_lossy().into_owned())
    }
}

#[cfg(not(any(target_os = "linux", windows)))]
mod system {
    use super::Owner;
    use std::net::SocketAddr;

    pub fn at(_: SocketAddr) -> Option<Owner> {
        None
    }
}

#[cfg(all(test, any(target_os = "linux", windows)))]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn this_process_is_found_by_its_port_and_nobody_by_a_free_one() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let everywhere = SocketAddr::from(([0, 0, 0, 0], address.port()));
        for address in [address, everywhere] {
            let owner = at(address).expect("somebody");
            assert_eq!(owner.id, std::process::id());
            let words = owner.to_string();
            assert!(words.starts_with('`') && words.ends_with(')'), "{words}");
        }
        let elsewhere = SocketAddr::from(([127, 0, 0, 9], address.port()));
        assert_eq!(at(elsewhere), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn rows_of_the_kernels_tables() {
        let row = |ip: &str, state: &str| {
            format!(
                "   0: {ip}:1F90 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 0 0 77 1 0 100 0"
            )
        };
        let v4 = SocketAddr::from(([127, 0, 0, 1], 8080));
        let v6 = "[::1]:8080".parse().expect("an address");
        let (any, this) = ("0".repeat(32), format!("{}01000000", "0".repeat(24)));
        for (row, address, expected) in [
            (row("0100007F", "0A"), v4, Some("77")),
            (row("00000000", "0A"), v4, Some("77")),
            (row("0200007F", "0A"), v4, None),
            (row("0100007F", "01"), v4, None),
            (row(&any, "0A"), v4, Some("77")),
            (row(&this, "0A"), v6, Some("77")),
            (row(&this, "0A"), v4, None),
            ("sl local_address".into(), v4, None),
        ] {
            assert_eq!(system::socket(&row, address), expected, "{row}");
        }
    }
}
