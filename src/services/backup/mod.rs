//! Backups of this machine: what is found here goes to the places of site.toml, and is written down.

mod gather;
mod places;
mod run;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};

pub use self::{
    places::{Connected, Named, Prepared},
    run::{Made, Told},
};
use crate::{
    backup::{
        self, BackupId, Check, Identity, Looked, Marker, ObjectName, Order, Record, Register, Report, Step, Verified,
        backups, catalogue::Catalogue, clear_record,
    },
    services::{lock::Lock, paths::Paths, record},
    site::{self, Secrets, Site},
    sys::{Clock as _, RealClock, RealFiles},
    types::RecorderId,
};

/// Which site, and which machine.
#[derive(Debug, Clone)]
pub struct Ask {
    /// site.toml.
    pub site: PathBuf,
    /// secrets.toml; the one beside site.toml where this is nothing.
    pub secrets: Option<PathBuf>,
    /// Which recorder of the site this is; may be left out where there is one.
    pub recorder: Option<RecorderId>,
    /// The state folder.
    pub state: PathBuf,
}

/// The backups of one recorder.
pub struct Backups {
    site: Site,
    /// The text of site.toml.
    text: String,
    backup: site::Backup,
    secrets: Secrets,
    recorder: RecorderId,
    paths: Paths,
}

impl Backups {
    /// Reads site and secrets.
    ///
    /// # Errors
    /// If they are wrong, or the site has no `[backup]`.
    pub fn open(ask: &Ask) -> anyhow::Result<Self> {
        let site = site::load(&ask.site)?;
        let text = std::fs::read_to_string(&ask.site).with_context(|| ask.site.display().to_string())?;
        let backup = site.backup().cloned();
        let backup = backup.with_context(|| format!("{} has no [backup]: nothing is backed up", ask.site.display()))?;
        let recorder = record::recorder(&site, ask.recorder.as_ref())?;
        let path = ask.secrets.clone().unwrap_or_else(|| ask.site.with_file_name("secrets.toml"));
        let secrets = places::secrets(&backup.to, &path)?;
        Ok(Self { site, text, backup, secrets, recorder, paths: Paths::new(&ask.state) })
    }

    /// The site.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// The places that are meant, connected: those of site.toml, or the one that is named.
    pub fn connected(&self, named: Option<&str>) -> anyhow::Result<Vec<Connected>> {
        self.chosen(named)?.into_iter().map(|p| self.connect(p).with_context(|| p.label())).collect()
    }
}

/// Goes on as the user of the service, if this is root on a machine that has it: what root does by hand must not be root's afterwards. Whatever
/// only root can read is read before.
///
/// # Errors
/// If the system does not allow it.
pub fn as_service(state: &Path) -> anyhow::Result<()> {
    places::as_service(state)
}

/// A place outside of site.toml.
///
/// # Errors
/// If it is not there, or the backups of several recorders lie there and none is named.
pub fn elsewhere(named: &Named, recorder: Option<&RecorderId>) -> anyhow::Result<Connected> {
    named.connect(recorder)
}

/// The records of this machine's backups, the oldest first.
///
/// # Errors
/// If they cannot be read.
pub fn records(state: &Path) -> anyhow::Result<Vec<Record>> {
    Ok(Register::new(&RealFiles, &Paths::new(state).backups()).all()?)
}

/// The complete backups at a place, the oldest first.
///
/// # Errors
/// If it is no place of ours, or does not answer.
pub fn at_place(place: &Connected) -> anyhow::Result<Vec<backup::ClearRecord>> {
    let read = || -> Result<_, backup::BackupError> {
        backup::Marker::read(&*place.place)?;
        backups(&*place.place)?.iter().map(|id| clear_record(&*place.place, id)).collect()
    };
    read().with_context(|| place.label.to_string())
}

/// The school's key, from a file or from standard input (`-`).
///
/// # Errors
/// If it is none.
pub fn identity(path: &Path) -> anyhow::Result<Identity> {
    let text = if path == Path::new("-") {
        std::io::read_to_string(std::io::stdin()).context("no key could be read")?
    } else {
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?
    };
    Identity::parse(&text).with_context(|| path.display().to_string())
}

