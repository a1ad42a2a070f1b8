//! The recorder's own records of its backups: one file each, kept when the backup is gone.

use std::path::{Path, PathBuf};

use super::{error::BackupError, names::BackupId, record::Record};
use crate::sys::Files;

/// The records, in a folder.
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
        let Some(bytes) = self.files.read(&path).map_err(BackupError::io("cannot read", path.clone()))? else {
            return Ok(None);
        };
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
