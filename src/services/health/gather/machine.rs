//! Figures of the machine.

use std::path::Path;

use sysinfo::{Components, MemoryRefreshKind, System};

use crate::{
    sys::{Disk as _, RealDisk},
    types::{ByteSize, wire::health::Machine},
};

/// What is looked at again and again.
pub(super) struct Watched {
    system: System,
    /// None: the kernel has no sensors, or does not show them.
    sensors: Option<Components>,
}

impl Default for Watched {
    fn default() -> Self {
        Self { system: System::new(), sensors: Components::new().ok() }
    }
}

impl Watched {
    /// The system disk is the one that `state` lies on. No other file system is touched: one that is dead would hang whoever asks.
    pub(super) fn look(&mut self, state: &Path) -> Machine {
        self.system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        let memory = (self.system.total_memory() > 0).then(|| self.system.total_memory());
        let space = RealDisk.space(state).ok();
        Machine {
            uptime_seconds: System::uptime().ok(),
            memory: memory.map(ByteSize),
            memory_available: memory.map(|_| ByteSize(self.system.available_memory())),
            load: load(),
            temperature: self.sensors.as_mut().and_then(hottest),
            system_disk: space.map(|space| (ByteSize(space.size), ByteSize(space.free))),
            ..Machine::default()
        }
    }
}

fn load() -> Option<(f64, usize)> {
    let processors = std::thread::available_parallelism().ok()?.get();
    System::load_average().ok().map(|load| (load.five, processors))
}

fn hottest(sensors: &mut Components) -> Option<f64> {
    sensors.refresh(true);
    // Some say 0, or less than nothing, where there is nothing to measure.
    let all = sensors.iter().filter_map(sysinfo::Component::temperature).filter(|t| (1.0..200.0).contains(t));
    all.max_by(f32::total_cmp).map(f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_memory_load_and_a_disk() {
        let dir = tempfile::tempdir().unwrap();
        let machine = Watched::default().look(dir.path());
        let (all, available) = (machine.memory.unwrap(), machine.memory_available.unwrap());
        assert!(available.0 > 0 && available <= all, "{machine:?}");
        let (size, free) = machine.system_disk.unwrap();
        assert!(free <= size && size.0 > 0, "{machine:?}");
        assert!(machine.load.unwrap().1 > 0 && machine.uptime_seconds.unwrap() > 0, "{machine:?}");
        assert!(Watched::default().look(&dir.path().join("absent")).system_disk.is_none());
    }
}
