//! Volumes of ours that this machine cannot open, for the machine that opened them is gone: each is opened with its recovery key, and
//! this machine is given a key of its own for it.

use std::{fs::File, path::Path};

use anyhow::Context as _;

use super::disks::{self, Machine};
use crate::{
    apply::Recovered,
    disks::{self as verbs, LockedDisk, OpenDisk, Own, RecoveryKey, Unlocking, make_key_file},
    inventory::{self, Survey},
    plan::{KEY_FILE, KEY_LABEL, KEY_STICK, Recover},
    site::{Recorder, Site, Unlock, VolumePlace},
    store::volume,
    sys::{Clock, RealDisk},
    types::VolumeName,
};

/// Where recovery keys come from.
pub trait Keys {
    /// The next one to be tried on a volume; asked again, the last one did not fit. None: there are no more.
    ///
    /// # Errors
    /// If nobody can be asked.
    fn next(&mut self, volume: &Recover) -> anyhow::Result<Option<RecoveryKey>>;
}

/// Why a volume was not recovered. It is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// Nobody was there to be asked.
    #[error("this machine cannot open {}: give the recovery keys, one a line, with --recovery-key FILE", names(.0))]
    NoKeys(Vec<Recover>),
    /// No key that was given fits.
    #[error("none of the recovery keys that were given opens volume {} (disk {})", .0.volume, .0.disk)]
    Wrong(Recover),
    /// It is another one within than its header says.
    #[error("disk {} is not volume {} of this site within: {found}", at.disk, at.volume)]
    Other {
        /// Which.
        at: Recover,
        /// What it is.
        found: String,
    },
    /// The key for each day would be on a stick, and there is none.
    #[error(
        "no stick whose file system has the label {KEY_LABEL} can be mounted, and the site says unlock = \"usb-key\""
    )]
    NoStick,
}

/// What volumes are recovered for.
pub struct Recovery<'a> {
    /// The site that they belong to.
    pub site: &'a Site,
    /// The recorder that this machine is.
    pub recorder: &'a Recorder,
    /// Tells the time.
    pub clock: &'a dyn Clock,
    /// What opens them each day, where that is at hand; else it is found as the site says.
    pub unlocking: Option<&'a Unlocking>,
    /// Ends what may be trying to open a volume in its own manner, such as by asking at the console: it would ask on though the
    /// volume is open.
    pub let_go: &'a dyn Fn(&VolumeName) -> anyhow::Result<()>,
}

fn names(volumes: &[Recover]) -> String {
    volumes.iter().map(|r| format!("volume {} (disk {})", r.volume, r.disk)).collect::<Vec<_>>().join(", ")
}

/// The disks of a recorder.
fn disks_of(recorder: &Recorder) -> impl Iterator<Item = Recover> {
    recorder.volumes.iter().filter_map(|v| match &v.place {
        VolumePlace::Disk(disk) => Some(Recover { volume: v.name.clone(), disk: disk.clone() }),
        VolumePlace::Path(_) => None,
    })
}

