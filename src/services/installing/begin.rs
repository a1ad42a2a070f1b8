//! The beginning: the table, and the state that is to be gone on with or made anew.

use std::{fs, path::PathBuf};

use super::{Installer, Looked, Refusal};
use crate::{
    disks::{self, LaidDisk, OpenState, Order as Opening, StateKey, Unlocking, mapper},
    install::{Begun, Footage, How, Order},
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

impl Installer<'_> {
    /// Gives the system disk its table, unless it has it from an installation that was cut short.
    pub(super) fn begin(
        &self,
        looked: &Looked,
        order: &Order,
        named: Option<&VolumeName>,
        unlocking: &Unlocking,
    ) -> anyhow::Result<Ready> {
        let (survey, parted) = (&looked.survey, &looked.parted);
        let begun = disks::resume(survey, parted, &order.system, named, &order.token, &self.version)?;
        if let Some(begun) = begun {
            let found =
                if begun.disk.has_state(parted) { self.within(&begun.disk, unlocking)? } else { Found::Nothing };
            match found {
                Found::Begun(by) => {
                    begun_by(order, Some(&by))?;
                    return Ok(Ready { disk: begun.disk, begun: true, changed: false });
                }
                Found::Nothing => {
                    begun_by(order, None)?;
                    return Ok(Ready { disk: begun.disk, begun: false, changed: false });
                }
                Found::Installed if !begun.anew => return Err(Refusal::Installed(order.system.clone()).into()),
                Found::Locked if !begun.anew => return Err(Refusal::Locked(order.system.clone()).into()),
                // Somebody has read that a system is on it, and has typed its code.
                Found::Installed | Found::Locked => {}
            }
        }
        begun_by(order, None)?;
        let disk = disks::clear_install(survey, &order.system, named, &order.token, &self.version)?;
        let disk = disks::lay(self.machine.commands, disk, &self.machine.run)?;
        Ok(Ready { disk, begun: false, changed: true })
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
