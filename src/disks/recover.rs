//! Recover: a volume of ours that this machine's own key does not open is opened with its recovery key, and opens by itself from
//! then on. The machine that it was prepared on is gone, or its TPM no longer is what it was.
//!
//! The order, each step only after the one before it ended well:
//!
//! 1. the recovery key is tried, which changes nothing;
//! 2. the volume is opened;
//! 3. the caller looks inside: it must be the volume that its header says;
//! 4. what opens it daily is added, and with a TPM, what other TPMs had is taken away.
//!
//! No step touches the recovery key or anything of the footage. Cut short before the end, the disk is as it was, or has a key more.

use std::path::{Path, PathBuf};

use super::{
    DiskError, RecoveryKey, Unlocking,
    error::{run, try_run},
    init::{Others, enroll},
    secret::by_key,
};
use crate::{
    inventory::{Content, Survey, mapping},
    sys::Commands,
    types::VolumeName,
};

/// The proof that a disk is an encrypted volume of a site and that nothing has opened it. Made only by [`locked`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedDisk {
    partition: String,
    volume: VolumeName,
}

/// What a machine opens its volumes with when it starts.
#[derive(Debug, Clone, Copy)]
pub enum Own<'a> {
    /// Its TPM.
    Tpm,
    /// A file, on a USB key.
    KeyFile(&'a Path),
}

/// The disk, if it is that volume, encrypted and not open.
pub fn locked(survey: &Survey, by_id: &str, site: &str, volume: &VolumeName) -> Option<LockedDisk> {
    let disk = survey.inventory.disk(by_id)?;
    let Content::Ours(ours) = &disk.content else { return None };
    let free = survey.use_of(disk).is_some_and(|used| used.mounts.is_empty() && used.held_by.is_empty());
    let is = ours.encrypted && ours.site == site && ours.volume == *volume && free;
    is.then(|| LockedDisk { partition: ours.device.display().to_string(), volume: volume.clone() })
}

/// cryptsetup(8): no permission, which is a key that does not fit.
pub(super) const NO_PERMISSION: i32 = 2;

impl LockedDisk {
    /// Whether it opens by itself. It stays closed.
    pub fn opens(&self, commands: &dyn Commands, own: Own<'_>) -> Result<bool, DiskError> {
        match own {
            // However that fails, it is not opened by it.
            Own::Tpm => self.try_key(commands, &["--token-only", "--token-type", "systemd-tpm2"], b"").map(|o| o.ok()),
            Own::KeyFile(path) => self.fits_as(commands, &path.display().to_string(), b""),
        }
    }

    /// Whether what is to open it each day does so already; nothing wants no key. It stays closed.
    pub fn opens_by(&self, commands: &dyn Commands, unlocking: &Unlocking) -> Result<bool, DiskError> {
        match unlocking {
            Unlocking::None => Ok(true),
            Unlocking::Tpm { .. } => self.opens(commands, Own::Tpm),
            Unlocking::KeyFile(path) => self.opens(commands, Own::KeyFile(path)),
            Unlocking::Passphrase(secret) => self.fits_as(commands, "-", secret.bytes()),
        }
    }

    /// Whether a recovery key opens it. It stays closed.
    pub fn fits(&self, commands: &dyn Commands, key: &RecoveryKey) -> Result<bool, DiskError> {
        self.fits_as(commands, "-", key.secret().bytes())
    }

    fn fits_as(&self, commands: &dyn Commands, file: &str, input: &[u8]) -> Result<bool, DiskError> {
        let out = self.try_key(commands, &by_key(file), input)?;
        if out.ok() || out.code == Some(NO_PERMISSION) {
            return Ok(out.ok());
        }
        Err(DiskError::of("cryptsetup", out))
    }

    fn try_key(&self, commands: &dyn Commands, key: &[&str], input: &[u8]) -> Result<crate::sys::Output, DiskError> {
        let args = [&["open", "--test-passphrase", "--type", "luks2"], key, &[&self.partition]].concat();
        try_run(commands, "cryptsetup", &args, input)
    }

    /// Opens it, in the manner and under the name in which it is opened when the machine starts.
    pub fn open(self, commands: &dyn Commands, key: &RecoveryKey) -> Result<OpenDisk, DiskError> {
        let name = mapping(&self.volume);
        let args = [&["open", "--type", "luks2", "--allow-discards"], &by_key("-")[..], &[&self.partition, &name]];
        run(commands, "cryptsetup", &args.concat(), key.secret().bytes())?;
        Ok(OpenDisk { disk: self, mapping: name })
    }
}

/// A volume that was opened with its recovery key. It stays open.
#[derive(Debug)]
pub struct OpenDisk {
    disk: LockedDisk,
    mapping: String,
}

impl OpenDisk {
    /// What is to be mounted for step 3.
    pub fn file_system(&self) -> PathBuf {
        Path::new("/dev/mapper").join(&self.mapping)
    }

    /// Step 4. `run_dir`: a folder in memory, `/run`. Whether it opens by itself the next time.
    pub fn enroll(
        &self,
        commands: &dyn Commands,
        unlocking: &Unlocking,
        key: &RecoveryKey,
        run_dir: &Path,
    ) -> Result<bool, DiskError> {
        let give = || enroll(commands, &self.disk.partition, unlocking, key, run_dir, Others::Leave);
        give()?;
        match unlocking {
            Unlocking::KeyFile(path) => self.disk.opens(commands, Own::KeyFile(path)),
            Unlocking::Tpm { .. } if !self.disk.opens(commands, Own::Tpm)? => {
                // systemd-cryptenroll gives no key where there is one for the same state of the firmware, whichever TPM has made it.
                run(commands, "systemd-cryptenroll", &["--wipe-slot=tpm2", &self.disk.partition], b"")?;
                give()?;
                self.disk.opens(commands, Own::Tpm)
            }
            Unlocking::Tpm { .. } | Unlocking::None | Unlocking::Passphrase(_) => Ok(true),
        }
    }

    /// Closes it again.
    pub fn close(self, commands: &dyn Commands) -> Result<(), DiskError> {
        run(commands, "cryptsetup", &["close", &self.mapping], b"").map(|_| ())
    }
}

#[cfg(test)]
#[path = "recover_tests.rs"]
mod tests;
