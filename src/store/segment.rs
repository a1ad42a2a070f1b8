//! One segment file while it is being written.
//!
//! Create: write, commit, then the index row. The file comes into being with its head and its first fragment in one write, so
//! that a torn file is either empty or begins with a head. Length and row grow only with commits.

use std::{
    io::{self, IoSlice},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    format::{self, CloseBuilder},
    index::{HOLE_NS, RunRow, SegmentRow, SegmentState},
    layout,
    volume::{MARKER, Volume},
};
use crate::{
    sys::{Disk, DiskFile},
    types::{Fragment, Run, SegmentId, Span},
};

/// Extents are reserved in steps of this size, so that the files of many cameras do not interleave in small pieces.
const RESERVE_STEP: u64 = 32 << 20;
/// On a small disk in steps that are so small a part of it.
const RESERVE_PART: u64 = 512;

/// What a commit has to make durable and then to publish.
#[derive(Clone)]
pub(super) struct Written {
    /// The file.
    pub file: Arc<dyn DiskFile>,
    /// Folders with new entries.
    pub folders: Vec<PathBuf>,
    /// What the index shall say once the commit is through.
    pub row: SegmentRow,
    /// The run, with a segment's first commit.
    pub run: Option<RunRow>,
    /// Set to the row's length once the commit is through.
    pub committed: Arc<AtomicU64>,
}

/// A segment that grows.
pub(super) struct OpenSegment {
    pub id: SegmentId,
    run: Arc<Run>,
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    folders: Vec<PathBuf>,
    len: u64,
    reserved: u64,
    reserve_step: u64,
    /// Fragments so far, each with what the row said when it was complete.
    close: CloseBuilder,
    history: Vec<(u64, SegmentRow)>,
    row: SegmentRow,
    committed: Arc<AtomicU64>,
    published: bool,
}

