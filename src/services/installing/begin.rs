//! The beginning: the table, and the state that is to be gone on with or made anew.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Installer, Looked, Refusal};
use crate::{
    disks::{
        self, BegunDisk, KeyFile, LaidDisk, LockedDisk, OpenState, Order as Opening, Secret, Seen, StateKey,
        SystemDisk, Unlocking, mapper,
    },
    install::{self, Begun, Footage, How, Order},
    inventory::{Content, Disk},
    plan::{KEY_FILE, KEY_LABEL, Recover},
    services::{disks::unlocking, planning::Wanted},
    site::{Recorder, Site, Unlock},
    state::LABEL,
    sys::{Files as _, RealFiles},
};

/// What was found on the state partition of a disk that has our table.
enum Found {
    /// An installation that was cut short, and what it has left.
    Begun(Box<Begun>),
    /// Nothing that anybody could miss.
    Nothing,
    /// A system that has run.
    Installed,
    /// It does not open, or is not what it should be.
    Locked,
}

/// What is to become of the system disk. Nothing was changed so far.
pub(super) enum Judged {
    /// It has our table, and the state on it is there or not.
    Laid { disk: LaidDisk, begun: bool },
    /// It gets one.
    New(SystemDisk),
}

/// The disk with its table.
pub(super) struct Ready {
    pub disk: LaidDisk,
    /// The state is there, to be gone on with.
    pub begun: bool,
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

/// With two of them in a machine nothing starts: which state is its own cannot be told.
fn only_one(looked: &Looked, order: &Order) -> Result<(), Refusal> {
    let other = |disk: &&Disk| {
        let parted = looked.parted.iter().find(|p| p.name == disk.name && !p.is_booted());
        let parts = parted.into_iter().flat_map(|p| &p.parts);
        !disk.by_id.contains(&order.system) && parts.into_iter().any(|part| part.label.as_deref() == Some(LABEL))
    };
    let Some(disk) = looked.survey.inventory.disks.iter().find(other) else { return Ok(()) };
    let text = |of: &Option<String>| of.clone().unwrap_or_else(|| "–".to_owned());
    Err(Refusal::Second { name: disk.name.clone(), model: text(&disk.model), serial: text(&disk.serial) })
}

/// What the site wants the system disk for, if it does.
fn named(looked: &Looked, wanted: &Wanted, order: &Order) -> Option<disks::Unfit> {
    install::named(&wanted.site, looked.survey.inventory.disk(&order.system)?)
}

impl Installer<'_> {
    /// What is to become of the system disk, or why nothing is.
    pub(super) fn judge(
        &self,
        looked: &Looked,
        order: &Order,
        wanted: &Wanted,
        recorder: &Recorder,
    ) -> anyhow::Result<Judged> {
        only_one(looked, order)?;
        self.one_stick(looked, recorder)?;
        match self.found(looked, order, wanted, recorder)? {
            Some((BegunDisk { disk, .. }, Found::Begun(by))) => {
                begun_by(order, Some(&by))?;
                return Ok(Judged::Laid { disk, begun: true });
            }
            found => {
                begun_by(order, None)?;
                if let Some((BegunDisk { disk, .. }, Found::Nothing)) = found {
                    return Ok(Judged::Laid { disk, begun: false });
                }
            }
        }
        // If there is a system on it, somebody has read that, and has typed its code.
        let named = named(looked, wanted, order);
        let disk = disks::clear_install(&looked.survey, &order.system, named.as_ref(), &order.token, &self.version)?;
        disk.unused()?;
        Ok(Judged::New(disk))
    }

    /// At each start the key comes from whichever stick has the name: with two of them it may be the wrong one's.
    fn one_stick(&self, looked: &Looked, recorder: &Recorder) -> Result<(), Refusal> {
        let label = format!("vfat \"{KEY_LABEL}\"");
        let other = |disk: &&Disk| {
            let Content::Foreign { found } = &disk.content else { return false };
            disk.name != self.stick.disk && found.iter().any(|line| line.contains(&label))
        };
        match looked.survey.inventory.disks.iter().find(other) {
            Some(disk) if recorder.unlock == Unlock::UsbKey => Err(Refusal::TwoSticks(disk.name.clone())),
            _ => Ok(()),
        }
    }

    /// A key file that a power cut has left too short makes way for a whole one, unless something here may depend on it.
    pub(super) fn whole_key(&self, recorder: &Recorder, order: &Order, judged: &Judged) -> anyhow::Result<()> {
        let path = self.stick.data.join(KEY_FILE);
        if recorder.unlock != Unlock::UsbKey || disks::key_file(&path)? != KeyFile::Short {
            return Ok(());
        }
        let depends =
            matches!(judged, Judged::Laid { begun: true, .. }) || order.footage.iter().any(|f| f.how == How::Keep);
        if depends {
            return Err(Refusal::ShortKey.into());
        }
        log::warn!("{} is too short for a key: another one is made", path.display());
        Ok(RealFiles.remove(&path)?)
    }

    /// Gives the system disk its table, unless it has it from an installation that was cut short. Whether it is new.
    pub(super) fn lay(&self, judged: Judged) -> anyhow::Result<(Ready, bool)> {
        Ok(match judged {
            Judged::Laid { disk, begun } => (Ready { disk, begun }, false),
            Judged::New(disk) => {
                let disk = disks::lay(self.machine.commands, disk, &self.machine.run)?;
                (Ready { disk, begun: false }, true)
            }
        })
    }

