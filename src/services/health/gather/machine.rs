//! Figures of the machine.

use std::{collections::BTreeSet, fs, path::Path};

use sysinfo::{Components, MemoryRefreshKind, System};

use crate::{
    health::facts::Side,
    site::{Link, Site, Wire},
    sys::{Disk as _, RealDisk},
    types::{ByteSize, RecorderId, wire::health::Machine},
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

/// The sides whose network card the site names and `net`, the kernel's folder of links, does not have. Where that cannot be read nothing is known
/// to be missing. Addresses change only where somebody changes them, which networkd does not as custodian tells it.
pub(super) fn missing_links(site: &Site, recorder: &RecorderId, net: &Path) -> BTreeSet<Side> {
    let network = site.recorder(recorder).and_then(|recorder| recorder.network.as_ref());
    let (Some(network), Ok(links)) = (network, fs::read_dir(net)) else { return BTreeSet::new() };
    let links: Vec<_> = links.flatten().map(|link| link.path()).collect();
    let is = |wanted: &Link, link: &Path| match wanted {
        Link::Name(name) => link.file_name().is_some_and(|n| n == name.as_str()),
        Link::Mac(mac) => fs::read_to_string(link.join("address")).is_ok_and(|text| text.trim() == mac),
    };
    let sides = [(Side::School, network.school.as_ref()), (Side::Cameras, network.cameras.as_ref())];
    let missing = |wire: Option<&Wire>| wire.is_some_and(|w| !links.iter().any(|link| is(&w.link, link)));
    sides.into_iter().filter(|(_, wire)| missing(*wire)).map(|(side, _)| side).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_card_that_the_site_names_and_nobody_has_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let link = |name: &str, mac: &str| {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join("address"), format!("{mac}\n")).unwrap();
        };
        let site = |network: &str| {
            let text = format!(
                "[site]\nname = \"A\"\ntimezone = \"UTC\"\n[area.y]\nname = \"Y\"\nkind = \"public\"\n[recorder.a]\n\
                 [[recorder.a.volume]]\nname = \"a1\"\npath = \"/x\"\nsize = \"1 TB\"\n{network}\n[camera.c]\nname = \"C\"\n\
                 area = \"y\"\nmain = \"rtsp://10.20.0.3/1\"\n"
            );
            crate::site::parse(&text, "site.toml").unwrap_or_else(|e| panic!("{e}"))
        };
        let named = site(
            "[recorder.a.network.school]\nlink = \"enp1s0\"\n[recorder.a.network.cameras]\nlink = \"02:00:00:00:00:0A\"\n\
             address = \"10.20.0.2/24\"\n",
        );
        let missing = |site: &Site| missing_links(site, &"a".parse().unwrap(), dir.path());
        link("lo", "00:00:00:00:00:00");
        assert_eq!(missing(&named), [Side::School, Side::Cameras].into());
        link("enp1s0", "02:00:00:00:00:01");
        assert_eq!(missing(&named), [Side::Cameras].into());
        link("whatever", "02:00:00:00:00:0a");
        assert_eq!(missing(&named), BTreeSet::new());
        assert_eq!(missing(&site("")), BTreeSet::new(), "every wire will do");
        let unseen = missing_links(&named, &"a".parse().unwrap(), &dir.path().join("none"));
        assert_eq!(unseen, BTreeSet::new(), "it is not known");
    }

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
