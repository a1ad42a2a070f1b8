//! Root's look: what health must know and has no right to see, left for everybody to read. No names of cameras or people are in it.

mod backups;
mod updates;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;

use crate::{
    apply::{self, ApplyError, Drift},
    health::facts::{DiskAnswer, DiskLook, RootLook},
    inventory::{Answer, Glance, Roots, glance},
    services::{applying::UNIT_DIR, paths::Paths},
    site::{self, Site, VolumePlace},
    sys::{Clock, Commands, Files, RealClock, RealCommands, RealFiles},
    types::{RecorderId, VolumeName, WallNs, story, wire::health::GenerationHealth},
};

pub use updates::Apt;

/// Version of what is written.
const FORMAT: u16 = 1;
/// An apply that has not come to its end by then was cut short.
const APPLYING: Duration = Duration::from_mins(10);
/// What systemd answers by itself comes sooner.
const SYSTEMD: Duration = Duration::from_secs(10);

/// What it is looked with.
pub struct Eyes<'a> {
    /// Reads the state folder.
    pub files: &'a dyn Files,
    /// Asks disks and the package manager.
    pub commands: &'a dyn Commands,
    /// Tells the time.
    pub clock: &'a dyn Clock,
    /// Where disks are.
    pub roots: Roots,
    /// Where the units of this boot are.
    pub unit_dir: PathBuf,
    /// The package manager.
    pub apt: Apt,
}