    /// What there is on a disk that has our table, if it may be gone on with or begun anew.
    fn found(
        &self,
        looked: &Looked,
        order: &Order,
        wanted: &Wanted,
        recorder: &Recorder,
    ) -> anyhow::Result<Option<(BegunDisk, Found)>> {
        let (survey, parted, named) = (&looked.survey, &looked.parted, named(looked, wanted, order));
        let begun = disks::resume(survey, parted, &order.system, named.as_ref(), &order.token, &self.version)?;
        let Some(begun) = begun else { return Ok(None) };
        let found = match begun.disk.seen(parted) {
            Seen::Nothing => Found::Nothing,
            Seen::Other => Found::Locked,
            Seen::State => self.within(&begun.disk.state(), &self.daily(recorder.unlock, order.passphrase.as_ref())?),
        };
        // An install.toml that stays in is for one installation: it says nothing about the system that has run since.
        let anew = begun.anew && (order.asked || !begun.same);
        match found {
            Found::Installed if !anew => Err(Refusal::Installed(order.system.clone()).into()),
            Found::Locked if !anew => Err(Refusal::Locked(order.system.clone()).into()),
            found => Ok(Some((begun, found))),
        }
    }

    /// The volumes that are to be kept, and whose recovery keys are wanted: all that are encrypted, but for those whose key this very
    /// installation knows. That the machine could open them by itself says nothing about who stands before it.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn wanted_keys(&self, wanted: &Wanted, recorder: &Recorder, order: &Order) -> anyhow::Result<Vec<Recover>> {
        let _alone = self.lock.alone()?;
        let looked = self.look()?;
        only_one(&looked, order)?;
        self.one_stick(&looked, recorder)?;
        let locked = self.machine.locked_volumes(&looked.survey, &wanted.site, recorder);
        if locked.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.found(&looked, order, wanted, recorder)?;
        let begun = if let Some((_, Found::Begun(begun))) = found { Some(begun) } else { None };
        let fits = |(disk, r): &(LockedDisk, Recover)| {
            let key = begun.as_ref().and_then(|b| b.volumes.get(&r.volume)?.parse().ok());
            key.is_some_and(|key| disk.fits(self.machine.commands, &key).unwrap_or(false))
        };
        Ok(locked.iter().filter(|l| !fits(l)).map(|(_, r)| r.clone()).collect())
    }

    /// secrets.toml as an installation by this very site.toml has left it on a disk, where it was cut short after it had gone from the stick.
    pub fn left_secrets(&self, site: &Site, text: &str, passphrase: Option<&Secret>) -> Option<String> {
        let parted = self.parted().ok()?;
        let states = parted.iter().filter(|disk| !disk.is_booted()).flat_map(|disk| &disk.parts);
        let states = states.filter(|part| [&part.label, &part.content].map(Option::as_deref) == [Some(LABEL); 2]);
        let looked = |(part, recorder): (&Path, &Recorder)| {
            let daily = self.daily(recorder.unlock, passphrase).ok()?;
            self.in_state(part, &daily, |at| {
                let state = Self::state_dir(at);
                let of = Begun::read(&RealFiles, &state)?.map(|begun| begun.recorder);
                let same = RealFiles.read(&state.join("etc/site.toml"))?.as_deref() == Some(text.as_bytes());
                let secrets = RealFiles.read(&state.join("etc/secrets.toml"))?;
                Ok(secrets.filter(|_| same && of.as_ref() == Some(&recorder.id)))
            })
        };
        let mut all = states.flat_map(|part| site.recorders().map(|recorder| (part.device.as_path(), recorder)));
        all.find_map(|at| String::from_utf8(looked(at)??).ok())
    }

    /// What opens the disks each day, as far as it is there.
    fn daily(&self, unlock: Unlock, passphrase: Option<&Secret>) -> anyhow::Result<Unlocking> {
        if unlock == Unlock::UsbKey {
            return Ok(Unlocking::KeyFile(self.stick.data.join(KEY_FILE)));
        }
        unlocking(unlock, None, passphrase.map(Secret::bytes))
    }

    /// Looks at a state partition, and leaves it closed.
    fn within(&self, part: &Path, unlocking: &Unlocking) -> Found {
        let looked = self.in_state(part, unlocking, |at| {
            let state = Self::state_dir(at);
            if let Some(begun) = Begun::read(&RealFiles, &state)? {
                return Ok(Found::Begun(Box::new(begun)));
            }
            let other = |e: &fs::DirEntry| !matches!(e.file_name().to_str(), Some("lost+found" | "lib"));
            let empty = !fs::read_dir(at)?.flatten().any(|e| other(&e)) && !state.join("current").exists();
            Ok(if empty { Found::Nothing } else { Found::Installed })
        });
        looked.unwrap_or(Found::Locked)
    }

    /// Does something with a state partition, and leaves it closed. None if it does not open, or is not what it should be.
    fn in_state<T>(
        &self,
        part: &Path,
        unlocking: &Unlocking,
        look: impl FnOnce(&Path) -> anyhow::Result<T>,
    ) -> Option<T> {
        let fs = self.open(part, unlocking)?;
        let options = ["-t", "ext4", "-o", "nodev,nosuid,noexec", &fs.display().to_string()];
        let looked = self.machine.mounted_as(&options, look);
        self.close(unlocking);
        looked.inspect_err(|e| log::warn!("the state that was begun cannot be read: {e:#}")).ok()
    }

    /// Opens the state as it is opened each day; none if it does not open.
    fn open(&self, part: &Path, unlocking: &Unlocking) -> Option<PathBuf> {
        let key = match unlocking {
            Unlocking::None => return Some(part.to_owned()),
            Unlocking::Tpm { .. } => StateKey::Tpm,
            Unlocking::KeyFile(path) => StateKey::File(path),
            Unlocking::Passphrase(secret) => StateKey::Passphrase(secret.bytes()),
        };
        let opened = disks::open_state(self.machine.commands, part, key);
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
            && let Some(file_system) = self.open(&ready.disk.state(), unlocking)
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
