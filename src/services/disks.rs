//! The verbs for disks, composed of what `inventory`, `disks` and `store` can do.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use nix::fcntl::{Flock, FlockArg};

use super::paths::{self, Paths};
use crate::{
    disks::{self, Facts, Order, Prepared, RecoveryKey, Refusal, Secret, Token, Unlocking, Verb, Wanted},
    inventory::{self, Content, Footage, OurVolume, Roots, Survey},
    ledger::{What, spool},
    plan,
    site::{Site, Unlock, VolumePlace},
    store::{layout, volume},
    sys::{Clock, Commands, Disk as _, Owner, RealCommands, RealDisk, RealFiles},
    types::{VolumeName, event},
};

/// The TPM, through the kernel's resource manager.
const TPM: &str = "/dev/tpmrm0";
/// Where the key is that the system is signed with, see systemd-cryptenroll(1).
const TPM_KEYS: [&str; 3] = [
    "/etc/systemd/tpm2-pcr-public-key.pem",
    "/run/systemd/tpm2-pcr-public-key.pem",
    "/usr/lib/systemd/tpm2-pcr-public-key.pem",
];
/// How long mounting may take: XFS replays its journal.
const LIMIT: Duration = Duration::from_mins(2);

/// The machine that the disks are in.
pub struct Machine<'a> {
    /// Its programs.
    pub commands: &'a dyn Commands,
    /// Its devices.
    pub roots: Roots,
    /// A folder in memory: `/run`.
    pub run: PathBuf,
    /// Where entries for the ledger are left; none where no recorder keeps one.
    pub spool: Option<PathBuf>,
}

/// What there is to know about a disk before something is done to it.
#[derive(Debug)]
pub struct Sheet {
    /// As it is now.
    pub disk: inventory::Disk,
    /// How much footage is on it, where that can be seen.
    pub footage: Option<Footage>,
    /// The token for init, or why not.
    pub init: Result<Token, Refusal>,
    /// The token for erase, or why not.
    pub erase: Result<Token, Refusal>,
}

/// The volume that a disk is in a site, and what opens it there.
pub fn wanted(site: &Site, by_id: &str, removable: bool) -> Option<(Wanted, Unlock)> {
    let all = site.recorders().flat_map(|r| r.volumes.iter().map(move |v| (r, v)));
    let (recorder, volume) =
        all.into_iter().find(|(_, v)| matches!(&v.place, VolumePlace::Disk(disk) if disk == by_id))?;
    let wanted = Wanted {
        site: site.id().to_owned(),
        volume: volume.name.clone(),
        size: volume.size.unwrap_or_default(),
        removable,
    };
    Some((wanted, recorder.unlock))
}

/// What opens a disk, from what the site says and what was given. A key file that is not there yet is made.
pub fn unlocking(unlock: Unlock, key_file: Option<&Path>, passphrase: Option<&[u8]>) -> anyhow::Result<Unlocking> {
    Ok(match unlock {
        Unlock::None => Unlocking::None,
        Unlock::Tpm => {
            anyhow::ensure!(
                Path::new(TPM).exists(),
                "the site says unlock = \"tpm\", and this machine shows no TPM 2.0"
            );
            let key = TPM_KEYS.iter().map(PathBuf::from).find(|path| path.exists());
            let public_key = key.with_context(|| {
                format!(
                    "the site says unlock = \"tpm\": the key that this system is signed with is in none of {TPM_KEYS:?}"
                )
            })?;
            Unlocking::Tpm { public_key }
        }
        Unlock::UsbKey => {
            let path = key_file.context("the site says unlock = \"usb-key\": name the file with --key-file")?;
            anyhow::ensure!(
                path.file_name().is_some_and(|n| n == plan::KEY_FILE),
                "the machine looks for the file {} on a stick whose file system has the label {}: name that file",
                plan::KEY_FILE,
                plan::KEY_LABEL
            );
            disks::make_key_file(path)?;
            Unlocking::KeyFile(path.to_owned())
        }
        Unlock::Passphrase => {
            let text = passphrase.context("the site says unlock = \"passphrase\": give it with --passphrase-file")?;
            let text = text.strip_suffix(b"\n").unwrap_or(text);
            Unlocking::Passphrase(Secret::passphrase(&String::from_utf8_lossy(text))?)
        }
    })
}

impl Machine<'static> {
    /// This one. Where custodian keeps no state nobody records, and there is no ledger to have its word.
    pub fn here(state: &Path) -> Self {
        Self {
            commands: &RealCommands,
            roots: Roots::new(state, paths::VOLUMES.as_ref()),
            run: "/run".into(),
            spool: state.is_dir().then(|| Paths::new(state).ledger_spool()),
        }
    }
}

