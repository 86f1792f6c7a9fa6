//! This machine, read through the crate `sysinfo`.
//!
//! Invariant: what the machine does not have or does not tell is `None`, never zero. Absent: Arrow and messages.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use sysinfo::{Components, Disk, DiskRefreshKind, Disks, MINIMUM_CPU_UPDATE_INTERVAL};
use sysinfo::{NetworkData, Networks, System};

/// Temperatures are read at most this often: a sensor may take milliseconds to answer.
const TEMPERATURE_PERIOD: Duration = Duration::from_secs(1);

/// What was read at one moment. Sizes and counters are in bytes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// Load of the cores together, 100 % each. `None` until there are two readings to compare.
    pub cpu_total: Option<f32>,
    /// Mean load of a core, in percent.
    pub cpu_core_mean: Option<f32>,
    /// Load of the busiest core, in percent.
    pub cpu_core_max: Option<f32>,
    /// Memory in use.
    pub memory_used: Option<u64>,
    /// Memory that there is.
    pub memory_total: Option<u64>,
    /// Space of the disk that is not free.
    pub disk_used: Option<u64>,
    /// Space of the disk that may still be written.
    pub disk_free: Option<u64>,
    /// Bytes received since the machine started.
    pub network_received: Option<u64>,
    /// Bytes sent since the machine started.
    pub network_sent: Option<u64>,
    /// The hottest sensor, in degrees Celsius.
    pub temperature: Option<f32>,
}

/// Why the machine cannot be read as asked.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The system is none that can be read.
    #[error("this system cannot be read: {0}")]
    System(String),
    /// No such folder or file.
    #[error("config: disk: {}: {error}", path.display())]
    Path {
        /// As it was configured.
        path: PathBuf,
        /// The system's answer.
        error: std::io::Error,
    },
    /// No disk is mounted there.
    #[error("config: disk: {} lies on no known disk; there are: {known}", path.display())]
    NoDisk {
        /// As it was configured.
        path: PathBuf,
        /// Where disks are mounted.
        known: String,
    },
    /// No such network interface.
    #[error("config: interface: there is no \"{name}\"; there are: {known}")]
    NoInterface {
        /// As it was configured.
        name: String,
        /// Names of all interfaces.
        known: String,
    },
}

/// Handles to this machine's counters.
pub struct Machine {
    system: System,
    cpu_read: Instant,
    cpu_compared: bool,
    disk: Option<Disk>,
    networks: Option<Networks>,
    interface: Option<String>,
    components: Option<Components>,
    temperature_due: Instant,
}

impl Machine {
    /// Opens this machine. `disk` is a path on the disk to watch (the current folder's if none), `interface` the one
    /// network interface to watch (all but loopback if none).
    ///
    /// # Errors
    /// What was asked for does not exist.
    pub fn open(disk: Option<&Path>, interface: Option<&str>) -> Result<Self, MachineError> {
        let mut system = System::new().map_err(|error| MachineError::System(error.to_string()))?;
        system.refresh_cpu_usage();
        let networks = Networks::new_with_refreshed_list().ok();
        if let Some(name) = interface {
            check_interface(networks.as_ref(), name)?;
        }
        let now = Instant::now();
        Ok(Self {
            system,
            cpu_read: now,
            cpu_compared: false,
            disk: find_disk(disk)?,
            networks,
            interface: interface.map(str::to_owned),
            components: Components::new().ok(),
            temperature_due: now,
        })
    }

    /// Reads everything now. Two loads in a row may be the same: the system is asked five times a second at most.
    pub fn read(&mut self) -> Reading {
        let mut reading = Reading::default();
        self.read_cpu(&mut reading);
        self.system.refresh_memory();
        reading.memory_used = Some(self.system.used_memory());
        reading.memory_total = Some(self.system.total_memory());
        if let Some(disk) = &mut self.disk {
            disk.refresh_specifics(DiskRefreshKind::nothing().with_storage());
            let free = disk.available_space();
            reading.disk_free = Some(free);
            reading.disk_used = Some(disk.total_space().saturating_sub(free));
        }
        self.read_network(&mut reading);
        reading.temperature = self.temperature();
        reading
    }

    fn read_cpu(&mut self, reading: &mut Reading) {
        if self.cpu_read.elapsed() >= MINIMUM_CPU_UPDATE_INTERVAL {
            self.system.refresh_cpu_usage();
            self.cpu_read = Instant::now();
            self.cpu_compared = true;
        }
        let loads = self.system.cpus().iter().map(sysinfo::Cpu::usage);
        let cores = self.system.cpus().len();
        if self.cpu_compared && cores > 0 {
            let total = loads.clone().sum::<f32>();
            reading.cpu_total = Some(total);
            reading.cpu_core_mean = Some(total / cores as f32);
            reading.cpu_core_max = loads.reduce(f32::max);
        }
    }

