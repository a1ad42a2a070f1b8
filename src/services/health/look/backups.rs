//! What the records of backups say.

use std::{collections::BTreeSet, path::Path};

use crate::{
    backup::{Outcome, Record, Register},
    health::facts::{BackupPlace, Backups},
    site::{self, Site},
    sys::Files,
    types::story,
};

/// How backups are at the places of the site; none if it wants none.
pub(super) fn look(files: &dyn Files, site: &Site, dir: &Path) -> Option<Backups> {
    let backup = site.backup()?;
    // Records that cannot be read prove no backup.
    let records = Register::new(files, dir).all().unwrap_or_else(|e| {
        log::error!("the records of backups cannot be read: {}", story(&e));
        Vec::new()
    });
    Some(Backups { places: backup.to.iter().map(|place| at_place(place, &records)).collect() })
}

/// At one place. The records come the oldest first.
fn at_place(place: &site::BackupPlace, records: &[Record]) -> BackupPlace {
    let label = place.label();
    let here: Vec<&Record> = records.iter().filter(|r| r.to.0 == label).collect();
    let there = |r: &&&Record| r.outcome.usable() && r.removed.is_none();
    let newest = here.iter().filter(there).max_by_key(|r| r.ended);
    let last = here.iter().rev().find(|r| r.outcome != Outcome::Running);
    let damaged: BTreeSet<&String> =
        here.iter().filter(there).filter_map(|r| r.check.as_ref()).flat_map(|check| &check.damaged).collect();
    BackupPlace {
        kind: place.kind().to_string(),
        newest: newest.and_then(|r| r.ended),
        last_failed: last.is_some_and(|r| !r.outcome.usable()),
        // The lines end where there are too many.
        missing: newest.map_or(0, |r| r.sealed.as_ref().map_or(r.missing.len() as u64, |sealed| sealed.missing)),
        damaged: damaged.len() as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::WallNs;

    fn record(at: i64, outcome: &str, change: impl FnOnce(&mut serde_json::Value)) -> Record {
        let mut record = serde_json::json!({
            "format": 1, "min_reader": 1, "id": crate::backup::BackupId::new(WallNs(at)),
            "site": "S", "recorder": "a", "to": "directory:/mnt/nas", "place": null, "what": [], "recipients": [],
            "started": at, "ended": at + 5, "outcome": outcome, "problem": null, "contents": [], "missing": [], "open": 0, "lost": 0,
            "sealed": null, "expired": [], "kept": null, "removed": null, "check": null, "ledger": null,
        });
        change(&mut record);
        serde_json::from_value(record).unwrap()
    }

    #[test]
    fn the_newest_that_can_be_restored_counts_and_the_last_that_failed_is_told() {
        let nas = site::BackupPlace::Directory("/mnt/nas".into());
        let look = |records: &[Record]| at_place(&nas, records);
        let never = BackupPlace { kind: "directory".into(), newest: None, last_failed: false, missing: 0, damaged: 0 };
        assert_eq!(look(&[]), never);
        let good = record(10, "complete", |r| {
            r["check"] = serde_json::json!({ "at": 1, "decrypted": false, "damaged": ["x: cut", "y: cut"] });
        });
        let some = record(20, "incomplete", |r| {
            r["missing"] = serde_json::json!(["exports/đơn: gone"]);
            r["check"] = serde_json::json!({ "at": 1, "decrypted": false, "damaged": ["y: cut"] });
        });
        let failed = record(30, "failed", |_| ());
        let running = record(40, "running", |r| r["ended"] = serde_json::Value::Null);
        let elsewhere = record(50, "complete", |r| r["to"] = "s3:offsite".into());
        let expired = record(60, "complete", |r| r["removed"] = 70.into());
        let all = [good.clone(), some, failed.clone(), running, elsewhere, expired];
        // The same damage in two backups is one; a removed one can be restored no more, but it did not fail.
        assert_eq!(look(&all), BackupPlace { newest: Some(WallNs(25)), missing: 1, damaged: 2, ..never.clone() });
        let last = look(&[good, failed]);
        assert_eq!((last.newest, last.last_failed, last.missing), (Some(WallNs(15)), true, 0));
    }
}
