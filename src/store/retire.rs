//! Removing footage. The one place in custodian that does.
//!
//! The order: the ledger says it (the caller brings the proof), the rows are marked, the files are unlinked, their folders committed, the
//! rows dropped. A cut at any point leaves rows that are marked, and the next pass completes them: a marked row whose file is there
//! still is unlinked again, one whose file is gone is dropped, by [`Store::remove`] as by [`super::recovery::reconcile`].
//!
//! With the mark it is done: readers leave out what is marked. So [`Store::condemn`], which touches no footage disk, belongs under
//! whatever keeps others from changing their minds; [`Store::remove`] may take as long as its disk likes.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    Store,
    index::{SegmentRow, SegmentState},
    recovery,
    volume::{self, VolumeError},
};
use crate::{
    ledger::Accounted,
    types::{VolumeName, WallNs},
};

/// Why footage was not removed. What was marked stays marked.
#[derive(Debug, thiserror::Error)]
pub enum RetireError {
    /// The volume is not in use.
    #[error("there is no volume {0} here")]
    NoVolume(VolumeName),
    /// The volume is not what it was: nothing is removed.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// It is being written, or lies elsewhere: a mistake of the caller, nothing is removed.
    #[error("{0} is not a closed segment of this volume")]
    NotClosed(String),
    /// The rows could not be marked in time; nothing is removed.
    #[error("the index takes no word that footage is about to be removed")]
    Index,
    /// The disk refuses.
    #[error("cannot remove {path}")]
    Disk {
        /// Which file or folder.
        path: PathBuf,
        /// Its reason.
        source: io::Error,
    },
    /// The disk refuses some files; all others were removed.
    #[error("cannot remove {} and {} more", refused[0].0.display(), refused.len() - 1)]
    Files {
        /// Which, and its reasons; never empty.
        refused: Vec<(PathBuf, io::Error)>,
        /// What was removed.
        done: Retired,
    },
}

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retired {
    /// Files.
    pub segments: u64,
    /// Their bytes, by the index.
    pub bytes: u64,
}

/// Segments of one volume that are marked: all that is left is to remove them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condemned {
    volume: VolumeName,
    rows: Vec<SegmentRow>,
}

impl Condemned {
    /// What a pass that was cut short had marked on a volume.
    pub fn left(volume: &VolumeName, rows: Vec<SegmentRow>) -> Self {
        let ours = |row: &SegmentRow| row.volume == *volume && row.state == SegmentState::Retiring;
        Self { volume: volume.clone(), rows: rows.into_iter().filter(ours).collect() }
    }

    /// Whether there is nothing to remove.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows.
    pub fn rows(&self) -> &[SegmentRow] {
        &self.rows
    }
}

const DAY: Duration = Duration::from_hours(24);

/// How long the index may take to mark rows.
const MARK: Duration = Duration::from_secs(10);

impl Store {
    /// Whether a volume is there, and what it was.
    ///
    /// # Errors
    /// If its marker is another one, or cannot be read.
    pub fn is_itself(&self, volume: &VolumeName) -> Result<(), RetireError> {
        let found = self.volume(volume).ok_or_else(|| RetireError::NoVolume(volume.clone()))?;
        let now = volume::open(self.disk(), volume, &found.root, Some(&found.marker.id.to_string()))?;
        if now.file_system == found.file_system { Ok(()) } else { Err(RetireError::NoVolume(volume.clone())) }
    }

    /// Marks closed segments of one volume: from now on they are no footage any more. Touches no footage disk.
    ///
    /// # Errors
    /// If the rows or the index are not as they must be. Rows that were not marked in time may be marked later: the ledger has said so,
    /// and they are removed then.
    pub fn condemn(
        &self,
        volume: &VolumeName,
        rows: Vec<SegmentRow>,
        _accounted: &Accounted,
    ) -> Result<Condemned, RetireError> {
        if let Some(row) = rows.iter().find(|r| r.state == SegmentState::Open || r.volume != *volume) {
            return Err(RetireError::NotClosed(row.path.clone()));
        }
        self.index().put(|batch| {
            batch.retiring.extend(rows.iter().map(|r| (r.id, volume.clone())));
            for row in &rows {
                let until = batch.retired.entry(row.id.stream).or_insert(WallNs::MIN);
                *until = row.span.end.max(*until);
            }
        });
        if !self.index().flush(MARK) || self.index().problem().is_some() {
            return Err(RetireError::Index);
        }
        Ok(Condemned { volume: volume.clone(), rows })
    }

