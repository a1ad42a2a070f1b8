//! Disks at the console, beside the verbs for one: which volumes of the site in force they are, and taking one into use or out of it while all else runs.

use std::path::Path;

use anyhow::Context as _;

use super::disks::{self, Machine};
use crate::{
    apply::{self, Manager as _, Outcome, Systemctl},
    disks::{self as verbs, RecoveryKey, Unlocking, Wanted},
    inventory::{self, Disk},
    plan,
    site::{self, BackupPlace, Site, Unlock, Volume, VolumePlace},
    sys::{Commands, RealFiles},
    types::{RecorderId, VolumeName},
};

/// The site in force, and which of its recorders this machine is.
#[derive(Debug)]
pub struct InForce {
    site: Site,
    recorder: RecorderId,
}

/// What is in force; none where nothing is, or where it cannot be read.
pub fn in_force(state: &Path) -> Option<InForce> {
    let number = apply::current(&RealFiles, state).ok()??;
    let generation = apply::load(&RealFiles, state, number).ok()?;
    let site = site::parse(&generation.site, "site.toml").ok()?;
    Some(InForce { site, recorder: generation.plan.recorder })
}

impl InForce {
    /// Volumes of this recorder that are disks, and the names of those below `/dev/disk/by-id`.
    pub fn volumes(&self) -> impl Iterator<Item = (&Volume, &str)> {
        self.site.volumes_of(&self.recorder).iter().filter_map(|volume| match &volume.place {
            VolumePlace::Disk(disk) => Some((volume, disk.as_str())),
            VolumePlace::Path(_) => None,
        })
    }

    /// The volume of this recorder that a disk is to be, and the name by which the site calls that disk.
    pub fn of_disk(&self, disk: &Disk) -> Option<(&Volume, &str)> {
        self.volumes().find(|(_, by_id)| disk.by_id.iter().any(|name| name == by_id))
    }

    /// Whether backups go to a disk. In them may be footage that is nowhere else any more.
    pub fn backs_up_to(&self, disk: &Disk) -> bool {
        let places = self.site.backup().map(|backup| backup.to.as_slice()).unwrap_or_default();
        places.iter().any(|place| matches!(place, BackupPlace::Disk(by_id) if disk.by_id.contains(by_id)))
    }

    /// What a disk is prepared as, and what opens it then.
    pub fn wanted(&self, disk: &Disk) -> Option<(Wanted, Unlock)> {
        let (_, by_id) = self.of_disk(disk)?;
        disks::wanted(&self.site, by_id, false)
    }
}

/// What uses a volume of this recorder, or is about to, ends: its mount, and what opens it.
fn close(systemd: &Systemctl<'_>, volume: &VolumeName) -> anyhow::Result<()> {
    systemd.stop(&plan::mount_unit(volume))?;
    systemd.stop(&plan::unlock_unit(volume))?;
    Ok(())
}

/// The partition that the machine's key opens first of all, by the name that it has in the table.
const STATE: &str = "/dev/disk/by-partlabel/custodian-state";

/// Whether a key is what this machine starts with; not known where that cannot be tried.
pub fn is_own_key(commands: &dyn Commands, file: &Path) -> Option<bool> {
    verbs::file_opens_state(commands, STATE.as_ref(), file)
}

/// Before a disk is prepared: nobody waits for it any more, such as by asking for a passphrase that opens it.
pub fn make_way(commands: &dyn Commands, volume: &VolumeName) {
    if let Err(e) = close(&Systemctl::new(commands, Vec::new()), volume) {
        log::warn!(VOLUME = volume.as_str(), CAUSE:% = e; "what waits for volume {volume} does not end: {e:#}");
    }
}

