//! Making the index anew, while no recorder runs.

use std::{collections::BTreeSet, path::Path};

use anyhow::Context as _;

use super::{config, lock::Lock, upkeep};
use crate::{
    services::paths::Paths,
    site::Site,
    store::{
        index::{Batch, Writer},
        recovery::{self, Finding},
        volume,
    },
    sys::RealDisk,
    types::{RecorderId, RunId, wire::Reindexed},
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
    let mut report = Reindexed::default();
    let mut runs: BTreeSet<RunId> = BTreeSet::new();
    for (name, root) in upkeep::places(site, &recorder) {
        let volume = volume::open(&RealDisk, &name, &root, None)?;
        let mut batch = Batch::default();
        batch.volumes.insert(name.clone(), volume.marker.id.to_string());
        let mut failed = None;
        let mut segments = 0;
        let found = recovery::reconcile(&RealDisk, &volume, Vec::new(), &|_| false, &mut |finding| {
            let Finding::Segment(rows) = finding else { return };
            runs.insert(rows.0.id);
            batch.runs.entry(rows.0.id).or_insert(rows.0);
            batch.segment(rows.1);
            segments += 1;
            if batch.segments.len() >= BATCH {
                if let Err(e) = writer.apply(&std::mem::take(&mut batch)) {
                    failed.get_or_insert(e);
                }
                progress(name.as_str(), segments);
            }
        });
        if let Some(e) = failed {
            return Err(e).context("the new index cannot be written; the old one is as it was");
        }
        writer.apply(&batch).context("the new index cannot be written; the old one is as it was")?;
        report.segments += found.segments;
        report.recovered += found.recovered;
        report.foreign.extend(found.foreign);
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