/// Looks at this machine, and leaves what was seen in `to`.
///
/// # Errors
/// If it cannot be written. Whatever else fails is not known then.
pub fn look(state: &Path, to: &Path) -> anyhow::Result<()> {
    let eyes = Eyes {
        files: &RealFiles,
        commands: &RealCommands,
        clock: &RealClock,
        roots: Roots::new(state, Path::new(site::VOLUMES)),
        unit_dir: UNIT_DIR.into(),
        apt: Apt::new(),
    };
    let before = RealFiles.read(to).ok().flatten().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let seen = eyes.see(state, before.as_ref());
    if let Some(dir) = to.parent().filter(|dir| !dir.is_dir()) {
        RealFiles.make_dir(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    let text = serde_json::to_vec(&seen).context("what was seen")?;
    RealFiles.write(to, &text, 0o644, None).with_context(|| format!("cannot write {}", to.display()))
}

/// The generation in force, as far as it can be read.
struct InForce {
    health: GenerationHealth,
    recorder: RecorderId,
    site: Option<Site>,
}

impl Eyes<'_> {
    /// What there is to see. `before` is what was seen last in this boot.
    pub fn see(&self, state: &Path, before: Option<&RootLook>) -> RootLook {
        let mut drift = Vec::new();
        let in_force = self.in_force(state).unwrap_or_else(|e| {
            log::error!("the generation in force cannot be read: {}", story(&e));
            drift.push("the generation in force cannot be read".to_owned());
            None
        });
        drift.extend(open_doors(self.commands));
        let site = in_force.as_ref().and_then(|f| f.site.as_ref().map(|site| (site, &f.recorder)));
        let disks = site.map(|site| self.disks(site, before, &mut drift)).unwrap_or_default();
        if let Some(in_force) = &in_force {
            let old = before.map(|look| look.drift.as_slice()).unwrap_or_default();
            drift.extend(self.drift(state, in_force.health.number, old));
            // While an apply is at work it may have been said already.
            drift.sort();
            drift.dedup();
        }
        RootLook {
            format: FORMAT,
            at: self.clock.wall(),
            disks,
            generation: in_force.as_ref().map(|f| f.health.clone()),
            drift,
            backups: site.and_then(|(site, _)| backups::look(self.files, site, &Paths::new(state).backups())),
            updates: self.apt.look(self.commands, before).or_else(|| {
                let source = site.is_some_and(|(site, _)| site.update_url().is_some());
                updates::of_the_image(self.files, state, source, self.clock.wall())
            }),
        }
    }

    fn in_force(&self, state: &Path) -> Result<Option<InForce>, ApplyError> {
        let Some(number) = apply::current(self.files, state)? else { return Ok(None) };
        let generation = apply::load(self.files, state, number)?;
        let confirmed = apply::list(self.files, state)?.iter().any(|g| g.current && g.confirmed);
        let mut site = crate::plan::digest(&generation.site);
        site.truncate(16);
        let trial_until = apply::trial_ends(self.files, state, number)?;
        Ok(Some(InForce {
            health: GenerationHealth { number, confirmed, trial_until, site },
            recorder: generation.plan.recorder,
            // One that was changed by hand may be wrong, which is said as drift.
            site: site::parse(&generation.site, "site.toml").ok(),
        }))
    }

    /// The disks of volumes; none of them where disks cannot be listed.
    fn disks(
        &self,
        (site, recorder): (&Site, &RecorderId),
        before: Option<&RootLook>,
        drift: &mut Vec<String>,
    ) -> BTreeMap<VolumeName, DiskLook> {
        let disk = |place: &VolumePlace| match place {
            VolumePlace::Disk(by_id) => Some(by_id.clone()),
            VolumePlace::Path(_) => None,
        };
        let wanted: Vec<(&VolumeName, String)> =
            site.volumes_of(recorder).iter().filter_map(|v| Some((&v.name, disk(&v.place)?))).collect();
        if wanted.is_empty() {
            return BTreeMap::new();
        }
        let asked: Vec<&str> = wanted.iter().map(|(_, by_id)| by_id.as_str()).collect();
        let all = glance(self.commands, &self.roots, &asked).unwrap_or_else(|e| {
            log::error!("disks cannot be listed: {e}");
            Vec::new()
        });
        if all.is_empty() {
            return BTreeMap::new();
        }
        for (volume, by_id) in &wanted {
            let at = site::mount_point(volume).display().to_string();
            if all.iter().any(|disk| disk.mounts.contains(&at) && !disk.is(by_id)) {
                drift.push(format!("volume {volume}: another disk than the site names is mounted"));
            }
        }
        let one = |volume: &VolumeName, by_id: &str| {
            disk_look(all.iter().find(|d| d.is(by_id)), before.and_then(|look| look.disks.get(volume)))
        };
        wanted.iter().map(|(volume, by_id)| ((*volume).clone(), one(volume, by_id))).collect()
    }

    fn drift(&self, state: &Path, number: u64, old: &[String]) -> Vec<String> {
        let work = apply::in_work_since(self.files, state);
        if let Ok(Some((to, path))) = &work {
            // What is not done yet is no drift.
            let began = fs::metadata(path).map_or(0, |meta| meta.mtime());
            let age = self.clock.wall().since(WallNs(began.saturating_mul(1_000_000_000)));
            let mut lines = old.to_vec();
            if age > i64::try_from(APPLYING.as_nanos()).unwrap_or(i64::MAX) {
                lines.push(format!("generation {to} is not wholly in force: applying it was cut short"));
            }
            return lines;
        }
        match work.and_then(|_| apply::drift(self.files, state, &self.unit_dir, number)) {
            Ok(all) => all.iter().map(|one| in_words(one, number)).collect(),
            Err(e) => {
                log::error!("it cannot be told whether the machine is as it was applied: {}", story(&e));
                vec!["it cannot be told whether the machine is as it was applied".to_owned()]
            }
        }
    }
}

/// The units of the packet filter that are installed and have not done their work. Where there are none it is somebody else's.
fn open_doors(commands: &dyn Commands) -> Vec<String> {
    let args = [
        "show",
        "--property=Id,LoadState,ActiveState",
        "custodian-firewall.service",
        "custodian-firewall-site.service",
    ];
    let Ok(said) = commands.run("systemctl", &args, &[], SYSTEMD) else { return Vec::new() };
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let line = |unit: &str, key: &str| unit.lines().find_map(|l| l.strip_prefix(key)).unwrap_or_default().to_owned();
    let open = |unit: &&str| line(unit, "LoadState=") == "loaded" && line(unit, "ActiveState=") != "active";
    said.split("\n\n")
        .filter(open)
        .map(|unit| format!("{} has not loaded its part of the packet filter", line(unit, "Id=")))
        .collect()
}

/// `before` is what was seen of this volume's disk last: a disk that sleeps, or hangs, has not become better by it.
fn disk_look(disk: Option<&Glance>, before: Option<&DiskLook>) -> DiskLook {
    let (answer, smart) = match disk.and_then(|d| d.smart.as_ref()) {
        Some(Answer::Told(smart)) => (DiskAnswer::Told, Some(smart)),
        Some(Answer::Asleep) => (DiskAnswer::Asleep, None),
        Some(Answer::Untold) => (DiskAnswer::Untold, None),
        Some(Answer::Failed) => (DiskAnswer::Failed, None),
        None => (DiskAnswer::Told, None),
    };
    let before = before.filter(|_| matches!(answer, DiskAnswer::Asleep | DiskAnswer::Failed));
    DiskLook {
        present: disk.is_some(),
        answer,
        smart_passed: smart.and_then(|s| s.passed).or(before.and_then(|b| b.smart_passed)),
        temperature: smart.and_then(|s| s.temperature),
        bad_sectors: smart.and_then(|s| s.bad_sectors).or(before.and_then(|b| b.bad_sectors)),
    }
}

fn in_words(drift: &Drift, number: u64) -> String {
    match drift {
        Drift::Site => format!("site.toml of generation {number} was changed after it was applied"),
        Drift::Secrets => format!("secrets.toml of generation {number} was changed after it was applied"),
        Drift::Differs(unit) => format!("{unit} is not as it was applied"),
        Drift::Missing(unit) => format!("{unit} is missing"),
        Drift::Stray(unit) => format!("{unit} is no part of generation {number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{FakeCommands, Output};

    #[test]
    fn a_packet_filter_that_is_not_loaded_is_told() {
        let of = |stdout: &str| {
            let stdout: Vec<u8> = stdout.into();
            open_doors(&FakeCommands::new(move |_, _: &[&str]| {
                Ok(Output { code: Some(0), stdout: stdout.clone(), stderr: String::new() })
            }))
        };
        let both = |first: &str, second: &str| {
            of(&format!("Id=custodian-firewall.service\n{first}\n\nId=custodian-firewall-site.service\n{second}\n"))
        };
        let (good, bad) = ("LoadState=loaded\nActiveState=active", "LoadState=loaded\nActiveState=failed");
        let none = "LoadState=not-found\nActiveState=inactive";
        assert_eq!(both(good, good), [""; 0]);
        assert_eq!(both(none, none), [""; 0], "a machine that has somebody else's");
        let line = "custodian-firewall-site.service has not loaded its part of the packet filter";
        assert_eq!(both(good, bad), [line]);
        assert_eq!(both(bad, bad).len(), 2);
        assert_eq!(of(""), [""; 0]);
    }
}
