//! The list of a backup's objects: in the clear, a line each, as `sha256sum --check` reads it. So the medium can be checked by anybody, without
//! key and without custodian.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{
    crypt::digest,
    error::BackupError,
    names::{BackupId, ObjectName, Part},
    place::{Place, PlaceError},
    record::{ClearRecord, FORMAT},
};
use crate::types::merkle::Hash;

/// Objects with their digests.
pub(super) type Objects = BTreeMap<ObjectName, Hash>;

/// The list as it lies at the place.
pub(super) fn to_text(objects: &Objects) -> String {
    objects.iter().fold(String::new(), |mut text, (name, sha256)| {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{sha256}  {name}");
        text
    })
}

fn parse(text: &str) -> Option<Objects> {
    let line = |line: &str| {
        let (sha256, name) = line.split_once("  ")?;
        Some((name.parse().ok()?, Hash::from_hex(sha256)?))
    };
    text.lines().map(line).collect()
}

fn damaged(name: &str, what: &dyn std::fmt::Display) -> BackupError {
    BackupError::Damaged { name: name.to_owned(), what: what.to_string() }
}

/// The clear record of a backup.
pub fn record(place: &dyn Place, id: &BackupId) -> Result<ClearRecord, BackupError> {
    /// Read before the rest, which a later version may have changed.
    #[derive(serde::Deserialize)]
    struct Version {
        min_reader: u16,
    }
    let name = id.record();
    let bytes = match place.read(&name) {
        Err(PlaceError::Missing(_)) => return Err(BackupError::NoBackup(id.clone())),
        other => other?,
    };
    let version: Version = serde_json::from_slice(&bytes).map_err(|e| damaged(&name, &e))?;
    if version.min_reader > FORMAT {
        return Err(BackupError::TooNew { name, needs: version.min_reader });
    }
    let record: ClearRecord = serde_json::from_slice(&bytes).map_err(|e| damaged(&name, &e))?;
    if record.id == *id { Ok(record) } else { Err(damaged(&name, &format!("it is the record of {}", record.id))) }
}

/// The objects that a backup needs. The list must be the one that its record speaks of.
pub(super) fn objects(place: &dyn Place, record: &ClearRecord) -> Result<Objects, BackupError> {
    let name = record.id.list();
    let bytes = place.read(&name)?;
    if digest(&bytes) != record.list.sha256 {
        return Err(damaged(&name, &"it is not the list that the record speaks of"));
    }
    let objects = std::str::from_utf8(&bytes).ok().and_then(parse);
    objects.ok_or_else(|| damaged(&name, &"a line of it is none of ours"))
}

/// The complete backups at a place, the oldest first. Unfinished ones have no record.
pub fn backups(place: &dyn Place) -> Result<Vec<BackupId>, BackupError> {
    let mut all = Vec::new();
    place.list(super::names::BACKUPS, &mut |name, _| {
        all.extend(BackupId::of_file(name).filter(|(_, part)| *part == Part::Record).map(|(id, _)| id));
    })?;
    all.sort();
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::names::CopyId;

    #[test]
    fn the_list_comes_back() {
        let copy = CopyId::from_bytes([0xab; 16]);
        let objects = Objects::from([(copy.object(0), Hash([1; 32])), (copy.object(1), Hash([2; 32]))]);
        let text = to_text(&objects);
        assert!(text.ends_with(&format!("{}  objects/ab/{copy}-00001.age\n", "02".repeat(32))), "{text}");
        assert_eq!(parse(&text), Some(objects));
        assert_eq!(parse("nonsense\n"), None);
    }
}
