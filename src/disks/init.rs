//! Init: an empty disk becomes a volume. The order, each step only after the one before it ended well:
//!
//! 1. the kernel lets nobody else have the disk;
//! 2. `systemd-repart` writes a GPT with one partition of our type, named `<volume>@<site>`;
//! 3. where it is encrypted, `cryptsetup` makes a LUKS2 header opened by a recovery key, what opens it daily is added,
//!    and it is opened;
//! 4. `mkfs.xfs` makes the file system;
//! 5. the caller mounts it, lets the store write its marker, and unmounts it;
//! 6. the seal: the label of the XFS, or label and subsystem of the LUKS2 header.
//!
//! Cut short before 6, the disk counts as foreign ("unfinished custodian volume"), and erase makes it empty again.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use super::{
    DiskError, EmptyDisk, RecoveryKey, Secret,
    error::run,
    secret::{SecretFile, by_key},
    wipe::exclusive,
};
use crate::{
    inventory::{self, PARTITION_TYPE, SEAL, subsystem},
    sys::Commands,
    types::VolumeName,
};

/// What opens a volume when the machine starts. Each encrypted one has a recovery key besides.
#[derive(Debug, Clone)]
pub enum Unlocking {
    /// Nothing is encrypted.
    None,
    /// The machine's TPM, as long as the firmware's settings (PCR 7) are what they were and the system that starts
    /// (PCR 11) is signed with this key. Without a key systemd-cryptenroll would leave PCR 11 out and say nothing.
    Tpm {
        /// The public key, PEM.
        public_key: PathBuf,
    },
    /// A file, on a USB key.
    KeyFile(PathBuf),
    /// A person.
    Passphrase(Secret),
}

/// How a disk is prepared.
#[derive(Debug)]
pub struct Order {
    /// What opens it.
    pub unlocking: Unlocking,
    /// A folder in memory, for definitions and keys while they are needed: `/run`.
    pub run: PathBuf,
}

/// A disk with its file system, not sealed yet.
#[derive(Debug)]
pub struct Prepared {
    partition: PathBuf,
    file_system: PathBuf,
    mapping: Option<String>,
    site: String,
    volume: VolumeName,
    /// To be shown once, where it is encrypted.
    pub recovery: Option<RecoveryKey>,
}

/// Steps 1 to 4.
pub fn prepare(commands: &dyn Commands, disk: EmptyDisk, order: &Order) -> Result<Prepared, DiskError> {
    drop(exclusive(&disk.device)?);
    partition(commands, &disk, &order.run)?;
    let partition = appear(commands, &disk.device, 1)?;
    let part = partition.display().to_string();
    let EmptyDisk { site, volume, .. } = disk;
    let (mapping, recovery) = match &order.unlocking {
        Unlocking::None => (None, None),
        unlocking => {
            let recovery = encrypt(commands, &part, unlocking, &order.run)?;
            let name = inventory::mapping(&volume);
            let open = [&["open", "--type", "luks2"], &by_key("-")[..], &[&part, &name]].concat();
            run(commands, "cryptsetup", &open, recovery.secret().bytes())?;
            (Some(name), Some(recovery))
        }
    };
    let file_system = mapping.as_ref().map_or_else(|| partition.clone(), |name| Path::new("/dev/mapper").join(name));
    let prepared = Prepared { partition, file_system, mapping, site, volume, recovery };
    // repart has discarded all blocks already. Without -f it refuses where something has appeared in between.
    match run(commands, "mkfs.xfs", &["-q", "-K", &prepared.file_system.display().to_string()], b"") {
        Ok(_) => Ok(prepared),
        Err(e) => {
            prepared.abandon(commands);
            Err(e)
        }
    }
}

/// Writes the partition table of a volume.
fn partition(commands: &dyn Commands, disk: &EmptyDisk, run_dir: &Path) -> Result<(), DiskError> {
    let text = format!("[Partition]\nType={PARTITION_TYPE}\nLabel={}\n", disk.label);
    repart(commands, &disk.device, run_dir, Empty::Require, &[("10-footage.conf", text)])
}

/// What may stand on a disk that gets a partition table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Empty {
    /// Nothing.
    Require,
    /// Anything: it goes.
    Force,
}

/// Writes a partition table by these definitions.
pub(super) fn repart(
    commands: &dyn Commands,
    device: &Path,
    run_dir: &Path,
    empty: Empty,
    definitions: &[(&str, String)],
) -> Result<(), DiskError> {
    let dir = run_dir.join(format!("custodian-disk-{}", uuid::Uuid::new_v4().as_simple()));
    let io = |source| DiskError::Io { what: "cannot write", path: dir.clone(), source };
    fs::create_dir(&dir).map_err(io)?;
    let mut written = definitions.iter().map(|(name, text)| fs::write(dir.join(name), text));
    let made = written.try_for_each(|done| done).map_err(io).and_then(|()| {
        let definitions = format!("--definitions={}", dir.display());
        // Without --seed=random two disks of one machine get the same identifiers; `require` refuses a disk that has
        // a partition table.
        let empty = if empty == Empty::Force { "--empty=force" } else { "--empty=require" };
        let args = ["--dry-run=no", empty, "--seed=random", "--pretty=no", "--no-pager", &definitions];
        let device = device.display().to_string();
        run(commands, "systemd-repart", &[&args[..], &[&device]].concat(), b"")
    });
    if let Err(e) = fs::remove_dir_all(&dir) {
        log::warn!(FILE:% = dir.display(), CAUSE:% = e; "{} could not be removed: {e}", dir.display());
    }
    made.map(|_| ())
}