    /// Removes what is marked, for good. `pace` is called after each file, to let others have the disk; it says whether to go on.
    ///
    /// # Errors
    /// If the volume or its marker are not as they must be: then nothing is removed. If the disk refuses a file, the others go all the
    /// same; what was removed is gone from the index too.
    pub fn remove(&self, condemned: &Condemned, pace: &mut dyn FnMut() -> bool) -> Result<Retired, RetireError> {
        let Condemned { volume, rows } = condemned;
        self.is_itself(volume)?;
        let found = self.volume(volume).ok_or_else(|| RetireError::NoVolume(volume.clone()))?;
        let (disk, mut report, mut folders, mut refused) =
            (self.disk(), Retired::default(), BTreeSet::new(), Vec::new());
        let mut gone = Vec::new();
        for row in rows {
            let path = found.root.join(&row.path);
            match disk.remove(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    let all = e.kind() == io::ErrorKind::ReadOnlyFilesystem;
                    refused.push((path, e));
                    if all {
                        break;
                    }
                }
                _ => {
                    report.segments += 1;
                    report.bytes += row.bytes;
                    gone.push((row.id, volume.clone()));
                    folders.extend(path.parent().map(Path::to_owned));
                }
            }
            if !pace() {
                break;
            }
        }
        // Rows go only once their files cannot come back with a power cut.
        for folder in folders {
            self.commit_removal(&folder).map_err(|source| RetireError::Disk { path: folder, source })?;
        }
        self.index().put(|batch| batch.gone.extend(gone));
        match refused.pop() {
            None => Ok(report),
            Some((path, source)) if source.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                Err(RetireError::Disk { path, source })
            }
            Some(last) => {
                refused.push(last);
                Err(RetireError::Files { refused, done: report })
            }
        }
    }

    /// Makes a folder's removals durable. A day that is empty goes, if it is long over: no writer is about to put a file into it.
    fn commit_removal(&self, folder: &Path) -> io::Result<()> {
        match self.disk().sync_dir(folder) {
            // It went with an earlier pass.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        }
        if self.is_over(folder) {
            self.remove_empty_day(folder)?;
        }
        Ok(())
    }

    /// Removes folders of days that are over and empty: a pass that was cut short may have left them, when their rows have gone already.
    ///
    /// # Errors
    /// If the volume or its marker are not as they must be, or the disk refuses.
    pub fn remove_empty_days(&self, volume: &VolumeName) -> Result<(), RetireError> {
        self.is_itself(volume)?;
        let found = self.volume(volume).ok_or_else(|| RetireError::NoVolume(volume.clone()))?;
        for day in recovery::empty_days(&found.root).into_iter().filter(|day| self.is_over(day)) {
            self.remove_empty_day(&day).map_err(|source| RetireError::Disk { path: day, source })?;
        }
        Ok(())
    }

    /// Whether a day is long over.
    fn is_over(&self, folder: &Path) -> bool {
        let day_before = (self.clock().wall() - DAY).timestamp().strftime("%Y-%m-%d").to_string();
        folder.file_name().and_then(|n| n.to_str()).is_some_and(|day| *day < *day_before)
    }

    /// Removes a folder, unless there is something in it.
    fn remove_empty_day(&self, folder: &Path) -> io::Result<()> {
        if self.disk().remove_empty_dir(folder)?
            && let Some(above) = folder.parent()
        {
            self.disk().sync_dir(above)?;
        }
        Ok(())
    }
}
