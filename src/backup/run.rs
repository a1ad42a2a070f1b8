//! One backup to one place: everything that it is to hold is brought there, then the lists, then the record; only then what is over is removed.

use std::collections::HashMap;

use super::{
    catalogue::Catalogue,
    crypt::{Sealer, digest},
    error::BackupError,
    expire::{self, Expired, Keep},
    item::Item,
    list::{self, Objects},
    manifest::{FileLine, Head, Manifest},
    names::{BackupId, OBJECTS, ObjectName},
    place::{Marker, Place},
    record::{ClearRecord, FORMAT, MIN_READER, Sealed},
    upload::{Trouble, Upload},
};
use crate::{sys::Clock, types::WallNs};

/// What is to be done.
pub struct Job<'a> {
    /// The backup.
    pub id: BackupId,
    /// When it was begun.
    pub started: WallNs,
    /// The site's name for people.
    pub site: &'a str,
    /// The place, and its marker, which was found to be the expected one.
    pub place: &'a dyn Place,
    /// See `place`.
    pub marker: &'a Marker,
    /// What is known of the place.
    pub catalogue: &'a Catalogue,
    /// For whom.
    pub sealer: &'a Sealer,
    /// What.
    pub items: &'a [Item],
    /// What could not even be looked at, one line each.
    pub missing: Vec<String>,
    /// Whether something that cannot be read is still wanted: footage may have come to its end meanwhile.
    pub wanted: &'a dyn Fn(&Item) -> bool,
    /// What is removed afterwards.
    pub keep: Keep,
    /// The time.
    pub clock: &'a dyn Clock,
}

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Files that are there.
    pub files: u64,
    /// Of so many.
    pub of_files: u64,
    /// Bytes of them, of those that were not there before.
    pub bytes: u64,
    /// Of so many.
    pub of_bytes: u64,
}

/// What has come of it.
#[derive(Debug, Clone)]
pub struct Done {
    /// What the place says of it.
    pub sealed: ClearRecord,
    /// What could not be backed up, one line each.
    pub missing: Vec<String>,
    /// Objects of earlier backups that were gone.
    pub lost: u64,
    /// What was removed afterwards.
    pub expired: Expired,
}

/// Makes a backup.
///
/// # Errors
/// If the place or the catalogue fails. What has arrived stays, and the next backup uses it.
pub fn run(job: &Job<'_>, progress: &mut dyn FnMut(Progress)) -> Result<Done, BackupError> {
    let mut there = objects_at(job.place)?;
    let lost = forget_lost(job.catalogue, &there)?;
    let (files, missing, written) = bring(job, progress)?;
    let (count, mut objects, mut bytes) = (files.len() as u64, Objects::new(), 0);
    for file in &files {
        for (name, part) in parts_of(job.catalogue, file)? {
            bytes += part.bytes;
            there.insert(name, part.bytes);
            objects.insert(name, part.sealed);
        }
    }
    let mut head = Head::new(job.id.clone(), job.site, &job.marker.site, job.marker.recorder.clone(), job.started);
    head.missing.clone_from(&missing);
    let manifest = job.sealer.seal(&Manifest { head, files }.to_bytes())?;
    let list = list::to_text(&objects).into_bytes();
    let manifest = put(job.place, &job.id.manifest(), &manifest)?;
    let list = put(job.place, &job.id.list(), &list)?;
    let sealed = ClearRecord {
        format: FORMAT,
        min_reader: MIN_READER,
        id: job.id.clone(),
        place: job.marker.place,
        started: job.started,
        ended: job.clock.wall(),
        files: count,
        objects: objects.len() as u64,
        bytes,
        new_objects: written.0,
        new_bytes: written.1,
        missing: missing.len() as u64,
        manifest,
        list,
        recipients: job.sealer.recipients().iter().map(ToString::to_string).collect(),
    };
    let mut text = serde_json::to_vec_pretty(&sealed).unwrap_or_default();
    text.push(b'\n');
    put(job.place, &job.id.record(), &text)?;
    let keep = Keep { doubt: job.keep.doubt.clone().or_else(|| doubt(&missing)), ..job.keep.clone() };
    let expired = expire::expire(job.place, job.catalogue, &sealed, there.keys().copied(), &keep);
    Ok(Done { sealed, missing, lost, expired })
}

