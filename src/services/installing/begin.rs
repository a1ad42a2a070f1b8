//! The beginning: the table, and the state that is to be gone on with or made anew.

use std::{fs, path::PathBuf};

use super::{Installer, Looked, Refusal};
use crate::{
    disks::{self, BegunDisk, LaidDisk, LockedDisk, OpenState, Order as Opening, StateKey, Unlocking, mapper},
    install::{Begun, Footage, How, Order},
    plan::{KEY_FILE, Recover},
    services::{disks::unlocking, planning::Wanted},
    site::{Recorder, Unlock, VolumePlace},
    sys::RealFiles,
    types::VolumeName,
};

/// What was found on the state partition of a disk that has our table.
enum Found {
    /// An installation that was cut short, and what it has left.
    Begun(Box<Begun>),
    /// Nothing that anybody could miss.
    Nothing,
    /// A system that has run.
    Installed,
    /// It does not open.
    Locked,
}

/// The disk with its table.
pub(super) struct Ready {
    pub disk: LaidDisk,
    /// The state is there, to be gone on with.
    pub begun: bool,
    /// Whether the table is new.
    pub changed: bool,
}

/// A disk for footage is prepared again only if this installation has begun it, which has written that down before: it has not run yet, so
/// nothing was recorded. Any other that looks alike may be full of footage, and only damaged.
fn begun_by(order: &Order, begun: Option<&Begun>) -> Result<(), Refusal> {
    let noted = |f: &Footage| begun.is_some_and(|b| b.preparing.get(&f.volume) == Some(&f.by_id));
    let again = |f: &&Footage| matches!(f.how, How::Again(_));
    match order.footage.iter().filter(again).find(|f| !noted(f)) {
        Some(f) => Err(Refusal::NotBegun { volume: f.volume.clone(), by_id: f.by_id.clone() }),
        None => Ok(()),
    }
}

/// The volume for which the site wants a disk.
pub(super) fn named(looked: &Looked, wanted: &Wanted, by_id: &str) -> Option<VolumeName> {
    let system = looked.survey.inventory.disk(by_id)?;
    let all = wanted.site.recorders().flat_map(|r| &r.volumes);
    let mut named = all.filter(|v| matches!(&v.place, VolumePlace::Disk(id) if system.by_id.contains(id)));
    named.next().map(|v| v.name.clone())
}