impl Machine<'_> {
    /// All disks, and for the one that is named, how much footage it holds.
    fn look(&self, by_id: &str) -> (Survey, Option<Footage>) {
        let mut survey = inventory::survey(self.commands, &self.roots);
        let disk = survey.inventory.disks.iter_mut().find(|d| d.by_id.iter().any(|n| n == by_id));
        let Some(disk) = disk else { return (survey, None) };
        // Anybody may have written what is on a stick: the kernel mounts none for curiosity.
        let from_outside = disk.removable || disk.transport.as_deref() == Some("usb");
        let Content::Ours(v) = &mut disk.content else { return (survey, None) };
        let footage = match &v.mounted {
            Some(at) => Some(inventory::footage_in(at)),
            None if v.encrypted || from_outside => None,
            // Without writing: the journal is not replayed.
            None => self
                .mounted(&v.device, "ro,norecovery,nodev,nosuid,noexec", |at| Ok(inventory::footage_in(at)))
                .inspect_err(|e| log::warn!("the footage on {} cannot be seen: {e:#}", v.device.display()))
                .ok(),
        };
        v.newest = footage.and_then(|f| f.newest);
        (survey, footage)
    }

    /// The facts of a disk, and a token for each verb that may be carried out on it.
    pub fn sheet(&self, by_id: &str, wanted: Option<&Wanted>) -> anyhow::Result<Sheet> {
        let _lock = self.lock()?;
        let (survey, footage) = self.look(by_id);
        let disk = survey.inventory.disk(by_id).cloned();
        let disk = disk.ok_or_else(|| Refusal::NoDisk { by_id: by_id.to_owned() })?;
        let init = disks::judge_init(&survey, by_id, wanted).map(|facts: Facts| facts.token(Verb::Init));
        let erase = disks::judge_erase(&survey, by_id).map(|facts| facts.token(Verb::Erase));
        Ok(Sheet { disk, footage, init, erase })
    }

    /// Makes an empty disk a volume. Where it is encrypted, the key that opens it when nothing else does comes back.
    pub fn init(
        &self,
        by_id: &str,
        wanted: &Wanted,
        token: &Token,
        unlocking: Unlocking,
        clock: &dyn Clock,
    ) -> anyhow::Result<Option<RecoveryKey>> {
        self.init_keeping(by_id, wanted, token, unlocking, clock, &mut |_| Ok(()))
    }

    /// The same. `keep` is given the recovery key before the disk counts as a volume: if it cannot keep it, the disk is none.
    ///
    /// # Errors
    /// If it is refused or fails, or the key was not kept: [`Machine::unmake`] takes away what was begun.
    pub fn init_keeping(
        &self,
        by_id: &str,
        wanted: &Wanted,
        token: &Token,
        unlocking: Unlocking,
        clock: &dyn Clock,
        keep: &mut dyn FnMut(&RecoveryKey) -> anyhow::Result<()>,
    ) -> anyhow::Result<Option<RecoveryKey>> {
        let _lock = self.lock()?;
        let (survey, _) = self.look(by_id);
        let empty = disks::clear_init(&survey, by_id, wanted, token)?;
        let _alone = Preparing::begin(&self.run, &wanted.volume)?;
        self.account("prepared", wanted.volume.as_str(), by_id, clock)?;
        let order = Order { unlocking, run: self.run.clone() };
        let prepared = disks::prepare(self.commands, empty, &order).context(Unfinished)?;
        let recovery = prepared.recovery.clone();
        let kept = recovery.as_ref().map_or(Ok(()), keep);
        if let Err(e) = kept.and_then(|()| self.mark(&prepared, wanted, clock)) {
            prepared.abandon(self.commands);
            return Err(e.context(Unfinished));
        }
        prepared.seal(self.commands).context(Unfinished)?;
        log::info!(
            MESSAGE_ID = event::DISK_PREPARED, DISK = by_id, VOLUME = wanted.volume.as_str();
            "disk {by_id} is volume {} now", wanted.volume
        );
        Ok(recovery)
    }

    /// Lets the store make its folder and marker on the new file system.
    fn mark(&self, prepared: &Prepared, wanted: &Wanted, clock: &dyn Clock) -> anyhow::Result<()> {
        self.mounted(prepared.file_system(), "nodev,nosuid,noexec", |at| {
            let made = volume::init(&RealDisk, &wanted.volume, at, &wanted.site, clock.wall())?;
            anyhow::ensure!(made.mount_point, "the new file system is not mounted at {}", at.display());
            // As they always are, whatever the mask of who prepares it.
            for (name, mode) in [(layout::FOOTAGE, 0o755), (volume::MARKER, 0o640)] {
                fs::set_permissions(at.join(name), Permissions::from_mode(mode))?;
            }
            if let Some(owner) = Owner::named(volume::OWNER)? {
                volume::give(at, owner).with_context(|| format!("cannot be given to {}", volume::OWNER))?;
            }
            nix::unistd::syncfs(File::open(at)?)?;
            Ok(())
        })
    }

    /// Makes a disk empty again that [`Self::init_keeping`] has begun and not finished, for its key was not kept. What it has made there is all
    /// that can be lost: it took the disk empty.
    ///
    /// # Errors
    /// If it is anything else by now, or cannot be wiped.
    pub fn unmake(&self, by_id: &str, clock: &dyn Clock) -> anyhow::Result<()> {
        let (survey, _) = self.look(by_id);
        let facts = match disks::judge_erase(&survey, by_id) {
            Err(Refusal::Empty) => return Ok(()),
            other => other?,
        };
        let unfinished = matches!(&facts.content, Content::Foreign { .. }) && facts.content.may_be_footage();
        anyhow::ensure!(unfinished, "what is on it is not what was begun");
        self.erase(by_id, &facts.token(Verb::Erase), clock)
    }

    /// Makes a disk empty.
    ///
    /// # Errors
    /// If it is refused or fails.
    pub fn erase(&self, by_id: &str, token: &Token, clock: &dyn Clock) -> anyhow::Result<()> {
        self.erase_on(by_id, token, None, clock)
    }

    /// The same on somebody's word, which goes on record as theirs.
    ///
    /// # Errors
    /// If it is refused or fails.
    pub fn erase_on(&self, by_id: &str, token: &Token, who: Option<&str>, clock: &dyn Clock) -> anyhow::Result<()> {
        let _lock = self.lock()?;
        let (survey, _) = self.look(by_id);
        let doomed = disks::clear_erase(&survey, by_id, token)?;
        let on_whose = who.map(|who| format!(", {who}")).unwrap_or_default();
        self.account_as("erased", &volume_on(&survey, by_id), by_id, &on_whose, clock)?;
        disks::wipe(self.commands, doomed)?;
        log::warn!(MESSAGE_ID = event::DISK_ERASED, DISK = by_id; "disk {by_id} is empty now");
        Ok(())
    }

    /// Lets a volume go, its footage intact.
    ///
    /// # Errors
    /// If it is no volume, or something uses it.
    pub fn release(&self, by_id: &str, clock: &dyn Clock) -> anyhow::Result<()> {
        self.release_after(by_id, clock, &mut |_| Ok(()))
    }

    /// The same, once others have let it go.
    ///
    /// # Errors
    /// If it is no volume, or something uses it.
    pub fn release_after(
        &self,
        by_id: &str,
        clock: &dyn Clock,
        let_go: &mut dyn FnMut(&OurVolume) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let _lock = self.lock()?;
        let survey = inventory::survey(self.commands, &self.roots);
        disks::clear_release(&survey, by_id)?;
        self.account("released", &volume_on(&survey, by_id), by_id, clock)?;
        if let Some(Content::Ours(ours)) = survey.inventory.disk(by_id).map(|disk| &disk.content) {
            let_go(ours)?;
        }
        let left = disks::clear_release(&inventory::survey(self.commands, &self.roots), by_id)?;
        disks::release(self.commands, &left)?;
        log::info!(DISK = by_id; "disk {by_id} is let go");
        Ok(())
    }

    /// Leaves word for the ledger of what is about to be done to a disk. Nothing is done that cannot be left word of.
    pub(super) fn account(&self, event: &str, volume: &str, by_id: &str, clock: &dyn Clock) -> anyhow::Result<()> {
        self.account_as(event, volume, by_id, "", clock)
    }

    fn account_as(&self, event: &str, volume: &str, by_id: &str, more: &str, clock: &dyn Clock) -> anyhow::Result<()> {
        let Some(spool) = &self.spool else { return Ok(()) };
        let (volume, event, detail) = (volume.to_owned(), event.to_owned(), format!("disk {by_id}{more}"));
        spool::leave(&RealFiles, spool, clock.wall(), What::Volume { volume, id: None, event, detail })
            .context("no word of it can be left for the ledger, so nothing was done")?;
        Ok(())
    }

    /// Mounts a volume's file system on a folder of its own while something is done there.
    pub(super) fn mounted<T>(
        &self,
        device: &Path,
        options: &str,
        work: impl FnOnce(&Path) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        self.mounted_as(&["-t", "xfs", "-o", options, &device.display().to_string()], work)
    }

    /// The same for whatever mount(8) is told to mount.
    pub(super) fn mounted_as<T>(
        &self,
        what: &[&str],
        work: impl FnOnce(&Path) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let at = self.run.join(format!("custodian-mount-{}", uuid::Uuid::new_v4().as_simple()));
        fs::create_dir(&at).with_context(|| format!("cannot make {}", at.display()))?;
        let to = at.display().to_string();
        let run = |program: &str, args: &[&str]| {
            let out = self.commands.run(program, args, b"", LIMIT)?;
            anyhow::ensure!(out.ok(), "{program} failed: {}", out.stderr);
            Ok(())
        };
        let result = run("mount", &[what, &[&to]].concat()).and_then(|()| {
            let done = work(&at);
            run("umount", &[&to])?;
            done
        });
        if let Err(e) = fs::remove_dir(&at) {
            log::warn!(FILE = to.as_str(), CAUSE:% = e; "{to} could not be removed: {e}");
        }
        result
    }

    /// One verb at a time.
    pub(super) fn lock(&self) -> anyhow::Result<Flock<File>> {
        let path = self.run.join("custodian-disks.lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.with_context(|| format!("cannot open {}", path.display()))?;
        Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, e)| e)
            .context("another command is working on a disk")
    }
}