impl OpenSegment {
    /// Makes the file for a segment's first fragment and writes that. `size` is the volume's.
    pub(super) fn create(disk: &dyn Disk, volume: &Volume, size: u64, fragment: &Fragment) -> io::Result<Self> {
        // A mount that went away would leave us writing to the folder beneath it.
        if !volume.root.join(MARKER).try_exists()? {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("its {MARKER} is gone: is it still mounted?")));
        }
        let run = &fragment.run;
        let id = SegmentId { stream: run.stream.id, run: run.id, seq: fragment.seq };
        let raw_start = fragment.span.start;
        let relative = layout::segment_path(&run.stream.camera, run.stream.kind, raw_start, run.id, fragment.seq);
        let path = volume.root.join(&relative);
        let folders = make_folders(disk, &volume.root, &relative)?;
        let file = disk.create(&path)?;
        let start = raw_start.offset(run.clock_correction);
        let row = SegmentRow {
            id,
            volume: volume.name.clone(),
            path: relative,
            span: Span { start, end: start },
            raw_start,
            clock_correction: run.clock_correction,
            bytes: 0,
            frames: 0,
            lost_packets: 0,
            state: SegmentState::Open,
            holes: Vec::new(),
            root: None,
        };
        let mut this = Self {
            id,
            run: run.clone(),
            file,
            path,
            folders,
            len: 0,
            reserved: 0,
            reserve_step: RESERVE_STEP.min(size / RESERVE_PART),
            close: CloseBuilder::new(run, fragment.seq),
            history: Vec::new(),
            row,
            committed: Arc::default(),
            published: false,
        };
        let head = format::segment_head(run, fragment.seq);
        this.write(&head, fragment)?;
        Ok(this)
    }

    /// Appends a fragment.
    pub(super) fn append(&mut self, fragment: &Fragment) -> io::Result<()> {
        self.write(&[], fragment)
    }

    fn write(&mut self, file_head: &[u8], fragment: &Fragment) -> io::Result<()> {
        let encoded = format::encode_fragment(fragment).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        let mut parts = Vec::with_capacity(fragment.samples.len() + 2);
        parts.push(IoSlice::new(file_head));
        parts.push(IoSlice::new(&encoded.head));
        parts.extend(fragment.samples.iter().map(|s| IoSlice::new(&s.data)));
        let bytes: u64 = parts.iter().map(|p| p.len() as u64).sum();
        let end = self.len + bytes;
        if end > self.reserved {
            self.reserved = end + self.reserve_step;
            match self.file.reserve(self.reserved) {
                // What is to be written may fit all the same.
                Err(e) if e.kind() == io::ErrorKind::StorageFull => self.reserved = end,
                other => other?,
            }
        }
        self.file.write_at(&parts, self.len)?;
        self.close.push(encoded.entry_at(self.len + file_head.len() as u64), &fragment.reports);
        self.len = end;
        self.row.bytes = end;
        let start = fragment.span.start.offset(self.run.clock_correction);
        if start.since(self.row.span.end) > HOLE_NS {
            self.row.holes.push(Span { start: self.row.span.end, end: start });
        }
        self.row.span.end = fragment.span.end.offset(self.run.clock_correction);
        self.row.frames += fragment.samples.iter().filter(|s| s.track == 0).count() as u64;
        self.row.lost_packets += u64::from(fragment.lost_packets);
        // Commits lie two seconds apart, so the list stays short.
        let committed = self.committed.load(Ordering::Acquire);
        self.history.retain(|(len, _)| *len >= committed);
        self.history.push((end, self.row.clone()));
        Ok(())
    }

    /// Bytes that are reserved and not written yet.
    pub(super) fn ahead(&self) -> u64 {
        self.reserved.saturating_sub(self.len)
    }

    /// Writes the closing box and gives back what was reserved too much.
    pub(super) fn close(mut self) -> io::Result<Written> {
        let tail = self.close.finish(false);
        self.file.write_at(&[IoSlice::new(&tail)], self.len)?;
        self.len += tail.len() as u64;
        self.file.truncate(self.len)?;
        self.row.bytes = self.len;
        self.row.state = SegmentState::Closed;
        self.row.root = Some(self.close.root());
        Ok(self.written())
    }

    /// After a failure of the disk: keeps what was committed, closes the file there. `None` if nothing was.
    pub(super) fn abandon(mut self, disk: &dyn Disk) -> io::Result<Option<Written>> {
        let committed = self.committed.load(Ordering::Acquire);
        let Some((len, row)) = self.history.iter().rev().find(|(len, _)| *len <= committed).cloned() else {
            // Never committed, so never promised and never in the index.
            disk.remove(&self.path)?;
            return Ok(None);
        };
        self.file.truncate(len)?;
        self.close.keep_within(len);
        self.len = len;
        self.row = row;
        self.close().map(Some)
    }

    /// What the next commit is to publish.
    pub(super) fn written(&mut self) -> Written {
        let first = !std::mem::replace(&mut self.published, true);
        Written {
            file: self.file.clone(),
            folders: if first { std::mem::take(&mut self.folders) } else { Vec::new() },
            row: self.row.clone(),
            run: first.then(|| RunRow::from(&*self.run)),
            committed: self.committed.clone(),
        }
    }
}

/// Makes the folders of `relative` below `root` that are missing, level by level: the root itself is never made. Returns
/// those whose entries changed or may have, the file's own folder included.
pub(super) fn make_folders(disk: &dyn Disk, root: &Path, relative: &str) -> io::Result<Vec<PathBuf>> {
    let mut changed = Vec::new();
    let mut here = root.to_owned();
    let parent = Path::new(relative).parent().unwrap_or(Path::new(""));
    for part in parent {
        let above = here.clone();
        here.push(part);
        // The footage folder is made with the marker; if it is missing, this is not the volume that it was.
        if part == layout::FOOTAGE {
            continue;
        }
        if !here.is_dir() {
            disk.make_dir(&here)?;
            changed.push(above);
        }
    }
    changed.push(here);
    Ok(changed)
}