impl Installer<'_> {
    /// Gives the system disk its table, unless it has it from an installation that was cut short.
    pub(super) fn begin(
        &self,
        looked: &Looked,
        order: &Order,
        named: Option<&VolumeName>,
        unlocking: &Unlocking,
    ) -> anyhow::Result<Ready> {
        if let Some((begun, found)) = self.found(looked, order, named, &|| Ok(unlocking.clone()))? {
            match found {
                Found::Begun(by) => {
                    begun_by(order, Some(&by))?;
                    return Ok(Ready { disk: begun.disk, begun: true, changed: false });
                }
                Found::Nothing => {
                    begun_by(order, None)?;
                    return Ok(Ready { disk: begun.disk, begun: false, changed: false });
                }
                // Somebody has read that a system is on it, and has typed its code.
                Found::Installed | Found::Locked => {}
            }
        }
        begun_by(order, None)?;
        let disk = disks::clear_install(&looked.survey, &order.system, named, &order.token, &self.version)?;
        let disk = disks::lay(self.machine.commands, disk, &self.machine.run)?;
        Ok(Ready { disk, begun: false, changed: true })
    }

    /// What there is on a disk that has our table, if it may be gone on with or begun anew.
    fn found(
        &self,
        looked: &Looked,
        order: &Order,
        named: Option<&VolumeName>,
        unlocking: &dyn Fn() -> anyhow::Result<Unlocking>,
    ) -> anyhow::Result<Option<(BegunDisk, Found)>> {
        let (survey, parted) = (&looked.survey, &looked.parted);
        let begun = disks::resume(survey, parted, &order.system, named, &order.token, &self.version)?;
        let Some(begun) = begun else { return Ok(None) };
        let found =
            if begun.disk.has_state(parted) { self.within(&begun.disk, &unlocking()?)? } else { Found::Nothing };
        match found {
            Found::Installed if !begun.anew => Err(Refusal::Installed(order.system.clone()).into()),
            Found::Locked if !begun.anew => Err(Refusal::Locked(order.system.clone()).into()),
            found => Ok(Some((begun, found))),
        }
    }

    /// The volumes that are to be kept, and whose recovery keys are wanted: all that are encrypted, but for those whose key this very
    /// installation knows. That the machine could open them by itself says nothing about who stands before it.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn wanted_keys(&self, wanted: &Wanted, recorder: &Recorder, order: &Order) -> anyhow::Result<Vec<Recover>> {
        let _alone = self.alone()?;
        let looked = self.look()?;
        let locked = self.machine.locked_volumes(&looked.survey, &wanted.site, recorder);
        if locked.is_empty() {
            return Ok(Vec::new());
        }
        let named = named(&looked, wanted, &order.system);
        let found = self.found(&looked, order, named.as_ref(), &|| self.daily(recorder, order))?;
        let begun = if let Some((_, Found::Begun(begun))) = found { Some(begun) } else { None };
        let fits = |(disk, r): &(LockedDisk, Recover)| {
            let key = begun.as_ref().and_then(|b| b.volumes.get(&r.volume)?.parse().ok());
            key.is_some_and(|key| disk.fits(self.machine.commands, &key).unwrap_or(false))
        };
        Ok(locked.iter().filter(|l| !fits(l)).map(|(_, r)| r.clone()).collect())
    }

    /// What opens the disks each day, as far as it is there.
    fn daily(&self, recorder: &Recorder, order: &Order) -> anyhow::Result<Unlocking> {
        if recorder.unlock == Unlock::UsbKey {
            return Ok(Unlocking::KeyFile(self.stick.data.join(KEY_FILE)));
        }
        unlocking(recorder.unlock, None, order.passphrase.as_deref().map(str::as_bytes))
    }

    /// Looks at a state partition, and leaves it closed.
    fn within(&self, disk: &LaidDisk, unlocking: &Unlocking) -> anyhow::Result<Found> {
        let Some(fs) = self.open(disk, unlocking) else { return Ok(Found::Locked) };
        let looked =
            self.machine.mounted_as(&["-t", "ext4", "-o", "nodev,nosuid,noexec", &fs.display().to_string()], |at| {
                let state = Self::state_dir(at);
                if let Some(begun) = Begun::read(&RealFiles, &state)? {
                    return Ok(Found::Begun(Box::new(begun)));
                }
                let other = |e: &fs::DirEntry| !matches!(e.file_name().to_str(), Some("lost+found" | "lib"));
                let empty = !fs::read_dir(at)?.flatten().any(|e| other(&e)) && !state.join("current").exists();
                Ok(if empty { Found::Nothing } else { Found::Installed })
            });
        self.close(unlocking);
        looked
    }

    /// Opens the state as it is opened each day; none if it does not open.
    fn open(&self, disk: &LaidDisk, unlocking: &Unlocking) -> Option<PathBuf> {
        let key = match unlocking {
            Unlocking::None => return Some(disk.state()),
            Unlocking::Tpm { .. } => StateKey::Tpm,
            Unlocking::KeyFile(path) => StateKey::File(path),
            Unlocking::Passphrase(secret) => StateKey::Passphrase(secret.bytes()),
        };
        let opened = disks::open_state(self.machine.commands, &disk.state(), key);
        opened.inspect_err(|e| log::warn!("the state that was begun does not open: {e}")).ok()
    }

    pub(super) fn close(&self, unlocking: &Unlocking) {
        if !matches!(unlocking, Unlocking::None)
            && let Err(e) = disks::close_state(self.machine.commands)
        {
            log::warn!("the state's partition stays open: {e}");
        }
    }

    /// The state, open; made if it is not there.
    pub(super) fn state(&self, ready: &Ready, unlocking: &Unlocking) -> anyhow::Result<(OpenState, bool)> {
        if ready.begun
            && let Some(file_system) = self.open(&ready.disk, unlocking)
        {
            return Ok((OpenState { file_system, recovery: None }, false));
        }
        anyhow::ensure!(!ready.begun, "the state that was begun opened a moment ago and does not open now");
        // An attempt that was cut short by something else than the power may have left it open.
        if mapper().exists() {
            self.close(unlocking);
        }
        let opening = Opening { unlocking: unlocking.clone(), run: self.machine.run.clone() };
        Ok((disks::make_state(self.machine.commands, &ready.disk, &opening)?, true))
    }
}

#[cfg(test)]
#[path = "begin_tests.rs"]
mod tests;