    fn read_network(&mut self, reading: &mut Reading) {
        let Some(networks) = &mut self.networks else {
            return;
        };
        // An interface that goes away stays in the sum with its last count, so that the sum never falls.
        networks.refresh(false);
        let wanted: Vec<_> = networks
            .iter()
            .filter(|(name, data)| match &self.interface {
                Some(interface) => *name == interface.as_str(),
                None => !is_loopback(data),
            })
            .map(|(_, data)| data)
            .collect();
        if !wanted.is_empty() {
            let sum = |of: fn(&NetworkData) -> u64| wanted.iter().map(|data| of(data)).sum();
            reading.network_received = Some(sum(NetworkData::total_received));
            reading.network_sent = Some(sum(NetworkData::total_transmitted));
        }
    }

    fn temperature(&mut self) -> Option<f32> {
        let components = self.components.as_mut()?;
        let now = Instant::now();
        if now >= self.temperature_due {
            components.refresh(true);
            self.temperature_due = now + TEMPERATURE_PERIOD;
        }
        let temperatures = components
            .iter()
            .filter_map(sysinfo::Component::temperature);
        temperatures
            .filter(|celsius| celsius.is_finite())
            .reduce(f32::max)
    }
}

/// This machine's name, if it has one.
pub fn host_name() -> Option<String> {
    System::host_name().ok()
}

fn is_loopback(data: &NetworkData) -> bool {
    let mut addresses = data.ip_networks().iter();
    addresses.any(|network| network.addr.is_loopback())
}

fn check_interface(networks: Option<&Networks>, name: &str) -> Result<(), MachineError> {
    let mut known: Vec<_> = networks
        .into_iter()
        .flat_map(|networks| networks.keys())
        .map(|name| name.to_string_lossy())
        .collect();
    known.sort();
    if known.iter().any(|known| known == name) {
        return Ok(());
    }
    Err(MachineError::NoInterface {
        name: name.to_owned(),
        known: known.join(", "),
    })
}

/// The disk that a path lies on: the one whose mount point is the longest start of it.
fn find_disk(asked: Option<&Path>) -> Result<Option<Disk>, MachineError> {
    let path = asked.unwrap_or(Path::new("."));
    // Both sides are made canonical: on Windows that adds a prefix, elsewhere it follows links.
    let full = match (path.canonicalize(), asked) {
        (Ok(full), _) => full,
        (Err(_), None) => return Ok(None),
        (Err(error), Some(_)) => {
            let path = path.to_owned();
            return Err(MachineError::Path { path, error });
        }
    };
    let disks = Disks::new_with_refreshed_list_specifics(DiskRefreshKind::nothing());
    let disks = disks.map(Vec::from).unwrap_or_default();
    let known: Vec<_> = disks
        .iter()
        .map(|disk| disk.mount_point().display().to_string())
        .collect();
    let found = disks
        .into_iter()
        .filter_map(|disk| {
            let mount = disk.mount_point().canonicalize().ok()?;
            let length = mount.components().count();
            full.starts_with(mount).then_some((length, disk))
        })
        .max_by_key(|(length, _)| *length);
    match (found, asked) {
        (Some((_, disk)), _) => Ok(Some(disk)),
        (None, None) => Ok(None),
        (None, Some(path)) => Err(MachineError::NoDisk {
            path: path.to_owned(),
            known: known.join(", "),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_are_unknown_first_and_then_within_their_bounds() {
        let mut machine = Machine::open(None, None).expect("this machine");
        let start = Instant::now();
        // Load for the counters to show, instead of a sleep.
        let mut reading = machine.read();
        while reading.cpu_total.is_none() {
            assert!(start.elapsed() < Duration::from_secs(60), "{reading:?}");
            reading = machine.read();
        }
        assert!(start.elapsed() >= Duration::from_millis(100));
        let cores = machine.system.cpus().len() as f32;
        let (Some(total), Some(mean), Some(max)) = (
            reading.cpu_total,
            reading.cpu_core_mean,
            reading.cpu_core_max,
        ) else {
            panic!("some of the loads are missing: {reading:?}");
        };
        assert!(total > 0.0 && total <= 100.0 * cores, "{reading:?}");
        assert!((mean - total / cores).abs() < 0.01 && mean <= max && max <= 100.0);
    }

    #[test]
    fn sizes_and_counters_are_plausible() {
        let mut machine = Machine::open(None, None).expect("this machine");
        let (first, second) = (machine.read(), machine.read());
        let total = first.memory_total.expect("every machine has memory");
        assert!(
            first
                .memory_used
                .is_some_and(|used| 0 < used && used < total)
        );
        assert!(first.network_received <= second.network_received);
        assert!(first.network_sent <= second.network_sent);
        assert_eq!(first.disk_used.is_some(), first.disk_free.is_some());
    }

    #[test]
    fn what_does_not_exist_is_named_with_what_does() {
        let error = Machine::open(Some(Path::new("no/such/folder")), None).err();
        let text = error.map(|error| error.to_string()).unwrap_or_default();
        let path = Path::new("no/such/folder").display().to_string();
        assert!(
            text.starts_with(&format!("config: disk: {path}: ")),
            "{text}"
        );
        let error = Machine::open(None, Some("no such")).err();
        let text = error.map(|error| error.to_string()).unwrap_or_default();
        let start = "config: interface: there is no \"no such\"; there are: ";
        assert!(text.starts_with(start), "{text}");
    }
}
