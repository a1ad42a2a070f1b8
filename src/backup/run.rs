//! One backup to one place: everything that it is to hold is brought there, then the lists, then the record; only then what is over is removed.

use std::collections::{BTreeMap, HashMap};

use super::{
    catalogue::{Catalogue, Known},
    crypt::{Sealer, digest},
    error::BackupError,
    expire::{self, Expired, Keep},
    footage::contents,
    item::Item,
    list::{self, Objects},
    manifest::{FileLine, FootageLine, Head, Manifest},
    missing,
    names::{BackupId, OBJECTS, ObjectName},
    place::{Marker, Place},
    record::{ClearRecord, Content, FORMAT, MIN_READER, Sealed},
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
    /// What the backup before this one lacked at this place.
    pub before: &'a [String],
    /// Whether something that cannot be read is still wanted: footage may have come to its end meanwhile.
    pub wanted: &'a dyn Fn(&Item) -> bool,
    /// Whether footage is under a hold. What the place has of it stays in every backup, whatever has become of it here.
    pub held: &'a dyn Fn(&FootageLine) -> bool,
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
    /// What is in it.
    pub contents: Vec<Content>,
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
    let contents = contents(files.iter().map(|f| (f.kind, f.footage.as_ref(), f.bytes)));
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
    let keep = Keep { doubt: job.keep.doubt.clone().or_else(|| doubt(&missing, job.before)), ..job.keep.clone() };
    let expired = expire::expire(job.place, job.catalogue, &sealed, there.keys().copied(), &keep);
    Ok(Done { sealed, contents, missing, lost, expired })
}

/// An earlier backup may hold what this one does not. Not so of a segment that the last one lacked as well: it never changes, and what the place ever
/// had of it under a hold is in this one. Else one that nobody can read any more would fill the place.
fn doubt(missing: &[String], before: &[String]) -> Option<String> {
    let old = |line: &String| {
        missing::segment(line).is_some_and(|path| before.iter().any(|b| missing::segment(b) == Some(path)))
    };
    (!missing.iter().all(old)).then(|| "this backup is not complete".to_owned())
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
            catalogue.spoil(&copy)?;
        }
    }
    if lost > 0 {
        log::warn!(COUNT = lost; "{lost} objects of earlier backups are gone from the place or were cut; they are written again");
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
    let mut there: BTreeMap<String, Vec<Known>> = BTreeMap::new();
    for known in job.catalogue.footage(job.sealer.digest())? {
        there.entry(known.segment.clone()).or_default().push(known);
    }
    for item in job.items {
        let mut known = there.remove(Item::segment_of(&item.key)).unwrap_or_default();
        let mut read = |bytes| {
            now.bytes += bytes;
            progress(now);
        };
        let (place, catalogue, sealer) = (job.place, job.catalogue, job.sealer);
        let mut upload = Upload { place, catalogue, sealer, read: &mut read, written };
        // Longer than what is here: that was cut since. The longer one has it all.
        let longer = known.iter().any(|k| k.fault.is_none() && k.copy.bytes > item.bytes);
        let ensured = if longer { None } else { Some(upload.ensure(item)) };
        written = upload.written;
        let have = match ensured {
            None => item.bytes,
            Some(Ok((line, flaw))) => {
                let is_flawed = flaw.is_some();
                missing.extend(flaw.map(|flaw| format!("{}: it is backed up as it is here, but {flaw}", line.path)));
                // Another of this length may be better than one that is flawed.
                let have = item.bytes.saturating_sub(u64::from(is_flawed));
                known.retain(|k| k.copy.id != line.copy);
                files.push(line);
                have
            }
            // Its time is over, and with it that of what the place has of it.
            Some(Err(Trouble::Source(_))) if !(job.wanted)(item) => {
                if item.footage.as_ref().is_some_and(job.held) {
                    0
                } else {
                    u64::MAX
                }
            }
            Some(Err(Trouble::Source(e))) => {
                log::warn!(FILE:% = item.path, CAUSE:% = e; "{} cannot be backed up: {e}", item.path);
                missing.push(format!("{}: {e}", item.path));
                0
            }
            Some(Err(Trouble::Fatal(e))) => return Err(e),
        };
        keep_known(&known, have, &mut files, &mut missing);
        now.files += 1;
        progress(now);
    }
    for known in there.into_values().filter(|k| k.iter().any(|k| (job.held)(&k.footage.1))) {
        keep_known(&known, 0, &mut files, &mut missing);
    }
    Ok((files, missing, written))
}

/// Takes what the place has of a segment, if that is more than the backup has of it: it may be all that there is. What is at fault with it is told.
fn keep_known(known: &[Known], mut have: u64, files: &mut Vec<FileLine>, missing: &mut Vec<String>) {
    if let Some(good) = known.iter().find(|k| k.fault.is_none() && k.copy.bytes > have) {
        files.extend(good.line());
        have = good.copy.bytes;
    }
    let faulty = known.iter().filter(|k| k.copy.bytes > have).filter_map(|k| Some((k, k.fault?)));
    if let Some((first, fault)) = faulty.clone().next() {
        let (path, bytes) = (&first.footage.0, first.copy.bytes);
        missing.push(format!("{path}: its {bytes} bytes cannot be read here any more; those at the place are {fault}"));
        // Each may give what the others do not.
        files.extend(faulty.filter(|(k, _)| k.copy.bytes == bytes).filter_map(|(k, _)| k.line()));
    }
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