/// The node of a partition, counted from 1.
pub(super) fn node(device: &Path, number: u8) -> PathBuf {
    let name = device.display().to_string();
    let between = if name.ends_with(|c: char| c.is_ascii_digit()) { "p" } else { "" };
    PathBuf::from(format!("{name}{between}{number}"))
}

/// Waits for the node of a partition.
pub(super) fn appear(commands: &dyn Commands, device: &Path, number: u8) -> Result<PathBuf, DiskError> {
    const PACE: Duration = Duration::from_millis(20);
    const LIMIT: Duration = Duration::from_secs(20);
    let name = device.display().to_string();
    let partition = node(device, number);
    // A kernel that has read the table itself needs neither of the two.
    if let Err(e) = run(commands, "partx", &["--update", &name], b"")
        && !partition.exists()
    {
        return Err(e);
    }
    if let Err(e) = run(commands, "udevadm", &["settle", "--timeout=20"], b"") {
        log::debug!("{e}");
    }
    let mut waited = Duration::ZERO;
    while !partition.exists() {
        if waited >= LIMIT {
            return Err(DiskError::NoPartition { device: device.to_owned() });
        }
        thread::sleep(PACE);
        waited += PACE;
    }
    Ok(partition)
}

/// Makes the LUKS2 header, opened by a new recovery key, and adds what opens it daily.
fn encrypt(
    commands: &dyn Commands,
    part: &str,
    unlocking: &Unlocking,
    run_dir: &Path,
) -> Result<RecoveryKey, DiskError> {
    let recovery = RecoveryKey::make()?;
    format(commands, part, &recovery)?;
    enroll(commands, part, unlocking, &recovery, run_dir, Others::None)?;
    Ok(recovery)
}

/// Makes a LUKS2 header that a recovery key opens. Its 256 random bits need no stretching, which would cost seconds and a GiB of memory each time
/// that it is used: the fewest rounds that cryptsetup takes, as systemd has for keys of its own.
pub(super) fn format(commands: &dyn Commands, part: &str, recovery: &RecoveryKey) -> Result<(), DiskError> {
    let quick = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"];
    let format = ["luksFormat", "--type", "luks2", "--batch-mode", "--key-file", "-"];
    run(commands, "cryptsetup", &[&format[..], &quick, &[part]].concat(), recovery.secret().bytes())?;
    Ok(())
}

/// What other machines have that opens a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    /// The volume is new.
    None,
    /// They are gone. What another TPM sealed must leave: systemd gives up at the first that is not this one's.
    Leave,
}

/// Adds what opens a volume daily.
pub(super) fn enroll(
    commands: &dyn Commands,
    part: &str,
    unlocking: &Unlocking,
    recovery: &RecoveryKey,
    run_dir: &Path,
    others: Others,
) -> Result<(), DiskError> {
    let old = SecretFile::new(run_dir, recovery.secret())?;
    let add = ["luksAddKey", "--batch-mode", "--key-file", &old.path(), part];
    match unlocking {
        Unlocking::None => {}
        Unlocking::Tpm { public_key } => {
            let unlock = format!("--unlock-key-file={}", old.path());
            let key = format!("--tpm2-public-key={}", public_key.display());
            let tpm = ["--tpm2-device=auto", "--tpm2-pcrs=7", &key, "--tpm2-public-key-pcrs=11"];
            // Only once the new one is there, and never anything else.
            let wipe: &[&str] = if others == Others::Leave { &["--wipe-slot=tpm2"] } else { &[] };
            run(commands, "systemd-cryptenroll", &[&[unlock.as_str()], &tpm[..], wipe, &[part]].concat(), b"")?;
        }
        Unlocking::KeyFile(key) => {
            run(commands, "cryptsetup", &[&add[..], &[&key.display().to_string()]].concat(), b"")?;
        }
        Unlocking::Passphrase(secret) => {
            run(commands, "cryptsetup", &[&add[..], &["-"]].concat(), secret.bytes())?;
        }
    }
    Ok(())
}

impl Prepared {
    /// What is to be mounted for step 5.
    pub fn file_system(&self) -> &Path {
        &self.file_system
    }

    /// Step 6: from here on the disk is ours. It must be unmounted.
    pub fn seal(self, commands: &dyn Commands) -> Result<(), DiskError> {
        let part = self.partition.display().to_string();
        if let Some(mapping) = &self.mapping {
            run(commands, "cryptsetup", &["close", mapping], b"")?;
            let subsystem = subsystem(&self.site);
            let label = ["--label", self.volume.as_str(), "--subsystem", subsystem.as_str()];
            run(commands, "cryptsetup", &[&["config", &part], &label[..]].concat(), b"")?;
        } else {
            run(commands, "xfs_admin", &["-L", SEAL, &part], b"")?;
        }
        let sync = || -> io::Result<()> { File::open(&self.partition)?.sync_all() };
        sync().map_err(|source| DiskError::Io { what: "cannot sync", path: self.partition.clone(), source })
    }

    /// Leaves the disk unfinished: closes what was opened.
    pub fn abandon(self, commands: &dyn Commands) {
        if let Some(mapping) = &self.mapping
            && let Err(e) = run(commands, "cryptsetup", &["close", mapping], b"")
        {
            log::warn!(FILE = mapping.as_str(), CAUSE:% = e; "{mapping} stays open: {e}");
        }
    }
}

#[cfg(test)]
#[path = "init_tests.rs"]
mod tests;
