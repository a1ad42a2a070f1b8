//! The recorder's own records of its backups: one file each, kept when the backup is gone.

use std::path::{Path, PathBuf};

use super::{error::BackupError, names::BackupId, record::Record};
use crate::sys::Files;

/// A record is not longer than this: room for a line on each of 300,000 files that are missing or damaged.
const LONGEST: usize = 64 << 20;

/// The records, in a folder. Root reads them too, and the folder is another user's: what lies there may be anything.
pub struct Register<'a> {
    files: &'a dyn Files,
    dir: PathBuf,
}

impl<'a> Register<'a> {
    /// In that folder, which is there.
    pub fn new(files: &'a dyn Files, dir: &Path) -> Self {
        Self { files, dir: dir.to_owned() }
    }

    fn path(&self, id: &BackupId) -> PathBuf {
        self.dir.join(format!("{id}.json"))
    }

    /// Writes a record; one that was there is replaced.
    pub fn write(&self, record: &Record) -> Result<(), BackupError> {
        let path = self.path(&record.id);
        let mut text = serde_json::to_vec_pretty(record).unwrap_or_default();
        text.push(b'\n');
        self.files.write(&path, &text, 0o640, None).map_err(BackupError::io("cannot write", path))
    }

    /// A record.
    pub fn read(&self, id: &BackupId) -> Result<Option<Record>, BackupError> {
        let path = self.path(id);
        let found = self.files.find(&path, LONGEST).map_err(BackupError::io("cannot read", path.clone()))?;
        let Some(found) = found else { return Ok(None) };
        let bytes = found.bytes.map_err(BackupError::io("cannot read", path.clone()))?;
        let damaged =
            |e: serde_json::Error| BackupError::Damaged { name: path.display().to_string(), what: e.to_string() };
        serde_json::from_slice(&bytes).map(Some).map_err(damaged)
    }

    /// All records, the oldest first. One that is damaged is left out, with a warning: the others count all the same.
    pub fn all(&self) -> Result<Vec<Record>, BackupError> {
        let names = self.files.list(&self.dir).map_err(BackupError::io("cannot list", self.dir.clone()))?;
        let ids = names.iter().filter_map(|n| n.strip_suffix(".json")?.parse::<BackupId>().ok());
        let mut all = Vec::new();
        for id in ids {
            match self.read(&id) {
                Ok(record) => all.extend(record),
                Err(e) => log::warn!("{e}"),
            }
        }
        // Their ids tell the second.
        all.sort_by_key(|record| record.started);
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;
    use crate::sys::RealFiles;

    #[test]
    fn what_is_no_record_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let register = Register::new(&RealFiles, dir.path());
        let id = |at: u8| format!("20261126T00000{at}Z-00000000").parse::<BackupId>().unwrap();
        let file = |at: u8| dir.path().join(format!("{}.json", id(at)));
        let record: Record = serde_json::from_value(serde_json::json!({
            "format": 1, "min_reader": 1, "id": id(1), "site": "S", "recorder": "a", "to": "directory:/mnt/nas", "place": null,
            "what": [], "recipients": [], "started": 1, "ended": null, "outcome": "running", "problem": null, "contents": [],
            "missing": [], "open": 0, "lost": 0, "sealed": null, "expired": [], "kept": null, "removed": null, "check": null,
            "ledger": null,
        }))
        .unwrap();
        register.write(&record).unwrap();
        // Whoever reads a pipe waits for somebody to write; and a link may lead to what root alone may read, or to what never ends.
        nix::unistd::mkfifo(&file(2), nix::sys::stat::Mode::S_IRWXU).unwrap();
        symlink("/dev/zero", file(3)).unwrap();
        symlink(file(1), file(4)).unwrap();
        fs::create_dir(file(5)).unwrap();
        fs::File::create(file(6)).unwrap().set_len(LONGEST as u64 + 1).unwrap();
        for at in 2..7 {
            assert!(register.read(&id(at)).is_err(), "{at}");
        }
        assert!(register.read(&id(7)).unwrap().is_none());
        assert_eq!(register.all().unwrap().iter().map(|r| r.id.clone()).collect::<Vec<_>>(), [id(1)]);
    }
}
