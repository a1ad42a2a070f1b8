//! Making backups: one after the other, each with its record. What one place fails at is no matter of the others.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;

use super::Backups;
use crate::{
    backup::{
        self, BackupError, BackupId, ClearRecord, Done, FORMAT, Item, Job, Keep, Label, MIN_READER, Marker, Outcome,
        Progress, Record, Register, catalogue::Catalogue, crypt::Sealer, footage::contents, missing, words,
    },
    ledger::{What, spool},
    services::{backup::gather::Gathered, lock::Lock, record},
    site::BackupPlace,
    store::index::Reader,
    sys::{Clock as _, Commands, RealClock, RealCommands, RealFiles, is_synchronised},
    types::event,
};

/// What is told meanwhile.
#[derive(Debug, Clone)]
pub enum Told<'a> {
    /// A backup to that place begins.
    Begins(&'a Label),
    /// How far it has come.
    Progress(&'a Label, Progress),
}

/// What has come of it.
#[derive(Debug)]
pub struct Made {
    /// A record for each place.
    pub records: Vec<Record>,
    /// Whether all of them are in the ledger, or on their way there.
    pub told: bool,
}

impl Made {
    /// The worst of the outcomes.
    pub fn worst(&self) -> Outcome {
        let rank = |o: Outcome| match o {
            Outcome::Complete => 0,
            Outcome::Incomplete => 1,
            Outcome::Running | Outcome::Cut | Outcome::Failed => 2,
        };
        self.records.iter().map(|r| r.outcome).max_by_key(|o| rank(*o)).unwrap_or(Outcome::Complete)
    }
}

impl Backups {
    /// Makes a backup to each place, or to the one that is named.
    ///
    /// # Errors
    /// If another backup is being made, or nothing can be written down. A place that fails is told in its record.
    pub fn run(&self, named: Option<&str>, tell: &mut dyn FnMut(Told<'_>)) -> anyhow::Result<Made> {
        let dir = self.paths.backups();
        make(&dir)?;
        let _lock = Lock::take(&self.paths.backup_lock(), "a backup is being made")?;
        let register = Register::new(&RealFiles, &dir);
        let sealer = Sealer::new(self.backup.recipients.clone())?;
        let chosen = self.chosen(named)?;
        let work = Work::new(dir.join("work"))?;
        let gathered = self.gather(&work.0);
        let mut records = Vec::new();
        for place in chosen {
            records.push(self.one(place, &register, &sealer, &gathered, tell)?);
        }
        drop(work);
        let told = self.tell_ledger(&register, &mut records)?;
        Ok(Made { records, told })
    }

    /// One backup to one place, from its first record to its last.
    fn one(
        &self,
        place: &BackupPlace,
        register: &Register<'_>,
        sealer: &Sealer,
        gathered: &Gathered,
        tell: &mut dyn FnMut(Told<'_>),
    ) -> anyhow::Result<Record> {
        let label = Label(place.label());
        tell(Told::Begins(&label));
        let mut record = self.begun(&label, sealer, gathered);
        let made = self.connect(place).and_then(|connected| {
            let place = &*connected.place;
            let marker = Marker::expect(place, self.site.id(), &self.recorder)?;
            record.place = Some(marker.place);
            settle(register, place, &marker, self.backup.keep_days)?;
            register.write(&record)?;
            let before = lacked(register, &marker)?;
            let catalogue = Catalogue::open(&self.paths.catalogue(), marker.place)?;
            let job = Job {
                id: record.id.clone(),
                started: record.started,
                site: self.site.name(),
                place,
                marker: &marker,
                catalogue: &catalogue,
                sealer,
                items: &gathered.items,
                missing: gathered.missing.clone(),
                before: &before,
                wanted: &|item| self.still_there(item),
                keep: keep(self.backup.keep_days, self.paths.retention(), &RealCommands),
                held: &|footage| gathered.is_held(footage),
                clock: &RealClock,
            };
            Ok(backup::run(&job, &mut |progress| tell(Told::Progress(&label, progress)))?)
        });
        record.ended = Some(RealClock.wall());
        match made {
            Ok(done) => {
                complete(&mut record, done);
                tell_log(&record);
            }
            Err(e) => {
                log::error!(
                    MESSAGE_ID = event::BACKUP_FAILED,
                    BACKUP:% = record.id, PLACE:% = label, CAUSE = format!("{e:#}");
                    "backup to {label}: {e:#}"
                );
                record.outcome = Outcome::Failed;
                record.problem = Some(format!("{e:#}"));
            }
        }
        register.write(&record)?;
        for id in &record.expired {
            note_removed(register, id)?;
        }
        Ok(record)
    }

    fn begun(&self, to: &Label, sealer: &Sealer, gathered: &Gathered) -> Record {
        let started = RealClock.wall();
        Record {
            format: FORMAT,
            min_reader: MIN_READER,
            id: BackupId::new(started),
            site: self.site.name().to_owned(),
            recorder: self.recorder.clone(),
            to: to.clone(),
            place: None,
            what: words(&self.backup.what, &self.backup.areas),
            recipients: sealer.recipients().iter().map(ToString::to_string).collect(),
            started,
            ended: None,
            outcome: Outcome::Running,
            problem: None,
            contents: contents(gathered.items.iter().map(|i| (i.kind, i.footage.as_ref(), i.bytes))),
            missing: gathered.missing.clone(),
            open: gathered.open,
            lost: 0,
            sealed: None,
            expired: Vec::new(),
            kept: None,
            removed: None,
            check: None,
            ledger: None,
        }
    }

    /// Whether footage that cannot be read is footage still: it may have come to its end since it was found.
    fn still_there(&self, item: &Item) -> bool {
        let Some(segment) = item.segment else { return true };
        let rows = Reader::open(&self.paths.index()).and_then(|index| index.segment(segment));
        rows.map_or(true, |rows| !rows.is_empty())
    }

    /// Leaves an entry for the ledger for each backup that has none yet.
    fn tell_ledger(&self, register: &Register<'_>, made: &mut [Record]) -> anyhow::Result<bool> {
        let mut told = true;
        for mut record in register.all()? {
            let Some(sealed) = record.sealed.as_ref().filter(|_| record.ledger.is_none()) else { continue };
            match spool::leave(&RealFiles, &self.paths.ledger_spool(), RealClock.wall(), entry(&record, sealed)) {
                Ok(id) => {
                    record.ledger = Some(id);
                    register.write(&record)?;
                    made.iter_mut().filter(|m| m.id == record.id).for_each(|m| m.ledger = Some(id));
                }
                Err(e) => {
                    log::error!(
                        BACKUP:% = record.id;
                        "backup {} is not in the ledger yet: {:#}", record.id, anyhow::Error::from(e)
                    );
                    told = false;
                }
            }
        }
        Ok(told)
    }
}

/// How long backups are kept, and whether the clock is good enough to tell. What the recorder doubts, a time service cannot settle here:
/// its word may be what set the clock.
fn keep(days: Option<u32>, noted: PathBuf, commands: &dyn Commands) -> Keep {
    Keep { days, doubt: record::clock_doubt(noted), synchronised: is_synchronised(commands) }
}

/// What the ledger says of a backup.
fn entry(record: &Record, sealed: &ClearRecord) -> What {
    What::Backup {
        backup: record.id.to_string(),
        place: record.to.to_string(),
        files: sealed.files,
        bytes: sealed.bytes,
        manifest: sealed.manifest.sha256,
        missing: missing::for_ledger(&record.missing),
    }
}

/// What has come of it, for the log.
fn tell_log(record: &Record) {
    let (id, to, missing) = (&record.id, &record.to, record.missing.len());
    if missing == 0 {
        log::info!(MESSAGE_ID = event::BACKUP_MADE, BACKUP:% = id, PLACE:% = to; "backup {id} to {to} is complete");
    } else {
        log::warn!(
            MESSAGE_ID = event::BACKUP_INCOMPLETE, BACKUP:% = id, PLACE:% = to, COUNT = missing;
            "backup {id} to {to} lacks {missing} things; `custodian backup list {id}` names them"
        );
    }
}

fn complete(record: &mut Record, done: Done) {
    record.outcome = if done.missing.is_empty() { Outcome::Complete } else { Outcome::Incomplete };
    record.contents = done.contents;
    record.missing = done.missing;
    record.lost = done.lost;
    record.ended = Some(done.sealed.ended);
    record.sealed = Some(done.sealed);
    record.expired = done.expired.backups;
    record.kept = done.expired.kept;
}

/// What the last backup to this place lacked.
fn lacked(register: &Register<'_>, marker: &Marker) -> anyhow::Result<Vec<String>> {
    let made = register.all()?.into_iter().filter(|r| r.place == Some(marker.place) && r.sealed.is_some());
    Ok(made.max_by_key(|r| r.started).map(|r| r.missing).unwrap_or_default())
}

/// Writes down what has come of backups to this place that were cut short. One that was complete by then is; where the place does not say, the next
/// backup asks again.
fn settle(
    register: &Register<'_>,
    place: &dyn backup::Place,
    marker: &Marker,
    keep_days: Option<u32>,
) -> anyhow::Result<()> {
    let running = |r: &Record| r.outcome == Outcome::Running && r.place == Some(marker.place);
    for mut record in register.all()?.into_iter().filter(running) {
        match backup::clear_record(place, &record.id) {
            Ok(sealed) => {
                record.outcome = if sealed.missing == 0 { Outcome::Complete } else { Outcome::Incomplete };
                let counted = record.missing.len() as u64;
                if sealed.missing > counted {
                    let more = sealed.missing - counted;
                    record.missing.push(format!("{more} more, which the encrypted list of contents names"));
                }
                record.ended = Some(sealed.ended);
                if let Some(days) = keep_days {
                    record.expired = removed_by(register, place, &sealed, days)?;
                }
                record.sealed = Some(sealed);
            }
            Err(BackupError::NoBackup(_)) => record.outcome = Outcome::Cut,
            Err(e) => {
                log::warn!(
                    BACKUP:% = record.id;
                    "what has come of backup {} is not known yet: {:#}", record.id, anyhow::Error::from(e)
                );
                continue;
            }
        }
        register.write(&record)?;
        for id in &record.expired {
            note_removed(register, id)?;
        }
    }
    Ok(())
}

/// The backups that one removed before it was cut: they were over, and are not there.
fn removed_by(
    register: &Register<'_>,
    place: &dyn backup::Place,
    by: &ClearRecord,
    days: u32,
) -> anyhow::Result<Vec<BackupId>> {
    let there = backup::backups(place)?;
    let limit = by.started - Duration::from_hours(24) * days;
    let over = |r: &Record| r.place == Some(by.place) && r.sealed.is_some() && r.removed.is_none() && r.started < limit;
    Ok(register.all()?.into_iter().filter(|r| over(r) && !there.contains(&r.id)).map(|r| r.id).collect())
}

fn note_removed(register: &Register<'_>, id: &BackupId) -> anyhow::Result<()> {
    if let Some(mut record) = register.read(id)? {
        record.removed = Some(RealClock.wall());
        register.write(&record)?;
    }
    Ok(())
}

fn make(dir: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
            Err(e).with_context(|| format!("cannot make {}", dir.display()))
        }
        _ => Ok(()),
    }
}

/// An empty folder for this user alone, which goes again; what an earlier backup left in it goes before.
struct Work(PathBuf);

impl Work {
    fn new(dir: PathBuf) -> anyhow::Result<Self> {
        match fs::remove_dir_all(&dir) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(e).with_context(|| format!("cannot empty {}", dir.display()));
            }
            _ => {}
        }
        fs::DirBuilder::new().mode(0o700).create(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(Self(dir))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{FakeCommands, Output};

    #[test]
    fn old_backups_go_by_a_clock_that_a_time_service_keeps_and_the_recorder_does_not_doubt() {
        let dir = tempfile::tempdir().unwrap();
        let noted = dir.path().join("retention.json");
        let yes =
            FakeCommands::new(|_, _| Ok(Output { code: Some(0), stdout: b"yes".to_vec(), stderr: String::new() }));
        let no = FakeCommands::new(|_, _| Err(io::ErrorKind::NotFound.into()));
        let expected = |synchronised| Keep { days: Some(30), doubt: None, synchronised };
        assert_eq!(keep(Some(30), noted.clone(), &yes), expected(true), "no recorder was here");
        assert_eq!(keep(Some(30), noted.clone(), &no), expected(false));
        let note = |doubt: &str| {
            let text = format!(r#"{{"format":1,"min_reader":1,"clock":{{"doubt":{doubt},"seen":null,"aged":null}}}}"#);
            fs::write(&noted, text).unwrap();
        };
        note("null");
        assert_eq!(keep(Some(30), noted.clone(), &yes), expected(true), "all doubts are settled");
        note(r#"{"doubt":"stepped","by":31536000000000000,"at":1795334400000000000}"#);
        let doubted = keep(Some(30), noted.clone(), &yes);
        assert!(doubted.doubt.unwrap().contains("the clock was set by +31536000 s"));
        note("of a later version");
        assert!(keep(Some(30), noted.clone(), &yes).doubt.is_some());
    }
}
