//! Looking whether a backup is what was written: each object against the lists in the clear, and with the school's key the files within.

use std::collections::BTreeMap;

use super::{
    crypt::Identity,
    error::BackupError,
    list,
    manifest::FileLine,
    names::{BackupId, ObjectName},
    place::{Marker, Place, PlaceError},
    record::{ClearRecord, Kind},
    restored::{self, Restored},
};
use crate::{
    store::format,
    types::{event, merkle::Hash},
};

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Damage {
    /// The backup that it was noticed in; others may need it too.
    pub backup: BackupId,
    /// The file at the place; nothing if the fault lies between several.
    pub object: Option<String>,
    /// The file within the backup, where a key was there to see it.
    pub file: Option<String>,
    /// What is wrong, for a technician.
    pub what: String,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Verified {
    /// Backups that were looked at.
    pub backups: Vec<BackupId>,
    /// Objects that were read; one that several backups need, once.
    pub objects: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Files that were decrypted and compared.
    pub files: u64,
    /// What is not as it was written.
    pub damaged: Vec<Damage>,
}

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Looked {
    /// Objects, or files where a key was given.
    pub done: u64,
    /// Of so many.
    pub of: u64,
    /// Bytes read.
    pub bytes: u64,
}

/// Reads backups again and compares. Damage is an answer, not an error.
///
/// # Errors
/// If the place does not answer, or the key is another one.
pub fn verify(
    place: &dyn Place,
    ids: &[BackupId],
    identity: Option<&Identity>,
    progress: &mut dyn FnMut(Looked),
) -> Result<Verified, BackupError> {
    let mut found = Verified { backups: ids.to_vec(), ..Verified::default() };
    let mut records = Vec::new();
    let mut objects: BTreeMap<ObjectName, (Hash, BackupId)> = BTreeMap::new();
    for id in ids {
        let read = list::record(place, id).and_then(|record| Ok((list::objects(place, &record)?, record)));
        match read {
            Ok((own, record)) => {
                objects.extend(own.iter().map(|(name, sha256)| (*name, (*sha256, id.clone()))));
                look(place, &id.manifest(), record.manifest.sha256, id, &mut found)?;
                records.push((record, own));
            }
            Err(e) => found.damaged.push(damage(place, id, e)?),
        }
    }
    match identity {
        None => {
            for (n, (name, (sha256, id))) in objects.iter().enumerate() {
                look(place, &name.to_string(), *sha256, id, &mut found)?;
                progress(Looked { done: n as u64 + 1, of: objects.len() as u64, bytes: found.bytes });
            }
        }
        Some(identity) => decrypt(place, &records, identity, &mut found, progress)?,
    }
    Ok(found)
}

/// A fault of the backup is damage, and so is a file that cannot be read at a place that answers; a place that does not, or a wrong key, is an error.
fn damage(place: &dyn Place, backup: &BackupId, e: BackupError) -> Result<Damage, BackupError> {
    let (object, what) = match e {
        BackupError::Place(PlaceError::Io { name, source, .. }) if Marker::read(place).is_ok() => {
            (Some(name), format!("it cannot be read: {source}"))
        }
        BackupError::Place(PlaceError::Store { name, why, .. }) if Marker::read(place).is_ok() => {
            (Some(name), format!("it cannot be read: {why}"))
        }
        BackupError::Damaged { name, what } => (Some(name), what),
        BackupError::Place(PlaceError::Missing(name)) => (Some(name), "it is gone".to_owned()),
        BackupError::Place(PlaceError::Altered { name }) => (Some(name), "it is not what was written".to_owned()),
        BackupError::NoBackup(id) => (Some(id.record()), "it is gone".to_owned()),
        e @ BackupError::Manifest { .. } => (Some(backup.manifest()), e.to_string()),
        e => return Err(e),
    };
    Ok(Damage { backup: backup.clone(), object, file: None, what })
}

/// Reads one object and compares it.
fn look(place: &dyn Place, name: &str, wanted: Hash, id: &BackupId, found: &mut Verified) -> Result<(), BackupError> {
    let read = place.digest(name).map_err(BackupError::from).and_then(|(sha256, len)| {
        found.bytes += len;
        let altered = || BackupError::from(PlaceError::Altered { name: name.to_owned() });
        (sha256 == wanted).then_some(()).ok_or_else(altered)
    });
    found.objects += 1;
    if let Err(e) = read {
        let damage = damage(place, id, e)?;
        log::error!(
            MESSAGE_ID = event::BACKUP_DAMAGED, BACKUP:% = id, FILE = name, CAUSE = damage.what.as_str();
            "backup {id} is damaged: {name}: {}", damage.what
        );
        found.damaged.push(damage);
    }
    Ok(())
}

/// Decrypts every file once, and looks at segments as their own boxes describe them.
fn decrypt(
    place: &dyn Place,
    records: &[(ClearRecord, list::Objects)],
    identity: &Identity,
    found: &mut Verified,
    progress: &mut dyn FnMut(Looked),
) -> Result<(), BackupError> {
    let mut files: BTreeMap<super::names::CopyId, (FileLine, &list::Objects, &BackupId)> = BTreeMap::new();
    for (record, objects) in records {
        match restored::manifest(place, record, identity) {
            Ok(manifest) => {
                files.extend(manifest.files.into_iter().map(|line| (line.copy, (line, objects, &record.id))));
            }
            Err(e) => {
                let damage = damage(place, &record.id, e)?;
                // It may be said already, by its digest.
                if !found.damaged.iter().any(|d| d.object == damage.object) {
                    found.damaged.push(damage);
                }
            }
        }
    }
    for (n, (line, objects, id)) in files.values().enumerate() {
        let file = Restored { place, identity, objects, line };
        found.objects += u64::from(line.parts);
        found.bytes += line.bytes;
        let looked = if line.kind == Kind::Footage { segment(&file) } else { plain(&file) };
        if let Err(e) = looked {
            let mut damage = match e {
                // The list of contents could be: this one is for earlier recipients.
                BackupError::Crypt(e) => {
                    Damage { backup: (*id).clone(), object: None, file: None, what: e.to_string() }
                }
                e => damage(place, id, e)?,
            };
            damage.file = Some(line.path.to_string());
            log::error!(
                MESSAGE_ID = event::BACKUP_DAMAGED, BACKUP:% = id, FILE:% = line.path, CAUSE = damage.what.as_str();
                "backup {id} is damaged: {}: {}", line.path, damage.what
            );
            found.damaged.push(damage);
        }
        found.files += 1;
        progress(Looked { done: n as u64 + 1, of: files.len() as u64, bytes: found.bytes });
    }
    Ok(())
}

fn plain(file: &Restored<'_>) -> Result<(), BackupError> {
    // The sink takes everything.
    file.read(&mut |_| Ok(())).map(|_| ())
}

/// Compares a segment with what it says of itself: the digests of its head and its close, and the leaf of every fragment.
fn segment(file: &Restored<'_>) -> Result<(), BackupError> {
    let random = file.random()?;
    let judged = format::read(&random, file.line.bytes).and_then(|segment| {
        if segment.closed.is_none() {
            return Err(format::FormatError::Foreign("it was never closed"));
        }
        segment.fragments.iter().try_for_each(|entry| format::verify(&random, &segment.head, entry))
    });
    // What the parts themselves have to say comes first: it is nearer to the cause.
    random.finish()?;
    judged.map_err(|e| BackupError::Damaged { name: file.line.path.to_string(), what: e.to_string() })
}