/// Looks whether backups at a place are as they were written; all of them if none is named, and whether one is gone. What was found is noted in this
/// machine's records of them, and the next backup brings again what is damaged.
///
/// # Errors
/// If the place does not answer or a backup is not there. Damage is no error.
pub fn verify(
    place: &Connected,
    ids: &[BackupId],
    identity: Option<&Identity>,
    state: &Path,
    progress: &mut dyn FnMut(Looked),
) -> anyhow::Result<Verified> {
    let mut look = || -> Result<Verified, backup::BackupError> {
        let marker = Marker::read(&*place.place)?;
        let all = backups(&*place.place)?;
        if let Some(unknown) = ids.iter().find(|id| !all.contains(id)) {
            return Err(backup::BackupError::NoBackup(unknown.clone()));
        }
        let gone = if ids.is_empty() { gone(&marker, &all, state) } else { Vec::new() };
        let ids = if ids.is_empty() { &all } else { ids };
        let mut verified = backup::verify(&*place.place, ids, identity, progress)?;
        verified.damaged.extend(replaced(place, ids, state));
        verified.backups.extend(gone.iter().map(|damage| damage.backup.clone()));
        verified.damaged.extend(gone);
        Ok(verified)
    };
    let verified = look().with_context(|| place.label.to_string())?;
    note(&verified, identity.is_some(), state);
    if let Err(e) = spoil(place, &verified, state) {
        log::warn!("the next backup does not repair what is damaged: {e:#}; let it be verified again");
    }
    Ok(verified)
}

/// Backups whose record at the place is another one than this machine wrote. A digest in a record protects against accidents; against somebody
/// who can write at the place only the record that is kept here, and the ledger.
fn replaced(place: &Connected, ids: &[BackupId], state: &Path) -> Vec<backup::Damage> {
    let dir = Paths::new(state).backups();
    let register = Register::new(&RealFiles, &dir);
    let other = |id: &&BackupId| {
        let own = register.read(id).ok().flatten().and_then(|record| record.sealed);
        own.is_some_and(|own| clear_record(&*place.place, id).is_ok_and(|there| there != own))
    };
    let damage = |id: &BackupId| backup::Damage {
        backup: id.clone(),
        object: Some(id.record()),
        file: None,
        what: "it is not the record that this recorder wrote".to_owned(),
    };
    ids.iter().filter(other).map(damage).collect()
}

/// Backups that this machine made at this place, that nobody removed, and that are not there.
fn gone(marker: &Marker, there: &[BackupId], state: &Path) -> Vec<backup::Damage> {
    let records = records(state).unwrap_or_default();
    let removed: BTreeSet<&BackupId> = records.iter().flat_map(|r| &r.expired).collect();
    let made = records.iter().filter(|r| r.place == Some(marker.place) && r.sealed.is_some() && r.removed.is_none());
    let gone = made.filter(|r| !there.contains(&r.id) && !removed.contains(&r.id));
    let damage = |r: &Record| backup::Damage {
        backup: r.id.clone(),
        object: Some(r.id.record()),
        file: None,
        what: "it is gone".to_owned(),
    };
    gone.map(damage).collect()
}

/// Notes which copies are damaged, so that the next backup does not rely on them.
fn spoil(place: &Connected, verified: &Verified, state: &Path) -> anyhow::Result<()> {
    let damaged: BTreeSet<ObjectName> =
        verified.damaged.iter().filter_map(|d| d.object.as_deref()?.parse().ok()).collect();
    let paths = Paths::new(state);
    if damaged.is_empty() || !paths.catalogue().exists() {
        return Ok(());
    }
    let marker = Marker::read(&*place.place)?;
    let _lock = Lock::take(&paths.backup_lock(), "a backup is being made")?;
    let catalogue = Catalogue::open(&paths.catalogue(), marker.place)?;
    for object in damaged {
        let Some(copy) = catalogue.by_id(object.copy)? else { continue };
        let parts = catalogue.parts(&copy)?;
        let wanted = parts.iter().find(|p| p.part == object.part).map(|p| p.sealed);
        // A way that failed for a moment has damaged nothing.
        if place.place.digest(&object.to_string()).ok().map(|(sha256, _)| sha256) != wanted {
            catalogue.spoil(&copy)?;
        }
    }
    Ok(())
}

/// Notes what was found, where this machine has a record of it and may write there.
fn note(verified: &Verified, decrypted: bool, state: &Path) {
    let dir = Paths::new(state).backups();
    let register = Register::new(&RealFiles, &dir);
    for id in &verified.backups {
        let Ok(Some(mut record)) = register.read(id) else { continue };
        let own = verified.damaged.iter().filter(|d| d.backup == *id);
        let damaged = own.map(|d| {
            [d.object.as_deref(), d.file.as_deref(), Some(&*d.what)]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(": ")
        });
        record.check = Some(Check { at: RealClock.wall(), decrypted, damaged: damaged.collect() });
        if let Err(e) = register.write(&record) {
            log::warn!("what was found is not noted: {e}");
        }
    }
}

/// Restores.
///
/// # Errors
/// If the backup cannot be read at all, or the folder cannot be written.
pub fn restore(order: &Order<'_>, label: &str, progress: &mut dyn FnMut(Step)) -> anyhow::Result<Report> {
    let found = backup::Marker::read(order.place);
    found.with_context(|| label.to_owned())?;
    let parent = order.into.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    ensure!(parent.is_dir(), "there is no folder {}", parent.display());
    backup::restore(order, progress).with_context(|| label.to_owned())
}
