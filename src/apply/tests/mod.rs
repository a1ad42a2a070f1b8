//! A machine made of folders: its power can be cut before any change of it.

mod cuts;
mod life;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use tempfile::TempDir;

use super::*;
use crate::{
    plan::{self, Base, HEADER, Plan, RECORD, Touched, Units},
    sys::{FakeClock, Files, Found, RealFiles, unfinished},
    types::WallNs,
};

/// So many changes are let through; the next one and all after it fail.
struct Fuse(AtomicI64);

impl Fuse {
    fn burn(&self) -> io::Result<()> {
        if self.0.fetch_sub(1, Ordering::SeqCst) > 0 { Ok(()) } else { Err(io::Error::other("cut")) }
    }
}

const FREE: Consent<'static> = &|_, _, _| Ok(None);

const WHOLE: i64 = 1_000_000;

/// Files that leave the worst behind when they are cut short.
struct CutFiles<'a>(&'a Fuse);

impl Files for CutFiles<'_> {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        RealFiles.read(path)
    }
    fn find(&self, path: &Path, most: usize) -> io::Result<Option<Found>> {
        RealFiles.find(path, most)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealFiles.list(dir)
    }
    fn target(&self, link: &Path) -> io::Result<Option<PathBuf>> {
        RealFiles.target(link)
    }
    fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.0.burn()?;
        RealFiles.make_dir(path)
    }
    fn write(&self, path: &Path, bytes: &[u8], mode: u32, group: Option<u32>) -> io::Result<()> {
        if let Err(e) = self.0.burn() {
            fs::write(unfinished(path), &bytes[..bytes.len() / 2])?;
            return Err(e);
        }
        RealFiles.write(path, bytes, mode, group)
    }
    fn point(&self, link: &Path, to: &Path) -> io::Result<()> {
        self.0.burn()?;
        RealFiles.point(link, to)
    }
    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.burn()?;
        RealFiles.replace(from, to)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.burn()?;
        RealFiles.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.burn()?;
        RealFiles.remove(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        if let Err(e) = self.0.burn() {
            if let Some(first) = RealFiles.list(path)?.first() {
                let _ = fs::remove_file(path.join(first));
            }
            return Err(e);
        }
        RealFiles.remove_dir(path)
    }
}

/// What a service manager knows.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Services {
    loaded: Units,
    /// Running units, with the text they were started with.
    running: BTreeMap<String, String>,
    /// The site that the recorder has read.
    fed: Option<String>,
    timers: BTreeMap<u64, Duration>,
    restarts: u32,
    /// What services of the system's have taken up: the packet filter, and who brings links up.
    taken: Units,
    /// Disks that do not answer, and services that fail.
    dead: Vec<String>,
}

struct FakeManager<'a> {
    fuse: &'a Fuse,
    world: &'a World,
}

impl FakeManager<'_> {
    fn change(&self, change: impl FnOnce(&mut Services)) -> Result<Outcome, ManagerError> {
        self.fuse.burn()?;
        change(&mut self.world.services.lock().unwrap());
        Ok(Outcome::Changed)
    }

    fn up(&self, unit: &str) -> impl FnOnce(&mut Services) {
        let site = fs::read_to_string(self.world.path("state/current/site.toml")).ok();
        move |s: &mut Services| {
            if unit == RECORD {
                s.fed = site;
            }
            let text = s.loaded.get(unit).or_else(|| s.loaded.get(&format!("{unit}.d/site.conf")));
            s.running.insert(unit.to_owned(), text.cloned().unwrap_or_default());
        }
    }
}