/// An earlier backup may hold what this one does not.
fn doubt(missing: &[String]) -> Option<String> {
    (!missing.is_empty()).then(|| "this backup is not complete".to_owned())
}

/// Writes a file and reads it again.
fn put(place: &dyn Place, name: &str, bytes: &[u8]) -> Result<Sealed, BackupError> {
    let sealed = Sealed { bytes: bytes.len() as u64, sha256: digest(bytes) };
    place.put(name, bytes)?;
    place.check(name, sealed.sha256)?;
    Ok(sealed)
}

/// All objects that lie at the place, with their lengths.
fn objects_at(place: &dyn Place) -> Result<HashMap<ObjectName, u64>, BackupError> {
    let mut all = HashMap::new();
    place.list(OBJECTS, &mut |name, len| {
        all.extend(name.parse().ok().map(|name: ObjectName| (name, len)));
    })?;
    Ok(all)
}

/// Forgets copies of which an object is gone or was cut since, so that they are made again. Says how many objects those are.
fn forget_lost(catalogue: &Catalogue, there: &HashMap<ObjectName, u64>) -> Result<u64, BackupError> {
    let mut lost = 0;
    for copy in catalogue.copies()? {
        let parts = catalogue.parts(&copy)?;
        let gone = parts.iter().filter(|p| p.read_back && there.get(&copy.id.object(p.part)) != Some(&p.bytes)).count();
        if gone > 0 {
            lost += gone as u64;
            catalogue.forget(&copy)?;
        }
    }
    if lost > 0 {
        log::warn!("{lost} objects of earlier backups are gone from the place or were cut; they are written again");
    }
    Ok(lost)
}

/// What is there, what is not, and how many objects and bytes were written.
type Brought = (Vec<FileLine>, Vec<String>, (u64, u64));

/// Brings everything there.
fn bring(job: &Job<'_>, progress: &mut dyn FnMut(Progress)) -> Result<Brought, BackupError> {
    let mut missing = job.missing.clone();
    let mut now = Progress { files: 0, of_files: job.items.len() as u64, bytes: 0, of_bytes: 0 };
    for item in job.items {
        let there = job.catalogue.find(&item.key, job.sealer.digest())?.is_some_and(|c| c.sha256.is_some());
        now.of_bytes += if there { 0 } else { item.bytes };
    }
    progress(now);
    let mut files = Vec::with_capacity(job.items.len());
    let mut written = (0, 0);
    for item in job.items {
        let mut read = |bytes| {
            now.bytes += bytes;
            progress(now);
        };
        let (place, catalogue, sealer) = (job.place, job.catalogue, job.sealer);
        let mut upload = Upload { place, catalogue, sealer, read: &mut read, written };
        let ensured = upload.ensure(item);
        written = upload.written;
        match ensured {
            Ok(line) => files.push(line),
            Err(Trouble::Source(_)) if !(job.wanted)(item) => {}
            Err(Trouble::Source(e)) => {
                log::warn!("{} cannot be backed up: {e}", item.path);
                missing.push(format!("{}: {e}", item.path));
            }
            Err(Trouble::Fatal(e)) => return Err(e),
        }
        now.files += 1;
        progress(now);
    }
    Ok((files, missing, written))
}

fn parts_of(catalogue: &Catalogue, file: &FileLine) -> Result<Vec<(ObjectName, super::catalogue::Part)>, BackupError> {
    let copy = catalogue.by_id(file.copy)?;
    let parts = match copy {
        Some(copy) => catalogue.parts(&copy)?,
        None => Vec::new(),
    };
    if parts.len() != file.parts as usize {
        let what = format!("it knows {} of {} parts of {}", parts.len(), file.parts, file.copy);
        return Err(BackupError::Damaged { name: "the catalogue".to_owned(), what });
    }
    Ok(parts.into_iter().map(|p| (file.copy.object(p.part), p)).collect())
}