impl Machine<'_> {
    /// The volumes of a recorder that are here and locked.
    pub fn locked_volumes(&self, survey: &Survey, site: &Site, recorder: &Recorder) -> Vec<(LockedDisk, Recover)> {
        let locked = |r: Recover| Some((verbs::locked(survey, &r.disk, site.id(), &r.volume)?, r));
        disks_of(recorder).filter_map(locked).collect()
    }

    /// The volumes of a recorder that are here, locked, and do not open by themselves. Where a person is asked at each start, that
    /// person can type the recovery key too: those are none of them.
    pub fn cannot_open(&self, survey: &Survey, site: &Site, recorder: &Recorder) -> Vec<Recover> {
        let locked = self.locked_volumes(survey, site, recorder);
        if locked.is_empty() {
            return Vec::new();
        }
        let shut = |own: Option<Own<'_>>| {
            let opens = |disk: &LockedDisk| own.map_or(Ok(false), |own| disk.opens(self.commands, own));
            // In doubt nobody is asked: the unit that opens it says what is wrong.
            let opens = |(disk, r): &(LockedDisk, Recover)| {
                opens(disk).unwrap_or_else(|e| {
                    log::warn!(VOLUME:% = r.volume, CAUSE:% = e; "whether this machine opens volume {} could not be found out: {e}", r.volume);
                    true
                })
            };
            locked.iter().filter(|l| !opens(l)).map(|(_, r)| r.clone()).collect()
        };
        match recorder.unlock {
            Unlock::None | Unlock::Passphrase => Vec::new(),
            Unlock::Tpm => shut(Some(Own::Tpm)),
            Unlock::UsbKey => {
                let looked = self.with_stick("ro", |key| Ok(shut(key.exists().then_some(Own::KeyFile(key)))));
                looked.unwrap_or_else(|_| shut(None))
            }
        }
    }

    /// Opens volumes with their recovery keys, and sees to it that they open by themselves from then on. No key is added to any of
    /// them before each is open and is what its header says.
    ///
    /// # Errors
    /// [`RecoveryError`], or what the machine's programs say.
    pub fn recover(
        &self,
        recovery: &Recovery<'_>,
        volumes: &[Recover],
        keys: &mut dyn Keys,
    ) -> anyhow::Result<Vec<Recovered>> {
        let _lock = self.lock()?;
        let survey = inventory::survey(self.commands, &self.roots);
        self.with_unlocking(recovery, |unlocking| {
            let mut found = Vec::new();
            for volume in volumes {
                let locked = verbs::locked(&survey, &volume.disk, recovery.site.id(), &volume.volume);
                let disk = locked.with_context(|| format!("volume {} is no longer locked", volume.volume))?;
                let key = self.key(&disk, volume, keys)?;
                // Each key that is added takes a place in the header.
                if recovery.unlocking.is_none() || !disk.opens_by(self.commands, unlocking)? {
                    found.push((volume, key, disk));
                }
            }
            if let Unlocking::KeyFile(path) = unlocking {
                make_key_file(path)?;
                nix::unistd::syncfs(File::open(path)?)?;
            }
            let mut open = Vec::new();
            for (volume, key, disk) in found {
                match self.open(recovery, volume, disk, &key) {
                    Ok(disk) => open.push((volume, key, disk)),
                    Err(e) => {
                        open.into_iter().for_each(|(volume, _, disk)| self.close(volume, disk));
                        return Err(e);
                    }
                }
            }
            open.into_iter().map(|(volume, key, disk)| self.enroll(recovery, volume, disk, &key, unlocking)).collect()
        })
    }

    /// The recovery key of a disk.
    fn key(&self, disk: &LockedDisk, volume: &Recover, keys: &mut dyn Keys) -> anyhow::Result<RecoveryKey> {
        while let Some(key) = keys.next(volume)? {
            if disk.fits(self.commands, &key)? {
                return Ok(key);
            }
        }
        Err(RecoveryError::Wrong(volume.clone()).into())
    }

    /// Opens a volume with its recovery key, if it is what its header says.
    fn open(
        &self,
        recovery: &Recovery<'_>,
        at: &Recover,
        disk: LockedDisk,
        key: &RecoveryKey,
    ) -> anyhow::Result<OpenDisk> {
        (recovery.let_go)(&at.volume)?;
        let open = disk.open(self.commands, key)?;
        match self.look_within(recovery.site, at, &open.file_system()) {
            Ok(()) => Ok(open),
            Err(e) => {
                self.close(at, open);
                Err(e)
            }
        }
    }

    fn close(&self, at: &Recover, open: OpenDisk) {
        open.close(self.commands)
            .unwrap_or_else(|e| log::warn!(VOLUME:% = at.volume, CAUSE:% = e; "volume {} stays open: {e}", at.volume));
    }

    /// Gives an open volume a key of this machine.
    fn enroll(
        &self,
        recovery: &Recovery<'_>,
        at: &Recover,
        open: OpenDisk,
        key: &RecoveryKey,
        unlocking: &Unlocking,
    ) -> anyhow::Result<Recovered> {
        let enrolled = self
            .account("recovered", at.volume.as_str(), &at.disk, recovery.clock)
            .and_then(|()| Ok(open.enroll(self.commands, unlocking, key, &self.run)?));
        match enrolled {
            Ok(opens) => Ok(Recovered { volume: at.clone(), opens }),
            Err(e) => {
                self.close(at, open);
                Err(e)
            }
        }
    }

    /// Whether it is, within, what its header says. Nothing is written, its journal neither.
    fn look_within(&self, site: &Site, at: &Recover, file_system: &Path) -> anyhow::Result<()> {
        let other = |found| RecoveryError::Other { at: at.clone(), found };
        self.mounted(file_system, "ro,norecovery,nodev,nosuid,noexec", |root| {
            let found = volume::open(&RealDisk, &at.volume, root, None).map_err(|e| other(e.to_string()))?;
            let of = &found.marker.site;
            anyhow::ensure!(of == site.id(), other(format!("its marker names site {of:?}")));
            Ok(())
        })
    }

    /// Does something with what is to open disks daily.
    fn with_unlocking(
        &self,
        recovery: &Recovery<'_>,
        work: impl FnOnce(&Unlocking) -> anyhow::Result<Vec<Recovered>>,
    ) -> anyhow::Result<Vec<Recovered>> {
        if let Some(unlocking) = recovery.unlocking {
            return work(unlocking);
        }
        let unlock = recovery.recorder.unlock;
        if unlock != Unlock::UsbKey {
            return work(&disks::unlocking(unlock, None, None)?);
        }
        let mut there = false;
        let done = self.with_stick("rw", |key| {
            there = true;
            work(&Unlocking::KeyFile(key.to_owned()))
        });
        if there { done } else { done.context(RecoveryError::NoStick) }
    }

    /// Mounts the USB key while something is done with its key file, which may not be there yet.
    fn with_stick<T>(&self, mode: &str, work: impl FnOnce(&Path) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let (options, label) = (format!("{mode},{KEY_STICK}"), format!("LABEL={KEY_LABEL}"));
        self.mounted_as(&["-t", "vfat", "-o", &options, &label], |at| work(&at.join(KEY_FILE)))
    }
}