impl Manager for FakeManager<'_> {
    fn reload_manager(&self) -> Result<Outcome, ManagerError> {
        let units = generations::read_units(&RealFiles, &self.world.path("units"), |_| true).unwrap();
        self.change(|s| s.loaded = units)
    }
    fn refresh(&self, unit: &str) -> Result<Outcome, ManagerError> {
        assert!(unit == "systemd-networkd.service" || unit == "custodian-firewall-site.service", "{unit}");
        let files = if unit == "systemd-networkd.service" { "network/" } else { "custodian/firewall" };
        let there = self.world.system_files();
        self.change(|s| {
            s.taken.retain(|name, _| !name.starts_with(files));
            s.taken.extend(there.into_iter().filter(|(name, _)| name.starts_with(files)));
        })
    }
    fn start(&self, unit: &str, wait: bool) -> Result<Outcome, ManagerError> {
        let services = self.world.services.lock().unwrap().clone();
        if wait && services.dead.contains(&unit.to_owned()) {
            return Err(ManagerError::Refused { command: "start".into(), why: "no such device".into() });
        }
        if services.running.contains_key(unit) {
            return Ok(Outcome::AsItWas);
        }
        self.change(self.up(unit))
    }
    fn stop(&self, unit: &str) -> Result<Outcome, ManagerError> {
        self.change(|s| drop(s.running.remove(unit)))
    }
    fn restart(&self, unit: &str) -> Result<Outcome, ManagerError> {
        if self.world.services.lock().unwrap().dead.contains(&unit.to_owned()) {
            return Err(ManagerError::Refused { command: "restart".into(), why: "it fails".into() });
        }
        let up = self.up(unit);
        self.change(|s| {
            s.restarts += u32::from(s.running.contains_key(unit));
            up(s);
        })
    }
    fn reload(&self, unit: &str) -> Result<Outcome, ManagerError> {
        let site = fs::read_to_string(self.world.path("state/current/site.toml")).unwrap();
        if site.contains("REFUSED") {
            return Err(ManagerError::Refused { command: "reload".into(), why: "refused".into() });
        }
        self.change(self.up(unit))
    }
    fn arm(&self, generation: u64, after: Duration) -> Result<(), ManagerError> {
        self.change(|s| _ = s.timers.insert(generation, after)).map(drop)
    }
    fn disarm(&self, generation: u64) -> Result<(), ManagerError> {
        self.change(|s| _ = s.timers.remove(&generation)).map(drop)
    }
}

/// The machine.
struct World {
    dir: TempDir,
    clock: FakeClock,
    services: Mutex<Services>,
    cameras: Mutex<Result<Vec<Look>, String>>,
    boots: Mutex<u32>,
    fuse: Fuse,
}

impl Cameras for World {
    fn look(&self) -> Result<Vec<Look>, String> {
        self.cameras.lock().unwrap().clone()
    }
}

/// A site of a name, with these people and disks.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Site {
    name: &'static str,
    people: &'static str,
    volumes: Vec<(&'static str, &'static str)>,
}

fn site(name: &'static str, volumes: &[(&'static str, &'static str)]) -> Site {
    Site { name, people: "ann", volumes: volumes.to_vec() }
}

impl Site {
    fn text(&self) -> String {
        format!("[site]\nname = \"{}\"\n[person.{1}]\nname = \"{1}\"\n", self.name, self.people)
    }
    fn units(&self) -> Units {
        let mount = |(volume, disk): &(&str, &str)| (format!("{volume}.mount"), format!("{HEADER}What={disk}\n"));
        let mut units: Units = self.volumes.iter().map(mount).collect();
        units.insert(format!("{RECORD}.d/site.conf"), format!("{HEADER}a\n"));
        // Each site has an address and a port of its own, and one more or one less file.
        let name = self.name;
        units.insert("custodian/firewall.nft".into(), format!("{HEADER}# {name}\n"));
        units.insert(format!("network/10-{}.network", self.volumes.len()), format!("{HEADER}Description={name}\n"));
        units
    }
}

