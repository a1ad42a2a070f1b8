//! Making the index anew, while no recorder runs.

use std::{collections::BTreeSet, path::Path};

use anyhow::Context as _;

use super::{config, lock::Lock, volumes};
use crate::{
    services::paths::Paths,
    site::Site,
    store::{
        identity,
        index::{Batch, IndexError, Writer},
        recovery::{self, Beside, Finding, Known},
        volume::{self, Volume},
    },
    sys::RealDisk,
    types::{RecorderId, RunId, VolumeName, wire::Reindexed},
};

/// Rows in one transaction.
const BATCH: usize = 2000;

/// Reads every file of every volume of a recorder, closes torn ones, and puts a new index in the place of the old one when
/// all is read. Open gaps are not on the volumes: the new index has none until the recorder runs.
///
/// # Errors
/// If a recorder runs with this state, or any of the volumes can't be opened: an index that lacks a volume would call its
/// footage gone.
pub fn reindex(
    site: &Site,
    recorder: Option<&RecorderId>,
    state: &Path,
    progress: &dyn Fn(&str, u64),
) -> anyhow::Result<Reindexed> {
    let recorder = config::recorder(site, recorder)?;
    let paths = Paths::new(state);
    paths.make()?;
    let _lock = Lock::take(&paths.lock()).context("the index is not made anew while a recorder writes it")?;
    let fresh = paths.index().with_extension("new");
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", fresh.display()));
    }
    let mut writer = Writer::open(&fresh)?;
    let places = volumes::places(site, &recorder).into_iter();
    let volumes: Vec<Volume> =
        places.map(|(name, root)| volume::open(&RealDisk, &name, &root, None)).collect::<Result<_, _>>()?;
    // First whose the streams are: the files may lie under former names.
    let traces: Vec<_> = volumes.iter().flat_map(|v| recovery::look(v, &recorder, &Known::default())).collect();
    let mut names = Batch::default();
    names.streams.extend(identity::settle(&traces));
    writer.apply(&names)?;
    let mut report = Reindexed::default();
    let mut runs: BTreeSet<RunId> = BTreeSet::new();
    for volume in volumes {
        let name = &volume.name;
        let mut filling = Filling {
            writer: &mut writer,
            runs: &mut runs,
            batch: Batch::default(),
            segments: 0,
            failed: None,
            progress,
            name,
        };
        filling.batch.volumes.insert(name.clone(), volume.marker.id.to_string());
        let found = recovery::reconcile(&RealDisk, &volume, Vec::new(), &mut filling);
        filling.write();
        if let Some(e) = filling.failed {
            return Err(e).context("the new index cannot be written; the old one is as it was");
        }
        report.segments += found.segments;
        report.recovered += found.recovered;
        report.foreign.extend(found.foreign.into_iter().chain(found.damaged));
    }
    report.runs = runs.len() as u64;
    let mut notes = Batch::default();
    notes.meta.insert("timezone".into(), site.timezone().iana_name().unwrap_or("UTC").to_owned());
    notes.meta.insert("language".into(), site.language().as_str().to_owned());
    writer.apply(&notes)?;
    writer.checkpoint()?;
    drop(writer);
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", paths.index().display()));
    }
    std::fs::rename(&fresh, paths.index()).context("the new index cannot take the old one's place")?;
    Ok(report)
}

/// The new index, as it is filled from one volume.
struct Filling<'a> {
    writer: &'a mut Writer,
    runs: &'a mut BTreeSet<RunId>,
    batch: Batch,
    segments: u64,
    failed: Option<IndexError>,
    progress: &'a dyn Fn(&str, u64),
    name: &'a VolumeName,
}

impl Filling<'_> {
    fn write(&mut self) {
        if let Err(e) = self.writer.apply(&std::mem::take(&mut self.batch)) {
            self.failed.get_or_insert(e);
        }
        (self.progress)(self.name.as_str(), self.segments);
    }
}

impl Beside for Filling<'_> {
    fn is_live(&self, _: RunId) -> bool {
        false
    }
    fn go_on(&self) -> bool {
        self.failed.is_none()
    }
    fn found(&mut self, finding: Finding) {
        let Finding::Segment(rows) = finding else { return };
        self.runs.insert(rows.0.id);
        self.batch.runs.entry(rows.0.id).or_insert(rows.0);
        self.batch.segment(rows.1);
        self.segments += 1;
        if self.batch.segments.len() >= BATCH {
            self.write();
        }
    }
}