/// Keeps systemd from opening and mounting what is being made, until this is dropped. After a cut it stays until the next restart, as does what was
/// begun: that is no volume.
struct Preparing(PathBuf);

impl Preparing {
    fn begin(run: &Path, volume: &VolumeName) -> anyhow::Result<Self> {
        let dir = run.join(plan::PREPARING);
        let path = dir.join(volume.as_str());
        RealDisk.make_dir(&dir).and_then(|()| fs::write(&path, "")).with_context(|| path.display().to_string())?;
        Ok(Self(path))
    }
}

impl Drop for Preparing {
    fn drop(&mut self) {
        if let Err(e) = fs::remove_file(&self.0) {
            log::warn!(FILE:% = self.0.display(), CAUSE:% = e; "{} could not be removed: {e}", self.0.display());
        }
        // It was the only one, for one verb is carried out at a time; what a cut has left in it keeps it.
        let _ = self.0.parent().map(fs::remove_dir);
    }
}

/// A disk was empty, and what was to make it a volume has failed: [`Machine::unmake`] takes away what there is of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the disk is no volume")]
pub struct Unfinished;

/// The volume that a disk is, as far as that can be seen.
fn volume_on(survey: &Survey, by_id: &str) -> String {
    match survey.inventory.disk(by_id).map(|disk| &disk.content) {
        Some(Content::Ours(ours)) => ours.volume.to_string(),
        _ => "–".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_opens_a_disk_wants_what_it_takes() {
        assert!(matches!(unlocking(Unlock::None, None, None), Ok(Unlocking::None)));
        let said = |unlock, passphrase| format!("{:#}", unlocking(unlock, None, passphrase).unwrap_err());
        assert!(said(Unlock::UsbKey, None).contains("--key-file"));
        assert!(said(Unlock::Passphrase, None).contains("--passphrase-file"));
        for wrong in ["1234567\n", "芝麻开门", " 12345678"] {
            assert!(said(Unlock::Passphrase, Some(wrong.as_bytes())).contains("8 characters"), "{wrong}");
        }
        let Ok(Unlocking::Passphrase(secret)) = unlocking(Unlock::Passphrase, None, Some(b"open sesame\n")) else {
            panic!("a passphrase")
        };
        assert_eq!(secret.bytes(), b"open sesame");
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = dir.path().join("key");
        let refused = unlocking(Unlock::UsbKey, Some(&elsewhere), None).unwrap_err().to_string();
        assert!(refused.contains(plan::KEY_FILE) && !elsewhere.exists(), "{refused}");
        let key = dir.path().join(plan::KEY_FILE);
        assert!(matches!(unlocking(Unlock::UsbKey, Some(&key), None), Ok(Unlocking::KeyFile(path)) if path == key));
        assert!(key.exists());
    }

    #[test]
    fn a_disk_is_what_the_site_says() {
        let text = include_str!("../../image/site.example.toml");
        let site = crate::site::parse(text, "site.toml").unwrap();
        let (volume, unlock) = wanted(&site, "ata-WDC_WD120EFBX-68B0EN0_5QJ0A1CD", false).unwrap();
        assert_eq!((volume.site.as_str(), unlock), ("hoa-huong-duong", Unlock::Tpm));
        assert!(volume.size.0 > 0 && crate::inventory::partition_label(&volume.site, &volume.volume).is_some());
        assert!(wanted(&site, "ata-else", false).is_none());
    }
}