impl World {
    fn new() -> Self {
        let world = Self {
            dir: tempfile::tempdir().unwrap(),
            clock: FakeClock::at(WallNs(1_795_334_400_000_000_000)),
            services: Mutex::default(),
            cameras: Mutex::new(Ok(Vec::new())),
            boots: Mutex::new(1),
            fuse: Fuse(AtomicI64::new(WHOLE)),
        };
        fs::create_dir(world.path("units")).unwrap();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Does something with so many changes let through.
    fn cut<T>(&self, after: i64, act: impl FnOnce(&Env<'_>) -> T) -> T {
        self.fuse.0.store(after, Ordering::SeqCst);
        let judge =
            |text: &str, _: Option<&str>| if text.contains("BROKEN") { Err("broken".to_owned()) } else { Ok(()) };
        let (files, manager) = (CutFiles(&self.fuse), FakeManager { fuse: &self.fuse, world: self });
        act(&Env {
            state: self.path("state"),
            unit_dir: self.path("units"),
            boot: format!("boot {}", self.boots.lock().unwrap()),
            site_group: None,
            secrets_group: None,
            files: &files,
            manager: &manager,
            clock: &self.clock,
            cameras: self,
            judge: &judge,
        })
    }

    fn act<T>(&self, act: impl FnOnce(&Env<'_>) -> T) -> T {
        self.cut(WHOLE, act)
    }

    /// What a person who gives the command now asks for: the plan is made from what is there.
    fn request(&self, site: &Site, trial: Option<Duration>) -> Request {
        let state = self.path("state");
        let now = current(&RealFiles, &state).unwrap().map(|n| load(&RealFiles, &state, n).unwrap());
        let (text, secrets) = (site.text(), format!("of = {:?}\n", site.name));
        let fed = now.as_ref().is_none_or(|g| g.site != text);
        let base = Base {
            site: plan::digest(&text),
            secrets: Some(plan::digest(&secrets)),
            generation: now.as_ref().map(|g| g.meta.number),
            inventory: None,
        };
        let steps = plan::steps(now.as_ref().map(|g| &g.units), &site.units(), fed);
        Request {
            plan: empty_plan(base, steps),
            site: text,
            secrets: Some(secrets),
            units: site.units(),
            touched: Touched::default(),
            inventory: None,
            by: "test".into(),
            word: None,
            trial,
        }
    }

    fn apply(&self, site: &Site) -> Result<Report, ApplyError> {
        let request = self.request(site, None);
        self.act(|env| apply(env, request))
    }

    fn attempt(&self, site: &Site, trial: Duration) -> Result<Report, ApplyError> {
        let request = self.request(site, Some(trial));
        self.act(|env| apply(env, request))
    }

    /// The power fails and comes back after a while; systemd has run what apply has left it.
    fn reboot(&self, off: Duration) -> Report {
        self.power_cycle(off);
        let report = self.act(activate).unwrap();
        self.start_recorder();
        report
    }

    /// Everything that is not on disk is gone.
    fn power_cycle(&self, off: Duration) {
        self.clock.advance(off);
        *self.boots.lock().unwrap() += 1;
        for folder in ["units", "network", "custodian"] {
            let _ = fs::remove_dir_all(self.path(folder));
        }
        fs::create_dir(self.path("units")).unwrap();
        // Somebody else's, which nobody touches.
        fs::create_dir(self.path("network")).unwrap();
        fs::write(self.path("network/99-other.network"), "[Match]\n").unwrap();
        let mut services = self.services.lock().unwrap();
        *services = Services { dead: services.dead.clone(), ..Services::default() };
    }

    /// As multi-user.target does, after apply.
    fn start_recorder(&self) {
        let _ = self.act(|env| env.manager.start(RECORD, true)).unwrap();
        let there = self.system_files();
        self.services.lock().unwrap().taken = there;
    }

    /// Files of ours that are no units, as they lie there.
    fn system_files(&self) -> Units {
        let ours = |text: &str| text.starts_with(HEADER);
        let mut all = generations::read_boot(&RealFiles, &self.path("units"), ours).unwrap();
        all.retain(|name, _| plan::is_system_file(name));
        all
    }

    fn current(&self) -> Option<u64> {
        current(&RealFiles, &self.path("state")).unwrap()
    }

    /// The site in force, all of whose parts must belong to it.
    fn in_force(&self, sites: &[&Site]) -> usize {
        let now = load(&RealFiles, &self.path("state"), self.current().unwrap()).unwrap();
        let which = sites.iter().position(|s| s.text() == now.site).expect("one of the sites, whole");
        assert_eq!(now.units, sites[which].units());
        assert_eq!(now.secrets.unwrap(), format!("of = {:?}\n", sites[which].name));
        which
    }

    /// All that follows from the current generation is as it says, and nothing is left lying about.
    fn settled(&self, site: &Site) {
        assert_eq!(self.in_force(&[site]), 0);
        let mut units = generations::read_boot(&RealFiles, &self.path("units"), |_| true).unwrap();
        units.remove("network/99-other.network");
        assert_eq!(units, site.units());
        let services = self.services.lock().unwrap();
        let (system, units): (Units, Units) = units.into_iter().partition(|(name, _)| plan::is_system_file(name));
        assert_eq!((&services.taken, &services.loaded), (&system, &units));
        assert_eq!(services.fed.as_deref(), Some(&*site.text()), "the recorder has read it");
        let mounts = services.running.iter().filter(|(n, _)| plan::is_mount(n));
        let wanted = units.iter().filter(|(n, _)| plan::is_mount(n));
        assert!(mounts.eq(wanted), "{services:?}");
        assert_eq!(services.timers, BTreeMap::new());
        let mut left = RealFiles.list(&self.path("state")).unwrap();
        // What was set aside is nobody's business any more.
        left.retain(|name| name != "set-aside");
        assert_eq!(left, ["apply.lock", "confirmed", "current", "generations"]);
        let listed = list(&RealFiles, &self.path("state")).unwrap();
        assert_eq!(listed.len(), RealFiles.list(&self.path("state/generations")).unwrap().len());
        let now = listed.iter().find(|l| l.current).unwrap();
        assert!(now.confirmed && !now.on_trial);
    }
}

fn empty_plan(base: Base, steps: Vec<plan::Step>) -> Plan {
    let capacity = plan::Capacity { needs: Vec::new(), volumes: Vec::new(), layout: BTreeMap::new(), fits: true };
    Plan {
        format: plan::FORMAT,
        base,
        recorder: "a".parse().unwrap(),
        layout: BTreeMap::new(),
        capacity,
        short: None,
        changes: Vec::new(),
        disks: Vec::new(),
        recover: Vec::new(),
        steps,
    }
}
