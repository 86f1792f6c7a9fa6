//! Nodes that fail, hang, flood or take their process along, in every place where they can run.

#[cfg(target_os = "linux")]
mod crashes;
mod fails;
#[cfg(target_os = "linux")]
mod floods;
#[cfg(target_os = "linux")]
mod hangs;
#[cfg(unix)]
mod neighbours;
