//! Figures of the machine.

use std::path::Path;

use sysinfo::{Components, MemoryRefreshKind, System};

use crate::{
    sys::{Disk as _, RealDisk},
    types::{ByteSize, wire::health::Machine},
};

/// What is looked at again and again.
pub(super) struct Watched {
    /// None: the kernel does not show itself.
    system: Option<System>,
    /// None: the kernel has no sensors, or does not show them.
    sensors: Option<Components>,
}

impl Default for Watched {
    fn default() -> Self {
        Self { system: System::new().ok(), sensors: Components::new().ok() }
    }
}

impl Watched {
    /// The system disk is the one that `state` lies on. No other file system is touched: one that is dead would hang whoever asks.
    pub(super) fn look(&mut self, state: &Path) -> Machine {
        let memory = self.system.as_mut().and_then(memory);
        let space = RealDisk.space(state).ok();
        Machine {
            uptime_seconds: System::uptime().ok(),
            memory: memory.map(|(all, _)| ByteSize(all)),
            memory_available: memory.map(|(_, available)| ByteSize(available)),
            load: load(),
            temperature: self.sensors.as_mut().and_then(hottest),
            system_disk: space.map(|space| (ByteSize(space.size), ByteSize(space.free))),
            ..Machine::default()
        }
    }
}

fn memory(system: &mut System) -> Option<(u64, u64)> {
    system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
    Some((system.total_memory(), system.available_memory())).filter(|(all, _)| *all > 0)
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