/// A volume that is in use is let go of. The recorder stops for that moment, and starts again whatever comes of it.
///
/// # Errors
/// If something else uses it, or the service manager cannot be asked.
pub fn let_go(commands: &dyn Commands, volume: &VolumeName) -> anyhow::Result<()> {
    let systemd = Systemctl::new(commands, Vec::new());
    let stopped = systemd.stop(plan::RECORD);
    let done = match &stopped {
        Ok(_) => close(&systemd, volume),
        Err(e) => Err(anyhow::anyhow!("the recorder does not stop: {e}")),
    };
    // One that was not at work is not started by this.
    let started = match stopped {
        Ok(Outcome::AsItWas) => Ok(()),
        _ => systemd.start(plan::RECORD, false).map(|_| ()).context("the recorder does not start again"),
    };
    match (done, started) {
        (Ok(()), started) => started,
        (Err(e), Ok(())) => Err(e),
        (Err(e), Err(worse)) => Err(worse.context(format!("{e:#}"))),
    }
}

/// How a volume that was prepared was taken into use.
#[derive(Debug)]
pub struct Taken {
    /// Whether what is to open it each day does so; not known where that could not be tried.
    pub opens: Option<bool>,
    /// Why it is not in use yet.
    pub missing: Option<String>,
}

/// Takes a volume into use that was just prepared: opens it, since nobody would be asked for its passphrase now, and starts its mount as apply does.
/// The recorder finds it by itself then.
pub fn take_into_use(
    machine: &Machine<'_>,
    by_id: &str,
    wanted: &Wanted,
    unlocking: &Unlocking,
    key: Option<&RecoveryKey>,
) -> Taken {
    let (mut opens, mut missing) = (Some(true), None);
    if let Some(key) = key {
        let survey = inventory::survey(machine.commands, &machine.roots);
        match verbs::locked(&survey, by_id, &wanted.site, &wanted.volume) {
            Some(locked) => {
                opens = locked
                    .opens_by(machine.commands, unlocking)
                    .inspect_err(|e| log::warn!("whether {by_id} opens by itself could not be tried: {e}"))
                    .ok();
                missing = locked.open(machine.commands, key).err().map(|e| e.to_string());
            }
            None => missing = Some("it is not found locked".to_owned()),
        }
    }
    if missing.is_none() {
        let systemd = Systemctl::new(machine.commands, Vec::new());
        missing = systemd.start(&plan::mount_unit(&wanted.volume), true).err().map(|e| e.to_string());
    }
    Taken { opens, missing }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{FakeCommands, Output};

    /// What is asked of systemd, where a command fails and the recorder is in this state.
    fn asked(fails: &'static str, recorder: &'static str) -> (anyhow::Result<()>, Vec<String>) {
        let commands = FakeCommands::new(move |_, args| {
            let state = if args == ["is-active", plan::RECORD] { recorder } else { "active" };
            let (code, stdout) = match args {
                ["is-active", ..] => (0, state),
                _ => (i32::from(!fails.is_empty() && args.join(" ").contains(fails)), ""),
            };
            Ok(Output { code: Some(code), stdout: stdout.into(), stderr: "busy".into() })
        });
        let done = let_go(&commands, &"a1".parse().unwrap());
        let asked = commands.asked().into_iter().filter(|line| !line.contains("is-active")).collect();
        (done, asked)
    }

    #[test]
    fn the_recorder_stops_for_a_moment_and_goes_on_whatever_comes() {
        let stop = "systemctl stop custodian-record.service";
        let mount = "systemctl stop var-lib-custodian-volumes-a1.mount";
        let unlock = "systemctl stop custodian-unlock-a1.service";
        // A recorder that is neither down nor up: it is told to stop, and to start.
        let start = "systemctl start --no-block custodian-record.service";
        let (done, all) = asked("", "deactivating");
        assert_eq!(all, [stop, mount, unlock, start]);
        done.unwrap();
        let (done, all) = asked(".mount", "deactivating");
        assert_eq!(all, [stop, mount, start], "something else uses it");
        assert!(format!("{:#}", done.unwrap_err()).contains("busy"));
        let (done, all) = asked("stop custodian-record", "deactivating");
        assert_eq!(all, [stop, start], "nothing is taken from under it");
        assert!(done.is_err());
        let (done, all) = asked("", "failed");
        assert_eq!(all, [mount, unlock], "it was not at work");
        done.unwrap();
    }
}
