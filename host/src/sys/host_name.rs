//! The name of this host, for people.

/// The name, or nothing when the system does not say.
#[cfg(unix)]
pub fn get() -> String {
    let uname = rustix::system::uname();
    uname.nodename().to_string_lossy().into_owned()
}

/// The name, or nothing when the system does not say.
#[cfg(not(unix))]
pub fn get() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_default()
}
